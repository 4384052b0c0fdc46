import { SSEError } from '../errors.js'
import { Conflation, type Entry } from './conflation.js'
import { MAX_PAGE_BYTES, Page } from './page.js'
import type { Ring } from './ring.js'

/** An event as a subscriber reads it: what its client gets, with its ID. */
export interface ReadEvent {
  event: string
  data: unknown
  id: string
  retry?: number
}

/** What a cursor reads. */
export interface CursorLog {
  readonly ring: Ring
  /** The event of an offset. The same object for all who read it in this turn, and not to be changed. */
  eventAt (offset: number): ReadEvent
  /** Its frame, in memory of its own: one that waits does not keep a segment. Shared in the same way. */
  copyAt (offset: number): Buffer
  /** An event gave way to a newer one of its key. */
  superseded (): void
}

/** Which events a cursor gives. */
export interface CursorOptions {
  readonly filter?: ((event: never) => boolean) | undefined
  readonly latestBy?: ((event: never) => unknown) | undefined
}

/**
 * One reader's place in a log, and which of the events behind it are for that reader.
 */
export class Cursor {
  /** Everything up to this offset has been read: given, refused by the filter, or waiting for a newer one of its key. */
  offset: number
  readonly #log: CursorLog
  readonly #filter: ((event: ReadEvent) => boolean) | undefined
  readonly #latestBy: ((event: ReadEvent) => unknown) | undefined
  #waiting: Conflation | null = null
  /** Whether more waited than the backlog may hold, and was given up. */
  #isLost = false

  constructor (log: CursorLog, offset: number, { filter, latestBy }: CursorOptions) {
    this.#log = log
    this.offset = offset
    this.#filter = filter as ((event: ReadEvent) => boolean) | undefined
    this.#latestBy = latestBy as ((event: ReadEvent) => unknown) | undefined
  }

  /** Whether all readers without a filter get the same from here. */
  get isFiltered (): boolean {
    return this.#filter !== undefined
  }

  /** Whether it must {@link fold} what is about to be evicted. */
  get conflates (): boolean {
    return this.#latestBy !== undefined
  }

  /** Whether some of the events that were read have not been given: they wait, or were given up. */
  get isAhead (): boolean {
    return this.#isLost || (this.#waiting !== null && this.#waiting.size > 0)
  }

  /** Whether events that it had yet to give are no longer kept, or more waited than the backlog may hold. */
  get isOverrun (): boolean {
    return this.#isLost || this.offset + 1 < this.#log.ring.readable
  }

  /** Goes on after `offset`, and forgets what was waiting. */
  moveTo (offset: number): void {
    this.offset = offset
    this.#waiting?.clear()
    this.#isLost = false
  }

  /** Whether the filter lets all events up to `until` pass. When it fails the answer is no, and who reads them will find out. */
  takesAll (until: number): boolean {
    try {
      for (let offset = this.offset + 1; offset <= until; offset++) {
        if (!this.#passes(offset)) return false
      }
      return true
    } catch {
      return false
    }
  }

  #passes (offset: number): boolean {
    if (this.#filter === undefined) return true
    const passes: unknown = this.#filter(this.#log.eventAt(offset))
    if (typeof passes === 'object' && passes !== null && 'then' in passes) {
      Promise.resolve(passes).catch(() => {})
      throw new SSEError('FST_SSE_OPTION_INVALID',
        'The filter of a subscription gave a promise. Give true or false; look up before you subscribe what it needs to know.', { option: 'filter', value: passes })
    }
    return Boolean(passes)
  }

  /** Takes in what is there up to `until`: from then on it may be evicted. For a cursor that conflates. */
  fold (until: number): void {
    const { ring } = this.#log
    if (this.offset < until && this.offset + 1 < ring.readable) this.#giveUp()
    while (this.offset < until && !this.#isLost) {
      this.#read((offset) => {
        this.#waiting ??= new Conflation()
        const key = this.#latestBy!(this.#log.eventAt(offset))
        // Without a key it gives way to nothing.
        const isSuperseding = this.#waiting.put(key === undefined ? Symbol('no key') : key, { offset, frame: this.#log.copyAt(offset), time: ring.timeOf(offset) })
        if (isSuperseding) this.#log.superseded()
        if (this.#waiting.bytes > ring.limits.bytes) this.#giveUp()
      })
    }
    if (this.#isLost) this.offset = Math.max(this.offset, until)
  }

  #giveUp (): void {
    this.#waiting?.clear()
    this.#isLost = true
  }

  /** Reads one event. When a callback of the application fails on it, it has not been read. */
  #read (take: (offset: number) => void): void {
    const offset = ++this.offset
    try {
      if (this.#passes(offset)) take(offset)
    } catch (error) {
      this.offset = offset - 1
      throw error
    }
  }

  /**
   * The next event that is for this reader; null when there is none up to `until`.
   *
   * @param isBehind whether what is there has been waiting, so that a newer event of a key takes the place of an older one
   */
  next (until: number, isBehind = true): Entry | null {
    if (this.#latestBy !== undefined && (isBehind || this.isAhead)) {
      this.fold(until)
      return this.#waiting?.shift() ?? null
    }
    const { ring } = this.#log
    let entry: Entry | null = null
    while (entry === null && this.offset < until) {
      this.#read((offset) => { entry = { offset, frame: ring.frameOf(offset), time: ring.timeOf(offset) } })
    }
    return entry
  }

  /** The next events that are for this reader, as many as are written at once; null when there are none up to `until`. */
  page (until: number): Page | null {
    if (this.#filter === undefined && this.#latestBy === undefined) {
      if (this.offset >= until) return null
      const page = this.#log.ring.page(this.offset, until)
      this.offset = page.last
      return page
    }
    const frames: Buffer[] = []
    let bytes = 0
    let last = 0
    while (bytes < MAX_PAGE_BYTES) {
      let entry: Entry | null
      try {
        entry = this.next(until)
      } catch (error) {
        if (frames.length === 0) throw error
        // What passed before is given first; the same happens again with the next page.
        break
      }
      if (entry === null) break
      frames.push(entry.frame)
      bytes += entry.frame.length
      last = entry.offset
    }
    return frames.length === 0 ? null : new Page(frames.length === 1 ? frames[0]! : Buffer.concat(frames, bytes), last, frames.length)
  }
}
