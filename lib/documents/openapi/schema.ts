import type { JSONSchema } from '../../schema/manifest.js'
import { LIST_KEYWORDS, MAP_KEYWORDS, SCHEMA_KEYWORDS } from '../../schema/json-schema.js'
import { toRegExp } from '../../schema/declared.js'
import { dictionary } from '../../schema/dictionary.js'
import { definitionName } from '../../schema/json-pointer.js'
import { addUnion, isObject, Lowering, simplified, type Node, type Schema, type SchemaObject } from './lowering.js'

/**
 * A schema of draft 2020-12 as OpenAPI 3.1 and 3.2 take it: all of it, with other references.
 *
 * @param refTo the `$ref` of a definition, by its name in `$defs`
 */
export function toSchema31 (schema: JSONSchema, refTo: (name: string) => string): Schema {
  const write = (given: unknown): Schema => {
    if (!isObject(given)) return given as boolean
    return dictionary(Object.entries(simplified(given)).filter(([keyword]) => keyword !== '$defs' && keyword !== '$schema').map(([keyword, value]) => {
      if (keyword === '$ref') return [keyword, refTo(definitionName(String(value)))]
      if (SCHEMA_KEYWORDS.has(keyword) || keyword === 'items') return [keyword, write(value)]
      if (LIST_KEYWORDS.has(keyword)) return [keyword, (value as unknown[]).map(write)]
      if (MAP_KEYWORDS.has(keyword)) return [keyword, dictionary(Object.entries(value as Node).map(([name, item]) => [name, write(item)]))]
      return [keyword, value]
    }))
  }
  return write(schema)
}

/** Keywords that mean in OpenAPI 3.0 what they mean in JSON Schema. */
const SAME: ReadonlySet<string> = new Set([
  'title', 'description', 'default', 'example', 'deprecated', 'readOnly', 'writeOnly', 'externalDocs', 'xml', 'format', 'multipleOf',
  'maxLength', 'minLength', 'pattern', 'uniqueItems', 'maxProperties', 'minProperties'
])

/** Keywords that say nothing about null. */
const NOT_OF_NULL: ReadonlySet<string> = new Set([
  ...SAME, 'type', 'minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'maxItems', 'minItems', 'items', 'properties',
  'additionalProperties', 'required', 'nullable', 'enum'
])

/** JSON Schema said in the words of OpenAPI 3.0. */
export class Lowering30 extends Lowering {
  protected readonly hasConditions = false

  protected boolean (value: boolean): Schema {
    return value ? {} : { not: {} }
  }

  protected keywords (node: Node, out: SchemaObject, all: Schema[]): void {
    for (const [keyword, value] of Object.entries(node)) if (SAME.has(keyword) || keyword.startsWith('x-')) out[keyword] = value
    if (Array.isArray(node['examples']) && node['examples'].length > 0) out['example'] ??= node['examples'][0]
    if (node['contentEncoding'] === 'base64') out['format'] ??= 'byte'
    this.#type(node, out, all)
    limit(node, out, 'minimum', 'exclusiveMinimum', (a, b) => a >= b)
    limit(node, out, 'maximum', 'exclusiveMaximum', (a, b) => a <= b)
    this.#array(node, out)
    this.#object(node, out)
    this.#dependencies(node, all)
  }

  protected override schema (given: unknown): Schema {
    const schema = super.schema(given)
    return isObject(schema) ? mergeNull(schema) : schema
  }

