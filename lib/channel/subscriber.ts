import type { FastifyRequest } from 'fastify'
import type { CloseReason } from '../close-reason.js'
import type { ChannelCore, Folder, LiveSubscriber } from './core.js'
import { Cursor } from './cursor.js'
import { encodeIdBlock } from './frame.js'
import { answerGap, encodeGap, overrunOf } from './gap-answer.js'
import type { Page } from './page.js'
import { isNearEviction } from './reader.js'
import type { ChannelMember, SubscribeOptions } from './types.js'

/** Where a subscriber's frames go: an open stream. */
export interface FrameSink {
  readonly request: FastifyRequest
  /** What the client that opened the stream had read last. */
  readonly lastEventId: string | undefined
  /** Whether `sse.gap` is sent. */
  readonly controlEvents: boolean
  /** Whether the stream is over. */
  readonly isOver: boolean
  /** Whether the stream takes a page now. When it does not, `resume` is called once it does, or `close`. */
  readonly isReady: boolean
  /** Writes a page. Only while {@link isReady}, and that may be false afterwards. */
  write (page: Page, now: number): void
  /** Adds text, which leaves at the end of the turn or before the next page. */
  writeText (text: string): void
  /** Sends what an application's source gives. Resolves when it has come to its end or the stream is over; rejects with what it throws. */
  sendAll (source: unknown, encode: (event: unknown) => string): Promise<void>
  end (reason: CloseReason): void
  fail (error: unknown, reason?: 'source-failed' | 'event-invalid'): void
}

/**
 * One stream that reads a channel.
 *
 * It is *live* while it has everything and its connection takes more: each flush hands it the page that all get. When the connection
 * blocks, or it comes back to read on from an older event, it is *behind*, and reads page by page whenever there is room, until
 * it has everything again. Replay and live go through the same cursor.
 */
export class Subscriber implements LiveSubscriber, Folder, ChannelMember {
  liveIndex = -1
  readonly joinedAt = Date.now()
  readonly #core: ChannelCore
  readonly #sink: FrameSink
  readonly #options: SubscribeOptions
  readonly #cursor: Cursor
  /** Offset that the client's last event ID has come to. */
  #told = -1
  #state: 'starting' | 'behind' | 'live' | 'over' = 'starting'

  constructor (core: ChannelCore, sink: FrameSink, options: SubscribeOptions) {
    this.#core = core
    this.#sink = sink
    this.#options = options
    this.#cursor = new Cursor(core, 0, options)
  }

  get channel (): string {
    return this.#core.definition.name
  }

  get key (): string | undefined {
    return this.#core.key
  }

  get request (): FastifyRequest {
    return this.#sink.request
  }

  /** The stream has been opened, and wants its first frames. Throws, or rejects, when the application refuses it. */
  start (): void | Promise<void> {
    const { lastEventId } = this.#sink
    const { from = 'now', snapshot } = this.#options
    const { offset, reason } = this.#core.start(lastEventId, from)
    this.#cursor.moveTo(offset)
    this.#core.join(this)
    if (this.#isOver()) return
    if (reason !== null) return this.#gap(reason, lastEventId || from, offset)
    const isFresh = lastEventId === undefined || lastEventId === ''
    if (isFresh && from === 'now' && snapshot !== undefined) {
      this.#foldFromNow()
      return this.#sendFirst(snapshot({ gap: null, request: this.request }))
    }
    if (!isFresh) this.#told = offset
    this.#goOn()
  }

  // Asked anew after what the application does, which TypeScript does not see.
  #isOver (): boolean {
    return this.#state === 'over'
  }

  /** What is published while the application answers, or its snapshot is being sent, conflates from here on. */
  #foldFromNow (): void {
    if (this.#cursor.conflates) this.#core.addFolder(this)
  }

