import { Page } from './page.js'
import { encodePosition } from './position.js'

/** How much a ring keeps. What is over any of the three is evicted, the oldest first. */
export interface RingLimits {
  /** Most events: an integer of 1 or more. */
  readonly events: number
  /** Most bytes of frames: an integer of 1 or more. */
  readonly bytes: number
  /** Greatest age in milliseconds; 0 for no limit. */
  readonly ageMs: number
}

/** Bytes of a segment: small while there is little to keep, and what a page holds at most. */
const MIN_SEGMENT_BYTES = 512
const MAX_SEGMENT_BYTES = 64 * 1024

/** Frames one after the other in one buffer, which is only ever appended to. */
class Segment {
  readonly buffer: Buffer
  /** Offset of the first frame. */
  readonly first: number
  /** Where each frame ends, in bytes. */
  readonly ends: number[] = []
  /** When each frame was appended. */
  readonly times: number[] = []

  constructor (first: number, bytes: number) {
    this.first = first
    this.buffer = Buffer.allocUnsafeSlow(bytes)
  }

  get last (): number {
    return this.first + this.ends.length - 1
  }

  get used (): number {
    return this.ends.at(-1) ?? 0
  }

  start (offset: number): number {
    return offset === this.first ? 0 : this.ends[offset - this.first - 1]!
  }

  end (offset: number): number {
    return this.ends[offset - this.first]!
  }

  frame (offset: number): Buffer {
    return this.buffer.subarray(this.start(offset), this.end(offset))
  }
}

/**
 * The newest frames of a channel, each with its ID in it.
 *
 * Frames stand in segments that are never written over, so a part of one can be handed to a socket without a copy and stays
 * what it was however long the socket takes. A segment goes when none of its frames is kept any more: what is held can
 * be one segment more than what is kept.
 */
export class Ring {
  readonly epoch: string
  readonly limits: RingLimits
  /** Offset of the newest event; 0 when there was none. */
  head = 0
  /** Offset of the oldest event kept; `head + 1` when none is. */
  first = 1
  /** Bytes of the events kept. */
  bytes = 0
  /** Events from this offset on can be read even if they are no longer kept, until it is moved and {@link release} called. */
  pin = Infinity

  readonly #segments: Segment[] = []
  /** Index of the segment that has `first`. */
  #oldest = 0
  #lastTime = -Infinity
  readonly #idStart: string
  #page: Page | null = null

  constructor (epoch: string, limits: RingLimits) {
    this.epoch = epoch
    this.limits = limits
    this.#idStart = `id: ${epoch}.`
  }

  /** Number of events kept. */
  get count (): number {
    return this.head - this.first + 1
  }

  /** Bytes of memory in all segments. */
  get heldBytes (): number {
    return this.#segments.reduce((sum, { buffer }) => sum + buffer.length, 0)
  }

  /** Offset of the oldest event that a reader who is connected may read: kept, or pinned and still there. `head + 1` when there is none. */
  get readable (): number {
    return Math.max(Math.min(this.first, this.pin), this.#segments[0]?.first ?? this.head + 1)
  }

  /** The ID of an offset. */
  id (offset: number): string {
    return encodePosition(this.epoch, offset)
  }

  /** Bytes at the end of a frame that are its ID: its line, and the blank one. */
  idBytes (offset: number): number {
    return this.#idStart.length + String(offset).length + 2
  }

  /** Bytes that a frame without ID will take with the next one. */
  bytesOf (frame: string): number {
    return Buffer.byteLength(frame) - 1 + this.idBytes(this.head + 1)
  }

  /**
   * Adds a frame and evicts what is then over the limits.
   *
   * @param frame without an ID
   * @param bytes what {@link bytesOf} says of it; not more than the limit
   * @param now milliseconds on any clock. One that goes back counts as standing still.
   * @returns its offset
   */
  append (frame: string, bytes: number, now: number): number {
    const offset = ++this.head
    let segment = this.#segments.at(-1)
    if (segment === undefined || segment.buffer.length - segment.used < bytes) {
      const usual = Math.min(MAX_SEGMENT_BYTES, Math.max(MIN_SEGMENT_BYTES, this.bytes))
      segment = new Segment(offset, Math.max(usual, bytes))
      this.#segments.push(segment)
    }
    // The newest segment may be pinned with nothing in it that is kept.
    this.#oldest = Math.min(this.#oldest, this.#segments.length - 1)
    const tail = `${this.#idStart}${offset}\n\n`
    const start = segment.used
    const end = start + bytes
    segment.buffer.write(frame, start, 'utf8')
    // Over the blank line's LF: a frame ends with its ID.
    segment.buffer.write(tail, end - tail.length, 'latin1')
    this.#lastTime = Math.max(this.#lastTime, now)
    segment.ends.push(end)
    segment.times.push(this.#lastTime)
    this.bytes += bytes
    while (this.count > this.limits.events || this.bytes > this.limits.bytes) this.#evictFirst()
    this.evictAged(now)
    this.release()
    return offset
  }

  /** Evicts what is too old. */
  evictAged (now: number): void {
    const { ageMs } = this.limits
    if (ageMs === 0) return
    while (this.count > 0 && now - this.timeOf(this.first) >= ageMs) this.#evictFirst()
  }

  #evictFirst (): void {
    const segment = this.#segments[this.#oldest]!
    this.bytes -= segment.end(this.first) - segment.start(this.first)
    if (this.first++ === segment.last) this.#oldest++
  }

  /** Gives back the segments in which nothing is kept or pinned. */
  release (): void {
    const needed = Math.min(this.first, this.pin)
    let unneeded = 0
    while (unneeded < this.#oldest && this.#segments[unneeded]!.last < needed) unneeded++
    if (unneeded === 0) return
    this.#segments.splice(0, unneeded)
    this.#oldest -= unneeded
    this.#page = null
  }

  /** When an event was appended. */
  timeOf (offset: number): number {
    const segment = this.#segmentOf(offset)
    return segment.times[offset - segment.first]!
  }

  /** The frame of one event, as part of its segment. */
  frameOf (offset: number): Buffer {
    return this.#segmentOf(offset).frame(offset)
  }

  /** Bytes of the events after `after`, up to `until`. */
  bytesBetween (after: number, until: number): number {
    let bytes = 0
    for (let offset = after; offset < until;) {
      const segment = this.#segmentOf(offset + 1)
      const last = Math.min(segment.last, until)
      bytes += segment.end(last) - segment.start(offset + 1)
      offset = last
    }
    return bytes
  }

  /**
   * The events after `after`, as many as stand in one segment, and none after `until`.
   *
   * Without a copy, and the same object for everybody who asks for the same.
   */
  page (after: number, until: number): Page {
    const segment = this.#segmentOf(after + 1)
    const last = Math.min(segment.last, until)
    if (this.#page === null || this.#page.last !== last || this.#page.events !== last - after) {
      this.#page = new Page(segment.buffer.subarray(segment.start(after + 1), segment.end(last)), last, last - after)
    }
    return this.#page
  }

  #segmentOf (offset: number): Segment {
    const segments = this.#segments
    const newest = segments.at(-1)
    if (newest !== undefined && offset >= newest.first) return newest
    let low = 0
    let high = segments.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (segments[middle]!.first <= offset) low = middle
      else high = middle - 1
    }
    return segments[low]!
  }
}
