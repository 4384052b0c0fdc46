import { setImmediate } from 'node:timers/promises'

/** Resolves when `condition` holds. Looks once in each turn of the event loop; the test's timeout is the limit. */
export async function until (condition: () => boolean): Promise<void> {
  while (!condition()) await setImmediate()
}

/** A promise and its resolver. */
export function deferred<T = void> (): { promise: Promise<T>, resolve: (value: T) => void, reject: (error: unknown) => void } {
  let resolve!: (value: T) => void
  let reject!: (error: unknown) => void
  const promise = new Promise<T>((_resolve, _reject) => {
    resolve = _resolve
    reject = _reject
  })
  return { promise, resolve, reject }
}

/** Rejects when the signal aborts, and never resolves: a producer that waits for something that does not happen. */
export function forever (signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason)
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}
