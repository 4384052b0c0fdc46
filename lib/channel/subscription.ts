import type { ChannelCore } from './core.js'
import { checkSubscribeOptions } from './definition.js'
import { SubscriptionIterator } from './iterator.js'
import type { ReaderSource } from './reader.js'
import type { SubscribedEvent, SubscribeOptions } from './types.js'

/**
 * What a reader wants of a channel. Made by `channel.subscribe()`; does nothing until it is read.
 *
 * Hand it to `reply.sse`, where it resumes by the client's last event ID, or read it with `for await`. One subscription can feed many
 * streams.
 */
export class Subscription<E> implements AsyncIterable<SubscribedEvent<E>> {
  /** @internal */
  readonly options: SubscribeOptions
  /** The channel's core when it is read: a family may have made it anew. */
  readonly #getCore: () => ChannelCore
  /** Where the channel was when this was made. */
  readonly #madeAt: string

  /** @internal */
  constructor (getCore: () => ChannelCore, peekCore: () => ChannelCore | undefined, given: unknown) {
    this.#getCore = getCore
    this.options = checkSubscribeOptions(given)
    const ring = peekCore()?.ring
    // Of a channel that is not there yet, all that will be published comes after this.
    this.#madeAt = ring?.id(ring.head) ?? 'earliest'
  }

  /** @internal */
  get core (): ChannelCore {
    return this.#getCore()
  }

  /** For a stream, which begins when it is opened. @internal */
  get streamSource (): ReaderSource {
    return { core: this.core, options: this.options, from: this.options.from ?? 'now' }
  }

  /** For an iteration: what is published after `subscribe()` and before the first `next()` is not to be lost. @internal */
  get iterationSource (): ReaderSource {
    const { from = 'now' } = this.options
    return { core: this.core, options: this.options, from: from === 'now' ? this.#madeAt : from }
  }

  /**
   * Reads from where the channel was when `subscribe` was called, or from where `from` says. Leave the loop, or abort the signal, to
   * unsubscribe.
   *
   * @throws FST_SSE_SUBSCRIBER_OVERRUN out of `next()`, for a reader that is too slow, with `overrun: 'disconnect'`
   */
  [Symbol.asyncIterator] (): AsyncIterator<SubscribedEvent<E>, undefined> {
    return iterate([this])
  }
}

/** Reads subscriptions event by event. */
export function iterate<E> (subscriptions: ReadonlyArray<Subscription<unknown>>): AsyncIterator<SubscribedEvent<E>, undefined> {
  const signals = subscriptions.flatMap(({ options: { signal } }) => signal ?? [])
  return new SubscriptionIterator(
    () => subscriptions.map(({ iterationSource }) => iterationSource),
    signals.length > 1 ? AbortSignal.any(signals) : signals[0]
  ) as unknown as AsyncIterator<SubscribedEvent<E>, undefined>
}
