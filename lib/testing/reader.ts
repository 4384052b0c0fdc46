import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import { show, SSEError } from '../errors.js'
import type { StreamEvent } from '../schema/received.js'
import { realTimers } from '../time/real-timers.js'
import { createDecoder, type DecodedEvent, type Decoder } from '../wire/decode.js'
import { StreamFaultError } from './fault.js'
import { checkTimeout } from './timeout.js'
import type { InjectedStream, InjectedStreamEnd, ReadOptions } from './types.js'

/** A response that is an event stream, and how it was asked for. */
export interface InjectedExchange {
  /** Method and URL, for messages. */
  readonly label: string
  readonly statusCode: number
  readonly headers: OutgoingHttpHeaders
  readonly payload: Readable
  readonly response: ServerResponse
  readonly lastEventId: string
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
}

/** A call of `next` or `take`. */
interface Read<D> {
  readonly count: number
  /** What it has taken. */
  readonly taken: DecodedEvent[]
  readonly events: Array<StreamEvent<D>>
  readonly timer: ReturnType<typeof setTimeout> | undefined
  readonly resolve: (events: Array<StreamEvent<D>>) => void
  readonly reject: (error: Error) => void
}

/** How the stream is over, and what reads reject with then. */
interface Outcome {
  readonly ended: InjectedStreamEnd
  readonly error?: Error
}

/** What tells which events have text for data, among the comments that a stream opens with. */
const TEXT_NOTE = 'sse-text: '

/** Reads the response of one injected request. */
export class StreamReader<D> implements InjectedStream<D> {
  readonly comments: string[] = []
  readonly #exchange: InjectedExchange
  readonly #decoder: Decoder
  /** Resolves when the response is closed, and with it all that the server has of the stream. */
  readonly #released: Promise<void>
  readonly #textTypes = new Set<string>()
  #reconnectionTimeMs: number | undefined
  /** Events that have come and that no read has taken. */
  #waiting: DecodedEvent[] = []
  #reads: Array<Read<D>> = []
  #lastReadId: string
  #eventsRead = 0
  /** What the stream itself has said about its end. The response ends after that. */
  #verdict: Outcome | undefined
  #outcome: Outcome | undefined
  #closing: Promise<void> | undefined

  constructor (exchange: InjectedExchange) {
    this.#exchange = exchange
    this.#lastReadId = exchange.lastEventId
    const { payload, response, signal } = exchange
    if (exchange.statusCode === 204) this.#verdict = { ended: 'no-content' }
    this.#decoder = createDecoder({
      lastEventId: exchange.lastEventId,
      onEvent: (event) => this.#onEvent(event),
      onComment: (text) => this.#onComment(text),
      onRetry: (ms) => { this.#reconnectionTimeMs = ms }
    })
    this.#released = response.destroyed
      // Its `close` has been emitted, or is about to be.
      ? new Promise((resolve) => { process.nextTick(resolve) })
      : new Promise((resolve) => { response.once('close', resolve) })
    payload.on('readable', () => {
      this.#read()
      this.#serve()
    })
    // What it says is no more than that it was cut off.
    payload.on('error', () => {})
    payload.once('close', () => { void this.#responseEnded(payload.readableEnded) })
    if (signal !== undefined) {
      const leave = (): void => { void this.close() }
      if (signal.aborted) leave()
      signal.addEventListener('abort', leave)
      void this.#released.then(() => signal.removeEventListener('abort', leave))
    }
    this.#read()
  }

  get statusCode (): number {
    return this.#exchange.statusCode
  }

  get headers (): OutgoingHttpHeaders {
    return this.#exchange.headers
  }

  get ended (): InjectedStreamEnd | undefined {
    return this.#waiting.length === 0 ? this.#outcome?.ended : undefined
  }

  get lastEventId (): string {
    const isAllRead = this.#waiting.length === 0 && (this.#reads[0]?.taken.length ?? 0) === 0
    return isAllRead && this.#closing === undefined ? this.#decoder.lastEventId : this.#lastReadId
  }

  get reconnectionTimeMs (): number | undefined {
    return this.#reconnectionTimeMs
  }

  async next (options?: ReadOptions): Promise<StreamEvent<D> | undefined> {
    const [event] = await this.#enqueue(1, options)
    return event
  }

  async take (count: number, options?: ReadOptions): Promise<Array<StreamEvent<D>>> {
    if (count !== Infinity && !(Number.isInteger(count) && count >= 0)) {
      throw new SSEError('FST_SSE_OPTION_INVALID', `take() takes a number of events, 0 or more, or Infinity, but was given ${show(count)}.`,
        { option: 'count', value: count })
    }
    return await this.#enqueue(count, options)
  }

  close (): Promise<void> {
    if (this.#closing !== undefined) return this.#closing
    this.#lastReadId = this.lastEventId
    this.#waiting = []
    this.#decoder.stop()
    this.#exchange.payload.destroy()
    // A response that is no stream of ours does not notice that nobody reads it.
    this.#exchange.response.destroy()
    this.#closing = this.#released.then(() => {
      this.#outcome = { ended: this.#outcome?.ended ?? this.#verdict?.ended ?? 'left' }
      this.#serve()
    })
    return this.#closing
  }

  [Symbol.asyncDispose] (): Promise<void> {
    return this.close()
  }

