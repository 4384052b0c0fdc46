import type { Contender } from './contenders.js'
import { Remote } from './remote.js'

/** Memory that one idle stream takes, in bytes. */
export interface IdleSample {
  /** On V8's heap, and buffers beside it. */
  readonly heap: number
  /** Of the process. */
  readonly rss: number
}

/** How the stream waits: a generator that has given one event, or a stream that events are pushed into. */
export const IDLE_PATHS = ['/idle', '/idle-push'] as const
export type IdlePath = typeof IDLE_PATHS[number]

/** Opens so many streams before the count begins: what is made once, and code that is compiled, is no stream's cost. */
const WARM_UP = 100

interface Memory { heap: number, rss: number }

/** Opens idle streams on a process that has done nothing else, and measures it before and after. */
export async function measureIdle (contender: Contender, path: IdlePath, streams: number, env: Record<string, string>): Promise<IdleSample> {
  const server = await Remote.start(contender.file, { ...env, ...contender.env })
  const client = await Remote.start('client.mjs')
  try {
    const open = (count: number): Promise<unknown> => client.call('idle', { port: server.port, path, streams: count })
    await open(WARM_UP)
    const before = await server.call<Memory>('memory')
    await open(streams)
    const after = await server.call<Memory>('memory')
    return { heap: (after.heap - before.heap) / streams, rss: (after.rss - before.rss) / streams }
  } finally {
    client.stop()
    server.stop()
  }
}
