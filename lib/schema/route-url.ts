/** A part of a route's URL. */
export type UrlSegment = UrlText | UrlParameter

/** Text as it is requested. */
export interface UrlText {
  readonly text: string
  readonly name?: undefined
}

/** A parameter. */
export interface UrlParameter {
  /** `*` for a wildcard. */
  readonly name: string
  readonly text?: undefined
  /** The regular expression that it has to match, with the parentheses around it. */
  readonly pattern?: string
  /** Whether the URL may do without it: `/:id?` at its end. */
  readonly isOptional: boolean
}

/** As Fastify's router looks for what may be left out: a part of the URL that begins with a parameter, and has no pattern. */
const OPTIONAL = /(\/:[^/()]*?)\?(\/?)/

/** The forms of a route's URL: with what is optional, and without it if there is such. */
export function formsOf (url: string): readonly [full: string, short?: string] {
  if (!OPTIONAL.test(url)) return [url]
  return [url.replace(OPTIONAL, '$1$2'), url.replace(OPTIONAL, '$2') || '/']
}

/**
 * Divides the URL of a route as Fastify's router does: `:name`, perhaps with a pattern after it, and `*` are parameters, and a double
 * colon is a colon. A name ends at `/`, `-`, `.` or `(`, and has any other character.
 */
export function segmentsOf (url: string): UrlSegment[] {
  const optional = OPTIONAL.exec(url)
  const isOptional = (at: number): boolean => optional !== null && at > optional.index && at < optional.index + optional[1]!.length
  const [full] = formsOf(url)
  const segments: UrlSegment[] = []
  let text = ''
  const add = (parameter: UrlParameter): void => {
    if (text !== '') segments.push({ text })
    text = ''
    segments.push(parameter)
  }
  for (let at = 0; at < full.length;) {
    if (full.startsWith('::', at)) {
      text += ':'
      at += 2
    } else if (full[at] === '*') {
      add({ name: '*', isOptional: false })
      at++
    } else if (full[at] === ':') {
      const name = /^[^/\-.(]*/.exec(full.slice(at + 1))![0]
      const end = at + 1 + name.length
      const pattern = full[end] === '(' ? full.slice(end, endOfPattern(full, end)) : undefined
      add({ name, ...(pattern !== undefined && { pattern }), isOptional: isOptional(at) })
      at = end + (pattern?.length ?? 0)
    } else {
      text += full[at++]
    }
  }
  if (text !== '') segments.push({ text })
  return segments
}

/** The parameters of a route's URL, in order. */
export function parametersOf (url: string): UrlParameter[] {
  return segmentsOf(url).filter((segment) => segment.name !== undefined)
}

/** Behind the parenthesis that closes the one at `start`. */
function endOfPattern (url: string, start: number): number {
  let depth = 0
  for (let at = start; at < url.length; at++) {
    if (url[at] === '\\') at++
    else if (url[at] === '(') depth++
    else if (url[at] === ')' && --depth === 0) return at + 1
  }
  return url.length
}