  /** From the start, or after a gap: reads what is there. */
  #goOn (): void {
    if (this.#state === 'over') return
    // Without an ID of its own the client would have nothing to resume from until the first event.
    if (this.#told === -1 && this.#cursor.offset >= this.#core.flushed) this.#sink.writeText(this.#positionBlock())
    // To write opens the response, and what runs then may end the stream.
    if (this.#isOver()) return
    this.#fallBehind()
    this.resume(Date.now())
  }

  /** Tells a gap, and lets the application say where to go on. Without a hook to wait for it is done when this returns. */
  #gap (reason: Parameters<ChannelCore['gapOccurred']>[0], requested: string, offset: number): void | Promise<void> {
    const core = this.#core
    core.gapOccurred(reason)
    this.#state = 'starting'
    this.#leaveLists()
    if (this.#cursor.conflates) {
      core.settle()
      if (this.#isOver()) return
      this.#cursor.moveTo(core.ring.head)
      this.#foldFromNow()
    }
    const answer = answerGap(core, this.#options, { reason, requested, offset, request: this.request })
    const goOn = ({ offset, gap, first }: Awaited<typeof answer>): void | Promise<void> => {
      if (this.#state === 'over') {
        // Nobody will read it, and it may hold something open.
        if (first !== undefined && typeof first !== 'function') return this.#sink.sendAll(first, String)
        return
      }
      // A cursor that conflates stands there already, and has taken in what came meanwhile.
      if (first === undefined || !this.#cursor.conflates) this.#cursor.moveTo(offset)
      this.#told = -1
      const id = core.ring.id(offset)
      if (first === undefined) {
        this.#told = offset
        this.#sink.writeText(this.#sink.controlEvents ? encodeGap(gap, id) : encodeIdBlock(id))
        this.#goOn()
        return
      }
      // Without an ID: a client that is cut off amid the snapshot has the gap still before it.
      if (this.#sink.controlEvents) this.#sink.writeText(encodeGap(gap))
      return this.#sendFirst(first, offset)
    }
    return answer instanceof Promise ? answer.then(goOn) : goOn(answer)
  }

  /** Sends a snapshot, and goes on from where the channel was when it was asked for. */
  async #sendFirst (source: unknown, offset = this.#cursor.offset): Promise<void> {
    const { definition } = this.#core
    await this.#sink.sendAll(source, (event) => definition.encode(event))
    if (this.#state === 'over') return
    this.#told = offset
    this.#sink.writeText(encodeIdBlock(this.#core.ring.id(offset)))
    this.#goOn()
  }

  /** The stream takes pages again. */
  resume (now: number): void {
    if (this.#state !== 'behind') return
    try {
      while (this.#sink.isReady) {
        if (this.#cursor.isOverrun) {
          this.#overrun()
          return
        }
        const page = this.#cursor.page(this.#core.flushed)
        if (page === null && this.#cursor.isOverrun) continue
        if (page === null) {
          this.#catchUp()
          return
        }
        this.#write(page, now)
      }
    } catch (error) {
      this.#sink.fail(error)
    }
  }

  deliver (after: number, head: number, pages: readonly Page[], now: number): void {
    const cursor = this.#cursor
    if (!this.#sink.isReady) {
      this.#fallBehind()
      return
    }
    try {
      if (cursor.offset === after && (!cursor.isFiltered || cursor.takesAll(head))) {
        for (const page of pages) {
          cursor.offset = page.last
          this.#write(page, now)
          if (!this.#sink.isReady) break
        }
      } else {
        for (let page; this.#sink.isReady && (page = cursor.page(head)) !== null;) this.#write(page, now)
        this.#tellIfNeeded()
      }
    } catch (error) {
      this.#sink.fail(error)
      return
    }
    if (this.#state === 'live' && (!this.#sink.isReady || cursor.offset < head || cursor.isAhead)) {
      this.#fallBehind()
      this.resume(now)
    }
  }

  #write (page: Page, now: number): void {
    // A callback of the application may have ended the stream while the page was made.
    if (!this.#sink.isReady) return
    this.#told = page.last
    this.#core.definition.counted.delivered += page.events
    this.#sink.write(page, now)
  }

  finish (): void {
    this.#sink.end('source-ended')
  }

  /** It cannot be written to, or has yet to read what others have. */
  #fallBehind (): void {
    if (this.#isOver()) return
    this.#core.removeLive(this)
    this.#state = 'behind'
    if (this.#cursor.conflates) this.#core.addFolder(this)
  }

  /** It has everything. */
  #catchUp (): void {
    if (this.#isOver()) return
    // Its filter may have let nothing pass.
    if (this.#told === -1) this.#sink.writeText(this.#positionBlock())
    else this.#tellIfNeeded()
    if (this.#isOver()) return
    if (this.#core.isClosed) {
      this.finish()
      return
    }
    this.#core.removeFolder(this)
    this.#state = 'live'
    this.#core.addLive(this)
  }

  fold (until: number): void {
    try {
      this.#cursor.fold(until)
    } catch (error) {
      this.#sink.fail(error)
    }
  }

  /** It goes on by itself when this returns, or once a hook has answered. */
  #overrun (): void {
    // One that has been told nothing yet stands where it began.
    const given = this.#told === -1 ? this.#cursor.isAhead ? 0 : this.#cursor.offset : this.#told
    const overrun = overrunOf(this.#core, this.#options, given)
    if (overrun === null) {
      this.#cursor.moveTo(given)
      this.resume(Date.now())
      return
    }
    const { policy, offset, requested } = overrun
    if (policy === 'disconnect') {
      this.#sink.end('slow-subscriber')
      return
    }
    const done = this.#gap('overrun', requested, offset)
    if (done instanceof Promise) done.catch((error: unknown) => this.#sink.fail(error))
  }

  // Where the client stands

  /** The filter moves the cursor, and the client does not see it. */
  #tellIfNeeded (): void {
    if (isNearEviction(this.#core.ring, this.#told)) this.tell()
  }

  tell (): void {
    if (this.#cursor.isFiltered) this.#sink.writeText(this.tellPosition())
  }

  /** An ID block when the client's last event ID is behind where it stands, else `''`; the caller sends it. */
  tellPosition (): string {
    // Amid a snapshot, and while older events wait, there is no place to go on from but the one it knows.
    if (this.#state === 'starting' || this.#cursor.isAhead || this.#cursor.offset <= this.#told) return ''
    return this.#positionBlock()
  }

  #positionBlock (): string {
    this.#told = this.#cursor.offset
    return encodeIdBlock(this.#core.ring.id(this.#told))
  }

  #leaveLists (): void {
    this.#core.removeLive(this)
    this.#core.removeFolder(this)
  }

  /** The stream is over, or about to be. */
  close (reason: CloseReason): void {
    if (this.#state === 'over') return
    this.#state = 'over'
    this.#leaveLists()
    this.#core.leave(this, reason)
  }
}
