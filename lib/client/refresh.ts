import type { StreamError } from './error.js'

/** Calls of `onUnauthorized`, by function: the last one, and when it was done. */
const refreshes = new WeakMap<object, { result: Promise<unknown>, doneAt: number }>()

/**
 * What `onUnauthorized` gives, when it is done: the call that is made here, or one that was done since the request was sent.
 *
 * One call serves all streams that are refused meanwhile. A request that was sent before a refresh was done was refused for
 * what it had then.
 *
 * @param sentAt time of the request, by `performance.now()`
 */
export function refresh (onUnauthorized: (error: StreamError) => unknown, error: StreamError, sentAt: number): Promise<unknown> {
  let latest = refreshes.get(onUnauthorized)
  if (!latest || latest.doneAt < sentAt) {
    const flight = latest = {
      doneAt: Infinity,
      result: Promise.resolve(error).then(onUnauthorized).finally(() => { flight.doneAt = performance.now() })
    }
    refreshes.set(onUnauthorized, flight)
  }
  return latest.result
}
