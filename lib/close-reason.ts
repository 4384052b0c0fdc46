/**
 * Why a stream ended.
 *
 * - `'source-ended'`: the source had no more events, or the push handle was closed
 * - `'source-failed'`: the source threw or rejected
 * - `'event-invalid'`: the source gave an event that is undeclared, fails its schema or would break the wire
 * - `'client-left'`: the client closed the connection, or it was lost
 * - `'client-stalled'`: the client took no byte for `stallTimeoutMs`
 * - `'slow-subscriber'`: it fell out of the backlog of its channel, whose `overrun` is `'disconnect'`
 * - `'shutdown'`: the server is closing
 * - `'max-age'`: the stream reached `maxAgeMs`
 * - `'expired'`: the time given by `expiresAt` has come
 * - `'evicted'`: `app.sse.evict()` chose it
 * - `'response-replaced'`: an `onSend` hook failed or sent something else than the stream
 */
export type CloseReason =
  | 'source-ended'
  | 'source-failed'
  | 'event-invalid'
  | 'client-left'
  | 'client-stalled'
  | 'slow-subscriber'
  | 'shutdown'
  | 'max-age'
  | 'expired'
  | 'evicted'
  | 'response-replaced'
