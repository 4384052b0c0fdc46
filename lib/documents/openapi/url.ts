/** A URL as documents have it. */
export interface UrlTemplate {
  /** `/orders/{id}` */
  readonly path: string
  /** What stands in braces, in order. */
  readonly parameters: readonly UrlParameter[]
  /** The optional parameter that this form of the URL leaves out. */
  readonly without?: string
}

export interface UrlParameter {
  readonly name: string
  /** What the route's own regular expression asks of it. */
  readonly pattern?: string
}

/** As find-my-way looks for it. */
const OPTIONAL = /(\/:[^/()]*?)\?(\/?)/

/**
 * The URL of a route, `/orders/:id(\\d+)`, as a template: one, or with an optional parameter two, the one with it first.
 *
 * Read as find-my-way reads it: a name ends at `/`, `-`, `.` or `(`, two colons are a colon, and `*` is a parameter of that name.
 */
export function templatesOf (url: string): readonly [UrlTemplate, ...UrlTemplate[]] {
  const optional = OPTIONAL.exec(url)
  if (optional === null) return [parse(url)]
  return [parse(url.replace(OPTIONAL, '$1$2')), { ...parse(url.replace(OPTIONAL, '$2')), without: optional[1]!.slice(2) }]
}

function parse (url: string): UrlTemplate {
  const parameters: UrlParameter[] = []
  let path = ''
  let at = 0
  while (at < url.length) {
    const character = url[at]!
    if (character === ':' && url[at + 1] !== ':') {
      const name = /^[^/\-.(]*/.exec(url.slice(at + 1))![0]
      at += 1 + name.length
      const pattern = url[at] === '(' ? url.slice(at, endOfPattern(url, at)) : undefined
      at += pattern?.length ?? 0
      parameters.push({ name, ...(pattern !== undefined && { pattern: anchored(pattern) }) })
      path += `{${name}}`
    } else if (character === '*') {
      parameters.push({ name: '*' })
      path += '{*}'
      at++
    } else {
      path += LITERAL[character] ?? character
      at += character === ':' ? 2 : 1
    }
  }
  return { path: path.startsWith('/') ? path : `/${path}`, parameters }
}

/** Braces would begin a parameter. */
const LITERAL: Readonly<Record<string, string>> = { '{': '%7B', '}': '%7D' }

function endOfPattern (url: string, start: number): number {
  let depth = 0
  for (let at = start; at < url.length; at++) {
    if (url[at] === '\\') at++
    else if (url[at] === '(') depth++
    else if (url[at] === ')' && --depth === 0) return at + 1
  }
  return url.length
}

/** find-my-way matches from end to end, whatever the pattern says. */
function anchored (pattern: string): string {
  return `^${pattern.replace(/^\(\^/, '(').replace(/\$\)$/, ')')}$`
}
