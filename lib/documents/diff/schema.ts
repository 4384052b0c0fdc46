import { unescapeToken } from '../../schema/json-pointer.js'
import type { JSONSchema } from '../../schema/manifest.js'

/** The types that values of JSON have. An integer is a number here. */
export type ValueType = 'null' | 'boolean' | 'number' | 'string' | 'array' | 'object'

export const VALUE_TYPES: readonly ValueType[] = ['null', 'boolean', 'number', 'string', 'array', 'object']

/**
 * One schema, ready to be compared: references are followed, and the keywords that can be said by others are. `const` is an
 * `enum` of one, `if`, `dependentRequired` and `dependentSchemas` are alternatives.
 */
export interface SchemaNode {
  /** The same for nodes that say the same, of all schemas that were read together. Names of `$defs` and descriptions do not count. */
  group: number
  /** Accepts nothing. */
  isNever: boolean
  /** Says nothing, so accepts everything. */
  isAny: boolean
  /** Undefined: any. */
  types: Set<ValueType> | undefined
  isInteger: boolean
  /** Undefined: any. */
  values: unknown[] | undefined
  /** `minimum`, `maxLength` and their like, as they are. */
  limits: Map<string, number>
  pattern: string | undefined
  format: string | undefined
  isUnique: boolean
  shape: Shape | undefined
  required: string[]
  names: SchemaNode | undefined
  prefix: SchemaNode[]
  rest: SchemaNode | undefined
  contains: SchemaNode | undefined
  all: SchemaNode[]
  /** Of each group at least one. */
  any: SchemaNode[][]
  /** Of each group exactly one. */
  one: SchemaNode[][]
  nots: SchemaNode[]
  unevaluatedProperties: SchemaNode | undefined
  unevaluatedItems: SchemaNode | undefined
  /** What says how a value looks makes of it something that not all of it may leave the server. */
  isShaped: boolean
  /** Why this schema cannot be compared, when it cannot. */
  obstacle: string | undefined
  /** With an obstacle: the text of all around it. What it means may lie anywhere in there. */
  text: string | undefined
}

/** What one schema says about the properties of an object. */
export interface Shape {
  properties: Map<string, SchemaNode>
  patterns: Map<string, SchemaNode>
  /** Of names that neither of them has. */
  additional: SchemaNode | undefined
}

type Raw = Readonly<Record<string, unknown>>

const LIMITS = [
  'minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf', 'minLength', 'maxLength', 'minItems', 'maxItems', 'minContains', 'maxContains',
  'minProperties', 'maxProperties'
]
const SHAPING = [
  'type', 'const', 'enum', 'properties', 'required', 'additionalProperties', 'patternProperties', 'dependentRequired', 'dependentSchemas', 'propertyNames',
  'unevaluatedProperties', 'prefixItems', 'items', 'uniqueItems', 'contains', 'unevaluatedItems', 'pattern', 'format', ...LIMITS
]
const APPLYING = ['$ref', '$dynamicRef', '$recursiveRef', 'allOf', 'anyOf', 'oneOf', 'not', 'if', 'dependencies', 'additionalItems']
const OTHER_DRAFTS = ['$dynamicRef', '$recursiveRef', 'dependencies', 'additionalItems']

/**
 * Reads schemas that are to be compared with each other.
 *
 * @param schemas draft 2020-12, each with its own `$defs`
 */
export function readSchemas (...schemas: JSONSchema[]): SchemaNode[] {
  const nodes: SchemaNode[] = []
  const roots = schemas.map((schema) => readSchema(schema, nodes))
  groupNodes(nodes)
  return roots
}

