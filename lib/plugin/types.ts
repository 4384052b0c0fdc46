import type { FastifyRequest } from 'fastify'
import type { Validation } from '../schema/encoder.js'
import type { EventContract, EventMap, EventOf } from '../schema/events.js'
import type { Manifest } from '../schema/manifest.js'
import type { StreamStats } from '../stream/hub.js'
import type { Channel } from '../channel/channel.js'
import type { ChannelFamily } from '../channel/family.js'
import type { Merge } from '../channel/merge.js'
import type { Subscription } from '../channel/subscription.js'
import type { ChannelOptions, ChannelStats, FamilyOptions } from '../channel/types.js'
import type { CloseReason } from '../close-reason.js'
import type { abortable, on } from '../stream/producers.js'

/**
 * How streams behave: the `sse` member of a route's options, and, in the plugin's options, the default of all routes.
 *
 * A member that is unknown or out of range is refused when the route is registered.
 */
export interface RouteStreamOptions {
  /**
   * Longest silence on the connection before a heartbeat (an empty comment) is written.
   *
   * Each frame restarts the wait, so a busy stream carries none, and a client that does not read gets none.
   * `EventSource` never shows comments to the page; the heartbeat is for intermediaries that close idle connections.
   *
   * Milliseconds: an integer of 1000 or more, or `0` for no heartbeats.
   *
   * @defaultValue `15_000`
   * @throws FST_SSE_OPTION_INVALID at registration, for any other value
   * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#authoring-notes
   */
  heartbeatMs?: number | undefined
  /**
   * How long a client waits before it connects again; sent as `retry` when a stream opens.
   *
   * Milliseconds: an integer from 10 to 2^31 - 1. Below that a stream that ends at once would be asked for in a hot loop.
   *
   * @defaultValue `3_000`
   * @throws FST_SSE_OPTION_INVALID at registration, for any other value
   */
  reconnectionTimeMs?: number | undefined
  /**
   * How long a client may take no bytes while some wait for it. It is cut off then.
   *
   * Milliseconds: an integer from 100 to 2^31 - 1.
   *
   * @defaultValue `30_000`
   * @throws FST_SSE_OPTION_INVALID at registration, for any other value
   */
  stallTimeoutMs?: number | undefined
  /**
   * How long a stream may live. It ends in order then, and the client connects again.
   *
   * Milliseconds: an integer of 100 or more, or `0` for no limit.
   *
   * @defaultValue `0`
   * @throws FST_SSE_OPTION_INVALID at registration, for any other value
   */
  maxAgeMs?: number | undefined
  /**
   * What happens to open streams when the server closes.
   *
   * - `'reconnect'`: each ends at once, with a `retry` at random in a window, so that the clients do not all come back together
   * - `'finish'`: each may go on for `drainTimeoutMs`, and ends like that only then
   *
   * @defaultValue `'reconnect'`
   * @throws FST_SSE_OPTION_INVALID at registration, for any other value
   */
  drain?: 'reconnect' | 'finish' | undefined
  /**
   * How long `app.close()` waits: with `drain: 'finish'` for streams to end by themselves, and always for sources to
   * return after their signal has aborted. A source that has not returned by then is reported and left behind.
   *
   * Milliseconds: an integer from 0 to 2^31 - 1.
   *
   * @defaultValue `5_000`
   * @throws FST_SSE_OPTION_INVALID at registration, for any other value
   */
  drainTimeoutMs?: number | undefined
  /**
   * What happens to an event that is undeclared or fails its schema.
   *
   * - `'throw'`: it is not sent, and the stream ends with `sse.fault`
   * - `'drop'`: it is not sent and a warning is logged; the stream goes on
   * - `'report'`: it is sent all the same and a warning is logged
   * - `'off'`: events are not checked
   *
   * An event that would break the wire (a line end in its ID) is never sent.
   *
   * @defaultValue `'throw'`
   * @throws FST_SSE_OPTION_INVALID at registration, for any other value
   */
  validation?: Validation | undefined
  /**
   * Whether the request's `Accept` header is looked at.
   *
   * - `'any'`: it is not; calling `reply.sse` decides
   * - `'strict'`: a client that does not accept `text/event-stream` is answered with 406 (FST_SSE_NOT_ACCEPTABLE)
   *
   * @defaultValue `'any'`
   * @throws FST_SSE_OPTION_INVALID at registration, for any other value
   * @see https://www.rfc-editor.org/rfc/rfc9110#name-accept
   */
  accept?: 'any' | 'strict' | undefined
  /**
   * Whether `sse.end` and `sse.fault` are sent. Switch them off for a stream that must follow somebody else's
   * protocol; a failure then cuts the response off, and no reconnect is answered with 204.
   *
   * @defaultValue `true`
   * @throws FST_SSE_OPTION_INVALID at registration, for any other value
   */
  controlEvents?: boolean | undefined
  /**
   * When the right to the stream ends: a `Date`, or milliseconds since the epoch; undefined for no end. The stream
   * ends in order then, and the client's reconnect meets the hooks that check it.
   *
   * Called once for each stream, when it opens. When it throws or rejects, the stream is refused with that error.
   */
  expiresAt?: ((request: FastifyRequest) => Date | number | undefined | Promise<Date | number | undefined>) | undefined
  /**
   * Who the stream counts for in `limits.perKey`, and in `app.sse.evict()`; undefined for nobody.
   *
   * Called once for each stream, when it opens. When it throws, the stream is refused with that error.
   */
  limitKey?: ((request: FastifyRequest) => string | undefined) | undefined
  /**
   * Called once when a stream has ended, whoever ended it. What it throws is logged.
   */
  onDisconnect?: ((request: FastifyRequest, end: Disconnect) => void) | undefined
}

