import type { FastifyRequest } from 'fastify'
import type { CloseReason } from '../close-reason.js'
import type { Entry } from './conflation.js'
import type { ChannelCore, Folder, Watcher } from './core.js'
import { Cursor } from './cursor.js'
import { answerGap, overrunOf, type Resolved } from './gap-answer.js'
import type { GapReason } from './gap.js'
import type { Ring } from './ring.js'
import type { ChannelMember, SubscribeOptions } from './types.js'

/** Whether a place is in the oldest quarter of a backlog that has begun to evict, or behind it. */
export function isNearEviction (ring: Ring, offset: number): boolean {
  return ring.first > 1 && offset < ring.first + (ring.count >> 2)
}

/** One channel that a reader reads, and how. */
export interface ReaderSource {
  readonly core: ChannelCore
  readonly options: SubscribeOptions
  /** Where it begins without a last event ID. */
  readonly from: string
}

/** For whom a reader reads. */
export interface ReaderOwner {
  readonly request: FastifyRequest | undefined
  readonly lastEventId: string | undefined
  /** There may be something to take, or nothing more to come. */
  notify (): void
  /** Events will soon be too old: lets a client know where it stands. */
  tell (): void
  /** A callback of the application has failed. */
  failed (error: unknown): void
}

/** A gap that has to be told before anything else is taken. */
interface PartGap {
  readonly reason: GapReason
  readonly requested: string
}

/** One channel of a {@link Reader}: a subscriber of it. */
export class ReaderPart implements Watcher, Folder, ChannelMember {
  readonly joinedAt = Date.now()
  readonly core: ChannelCore
  readonly options: SubscribeOptions
  /** Events that go before the channel's own: the present state for one that begins. */
  isFresh: boolean
  gap: PartGap | null = null
  readonly cursor: Cursor
  readonly #owner: ReaderOwner
  /** The next event, taken from the cursor and not yet given. */
  #next: Entry | null = null
  #given: number
  #hasJoined = false
  /** Offset that the client's last event ID has come to. */
  told: number

  constructor ({ core, options, from }: ReaderSource, index: number, owner: ReaderOwner) {
    this.core = core
    this.options = options
    this.#owner = owner
    const { lastEventId } = owner
    const { offset, reason } = core.start(lastEventId, from, index)
    this.cursor = new Cursor(core, offset, options)
    this.#given = this.told = offset
    if (reason !== null) this.gap = { reason, requested: lastEventId || from }
    this.isFresh = reason === null && !lastEventId && (options.from ?? 'now') === 'now' && options.snapshot !== undefined
  }

  get channel (): string {
    return this.core.definition.name
  }

  get key (): string | undefined {
    return this.core.key
  }

  /** What tells its gaps from those of other channels on the same stream. */
  get name (): { channel: string, key?: string } {
    return this.key === undefined ? { channel: this.channel } : { channel: this.channel, key: this.key }
  }

  get request (): FastifyRequest | undefined {
    return this.#owner.request
  }

  join (): void {
    this.#hasJoined = true
    this.core.watch(this)
    if (this.cursor.conflates) this.core.addFolder(this)
    this.core.join(this)
  }

