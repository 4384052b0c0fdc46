import { BARE, OURS } from '../contenders.js'
import { grantedOpenFiles } from '../remote.js'
import { median, table } from '../table.js'
import { Audience, type Memory } from './audience.js'
import type { FanoutContender } from './contenders.js'
import { CLOSE_MS } from './shutdown.js'
import { kib, millis } from './units.js'

/** Open files that a server needs beside its connections, at most. */
const OTHER_FILES = 100

/** Subscribers of one client process. */
const PER_CLIENT = 25_000

/** Opens so many streams before the count begins, as everywhere. */
const WARM_UP = 100

const EVENTS = 3

export interface CrowdOptions {
  readonly contenders: readonly FanoutContender[]
  readonly streams: number
  readonly env: Record<string, string>
  readonly progress: (text: string) => void
  readonly say: (text: string) => void
}

interface CrowdSample {
  readonly streams: number
  /** Bytes for each connection. */
  readonly heap: number
  readonly rss: number
  /** Milliseconds until all had an event that was published to them: the first one, and each of those after it. */
  readonly firstMs: number
  readonly eventMs: readonly number[]
  readonly microsPerDelivery: number
  readonly openMs: number
  readonly closeMs: number | undefined
}

/** As many connections to one process as the system lets it have: measures and prints what they take, and returns the figures. */
export async function runCrowd ({ contenders, streams: wanted, env, progress, say }: CrowdOptions): Promise<unknown> {
  const openFiles = grantedOpenFiles(wanted + WARM_UP + OTHER_FILES)
  const streams = Math.min(wanted, openFiles - WARM_UP - OTHER_FILES)
  say(`\n## A crowd: ${streams.toLocaleString('en')} connections to one process\n`)
  if (streams < wanted) {
    say(`Not ${wanted.toLocaleString('en')}: the system lets a process have ${openFiles.toLocaleString('en')} open files, and this user cannot raise that (ulimit -Hn).\n`)
  }
  const samples = new Map<string, CrowdSample>()
  const failures: string[] = []
  for (const contender of contenders.filter(({ name }) => name === BARE.name || name === OURS.name)) {
    try {
      samples.set(contender.name, await measureCrowd(contender, streams, openFiles, env, progress))
    } catch (error) {
      failures.push(`${contender.name} failed: ${(error as Error).message}`)
    }
  }
  say(table(['', 'heap each', 'RSS each', 'first event to all', `then each of ${EVENTS}`, 'CPU per delivery', 'all connected in', 'close()'],
    [...samples].map(([name, { heap, rss, firstMs, eventMs, microsPerDelivery, openMs, closeMs }]) => [
      name, kib(heap), kib(rss), millis(firstMs), millis(median(eventMs)), `${microsPerDelivery.toFixed(2)} µs`, millis(openMs),
      closeMs === undefined ? `no, not in ${CLOSE_MS / 1000} s` : `in ${millis(closeMs)}`
    ])))
  for (const failure of failures) say(`\n${failure}`)
  return { samples: Object.fromEntries(samples), failures }
}

async function measureCrowd (contender: FanoutContender, streams: number, openFiles: number, env: Record<string, string>, progress: (text: string) => void): Promise<CrowdSample> {
  const step = (text: string): void => progress(`${contender.name}, ${streams} connections: ${text}`)
  const clients = Math.ceil(streams / PER_CLIENT)
  const audience = await Audience.start(contender, env, { clients, openFiles })
  try {
    await audience.open(WARM_UP)
    const before = await audience.server.call<Memory>('memory')
    step('connecting')
    const start = performance.now()
    await audience.connect(streams)
    const openMs = performance.now() - start
    step('publishing')
    const { turnMs: [firstMs] } = await audience.publish(1, 1)
    const after = await audience.server.call<Memory>('memory')
    const { turnMs, microsPerDelivery } = await audience.publish(EVENTS, 1)
    step('closing')
    const closeMs = await audience.close(CLOSE_MS)
    return {
      streams,
      heap: (after.heap - before.heap) / streams,
      rss: (after.rss - before.rss) / streams,
      firstMs: firstMs!,
      eventMs: turnMs,
      microsPerDelivery,
      openMs,
      closeMs
    }
  } finally {
    audience.stop()
  }
}
