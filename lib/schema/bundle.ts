import { ASSERTION_KEYWORDS, LIST_KEYWORDS, MAP_KEYWORDS, SCHEMA_KEYWORDS, isConstant, isConstraint, splitDependencies } from './json-schema.js'
import { inner, isObject, References, type Raw, type Scope } from './references.js'

/**
 * A schema that stands for itself: plain JSON Schema, without `$id`, whose every `$ref` is `#` or `#/$defs/<n>`.
 *
 * Each branch of `anyOf` and `oneOf`, each `if`, and whatever a `$ref` leads to lies in `$defs`.
 */
export interface Bundle {
  readonly root: Node
  readonly defs: readonly Schema[]
  /** Whether anything was taken from the schemas shared by `addSchema`. */
  readonly isShared: boolean
}

/** One JSON Schema object of a bundle. */
export interface Node { readonly [keyword: string]: unknown }

/** A JSON Schema: an object, or a boolean for everything and nothing. */
export type Schema = Node | boolean

/**
 * Makes a schema independent of all others: every reference is followed now, so that nothing is looked up later and two
 * events, or two routes, may use one `$id`.
 *
 * @param shared the instance's schemas: `$id` → schema
 * @throws FST_SSE_SCHEMA_INVALID for a reference to nothing, for an `$id` that two different schemas have, and for a
 * shared schema that is not JSON Schema
 */
export function bundle (eventType: string, schema: object, shared: Readonly<Record<string, unknown>>): Bundle {
  return new Bundler(eventType, schema as Raw, shared).bundle()
}

class Bundler {
  readonly #root: Raw
  readonly #references: References
  readonly #defs: Schema[] = []
  readonly #defIndex = new Map<Raw, Map<Raw, number>>()

  constructor (eventType: string, root: Raw, shared: Readonly<Record<string, unknown>>) {
    this.#root = root
    this.#references = new References(eventType, shared)
  }

  bundle (): Bundle {
    const root = this.#copy(this.#root, this.#references.top(this.#root)) as Node
    return { root, defs: this.#defs, isShared: this.#references.isShared }
  }

  #copy (schema: unknown, outer: Scope): Schema {
    if (!isObject(schema)) return schema as boolean
    const scope = inner(schema, outer)
    const copy: Record<string, unknown> = {}
    for (const [keyword, value] of Object.entries(schema)) {
      if (value === undefined) continue
      if (keyword === '$ref') copy['$ref'] = this.#reference(String(value), scope)
      else if (keyword === 'anyOf' && mergeBranches(schema) !== undefined) Object.assign(copy, mergeBranches(schema))
      else if (keyword === 'anyOf' || keyword === 'oneOf') copy[keyword] = (value as unknown[]).map((branch) => this.#branch(branch, scope))
      else if (keyword === 'if') copy['if'] = this.#branch(value, scope)
      else if (keyword === 'prefixItems') copy['items'] = (value as unknown[]).map((item) => this.#copy(item, scope))
      else if (keyword === 'items' && 'prefixItems' in schema) copy['additionalItems'] = this.#copy(value, scope)
      else if (SCHEMA_KEYWORDS.has(keyword) || (keyword === 'items' && !Array.isArray(value))) copy[keyword] = this.#copy(value, scope)
      else if (LIST_KEYWORDS.has(keyword) || keyword === 'items') copy[keyword] = (value as unknown[]).map((item) => this.#copy(item, scope))
      else if (keyword === '$defs' || keyword === 'definitions') continue
      else if (MAP_KEYWORDS.has(keyword)) copy[keyword] = mapValues(value as Raw, (item) => this.#copy(item, scope))
      else if (keyword === 'dependencies') splitDependencies(value as Raw, copy, (dependency) => this.#copy(dependency, scope))
      else if (keyword !== 'nullable' && ASSERTION_KEYWORDS.has(keyword)) copy[keyword] = value
    }
    return schema['nullable'] === true ? this.#nullable(copy) : copy
  }

  /** `nullable` of OpenAPI 3.0: null is one more type. */
  #nullable (copy: Record<string, unknown>): Node {
    const type = copy['type']
    if (type !== undefined) {
      const types = Array.isArray(type) ? type : [type]
      return { ...copy, type: types.includes('null') ? types : [...types, 'null'] }
    }
    if (Object.keys(copy).length === 0) return copy
    return { anyOf: [this.#define({ type: 'null' }), this.#define(copy)] }
  }

  #define (schema: Schema): Node {
    this.#defs.push(schema)
    return { $ref: `#/$defs/${this.#defs.length - 1}` }
  }

  #branch (schema: unknown, scope: Scope): Node {
    return { $ref: this.#defineRaw(schema, scope) }
  }

  /** The place in `$defs` of a schema as seen from a scope. Known before it is copied: it may refer to itself. */
  #defineRaw (schema: unknown, scope: Scope): string {
    if (!isObject(schema)) return this.#define(schema as boolean)['$ref'] as string
    let indexes = this.#defIndex.get(schema)
    if (indexes === undefined) this.#defIndex.set(schema, indexes = new Map())
    const around = scope.modules.at(-1) ?? scope.resource
    let index = indexes.get(around)
    if (index === undefined) {
      index = this.#defs.push(true) - 1
      indexes.set(around, index)
      this.#defs[index] = this.#copy(schema, scope)
    }
    return `#/$defs/${index}`
  }

  #reference (ref: string, scope: Scope): string {
    const [target, around] = this.#references.follow(ref, scope)
    return target === this.#root ? '#' : this.#defineRaw(target, around)
  }
}

/**
 * One `enum` for branches that are constants, one `type` for branches that are types: what `Type.Union` and `Type.Enum` give
 * most often. Ajv is several times as fast with them as with `anyOf`, in compiling too.
 */
function mergeBranches (schema: Raw): Node | undefined {
  const branches = (schema['anyOf'] as unknown[]).map((branch) => isObject(branch) ? constraints(branch) : {})
  if ('type' in schema || 'enum' in schema) return undefined
  if (branches.every(isConstant)) {
    return { enum: [...new Set(branches.map((branch) => branch['const']))] }
  }
  if (branches.every((branch) => SIMPLE_TYPES.has(branch['type'] as string) && Object.keys(branch).length === 1)) {
    return { type: [...new Set(branches.map((branch) => branch['type']))] }
  }
  return undefined
}

/** An object or an array without more is left out: what it declares depends on what stands beside it. */
const SIMPLE_TYPES: ReadonlySet<string> = new Set(['string', 'number', 'integer', 'boolean', 'null'])

function constraints (schema: Raw): Raw {
  return Object.fromEntries(Object.entries(schema).filter(([keyword, value]) => value !== undefined && isConstraint(keyword)))
}

/** Without a prototype: a property may be called `__proto__`. */
function mapValues (map: Raw, change: (value: unknown) => Schema): Record<string, Schema> {
  const changed: Record<string, Schema> = Object.create(null)
  for (const [name, value] of Object.entries(map)) changed[name] = change(value)
  return changed
}