  [Symbol.asyncIterator] (): AsyncIterator<StreamEvent<D>, undefined> {
    return {
      next: async () => {
        try {
          const value = await this.next()
          return value === undefined ? { done: true, value } : { done: false, value }
        } catch (error) {
          await this.close()
          throw error
        }
      },
      return: async () => {
        await this.close()
        return { done: true, value: undefined }
      }
    }
  }

  // From the response

  /** Reads while there is nothing to give, chunk by chunk: the server goes on when that is read. */
  #read (): void {
    const { payload } = this.#exchange
    // After the stream's last event there is nothing but the end of the response.
    while (this.#waiting.length === 0 || this.#verdict !== undefined) {
      const chunk: Uint8Array | null = payload.read()
      if (chunk === null) return
      this.#decoder.push(chunk)
    }
  }

  #onEvent (event: DecodedEvent): void {
    if (event.event === 'sse.end') this.#verdict = { ended: 'source-ended' }
    else if (event.event === 'sse.fault') this.#verdict = { ended: 'fault', error: faultOf(event.data) }
    else this.#waiting.push(event)
    if (this.#verdict !== undefined) this.#decoder.stop()
  }

  #onComment (text: string): void {
    this.comments.push(text)
    // After `retry` it would be one of the application's own.
    if (!text.startsWith(TEXT_NOTE) || this.#reconnectionTimeMs !== undefined) return
    for (const eventType of text.slice(TEXT_NOTE.length).split(',')) this.#textTypes.add(decodeURIComponent(eventType))
  }

  async #responseEnded (inOrder: boolean): Promise<void> {
    // Who reads that the stream is over finds it gone from the server.
    await this.#released
    if (this.#closing !== undefined) return
    this.#outcome = this.#verdict ?? (inOrder
      ? { ended: 'incomplete' }
      : {
          ended: 'cut',
          error: new SSEError('FST_SSE_TEST_STREAM_CUT', `${this.#exchange.label} was cut off by the server${this.#after()}. ` +
            'onDisconnect and the log of the application (level debug) tell the reason.', { events: this.#eventsRead })
        })
    this.#serve()
  }

  // To the test

  #enqueue (count: number, { timeoutMs = this.#exchange.timeoutMs }: ReadOptions = {}): Promise<Array<StreamEvent<D>>> {
    checkTimeout(timeoutMs)
    return new Promise((resolve, reject) => {
      const timer = timeoutMs === 0 ? undefined : realTimers.setTimeout(() => this.#expire(read, timeoutMs), timeoutMs)
      const read: Read<D> = { count, taken: [], events: [], timer, resolve, reject }
      this.#reads.push(read)
      this.#serve()
    })
  }

  #serve (): void {
    for (let read; (read = this.#reads[0]) !== undefined;) {
      if (read.events.length >= read.count) {
        this.#fulfil(read)
        continue
      }
      if (this.#waiting.length === 0 && this.#outcome === undefined) this.#read()
      const event = this.#waiting.shift()
      if (event !== undefined) {
        try {
          read.events.push(this.#parse(event))
          read.taken.push(event)
          read.timer?.refresh()
        } catch (error) {
          this.#fail(read, error as Error)
        }
      } else if (this.#outcome === undefined) {
        return
      } else if (this.#outcome.error === undefined) {
        this.#fulfil(read)
      } else {
        this.#fail(read, this.#outcome.error)
      }
    }
  }

  #fulfil (read: Read<D>): void {
    this.#remove(read)
    this.#lastReadId = read.taken.at(-1)?.id ?? this.#lastReadId
    this.#eventsRead += read.taken.length
    read.resolve(read.events)
  }

  #fail (read: Read<D>, error: Error): void {
    this.#remove(read)
    // What it has taken is there for the reads after it.
    this.#waiting = [...read.taken, ...this.#waiting]
    read.reject(error)
  }

  #remove (read: Read<D>): void {
    realTimers.clearTimeout(read.timer)
    this.#reads = this.#reads.filter((other) => other !== read)
  }

  #expire (read: Read<D>, timeoutMs: number): void {
    const missing = read.count === 1 || read.count === Infinity ? '' : `, and ${read.events.length} of the ${read.count} asked for`
    this.#fail(read, new SSEError('FST_SSE_TEST_TIMEOUT',
      `${this.#exchange.label} gave no event within ${timeoutMs} ms${this.#after()}${missing}. The stream is open. When its source waits ` +
      'for a clock that the test has faked, call next() first, then move the clock, then await what next() gave.',
      { timeoutMs, events: this.#eventsRead }))
    this.#serve()
  }

  #after (): string {
    return this.#eventsRead === 0 ? '' : ` after ${this.#eventsRead === 1 ? 'one event' : `${this.#eventsRead} events`}`
  }

  #parse ({ event, data, id }: DecodedEvent): StreamEvent<D> {
    const parsed = { event, data: this.#textTypes.has(event) ? data : this.#json(event, data), ...(id === '' ? {} : { id }) }
    return parsed as StreamEvent<D>
  }

  #json (event: string, data: string): unknown {
    try {
      return JSON.parse(data)
    } catch (cause) {
      throw new SSEError('FST_SSE_TEST_DATA_UNREADABLE', `The data of event ${show(event)} of ${this.#exchange.label} is not JSON: ${show(data)}. ` +
        'Declare the event with text() when its data is text.', { eventType: event, data }, cause)
    }
  }
}

function faultOf (data: string): StreamFaultError {
  try {
    const { code, message } = JSON.parse(data)
    return new StreamFaultError(String(code), String(message))
  } catch {
    return new StreamFaultError('FST_SSE_SOURCE_FAILED', data)
  }
}
