import type { FastifyRequest } from 'fastify'
import type { CloseReason } from '../close-reason.js'
import type { Validation } from '../schema/encoder.js'
import type { Channel } from './channel.js'
import type { Gap, GapEvent, GapReason } from './gap.js'

/**
 * What happens to a subscriber that reads so slowly that events are evicted from the backlog before it has taken them.
 *
 * - `'disconnect'`: its stream ends; the client connects again and resumes by its last event ID, which tells it the gap
 * - `'skip'`: it is told the gap (`sse.gap`), and goes on with the oldest event kept
 * - `'latest'`: it is told the gap, and goes on with the newest event
 */
export type Overrun = 'disconnect' | 'skip' | 'latest'

/** How much a channel keeps for late and slow subscribers. What is over any of the three is evicted, the oldest first. */
export interface BacklogOptions {
  /**
   * Most events. An integer of 1 or more.
   *
   * @defaultValue `1_024`
   */
  events?: number | undefined
  /**
   * Most bytes of frames, that is, of events as they stand on the wire. An integer from 1,024. One event that takes more is refused
   * (FST_SSE_FRAME_TOO_LARGE).
   *
   * @defaultValue `4_194_304` (4 MiB)
   */
  bytes?: number | undefined
  /**
   * Greatest age. Milliseconds: an integer of 100 or more, or `0` for no limit.
   *
   * An event that is too old is given to nobody who comes later; its memory is given back within a quarter of this time.
   *
   * @defaultValue `3_600_000` (one hour)
   */
  ageMs?: number | undefined
}

/** Options of a channel, and of all channels of a family. An unknown or wrong one is refused when the channel is made. */
export interface ChannelOptions<E = unknown> {
  /** How much is kept for late and slow subscribers. */
  backlog?: BacklogOptions | undefined
  /**
   * What happens to a subscriber that falls out of the backlog.
   *
   * @defaultValue `'disconnect'`
   */
  overrun?: Overrun | undefined
  /**
   * How long events may wait for others, so that all leave in one write: fewer writes for so much more delay.
   *
   * Milliseconds: an integer from 0 to 60,000; `0` writes at the end of each turn of the event loop. A full batch (64 KiB) does
   * not wait.
   *
   * @defaultValue `0`
   */
  flushMs?: number | undefined
  /**
   * What happens to an event that is undeclared or fails its schema.
   *
   * - `'throw'`: `publish` rejects, and nobody gets it
   * - `'report'`: it is published all the same and a warning is logged
   * - `'off'`: events are not checked
   *
   * @defaultValue the plugin's `validation`, whose `'drop'` is `'throw'` here: the publisher is told
   */
  validation?: Exclude<Validation, 'drop'> | undefined
  /**
   * Called when a subscriber cannot go on where it was, before `sse.gap` is sent; says where it goes on, and may send events first.
   *
   * What it throws ends the stream: as an error response while nothing has been sent, as `sse.fault` after that.
   *
   * In an `async` hook TypeScript takes a lone `return 'earliest'` for any string: write `'earliest' as const`.
   */
  onGap?: OnGap<E> | undefined
  /** Called when a subscriber has been added; it gets what is published here, too. What it throws is logged. */
  onJoin?: ((member: ChannelMember, channel: Channel<E>) => unknown) | undefined
  /** Called when a subscriber is gone, whoever ended it. What it throws is logged. */
  onLeave?: ((member: ChannelMember, channel: Channel<E>, reason: CloseReason) => unknown) | undefined
}

/** Options of a family of channels. */
export interface FamilyOptions<E = unknown> extends ChannelOptions<E> {
  /**
   * How long a channel without subscribers is kept after the last subscriber or event. Its backlog is lost then, so that a
   * subscriber that comes back later is told a gap. A channel in which nothing was ever published is kept for a minute at most.
   *
   * Milliseconds: an integer of 100 or more.
   *
   * @defaultValue `backlog.ageMs`, or five minutes when that is 0
   */
  idleMs?: number | undefined
}

