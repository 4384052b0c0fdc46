import type { FastifyRequest } from 'fastify'
import type { CloseReason } from '../close-reason.js'
import { flushAtTurnEnd, type Flushable } from '../time/turn.js'
import { decodeFrame, encodeIdBlock } from './frame.js'
import { encodeGap } from './gap-answer.js'
import type { Gap } from './gap.js'
import { MAX_PAGE_BYTES, Page } from './page.js'
import { Reader, type ReaderOwner, type ReaderPart, type ReaderSource } from './reader.js'
import type { FrameSink } from './subscriber.js'

/** What becomes of an event before it is sent: its frame, or `''` for one that is dropped. Throws for one that must end the stream. */
export type Encode = (event: unknown) => string

/**
 * One stream that reads channels event by event: several of them, or one whose events are not sent as they are.
 *
 * Each event of a merged stream carries an ID of its own, with the position in all channels, so frames cannot be shared with other streams:
 * their text is, up to the ID.
 */
export class EventSubscriber implements ReaderOwner, Flushable {
  readonly #sink: FrameSink
  readonly #sources: readonly ReaderSource[]
  #reader: Reader | null = null
  #state: 'starting' | 'reading' | 'over' = 'starting'
  #isScheduled = false
  /** Whether events have been waiting for it: it has just come, or its connection was blocked. */
  #isBehind = true
  /** What an event could not be sent for; those before it are sent first. */
  #failure: { error: unknown } | null = null
  /** The last event ID that the client has been told. */
  #told: string | undefined

  /** For events that are not sent as the channel has encoded them. */
  readonly #encode: Encode | undefined

  constructor (sources: readonly ReaderSource[], sink: FrameSink, encode?: Encode) {
    this.#sources = sources
    this.#sink = sink
    this.#encode = encode
  }

  get request (): FastifyRequest {
    return this.#sink.request
  }

  get lastEventId (): string | undefined {
    return this.#sink.lastEventId
  }

  /** See `Subscriber`, as for the methods below. */
  start (): void | Promise<void> {
    const reader = this.#reader = new Reader(this.#sources, this)
    reader.join()
    if (this.#isOver()) return
    if (reader.parts.some(({ gap, isFresh }) => gap !== null || isFresh)) return this.#sendFirst(reader)
    // Not asked for: without an ID of its own it would have nothing to resume from.
    if (this.lastEventId) this.#told = reader.id
    this.#goOn(reader)
  }

  /** Tells the gaps, and sends what the application wants sent first. */
  async #sendFirst (reader: Reader): Promise<void> {
    this.#state = 'starting'
    this.#told = undefined
    for (const part of reader.parts) {
      if (part.gap !== null) {
        const { gap, first } = await part.resolveGap(part.gap)
        if (this.#isOver()) {
          // Nobody will read it, and it may hold something open.
          if (first !== undefined && typeof first !== 'function') await this.#sink.sendAll(first, String)
          return
        }
        this.#tellGap(reader, reader.parts.length > 1 ? { ...gap, ...part.name } : gap, first === undefined)
        if (first !== undefined) await this.#send(part, first)
      } else if (part.isFresh) {
        await this.#send(part, part.options.snapshot!({ gap: null, request: this.request }))
      }
      part.isFresh = false
      if (this.#isOver()) return
    }
    this.#goOn(reader)
  }

  /** With several channels the ID follows when all is told; and with a snapshot, so that a client that is cut off amid it has the gap still before it. */
  #tellGap (reader: Reader, gap: Gap, isAll: boolean): void {
    if (!this.#sink.controlEvents) return
    if (isAll && reader.parts.length === 1) this.#told = reader.tellId()
    this.#sink.writeText(encodeGap(gap, this.#told))
  }

  async #send ({ core: { definition } }: ReaderPart, source: unknown): Promise<void> {
    await this.#sink.sendAll(source, this.#encode ?? ((event) => definition.encode(event)))
  }

