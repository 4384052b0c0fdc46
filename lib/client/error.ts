/**
 * What went wrong with a stream.
 *
 * - `'network'`: no connection, or it was lost
 * - `'ended'`: the response ended, and no `sse.end` had said that the stream is over
 * - `'stalled'`: nothing came for longer than the stall timeout, or no answer at all
 * - `'status'`: the server refused, see `status` and `body`
 * - `'content-type'`: a response that is no event stream
 * - `'too-large'`: an event is over `maxEventBytes`
 * - `'invalid'`: data that is not JSON, or that `validate` has refused
 * - `'fault'`: the server's source has failed (`sse.fault`), see `code`
 * - `'request'`: there is no request to send: `url`, `headers` or `body` failed, which is retried; or a parameter is missing, or a part of
 *   the client cannot be loaded
 * - `'unsupported'`: this platform cannot read the stream
 * - `'handler'`: a callback of the application has failed; the stream goes on, unless it was `shouldRetry` or `onUnauthorized`
 */
export type StreamErrorKind =
  'network' | 'ended' | 'stalled' | 'status' | 'content-type' | 'too-large' | 'invalid' | 'fault' | 'request' | 'unsupported' | 'handler'

/** What an error may tell beside its kind and message. */
export interface StreamErrorFields {
  readonly status?: number | undefined
  readonly body?: string | undefined
  readonly code?: string | undefined
}

/** The one error of the client. `cause` keeps what was thrown elsewhere. */
export class StreamError extends Error {
  readonly kind: StreamErrorKind
  /** HTTP status of a response that was refused. */
  declare readonly status: number | undefined
  /** What the response said that was refused, as text: at most the first 4,096 characters. */
  declare readonly body: string | undefined
  /** Code of an `sse.fault`: one of those in ERRORS.md, or the application's own. */
  declare readonly code: string | undefined
  /** Whether the stream connects again by itself. */
  willRetry = false
  /** After how many milliseconds it does. */
  declare delayMs: number | undefined

  constructor (kind: StreamErrorKind, message: string, cause?: unknown, fields?: StreamErrorFields) {
    super(message, { cause })
    this.name = 'StreamError'
    this.kind = kind
    Object.assign(this, fields)
  }
}