  #type (node: Node, out: SchemaObject, all: Schema[]): void {
    const values = valuesOf(node)
    let types = node['type'] === undefined ? undefined : [node['type']].flat() as string[]
    if (types === undefined && values !== undefined) {
      // Generators look at the type first.
      const found = [...new Set(values.map(typeOf))]
      if (found.filter((type) => type !== 'null').length <= 1) types = found
    }
    this.#types(types, values, out, all)
    if (values === undefined) return
    if (values.length === 0) all.push(this.boolean(false))
    else out['enum'] = values
  }

  #types (types: string[] | undefined, values: unknown[] | undefined, out: SchemaObject, all: Schema[]): void {
    if (types === undefined) return
    const others = types.filter((type) => type !== 'null' && !(type === 'integer' && types.includes('number')))
    const isNullable = types.includes('null')
    if (others.length === 1) {
      out['type'] = others[0]
      if (isNullable) out['nullable'] = true
    } else if (others.length > 1) {
      addUnion(out, all, [...others.map((type) => type === 'array' ? { type, items: {} } : { type }), ...isNullable ? [nullSchema()] : []])
    } else if (isNullable) {
      Object.assign(out, nullSchema())
      if (values !== undefined && !values.includes(null)) all.push(this.boolean(false))
    }
  }

  #array (node: Node, out: SchemaObject): void {
    const { prefixItems, items, minItems, maxItems } = node
    const prefix = Array.isArray(prefixItems) ? prefixItems as unknown[] : []
    let most = maxItems as number | undefined
    if (items === false) most = Math.min(most ?? Infinity, prefix.length)
    if (minItems !== undefined) out['minItems'] = minItems
    if (most !== undefined) out['maxItems'] = most
    if (prefix.length > 0) {
      const each = unique([...this.list(prefix), ...items === false || (most !== undefined && most <= prefix.length) ? [] : [this.schema(items ?? true)]])
      out['items'] = each.length === 1 ? each[0] : { anyOf: each }
      if (each.length > 1) this.widen()
    } else if (items !== undefined && items !== false) out['items'] = this.schema(items)
    else if (out['type'] === 'array') out['items'] = {}
    if (node['contains'] !== undefined && !(node['minContains'] === 0 && node['maxContains'] === undefined)) this.widen()
    if (node['unevaluatedItems'] !== undefined && node['unevaluatedItems'] !== true) this.widen()
  }

  #object (node: Node, out: SchemaObject): void {
    const { required, propertyNames, additionalProperties, unevaluatedProperties } = node
    const patterns = isObject(node['patternProperties']) ? Object.entries(node['patternProperties']) : []
    if (isObject(node['properties'])) {
      out['properties'] = dictionary(Object.entries(node['properties']).map(([name, schema]) => {
        const also = patterns.filter(([pattern]) => toRegExp(pattern).test(name)).map(([, each]) => this.schema(each))
        return [name, also.length === 0 ? this.schema(schema) : { allOf: [this.schema(schema), ...also] }]
      }))
    }
    if (patterns.length > 0) {
      // A name may fit one pattern, several, or none.
      this.widen()
      if (additionalProperties !== undefined && additionalProperties !== true) {
        const rest = additionalProperties === false ? [] : [additionalProperties]
        const each = unique(this.list([...patterns.map(([, schema]) => schema), ...rest]))
        out['additionalProperties'] = each.length === 1 ? each[0] : { anyOf: each }
      }
    } else if (additionalProperties !== undefined) {
      out['additionalProperties'] = typeof additionalProperties === 'boolean' ? additionalProperties : this.schema(additionalProperties)
    }
    if (Array.isArray(required) && required.length > 0) out['required'] = unique(required)
    if (propertyNames !== undefined && propertyNames !== true) this.widen()
    if (unevaluatedProperties !== undefined && unevaluatedProperties !== true) this.widen()
  }

  #dependencies (node: Node, all: Schema[]): void {
    const lacks = (name: string): Schema => ({ not: { type: 'object', required: [name] } })
    for (const [name, needed] of Object.entries(node['dependentRequired'] as Record<string, string[]> | undefined ?? {})) {
      if (needed.length > 0) all.push({ anyOf: [lacks(name), { required: unique(needed) }] })
    }
    for (const [name, schema] of Object.entries(node['dependentSchemas'] as Node | undefined ?? {})) {
      all.push({ anyOf: [lacks(name), this.schema(schema)] })
    }
  }
}

/** The one schema of 3.0 that takes null and nothing else: `nullable` means nothing without a type. */
function nullSchema (): SchemaObject {
  return { type: 'object', nullable: true, enum: [null] }
}

function isNullSchema (schema: unknown): boolean {
  return isObject(schema) && schema['nullable'] === true && Array.isArray(schema['enum']) && schema['enum'].length === 1 && schema['enum'][0] === null
}

/** `nullable` in place of a union of one type and null. */
function mergeNull (schema: Node): SchemaObject {
  for (const union of ['anyOf', 'oneOf']) {
    const branches = schema[union]
    if (!Array.isArray(branches) || branches.length !== 2) continue
    const other: unknown = branches.find((branch) => !isNullSchema(branch))
    if (!branches.some(isNullSchema) || !isObject(other) || other['type'] === undefined) continue
    const { [union]: _, ...rest } = schema
    if (!Object.keys(other).every((keyword) => NOT_OF_NULL.has(keyword) && !(keyword in rest))) continue
    const values = other['enum'] as unknown[] | undefined
    return { ...rest, ...other, nullable: true, ...(values !== undefined && { enum: unique([...values, null]) }) }
  }
  return schema
}

/** The constants that `const` and `enum` leave. */
function valuesOf (node: Node): unknown[] | undefined {
  const listed = node['enum'] as unknown[] | undefined
  if (!('const' in node)) return listed === undefined ? undefined : unique(listed)
  const value = JSON.stringify(node['const'])
  return listed === undefined || listed.some((item) => JSON.stringify(item) === value) ? [node['const']] : []
}

function typeOf (value: unknown): string {
  return value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value
}

/** `exclusiveMinimum` is a number in JSON Schema, and in 3.0 a word about `minimum`. */
function limit (node: Node, out: SchemaObject, inclusive: string, exclusive: string, isStricter: (a: number, b: number) => boolean): void {
  const [bound, open] = [node[inclusive] as number | undefined, node[exclusive] as number | undefined]
  if (open !== undefined && (bound === undefined || isStricter(open, bound))) Object.assign(out, { [inclusive]: open, [exclusive]: true })
  else if (bound !== undefined) out[inclusive] = bound
}

/** Each value once, compared as JSON. */
export function unique<T> (values: readonly T[]): T[] {
  const seen = new Set<string>()
  return values.filter((value) => {
    const text = JSON.stringify(value)
    return !seen.has(text) && seen.add(text)
  })
}