  #isOver (): boolean {
    return this.#state === 'over'
  }

  #goOn (reader: Reader): void {
    this.#state = 'reading'
    if (this.#told === undefined) {
      this.#told = reader.tellId()
      this.#sink.writeText(encodeIdBlock(this.#told))
    }
    this.#isBehind = true
    this.resume(Date.now())
  }

  resume (now: number): void {
    const reader = this.#reader
    if (this.#state !== 'reading' || reader === null) return
    try {
      while (this.#sink.isReady) {
        const overrun = reader.findOverrun()
        if (overrun !== undefined) {
          this.#overrun(reader, overrun)
          return
        }
        const page = this.#page(reader)
        // What waited may have become too much while it was read.
        if (page === null && reader.findOverrun() !== undefined) continue
        if (page === null) {
          this.#isBehind = false
          if (reader.isOver) this.#sink.end('source-ended')
          else if (reader.mustTell) this.tell()
          return
        }
        // A callback of the application may have ended the stream while the page was made.
        if (this.#sink.isReady) this.#sink.write(page, now)
      }
      this.#isBehind = true
    } catch (error) {
      this.#sink.fail(error)
    }
  }

  #page (reader: Reader): Page | null {
    if (this.#failure !== null) {
      this.#sink.fail(this.#failure.error, 'event-invalid')
      return null
    }
    const pieces: Buffer[] = []
    let bytes = 0
    let events = 0
    while (bytes < MAX_PAGE_BYTES) {
      const part = this.#next(reader, events > 0)
      if (part === null) break
      const text = this.#textOf(part)
      if (text === null) break
      if (text.length === 0) continue
      this.#told = reader.tellId()
      const id = Buffer.from(encodeIdBlock(this.#told), 'latin1')
      pieces.push(text, id)
      bytes += text.length + id.length
      events++
    }
    // What came before the failure goes first.
    if (events === 0) return this.#failure === null ? null : this.#page(reader)
    return new Page(Buffer.concat(pieces, bytes), 0, events)
  }

  /** @param canWait whether a failing callback may fail with the next page instead: it has something to send first */
  #next (reader: Reader, canWait: boolean): ReaderPart | null {
    try {
      return reader.next(this.#isBehind)
    } catch (error) {
      if (canWait) return null
      throw error
    }
  }

  /** The next event of a part up to its ID, empty when it is dropped; null when it must end the stream. */
  #textOf (part: ReaderPart): Buffer | null {
    const { frame, offset } = part.take()
    const { ring, definition } = part.core
    if (this.#encode === undefined) return frame.subarray(0, frame.length - ring.idBytes(offset))
    const { id, ...event } = decodeFrame(frame, (eventType) => definition.isText(eventType))
    try {
      // Less the blank line: the ID follows.
      return Buffer.from(this.#encode(event).slice(0, -1))
    } catch (error) {
      this.#failure = { error }
      return null
    }
  }

  #overrun (reader: Reader, part: ReaderPart): void {
    if (part.overrun()) this.#sink.end('slow-subscriber')
    else this.#sendFirst(reader).catch((error: unknown) => this.#sink.fail(error))
  }

  tellPosition (): string {
    const reader = this.#reader
    if (this.#state !== 'reading' || reader === null || this.#failure !== null || reader.id === this.#told) return ''
    this.#told = reader.tellId()
    return encodeIdBlock(this.#told)
  }

  tell (): void {
    this.#sink.writeText(this.tellPosition())
  }

  // When something was published

  notify (): void {
    if (this.#isScheduled || this.#state !== 'reading') return
    this.#isScheduled = true
    flushAtTurnEnd(this)
  }

  flush (now: number): void {
    this.#isScheduled = false
    this.resume(now)
  }

  broken (error: unknown): void {
    this.#sink.fail(error)
  }

  failed (error: unknown): void {
    this.#sink.fail(error)
  }

  close (reason: CloseReason): void {
    if (this.#state === 'over') return
    this.#state = 'over'
    this.#reader?.close(reason)
  }
}
