import * as timers from 'node:timers'

const { setTimeout, clearTimeout, setImmediate } = timers

/**
 * The timers of Node itself, taken when the module loads.
 *
 * A test that fakes the timers moves deadlines: heartbeats, the stall timeout, the age of a stream. What is written must
 * not wait for its clock, or a stream that nobody ticks would never open.
 */
export const realTimers = { setTimeout, clearTimeout, setImmediate }

/** Resolves in the next turn of the event loop. */
export function nextTurn (): Promise<void> {
  return new Promise((resolve) => { setImmediate(resolve) })
}
