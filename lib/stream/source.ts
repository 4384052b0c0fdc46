import { SSEError, show } from '../errors.js'

/**
 * What a stream is fed from, whatever the application handed over: one event at a time, and a way to stop.
 */
export interface Puller {
  /**
   * The next event. Iterables that are not asynchronous answer at once, without a promise.
   *
   * Never called again before the last answer is there.
   */
  next (): IteratorResult<unknown> | Promise<IteratorResult<unknown>>
  /**
   * The stream is over and wants no more events: lets the source run its `finally` blocks.
   *
   * Called at most once, also while `next()` is under way. Resolves when the source has cleaned up; it may reject with
   * what the source threw, and it never resolves for a source that waits for something that does not happen.
   */
  stop (): Promise<unknown>
}

const accepted = 'an async iterable, an iterable, a Readable in object mode, a web ReadableStream, ' +
  'or a function (a generator function too) that returns one of them'

/**
 * Makes a {@link Puller} of what was handed to `reply.sse`, once functions have been called.
 *
 * @throws FST_SSE_SOURCE_INVALID for anything else than an iterable or a stream of objects
 */
export function openSource (source: unknown): Puller {
  if (typeof source === 'object' && source !== null) {
    if (isWebStream(source)) return new WebStreamPuller(source)
    if (isNodeStream(source)) return new NodeStreamPuller(source)
    if (Symbol.asyncIterator in source && typeof source[Symbol.asyncIterator] === 'function') {
      return new AsyncPuller((source as AsyncIterable<unknown>)[Symbol.asyncIterator]())
    }
    if (Symbol.iterator in source && typeof source[Symbol.iterator] === 'function') {
      return new SyncPuller((source as Iterable<unknown>)[Symbol.iterator]())
    }
  }
  let found = show(source)
  let hint = `Hand over ${accepted}.`
  if (typeof source === 'string') hint = 'To send one text, hand over [{ data: text }].'
  else if (source === undefined) hint = `Does the function return its source? It may return ${accepted}.`
  else if (typeof source === 'object' && source !== null) {
    found = `${source.constructor?.name ?? 'an object'} ${found}`
    if ('data' in source) hint = 'To send one event, hand over an array: reply.sse([event]).'
    else if ('on' in source) hint = 'To send what an EventEmitter emits, hand over app.sse.on(emitter, name, { signal }).'
  }
  throw new SSEError('FST_SSE_SOURCE_INVALID', `The source of an event stream must be iterable, but it is ${found}. ${hint}`, { found })
}

/**
 * Lets go of a source that will not be pulled, because there is no stream: a Node stream holds a file or a connection.
 */
export function discardSource (source: unknown): void {
  if (typeof source !== 'object' || source === null) return
  holdErrors(source)
  try {
    openSource(source).stop().catch(() => {})
  } catch {}
}

/**
 * Keeps the error of a Node stream that is not pulled yet from being thrown at the process. Its iterator throws it later.
 */
export function holdErrors (source: unknown): void {
  if (typeof source === 'object' && source !== null && isNodeStream(source)) source.on('error', () => {})
}

class AsyncPuller implements Puller {
  readonly #iterator: AsyncIterator<unknown>

  constructor (iterator: AsyncIterator<unknown>) {
    this.#iterator = iterator
  }

  next (): Promise<IteratorResult<unknown>> {
    return this.#iterator.next()
  }

  async stop (): Promise<void> {
    await this.#iterator.return?.()
  }
}

class SyncPuller implements Puller {
  readonly #iterator: Iterator<unknown>
  #isRunning = false

  constructor (iterator: Iterator<unknown>) {
    this.#iterator = iterator
  }

  next (): IteratorResult<unknown> | Promise<IteratorResult<unknown>> {
    this.#isRunning = true
    let result: IteratorResult<unknown>
    try {
      result = this.#iterator.next()
    } finally {
      this.#isRunning = false
    }
    // As `for await` does: an array of promises is a source of what they resolve to.
    if (result.done !== true && isThenable(result.value)) {
      return Promise.resolve(result.value).then((value) => ({ done: false, value }))
    }
    return result
  }

  async stop (): Promise<void> {
    // A source that ends its own stream runs right now, and a running generator cannot be returned.
    if (this.#isRunning) await null
    this.#iterator.return?.()
  }
}

interface NodeStream extends AsyncIterable<unknown> {
  readonly readableObjectMode?: boolean
  on (event: 'error', listener: () => void): unknown
  destroy (): unknown
}

class NodeStreamPuller implements Puller {
  readonly #stream: NodeStream
  readonly #iterator: AsyncIterator<unknown>

  constructor (stream: NodeStream) {
    if (stream.readableObjectMode === false) {
      throw new SSEError('FST_SSE_SOURCE_INVALID',
        'The source is a stream of bytes, and an event stream is fed with events. ' +
        'Pipe it through a transform that makes { event, data } objects (readableObjectMode: true).',
        { found: 'a Readable without object mode' })
    }
    this.#stream = stream
    this.#iterator = stream[Symbol.asyncIterator]()
  }

  next (): Promise<IteratorResult<unknown>> {
    return this.#iterator.next()
  }

  async stop (): Promise<void> {
    // The iterator's return() waits behind a pending read; destroying the stream ends that read.
    this.#stream.destroy()
    await this.#iterator.return?.()
  }
}

class WebStreamPuller implements Puller {
  readonly #reader: ReadableStreamDefaultReader<unknown>

  constructor (stream: ReadableStream<unknown>) {
    if (stream.locked) {
      throw new SSEError('FST_SSE_SOURCE_INVALID',
        'The source is a web ReadableStream that somebody reads already. Hand over a stream without a reader, or one half of tee().',
        { found: 'a locked ReadableStream' })
    }
    this.#reader = stream.getReader()
  }

  next (): Promise<IteratorResult<unknown>> {
    return this.#reader.read() as Promise<IteratorResult<unknown>>
  }

  async stop (): Promise<void> {
    await this.#reader.cancel()
  }
}

function isWebStream (value: object): value is ReadableStream<unknown> {
  return 'getReader' in value && typeof value.getReader === 'function'
}

function isNodeStream (value: object): value is NodeStream {
  return 'pipe' in value && typeof value.pipe === 'function' && 'destroy' in value && Symbol.asyncIterator in value
}

export function isThenable (value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}
