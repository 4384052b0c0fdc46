import type { Contender } from './contenders.js'
import { Remote } from './remote.js'

/** One load: how the events come, and to how many clients. */
export interface Load {
  readonly name: string
  readonly streams: number
  /** Events of each stream. */
  readonly events: number
  /** Events for each turn of the event loop; 0 for events that are there at once. */
  readonly perTurn: number
}

/** What was measured in one round. */
export interface Sample {
  /** Microseconds of the server's CPU for one event: user and system, all its threads. */
  readonly microsPerEvent: number
  readonly bytesPerEvent: number
}

export interface Throughput {
  /** Contender → load → one sample for each round. */
  readonly samples: Map<string, Map<string, Sample[]>>
  /** Contender → most memory that its process has had, in bytes. */
  readonly peakRss: Map<string, number>
}

export interface ThroughputOptions {
  readonly contenders: readonly Contender[]
  readonly loads: readonly Load[]
  readonly rounds: number
  readonly env: Record<string, string>
  readonly progress: (text: string) => void
}

/**
 * Lets all contenders serve all loads, in turns: A B C A B C, so that a machine that slows down slows down all of them.
 */
export async function measureThroughput ({ contenders, loads, rounds, env, progress }: ThroughputOptions): Promise<Throughput> {
  const samples = new Map(contenders.map(({ name }) => [name, new Map(loads.map((load) => [load.name, [] as Sample[]]))]))
  const peakRss = new Map<string, number>()
  const client = await Remote.start('client.mjs')
  const servers = new Map<Contender, Remote>()
  try {
    for (const contender of contenders) {
      progress(`${contender.name}: comparing what it sends with what was meant`)
      const server = await Remote.start(contender.file, { ...env, ...contender.env })
      servers.set(contender, server)
      await verify(server, client)
      // What has not been compiled by then is compiled in the first round, which a median leaves out.
      for (const load of loads) await run(server, client, { ...load, events: Math.ceil(load.events / 2) })
    }
    for (let round = 1; round <= rounds; round++) {
      for (const load of loads) {
        progress(`round ${round} of ${rounds}: ${load.name}`)
        for (const [{ name }, server] of servers) {
          const { sample, maxRssBytes } = await run(server, client, load)
          samples.get(name)!.get(load.name)!.push(sample)
          peakRss.set(name, maxRssBytes)
        }
      }
    }
  } finally {
    client.stop()
    for (const server of servers.values()) server.stop()
  }
  return { samples, peakRss }
}

async function verify (server: Remote, client: Remote): Promise<void> {
  const events = 200
  for (const perTurn of [0, 1]) {
    const gathered = server.call('prepare', { streams: 1, events, perTurn })
    const verified = client.call('verify', { port: server.port, path: '/stream', events })
    await gathered
    await server.call('go')
    await verified
  }
}

async function run (server: Remote, client: Remote, { streams, events, perTurn }: Load): Promise<{ sample: Sample, maxRssBytes: number }> {
  const gathered = server.call('prepare', { streams, events, perTurn })
  await client.call('open', { port: server.port, path: '/stream', streams, events })
  await gathered
  await server.call('go')
  const { bytes } = await client.call<{ bytes: number }>('counted')
  const { cpuMicros, maxRssBytes } = await server.call<{ cpuMicros: number, maxRssBytes: number }>('stop')
  await client.call('close')
  const total = streams * events
  return { sample: { microsPerEvent: cpuMicros / total, bytesPerEvent: bytes / total }, maxRssBytes }
}
