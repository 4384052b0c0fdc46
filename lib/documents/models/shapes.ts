import { definitionName } from '../../schema/json-pointer.js'
import type { JSONSchema } from '../../schema/manifest.js'

/** One JSON Schema object. */
export type Node = Readonly<Record<string, unknown>>

/** Schemas that hold for a value together. Empty: any value. */
type Alternative = readonly Node[]

/**
 * What a schema's values look like, without how it says so: references followed, `allOf` joined, branches side by side. It lets
 * through whatever the schema lets through, and more.
 */
export interface Shape {
  /** The same for schemas that say the same by the same parts. */
  readonly key: string
  readonly isAny: boolean
  readonly isNullable: boolean
  readonly hasBoolean: boolean
  readonly number: 'integer' | 'number' | undefined
  /** All strings, or these. */
  readonly strings: 'all' | readonly string[] | undefined
  /** Same as `key`, for the strings alone. */
  readonly stringsKey: string
  readonly array: JSONSchema | undefined
  readonly object: ObjectShape | undefined
}

/** All objects that a schema lets through, as one. */
export interface ObjectShape {
  /** Same as {@link Shape.key}, for the objects alone: `null` beside them makes no difference. */
  readonly key: string
  readonly properties: ReadonlyMap<string, PropertyShape>
  /** Schema of what has no name of its own; undefined when there is none. */
  readonly additional: JSONSchema | undefined
  readonly title: string | undefined
  readonly description: string | undefined
}

export interface PropertyShape {
  readonly schema: JSONSchema
  /** Whether every object has it. */
  readonly isRequired: boolean
  readonly description: string | undefined
}

const TYPES = ['null', 'boolean', 'integer', 'number', 'string', 'array', 'object'] as const
type TypeName = typeof TYPES[number]

/** Keywords without which a schema limits nothing by itself. */
const OWN_KEYWORDS = [
  'type', 'enum', 'const', 'properties', 'required', 'additionalProperties', 'patternProperties', 'unevaluatedProperties', 'items',
  'prefixItems', 'additionalItems', 'unevaluatedItems'
]

/** Past it, what a schema lets through is not worked out: it is taken for any value. */
const MAX_ALTERNATIVES = 512

/** Past it, strings are strings and no enumeration. */
const MAX_CONSTANTS = 512

/** Looks at schemas whose references lead to `$defs` that are known by name. */
export class Shapes {
  /** `$defs` of all schemas; a name means the same in all of them. */
  readonly #defs = new Map<string, JSONSchema>()
  readonly #ids = new Map<Node, number>()
  readonly #shapes = new Map<JSONSchema, Shape>()
  /** Key of a shape, of its objects or its strings → the name in `$defs` that stands for it. */
  readonly #names = new Map<string, string>()
  /** Name in `$defs` → what it lets through, as far as that does not depend on where it was come from. */
  readonly #followed = new Map<string, Alternative[]>()
  /** How often a reference led back to itself. */
  #cycles = 0

