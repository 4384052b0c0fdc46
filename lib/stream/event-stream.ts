import type { FastifyRequest } from 'fastify'
import { SSEError, StreamClosedError } from '../errors.js'
import { encodeComment, END_FRAME } from '../wire/encode.js'
import { StreamBody, type BodyOwner } from './body.js'
import { Context } from './context.js'
import { faultFrame, isAbort } from './fault.js'
import type { FrameFeed, Frames } from './feed.js'
import type { StreamHost, StreamSettings } from './host.js'
import type { StreamHub } from './hub.js'
import { chunkSocket, cutOff, isDelivered, isQueued, unsentBytes, unwatchPeer, watchPeer, type Exchange, type PeerWatcher } from './peer.js'
import { MAX_DELAY_MS } from '../time/delay.js'
import { nextTurn, realTimers } from '../time/real-timers.js'
import { TimerEntry } from '../time/shared-timer.js'
import { isThenable, openSource, type Puller } from './source.js'
import { batchSize, flushAtTurnEnd, type Flushable } from '../time/turn.js'
import type { CloseReason } from '../close-reason.js'

/** How long a stream waits for its first event before it answers with headers and the opening comment. */
const COMMIT_DELAY_MS = 50

/** How long a source may go on after its stream has ended before that is reported. */
const SOURCE_GRACE_MS = 5_000

/** So many dropped events in a row are looked at before other work gets its turn. */
const DROPS_PER_TURN = 256

const kStream = Symbol('sse.stream')

/**
 * Where a stream stands. It only ever moves down this list.
 *
 * - `Opening`: nothing has been sent; an error can still be an error response
 * - `Open`: the body was handed to the framework, which is running hooks or has piped it
 * - `Ending`: no more events; what is pending is being written
 * - `Closed`: nothing more will happen
 */
const State = { Opening: 0, Open: 1, Ending: 2, Closed: 3 } as const

/**
 * One event stream: from a source, through the check, into a response that takes bytes at its own pace.
 *
 * Frames gather in `#pending` and leave in one write when the turn of the event loop ends. The source is pulled only
 * while the response takes bytes and less than a batch (64 KiB) is pending, so a client that does not read costs one batch.
 * However the stream ends, it ends once: the signal aborts, the source is told to return, every wait is released, every
 * listener and timer is removed, and {@link StreamHost.closed} is called with the reason.
 */
export class EventStream extends TimerEntry implements BodyOwner, Flushable, PeerWatcher {
  /** Resolves when the response is over. Never rejects. */
  readonly closed: Promise<void>
  readonly openedAt = Date.now()
  /** What counts against `limits.perKey`. */
  readonly key: string | undefined

  readonly settings: StreamSettings
  readonly #hub: StreamHub
  readonly #host: StreamHost
  /** null once nobody listens to it any more. */
  #body: StreamBody | null
  #resolveClosed!: () => void
  /** A stream that was refused, and whose error handler answers with this one. */
  readonly #earlier: EventStream | null
  #state: number = State.Opening
  #target: 'none' | 'response' | 'body' = 'none'
  #endsResponse = true
  #hasHead = false
  #hasEnded = false

  #pending = ''
  #isScheduled = false
  #isBlocked = false
  #unsent = -1
  #drainSocket: (() => void) | null = null
  /** When the client was last seen to take something, while blocked. */
  #progressAt = 0
  #ready: Promise<void> | null = null
  #wake: (() => void) | null = null

  #puller: Puller | null = null
  /** What writes frames by itself; null for a stream that is fed with events. */
  #feed: FrameFeed | null = null
  /** Promises that settle when the source has nothing left to do: the pump, and the call of the source's return(). */
  #running = 0
  #settled: Promise<void> | null = null
  #settle: (() => void) | null = null
  #controller: AbortController | null = null

  #reason: CloseReason | null = null
  #error: unknown
  #isRefused = false
  #events = 0
  #commitTimer: ReturnType<typeof setTimeout> | null
  #ageTimer: ReturnType<typeof setTimeout> | null = null

