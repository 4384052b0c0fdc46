// Taken when the module loads: a test that fakes the timers moves deadlines, and must not hold back what is written.
import { setImmediate } from 'node:timers'

/** What has frames to write when the turn of the event loop ends. */
export interface Flushable {
  /** Writes what is pending. `now` is the time in milliseconds, read once for all streams of the turn. */
  flush (now: number): void
}

let waiting: Flushable[] = []
let isScheduled = false

/**
 * Calls `flush` once when the present turn of the event loop is over, so that all frames of the turn leave in one write.
 *
 * One immediate serves all streams. It also is what keeps a source that never waits from starving the event loop: a
 * stream that has filled its batch goes on in the next turn.
 */
export function flushAtTurnEnd (stream: Flushable): void {
  waiting.push(stream)
  if (isScheduled) return
  isScheduled = true
  setImmediate(endTurn)
}

function endTurn (): void {
  const streams = waiting
  waiting = []
  isScheduled = false
  const now = Date.now()
  for (const stream of streams) stream.flush(now)
}
