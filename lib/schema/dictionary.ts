/** An object without a prototype, whose names may be `__proto__` and `constructor` without being found where they are not. */
export function dictionary<V> (entries: Iterable<readonly [string, V]>): Record<string, V> {
  const map: Record<string, V> = Object.create(null)
  for (const [name, value] of entries) map[name] = value
  return map
}