  constructor (settings: StreamSettings, hub: StreamHub, host: StreamHost, key?: string) {
    super()
    this.settings = settings
    this.#hub = hub
    this.#host = host
    this.key = key
    this.closed = new Promise((resolve) => { this.#resolveClosed = resolve })
    this.#body = new StreamBody(this)
    hub.add(this)
    // Before the framework's own listeners: when the client leaves, the body must have ended by the time those look.
    const response: StreamedResponse = host.exchange.response
    this.#earlier = response[kStream] ?? null
    response[kStream] = this
    host.exchange.response.on('close', onResponseClose)
    watchPeer(host.exchange, this)
    this.#commitTimer = realTimers.setTimeout(() => this.#commit(), COMMIT_DELAY_MS)
    if (settings.maxAgeMs > 0) this.endAfter(settings.maxAgeMs, 'max-age')
  }

  get request (): FastifyRequest {
    return this.#host.request
  }

  get lastEventId (): string | undefined {
    return this.#host.lastEventId
  }

  get controlEvents (): boolean {
    return this.settings.controlEvents
  }

  get response (): Exchange['response'] {
    return this.#host.exchange.response
  }

  /** Whether the stream takes no more events. */
  get isOver (): boolean {
    return this.#state >= State.Ending
  }

  /** Whether headers may have been sent, so that an error can no longer be an error response. */
  get isCommitted (): boolean {
    return this.#state !== State.Opening
  }

  /** Whether frames go straight to the response. */
  get isDirect (): boolean {
    return this.#target === 'response'
  }

  /**
   * Aborts when no more events are wanted. Made when it is first asked for: most sources never do.
   */
  get signal (): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController()
      if (this.isOver) this.#controller.abort(new StreamClosedError(this.#reason ?? 'client-left'))
    }
    return this.#controller.signal
  }

