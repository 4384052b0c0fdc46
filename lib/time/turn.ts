import { realTimers } from './real-timers.js'

/** What has frames to write when the turn of the event loop ends. */
export interface Flushable {
  /** Writes what is pending. `now` is the time in milliseconds, read once for all streams of the turn. */
  flush (now: number): void
  /** `flush` has thrown: ends this stream, and no other one. */
  broken (error: unknown): void
}

/** Most that all streams together gather in a turn, in UTF-16 code units, while each has at least {@link MIN_BATCH_SIZE}. */
const TURN_SIZE = 1024 * 1024
const MIN_BATCH_SIZE = 4 * 1024
const MAX_BATCH_SIZE = 64 * 1024

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
  realTimers.setImmediate(endTurn)
}

function endTurn (): void {
  const streams = waiting
  waiting = []
  isScheduled = false
  const now = Date.now()
  for (const stream of streams) {
    try {
      stream.flush(now)
    } catch (error) {
      stream.broken(error)
    }
  }
}

/**
 * How much a stream may gather before its source has to wait for the next turn, in UTF-16 code units: 64 Ki, and down to
 * 4 Ki when many streams have something to write in this turn.
 *
 * What is gathered lives until the turn ends. A hundred full batches are more than the garbage collector takes for
 * short-lived: with equal batches for all, a hundred busy streams cost more than twice as much CPU for each event.
 */
export function batchSize (): number {
  return Math.max(MIN_BATCH_SIZE, Math.min(MAX_BATCH_SIZE, TURN_SIZE / waiting.length))
}
