import { show, SSEError } from '../errors.js'
import type { CloseReason } from '../close-reason.js'
import { realTimers } from '../time/real-timers.js'
import { TimerEntry } from '../time/shared-timer.js'
import { flushAtTurnEnd, type Flushable } from '../time/turn.js'
import type { Channel } from './channel.js'
import type { CursorLog, ReadEvent } from './cursor.js'
import { count, type ChannelDefinition } from './definition.js'
import { decodeFrame } from './frame.js'
import type { GapReason } from './gap.js'
import { MAX_PAGE_BYTES, Page } from './page.js'
import { decodePositions, newEpoch, type Position } from './position.js'
import { Ring } from './ring.js'
import type { ChannelMember } from './types.js'

/**
 * Most bytes that may wait for the end of the turn. Past it they are written at once, so that a publisher that never lets the
 * turn end does not fill the memory.
 */
const MAX_UNFLUSHED_BYTES = 1024 * 1024

/** After this time, those who read by themselves have read what they were told of, or are slow. */
const WATCHERS_MS = 1_000

/** How long a channel of a family is kept in which nothing was published. */
const UNUSED_MS = 60_000

/** A stream that has everything, and can be written to. */
export interface LiveSubscriber {
  /** Where it stands in the list of those that are live; -1 when it does not. */
  liveIndex: number
  /** Gives it what is for it of the events after `after` up to `head`, which are those in `pages`. */
  deliver (after: number, head: number, pages: readonly Page[], now: number): void
  /** The channel is closed, and everything has been delivered. */
  finish (): void
  /** Events will soon be too old: lets the client know where it stands, if it has not been told. */
  tell (): void
}

/** Who reads by itself and wants to know when there is something to read, or nothing more to come. */
export interface Watcher {
  notify (): void
  /** As {@link LiveSubscriber.tell}. */
  tell (): void
}

/** A reader that conflates what waits for it. */
export interface Folder {
  /** Takes in what is there up to `until`: it may be gone after the call. */
  fold (until: number): void
}

/** Where a subscriber begins, and why it cannot go on where it was. */
export interface Start {
  readonly offset: number
  readonly reason: GapReason | null
}

/**
 * One channel: its log, and everybody who reads it.
 *
 * `publish` appends to the ring and marks the channel; at the end of the turn what is new is joined to one page, which every live
 * subscriber writes. A subscriber whose connection takes no more is not looked at again until it does.
 */
export class ChannelCore extends TimerEntry implements Flushable, CursorLog {
  readonly definition: ChannelDefinition
  readonly key: string | undefined
  readonly ring: Ring
  /** All live subscribers have everything up to here. */
  flushed = 0
  isClosed = false

  readonly #handle: Channel<unknown>
  readonly #live: LiveSubscriber[] = []
  readonly #watchers = new Set<Watcher>()
  readonly #folders = new Set<Folder>()
  #members = 0
  #isDisposed = false
  #isScheduled = false
  #unflushedBytes = 0
  /** Up to where the flush before the last one went. */
  #flushedBefore = 0
  #flushedAt = 0
  /** Offset of the oldest event that those who conflate may not have taken in. */
  #unfolded = 1
  #flushTimer: ReturnType<typeof setTimeout> | null = null
  /** What has been decoded or copied in this turn, by offset. */
  readonly #events = new Map<number, ReadEvent>()
  readonly #copies = new Map<number, Buffer>()
  /** Called when a channel of a family is not needed any more; null for a channel that stands alone. */
  readonly #release: (() => void) | null
  #usedAt = Date.now()
  /** What it waits for on the timer, in milliseconds. */
  #waitMs = Infinity
  /** How often it looks for what is too old. */
  readonly #ageTickMs: number

  constructor (definition: ChannelDefinition, handle: Channel<unknown>, key?: string, release: (() => void) | null = null) {
    super()
    this.definition = definition
    this.key = key
    this.ring = new Ring(newEpoch(), definition.limits)
    this.#handle = handle
    this.#release = release
    const { ageMs } = definition.limits
    this.#ageTickMs = ageMs === 0 ? Infinity : Math.ceil(ageMs / 4)
    this.#watchTime()
  }

  /** For messages. */
  get title (): string {
    const { name } = this.definition
    return this.key === undefined ? show(name) : `${show(name)} (key ${show(this.key)})`
  }

  get subscribers (): number {
    return this.#members
  }

  // Publishing

  /**
   * @returns the event's ID
   * @throws FST_SSE_LOG_CLOSED, FST_SSE_FRAME_TOO_LARGE, and what encoding throws
   */
  publish (event: unknown): string {
    const { definition, ring } = this
    try {
      if (this.isClosed) {
        throw new SSEError('FST_SSE_LOG_CLOSED',
          `Channel ${this.title} is closed, and takes no more events. Stop publishing before you close the channel or the server.`,
          { channel: definition.name })
      }
      const frame = definition.encode(event)
      const bytes = ring.bytesOf(frame)
      if (bytes > ring.limits.bytes) {
        throw new SSEError('FST_SSE_FRAME_TOO_LARGE',
          `An event takes ${bytes} bytes, and the backlog of channel ${this.title} holds ${ring.limits.bytes}. ` +
          'Split its data, or raise backlog.bytes.', { bytes, limit: ring.limits.bytes, channel: definition.name })
      }
      const offset = ring.append(frame, bytes, performance.now())
      definition.counted.published++
      this.#appended(bytes)
      return ring.id(offset)
    } catch (error) {
      definition.counted.refused++
      throw error
    }
  }

