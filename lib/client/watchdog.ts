import { MAX_DELAY_MS } from './backoff.js'

/** Into how many ticks the limit is divided. */
const TICKS = 4

export interface Watchdog {
  /** A byte has come. */
  feed (): void
  /** Nobody waits for bytes, until the next `feed`. */
  rest (): void
  /** Sets how long silence may last: milliseconds, 0 for no limit and to stop. */
  limit (ms: number): void
  /** If it is silent, it has half the limit left to show that it is alive. */
  probe (): void
}

/**
 * Watches over a connection that may be dead without having said so: `onStale` after half the limit, `onDead` after all of it,
 * each up to a quarter later.
 *
 * Silence is counted in ticks and not by the clock: a machine that sleeps, or a page that is frozen, does not tick. So a
 * connection is not judged by the time that it could not have been heard in.
 */
export function createWatchdog (onStale: () => void, onDead: () => void): Watchdog {
  let timer: ReturnType<typeof setInterval> | undefined
  let silentTicks = 0

  function judge (): void {
    if (silentTicks > TICKS) onDead()
    else if (silentTicks > TICKS / 2) onStale()
  }

  return {
    feed () {
      silentTicks = 0
    },
    rest () {
      silentTicks = -Infinity
    },
    limit (ms) {
      clearInterval(timer)
      if (ms > 0) {
        timer = setInterval(() => {
          silentTicks++
          judge()
        }, Math.min(ms, MAX_DELAY_MS) / TICKS)
      }
    },
    probe () {
      if (silentTicks > 0) silentTicks = Math.max(silentTicks, TICKS / 2 + 1)
      judge()
    }
  }
}
