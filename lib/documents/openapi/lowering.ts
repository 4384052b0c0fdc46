import { dictionary } from '../../schema/dictionary.js'
import { definitionName } from '../../schema/json-pointer.js'
import type { JSONSchema } from '../../schema/manifest.js'

/** A schema of the dialect that is lowered to. */
export type Schema = boolean | SchemaObject
export interface SchemaObject { [keyword: string]: unknown }
export interface Node { readonly [keyword: string]: unknown }

/** What references become, and what is known of the schemas that they lead to. */
export interface References {
  /** The `$ref` of a definition, by its name in `$defs`. */
  refTo (name: string): string
  /** Whether the definition could be said without loss. */
  isExact (name: string): boolean
}

/** Keywords that describe a value and do not limit it. */
export const ANNOTATIONS: ReadonlySet<string> = new Set([
  'title', 'description', 'default', 'example', 'examples', 'deprecated', 'readOnly', 'writeOnly', 'externalDocs', 'xml'
])

/** Keywords whose effect on a value depends on other schemas beside them. */
const APPLICATORS = ['$ref', 'allOf', 'anyOf', 'oneOf', 'if', 'dependentSchemas']

/**
 * Says a schema of draft 2020-12 in a dialect that has fewer words.
 *
 * What the dialect cannot say is left out, so that the result takes every value that the schema takes, and some more. Where more
 * would mean less (under `not`, in the branches of `oneOf`, in a condition) the whole is left out, or `anyOf` stands for it.
 */
export abstract class Lowering {
  protected readonly references: References
  /** Whether nothing has been left out so far. */
  #isExact = true

  constructor (references: References) {
    this.references = references
  }

  /** A schema in the dialect, and whether it takes the very same values. */
  lower (schema: JSONSchema): { schema: Schema, isExact: boolean } {
    const [lowered, isExact] = this.measure(() => this.schema(schema))
    return { schema: lowered, isExact }
  }

  /** `true` and `false` in the dialect. */
  protected abstract boolean (value: boolean): Schema

  /**
   * Puts the keywords of a schema that are none of logic into `out`.
   *
   * @param all takes what has to hold beside what is in `out`
   */
  protected abstract keywords (node: Node, out: SchemaObject, all: Schema[]): void

  /** Whether the dialect has `if`. */
  protected abstract readonly hasConditions: boolean

  /** Notes that something was left out. */
  protected widen (): void {
    this.#isExact = false
  }

  /** Does something, and tells whether it was done without loss. */
  protected measure<T> (make: () => T): [made: T, isExact: boolean] {
    const before = this.#isExact
    this.#isExact = true
    const made = make()
    const isExact = this.#isExact
    this.#isExact = before
    return [made, isExact]
  }

  protected schema (given: unknown): Schema {
    if (typeof given === 'boolean') return this.boolean(given)
    const node = simplified(given as Node)
    const out: SchemaObject = {}
    const all: Schema[] = []
    if (typeof node['$ref'] === 'string') all.push(this.#reference(node['$ref']))
    this.keywords(node, out, all)
    this.#logic(node, out, all)
    if (all.length === 0) return out
    // What stands beside a reference is not read.
    if (all.length === 1 && Object.keys(out).length === 0) return all[0]!
    return { ...out, allOf: [...(out['allOf'] as Schema[] | undefined ?? []), ...all] }
  }

  protected list (schemas: unknown): Schema[] {
    return (schemas as unknown[]).map((schema) => this.schema(schema))
  }

  protected map (schemas: unknown): Record<string, Schema> {
    return dictionary(Object.entries(schemas as Node).map(([name, schema]) => [name, this.schema(schema)]))
  }

  /** A schema that takes what `schema` does not; undefined when that cannot be said. */
  #negation (schema: unknown): SchemaObject | undefined {
    const [lowered, isExact] = this.measure(() => this.schema(schema))
    if (isExact) return { not: lowered }
    this.widen()
    return undefined
  }

  #reference (ref: string): Schema {
    const name = definitionName(ref)
    if (!this.references.isExact(name)) this.widen()
    return { $ref: this.references.refTo(name) }
  }

  #logic (node: Node, out: SchemaObject, all: Schema[]): void {
    const { allOf, anyOf, oneOf, not } = node
    if (Array.isArray(allOf) && allOf.length > 0) out['allOf'] = this.list(allOf)
    if (Array.isArray(anyOf)) addUnion(out, all, this.list(anyOf))
    if (Array.isArray(oneOf)) {
      const [branches, isExact] = this.measure(() => this.list(oneOf))
      if (isExact) out['oneOf'] = branches
      else {
        // A value may fit two branches that have become wider.
        addUnion(out, all, branches)
        this.widen()
      }
    }
    if (not !== undefined) {
      const negation = this.#negation(not)
      if (negation !== undefined && 'not' in out) all.push(negation)
      else Object.assign(out, negation)
    }
    if (node['if'] !== undefined && (node['then'] !== undefined || node['else'] !== undefined)) this.#condition(node, out, all)
  }

  #condition (node: Node, out: SchemaObject, all: Schema[]): void {
    const [condition, isExact] = this.measure(() => this.schema(node['if']))
    const then = this.schema(node['then'] ?? true)
    const otherwise = this.schema(node['else'] ?? true)
    if (!isExact) {
      this.widen()
      addUnion(out, all, [then, otherwise])
    } else if (this.hasConditions) {
      Object.assign(out, { if: condition }, 'then' in node && { then }, 'else' in node && { else: otherwise })
    } else {
      addUnion(out, all, [
        'then' in node ? { allOf: [condition, then] } : condition,
        'else' in node ? { allOf: [{ not: condition }, otherwise] } : { not: condition }
      ])
    }
  }
}

/** Puts a union where there is room for one. */
export function addUnion (out: SchemaObject, all: Schema[], branches: Schema[]): void {
  if (out['anyOf'] === undefined) out['anyOf'] = branches
  else all.push({ anyOf: branches })
}

/** The same schema with what another keyword says as well, in the simpler one. */
export function simplified (node: Node): Node {
  let simple: Node = node
  const without = (keyword: string, more: Node = {}): void => {
    const { [keyword]: _, ...rest } = simple
    simple = { ...rest, ...more }
  }
  if (!APPLICATORS.some((keyword) => keyword in node)) {
    // Nothing else evaluates anything.
    if ('unevaluatedProperties' in node) without('unevaluatedProperties', 'additionalProperties' in node ? {} : { additionalProperties: node['unevaluatedProperties'] })
    if ('unevaluatedItems' in node && !('contains' in node)) without('unevaluatedItems', 'items' in node ? {} : { items: node['unevaluatedItems'] })
  }
  const { patternProperties, properties } = simple
  if (isObject(patternProperties) && (!isObject(properties) || Object.keys(properties).length === 0)) {
    const [[pattern, schema] = [], ...others] = Object.entries(patternProperties)
    // Names with a line end in them, which the dot leaves out, are not thought of.
    if (pattern !== undefined && others.length === 0 && MATCHES_ALL.has(pattern)) without('patternProperties', { additionalProperties: schema })
  }
  return simple
}

const MATCHES_ALL: ReadonlySet<string> = new Set(['', '^', '.*', '(.*)', '^.*', '^.*$', '^(.*)$', '^[\\s\\S]*$'])

export function isObject (value: unknown): value is Node {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
