import type { Readable } from 'node:stream'
import type { FastifyRequest } from 'fastify'
import type { EventStream } from './event-stream.js'
import type { FrameFeed } from './feed.js'
import type { Exchange } from './peer.js'
import type { CloseReason } from '../close-reason.js'

/** What is the same for all streams of a route. */
export interface StreamSettings {
  readonly heartbeatMs: number
  readonly stallTimeoutMs: number
  readonly maxAgeMs: number
  readonly controlEvents: boolean
  /** What every stream begins with. */
  readonly opening: string
  /** Makes a frame of what the source gave; `''` for an event that is dropped. Throws for one that must end the stream. */
  encode (event: unknown, host: StreamHost): string
}

/** What a stream needs from the framework that it runs in. */
export interface StreamHost {
  readonly exchange: Exchange
  readonly request: FastifyRequest
  readonly lastEventId: string | undefined
  /**
   * What feeds the stream: frames, when the source has its own, else events to be pulled. Throws for a source that is refused.
   */
  open (source: unknown, stream: EventStream): { readonly feed: FrameFeed } | { readonly events: unknown }
  /** Sends `body` as the response, through all hooks. */
  commit (body: Readable): void
  /** Nothing has been sent: answers with an ordinary error response instead. */
  refuse (error: Error): void
  /** The stream is over, and its response too. Called once. */
  closed (end: StreamEnd): void
  /** Something went wrong that does not end the stream, or that happened after its end. */
  warn (error: unknown, message: string): void
}

/** How a stream ended. */
export interface StreamEnd {
  readonly reason: CloseReason
  /** What ended it, for `'source-failed'` and `'event-invalid'`. */
  readonly error: unknown
  /** Events handed to the response. */
  readonly events: number
  /** Milliseconds from the call of `reply.sse` to the end. */
  readonly durationMs: number
  /** Whether the error became an ordinary error response, because nothing had been sent. */
  readonly isRefused: boolean
}
