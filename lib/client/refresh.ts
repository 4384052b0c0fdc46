// A chunk of its own: it is needed once a server has refused a request, and so can be reached.
import type { StreamError } from './error.js'

/** Calls of `onUnauthorized`, by function: the last one, and when it was done. */
const refreshes = new WeakMap<object, { result: Promise<unknown>, doneAt: number }>()

/**
 * Whether a request may be made again: after the refresh that the application makes, or one that was done since.
 *
 * One call serves all streams that are refused meanwhile. A request that was sent before a refresh was done was refused for
 * what it had then.
 *
 * @param sentAt time of the request, by `performance.now()`
 */
export async function refresh (onUnauthorized: (error: StreamError) => unknown, error: StreamError, sentAt: number): Promise<boolean> {
  let latest = refreshes.get(onUnauthorized)
  if (latest === undefined || latest.doneAt < sentAt) {
    const flight = latest = {
      doneAt: Infinity,
      result: Promise.resolve(error).then(onUnauthorized).finally(() => { flight.doneAt = performance.now() })
    }
    refreshes.set(onUnauthorized, flight)
  }
  try {
    return await latest.result !== false
  } catch (cause) {
    error.cause = cause
    return false
  }
}
