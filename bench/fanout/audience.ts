import { Remote } from '../remote.js'
import type { FanoutContender } from './contenders.js'

/** How long subscribers may take to come or to leave, for each 10,000 of them and at least. */
const GATHER_MS = 30_000

/** Connections that are under way at the same time. The queue of those that wait to be accepted is short: Node asks for 511. */
const WINDOW = 500

/** What it took to bring some events to all who read. */
export interface Delivery {
  /** Microseconds of the server's CPU for one event to one subscriber: user and system, all its threads. */
  readonly microsPerDelivery: number
  readonly bytesPerDelivery: number
  /** Milliseconds from the call that publishes to the client's socket, of some subscribers. */
  readonly latencies: readonly number[]
  /** Milliseconds of each turn, until all had what it brought. */
  readonly turnMs: readonly number[]
  /** Of the server, right after the last turn. */
  readonly rss: number
}

export interface Memory { heap: number, rss: number }

/** A server that publishes, and processes that subscribe to it. */
export class Audience {
  readonly server: Remote
  readonly #clients: readonly Remote[]
  #streams = 0
  #active = 0

  private constructor (server: Remote, clients: readonly Remote[]) {
    this.server = server
    this.#clients = clients
  }

  /** @param clients processes that the subscribers are spread over */
  static async start (contender: FanoutContender, env: Record<string, string>, { clients = 1, openFiles }: { clients?: number, openFiles?: number } = {}): Promise<Audience> {
    const limit = openFiles === undefined ? {} : { openFiles }
    const server = await Remote.start(contender.file, { ...env, ...contender.env }, limit)
    const started: Remote[] = []
    try {
      for (let n = 0; n < clients; n++) started.push(await Remote.start('fanout/client.mjs', {}, limit))
    } catch (error) {
      for (const remote of [server, ...started]) remote.stop()
      throw error
    }
    return new Audience(server, started)
  }

  /** Compares what a client gets with what was meant. For a server that has published nothing. */
  async verify ({ form = 'whole', isResumable = false }: FanoutContender): Promise<void> {
    const read = (after: number, events: number, lastEventId?: string): Promise<unknown> =>
      this.#clients[0]!.call('verify', { port: this.server.port, path: '/feed', after, events, form, lastEventId })
    const verified = read(0, 400)
    // It is awaited below, and must not be an unhandled rejection until then.
    verified.catch(() => {})
    await this.#gathered(1)
    for (const perTurn of [1, 10]) await this.server.call('publish', { turns: 200 / perTurn, perTurn, padding: 0, clients: 0 })
    await verified
    await this.#gathered(0)
    if (isResumable) await read(800, 100, await this.server.call<string>('fill', { events: 500, behind: 100 }))
  }

  /** Lets subscribers come, and one event come to each: what a stream's first write costs is not measured. */
  async open (streams: number, stalled = 0): Promise<void> {
    await this.connect(streams, stalled)
    await this.publish(1, 1)
  }

  /**
   * Lets subscribers come, beside those that are there.
   *
   * @param stalled how many of them read no further than their first event
   */
  async connect (streams: number, stalled = 0): Promise<void> {
    const control = await this.server.call<number>('control')
    const share = Math.ceil(streams / this.#clients.length)
    await Promise.all(this.#clients.map((client, index) => client.call('open', {
      port: this.server.port, path: '/feed', control, streams: Math.min(share, streams - index * share), window: Math.floor(WINDOW / this.#clients.length), stalled
    }, gatherMs(streams))))
    this.#streams += streams
    this.#active += streams - stalled
    await this.#gathered(this.#streams)
  }

  /**
   * Publishes so many events in each of so many turns of the event loop. A turn begins when all have what the one before has brought.
   *
   * @param padding bytes to add to each event
   */
  async publish (turns: number, perTurn: number, padding = 0): Promise<Delivery> {
    const events = turns * perTurn
    await this.#ask('watch', { perTurn })
    const { cpuMicros, turnMs, rss } = await this.server.call<{ cpuMicros: number, turnMs: number[], rss: number }>(
      'publish', { turns, perTurn, padding, clients: this.#clients.length }, gatherMs(this.#streams) * 4)
    const counted = await this.#ask<{ bytes: number, latencies: number[] }>('counted', { events })
    const deliveries = events * this.#active
    return {
      microsPerDelivery: cpuMicros / deliveries,
      bytesPerDelivery: counted.reduce((sum, { bytes }) => sum + bytes, 0) / deliveries,
      latencies: counted.flatMap(({ latencies }) => latencies).map((micros) => micros / 1000),
      turnMs,
      rss
    }
  }

  /** Lets so many subscribers come at the same time who have missed so many events. */
  async resume (streams: number, events: number): Promise<{ ms: number, microsPerClient: number }> {
    const lastEventId = await this.server.call<string>('fill', { events: events * 5, behind: events })
    await this.server.call('startCpu')
    const ms = await this.#clients[0]!.call<number>('resume', { port: this.server.port, path: '/feed', streams, window: WINDOW, events, lastEventId })
    return { ms, microsPerClient: await this.server.call<number>('stopCpu') / streams }
  }

  /** Milliseconds until the server has closed, or `undefined` when it takes longer than those given. */
  async close (ms: number): Promise<number | undefined> {
    return await this.server.call<number | null>('close', ms, ms + GATHER_MS) ?? undefined
  }

  async leave (): Promise<void> {
    await this.#ask('close')
    await this.#gathered(0)
    this.#streams = this.#active = 0
  }

  stop (): void {
    for (const remote of [this.server, ...this.#clients]) remote.stop()
  }

  #ask<T> (name: string, argument?: unknown): Promise<T[]> {
    return Promise.all(this.#clients.map((client) => client.call<T>(name, argument)))
  }

  async #gathered (count: number): Promise<void> {
    const ms = gatherMs(this.#streams)
    await this.server.call('subscribed', { count, ms }, ms + 1000)
  }
}

function gatherMs (streams: number): number {
  return GATHER_MS * Math.max(1, Math.ceil(streams / 10_000))
}
