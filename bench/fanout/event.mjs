/** The events of the fan-out section: those of the other sections, with a time and a mark. */
import { tick } from '../workload.mjs'

/**
 * Stands once in each event, and nowhere else in what any contender sends. One byte, so that no chunk can cut it in two:
 * the client counts it with one search of memory.
 */
export const MARK = '~'

/** Microseconds of a clock that all processes of the machine share. */
export function now () {
  return Number(process.hrtime.bigint() / 1000n)
}

/**
 * @param {number} n 1 for the first event of a process
 * @param {number} padding bytes to add to the data
 */
export function timedTick (n, padding) {
  const event = tick(n)
  // As long as the date that it takes the place of.
  event.data.at = String(now()).padStart(24, '0')
  event.data.note += MARK + ' '.repeat(padding)
  return event
}
