/** Timers are 32-bit integers: `setTimeout` fires at once above this. */
export const MAX_DELAY_MS = 2 ** 31 - 1
/** Shortest reconnection time: `retry: 0` would be a loop without a pause. */
const MIN_DELAY_MS = 100
/** Most that failures add to the reconnection time. */
const MAX_SPREAD_MS = 30_000

/** A reconnection time that can be waited for. */
export function reconnectionTime (ms: number): number {
  return Math.min(Math.max(ms || 0, MIN_DELAY_MS), MAX_DELAY_MS)
}

/**
 * How long to wait before the next attempt: at least `leastMs`, and from there
 * at random over a span that doubles with each failure. All clients of a server that has gone would come back together
 * otherwise.
 *
 * @param attempt how many attempts in a row have failed, 1 or more
 * @param baseMs reconnection time
 * @param leastMs the shortest wait that is allowed
 */
export function backoff (attempt: number, baseMs: number, leastMs: number): number {
  return Math.min(MAX_DELAY_MS, Math.ceil(leastMs + Math.random() * Math.min(MAX_SPREAD_MS, baseMs * (2 ** (attempt - 1) - 0.75))))
}

/**
 * A `Retry-After` in milliseconds: of seconds or a date, as far as a timer goes; 0 for none, and for one that is neither.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9110#name-retry-after
 */
export function retryAfter (value: string | null): number {
  const ms = +value! * 1000 || Date.parse(value!) - Date.now()
  return Math.min(Math.max(ms || 0, 0), MAX_DELAY_MS)
}