  #appended (bytes: number): void {
    const { ring, definition } = this
    this.#usedAt = Date.now()
    // It may wait for something that is further off than what it has just got to wait for.
    if (this.waitList === null || this.#waitMs > this.#ageTickMs) this.#watchTime()
    if (this.#live.length === 0 && this.#watchers.size === 0 && this.#folders.size === 0) {
      this.flushed = ring.head
      return
    }
    if (!this.#isScheduled) {
      this.#isScheduled = true
      if (definition.flushMs === 0) flushAtTurnEnd(this)
      else this.#flushTimer = realTimers.setTimeout(() => this.#flushNow(), definition.flushMs)
    }
    // What is new is held until it is flushed, however little the ring keeps.
    this.#unflushedBytes += bytes
    if (this.#unflushedBytes >= (definition.flushMs > 0 ? MAX_PAGE_BYTES : MAX_UNFLUSHED_BYTES)) this.#flushNow()
  }

  #flushNow (): void {
    try {
      this.flush(Date.now())
    } catch (error) {
      this.broken(error)
    }
  }

  /** Gives all readers what is new. */
  flush (now: number): void {
    this.#isScheduled = false
    if (this.#flushTimer !== null) realTimers.clearTimeout(this.#flushTimer)
    this.#flushTimer = null
    const { ring } = this
    const after = this.flushed
    const { head } = ring
    // Before anything is written: who joins meanwhile begins after all this.
    this.flushed = head
    this.#flushedAt = now
    this.#unflushedBytes = 0
    if (head > after) {
      this.#flushedBefore = after
      if (this.#live.length > 0) {
        const pages = this.#pages(after, head)
        // From the end: who leaves the list gives its place to one that was written to already, and sees that by its cursor.
        for (let index = this.#live.length - 1; index >= 0; index--) this.#live[index]?.deliver(after, head, pages, now)
      }
      for (const watcher of this.#watchers) watcher.notify()
    }
    this.#letGo()
  }

  broken (error: unknown): void {
    this.definition.environment.warn(error, `channel ${show(this.definition.name)} could not be flushed`)
  }

  /** What is new, in one page if that is not too long for one write. */
  #pages (after: number, head: number): Page[] {
    const pages: Page[] = []
    for (let offset = after; offset < head; offset = pages.at(-1)!.last) pages.push(this.ring.page(offset, head))
    if (pages.length === 1 || this.ring.bytesBetween(after, head) > MAX_PAGE_BYTES) return pages
    return [new Page(Buffer.concat(pages.map(({ frames }) => frames)), head, head - after)]
  }

  /** Lets the ring give back what nobody has to read any more. */
  #letGo (): void {
    const { ring } = this
    // Those who read by themselves, after they were told by this flush, may yet see every event of it.
    const until = Math.min(ring.first - 1, this.#watchers.size > 0 ? this.#flushedBefore : Infinity)
    for (const folder of this.#folders) folder.fold(until)
    this.#unfolded = until + 1
    this.#events.clear()
    this.#copies.clear()
    this.#pinUnread()
    ring.release()
  }

  #pinUnread (): void {
    const { ring } = this
    ring.pin = Math.min(
      this.#live.length > 0 ? this.flushed + 1 : Infinity,
      // They are told by a flush, and read after it: until the next one.
      this.#watchers.size > 0 ? this.#flushedBefore + 1 : Infinity,
      this.#folders.size > 0 ? this.#unfolded : Infinity
    )
  }

  // Reading

  eventAt (offset: number): ReadEvent {
    let event = this.#events.get(offset)
    if (event === undefined) {
      event = decodeFrame(this.ring.frameOf(offset), (eventType) => this.definition.isText(eventType))
      this.#remember(this.#events, offset, event)
    }
    return event
  }

  copyAt (offset: number): Buffer {
    let copy = this.#copies.get(offset)
    if (copy === undefined) {
      copy = Buffer.from(this.ring.frameOf(offset))
      this.#remember(this.#copies, offset, copy)
    }
    return copy
  }

  #remember<T> (memory: Map<number, T>, offset: number, value: T): void {
    if (memory.size >= 1024) memory.clear()
    memory.set(offset, value)
    // To forget it when the turn ends.
    if (!this.#isScheduled) {
      this.#isScheduled = true
      flushAtTurnEnd(this)
    }
  }

  superseded (): void {
    this.definition.counted.superseded++
  }

  /**
   * Where a subscriber begins. What was published before the call is behind it.
   *
   * @param lastEventId of the client; undefined or empty for one that has none
   * @param index which of the channels of a merge this is
   */
  start (lastEventId: string | undefined, from: string, index = 0): Start {
    this.settle()
    const { ring } = this
    const isFresh = lastEventId === undefined || lastEventId === ''
    // Words of the application: a client that sends one has sent no ID.
    if (isFresh && (from === 'now' || from === '')) return { offset: ring.head, reason: null }
    if (isFresh && from === 'earliest') return { offset: ring.first - 1, reason: null }
    const id = isFresh ? from : lastEventId
    const positions = decodePositions(id)
    // By the place in the ID, for a channel that is merged twice; else wherever it stands: what is merged may have changed.
    const isOfThis = ({ epoch }: Position): boolean => epoch === ring.epoch
    const position = positions?.slice(index, index + 1).find(isOfThis) ?? positions?.find(isOfThis)
    if (position === undefined) return { offset: ring.first - 1, reason: positions === null ? 'malformed' : 'epoch' }
    if (position.offset > ring.head) return { offset: ring.head, reason: 'future' }
    if (position.offset < ring.first - 1) return { offset: ring.first - 1, reason: 'evicted' }
    return { offset: position.offset, reason: null }
  }

  /** Delivers what was published in this turn, and evicts what is too old, so that `flushed` is the head. */
  settle (): void {
    this.ring.evictAged(performance.now())
    if (this.flushed < this.ring.head) this.#flushNow()
  }

  /** Counts a gap. */
  gapOccurred (reason: GapReason): void {
    count(this.definition.counted.gaps, reason)
  }

  // Readers

  /** A subscriber is there: it is counted, and the hook is told. */
  join (member: ChannelMember): void {
    this.#members++
    this.#usedAt = Date.now()
    const { onJoin } = this.definition
    if (onJoin !== undefined) this.definition.runHook('onJoin', () => onJoin(member, this.#handle))
  }

  /** A subscriber is gone. */
  leave (member: ChannelMember, reason: CloseReason): void {
    this.#members--
    this.#usedAt = Date.now()
    count(this.definition.counted.left, reason)
    const { onLeave } = this.definition
    if (onLeave !== undefined) this.definition.runHook('onLeave', () => onLeave(member, this.#handle, reason))
    if (this.#members === 0) this.#watchTime()
  }

  /** Lets a subscriber that has everything up to {@link flushed} take part in each flush. */
  addLive (subscriber: LiveSubscriber): void {
    subscriber.liveIndex = this.#live.push(subscriber) - 1
    this.#pinUnread()
  }

  removeLive (subscriber: LiveSubscriber): void {
    const { liveIndex } = subscriber
    if (liveIndex === -1) return
    subscriber.liveIndex = -1
    const last = this.#live.pop()!
    if (last !== subscriber) {
      this.#live[liveIndex] = last
      last.liveIndex = liveIndex
    }
  }

  watch (watcher: Watcher): void {
    this.#watchers.add(watcher)
    this.#pinUnread()
  }

  unwatch (watcher: Watcher): void {
    this.#watchers.delete(watcher)
  }

  /** Lets a reader take in what is about to be evicted, until {@link removeFolder}. */
  addFolder (folder: Folder): void {
    if (this.#folders.size === 0) this.#unfolded = this.ring.first
    this.#folders.add(folder)
    this.#pinUnread()
  }

  removeFolder (folder: Folder): void {
    this.#folders.delete(folder)
  }

  // The end

  /** No more events: each reader gets what is there, and then its end. */
  close (): void {
    if (this.isClosed) return
    this.isClosed = true
    this.settle()
    for (let index = this.#live.length - 1; index >= 0; index--) this.#live[index]?.finish()
    for (const watcher of this.#watchers) watcher.notify()
  }

  /** Closes the channel, and waits for nothing any more. */
  dispose (): void {
    this.close()
    this.#isDisposed = true
    this.definition.environment.timer.disarm(this)
  }

  // Time

  /** Comes back for the backlog's age, and for a channel of a family that nobody uses. */
  #watchTime (): void {
    if (this.#isDisposed) return
    const { environment } = this.definition
    const waits: number[] = []
    if (this.ring.count > 0 || this.ring.pin <= this.flushed) waits.push(this.#ageTickMs)
    if (this.#release !== null && this.#members === 0) waits.push(this.#idleMs)
    this.#waitMs = Math.min(...waits)
    if (this.#waitMs < Infinity) environment.timer.arm(this, this.#waitMs, Date.now())
  }

  get #idleMs (): number {
    const { idleMs } = this.definition
    return this.ring.head === 0 ? Math.min(idleMs, UNUSED_MS) : idleMs
  }

  due (now: number): void {
    // Four times in the life of an event, so in time for each.
    for (const subscriber of this.#live) subscriber.tell()
    for (const watcher of this.#watchers) watcher.tell()
    this.ring.evictAged(performance.now())
    if (now - this.#flushedAt >= WATCHERS_MS) this.#flushedBefore = this.flushed
    this.#letGo()
    if (this.#release !== null && this.#members === 0 && now - this.#usedAt >= this.#idleMs) this.#release()
    else this.#watchTime()
  }
}
