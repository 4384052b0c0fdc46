import { Audience } from './audience.js'
import type { FanoutContender } from './contenders.js'
import type { Failures } from './failures.js'

/** What every part of the section is given. */
export interface FanoutOptions {
  readonly contenders: readonly FanoutContender[]
  readonly rounds: number
  readonly env: Record<string, string>
  readonly progress: (text: string) => void
  readonly failures: Failures
}

/**
 * Measures each contender in a process of its own, in turns: A B C A B C.
 *
 * @returns contender → one sample for each round; none for a contender that has failed
 */
export async function measureEach<T> (part: string, options: FanoutOptions, measure: (audience: Audience, contender: FanoutContender) => Promise<T>): Promise<Map<string, T[]>> {
  const { contenders, rounds, env, progress, failures } = options
  const samples = new Map<string, T[]>(contenders.map(({ name }) => [name, []]))
  for (let round = 1; round <= rounds; round++) {
    for (const contender of contenders) {
      if (failures.has(contender.name, part)) continue
      progress(`${part}, round ${round} of ${rounds}: ${contender.name}`)
      let audience
      try {
        audience = await Audience.start(contender, env)
        samples.get(contender.name)!.push(await measure(audience, contender))
      } catch (error) {
        failures.add(contender.name, part, error)
        samples.delete(contender.name)
      } finally {
        audience?.stop()
      }
    }
  }
  return samples
}
