import { dictionary } from '../../schema/dictionary.js'
import { ANNOTATIONS, isObject, Lowering, type Node, type Schema, type SchemaObject } from '../openapi/lowering.js'

/** Keywords that mean in draft 7 what they mean in draft 2020-12, and hold no schemas. */
const SAME: ReadonlySet<string> = new Set([
  ...[...ANNOTATIONS].filter((keyword) => keyword !== 'example' && keyword !== 'xml'), 'type', 'enum', 'const', 'multipleOf', 'maximum', 'exclusiveMaximum',
  'minimum', 'exclusiveMinimum', 'maxLength', 'minLength', 'pattern', 'format', 'maxItems', 'minItems', 'uniqueItems', 'maxProperties',
  'minProperties', 'required', 'contentEncoding', 'contentMediaType', '$comment'
])

/** JSON Schema of draft 2020-12 said in the words of draft 7, which AsyncAPI's schemas are made of. */
export class Lowering7 extends Lowering {
  protected readonly hasConditions = true

  protected boolean (value: boolean): Schema {
    return value
  }

  protected keywords (node: Node, out: SchemaObject): void {
    for (const [keyword, value] of Object.entries(node)) {
      if (SAME.has(keyword) || keyword.startsWith('x-')) out[keyword] = value
      else if (keyword === 'properties' || keyword === 'patternProperties') out[keyword] = this.map(value)
      else if (keyword === 'additionalProperties' || keyword === 'propertyNames') out[keyword] = this.schema(value)
    }
    this.#array(node, out)
    this.#dependencies(node, out)
    for (const keyword of ['unevaluatedItems', 'unevaluatedProperties']) if (node[keyword] !== undefined && node[keyword] !== true) this.widen()
  }

  #array (node: Node, out: SchemaObject): void {
    const { prefixItems, items, contains, minContains = 1, maxContains } = node
    if (Array.isArray(prefixItems) && prefixItems.length > 0) {
      out['items'] = this.list(prefixItems)
      if (items !== undefined) out['additionalItems'] = this.schema(items)
    } else if (items !== undefined) out['items'] = this.schema(items)
    if (contains === undefined) return
    if (minContains !== 0) out['contains'] = this.schema(contains)
    if (minContains as number > 1 || maxContains !== undefined) this.widen()
  }

  #dependencies (node: Node, out: SchemaObject): void {
    const required = isObject(node['dependentRequired']) ? node['dependentRequired'] : {}
    const schemas = isObject(node['dependentSchemas']) ? node['dependentSchemas'] : {}
    const names = [...new Set([...Object.keys(required), ...Object.keys(schemas)])]
    if (names.length === 0) return
    out['dependencies'] = dictionary(names.map((name) => {
      if (!Object.hasOwn(schemas, name)) return [name, required[name]]
      const schema = this.schema(schemas[name])
      return [name, Object.hasOwn(required, name) ? { allOf: [{ required: required[name] }, schema] } : schema]
    }))
  }
}
