import { show, SSEError } from '../errors.js'
import type { CloseReason } from '../close-reason.js'
import type { ReadEvent } from './cursor.js'
import { decodeFrame } from './frame.js'
import type { Gap, GapEvent } from './gap.js'
import { Reader, type ReaderOwner, type ReaderPart, type ReaderSource } from './reader.js'

type Result = IteratorResult<ReadEvent | GapEvent, undefined>

const DONE: Result = { done: true, value: undefined }

/**
 * Channels read with `for await`: event by event, at the reader's own pace.
 *
 * It is a subscriber from its first `next()` on, until its end, `return()`, an error or the signal.
 */
export class SubscriptionIterator implements AsyncIterableIterator<ReadEvent | GapEvent>, ReaderOwner {
  /** Of no stream: a subscriber by itself. */
  readonly request = undefined
  readonly lastEventId = undefined
  readonly #getSources: () => readonly ReaderSource[]
  readonly #signal: AbortSignal | undefined
  #reader!: Reader
  #state: 'new' | 'open' | 'over' = 'new'
  /** What comes before the channels' own events. */
  #first: AsyncIterator<ReadEvent> | Iterator<ReadEvent> | null = null
  #wake: (() => void) | null = null
  #failure: { error: unknown } | null = null
  #wasNotified = false
  /** The answer before: each call of `next` waits for it. */
  #last: Promise<unknown> = Promise.resolve()
  readonly #onAbort = (): void => { this.#end('client-left') }

  /** @param getSources called when the iteration begins: what is read, and from where */
  constructor (getSources: () => readonly ReaderSource[], signal: AbortSignal | undefined) {
    this.#getSources = getSources
    this.#signal = signal
  }

  [Symbol.asyncIterator] (): this {
    return this
  }

  next (): Promise<Result> {
    // At once, and not when its turn comes: what is published after the call is for it.
    if (this.#state === 'new') this.#begin()
    const result = this.#last.then(() => this.#next())
    this.#last = result.catch(() => {})
    return result
  }

  async #next (): Promise<Result> {
    try {
      while (this.#state === 'open') {
        if (this.#failure !== null) throw this.#failure.error
        this.#wasNotified = false
        const event = await this.#take()
        if (this.#isOver()) break
        if (event !== null) return { done: false, value: event }
        if (this.#reader.isOver) {
          this.#end('source-ended')
          break
        }
        // It may have been told of more while it looked.
        if (!this.#wasNotified) await new Promise<void>((resolve) => { this.#wake = resolve })
      }
    } catch (error) {
      this.#end(error instanceof SSEError && error.code === 'FST_SSE_SUBSCRIBER_OVERRUN' ? 'slow-subscriber' : 'source-failed')
      throw error
    }
    return DONE
  }

  // Asked anew after each wait, which TypeScript does not see.
  #isOver (): boolean {
    return this.#state === 'over'
  }

  /** The next event; null when there is none now. */
  async #take (): Promise<ReadEvent | GapEvent | null> {
    const reader = this.#reader
    if (this.#first !== null) {
      const result = await this.#first.next()
      if (result.done !== true) return result.value
      this.#first = null
    }
    const fresh = reader.parts.find(({ isFresh }) => isFresh)
    if (fresh !== undefined) {
      fresh.isFresh = false
      this.#first = openIterator(await fresh.options.snapshot!({ gap: null, request: undefined }))
      return this.#isOver() ? null : await this.#take()
    }
    const overrun = reader.findOverrun()
    if (overrun?.overrun() === true) throw overrunError(overrun)
    const broken = reader.parts.find(({ gap }) => gap !== null)
    if (broken !== undefined) return await this.#tellGap(broken)
    const part = reader.next()
    if (part === null) return null
    const { definition } = part.core
    const event = decodeFrame(part.take().frame, (eventType) => definition.isText(eventType))
    if (reader.parts.length > 1) event.id = reader.id
    return event
  }

  async #tellGap (part: ReaderPart): Promise<GapEvent> {
    const { gap, first } = await part.resolveGap(part.gap!)
    const source: unknown = typeof first === 'function' ? await first() : first
    if (source !== undefined) this.#first = openIterator(source)
    // Without an ID when a snapshot follows: a client that is cut off amid it has the gap still before it.
    return gapEvent(this.#reader.parts.length > 1 ? { ...gap, ...part.name } : gap, source === undefined ? this.#reader.id : undefined)
  }

  notify (): void {
    const wake = this.#wake
    this.#wasNotified = true
    this.#wake = null
    wake?.()
  }

  tell (): void {}

  failed (error: unknown): void {
    this.#failure = { error }
    this.notify()
  }

  return (): Promise<Result> {
    this.#end('source-ended')
    return Promise.resolve(DONE)
  }

  #begin (): void {
    const signal = this.#signal
    if (signal?.aborted === true) {
      this.#state = 'over'
      return
    }
    this.#state = 'open'
    this.#reader = new Reader(this.#getSources(), this)
    signal?.addEventListener('abort', this.#onAbort, { once: true })
    this.#reader.join()
  }

  #end (reason: CloseReason): void {
    const wasOpen = this.#state === 'open'
    this.#state = 'over'
    if (!wasOpen) return
    this.#signal?.removeEventListener('abort', this.#onAbort)
    this.#reader.close(reason)
    try {
      Promise.resolve(this.#first?.return?.()).catch(() => {})
    } catch {}
    this.notify()
  }
}

/** Gap events that were made here: nobody else's may be sent. */
const gapEvents = new WeakSet<object>()

function gapEvent (gap: Gap, id: string | undefined): GapEvent {
  const event: GapEvent = id === undefined ? { event: 'sse.gap', data: gap } : { event: 'sse.gap', data: gap, id }
  gapEvents.add(event)
  return event
}

/** Whether a value is a gap that an iteration has given. */
export function isGapEvent (value: unknown): value is GapEvent {
  return typeof value === 'object' && value !== null && gapEvents.has(value)
}

function overrunError ({ channel }: ReaderPart): SSEError {
  return new SSEError('FST_SSE_SUBSCRIBER_OVERRUN',
    `The reader of channel ${show(channel)} is so slow that events were evicted before it had taken them. ` +
    "Take events faster, raise the channel's backlog, or subscribe with overrun: 'skip' or 'latest'.", { channel })
}

function openIterator (source: unknown): AsyncIterator<ReadEvent> | Iterator<ReadEvent> {
  const { [Symbol.asyncIterator]: async, [Symbol.iterator]: sync } = Object(source) as Partial<AsyncIterable<ReadEvent> & Iterable<ReadEvent>>
  const iterator = async?.call(source) ?? sync?.call(source)
  if (iterator !== undefined) return iterator
  throw new SSEError('FST_SSE_SOURCE_INVALID', `A snapshot must be an iterable of events, but is ${show(source)}.`, { found: show(source) })
}
