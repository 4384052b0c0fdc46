// The entry «fastify-typed-sse/client/typebox»: checks events by the TypeBox schemas that they are declared with.
import { FormatRegistry, Kind, TypeRegistry, type TSchema } from '@sinclair/typebox'
import { Errors, ValueErrorType, type ValueError } from '@sinclair/typebox/errors'
import { Check } from '@sinclair/typebox/value'
import type { StreamDefinition } from '../schema/definition.js'
import { resolveEvents, type EventContract, type EventMap } from '../schema/events.js'
import { explainUnion } from '../schema/union-errors.js'
import { cut, problemText, valueAt } from './problem.js'
import type { Validator } from './types.js'

/**
 * A `validate` for {@link connect} that checks events by their TypeBox schemas, without `eval`.
 *
 * What a server of this package sends of a declared event passes. Events that are not declared, which a newer server may
 * send, and `sse.*` pass unseen.
 *
 * Of a declared event is checked what TypeBox's `Value.Check` looks at. Left to the server are
 *
 * - formats that are not in TypeBox's `FormatRegistry`, which is looked at when the first event of a type arrives; nothing is registered in it
 * - `Type.Not`, `contains`, `unevaluatedProperties`, fractions in `multipleOf`, and keywords that TypeBox does not know of
 * - what is not of TypeBox: `Type.Unsafe` but for an `enum` of simple values, and plain JSON Schema, for which there is `jsonSchemaValidator`
 * - references to schemas of the server (`addSchema`), and kinds that are not in this program's `TypeRegistry`
 *
 * @param events a contract made with `defineEvents`, a bare map of event type → schema, or a stream made with `defineStream`
 * @throws what `defineEvents` throws, for a map that is none
 */
export function typeboxValidator (events: EventContract | EventMap | StreamDefinition): Validator {
  const isStream = typeof (events as StreamDefinition).path === 'string'
  const schemas = resolveEvents(isStream ? (events as StreamDefinition).events : events)
  const checks = new Map<string, (data: unknown) => string | undefined>()
  return ({ event, data }) => {
    const schema = schemas[event]
    if (schema === undefined) return undefined
    let check = checks.get(event)
    // Not before: a page may never see most of the events that it knows.
    if (check === undefined) checks.set(event, check = createCheck(schema))
    return check(data)
  }
}

type Node = Record<PropertyKey, unknown>

/** What `$ref` may lead to: `$id`, or name in the module, → schema. */
type Scope = ReadonlyMap<string, Node>

const UNKNOWN: Node = { [Kind]: 'Unknown' }

/** In place of TypeBox's own words: what a schema expects. */
const kExpected = Symbol('sse.expected')

function createCheck (schema: TSchema): (data: unknown) => string | undefined {
  const { type, references, namesInherited } = toCheckable(schema as unknown as Node)
  return (data) => {
    const value = namesInherited ? withoutPrototypes(data) : data
    if (Check(type, references, value)) return undefined
    const [error] = Errors(type, references, value)
    const [told] = error === undefined ? [] : explainUnion(error, 5)
    if (told === undefined) return 'does not match its schema'
    const { path, expected } = told.type === ValueErrorType.Union ? expectationOfUnion(told, references) : { path: told.path, expected: expectation(told) }
    return problemText(path, lowerCase(expected), valueAt(data, path))
  }
}

function expectation (error: ValueError): string {
  const isOurs = error.type === ValueErrorType.Union || error.type === ValueErrorType.StringPattern
  return String((isOurs && (error.schema as unknown as Node)[kExpected]) || error.message)
}

/** What would do instead, when all branches of a union expect it in one place: of the value itself, or of the constant that tells them apart. */
function expectationOfUnion (union: ValueError, references: TSchema[]): { path: string, expected: string } {
  const whole = { path: union.path, expected: expectation(union) }
  if (whole.expected !== union.message) return whole
  const told = (union.schema as unknown as { anyOf: TSchema[] }).anyOf.map((branch) => {
    const errors = [...Errors(branch, references, union.value)]
    return errors.find(({ type }) => type === ValueErrorType.Literal) ?? errors[0]!
  })
  const { path } = told[0]!
  if (!told.every((error) => error.path === path && /^expected /i.test(expectation(error)))) return whole
  return { path: union.path + path, expected: `Expected ${cut([...new Set(told.map((error) => expectation(error).slice('expected '.length)))].join(' or '))}` }
}

function lowerCase (text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1)
}

/** `Value.Check` takes what an object inherits for its properties: `toString` is there, and no string. */
function withoutPrototypes (data: unknown): unknown {
  if (Array.isArray(data)) return data.map(withoutPrototypes)
  if (typeof data !== 'object' || data === null) return data
  const copy: Node = Object.create(null)
  for (const [name, value] of Object.entries(data)) copy[name] = withoutPrototypes(value)
  return copy
}

/**
 * A copy of a type on which `Value.Check` refuses nothing that JSON Schema, and so the server, accepts.
 *
 * @returns the type, and all that its references may lead to
 */
