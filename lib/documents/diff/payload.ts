import { definitionName, definitionRef } from '../../schema/json-pointer.js'
import type { JSONSchema } from '../../schema/manifest.js'
import type { ChangeCode } from './codes.js'
import { compareSchemas, type Note, type Problem, type ProblemKind } from './subset.js'
import { canonical } from './schema.js'

export type Level = 'breaking' | 'safe'

/** What is compared: `'event'` is what a server sends, all others what it takes. */
export type Side = 'event' | 'params' | 'query' | 'headers' | 'body'

export interface PayloadChange {
  readonly level: Level
  readonly code: ChangeCode
  readonly at: readonly string[]
  readonly message: string
}

/** What is expected of both, with code and message of what is breaking or safe. */
interface Wording {
  readonly breaking: Readonly<Record<ProblemKind, readonly [code: ChangeCode, message: (problem: Problem) => string]>>
  readonly safe: (problem: Problem) => string
  readonly safeCode: ChangeCode
}

const NOT_COMPARABLE = ['not-comparable', ({ found }: Problem) => `has changed, and cannot be compared: ${found}`] as const

const SENT: Wording = {
  breaking: {
    type: ['type-added', ({ found, expected }) => `may be ${found} now; clients expect ${expected}`],
    value: ['value-added', ({ found, expected }) => `may be ${found} now; clients expect ${expected}`],
    bound: ['bound-lifted', ({ found, expected }) => `may be ${found} now; clients expect ${expected}`],
    optional: ['property-optional', () => 'may be missing now; clients expect it always'],
    missing: ['property-optional', () => 'is gone; clients expect it always'],
    forbidden: ['property-forbidden', () => 'may be there now; clients allow no such property'],
    variant: ['variant-added', ({ found, expected }) => `may be ${found} now, which is none of what clients know: ${expected}`],
    unknown: NOT_COMPARABLE
  },
  safeCode: 'narrowed',
  safe: ({ kind, found, expected }) => {
    if (kind === 'optional') return 'is always there now'
    if (kind === 'missing') return 'is new, and always there'
    if (kind === 'forbidden') return 'is not sent any more'
    if (kind === 'unknown') return 'is narrower'
    return kind === 'bound' ? `is ${expected} now, and was ${found}` : `is not ${found} any more, but ${expected}`
  }
}

const TAKEN: Wording = {
  breaking: {
    type: ['type-removed', ({ found, expected }) => `has to be ${expected} now; clients may send ${found}`],
    value: ['value-removed', ({ found, expected }) => `has to be ${expected} now; clients may send ${found}`],
    bound: ['bound-tightened', ({ found, expected }) => `has to be ${expected} now; clients may send ${found}`],
    optional: ['parameter-required', () => 'is required now; clients may leave it out'],
    missing: ['parameter-required', () => 'is new and required; clients do not send it'],
    forbidden: ['parameter-forbidden', () => 'must not be sent any more; clients may send it'],
    variant: ['variant-removed', ({ found, expected }) => `is no longer taken as ${found}, but as ${expected}`],
    unknown: NOT_COMPARABLE
  },
  safeCode: 'widened',
  safe: ({ kind, found, expected }) => {
    if (kind === 'optional') return 'may be left out now'
    if (kind === 'missing') return 'need not be sent any more'
    if (kind === 'forbidden') return 'may be sent now'
    if (kind === 'unknown') return 'is wider'
    return kind === 'bound' ? `may be ${found} now, and was ${expected}` : `may be ${found} too, beside ${expected}`
  }
}

/** Compares one schema of what is sent or taken. */
export function diffPayload (side: Side, before: JSONSchema, after: JSONSchema): PayloadChange[] {
  const isEvent = side === 'event'
  const wording = isEvent ? SENT : TAKEN
  const isText = side !== 'event' && side !== 'body'
  // Fastify fills in defaults before it checks, so a client may leave those out.
  const old = isEvent ? before : withoutDefaulted(before)
  const now = isEvent ? after : withoutDefaulted(after)
  const options = { isDeclaredOnly: true, isText }
  const { problems, notes } = isEvent ? compareSchemas(now, old, options) : compareSchemas(old, now, options)
  const reverse = isEvent ? compareSchemas(old, now, options) : compareSchemas(now, old, options)
  const changes: PayloadChange[] = problems.map((problem) => {
    const [code, message] = wording.breaking[problem.kind]
    return { level: 'breaking', code, at: problem.at, message: message(problem) }
  })
  const said = problems.map(({ at }) => at)
  const add = (change: PayloadChange): void => {
    if (said.some((at) => isAround(at, change.at) || isAround(change.at, at))) return
    said.push(change.at)
    changes.push(change)
  }
  const noted = notes.flatMap((note) => noteChange(side, note) ?? [])
  // A safe one around a breaking one would hide it.
  for (const level of ['breaking', 'safe']) for (const change of noted) if (change.level === level) add(change)
  for (const problem of reverse.problems) add({ level: 'safe', code: wording.safeCode, at: problem.at, message: wording.safe(problem) })
  if (!isEvent) for (const change of diffDefaults(before, after)) add(change)
  return changes
}

