import { Kind } from '@sinclair/typebox'
import { SSEError, nearest, show } from '../errors.js'
import { escapeToken } from './json-pointer.js'
import { knownFormats } from './formats.js'

/** The types of JSON Schema. */
const TYPES: readonly string[] = ['string', 'number', 'integer', 'boolean', 'object', 'array', 'null']

/** TypeBox kinds that JSON has no values for → what to declare instead. */
const NOT_JSON: Readonly<Record<string, string>> = {
  Date: "Use Type.String({ format: 'date-time' }) and send date.toISOString().",
  BigInt: 'Use Type.String() and send value.toString(), or Type.Integer() up to Number.MAX_SAFE_INTEGER.',
  Undefined: 'Use Type.Optional() for a property that may be absent, or Type.Null() for an event without data.',
  Void: 'Use Type.Null() for an event without data.',
  Uint8Array: "Use Type.String({ format: 'byte' }) and send Buffer.from(value).toString('base64').",
  RegExp: 'Use Type.String({ pattern }), whose flags are those of JSON Schema.',
  Symbol: 'Use Type.String() or Type.Literal().',
  Function: 'Send the data it would return.',
  Constructor: 'Send the data of the instance: Type.Object({ … }).',
  Promise: 'Await it and send its value.',
  Iterator: 'Use Type.Array(), or send one event for each item.',
  AsyncIterator: 'Send one event for each item.',
  Argument: 'Give the generic type its arguments with Type.Instantiate().',
  Computed: 'Take it from its module with module.Import().',
  MappedKey: 'Use Type.Mapped(), which resolves it.',
  MappedResult: 'Use Type.Mapped(), which resolves it.'
}

/** `type` values of other vocabularies → what to declare instead. */
const NOT_JSON_TYPE: Readonly<Record<string, string>> = {
  bigint: NOT_JSON['BigInt']!,
  undefined: NOT_JSON['Undefined']!,
  void: NOT_JSON['Void']!,
  symbol: NOT_JSON['Symbol']!,
  date: NOT_JSON['Date']!,
  regexp: NOT_JSON['RegExp']!,
  uint8array: NOT_JSON['Uint8Array']!,
  function: NOT_JSON['Function']!,
  promise: NOT_JSON['Promise']!,
  float: "Use 'number'.",
  int: "Use 'integer'.",
  bool: "Use 'boolean'.",
  any: 'Leave out the type: {} accepts any value.',
  file: "Use { type: 'string', format: 'byte' } and send base64."
}

/** Keywords whose value is one schema. */
export const SCHEMA_KEYWORDS: ReadonlySet<string> = new Set([
  'additionalItems', 'additionalProperties', 'contains', 'else', 'if', 'not', 'propertyNames', 'then', 'unevaluatedItems', 'unevaluatedProperties'
])
/** Keywords whose value is a list of schemas. `items` is one or the other. */
export const LIST_KEYWORDS: ReadonlySet<string> = new Set(['allOf', 'anyOf', 'oneOf', 'prefixItems'])
/** Keywords whose value is a map of schemas. */
export const MAP_KEYWORDS: ReadonlySet<string> = new Set(['$defs', 'definitions', 'dependentSchemas', 'patternProperties', 'properties'])
/** Keywords whose value is data: any JSON. */
const DATA_KEYWORDS: ReadonlySet<string> = new Set(['const', 'default', 'enum', 'example', 'examples'])
/** Keywords that assert something about a value and hold no schema. */
export const ASSERTION_KEYWORDS: ReadonlySet<string> = new Set([
  'type', 'enum', 'const', 'multipleOf', 'maximum', 'exclusiveMaximum', 'minimum', 'exclusiveMinimum', 'maxLength', 'minLength', 'pattern', 'format',
  'maxItems', 'minItems', 'uniqueItems', 'maxContains', 'minContains', 'maxProperties', 'minProperties', 'required', 'dependentRequired', 'nullable'
])
const KEYWORDS: ReadonlySet<string> = new Set([
  ...SCHEMA_KEYWORDS, ...LIST_KEYWORDS, ...MAP_KEYWORDS, ...DATA_KEYWORDS, ...ASSERTION_KEYWORDS, 'items', 'dependencies', '$ref',
  '$id', '$schema', '$anchor', '$comment', 'title', 'description', 'deprecated', 'readOnly', 'writeOnly', 'discriminator',
  'contentEncoding', 'contentMediaType', 'contentSchema', 'externalDocs', 'xml'
])

/** Whether a keyword limits what values there may be, or holds schemas that may. The others describe. */
export function isConstraint (keyword: string): boolean {
  return ASSERTION_KEYWORDS.has(keyword) || SCHEMA_KEYWORDS.has(keyword) || LIST_KEYWORDS.has(keyword) ||
    (MAP_KEYWORDS.has(keyword) && keyword !== 'definitions') || keyword === '$ref' || keyword === 'items' || keyword === 'dependencies'
}

