import { show, SSEError } from '../errors.js'
import type { StreamHub } from '../stream/hub.js'

/**
 * How many streams may be open, in all and for each key. Nobody's stream is ended for somebody else's.
 */
export class StreamLimits {
  readonly hub: StreamHub
  readonly #total: number
  readonly #perKey: number
  readonly #open = new Map<string, number>()

  constructor (hub: StreamHub, { total, perKey }: { total: number, perKey: number }) {
    this.hub = hub
    this.#total = total
    this.#perKey = perKey
  }

  /**
   * Counts one more stream for the key.
   *
   * @throws FST_SSE_LIMIT_REACHED when that would be one too many; nothing is counted then
   */
  admit (key: string | undefined): void {
    const inAll = this.hub.streams.size
    if (inAll >= this.#total) {
      throw new SSEError('FST_SSE_LIMIT_REACHED',
        `${inAll} event streams are open, and limits.total is ${this.#total}. Come back after the time in Retry-After.`,
        { limit: this.#total, key: undefined, open: inAll })
    }
    if (key === undefined) return
    const open = this.#open.get(key) ?? 0
    if (open >= this.#perKey) {
      throw new SSEError('FST_SSE_LIMIT_REACHED',
        `${open} event streams are open for ${show(key)}, and limits.perKey is ${this.#perKey}. Close one, or come back after the time in Retry-After.`,
        { limit: this.#perKey, key, open, statusCode: 429 })
    }
    this.#open.set(key, open + 1)
  }

  /** The stream of an admitted key is over. */
  release (key: string | undefined): void {
    if (key === undefined) return
    const open = this.#open.get(key) ?? 0
    if (open > 1) this.#open.set(key, open - 1)
    else this.#open.delete(key)
  }
}
