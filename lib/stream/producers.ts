import type { EventEmitter } from 'node:events'
import { SSEError, show } from '../errors.js'

/** Options of {@link on}. */
export interface OnOptions {
  /** Ends the iteration and removes the listeners. Hand over the stream's. */
  signal: AbortSignal
  /**
   * Most values that wait to be taken, while the client is slower than the emitter.
   *
   * An integer of 1 or more. Past it the oldest value is given up, so memory stays bounded.
   *
   * @defaultValue `1024`
   */
  maxWaiting?: number | undefined
  /** Called with the number of values given up so far, each time that one is. */
  onDropped?: ((dropped: number) => void) | undefined
}

/**
 * What an emitter emits, as an async iterable: for each event its arguments, as an array.
 *
 * Listening begins with the call, not with the first `next()`. It ends when the signal aborts, when the iteration is
 * left, or when the emitter emits `error`, which the iteration throws; no listener stays behind in any case. (Without
 * a signal, `events.on` of Node keeps its listeners when a client leaves.)
 *
 * ```ts
 * reply.sse(async function * ({ signal }) {
 *   for await (const [price] of app.sse.on(ticker, 'price', { signal })) yield { event: 'price', data: price }
 * })
 * ```
 *
 * @param emitter a Node `EventEmitter`; the types of its arguments are those of `EventEmitter<{ price: [number] }>`
 * @param name the event to listen to
 * @throws FST_SSE_OPTION_INVALID for a missing signal or a `maxWaiting` out of range
 */
export function on<Events extends Record<keyof Events, unknown[]>, Name extends keyof Events & (string | symbol)> (
  emitter: EventEmitter<Events>, name: Name, options: OnOptions
): AsyncIterableIterator<Events[Name]>
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- as an EventEmitter without type arguments has it
export function on<Args extends unknown[] = any[]> (emitter: EventEmitter, name: string | symbol, options: OnOptions): AsyncIterableIterator<Args>
export function on<Args extends unknown[]> (emitter: EventEmitter, name: string | symbol, options: OnOptions): AsyncIterableIterator<Args> {
  const { signal, maxWaiting = 1024, onDropped } = options ?? {}
  requireSignal(signal, 'app.sse.on(emitter, name, { signal })')
  if (!Number.isInteger(maxWaiting) || maxWaiting < 1) {
    throw new SSEError('FST_SSE_OPTION_INVALID', `maxWaiting must be an integer of 1 or more, but is ${show(maxWaiting)}.`, { option: 'maxWaiting', value: maxWaiting })
  }
  const values: Args[] = []
  let dropped = 0
  let isOver = false
  let failure: { error: unknown } | null = null
  let take: { resolve: (result: IteratorResult<Args>) => void, reject: (error: unknown) => void } | null = null

  const onValue = (...args: unknown[]): void => {
    if (take !== null) {
      const { resolve } = take
      take = null
      resolve({ done: false, value: args as Args })
      return
    }
    values.push(args as Args)
    if (values.length > maxWaiting) {
      values.shift()
      onDropped?.(++dropped)
    }
  }
  const onError = (error: unknown): void => {
    end()
    if (take !== null) {
      take.reject(error)
      take = null
    } else {
      failure = { error }
    }
  }
  function end (): void {
    if (isOver) return
    isOver = true
    if (emitter.getMaxListeners() > 0) emitter.setMaxListeners(emitter.getMaxListeners() - 1)
    emitter.off(name, onValue)
    if (name !== 'error') emitter.off('error', onError)
    signal.removeEventListener('abort', finish)
  }
  function finish (): void {
    end()
    values.length = 0
    take?.resolve({ done: true, value: undefined })
    take = null
  }

  if (signal.aborted) {
    isOver = true
  } else {
    // Each client is one more listener, which is no sign of a leak: they go with their clients.
    if (emitter.getMaxListeners() > 0) emitter.setMaxListeners(emitter.getMaxListeners() + 1)
    emitter.on(name, onValue)
    if (name !== 'error') emitter.on('error', onError)
    signal.addEventListener('abort', finish, { once: true })
  }

  return {
    [Symbol.asyncIterator] () {
      return this
    },
    next () {
      const value = values.shift()
      if (value !== undefined) return Promise.resolve({ done: false, value })
      if (failure !== null) {
        const { error } = failure
        failure = null
        return Promise.reject(error)
      }
      if (isOver) return Promise.resolve({ done: true, value: undefined })
      return new Promise((resolve, reject) => { take = { resolve, reject } })
    },
    return () {
      finish()
      return Promise.resolve({ done: true, value: undefined })
    }
  }
}

/**
 * Makes an iterable end when a signal aborts, even while it waits for its next value.
 *
 * For producers that take no signal: a queue, a database cursor, somebody else's generator. On abort the iteration ends at
 * once and the inner iterator's `return()` is called, without waiting for it; what it throws afterwards is ignored.
 *
 * @throws FST_SSE_OPTION_INVALID for a missing signal
 * @throws FST_SSE_SOURCE_INVALID for something that is not iterable
 */
export function abortable<T> (iterable: AsyncIterable<T> | Iterable<T>, signal: AbortSignal): AsyncIterableIterator<T> {
  requireSignal(signal, 'app.sse.abortable(iterable, signal)')
  const iterator = iteratorOf(iterable)
  let isOver = false
  let endWait: (() => void) | null = null

  function finish (): void {
    if (isOver) return
    isOver = true
    signal.removeEventListener('abort', finish)
    endWait?.()
    try {
      Promise.resolve(iterator.return?.()).catch(() => {})
    } catch {}
  }
  if (signal.aborted) finish()
  else signal.addEventListener('abort', finish, { once: true })

  const over: IteratorResult<T> = { done: true, value: undefined }
  return {
    [Symbol.asyncIterator] () {
      return this
    },
    async next () {
      if (isOver) return over
      const aborted = new Promise<null>((resolve) => { endWait = () => { resolve(null) } })
      try {
        const result = await Promise.race([iterator.next(), aborted])
        if (result !== null && result.done !== true) return result
      } catch (error) {
        isOver = true
        signal.removeEventListener('abort', finish)
        throw error
      } finally {
        endWait = null
      }
      isOver = true
      signal.removeEventListener('abort', finish)
      return over
    },
    return () {
      finish()
      return Promise.resolve(over)
    }
  }
}

function iteratorOf<T> (iterable: AsyncIterable<T> | Iterable<T>): AsyncIterator<T> | Iterator<T> {
  const candidate = iterable as Partial<AsyncIterable<T> & Iterable<T>> | null | undefined
  if (typeof candidate?.[Symbol.asyncIterator] === 'function') return (iterable as AsyncIterable<T>)[Symbol.asyncIterator]()
  if (typeof candidate?.[Symbol.iterator] === 'function') return (iterable as Iterable<T>)[Symbol.iterator]()
  throw new SSEError('FST_SSE_SOURCE_INVALID', `abortable() takes an iterable, but was given ${show(iterable)}.`, { found: show(iterable) })
}

function requireSignal (signal: unknown, usage: string): void {
  if (signal instanceof AbortSignal) return
  throw new SSEError('FST_SSE_OPTION_INVALID', `The signal is ${show(signal)}: without one, listeners would stay when a client leaves. Use ${usage}.`, { option: 'signal', value: signal })
}