  /** Learns the `$defs` of a schema that is going to be looked at. */
  add (schema: JSONSchema): void {
    if (typeof schema !== 'object') return
    for (const [name, def] of Object.entries((schema['$defs'] ?? {}) as Record<string, JSONSchema>)) {
      if (!this.#defs.has(name)) this.#defs.set(name, def)
    }
  }

  /** The name in `$defs` of what has this key, if it has been referred to. */
  nameOf (key: string): string | undefined {
    return this.#names.get(key)
  }

  look (schema: JSONSchema): Shape {
    let shape = this.#shapes.get(schema)
    if (shape === undefined) {
      shape = this.#toShape(this.#expand(schema, new Set()))
      if (typeof schema === 'object') this.#shapes.set(schema, shape)
    }
    return shape
  }

  #expand (schema: JSONSchema, open: Set<string>): Alternative[] {
    if (typeof schema === 'boolean') return schema ? [[]] : []
    let result: Alternative[] = OWN_KEYWORDS.some((keyword) => schema[keyword] !== undefined) ? [[schema]] : [[]]
    const and = (alternatives: Alternative[]): void => { result = product(result, alternatives) }
    const or = (list: unknown): Alternative[] => (list as JSONSchema[]).flatMap((member) => this.#expand(member, open)).slice(0, MAX_ALTERNATIVES + 1)
    const { $ref, allOf, anyOf, oneOf, if: condition, then = true, else: otherwise = true, dependentSchemas } = schema
    if (typeof $ref === 'string') and(this.#follow($ref, open))
    for (const member of (allOf ?? []) as JSONSchema[]) and(this.#expand(member, open))
    if (anyOf !== undefined) and(or(anyOf))
    if (oneOf !== undefined) and(or(oneOf))
    if (condition !== undefined) and([...this.#expand({ allOf: [condition, then] }, open), ...or([otherwise])])
    for (const member of Object.values((dependentSchemas ?? {}) as Record<string, JSONSchema>)) and([[], ...this.#expand(member, open)])
    return result
  }

  #follow ($ref: string, open: Set<string>): Alternative[] {
    const name = definitionName($ref)
    const def = this.#defs.get(name)
    const known = this.#followed.get(name)
    if (known !== undefined) return known
    // A reference that leads back to itself limits nothing.
    if (open.has(name)) this.#cycles++
    if (def === undefined || open.has(name)) return [[]]
    const cycles = this.#cycles
    const alternatives = this.#expand(def, new Set(open).add(name))
    if (this.#cycles === cycles) this.#followed.set(name, alternatives)
    const { key, stringsKey, object } = this.#toShape(alternatives)
    for (const each of [key, stringsKey, object?.key]) {
      if (each !== undefined && each !== '' && !this.#names.has(each)) this.#names.set(each, name)
    }
    return alternatives
  }

  #keyOf (alternatives: readonly Alternative[]): string {
    const idOf = (node: Node): number => {
      if (!this.#ids.has(node)) this.#ids.set(node, this.#ids.size)
      return this.#ids.get(node)!
    }
    return [...new Set(alternatives.map((nodes) => [...new Set(nodes.map(idOf))].sort((a, b) => a - b).join('&')))].sort().join('|')
  }

  #toShape (alternatives: readonly Alternative[]): Shape {
    const looks = alternatives.length > MAX_ALTERNATIVES ? [{ nodes: [], ...look([]) }] : alternatives.map((nodes) => ({ nodes, ...look(nodes) }))
    const of = (type: TypeName): typeof looks => looks.filter(({ types }) => types.has(type))
    const some = (type: TypeName): boolean => of(type).length > 0
    const objects = of('object').filter(({ constants }) => constants === undefined).map(({ nodes }) => nodes)
    const arrays = of('array').filter(({ constants }) => constants === undefined).map(({ nodes }) => nodes)
    const strings = of('string')
    const constants = [...new Set(strings.flatMap(({ constants }) => (constants ?? []).filter((value) => typeof value === 'string')))]
    const hasAllStrings = strings.some(({ constants }) => constants === undefined) || constants.length > MAX_CONSTANTS
    return {
      key: this.#keyOf(alternatives),
      isAny: looks.some(({ types, isComplex }) => types.size === TYPES.length || isComplex),
      isNullable: some('null'),
      hasBoolean: some('boolean'),
      number: some('number') ? 'number' : some('integer') ? 'integer' : undefined,
      strings: strings.length === 0 ? undefined : hasAllStrings ? 'all' : constants,
      stringsKey: this.#keyOf(strings.map(({ nodes }) => nodes)),
      array: arrays.length === 0 ? undefined : anyOf(arrays.map(toItems)),
      object: objects.length === 0 ? undefined : this.#toObject(objects)
    }
  }

  #toObject (alternatives: readonly Alternative[]): ObjectShape {
    const properties = new Map<string, { schemas: JSONSchema[], count: number, description: string | undefined }>()
    const additional: JSONSchema[] = []
    for (const nodes of alternatives) {
      const required = new Set(nodes.flatMap((node) => (node['required'] ?? []) as string[]))
      const names = new Set([...nodes.flatMap((node) => Object.keys((node['properties'] ?? {}))), ...required])
      for (const name of names) {
        const schemas = nodes.map((node) => ownValue(node['properties'], name)).filter((schema) => schema !== undefined) as JSONSchema[]
        const schema = allOf(schemas)
        const property = properties.get(name) ?? { schemas: [], count: 0, description: undefined }
        property.schemas.push(schema)
        if (required.has(name)) property.count++
        property.description ??= schemas.map((schema) => textOf(schema, 'description')).find((text) => text !== undefined)
        properties.set(name, property)
      }
      additional.push(...nodes.flatMap(toAdditional))
      // With nothing said about it, an object is one that may have anything.
      if (names.size === 0 && additional.length === 0 && nodes.every((node) => node['additionalProperties'] !== false)) additional.push(true)
    }
    const first = alternatives.length === 1 ? alternatives[0]! : []
    const text = (keyword: string): string | undefined => first.map((node) => textOf(node, keyword)).find((text) => text !== undefined)
    return {
      key: this.#keyOf(alternatives),
      properties: new Map([...properties].map(([name, { schemas, count, description }]) =>
        [name, { schema: anyOf(schemas), isRequired: count === alternatives.length, description }])),
      additional: additional.length === 0 ? undefined : anyOf(additional),
      title: text('title'),
      description: text('description')
    }
  }
}

function product (left: readonly Alternative[], right: readonly Alternative[]): Alternative[] {
  // One too many is as good as all of them: the shape is any value then.
  return left.flatMap((a) => right.map((b) => [...a, ...b])).slice(0, MAX_ALTERNATIVES + 1)
}

/** The types of the values that all of the schemas let through, and those values where they are counted. */
function look (nodes: Alternative): { types: ReadonlySet<TypeName>, constants: readonly unknown[] | undefined, isComplex: boolean } {
  let types = new Set<TypeName>(TYPES)
  let constants: unknown[] | undefined
  for (const node of nodes) {
    if (node['type'] !== undefined) {
      const own = new Set([node['type'], node['nullable'] === true ? 'null' : []].flat() as TypeName[])
      if (own.has('number')) own.add('integer')
      types = new Set([...types].filter((type) => own.has(type)))
    }
    const own = Object.hasOwn(node, 'const') ? [node['const']] : node['enum'] as unknown[] | undefined
    const isOwn = (value: unknown): boolean => own!.some((other) => JSON.stringify(other) === JSON.stringify(value))
    if (own !== undefined) constants = constants === undefined ? own : constants.filter(isOwn)
  }
  if (constants !== undefined) {
    const found = new Set(constants.map(typeOf))
    types = new Set([...types].filter((type) => found.has(type)))
  }
  if (types.has('integer') && !types.has('number') && nodes.some(isBeyondIntegers)) types.add('number')
  return { types, constants, isComplex: constants?.some((value) => typeof value === 'object' && value !== null) ?? false }
}

function typeOf (value: unknown): TypeName {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'array'
  if (typeof value === 'number') return Number.isSafeInteger(value) ? 'integer' : 'number'
  return typeof value as TypeName
}

/** Whether the schema itself speaks of integers that 64 bits cannot hold. */
function isBeyondIntegers (node: Node): boolean {
  return ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'].some((keyword) => Math.abs(Number(node[keyword] ?? 0)) > 2 ** 63)
}

/** Schemas of the properties that have no name of their own. Without a word about them they are not sent. */
function toAdditional (node: Node): JSONSchema[] {
  const schemas = [node['additionalProperties'], node['unevaluatedProperties'], ...Object.values((node['patternProperties'] ?? {}))]
  return schemas.filter((schema): schema is JSONSchema => schema !== undefined && schema !== false)
}

/** Schema of what stands in the arrays that all of the schemas let through, wherever it stands. */
function toItems (nodes: Alternative): JSONSchema {
  return allOf(nodes.map((node) => {
    const tuple = [node['prefixItems'], node['items']].find(Array.isArray) as JSONSchema[] | undefined
    const { items, additionalItems, unevaluatedItems, maxItems } = node
    const declared = [Array.isArray(items) ? additionalItems : items, additionalItems, unevaluatedItems].find((schema) => schema !== undefined)
    const isFull = tuple !== undefined && typeof maxItems === 'number' && maxItems <= tuple.length
    const rest = isFull ? false : (declared ?? true) as JSONSchema
    return tuple === undefined ? rest : anyOf([...tuple, rest])
  }))
}

function anyOf (schemas: readonly JSONSchema[]): JSONSchema {
  const different = [...new Set(schemas)].filter((schema) => schema !== false)
  return different.length === 0 ? false : different.length === 1 ? different[0]! : { anyOf: different }
}

function allOf (schemas: readonly JSONSchema[]): JSONSchema {
  const different = [...new Set(schemas)].filter((schema) => schema !== true)
  return different.length === 0 ? true : different.length === 1 ? different[0]! : { allOf: different }
}

function ownValue (object: unknown, name: string): unknown {
  return typeof object === 'object' && object !== null && Object.hasOwn(object, name) ? (object as Record<string, unknown>)[name] : undefined
}

function textOf (schema: JSONSchema, keyword: string): string | undefined {
  return typeof schema === 'object' && typeof schema[keyword] === 'string' ? schema[keyword] : undefined
}