function readSchema (root: JSONSchema, nodes: SchemaNode[]): SchemaNode {
  const known = new Map<unknown, SchemaNode>()
  return read(root)

  function add (fields: Partial<SchemaNode> = {}): SchemaNode {
    const node: SchemaNode = {
      group: 0,
      isNever: false,
      isAny: false,
      types: undefined,
      isInteger: false,
      values: undefined,
      limits: new Map(),
      pattern: undefined,
      format: undefined,
      isUnique: false,
      shape: undefined,
      required: [],
      names: undefined,
      prefix: [],
      rest: undefined,
      contains: undefined,
      all: [],
      any: [],
      one: [],
      nots: [],
      unevaluatedProperties: undefined,
      unevaluatedItems: undefined,
      isShaped: false,
      obstacle: undefined,
      text: undefined,
      ...fields
    }
    nodes.push(node)
    return node
  }

  function read (schema: unknown): SchemaNode {
    let node = known.get(schema)
    if (node === undefined) {
      node = add()
      // Before its parts are read: one of them may refer to it.
      known.set(schema, node)
      if (schema === true) node.isAny = true
      else if (schema === false) Object.assign(node, { isNever: true, isShaped: true })
      else if (typeof schema === 'object' && schema !== null && !Array.isArray(schema)) fill(node, schema as Raw)
      else node.obstacle = 'it holds something that is no schema'
    }
    return node
  }

  function fill (node: SchemaNode, raw: Raw): void {
    const optional = (keyword: string): SchemaNode | undefined => raw[keyword] === undefined ? undefined : read(raw[keyword])
    const list = (keyword: string): SchemaNode[] => Array.isArray(raw[keyword]) ? (raw[keyword] as unknown[]).map(read) : []
    const map = (keyword: string): Map<string, SchemaNode> => new Map(Object.entries((raw[keyword] ?? {}) as Raw).map(([name, schema]) => [name, read(schema)]))
    const unread = OTHER_DRAFTS.find((keyword) => keyword in raw)
    if (unread !== undefined) node.obstacle = `it uses ${unread}`
    else if (Array.isArray(raw['items'])) node.obstacle = 'its items are a list'
    node.isShaped = SHAPING.some((keyword) => keyword in raw)
    node.isAny = !node.isShaped && !APPLYING.some((keyword) => keyword in raw)
    readType(node, raw)
    if ('const' in raw) node.values = [raw['const']]
    if (Array.isArray(raw['enum'])) {
      const values = raw['enum'] as unknown[]
      node.values = node.values?.filter((value) => values.some((other) => isSame(other, value))) ?? values
    }
    for (const keyword of LIMITS) {
      const limit = raw[keyword]
      if (typeof limit === 'number') node.limits.set(keyword, limit)
    }
    if (typeof raw['pattern'] === 'string') node.pattern = raw['pattern']
    if (typeof raw['format'] === 'string') node.format = raw['format']
    node.isUnique = raw['uniqueItems'] === true
    if (['properties', 'patternProperties', 'additionalProperties'].some((keyword) => keyword in raw)) {
      node.shape = { properties: map('properties'), patterns: map('patternProperties'), additional: optional('additionalProperties') }
    }
    if (Array.isArray(raw['required'])) node.required = [...new Set(raw['required'] as string[])].sort()
    node.names = optional('propertyNames')
    node.prefix = list('prefixItems')
    if (node.obstacle === undefined) node.rest = optional('items')
    node.contains = optional('contains')
    node.all = list('allOf')
    if (typeof raw['$ref'] === 'string') readReference(node, raw['$ref'])
    if (Array.isArray(raw['anyOf'])) node.any.push(list('anyOf'))
    if (Array.isArray(raw['oneOf'])) node.one.push(list('oneOf'))
    if (raw['not'] !== undefined) node.nots.push(read(raw['not']))
    if (raw['if'] !== undefined) readCondition(node, read(raw['if']), optional('then'), optional('else'))
    for (const [name, schema] of map('dependentSchemas')) readDependency(node, name, schema)
    for (const [name, required] of Object.entries((raw['dependentRequired'] ?? {}) as Record<string, string[]>)) {
      readDependency(node, name, add({ types: new Set(['object']), required: [...required].sort() }))
    }
    node.unevaluatedProperties = optional('unevaluatedProperties')
    node.unevaluatedItems = optional('unevaluatedItems')
    if (node.obstacle !== undefined) node.text = JSON.stringify(root)
  }

  function readReference (node: SchemaNode, reference: string): void {
    const target = reference === '#' ? root : reference.startsWith('#/') ? follow(root, reference) : undefined
    if (target === undefined) node.obstacle = `its reference ${reference} leads to nothing in it`
    else node.all.push(read(target))
  }

  function readCondition (node: SchemaNode, condition: SchemaNode, consequence: SchemaNode | undefined, otherwise: SchemaNode | undefined): void {
    node.any.push([
      add({ all: consequence === undefined ? [condition] : [condition, consequence] }),
      add({ nots: [condition], all: otherwise === undefined ? [] : [otherwise] })
    ])
  }

  function readDependency (node: SchemaNode, name: string, schema: SchemaNode): void {
    node.any.push([add({ nots: [add({ types: new Set(['object']), required: [name] })] }), schema])
  }
}