  leave (reason: CloseReason): void {
    if (!this.#hasJoined) return
    this.#hasJoined = false
    this.core.unwatch(this)
    this.core.removeFolder(this)
    this.core.leave(this, reason)
  }

  notify (): void {
    this.#owner.notify()
  }

  tell (): void {
    this.#owner.tell()
  }

  fold (until: number): void {
    this.#settle()
    try {
      this.cursor.fold(until)
    } catch (error) {
      this.#owner.failed(error)
    }
  }

  /** Offset up to which everything was given, or was not for this reader. */
  get position (): number {
    if (this.#next !== null) return this.#next.offset - 1
    return this.cursor.isAhead ? this.#given : this.cursor.offset
  }

  /** With nothing left to give, all that was read is done with: what is read from now on may wait, and the position must not go back. */
  #settle (): void {
    this.#given = this.position
  }

  /** The next event, which {@link take} gives. See {@link Cursor.next}. */
  peek (isBehind: boolean): Entry | null {
    if (this.#next === null) {
      this.#settle()
      this.#next = this.cursor.next(this.core.ring.head, isBehind)
    }
    return this.#next
  }

  take (): Entry {
    const entry = this.#next!
    this.#next = null
    this.#given = entry.offset
    this.core.definition.counted.delivered++
    return entry
  }

  /**
   * Deals with an overrun.
   *
   * @returns whether the reader has to go
   */
  overrun (): boolean {
    const { position } = this
    const overrun = overrunOf(this.core, this.options, position)
    if (overrun?.policy === 'disconnect') return true
    this.#next = null
    this.#given = overrun?.offset ?? position
    this.cursor.moveTo(this.#given)
    if (overrun === null) return false
    const { requested } = overrun
    this.gap = { reason: 'overrun', requested }
    return false
  }

  /** Asks where to go on after the gap, and goes there. */
  async resolveGap ({ reason, requested }: PartGap): Promise<Resolved> {
    this.core.gapOccurred(reason)
    const { offset } = this.cursor
    if (this.cursor.conflates) {
      // What is published while the application answers, or its snapshot is being sent, conflates from here on.
      this.core.settle()
      this.cursor.moveTo(this.core.ring.head)
      this.#next = null
      this.#given = this.cursor.offset
    }
    const resolved = await answerGap(this.core, this.options, { reason, requested, offset, request: this.request })
    if (resolved.first === undefined || !this.cursor.conflates) {
      this.cursor.moveTo(resolved.offset)
      this.#next = null
      this.#given = resolved.offset
    }
    this.gap = null
    return resolved
  }
}

/**
 * Reads one channel or several, event by event. What it gives next is the oldest that has not been given.
 */
export class Reader {
  readonly parts: readonly ReaderPart[]
  #isClosed = false

  constructor (sources: readonly ReaderSource[], owner: ReaderOwner) {
    this.parts = sources.map((source, index) => new ReaderPart(source, index, owner))
  }

  /** Becomes a subscriber of each channel. The hooks that hear of it may close it. */
  join (): void {
    for (const part of this.parts) {
      if (!this.#isClosed) part.join()
    }
  }

  /** The position in all channels, as an ID. */
  get id (): string {
    return this.parts.map((part) => part.core.ring.id(part.position)).join(',')
  }

  /** The same, for a client that is told it now. */
  tellId (): string {
    for (const part of this.parts) part.told = part.position
    return this.id
  }

  /**
   * Whether the client should be told where it stands: filters move the cursors, and the client does not see it. Before the place
   * that it knows of falls out of a backlog it has to know a later one, or it would come back to a gap that it has no part in.
   */
  get mustTell (): boolean {
    return this.parts.some(({ core, position, told }) => told < position && isNearEviction(core.ring, told))
  }

  /** Whether no more events will come. */
  get isOver (): boolean {
    return this.parts.every(({ core, position }) => core.isClosed && position >= core.ring.head)
  }

  /** A part that has fallen out of its backlog. */
  findOverrun (): ReaderPart | undefined {
    return this.parts.find(({ cursor }) => cursor.isOverrun)
  }

  /** The part whose event comes next; null when there is none. */
  next (isBehind = true): ReaderPart | null {
    if (this.parts.length === 1) return this.parts[0]!.peek(isBehind) === null ? null : this.parts[0]!
    let oldest: ReaderPart | null = null
    let time = Infinity
    for (const part of this.parts) {
      const entry = part.peek(isBehind)
      if (entry === null || entry.time >= time) continue
      oldest = part
      time = entry.time
    }
    return oldest
  }

  close (reason: CloseReason): void {
    this.#isClosed = true
    for (const part of this.parts) part.leave(reason)
  }
}