/** Options of a subscription. */
export interface SubscribeOptions<E = unknown> {
  /**
   * Where a subscriber begins that brings no last event ID.
   *
   * - `'now'`: with the next event
   * - `'earliest'`: with the oldest event kept
   * - an ID that the channel gave: with the event after it
   *
   * The `Last-Event-ID` of a stream's request, or its query parameter `lastEventId`, goes before this: a client that reconnects
   * goes on where it was. An empty ID is none.
   *
   * @defaultValue `'now'`
   */
  from?: 'now' | 'earliest' | (string & {}) | undefined
  /**
   * Whether an event is for this subscriber. Gets the event as the client would, to read and not to change.
   *
   * Called once or twice for each event; what it throws ends the stream.
   */
  filter?: ((event: E) => boolean) | undefined
  /**
   * The key of an event, for prices and states of which only the newest value counts. While the subscriber is behind, an event
   * takes the place of the earlier one with the same key, and events come in order of last change. A subscriber that keeps up
   * gets every event.
   *
   * An event with the key `undefined` gives way to nothing. What waits may take `backlog.bytes`; past that it is an overrun.
   */
  latestBy?: ((event: E) => unknown) | undefined
  /** As the channel's option, for this subscription. */
  overrun?: Overrun | undefined
  /** As the channel's option, for this subscription. */
  onGap?: OnGap<E> | undefined
  /**
   * The present state, as events: sent first to a subscriber that brings no ID and begins `'now'`, and after `sse.gap` to one that has
   * missed some. What is published while it is being sent comes after it. Its events carry no ID.
   */
  snapshot?: ((context: SnapshotContext) => EventSource<E> | Promise<EventSource<E>>) | undefined
  /** Ends an iteration (`for await`). Hand over the stream's when you iterate in a source; `reply.sse(subscription)` needs none. */
  signal?: AbortSignal | undefined
}

/** Events to be sent first. */
export type EventSource<E> = Iterable<E> | AsyncIterable<E>

/** What {@link ChannelOptions.onGap} is called with. */
export interface GapContext extends Omit<Gap, 'channel' | 'key'> {
  /** The channel's name. */
  readonly channel: string
  /** The channel's key in its family. */
  readonly key: string | undefined
  /** The request of the stream; undefined for an iteration. */
  readonly request: FastifyRequest | undefined
}

/**
 * Where a subscriber goes on that has missed events: nothing for where `resumedAt` says, `'earliest'` for the oldest event kept,
 * `'now'` for the next one. Or events that are sent first (a snapshot of the state), after which it goes on from where the channel
 * was when the hook was called.
 */
export type GapAnswer<E> = void | undefined | 'earliest' | 'now' | EventSource<E>

export type OnGap<E> = (gap: GapContext) => GapAnswer<E> | Promise<GapAnswer<E>>

/** What {@link SubscribeOptions.snapshot} is called with. */
export interface SnapshotContext {
  /** What was missed; null for a subscriber that begins. */
  readonly gap: GapContext | null
  /** The request of the stream; undefined for an iteration. */
  readonly request: FastifyRequest | undefined
}

/** One subscriber, as the hooks see it. */
export interface ChannelMember {
  /** The channel's name. */
  readonly channel: string
  /** The channel's key in its family; undefined for a channel that stands alone. */
  readonly key: string | undefined
  /** The request of the stream; undefined for an iteration. */
  readonly request: FastifyRequest | undefined
  /** Milliseconds since the epoch. */
  readonly joinedAt: number
}

/** What has been counted of a channel, or of all channels of a family together. */
export interface ChannelStats {
  /** Channels: 1, or how many of the family are kept. */
  channels: number
  /** Subscribers now. */
  subscribers: number
  /** Events kept, and the bytes of their frames. */
  events: number
  bytes: number
  /** Events published so far. */
  published: number
  /** Events refused so far: undeclared, invalid, too large. */
  refused: number
  /** Events given to subscribers so far, each counted once for each of them. */
  delivered: number
  /** Events that gave way to a newer one of their key (`latestBy`), each counted once for each subscriber. */
  superseded: number
  /** Gaps so far, by reason. A reason that has not occurred is absent. */
  gaps: Partial<Record<GapReason, number>>
  /** Overruns so far, by what happened then. */
  overruns: Partial<Record<Overrun, number>>
  /** Subscribers gone so far, by reason. */
  left: Partial<Record<CloseReason, number>>
}

/** What an iteration gives: the channel's events, each with its ID, and what says that some are missing. */
export type SubscribedEvent<E> = E | GapEvent
