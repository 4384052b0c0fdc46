import { SSEError, show } from '../errors.js'
import { Channel } from './channel.js'
import { iterate, Subscription } from './subscription.js'
import type { SubscribedEvent } from './types.js'

/** Most channels on one stream: the ID has a position of each, and comes back in a header. */
const MAX_PARTS = 64

/**
 * Several channels as one source. Made by `app.sse.merge()`.
 *
 * Its IDs hold the position in each channel, so that a client resumes all of them. Events of one channel keep their order; those
 * of different channels come in the order in which they were published, to a millisecond.
 */
export class Merge<E> implements AsyncIterable<SubscribedEvent<E>> {
  /** @internal */
  readonly parts: ReadonlyArray<Subscription<unknown>>

  /** @internal */
  constructor (sources: readonly unknown[]) {
    if (sources.length === 0 || sources.length > MAX_PARTS) {
      throw new SSEError('FST_SSE_SOURCE_INVALID', `merge() takes 1 to ${MAX_PARTS} channels or subscriptions, but was given ${sources.length}.`, { found: sources.length })
    }
    this.parts = sources.map((source: unknown): Subscription<unknown> => {
      if (source instanceof Channel) return source.subscribe()
      if (source instanceof Subscription) return source
      throw new SSEError('FST_SSE_SOURCE_INVALID',
        `merge() takes channels and subscriptions, but was given ${show(source)}. Publish to a channel what comes from elsewhere.`, { found: show(source) })
    })
  }

  /** Reads all of them from now on. */
  [Symbol.asyncIterator] (): AsyncIterator<SubscribedEvent<E>, undefined> {
    return iterate(this.parts)
  }
}
