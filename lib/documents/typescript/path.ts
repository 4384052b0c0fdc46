/** A parameter in the URL of a route. */
export interface PathParameter {
  /** `*` for a wildcard. */
  readonly name: string
  /** Whether the URL may do without: `/:id?` at its end. */
  readonly isOptional: boolean
}

/**
 * The parameters in the URL of a route, as the client fills them: `:name`, perhaps with a pattern and a question mark after it,
 * and `*`. A double colon is a colon. A name ends at `/`, `-`, `.` or `(`, and has any other character.
 */
export function pathParameters (url: string): PathParameter[] {
  const found: PathParameter[] = []
  const token = /::|:([^/\-.(?#]+)|\*/g
  for (let match; (match = token.exec(url)) !== null;) {
    if (match[0] === '::') continue
    if (match[1] === undefined) {
      found.push({ name: '*', isOptional: false })
      continue
    }
    const end = patternEnd(url, token.lastIndex)
    found.push({ name: match[1], isOptional: /^\?\/?$/.test(url.slice(end)) })
    token.lastIndex = end
  }
  return found
}

/** Where the pattern that a name may have after it ends: at the parenthesis that closes the first one. */
function patternEnd (url: string, start: number): number {
  if (url[start] !== '(') return start
  let depth = 0
  for (let i = start; i < url.length; i++) {
    if (url[i] === '\\') i++
    else if (url[i] === '(') depth++
    else if (url[i] === ')' && --depth === 0) return i + 1
  }
  return start
}
