import { SSEError } from '../errors.js'
import { encodeEvent, encodeHead } from '../wire/encode.js'

const FAULT_HEAD = encodeHead('sse.fault')

/**
 * The one event that tells the client of a failure. What the error says stays in the log, unless it is marked to be
 * exposed (`expose: true`, as http-errors does for client errors).
 */
export function faultFrame (error: unknown): string {
  const { code, message, expose } = (typeof error === 'object' && error !== null ? error : {}) as
    { code?: unknown, message?: unknown, expose?: unknown }
  const fault = expose === true
    ? { code: typeof code === 'string' ? code : 'FST_SSE_SOURCE_FAILED', message: String(message) }
    : { code: error instanceof SSEError ? error.code : 'FST_SSE_SOURCE_FAILED', message: 'Internal Server Error' }
  return encodeEvent(FAULT_HEAD, JSON.stringify(fault))
}

/** Whether an error says no more than that something was told to stop. */
export function isAbort (error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false
  const { name, code } = error as { name?: unknown, code?: unknown }
  return name === 'AbortError' || code === 'ABORT_ERR' || code === 'ERR_STREAM_PREMATURE_CLOSE' || code === 'ERR_STREAM_DESTROYED'
}