  /**
   * Resolves when the source has come to its end: all its `finally` blocks have run. May never resolve.
   */
  settled (): Promise<void> {
    if (this.#running === 0) return Promise.resolve()
    this.#settled ??= new Promise((resolve) => { this.#settle = resolve })
    return this.#settled
  }

  // What feeds the stream

  /** Sends what the source gives, until it ends or the stream does. */
  feed (source: unknown): void {
    this.#workBegins()
    // Never rejects.
    void this.#pump(source)
  }

  /**
   * Sends one event.
   *
   * @returns whether the response took it: `false` when the stream is over, also by the fault of this event
   */
  async send (event: unknown): Promise<boolean> {
    if (this.isOver) return false
    let frame: string
    try {
      frame = this.settings.encode(event, this.#host)
    } catch (error) {
      this.fail(error, 'event-invalid')
      return false
    }
    if (frame === '') return false
    if (!this.#append(frame, 1)) await this.#untilReady()
    return this.#state !== State.Closed
  }

  /** Writes a comment. Does nothing after the end. */
  comment (text: string): void {
    if (!this.isOver) this.#append(encodeComment(text), 0)
  }

  async #pump (source: unknown): Promise<void> {
    try {
      let given = this.#called(source)
      if (isThenable(given)) given = await given
      // Called or not: a source that is not wanted any more still has to be told.
      const opened = this.isOver ? { events: given } : this.#host.open(given, this)
      if ('feed' in opened) {
        const { feed } = opened
        this.#feed = feed
        const starting = feed.start()
        if (starting !== undefined) await starting
        // Its first frames can be a long time coming, and nothing can refuse the stream any more.
        this.#commit()
      } else if (await this.#pull(opened.events, (event) => this.settings.encode(event, this.#host))) {
        this.end('source-ended')
      }
    } catch (error) {
      this.fail(error, 'source-failed')
    } finally {
      this.#workEnds()
    }
  }

  /** What a source function gives, which may be a promise. */
  #called (source: unknown): unknown {
    return typeof source === 'function' ? source(new Context(this, this.#host)) : source
  }

  /**
   * Sends what a source gives, as events of the application that encodes them.
   *
   * @returns a promise that rejects with what the source throws, and resolves when it has come to its end or the stream is over
   */
  async sendAll (source: unknown, encode: (event: unknown) => string): Promise<void> {
    this.#workBegins()
    try {
      await this.#pull(await this.#called(source), encode)
    } finally {
      this.#workEnds()
    }
  }

  /** @returns whether the source has come to its end before the stream */
  async #pull (given: unknown, encode: (event: unknown) => string): Promise<boolean> {
    let dropped = 0
    const puller = openSource(given)
    this.#puller = puller
    if (this.isOver) {
      this.#stopSource()
      return false
    }
    while (true) {
      let result: IteratorResult<unknown>
      try {
        const pulled = puller.next()
        result = isThenable(pulled) ? await pulled : pulled
      } catch (error) {
        // What throws has come to its end, and need not be told to return.
        this.#puller = null
        throw error
      }
      if (this.isOver) return false
      if (result.done === true) break
      let frame: string
      try {
        frame = encode(result.value)
      } catch (error) {
        this.fail(error, 'event-invalid')
        return false
      }
      if (frame === '') {
        if (++dropped % DROPS_PER_TURN === 0) await nextTurn()
      } else if (!this.#append(frame, 1)) {
        // A promise, not a callback: what the source does next must run in the request's asynchronous context.
        await this.#untilReady()
      }
      if (this.isOver) return false
    }
    this.#puller = null
    return true
  }

  // What a feed writes

  /** Whether the response takes frames now. When it does not, the feed is told to resume once it does. */
  get isReady (): boolean {
    return this.#state === State.Open && this.#target !== 'none' && !this.#isBlocked
  }

  /** Writes frames, after the text that is pending. Does nothing unless {@link isReady}: nothing comes after the end. */
  write (frames: Frames, now: number): void {
    if (!this.isReady) return
    const text = this.#pending
    this.#pending = ''
    if (text !== '') this.#write(text)
    this.#events += frames.events
    this.#hub.events += frames.events
    this.#written(this.#writeFrames(frames), now)
  }

  /** Adds text of no event, which leaves at the end of the turn or before the next frames. */
  writeText (text: string): void {
    if (!this.isOver && text !== '') this.#append(text, 0)
  }

  // The ways a stream ends

  /**
   * Ends the stream in order: what is pending is written, then `lastFrame`, then the response ends.
   *
   * @param lastFrame default: `sse.end` for a source that ended, nothing for other reasons
   */
  end (reason: CloseReason, lastFrame = reason === 'source-ended' && this.settings.controlEvents ? END_FRAME : ''): void {
    if (this.isOver) return
    if (this.#state === State.Opening) this.#commit()
    // The commit can fail, and what it runs can end the stream too.
    if (this.isOver) return
    this.#pending += (lastFrame === END_FRAME ? '' : this.#feed?.tellPosition() ?? '') + lastFrame
    this.#state = State.Ending
    this.#reason = reason
    this.#release()
    this.#schedule()
  }

  /**
   * Ends the stream because of an error: by an error response while nothing has been sent, else by one `sse.fault`.
   *
   * After the end of the stream the error is reported, unless it only says that the source noticed the end.
   */
  fail (error: unknown, reason: 'source-failed' | 'event-invalid' = 'source-failed'): void {
    if (this.isOver) {
      if (!isAbort(error)) this.#host.warn(error, 'the source of an event stream failed after the stream had ended')
      return
    }
    this.#error = error
    if (this.#state === State.Opening) {
      this.#state = State.Ending
      this.#reason = reason
      this.#isRefused = true
      this.#release()
      this.#host.refuse(error instanceof Error
        ? error
        : new SSEError('FST_SSE_SOURCE_FAILED', 'The source of the event stream failed with something that is not an Error.', {}, error))
      return
    }
    if (this.settings.controlEvents) {
      this.end(reason, faultFrame(error))
    } else {
      // Without control events the only way to tell a failure from an orderly end is a response that is cut off.
      this.#reason = reason
      this.cut(reason)
    }
  }

  /** Ends the stream at once, and cuts off a client that may still wait for something. */
  cut (reason: CloseReason): void {
    if (this.#state === State.Closed) return
    this.#close(reason)
    cutOff(this.#host.exchange)
  }

  broken (error: unknown): void {
    this.#error ??= error
    this.cut('source-failed')
  }

  /** Ends the stream in order after some time. The earliest of several such times counts. */
  endAfter (ms: number, reason: CloseReason): void {
    const at = Date.now() + ms
    if (this.#endsAt <= at) return
    this.#endsAt = at
    if (this.#ageTimer !== null) clearTimeout(this.#ageTimer)
    // A delay over 2^31 - 1 would fire at once.
    this.#ageTimer = setTimeout(() => {
      this.#ageTimer = null
      this.#endsAt = Infinity
      if (Date.now() < at) this.endAfter(at - Date.now(), reason)
      else this.end(reason)
    }, Math.min(ms, MAX_DELAY_MS))
    this.#ageTimer.unref?.()
  }

  #endsAt = Infinity

  /** The client's connection is gone. */
  peerLeft (): void {
    if (this.#state === State.Closed) return
    // Listeners of ours are gone after this, so the response must not wait for a drain that never comes.
    this.#close('client-left')
    cutOff(this.#host.exchange)
  }

  /** Something else is sent as the response. */
  replace (): void {
    this.#close('response-replaced')
  }

  bodyDestroyed (): void {
    if (this.#target !== 'response' && !this.#hasEnded) this.#close(this.#host.exchange.response.destroyed ? 'client-left' : 'response-replaced')
  }

  /** The response is closed, in whatever way. */
  responseClosed (): void {
    this.#earlier?.responseClosed()
    if (this.#state === State.Closed) return
    // A hook may have sent something else than the body.
    if (this.#state === State.Open && isDelivered(this.#host.exchange)) this.#close('response-replaced')
    else this.#close('client-left')
  }

  /** No more events are wanted: tells the source and everybody who waits. */
  #release (): void {
    if (this.#commitTimer !== null) realTimers.clearTimeout(this.#commitTimer)
    if (this.#ageTimer !== null) clearTimeout(this.#ageTimer)
    this.#commitTimer = this.#ageTimer = null
    this.#wakeUp()
    this.#controller?.abort(new StreamClosedError(this.#reason ?? 'client-left'))
    this.#feed?.close(this.#reason ?? 'client-left')
    this.#stopSource()
  }

  #stopSource (): void {
    const puller = this.#puller
    if (puller === null) return
    this.#puller = null
    // Not awaited: a source that is parked on an await returns only when that settles.
    this.#workBegins()
    puller.stop().catch((error: unknown) => this.fail(error)).finally(() => this.#workEnds())
  }

  #workBegins (): void {
    if (this.#running++ === 0) this.#hub.unsettled.add(this)
  }

  #workEnds (): void {
    if (--this.#running > 0) return
    this.#hub.unsettled.delete(this)
    if (this.#state === State.Closed) this.#hub.timer.disarm(this)
    this.#settle?.()
  }

  #close (reason: CloseReason): void {
    if (this.#state === State.Closed) return
    const { exchange } = this.#host
    this.#reason ??= reason
    const wasOver = this.isOver
    this.#state = State.Closed
    this.#pending = ''
    this.#hub.timer.disarm(this)
    this.#hub.remove(this, this.#reason)
    exchange.response.off('close', onResponseClose)
    exchange.response.off('drain', onResponseDrain)
    if (this.#drainSocket !== null) exchange.request.socket?.off('drain', this.#drainSocket)
    unwatchPeer(exchange, this)
    this.#finishBody()
    if (wasOver) this.#wakeUp()
    else this.#release()
    if (this.#running > 0) this.#hub.timer.arm(this, SOURCE_GRACE_MS, Date.now())
    try {
      this.#host.closed({
        reason: this.#reason,
        error: this.#error,
        events: this.#events,
        durationMs: Date.now() - this.openedAt,
        isRefused: this.#isRefused
      })
    } finally {
      this.#resolveClosed()
    }
  }

  // Writing

  #commit (): void {
    if (this.#state !== State.Opening) return
    this.#state = State.Open
    if (this.#commitTimer !== null) realTimers.clearTimeout(this.#commitTimer)
    this.#commitTimer = null
    this.#pending = this.settings.opening + this.#pending
    try {
      this.#host.commit(this.#body!)
    } catch (error) {
      this.#state = State.Opening
      this.fail(error)
    }
  }

  /** @returns whether there is room for more */
  #append (frame: string, events: number): boolean {
    if (this.#state === State.Opening) this.#commit()
    if (this.isOver) return false
    flatten(frame)
    this.#pending += frame
    this.#events += events
    this.#hub.events += events
    this.#schedule()
    return this.#target !== 'none' && !this.#isBlocked && this.#pending.length < batchSize()
  }

  #schedule (): void {
    if (this.#isScheduled || this.#isBlocked || this.#target === 'none') return
    this.#isScheduled = true
    flushAtTurnEnd(this)
  }

  /** Resolves when there is room for more, or the stream is over. */
  #untilReady (): Promise<void> {
    if (this.isOver) return Promise.resolve()
    this.#ready ??= new Promise((resolve) => { this.#wake = resolve })
    return this.#ready
  }

  #wakeUp (): void {
    const wake = this.#wake
    this.#ready = this.#wake = null
    wake?.()
  }

  flush (now: number): void {
    this.#isScheduled = false
    if (this.#state === State.Closed || this.#isBlocked || this.#target === 'none') return
    const text = this.#pending
    this.#pending = ''
    if (this.#state === State.Ending) {
      this.#finish(text, now)
      return
    }
    this.#written(text === '' || this.#write(text), now)
    if (!this.#isBlocked) {
      this.#wakeUp()
      this.#feed?.resume(now)
    }
  }

  #written (isTaken: boolean, now: number): void {
    if (!this.#hasHead) {
      this.#hasHead = true
      // Node keeps the text of the head as long as the response lives.
      flatten((this.response as { _header?: string })._header ?? '')
    }
    if (!isTaken) {
      this.#block(now)
      return
    }
    if (this.settings.heartbeatMs > 0) this.#hub.timer.arm(this, this.settings.heartbeatMs, now)
  }

  #write (text: string): boolean {
    return this.#target === 'response' ? (this.response as NodeJS.WritableStream).write(text) : this.#body!.push(text, 'utf8')
  }

  #writeFrames ({ frames, chunk }: Frames): boolean {
    const socket = this.#target === 'response' ? chunkSocket(this.#host.exchange) : null
    if (socket === null) return this.#target === 'response' ? (this.response as NodeJS.WritableStream).write(frames) : this.#body!.push(frames)
    // What the system has taken is not waiting, however much it was.
    if (socket.write(chunk) || socket.writableLength === 0) return true
    // The response itself has no part in this write, and gives no `drain` for it.
    this.#drainSocket ??= () => {
      // The response may have said so before, and more been written than is taken.
      if (!socket.writableNeedDrain) this.drained()
    }
    socket.once('drain', this.#drainSocket)
    return false
  }

  #finish (text: string, now: number): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    // Until the response is closed the client may stop reading: the stall deadline goes on.
    this.#block(now)
    if (this.#target === 'response' && this.#endsResponse) {
      // Text and end in one call: one write.
      (this.response as NodeJS.WritableStream).end(text)
    } else if (text !== '') {
      this.#write(text)
    }
    this.#finishBody()
  }

  #finishBody (): void {
    if (this.#target !== 'none') this.#body?.finish()
  }

  #block (now: number): void {
    this.#isBlocked = true
    this.#unsent = -1
    this.#watchProgress(now)
  }

  /** Looks four times in a stall timeout, so that a client is cut off at most a quarter of it late. */
  #watchProgress (now: number): void {
    const unsent = unsentBytes(this.#host.exchange)
    if (unsent !== this.#unsent || isQueued(this.#host.exchange)) {
      this.#unsent = unsent
      this.#progressAt = now
    }
    this.#hub.timer.arm(this, Math.ceil(this.settings.stallTimeoutMs / 4), now)
  }

  /** The response takes bytes again. */
  drained (): void {
    if (!this.#isBlocked || this.#hasEnded || this.#state === State.Closed) return
    this.#isBlocked = false
    this.flush(Date.now())
  }

  attachResponse (endsResponse: boolean): boolean {
    if (this.#target !== 'none') return false
    if (this.#state === State.Closed) return true
    this.#target = 'response'
    this.#endsResponse = endsResponse
    this.response.on('drain', onResponseDrain)
    this.#schedule()
    return true
  }

  bodyDone (): void {
    this.#body = null
  }

  attachBody (): void {
    if (this.#state === State.Closed) return
    if (this.#target === 'none') {
      this.#target = 'body'
      this.#schedule()
    } else {
      this.drained()
    }
  }

  // Time

  due (now: number): void {
    if (this.#state === State.Closed) {
      this.#host.warn(null, `the source of an event stream has not returned ${SOURCE_GRACE_MS} ms after the stream ended: ` +
        'let it stop when its signal aborts')
    } else if (!this.#isBlocked) {
      this.#append(this.#feed?.tellPosition() || HEARTBEAT, 0)
    } else {
      this.#watchProgress(now)
      if (now - this.#progressAt >= this.settings.stallTimeoutMs) this.cut('client-stalled')
    }
  }
}

// One function for all responses, rather than two closures for each.
type StreamedResponse = Exchange['response'] & { [kStream]?: EventStream }

function onResponseClose (this: StreamedResponse): void {
  this[kStream]?.responseClosed()
}

function onResponseDrain (this: StreamedResponse): void {
  this[kStream]?.drained()
}

/**
 * Makes one piece of a text that was put together from many. A frame has a dozen, and until the end of the turn they
 * would take several times the memory of the text. (To make a number of it V8 has to make it one piece, and then sees at
 * its first character that it is none.)
 */
const flatten = Number as (text: string) => unknown

const HEARTBEAT = encodeComment('')
