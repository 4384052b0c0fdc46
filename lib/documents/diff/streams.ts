import type { ManifestStream } from '../../schema/manifest.js'

/** A part of a route's URL: text, or a parameter. */
interface Segment {
  readonly text: string
  /** Undefined for text. */
  readonly name?: string
  /** What the parameter has to match, if the route says so. */
  readonly pattern?: string
  readonly isOptional?: boolean
}

/** Divides a route's URL as find-my-way does: `:name`, `:name(pattern)`, `:name?`, `*`; `::` is a colon. */
function segmentsOf (url: string): Segment[] {
  const segments: Segment[] = []
  let text = ''
  for (let index = 0; index < url.length;) {
    if (url.startsWith('::', index)) {
      text += ':'
      index += 2
    } else if (url[index] === ':' || url[index] === '*') {
      if (text !== '') segments.push({ text })
      text = ''
      const [name] = url[index] === '*' ? ['*'] : /^:[^/(\-.:*?]*/.exec(url.slice(index))!
      index += name.length
      const pattern = url[index] === '(' ? url.slice(index, endOfPattern(url, index)) : ''
      index += pattern.length
      const isOptional = url[index] === '?'
      if (isOptional) index++
      segments.push({ text: '', name: name === '*' ? '*' : name.slice(1), pattern, isOptional })
    } else {
      text += url[index++]
    }
  }
  if (text !== '') segments.push({ text })
  return segments
}

function endOfPattern (url: string, start: number): number {
  let depth = 0
  for (let index = start; index < url.length; index++) {
    if (url[index] === '\\') index++
    else if (url[index] === '(') depth++
    else if (url[index] === ')' && --depth === 0) return index + 1
  }
  return url.length
}

/** The names of the parameters in a route's URL, in order. */
export function paramNames (url: string): string[] {
  return segmentsOf(url).flatMap(({ name }) => name ?? [])
}

/** The same for URLs that differ in the names of parameters alone. */
function keyOf (url: string, isLoose: boolean): string {
  return segmentsOf(url).map(({ text, name, pattern = '', isOptional }) =>
    name === undefined ? text : `${name === '*' ? '*' : ':'}${isLoose ? '' : `${pattern}${isOptional ? '?' : ''}`}`).join('')
}

/** How the URL of a stream has changed; undefined when it is the same to HTTP. */
export function urlChange (before: string, after: string): 'url-changed' | 'url-narrowed' | 'url-widened' | undefined {
  if (keyOf(before, false) === keyOf(after, false)) return undefined
  if (keyOf(before, true) !== keyOf(after, true)) return 'url-changed'
  const segments = segmentsOf(after)
  const isWider = segmentsOf(before).every(({ pattern = '', isOptional }, index) => {
    const other = segments[index]!
    return (!other.pattern || other.pattern === pattern) && (!isOptional || other.isOptional)
  })
  return isWider ? 'url-widened' : 'url-narrowed'
}

/**
 * The stream that answers a request, of several the one whose URL says most.
 *
 * @param path percent-encoded, as requested
 */
export function streamAt (streams: readonly ManifestStream[], method: string, path: string): ManifestStream | undefined {
  const wordsOf = ({ url }: ManifestStream): number => segmentsOf(url).reduce((length, { text }) => length + text.length, 0)
  return streams.filter((stream) => stream.method === method && matcherOf(stream.url)?.test(path)).sort((a, b) => wordsOf(b) - wordsOf(a))[0]
}

/** Undefined for a URL whose pattern is none. */
function matcherOf (url: string): RegExp | undefined {
  const source = segmentsOf(url).map(({ text, name, pattern = '', isOptional }, index, segments) => {
    if (name === undefined) {
      const escaped = text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')
      // The slash before an optional parameter is optional with it.
      return segments[index + 1]?.isOptional && text.endsWith('/') ? `${escaped.slice(0, -2)}(?:\\/` : escaped
    }
    const one = name === '*' ? '.*' : pattern === '' ? '[^/]+?' : `(?:${pattern.slice(1, -1).replace(/^\^|\$$/g, '')})`
    return isOptional ? `${one})?` : one
  }).join('')
  try {
    return new RegExp(`^${source}/?$`)
  } catch {
    return undefined
  }
}

/**
 * Finds the streams that are the same, or the same but for URL or method: by method and URL first, then by what is left of either.
 */
export function matchStreams (before: readonly ManifestStream[], after: readonly ManifestStream[]): {
  pairs: Map<ManifestStream, ManifestStream>, removed: ManifestStream[], added: ManifestStream[]
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
    for (const stream of before) {
      if (pairs.has(stream)) continue
      const other = [...left].find((each) => key(each) === key(stream))
      if (other === undefined) continue
      pairs.set(stream, other)
      left.delete(other)
    }
  }
  return { pairs, removed: before.filter((stream) => !pairs.has(stream)), added: [...left] }
}