function noteChange (side: Side, { by, at }: Note): PayloadChange | undefined {
  if (side === 'event') {
    return by === 'sent'
      ? { level: 'safe', code: 'property-added', at, message: 'is new' }
      : { level: 'safe', code: 'property-removed', at, message: 'is not sent any more; clients have to be ready for that' }
  }
  if (by === 'expected') return { level: 'safe', code: 'parameter-added', at, message: 'is new, and may be left out' }
  // It is in the URL still, with or without a schema.
  if (side === 'params') return undefined
  return { level: 'breaking', code: 'parameter-removed', at, message: 'is no longer declared: the server may ignore it' }
}

function isAround (outer: readonly string[], inner: readonly string[]): boolean {
  return outer.every((token, index) => token === inner[index])
}

/**
 * The schema without the requirement of properties that have a default. Ajv fills those in through references, items and `allOf`, and
 * none in the branches of a choice.
 */
function withoutDefaulted (schema: JSONSchema): JSONSchema {
  if (typeof schema === 'boolean') return schema
  const definitions = (schema['$defs'] ?? {}) as Record<string, JSONSchema>
  // A choice may lead to the same definitions, which stay as they are there.
  const filled = new Map<string, JSONSchema>()
  const refer = (name: string): string => {
    let key = `${name} filled`
    while (Object.hasOwn(definitions, key)) key += "'"
    if (!filled.has(key)) {
      // Before it is written: it may refer to itself.
      filled.set(key, true)
      filled.set(key, write(definitions[name]!))
    }
    return definitionRef(key)
  }
  const write = (given: JSONSchema): JSONSchema => {
    if (typeof given === 'boolean') return given
    const written: Record<string, unknown> = { ...given }
    const { properties, required, $ref } = given as { properties?: Record<string, JSONSchema>, required?: string[], $ref?: string }
    if (properties !== undefined) {
      written['properties'] = Object.fromEntries(Object.entries(properties).map(([name, property]) => [name, write(property)]))
      if (required !== undefined) written['required'] = required.filter((name) => !Object.hasOwn(properties, name) || defaultOf(properties[name]!) === undefined)
    }
    for (const keyword of ['items', 'additionalProperties']) if (given[keyword] !== undefined) written[keyword] = write(given[keyword] as JSONSchema)
    const { patternProperties } = given as { patternProperties?: Record<string, JSONSchema> }
    if (patternProperties !== undefined) written['patternProperties'] = Object.fromEntries(Object.entries(patternProperties).map(([name, property]) => [name, write(property)]))
    for (const keyword of ['allOf', 'prefixItems']) if (Array.isArray(given[keyword])) written[keyword] = (given[keyword] as JSONSchema[]).map(write)
    const name = $ref?.startsWith('#/$defs/') ? definitionName($ref) : undefined
    if (name !== undefined && Object.hasOwn(definitions, name)) written['$ref'] = refer(name)
    return written
  }
  const root = write(schema) as Record<string, unknown>
  return { ...root, $defs: { ...definitions, ...Object.fromEntries(filled) } }
}

function defaultOf (schema: JSONSchema): unknown {
  return typeof schema === 'boolean' ? undefined : schema['default']
}

function diffDefaults (before: JSONSchema, after: JSONSchema, path: readonly string[] = []): PayloadChange[] {
  if (typeof before === 'boolean' || typeof after === 'boolean') return []
  const changes: PayloadChange[] = []
  const [old, now] = [before, after].map((schema) => (schema['properties'] ?? {}) as Record<string, JSONSchema>) as [Record<string, JSONSchema>, Record<string, JSONSchema>]
  for (const [name, property] of Object.entries(old)) {
    const other = Object.hasOwn(now, name) ? now[name]! : undefined
    if (other === undefined) continue
    const at = [...path, name]
    const [was, is] = [defaultOf(property), defaultOf(other)]
    if (describe(was) !== describe(is)) {
      changes.push({ level: 'safe', code: 'default-changed', at, message: `is ${describe(is)} when it is left out, and was ${describe(was)}` })
    }
    changes.push(...diffDefaults(property, other, at))
  }
  return changes
}

function describe (value: unknown): string {
  return value === undefined ? 'absent' : canonical(value)
}
