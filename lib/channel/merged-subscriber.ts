import type { FastifyRequest } from 'fastify'
import type { CloseReason } from '../close-reason.js'
import { flushAtTurnEnd, type Flushable } from '../time/turn.js'
import { encodeIdBlock } from './frame.js'
import { encodeGap } from './gap-answer.js'
import { MAX_PAGE_BYTES, Page } from './page.js'
import { Reader, type ReaderOwner, type ReaderPart, type ReaderSource } from './reader.js'
import type { FrameSink } from './subscriber.js'

/**
 * One stream that reads several channels.
 *
 * Each of its events carries an ID of its own, with the position in all channels, so frames cannot be shared with other streams: their
 * text is, up to the ID.
 */
export class MergedSubscriber implements ReaderOwner, Flushable {
  readonly #sink: FrameSink
  readonly #sources: readonly ReaderSource[]
  #reader: Reader | null = null
  #state: 'starting' | 'reading' | 'over' = 'starting'
  #isScheduled = false
  /** The last event ID that the client has been told. */
  #told: string | undefined

  constructor (sources: readonly ReaderSource[], sink: FrameSink) {
    this.#sources = sources
    this.#sink = sink
  }

  get request (): FastifyRequest {
    return this.#sink.request
  }

  get lastEventId (): string | undefined {
    return this.#sink.lastEventId
  }

  start (): void | Promise<void> {
    const reader = this.#reader = new Reader(this.#sources, this)
    if (reader.parts.some(({ gap, isFresh }) => gap !== null || isFresh)) return this.#sendFirst(reader)
    // Not asked for: without an ID of its own it would have nothing to resume from.
    if (this.lastEventId) this.#told = reader.id
    this.#goOn(reader)
  }

  /** Tells the gaps, and sends what the application wants sent first. */
  async #sendFirst (reader: Reader): Promise<void> {
    this.#state = 'starting'
    for (const part of reader.parts) {
      if (part.gap !== null) {
        const { gap, first } = await part.resolveGap(part.gap)
        if (this.#isOver()) return
        if (this.#sink.controlEvents) this.#sink.writeText(encodeGap({ ...gap, channel: part.channel }))
        if (first !== undefined) await this.#send(part, first)
      } else if (part.isFresh) {
        await this.#send(part, part.options.snapshot!({ gap: null, request: this.request }))
      }
      part.isFresh = false
      if (this.#isOver()) return
    }
    this.#told = undefined
    this.#goOn(reader)
  }

  async #send ({ core: { definition } }: ReaderPart, source: unknown): Promise<void> {
    await this.#sink.sendAll(source, (event) => definition.encode(event))
  }

  #isOver (): boolean {
    return this.#state === 'over'
  }

  #goOn (reader: Reader): void {
    this.#state = 'reading'
    if (this.#told === undefined) {
      this.#told = reader.id
      this.#sink.writeText(encodeIdBlock(this.#told))
    }
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
        if (page === null) {
          if (reader.isOver) this.#sink.end('source-ended')
          else if (reader.mustTell) this.tell()
          return
        }
        this.#sink.write(page, now)
      }
    } catch (error) {
      this.#sink.fail(error)
    }
  }

  #page (reader: Reader): Page | null {
    const pieces: Buffer[] = []
    let bytes = 0
    let events = 0
    for (let part; bytes < MAX_PAGE_BYTES && (part = reader.next()) !== null; events++) {
      const { frame, offset } = part.take()
      const text = frame.subarray(0, frame.length - part.core.ring.idBytes(offset))
      this.#told = reader.tellId()
      const id = Buffer.from(encodeIdBlock(this.#told), 'latin1')
      pieces.push(text, id)
      bytes += text.length + id.length
    }
    return events === 0 ? null : new Page(Buffer.concat(pieces, bytes), 0, events)
  }

  #overrun (reader: Reader, part: ReaderPart): void {
    if (part.overrun()) this.#sink.end('slow-subscriber')
    else this.#sendFirst(reader).catch((error: unknown) => this.#sink.fail(error))
  }

  tellPosition (): string {
    const reader = this.#reader
    if (this.#state !== 'reading' || reader === null || reader.id === this.#told) return ''
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
