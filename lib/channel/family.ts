import { invalid } from '../option-checks.js'
import { Channel, channelStats } from './channel.js'
import { ChannelCore } from './core.js'
import type { ChannelDefinition } from './definition.js'
import type { ChannelStats } from './types.js'

const MAX_KEY_LENGTH = 1024

/**
 * Channels that differ only by a key: one for each room, user or job. Made by `app.sse.channels()`.
 *
 * A channel is there from its first use on, and is given back when it has been idle (`idleMs`). What `for` gives stays good: the channel
 * is made anew when it is used again.
 */
export class ChannelFamily<E> {
  /** The name that it was made with. */
  readonly name: string
  /** @internal */
  readonly definition: ChannelDefinition
  readonly #cores = new Map<string, ChannelCore>()
  /** After the end: what is asked for then, for as long as somebody has it. */
  readonly #closed = new WeakMap<Channel<E>, ChannelCore>()
  #isClosed = false

  /** @internal */
  constructor (definition: ChannelDefinition) {
    this.name = definition.name
    this.definition = definition
  }

  /** Number of channels that are kept. */
  get size (): number {
    return this.#cores.size
  }

  /** The keys of the channels that are kept. */
  keys (): IterableIterator<string> {
    return this.#cores.keys()
  }

  /**
   * The channel of a key. Check first that the client may read it: the key often comes from the URL.
   *
   * @param key any string that is not empty, of at most 1,024 characters
   * @throws FST_SSE_OPTION_INVALID for another key
   */
  for (key: string): Channel<E> {
    if (typeof key !== 'string' || key === '' || key.length > MAX_KEY_LENGTH) {
      throw invalid(`The key of a channel of ${JSON.stringify(this.name)}`, key, `a string of 1 to ${MAX_KEY_LENGTH} characters`)
    }
    const channel: Channel<E> = new Channel<E>(this.definition, key, () => this.#core(key, channel), () => this.#cores.get(key), () => this.stats())
    return channel
  }

  #core (key: string, channel: Channel<E>): ChannelCore {
    let core = this.#isClosed ? this.#closed.get(channel) : this.#cores.get(key)
    if (core === undefined && this.#isClosed) {
      core = new ChannelCore(this.definition, channel as Channel<unknown>, key)
      core.dispose()
      this.#closed.set(channel, core)
    } else if (core === undefined) {
      const made = core = new ChannelCore(this.definition, channel as Channel<unknown>, key, () => {
        if (this.#cores.get(key) === made) this.#cores.delete(key)
      })
      this.#cores.set(key, core)
    }
    return core
  }

  /** What has been counted, of all channels together. */
  stats (): ChannelStats {
    return channelStats(this.definition, this.#cores.values())
  }

  /** Ends all channels, and those that would be made. @internal */
  dispose (): void {
    this.#isClosed = true
    for (const core of [...this.#cores.values()]) core.dispose()
    this.#cores.clear()
  }

  /** Gives all readers what is new. @internal */
  flushAll (): void {
    for (const core of this.#cores.values()) core.settle()
  }
}
