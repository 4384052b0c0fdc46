// The entry «fastify-typed-sse/client»: for browsers and Node, without a dependency.
export { connect } from './client/connect.js'
export { StreamError, type StreamErrorKind } from './client/error.js'
export type {
  ConnectOptions, EventStream, Fetch, FetchInit, FetchResponse, PerAttempt, StreamOptions, StreamState, StreamStatus, Validator
} from './client/types.js'
export type { Gap, GapReason } from './schema/control-events.js'
export type { ReceivedEvent, ReceivedOf, StreamEvent, UnknownEvent } from './schema/received.js'
