import type { SSEError } from '../errors.js'
import type { ChannelCore } from './core.js'
import type { ChannelDefinition } from './definition.js'
import { Subscription } from './subscription.js'
import type { ChannelStats, SubscribedEvent, SubscribeOptions } from './types.js'

/**
 * A named sequence of events that many can read: publish once, and each subscriber gets it.
 *
 * Made by `app.sse.channel()`, or `for(key)` of a family. `reply.sse(channel)` sends its events and resumes by the client's
 * last event ID.
 */
export class Channel<E> implements AsyncIterable<SubscribedEvent<E>> {
  /** The name that it was made with. */
  readonly name: string
  /** The key in its family; undefined for a channel that stands alone. */
  readonly key: string | undefined
  /** @internal */
  readonly definition: ChannelDefinition
  readonly #getCore: () => ChannelCore
  readonly #peekCore: () => ChannelCore | undefined
  readonly #getStats: () => ChannelStats
  #all: Subscription<E> | null = null

  /** @internal */
  constructor (
    definition: ChannelDefinition, key: string | undefined, getCore: () => ChannelCore, peekCore: () => ChannelCore | undefined, getStats: () => ChannelStats
  ) {
    this.name = definition.name
    this.key = key
    this.definition = definition
    this.#getCore = getCore
    this.#peekCore = peekCore
    this.#getStats = getStats
  }

  /** @internal */
  get core (): ChannelCore {
    return this.#getCore()
  }

  /** Number of subscribers now: streams, and iterations under way. */
  get subscribers (): number {
    return this.#peekCore()?.subscribers ?? 0
  }

  /**
   * The ID of the newest event, or of the place where the first one will be. A page that is rendered on the server can hand it to its
   * client, which then begins there: `new EventSource('/orders?lastEventId=' + id)`.
   */
  get lastEventId (): string {
    const { ring } = this.core
    return ring.id(ring.head)
  }

  /**
   * Gives an event to all subscribers, and keeps it in the backlog.
   *
   * It is checked and encoded once, here and now; it leaves when the turn of the event loop ends. Nobody waits for a subscriber.
   * An event that is refused is also logged, so that a publisher who does not look at the promise still finds out; the promise is never an
   * unhandled rejection.
   *
   * @param event without an ID: the channel gives `<epoch>.<offset>`
   * @returns the event's ID
   * @throws FST_SSE_EVENT_MALFORMED, FST_SSE_EVENT_UNDECLARED, FST_SSE_EVENT_INVALID, FST_SSE_FIELD_FORBIDDEN,
   * FST_SSE_SERIALIZATION_FAILED for the event, FST_SSE_FRAME_TOO_LARGE when the backlog could not hold it, and FST_SSE_LOG_CLOSED
   * after `close()`; as rejections
   */
  publish (event: E): Promise<{ id: string }> {
    try {
      return Promise.resolve({ id: this.core.publish(event) })
    } catch (error) {
      this.definition.reportRefusal(error as SSEError, this.core.title)
      const refused = new Promise<never>((_resolve, reject) => { reject(error) })
      refused.catch(() => {})
      return refused
    }
  }

  /**
   * Describes a reader: where it begins, which events are for it, and what happens when it is slow.
   *
   * @throws FST_SSE_OPTION_UNKNOWN, FST_SSE_OPTION_INVALID
   */
  subscribe (options: SubscribeOptions<E> = {}): Subscription<E> {
    return new Subscription<E>(this.#getCore, this.#peekCore, options)
  }

  /** What `reply.sse(channel)` reads: one subscription for all streams. @internal */
  get all (): Subscription<E> {
    this.#all ??= this.subscribe()
    return this.#all
  }

  /** Reads from now on; the same as `subscribe()`. */
  [Symbol.asyncIterator] (): AsyncIterator<SubscribedEvent<E>, undefined> {
    return this.subscribe()[Symbol.asyncIterator]()
  }

  /** What has been counted; for a channel of a family, that of the whole family. */
  stats (): ChannelStats {
    return this.#getStats()
  }

  /**
   * Ends the channel for good: each subscriber gets what has been published, then `sse.end`, and is not to come back. A slow one gets the rest
   * at its own pace. `publish` refuses from now on. May be called twice. A channel of a family is forgotten when it has been idle, and its key is
   * free for a new one then.
   *
   * @returns a promise that resolves when all subscribers that keep up have been told
   */
  close (): Promise<void> {
    this.core.close()
    return Promise.resolve()
  }
}

/** What has been counted for a definition, and is kept in its channels. */
export function channelStats ({ counted }: ChannelDefinition, cores: Iterable<ChannelCore>): ChannelStats {
  const stats: ChannelStats = {
    channels: 0,
    subscribers: 0,
    events: 0,
    bytes: 0,
    ...counted,
    gaps: { ...counted.gaps },
    overruns: { ...counted.overruns },
    left: { ...counted.left }
  }
  for (const core of cores) {
    stats.channels++
    stats.subscribers += core.subscribers
    stats.events += core.ring.count
    stats.bytes += core.ring.bytes
  }
  return stats
}
