import { setTimeout as sleep } from 'node:timers/promises'
import { Audience } from './audience.js'
import type { FanoutOptions } from './options.js'

export const SHUTDOWN_PART = 'close'

/** How long a server may take to close, in milliseconds. As in the scoreboard. */
export const CLOSE_MS = 8000

/** One that takes longer than this does nothing any more, so that the next one is not disturbed. */
const BUSY_MS = 1500

/** Milliseconds that each server takes to close under so many subscribers; `undefined` for more than `CLOSE_MS`. */
export async function measureShutdown (streams: number, { contenders, env, progress, failures }: FanoutOptions): Promise<Map<string, [number | undefined]>> {
  const closed = new Map<string, [number | undefined]>()
  const audiences: Audience[] = []
  const closing: Array<Promise<void>> = []
  try {
    for (const contender of contenders) {
      progress(`${SHUTDOWN_PART}: ${contender.name}`)
      try {
        const audience = await Audience.start(contender, env)
        audiences.push(audience)
        await audience.open(streams)
        const ended = audience.close(CLOSE_MS)
          .then((ms) => { closed.set(contender.name, [ms]) })
          .catch((error: unknown) => { failures.add(contender.name, SHUTDOWN_PART, error) })
        closing.push(ended)
        await Promise.race([ended, sleep(BUSY_MS)])
      } catch (error) {
        failures.add(contender.name, SHUTDOWN_PART, error)
      }
    }
    await Promise.all(closing)
  } finally {
    for (const audience of audiences) audience.stop()
  }
  return closed
}
