import { percentile } from '../table.js'
import { Audience } from './audience.js'
import type { FanoutContender } from './contenders.js'
import type { FanoutOptions } from './options.js'

/** How the events come, and to how many subscribers. */
export interface DeliveryLoad {
  readonly name: string
  readonly streams: number
  readonly turns: number
  /** Events that are published in one turn of the event loop. */
  readonly perTurn: number
}

export interface DeliverySample {
  /** Microseconds of the server's CPU for one event to one subscriber. */
  readonly microsPerDelivery: number
  readonly bytesPerDelivery: number
  /** Milliseconds from publish to receive. */
  readonly p50: number
  readonly p99: number
}

/**
 * What it costs to bring events to many, and how long it takes. Contenders take turns in every round: A B C A B C.
 *
 * @param loads those with the same number of subscribers follow each other: connections are opened once for them
 * @returns load → contender → one sample for each round; none for a contender that has failed
 */
export async function measureDelivery (loads: readonly DeliveryLoad[], { contenders, rounds, env, progress, failures }: FanoutOptions): Promise<Map<string, Map<string, DeliverySample[]>>> {
  const samples = new Map(loads.map(({ name }) => [name, new Map<string, DeliverySample[]>()]))
  const audiences = new Map<string, Audience>()
  const sizes = new Set(loads.map(({ streams }) => streams))

  const ready = async (contender: FanoutContender): Promise<Audience> => {
    const audience = await Audience.start(contender, env)
    audiences.set(contender.name, audience)
    // Code that is compiled meanwhile is no event's cost.
    const [first] = loads
    await audience.open(first!.streams)
    for (const { turns, perTurn } of loads.filter(({ streams }) => streams === first!.streams)) await audience.publish(turns, perTurn)
    await audience.leave()
    return audience
  }

  try {
    for (let round = 1; round <= rounds; round++) {
      for (const streams of sizes) {
        for (const contender of contenders) {
          const { name } = contender
          const part = deliveryPart(streams)
          if (failures.has(name, part)) continue
          progress(`${part}, round ${round} of ${rounds}: ${name}`)
          try {
            const audience = audiences.get(name) ?? await ready(contender)
            await audience.open(streams)
            for (const load of loads.filter((load) => load.streams === streams)) {
              const { latencies, microsPerDelivery, bytesPerDelivery } = await audience.publish(load.turns, load.perTurn)
              const byContender = samples.get(load.name)!
              byContender.set(name, [...byContender.get(name) ?? [],
                { microsPerDelivery, bytesPerDelivery, p50: percentile(latencies, 0.5), p99: percentile(latencies, 0.99) }])
            }
            await audience.leave()
          } catch (error) {
            failures.add(name, part, error)
            for (const load of loads.filter((load) => load.streams === streams)) samples.get(load.name)!.delete(name)
            audiences.get(name)?.stop()
            audiences.delete(name)
          }
        }
      }
    }
  } finally {
    for (const audience of audiences.values()) audience.stop()
  }
  return samples
}

export function deliveryPart (streams: number): string {
  return `${streams.toLocaleString('en')} subscribers`
}
