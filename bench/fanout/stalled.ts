import { percentile } from '../table.js'
import { measureEach, type FanoutOptions } from './options.js'
import { Audience } from './audience.js'

export const STALLED_PART = 'subscribers that do not read'

/** What some who do not read cost the server, and the others. */
export interface StalledSample {
  /** Bytes that the server's RSS has grown by at the end of the events, without and with them. */
  readonly rss: { without: number, with: number }
  /** Milliseconds from publish to receive of the others, 99th percentile, without and with them. */
  readonly p99: { without: number, with: number }
  /** How many of them the server still holds then. */
  readonly held: number
}

/**
 * Bytes added to each event, and how many are published. Buffers of the kernel take 4 MiB for each client before the server has to keep
 * anything; after that there must be more than the ring holds.
 */
const PADDING = 4096
const EVENTS = 1350
const PER_TURN = 3

/** Events that are kept for those who are behind, by the contenders that keep any: a quarter of what they keep elsewhere. */
const BACKLOG = 256

/** The same events to the same number of readers, alone and with some beside them who stop after their first event; each in a process of its own. */
export async function measureStalled ({ readers, stalled }: { readers: number, stalled: number }, given: FanoutOptions): Promise<Map<string, StalledSample[]>> {
  const options = { ...given, env: { ...given.env, BENCH_BACKLOG: String(BACKLOG) } }
  const run = async (audience: Audience, stalled: number): Promise<{ rss: number, p99: number, held: number }> => {
    await audience.open(readers + stalled, stalled)
    // Code that is compiled meanwhile would stretch the latencies.
    await audience.publish(20, PER_TURN)
    const before = await audience.server.call<{ rss: number }>('memory')
    const { rss, latencies } = await audience.publish(EVENTS / PER_TURN, PER_TURN, PADDING)
    return { rss: rss - before.rss, p99: percentile(latencies, 0.99), held: await audience.server.call<number>('subscribers') - readers }
  }
  return await measureEach(STALLED_PART, options, async (audience, contender) => {
    const beside = await run(audience, stalled)
    audience.stop()
    const fresh = await Audience.start(contender, options.env)
    try {
      const alone = await run(fresh, 0)
      return { rss: { without: alone.rss, with: beside.rss }, p99: { without: alone.p99, with: beside.p99 }, held: beside.held }
    } finally {
      fresh.stop()
    }
  })
}
