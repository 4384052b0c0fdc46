/** One event that waits. */
export interface Entry {
  readonly offset: number
  readonly frame: Buffer
  /** When it was published, as the ring has it. */
  readonly time: number
}

/**
 * What waits for a subscriber that wants only the newest event of each key, in order of last change.
 */
export class Conflation {
  // A map keeps the order of insertion: what is put again goes to its end.
  readonly #latest = new Map<unknown, Entry>()
  /** Bytes of all frames that wait. */
  bytes = 0

  get size (): number {
    return this.#latest.size
  }

  /**
   * Adds an entry, the newest so far.
   *
   * @returns whether it took the place of another one
   */
  put (key: unknown, entry: Entry): boolean {
    const before = this.#latest.get(key)
    if (before !== undefined) {
      this.bytes -= before.frame.length
      this.#latest.delete(key)
    }
    this.#latest.set(key, entry)
    this.bytes += entry.frame.length
    return before !== undefined
  }

  /** Takes the oldest. */
  shift (): Entry | null {
    const { value, done } = this.#latest.entries().next()
    if (done === true) return null
    const [key, entry] = value
    this.#latest.delete(key)
    this.bytes -= entry.frame.length
    return entry
  }

  clear (): void {
    this.#latest.clear()
    this.bytes = 0
  }
}
