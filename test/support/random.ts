/** Random numbers that a seed repeats. */
export interface Random {
  /** An integer from 0 to `limit - 1`. */
  below (limit: number): number
  pick<T> (values: readonly T[]): T
}

/** mulberry32: 32 bits of state, good enough to wander about in. */
export function seededRandom (seed: number): Random {
  let state = seed >>> 0
  const below = (limit: number): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed
    return Math.floor(((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32 * limit)
  }
  return { below, pick: (values) => values[below(values.length)]! }
}
