/** Names that mean something to JavaScript on every object, or make one a promise. */
const TAKEN: ReadonlySet<string> = new Set(['then', 'constructor', '__proto__', 'prototype'])

/** What generated code calls a stream with an `operationId`; undefined for one that has none, or nothing in it that a name is made of. */
export function operationName (operationId: unknown): string | undefined {
  const words = typeof operationId === 'string' ? operationId.match(WORDS) : null
  return words === null ? undefined : camelCase(words)
}

/**
 * What generated code calls a stream without an `operationId`: method and URL as words.
 *
 * GET is left out, and every other method comes first, so that a route's name does not depend on which others there are.
 */
export function streamName (method: string, url: string): string {
  const words = wordsOf(url)
  if (method !== 'GET') words.unshift(...method.toLowerCase().match(WORDS) ?? [])
  return camelCase(words)
}

// Without what does not show: the selector in ❤️ is a mark.
const WORDS = /(?:(?!\p{Default_Ignorable_Code_Point})[\p{L}\p{M}\p{Nd}])+/gu

function wordsOf (url: string): string[] {
  const words: string[] = []
  let hasParameter = false
  for (const segment of url.split('/')) {
    // A double colon is a colon, and what stands in parentheses is a pattern.
    const parts = withoutPatterns(segment).replaceAll('::', '-').split(/(?=[:*])/)
    for (const part of parts) {
      if (part === '*') words.push(words.length > 0 ? 'by' : 'any', ...words.length > 0 ? ['path'] : [])
      else if (part.startsWith(':')) {
        words.push(hasParameter ? 'and' : 'by')
        hasParameter = true
        words.push(...part.match(WORDS) ?? [])
        continue
      } else words.push(...part.match(WORDS) ?? [])
      hasParameter = part === '*'
    }
  }
  return words.length > 0 ? words : ['root']
}

function withoutPatterns (segment: string): string {
  let depth = 0
  let kept = ''
  for (const character of segment) {
    if (character === '(') depth++
    if (depth === 0) kept += character
    if (character === ')') depth = Math.max(0, depth - 1)
  }
  return kept
}

function camelCase (words: readonly string[]): string {
  const [first = '', ...rest] = words
  const head = first === first.toUpperCase() ? first.toLowerCase() : first.charAt(0).toLowerCase() + first.slice(1)
  const name = head + rest.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('')
  if (TAKEN.has(name)) return `${name}Stream`
  return /^\p{L}/u.test(name) || name === '' ? name : `stream${name}`
}