/** How a stream ended. */
export interface Disconnect {
  readonly reason: CloseReason
  /** What ended it, for `'source-failed'` and `'event-invalid'`; undefined otherwise. */
  readonly error: unknown
  /** Number of events handed to the response. */
  readonly events: number
  /** Milliseconds that the stream was open. */
  readonly durationMs: number
}

/** Options of the plugin: the defaults of all routes, and what concerns all streams together. */
export interface SSEPluginOptions extends RouteStreamOptions {
  /**
   * How many streams may be open. One too many is answered with an error (FST_SSE_LIMIT_REACHED) and `Retry-After`;
   * an open stream is never ended in favour of another.
   */
  limits?: {
    /** In all. The answer is 503. An integer of 1 or more. No limit by default. */
    total?: number | undefined
    /** For each key that a route's `limitKey` gives. The answer is 429. An integer of 1 or more. No limit by default. */
    perKey?: number | undefined
  } | undefined
  /** How streams stand in the documents of @fastify/swagger. */
  openapi?: {
    /**
     * What the schema of a stream describes in OpenAPI 3.0 and 3.1. OpenAPI 3.2 has `itemSchema`, and needs no dialect.
     *
     * - `'event'`: one event, parsed: `{ event, data, id? }`
     * - `'payload'`: the data of one event
     *
     * @defaultValue `'event'`
     */
    dialect?: 'event' | 'payload' | undefined
    /**
     * The `decorator` of @fastify/swagger where it has another name, or several where it is registered several times.
     *
     * @defaultValue `'swagger'`
     */
    decorator?: string | readonly string[] | undefined
  } | undefined
}

/** One open stream, as {@link SSEApi.evict} sees it. */
export interface OpenStream {
  readonly request: FastifyRequest
  /** What the route's `limitKey` gave. */
  readonly key: string | undefined
  /** When it was opened, in milliseconds since the epoch. */
  readonly openedAt: number
}

/** `app.sse` */
export interface SSEApi {
  /** What an `EventEmitter` emits, as a source. See the function itself. */
  readonly on: typeof on
  /** Makes an iterable end when a signal aborts. See the function itself. */
  readonly abortable: typeof abortable
  /**
   * Ends the streams that the filter chooses, at once, and cuts off those whose client does not take the end within
   * 100 ms. A client that connects again meets the route's hooks, which should know by then.
   *
   * @returns how many streams were ended
   */
  evict (filter: (stream: OpenStream) => boolean): number
  /** What has been counted since the plugin was registered. */
  stats (): SSEStats
  /**
   * All streams of the application as plain JSON: what clients and documents are generated from. Routes that were registered
   * before the plugin was loaded are not in it: await `app.register`.
   *
   * Parameters and headers whose schema is not JSON Schema (of a library with a validator compiler of its own) are left out, and such a body is
   * described as anything.
   *
   * @throws FST_SSE_NOT_READY before `app.ready()`
   * @throws FST_SSE_SCHEMA_INVALID for a reference to nothing
   */
  manifest (): Manifest
  /**
   * Declares a channel: a named sequence of events that many streams can read.
   *
   * @param name not empty, and of no other channel that is open
   * @param events a contract made with `defineEvents`, or a bare map of event type → schema
   * @throws FST_SSE_CHANNEL_EXISTS, FST_SSE_OPTION_UNKNOWN, FST_SSE_OPTION_INVALID, and what `defineEvents` throws
   */
  channel<const D extends EventContract | EventMap> (name: string, events: D, options?: NoInfer<ChannelOptions<EventOf<D>>>): Channel<EventOf<D>>
  /**
   * Declares a family: channels of the same events, one for each room, user or job.
   *
   * @throws as {@link channel}
   */
  channels<const D extends EventContract | EventMap> (name: string, events: D, options?: NoInfer<FamilyOptions<EventOf<D>>>): ChannelFamily<EventOf<D>>
  /**
   * Several channels as one source. A client resumes all of them by one ID.
   *
   * @param sources 1 to 64 channels or subscriptions
   * @throws FST_SSE_SOURCE_INVALID for anything else
   */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- channels of any events
  merge<const S extends ReadonlyArray<Channel<any> | Subscription<any>>> (...sources: S): Merge<MergedEvent<S[number]>>
}

/** The events of what is merged. */
export type MergedEvent<S> = S extends Channel<infer E> | Subscription<infer E> ? E : never

/** What has been counted since the plugin was registered. */
export interface SSEStats extends StreamStats {
  /** By the name that a channel or family was declared with. */
  channels: Record<string, ChannelStats>
}
