import { quote, templateText, union, type TypeNode } from './type.js'

/** Larger unions are not written out: the compiler multiplies them. */
const MAX_COMBINATIONS = 1_000
const MAX_KEYS = 32
// eslint-disable-next-line no-template-curly-in-string -- a type, as it is written
const NUMBERS = '`${number}`'

/**
 * Patterns as TypeBox makes them of `Type.TemplateLiteral`: text, numbers, strings, booleans, and unions of them.
 *
 * - text, with a backslash before what has a meaning in a pattern
 * - `(.*)` is any string, `(0|[1-9][0-9]*)` a number
 * - `(a|b)` is one of several, which are templates again
 */
type Part = string | { readonly placeholder: 'string' | 'number' } | { readonly alternatives: readonly (readonly Part[])[] }

/** The type of the strings that a pattern matches, when it is one that TypeBox makes of a template literal. */
export function templateType (pattern: string): TypeNode | undefined {
  const parts = parseTemplate(pattern)
  if (parts === undefined || combinations(parts) > MAX_COMBINATIONS) return undefined
  return typeOf(parts)
}

/** What a name may be: this one, or any of a type that an index signature takes (`string`, `number`, a template). */
export type KeyType = { readonly name: string } | { readonly index: string }

/** The names that a pattern of `patternProperties` or `propertyNames` matches. One that says how a name begins and no more is known too: `^x-`. */
export function keyTypes (pattern: string): KeyType[] {
  const prefix = /^\^((?:[\w-]|\\[.*+?^${}()|[\]\\/-])+)$/.exec(pattern)?.[1]
  if (prefix !== undefined) return [{ index: `\`${templateText(prefix.replace(/\\(.)/g, '$1'))}\${string}\`` }]
  const parts = parseTemplate(pattern)
  // Each combination is an index signature of its own: it takes no unions.
  if (parts === undefined || combinations(parts) > MAX_KEYS) return [{ index: 'string' }]
  return expand(parts).map((each) => {
    if (each.every((part) => typeof part === 'string')) return { name: each.join('') }
    const { text } = typeOf(each) as { text: string }
    return { index: text === NUMBERS ? 'number' : text }
  })
}

/** A template without alternatives for each of their combinations. */
function expand (parts: readonly Part[]): Part[][] {
  return parts.reduce<Part[][]>((heads, part) => {
    const tails = typeof part === 'object' && 'alternatives' in part ? part.alternatives.flatMap(expand) : [[part]]
    return heads.flatMap((head) => tails.map((tail) => [...head, ...tail]))
  }, [[]])
}

function parseTemplate (pattern: string): Part[] | undefined {
  if (!pattern.startsWith('^') || !pattern.endsWith('$')) return undefined
  const body = pattern.slice(1, -1)
  let at = 0
  const parts = sequence()
  return at === body.length ? parts : undefined

  function sequence (): Part[] | undefined {
    const parts: Part[] = []
    while (at < body.length && body[at] !== '|' && body[at] !== ')') {
      const char = body[at]!
      if (char === '(') {
        const part = group()
        if (part === undefined) return undefined
        parts.push(part)
        continue
      }
      const isEscaped = char === '\\'
      const plain = isEscaped ? body[at + 1] ?? '' : char
      if (isEscaped !== /^[.*+?^${}()|[\]\\]$/.test(plain)) return undefined
      at += isEscaped ? 2 : 1
      if (typeof parts.at(-1) === 'string') parts.push(parts.pop() as string + plain)
      else parts.push(plain)
    }
    return parts
  }

  function group (): Part | undefined {
    for (const [source, placeholder] of [['(.*)', 'string'], ['(0|[1-9][0-9]*)', 'number']] as const) {
      if (!body.startsWith(source, at)) continue
      at += source.length
      return { placeholder }
    }
    const alternatives: Part[][] = []
    do {
      at++
      const parts = sequence()
      if (parts === undefined) return undefined
      alternatives.push(parts)
    } while (body[at] === '|')
    return body[at++] === ')' ? { alternatives } : undefined
  }
}

function combinations (parts: readonly Part[]): number {
  return parts.reduce((product, part) => typeof part === 'object' && 'alternatives' in part
    ? product * part.alternatives.reduce((sum, each) => sum + combinations(each), 0)
    : product, 1)
}

function typeOf (parts: readonly Part[]): TypeNode {
  const [first, ...others] = parts
  if (first === undefined || (typeof first === 'string' && others.length === 0)) return { kind: 'literal', text: quote(first ?? ''), of: 'string' }
  if (others.length === 0 && typeof first === 'object') {
    if ('alternatives' in first) return union(first.alternatives.map(typeOf))
    if (first.placeholder === 'string') return { kind: 'text', text: 'string' }
  }
  return { kind: 'text', text: `\`${parts.map(inTemplate).join('')}\`` }
}

function inTemplate (part: Part): string {
  if (typeof part === 'string') return templateText(part)
  if ('placeholder' in part) return `\${${part.placeholder}}`
  const type = typeOf([part])
  return `\${${type.kind === 'union' ? type.members.map((member) => (member as { text: string }).text).join(' | ') : (type as { text: string }).text}}`
}
