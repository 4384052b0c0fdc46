import type { ManifestStream } from '../schema/manifest.js'
import { segmentsOf } from '../schema/route-url.js'

/**
 * The stream that answers a request, of several the one whose URL says most.
 *
 * @param path percent-encoded, as requested
 */
export function streamAt (streams: readonly ManifestStream[], method: string, path: string): ManifestStream | undefined {
  const wordsOf = ({ url }: ManifestStream): number => segmentsOf(url).reduce((length, { text = '' }) => length + text.length, 0)
  return streams.filter((stream) => stream.method === method && matcherOf(stream.url)?.test(path)).sort((a, b) => wordsOf(b) - wordsOf(a))[0]
}

/** Undefined for a URL whose pattern is none. */
function matcherOf (url: string): RegExp | undefined {
  const segments = segmentsOf(url)
  const source = segments.map((segment, index) => {
    if (segment.name === undefined) {
      const escaped = segment.text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')
      const next = segments[index + 1]
      // The slash before an optional parameter is optional with it.
      return next?.name !== undefined && next.isOptional && segment.text.endsWith('/') ? `${escaped.slice(0, -2)}(?:\\/` : escaped
    }
    const { name, pattern, isOptional } = segment
    const one = name === '*' ? '.*' : pattern === undefined ? '[^/]+?' : `(?:${pattern.slice(1, -1).replace(/^\^|\$$/g, '')})`
    return isOptional ? `${one})?` : one
  }).join('')
  try {
    return new RegExp(`^${source}/?$`)
  } catch {
    return undefined
  }
}