function readType (node: SchemaNode, raw: Raw): void {
  if (raw['type'] === undefined) return
  const types = [raw['type']].flat() as string[]
  node.isInteger = types.includes('integer') && !types.includes('number')
  node.types = new Set(types.map((type) => type === 'integer' ? 'number' : type as ValueType))
  if (raw['nullable'] === true) node.types.add('null')
}

function follow (root: JSONSchema, reference: string): unknown {
  let found: unknown = root
  for (const token of reference.slice(2).split('/')) {
    const name = unescapeToken(token)
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, name)) return undefined
    found = (found as Raw)[name]
  }
  return found
}

/**
 * Finds the nodes that say the same, recursion included: all are taken for equal, and told apart until nothing tells them
 * apart any more.
 */
function groupNodes (nodes: SchemaNode[]): void {
  const own = nodes.map(textOfOwn)
  for (let count = 1; ;) {
    const groups = new Map<string, number>()
    const next = nodes.map((node, index) => {
      const key = `${own[index]}${textOfParts(node)}`
      return groups.get(key) ?? (groups.set(key, groups.size), groups.size - 1)
    })
    for (const [index, node] of nodes.entries()) node.group = next[index]!
    // A round only ever divides groups.
    if (groups.size === count) return
    count = groups.size
  }
}

function textOfOwn (node: SchemaNode): string {
  return JSON.stringify([
    node.isNever, node.types && [...node.types].sort(), node.isInteger, node.values?.map(canonical).sort(), [...node.limits].sort(), node.pattern, node.format,
    node.isUnique, node.required, node.isShaped, node.obstacle, node.text
  ])
}

function textOfParts (node: SchemaNode): string {
  const numberOf = (part: SchemaNode | undefined): number | null => part?.group ?? null
  const set = (parts: readonly SchemaNode[]): number[] => [...new Set(parts.map((part) => part.group))].sort((a, b) => a - b)
  const map = (parts: ReadonlyMap<string, SchemaNode>): Array<[string, number]> =>
    [...parts].map(([name, part]): [string, number] => [name, part.group]).sort(([a], [b]) => a < b ? -1 : 1)
  return JSON.stringify([
    node.shape && [map(node.shape.properties), map(node.shape.patterns), numberOf(node.shape.additional)], numberOf(node.names), node.prefix.map(numberOf),
    numberOf(node.rest), numberOf(node.contains), set(node.all), node.any.map(set), node.one.map((branches) => branches.map(numberOf).sort()), set(node.nots),
    numberOf(node.unevaluatedProperties), numberOf(node.unevaluatedItems)
  ])
}

/** The same text for values that JSON Schema takes for equal. */
export function canonical (value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value === 0 ? 0 : value)
  const names = Object.keys(value).sort()
  return `{${names.map((name) => `${JSON.stringify(name)}:${canonical((value as Raw)[name])}`).join()}}`
}

export function isSame (a: unknown, b: unknown): boolean {
  return a === b || (typeof a === 'object' && typeof b === 'object' && canonical(a) === canonical(b))
}

export function typeOf (value: unknown): ValueType {
  return value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value as ValueType
}
