/**
 * Every error code, in one table: what raises it, and the status a response gets when it can still have one.
 *
 * A code never changes its meaning and is never used again once retired. ERRORS.md is compared with this table by a
 * test, in both directions.
 */
export const ERROR_STATUS = {
  FST_SSE_OPTION_UNKNOWN: 500,
  FST_SSE_OPTION_INVALID: 500,
  FST_SSE_OPTIONS_CONFLICT: 500,
  FST_SSE_ALREADY_REGISTERED: 500,
  FST_SSE_EVENT_TYPE_INVALID: 500,
  FST_SSE_EVENT_TYPE_RESERVED: 500,
  FST_SSE_SCHEMA_INVALID: 500,
  FST_SSE_SOURCE_INVALID: 500,
  FST_SSE_SOURCE_FAILED: 500,
  FST_SSE_STREAM_EXISTS: 500,
  FST_SSE_REPLY_SENT: 500,
  FST_SSE_STATUS_INVALID: 500,
  FST_SSE_EVENT_MALFORMED: 500,
  FST_SSE_EVENT_UNDECLARED: 500,
  FST_SSE_EVENT_INVALID: 500,
  FST_SSE_FIELD_FORBIDDEN: 500,
  FST_SSE_SERIALIZATION_FAILED: 500,
  FST_SSE_LAST_EVENT_ID_TOO_LONG: 400,
  FST_SSE_NOT_ACCEPTABLE: 406,
  FST_SSE_LIMIT_REACHED: 503,
  FST_SSE_STREAM_CLOSED: 500,
  FST_SSE_CHANNEL_EXISTS: 500,
  FST_SSE_FRAME_TOO_LARGE: 500,
  FST_SSE_LOG_CLOSED: 503,
  FST_SSE_SUBSCRIBER_OVERRUN: 500,
  FST_SSE_NOT_READY: 500,
  FST_SSE_MANIFEST_INVALID: 500,
  FST_SSE_TEST_RESPONSE_UNEXPECTED: 500,
  FST_SSE_TEST_DATA_UNREADABLE: 500,
  FST_SSE_TEST_STREAM_CUT: 500,
  FST_SSE_TEST_TIMEOUT: 500,
  FST_SSE_TEST_TICKS_FAKED: 500
} as const

/** One of the codes in ERRORS.md. */
export type ErrorCode = keyof typeof ERROR_STATUS

/**
 * An error of this package.
 *
 * `code` is stable and for programs, `message` says what was found and what to do next, and the fields that belong to
 * the code (see ERRORS.md) are own properties of the error. `cause` keeps the origin.
 */
export class SSEError extends Error {
  override readonly name: string = 'SSEError'
  /** Stable identifier: one of the codes in ERRORS.md. */
  readonly code: ErrorCode
  /** Status of the response, for an error that happens before the headers are sent. */
  readonly statusCode: number

  constructor (code: ErrorCode, message: string, fields: Record<string, unknown> = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    this.statusCode = ERROR_STATUS[code]
    Object.assign(this, fields)
  }
}

/**
 * Why a stream's signal aborted.
 *
 * Its `name` is that of other aborts, so that code which waits on a signal takes it for what it is.
 */
export class StreamClosedError extends SSEError {
  override readonly name = 'AbortError'

  constructor (reason: string) {
    super('FST_SSE_STREAM_CLOSED', `The event stream is over (${reason}). Stop the source when its signal aborts.`, { reason })
  }
}

/**
 * A value as it may stand in a message: one line, at most 80 characters. Never throws, whatever the value does.
 */
export function show (value: unknown): string {
  const text = textOf(value).replace(/\s+/g, ' ')
  return text.length > 80 ? text.slice(0, 77) + '...' : text
}

function textOf (value: unknown): string {
  if (typeof value === 'function') return `function ${value.name}`
  if (typeof value !== 'object' && typeof value !== 'string') return String(value)
  try {
    return JSON.stringify(value) ?? Object.prototype.toString.call(value)
  } catch {
    return Object.prototype.toString.call(value)
  }
}

/**
 * The candidate that is most like a misspelt name, or undefined when none is near.
 *
 * Near means at most a third of the name's characters changed, added or removed.
 */
export function nearest (name: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined
  let bestDistance = Math.floor(Math.max(name.length, 3) / 3) + 1
  for (const candidate of candidates) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase())
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

function editDistance (a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(
        row[j]! + 1,
        next[j - 1]! + 1,
        row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      ))
    }
    row = next
  }
  return row[b.length]!
}
