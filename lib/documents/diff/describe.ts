import { divide, Obstacle, propertyOf, type Clause } from './clauses.js'
import { typeOf } from './schema.js'

/** What a description holds of values and alternatives at most. */
const MAX_LISTED = 6
const MAX_LENGTH = 60

/** A few values, in words: `"a", "b" or null`. */
export function describeValues (values: readonly unknown[]): string {
  return listed(values.map((value) => cut(JSON.stringify(value))))
}

/** One alternative, in words: `an integer from 1`, `an object with kind "cat"`. */
export function describeClause (clause: Clause): string {
  let words = described.get(clause)
  if (words === undefined) described.set(clause, words = describe(clause))
  return words
}

/** Alternatives are described again and again while others are tried. */
const described = new WeakMap<Clause, string>()

function describe (clause: Clause): string {
  const { type, values, range, size } = clause
  if (values !== undefined) return describeValues(values)
  if (type === 'number') {
    const words = [clause.isInteger ? 'an integer' : 'a number']
    if (range.min > -Infinity) words.push(`${range.isMinOpen ? 'above' : 'from'} ${range.min}`)
    if (range.max < Infinity) words.push(`${range.isMaxOpen ? 'below' : 'up to'} ${range.max}`)
    if (clause.multiples.length > 0) words.push(`that is a multiple of ${clause.multiples.join(' and ')}`)
    return [...words, ...formatsOf(clause)].join(' ')
  }
  if (type === 'string') {
    return ['a string', ...countOf(clause, 'character', size.min), ...formatsOf(clause), ...clause.patterns.map((pattern) => `that matches ${cut(pattern)}`)].join(' ')
  }
  if (type === 'array') return [clause.isUnique ? 'an array without repetition' : 'an array', ...countOf(clause, 'item', size.min)].join(' ')
  const least = Math.max(0, ...clause.nodes.map(({ limits }) => limits.get('minProperties') ?? 0))
  return ['an object', ...countOf(clause, least === 1 && size.max === 1 ? 'property' : 'propertie', least), ...constantsOf(clause)].join(' ')
}

/** Several alternatives, in words, each once. */
export function describeClauses (clauses: readonly Clause[]): string {
  return listed([...new Set(clauses.map(describeClause))])
}

function listed (words: readonly string[]): string {
  if (words.length > MAX_LISTED) return `${words.slice(0, MAX_LISTED).join(', ')} or ${words.length - MAX_LISTED} more`
  return words.length < 2 ? words[0] ?? 'nothing' : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`
}

function cut (text: string): string {
  return text.length > MAX_LENGTH ? `${text.slice(0, MAX_LENGTH)}…` : text
}

function formatsOf ({ formats }: Clause): string[] {
  return formats.map((format) => `of format ${format}`)
}

function countOf ({ size: { max } }: Clause, unit: string, min: number): string[] {
  if (min === 0 && max === Infinity) return []
  const count = min === max ? String(min) : max === Infinity ? `${min} or more` : min === 0 ? `at most ${max}` : `${min} to ${max}`
  return [`of ${count} ${unit}${count === '1' && unit !== 'propertie' ? '' : 's'}`]
}

/** The constants that tell an object from others: `with kind "cat"`. */
function constantsOf (clause: Clause): string[] {
  for (const name of clause.required) {
    try {
      const [part, other] = divide(propertyOf(clause, name), true)
      if (part?.values?.length === 1 && other === undefined && typeOf(part.values[0]) !== 'null') return [`with ${name} ${describeValues(part.values)}`]
    } catch (error) {
      if (!(error instanceof Obstacle)) throw error
    }
  }
  return []
}