/** Whether it is a constant, with no more than the type it has anyway. */
export function isConstant (schema: Readonly<Record<PropertyKey, unknown>>): boolean {
  const type: string = typeof schema['const']
  return 'const' in schema && Object.keys(schema).every((keyword) => keyword === 'const' || (keyword === 'type' && schema['type'] === type))
}

/** `dependencies` of draft 7 is two keywords by now: writes them into a copy. */
export function splitDependencies (dependencies: object, copy: Record<string, unknown>, copySchema: (schema: unknown) => unknown): void {
  for (const [name, dependency] of Object.entries(dependencies) as Array<[string, unknown]>) {
    const keyword = Array.isArray(dependency) ? 'dependentRequired' : 'dependentSchemas'
    const map = (copy[keyword] ??= Object.create(null)) as Record<string, unknown>
    map[name] = Array.isArray(dependency) ? dependency : copySchema(dependency)
  }
}

/**
 * Refuses a schema that is not plain JSON Schema, at any depth.
 *
 * Refused are the types of TypeBox that JSON has no values for (`Type.Date`, `Type.BigInt`, `Type.Undefined` …), schemas
 * of other libraries, functions, class instances, cyclic objects, unknown formats and misspelt keywords. Also the format
 * `unsafe`, which makes fast-json-stringify write strings without escaping them.
 *
 * @throws FST_SSE_SCHEMA_INVALID with `eventType`, `path` (a JSON pointer into the schema) and `found`
 */
export function assertJSONSchema (eventType: string, schema: unknown): void {
  assertSchema({ eventType, formats: knownFormats(), open: new Set(), done: new Set() }, schema, '')
}

/**
 * The same for what a request has: formats and keywords may be any, since the application's own validator is the one that knows
 * them.
 */
export function assertInputSchema (where: string, schema: unknown): void {
  assertSchema({ eventType: where, formats: undefined, open: new Set(), done: new Set() }, schema, '')
}

interface Walk {
  eventType: string
  /** Undefined when any will do, and any keyword. */
  formats: ReadonlySet<string> | undefined
  /** Objects between the root and here: meeting one again is a cycle. */
  open: Set<object>
  /** Schemas found to be right. TypeBox types share parts, and a part needs to be looked at once. */
  done: Set<object>
}

function assertSchema (walk: Walk, schema: unknown, path: string): void {
  if (typeof schema === 'boolean' && path !== '') return
  const node = assertPlainObject(walk, schema, path, 'Use a TypeBox type or a JSON Schema object.')
  const kind = (node as Record<PropertyKey, unknown>)[Kind]
  const instead = typeof kind === 'string' && Object.hasOwn(NOT_JSON, kind) ? NOT_JSON[kind] : undefined
  if (instead !== undefined) refuse(walk, path, kind, `Type.${String(kind)}, which JSON has no values for`, instead)
  if (walk.done.has(node)) return
  enter(walk, node, path, () => {
    for (const [keyword, value] of Object.entries(node)) {
      if (value === undefined) continue
      const at = `${path}/${escapeToken(keyword)}`
      if (keyword === 'type') assertType(walk, value, at)
      else if (keyword === 'format') assertFormat(walk, value, at)
      else if (keyword === 'pattern') assertPattern(walk, value, at)
      else if (SCHEMA_KEYWORDS.has(keyword) || (keyword === 'items' && !Array.isArray(value))) assertSchema(walk, value, at)
      else if (LIST_KEYWORDS.has(keyword) || keyword === 'items') assertList(walk, value, at)
      else if (MAP_KEYWORDS.has(keyword) || keyword === 'dependencies') assertMap(walk, keyword, value, at)
      else if (keyword === '$recursiveRef' || keyword === '$dynamicRef') {
        refuse(walk, at, value, 'a dynamic reference', 'Use $ref.')
      } else if (KEYWORDS.has(keyword)) assertJSON(walk, value, at)
      // TypeBox types and `x-` keywords carry what their users like. Elsewhere a near miss is a constraint nobody checks.
      else if (walk.formats !== undefined && kind === undefined && !keyword.startsWith('x-')) assertKeyword(walk, keyword, at)
    }
  })
  walk.done.add(node)
}

function assertType (walk: Walk, type: unknown, path: string): void {
  const types = Array.isArray(type) ? type : [type]
  if (types.length === 0) refuse(walk, path, type, 'an empty list', `Use one of ${TYPES.join(', ')}.`)
  for (const [index, name] of types.entries()) {
    if (TYPES.includes(name)) continue
    const at = Array.isArray(type) ? `${path}/${index}` : path
    const key = typeof name === 'string' ? name.toLowerCase() : ''
    const near = typeof name === 'string' ? nearest(name, TYPES) : undefined
    const instead = Object.hasOwn(NOT_JSON_TYPE, key)
      ? NOT_JSON_TYPE[key]!
      : near === undefined ? `Use one of ${TYPES.join(', ')}.` : `Did you mean ${show(near)}?`
    refuse(walk, at, name, `${show(name)}, which is not a type of JSON Schema`, instead)
  }
}

