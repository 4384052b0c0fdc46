import type { ManifestStream } from '../../schema/manifest.js'
import { parametersOf, segmentsOf } from '../../schema/route-url.js'

/** The same for URLs that differ in the names of parameters alone. */
function keyOf (url: string, isLoose: boolean): string {
  return segmentsOf(url).map((segment) => {
    if (segment.name === undefined) return segment.text
    const { name, pattern = '', isOptional } = segment
    return `${name === '*' ? '*' : ':'}${isLoose ? '' : `${pattern}${isOptional ? '?' : ''}`}`
  }).join('')
}

/** How the URL of a stream has changed; undefined when it is the same to HTTP. */
export function urlChange (before: string, after: string): 'url-changed' | 'url-narrowed' | 'url-widened' | undefined {
  if (keyOf(before, false) === keyOf(after, false)) return undefined
  if (keyOf(before, true) !== keyOf(after, true)) return 'url-changed'
  const now = parametersOf(after)
  const isWider = parametersOf(before).every(({ pattern, isOptional }, index) => {
    const other = now[index]!
    return (other.pattern === undefined || other.pattern === pattern) && (!isOptional || other.isOptional)
  })
  return isWider ? 'url-widened' : 'url-narrowed'
}

/**
 * Finds the streams that are the same, or the same but for URL or method: by method and URL first, then by what is left of either.
 *
 * @returns `pairs`: old → new, without those that are gone; `added`: those that are new
 */
export function matchStreams (before: readonly ManifestStream[], after: readonly ManifestStream[]): {
  pairs: Map<ManifestStream, ManifestStream>, added: ManifestStream[]
} {
  const pairs = new Map<ManifestStream, ManifestStream>()
  const left = new Set(after)
  const keys: Array<(stream: ManifestStream) => string> = [
    ({ method, url }) => `${method} ${url}`,
    ({ method, url }) => `${method} ${keyOf(url, false)}`,
    ({ method, url }) => `${method} ${keyOf(url, true)}`,
    ({ url }) => keyOf(url, true),
    ({ name }) => name
  ]
  for (const key of keys) {
    const byKey = new Map<string, ManifestStream[]>()
    for (const stream of left) byKey.set(key(stream), [...byKey.get(key(stream)) ?? [], stream])
    for (const stream of before) {
      if (pairs.has(stream)) continue
      const other = byKey.get(key(stream))?.shift()
      if (other === undefined) continue
      pairs.set(stream, other)
      left.delete(other)
    }
  }
  return { pairs, added: [...left] }
}