function toCheckable (root: Node): { type: TSchema, references: TSchema[], namesInherited: boolean } {
  const references: Node[] = []
  const targets = new Map<Node, Node>()
  let namesInherited = false

  const list = (nodes: unknown, scope: Scope): Node[] | undefined => (nodes as Node[] | undefined)?.map((node) => copy(node, scope))
  const map = (nodes: unknown, scope: Scope): Node => {
    const copies: Node = Object.create(null)
    for (const [name, node] of Object.entries(nodes as object)) copies[name] = copy(node, scope)
    return copies
  }

  /** A copy that can be referred to. Each has a name of its own: two modules may use one name for different things. */
  function target (node: Node, scope: Scope): Node {
    let made = targets.get(node)
    if (made === undefined) {
      made = { $id: `#${references.length}` }
      targets.set(node, made)
      references.push(made)
      const inner = typeof node['$id'] === 'string' ? new Map([...scope, [node['$id'], node]]) : scope
      Object.assign(made, copyParts(node, inner), { $id: made['$id'] })
    }
    return made
  }

  function reference (node: Node | undefined, scope: Scope): Node {
    return node === undefined ? UNKNOWN : { [Kind]: 'Ref', $ref: target(node, scope)['$id'] }
  }

  function copy (node: Node, scope: Scope): Node {
    const made = typeof node['$id'] === 'string' ? target(node, scope) : copyParts(node, scope)
    return node['nullable'] === true ? { [Kind]: 'Union', anyOf: [made, { [Kind]: 'Null' }] } : made
  }

  function copyParts (node: Node, scope: Scope): Node {
    const { $id, ...rest } = node
    switch (node[Kind]) {
      case 'Any': case 'Unknown': case 'Never': case 'Null': case 'Boolean': case 'Literal': case 'TemplateLiteral':
        return rest
      case 'Integer': case 'Number':
        return Number.isInteger(rest['multipleOf']) ? rest : { ...rest, multipleOf: undefined }
      case 'String':
        return copyString(rest)
      case 'Object': case 'Record': {
        const { properties, patternProperties, additionalProperties: additional } = rest
        for (const name in properties as object) namesInherited ||= name in Object.prototype
        return {
          ...rest,
          properties: properties && map(properties, scope),
          patternProperties: patternProperties && map(patternProperties, scope),
          additionalProperties: typeof additional === 'object' ? copy(additional as Node, scope) : additional
        }
      }
      case 'Array':
        return { ...rest, items: copy(rest['items'] as Node, scope), contains: undefined, minContains: undefined, maxContains: undefined }
      case 'Tuple':
        return { ...rest, items: list(rest['items'], scope) }
      case 'Union':
        return { ...rest, anyOf: list(rest['anyOf'], scope) }
      case 'Intersect':
        return { ...rest, allOf: list(rest['allOf'], scope), unevaluatedProperties: undefined }
      case 'Import': {
        const members = Object.entries(rest['$defs'] as Record<string, Node>)
        return reference((rest['$defs'] as Record<string, Node>)[String(rest['$ref'])], new Map([...scope, ...members]))
      }
      case 'Ref': case 'This':
        return reference(scope.get(String(rest['$ref'])), scope)
    }
    // A kind of the application's own gets its schema as it is.
    return TypeRegistry.Has(String(node[Kind])) ? node : copyEnum(rest['enum'])
  }

  const type = copy(root, collectIds(root, new Map()))
  return { type: type as unknown as TSchema, references: references as unknown as TSchema[], namesInherited }
}

function copyString (node: Node): Node {
  const { format, pattern, minLength, maxLength, ...rest } = node
  const parts: Node[] = [{ ...rest, format: FormatRegistry.Has(String(format)) ? format : undefined }]
  // Of the kinds of strings, this one takes the flags that a pattern brings along.
  const addPattern = (regExp: unknown, expected: string): void => {
    parts.push({ [Kind]: 'TemplateLiteral', pattern: regExp, [kExpected]: `expected ${expected}` })
  }
  // JSON Schema reads patterns by characters, and counts characters; TypeBox UTF-16 units.
  if (typeof pattern === 'string') addPattern(withFlag(pattern), `string to match '${pattern}'`)
  if (minLength !== undefined || maxLength !== undefined) {
    const range = `${String(minLength ?? 0)}${maxLength === undefined ? '' : ` to ${String(maxLength)}`}`
    addPattern(new RegExp(`^[^]{${String(minLength ?? 0)},${String(maxLength ?? '')}}$`, 'u'), `${range}${maxLength === undefined ? ' or more' : ''} characters`)
  }
  return parts.length === 1 ? parts[0]! : { [Kind]: 'Intersect', allOf: parts }
}

function withFlag (pattern: string): unknown {
  try {
    return new RegExp(pattern, 'u')
  } catch {
    return pattern
  }
}

/** `Type.Unsafe({ type: 'string', enum: […] })` is how enumerations of strings are often declared. */
function copyEnum (values: unknown): Node {
  if (!Array.isArray(values) || !values.every((value) => typeof value !== 'object' || value === null)) return UNKNOWN
  return {
    [Kind]: 'Union',
    anyOf: values.map((value: unknown) => ({ [Kind]: 'Literal', const: value })),
    [kExpected]: `expected one of ${cut(values.map((value) => JSON.stringify(value)).join(', '))}`
  }
}

/** `$id` → schema, for all of a type but what its modules keep to themselves. */
function collectIds (value: unknown, ids: Map<string, Node>): Map<string, Node> {
  if (typeof value === 'object' && value !== null) {
    const node = value as Node
    if (typeof node['$id'] === 'string') ids.set(node['$id'], node)
    for (const [keyword, part] of Object.entries(node)) {
      if (keyword !== '$defs') collectIds(part, ids)
    }
  }
  return ids
}
