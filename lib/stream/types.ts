import type { FastifyRequest } from 'fastify'

/** What a route without `schema.events` sends. */
export interface UntypedEvent {
  /** The event type. Without one the client receives the event as `message`. */
  event?: string | undefined
  /** Sent as JSON. */
  data: unknown
  /** Becomes the client's last event ID. `0` and `''` are IDs like any other; the empty one resets it. No CR, LF or U+0000. */
  id?: string | number | undefined
  /** Reconnection time in milliseconds, from this event on. An integer of 0 or more. */
  retry?: number | undefined
}

/**
 * What a source function is called with.
 *
 * It does not depend on the route's events: a member that did would make TypeScript 5.9 give up (TS2589).
 */
export interface StreamContext {
  /** Aborts when the stream ends, whoever ended it. Its reason is an `SSEError`. */
  readonly signal: AbortSignal
  /** The `Last-Event-ID` header of the request, undefined when there is none. */
  readonly lastEventId: string | undefined
  /** The request that opened the stream. */
  readonly request: FastifyRequest
}

/** Events that can be pulled: an `AsyncIterable`, an `Iterable`, a Node `Readable` in object mode or a web `ReadableStream`. */
export type SourceIterable<E> = AsyncIterable<E> | Iterable<E> | WebStream<E>

/** What is read of a web `ReadableStream`; with the types of some browsers' libraries it is no `AsyncIterable`. */
export interface WebStream<E> {
  getReader (): { read (): Promise<{ done: boolean, value?: E | undefined }> }
}

/** Where the events of a stream come from: something that can be pulled, or a function that gives it. */
export type Source<E> = SourceIterable<E> | ((ctx: StreamContext) => SourceIterable<E> | Promise<SourceIterable<E>>)

/** The events that a source gives. */
export type SourceEvent<S> = S extends (...args: never) => infer Returned ? Pulled<Awaited<Returned>> : Pulled<S>

type Pulled<S> = S extends AsyncIterable<infer E> | Iterable<infer E>
  ? E
  // `getReader` has overloads, of which inference sees the last. What a stream may be piped to says the same.
  : S extends { pipeTo (destination: { getWriter (): { write (chunk: infer E): unknown } }): unknown }
    ? Exclude<E, undefined>
    : S extends WebStream<infer E> ? E : never

/** A stream that events are pushed into. */
export interface StreamHandle<E> {
  /**
   * Sends one event. Wait for it before the next, or memory grows with every event a slow client has not taken.
   *
   * @returns a promise that never rejects: `true` when the event was written, `false` when the stream was over or the
   * event was refused
   */
  send (event: E): Promise<boolean>
  /** Writes a comment, which clients do not dispatch. Each line becomes one of its own. After the end it does nothing. */
  comment (text?: string): void
  /** Ends the stream. May be called twice. */
  close (): void
  /** Aborts when the stream ends, whoever ended it. */
  readonly signal: AbortSignal
  /** Resolves when the stream is over; never rejects. Return it from the handler. */
  readonly closed: Promise<void>
}
