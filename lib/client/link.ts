import type { StreamError } from './error.js'
import type { StreamState, StreamStatus } from './types.js'

/** An event as it was read: its data not yet parsed. */
export interface RawEvent {
  event: string
  data: string
  /** Last event ID; empty when there is none. */
  id: string
}

/** What is at one end of a link: the reader of the stream. */
export interface LinkHost {
  /** An event, in order; `isText` when the server has said that its data is no JSON. */
  receive (event: RawEvent, isText: boolean): void
  /** The last event ID has changed without an event. */
  place (id: string): void
  comment (text: string): void
  /** Where the stream stands. After `'closed'` nothing is called. */
  status (status: StreamStatus, attempt: number, reason?: StreamState['reason'], error?: StreamError): void
  /** What to wait for before more is read: for the reader, when it is behind. Undefined when there is room. Need not be settled by `close`. */
  room (): Promise<void> | undefined
}

/** What is at the other end: a connection that is made again and again. */
export interface Link {
  /** Stops at once, and tells nothing more, not even the rest of a chunk. */
  close (): void
  /** The reader has failed: the link is over, with this error. */
  fail (error: StreamError): void
  reconnect (): void
  /** There is a handler for an event type now; undefined: an iteration, which is for all of them. */
  listen? (eventType?: string): void
}
