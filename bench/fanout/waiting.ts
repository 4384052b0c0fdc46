import type { IdleSample } from '../idle.js'
import type { Memory } from './audience.js'
import { measureEach, type FanoutOptions } from './options.js'

export const WAITING_PART = 'idle subscribers'

/** Opens so many streams before the count begins: what is made once, and code that is compiled, is no stream's cost. */
const WARM_UP = 100

/** Memory that one subscriber takes which has had one event and waits, as bench/idle.ts measures it. */
export async function measureWaiting (streams: number, options: FanoutOptions): Promise<Map<string, IdleSample[]>> {
  return await measureEach(WAITING_PART, options, async (audience) => {
    await audience.open(WARM_UP)
    const before = await audience.server.call<Memory>('memory')
    await audience.open(streams)
    const after = await audience.server.call<Memory>('memory')
    return { heap: (after.heap - before.heap) / streams, rss: (after.rss - before.rss) / streams }
  })
}
