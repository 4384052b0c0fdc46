import { SSEError, show } from '../errors.js'

/**
 * ID of the event that ends a stream for good. A client that comes back with it is answered with 204, so that a bare
 * `EventSource` stops; an application's own events cannot carry it.
 */
export const END_ID = 'sse.end'

/**
 * Longest ID.
 *
 * UTF-8 bytes. The ID comes back in the `Last-Event-ID` header, and servers and proxies commonly take 8 KiB for all
 * headers together: a longer one is refused with FST_SSE_FIELD_FORBIDDEN, for the stream could never resume from it.
 */
export const MAX_ID_BYTES = 4096

/**
 * Longest reconnection time, in milliseconds (24.8 days). Timers are 32-bit integers: `setTimeout` fires at once above it.
 */
export const MAX_RETRY_MS = 2_147_483_647

// A pair of surrogates is fine and half of one is not, but a `u` expression that knows the difference is three times
// slower on text outside Latin-1: this one says «look again», and nearly never does.
const SUSPECT = /[\0\r\n\ud800-\udfff]/
const TYPE_FORBIDDEN = /[\r\n]|\p{Surrogate}/u
const ID_FORBIDDEN = /[\0\r\n]|\p{Surrogate}/u

/**
 * Whether an event type belongs to this package (`sse.…`) or to `EventSource` itself, which dispatches its own `error`
 * and `open` to the same listeners. An application cannot declare such a type.
 */
export function isReservedEventType (type: string): boolean {
  return type === 'error' || type === 'open' || type.startsWith('sse.')
}

/**
 * Refuses an event type that a client would not read back as it is: empty, with CR or LF, or with half a surrogate pair.
 *
 * Reserved types pass: {@link isReservedEventType} is for declarations, and our own events have such types.
 *
 * @throws FST_SSE_FIELD_FORBIDDEN with `field: 'event'` and `index`, the position of what is refused
 */
export function assertEventType (type: string): void {
  if (typeof type === 'string' && type !== '' && !SUSPECT.test(type)) return
  if (typeof type !== 'string') {
    throw refusal('event', undefined, `An event type is a string; found ${describe(type)}. Convert it before use.`)
  }
  if (type === '') {
    // To a client an empty type is no type: the event would arrive as 'message'.
    throw refusal('event', 0, 'An event type cannot be empty. Name it, or leave `event` out to send a message.')
  }
  const index = type.search(TYPE_FORBIDDEN)
  if (index !== -1) {
    throw refusal('event', index,
      `An event type cannot contain ${nameOf(type, index)}; found ${show(type)}. ${ENCODE_HINT}`)
  }
}

/**
 * The ID as it stands in the frame and comes back as last event ID.
 *
 * A string of at most {@link MAX_ID_BYTES}, or a finite number. `0` and `''` are IDs; the empty one makes the client
 * forget its last event ID.
 *
 * @throws FST_SSE_FIELD_FORBIDDEN with `field: 'id'` for CR, LF, U+0000 or half a surrogate pair (`index` is its position),
 *   and, without `index`, for another type, a number that is not finite, an ID that is too long and {@link END_ID}
 */
export function assertId (id: string | number): string {
  // A UTF-16 unit takes at most three bytes, so nearly every ID is measured without looking at it.
  if (typeof id === 'string' && id.length * 3 <= MAX_ID_BYTES && id !== END_ID && !SUSPECT.test(id)) return id
  return inspectId(id)
}

function inspectId (id: string | number): string {
  if (typeof id === 'number' && Number.isFinite(id)) return String(id)
  if (typeof id !== 'string') {
    throw refusal('id', undefined, `An ID is a string or a finite number; found ${describe(id)}. Convert it before use.`)
  }
  if (id === END_ID) {
    throw refusal('id', undefined, `The ID ${show(id)} is reserved for the end of a stream. Choose another one.`)
  }
  const index = id.search(ID_FORBIDDEN)
  if (index !== -1) {
    throw refusal('id', index, `An ID cannot contain ${nameOf(id, index)}; found ${show(id)}. ${ENCODE_HINT}`)
  }
  const bytes = id.length > MAX_ID_BYTES ? id.length : new TextEncoder().encode(id).length
  if (bytes > MAX_ID_BYTES) {
    throw refusal('id', undefined,
      `An ID is at most ${MAX_ID_BYTES} bytes, since it comes back in a header; found ${bytes} or more in ${show(id)}. ` +
      'Send a shorter key to what it holds.')
  }
  return id
}

/**
 * The reconnection time as it stands in the frame.
 *
 * Milliseconds: an integer from 0 to {@link MAX_RETRY_MS}.
 *
 * @throws FST_SSE_FIELD_FORBIDDEN with `field: 'retry'`, for any other value: a client ignores a `retry` that is not all
 *   digits, and takes one that is too large for no wait at all
 */
export function assertRetry (ms: number): number {
  if (Number.isInteger(ms) && ms >= 0 && ms <= MAX_RETRY_MS) return ms
  throw refusal('retry', undefined,
    `A reconnection time is an integer from 0 to ${MAX_RETRY_MS} milliseconds; found ${describe(ms)}. ` +
    'Round it, or leave it out.')
}

const ENCODE_HINT = 'Encode it before use, for example with encodeURIComponent().'

function refusal (field: 'event' | 'id' | 'retry', index: number | undefined, message: string): SSEError {
  return new SSEError('FST_SSE_FIELD_FORBIDDEN', message, index === undefined ? { field } : { field, index })
}

function nameOf (text: string, index: number): string {
  switch (text[index]) {
    case '\r': return 'CR'
    case '\n': return 'LF'
    case '\0': return 'U+0000'
    default: return 'half a surrogate pair'
  }
}

// In JSON, NaN and Infinity are null.
function describe (value: unknown): string {
  return typeof value === 'number' ? String(value) : show(value)
}