function assertFormat (walk: Walk, format: unknown, path: string): void {
  if (typeof format !== 'string') refuse(walk, path, format, describe(format), 'Use the name of a format.')
  if (format === 'unsafe') {
    refuse(walk, path, format, 'the format "unsafe", with which strings are written without escaping', 'Leave out the format.')
  }
  if (walk.formats === undefined || walk.formats.has(format)) return
  const near = nearest(format, walk.formats)
  refuse(walk, path, format, `the unknown format ${show(format)}`,
    (near === undefined ? '' : `Did you mean ${show(near)}? `) + "Register your own with TypeBox's FormatRegistry.Set() before the route.")
}

function assertPattern (walk: Walk, pattern: unknown, path: string): void {
  if (typeof pattern !== 'string') refuse(walk, path, pattern, describe(pattern), 'Use the source of a regular expression, as a string.')
  try {
    RegExp(pattern)
  } catch (err) {
    refuse(walk, path, pattern, `the regular expression ${show(pattern)}, which does not compile`, 'Correct it.', err)
  }
}

function assertList (walk: Walk, list: unknown, path: string): void {
  if (!Array.isArray(list)) return refuse(walk, path, list, describe(list), 'Use an array of schemas.')
  enter(walk, list, path, () => {
    for (const [index, schema] of list.entries()) assertSchema(walk, schema, `${path}/${index}`)
  })
}

function assertMap (walk: Walk, keyword: string, map: unknown, path: string): void {
  const schemas = assertPlainObject(walk, map, path, 'Use an object of schemas.')
  enter(walk, schemas, path, () => {
    for (const [name, schema] of Object.entries(schemas)) {
      const at = `${path}/${escapeToken(name)}`
      if (keyword === 'patternProperties') assertPattern(walk, name, at)
      if (keyword === 'dependencies' && Array.isArray(schema)) assertJSON(walk, schema, at)
      else assertSchema(walk, schema, at)
    }
  })
}

/** Keyword values that are data may be any JSON, and nothing else. */
function assertJSON (walk: Walk, value: unknown, path: string): void {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) refuse(walk, path, value, String(value), 'Use a finite number.')
    return
  }
  if (Array.isArray(value)) {
    enter(walk, value, path, () => {
      for (const [index, item] of value.entries()) assertJSON(walk, item, `${path}/${index}`)
    })
    return
  }
  const object = assertPlainObject(walk, value, path, 'Use a JSON value.')
  enter(walk, object, path, () => {
    for (const [name, property] of Object.entries(object)) {
      if (property !== undefined) assertJSON(walk, property, `${path}/${escapeToken(name)}`)
    }
  })
}

function assertKeyword (walk: Walk, keyword: string, path: string): void {
  const near = nearest(keyword, KEYWORDS)
  // The plural `examples` is near to many an unknown word, but nobody counts on it being checked.
  if (near === undefined || DATA_KEYWORDS.has(near)) return
  refuse(walk, path, keyword, `the unknown keyword ${show(keyword)}`, `Did you mean ${show(near)}? Start keywords of your own with "x-".`)
}

function assertPlainObject (walk: Walk, value: unknown, path: string, instead: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    if (value !== null && (typeof value === 'function' || typeof value === 'object') && '~standard' in value) refuseLibrary(walk, path, value)
    return refuse(walk, path, value, describe(value), instead)
  }
  if ('~standard' in value) refuseLibrary(walk, path, value)
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== null && !isObjectPrototype(prototype)) refuse(walk, path, value, describe(value), instead)
  return value as Record<string, unknown>
}

function refuseLibrary (walk: Walk, path: string, value: object): never {
  const vendor = ((value as { '~standard'?: { vendor?: unknown } })['~standard'])?.vendor
  return refuse(walk, path, value, `a schema of ${typeof vendor === 'string' ? vendor : 'another library'}`, 'Convert it to JSON Schema first, or use TypeBox.')
}

/** Also the `Object.prototype` of another realm (`vm`, worker data). */
function isObjectPrototype (prototype: unknown): boolean {
  return prototype === Object.prototype ||
    (Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype as object, 'hasOwnProperty'))
}

function enter (walk: Walk, object: object, path: string, visit: () => void): void {
  if (walk.open.has(object)) refuse(walk, path, object, 'a reference back to an object that contains it', 'Use $ref, or Type.Recursive().')
  walk.open.add(object)
  visit()
  walk.open.delete(object)
}

function refuse (walk: Walk, path: string, found: unknown, what: string, instead: string, cause?: unknown): never {
  throw new SSEError('FST_SSE_SCHEMA_INVALID',
    `The schema of event ${show(walk.eventType)} ${path === '' ? `is ${what}` : `has ${what}, at ${path}`}. ${instead}`,
    { eventType: walk.eventType, path, found }, cause)
}

function describe (value: unknown): string {
  if (value === null || value === undefined) return String(value)
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'function') return value.name === '' ? 'a function' : `the function ${value.name}`
  if (typeof value !== 'object') return `the ${typeof value} ${typeof value === 'string' ? show(value) : String(value)}`
  const name: unknown = value.constructor?.name
  return typeof name === 'string' && name !== '' && name !== 'Object' ? `an instance of ${name}` : 'an object that is not plain'
}
