import { Kind } from '@sinclair/typebox'
import { nearest, show, SSEError } from '../errors.js'
import { ASSERTION_KEYWORDS, LIST_KEYWORDS, MAP_KEYWORDS, SCHEMA_KEYWORDS, assertJSONSchema, isConstraint } from './json-schema.js'

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

type Raw = Record<PropertyKey, unknown>

/** Where a schema lies: what its relative references are relative to. */
interface Scope {
  /** The nearest schema around that is referred to as `#`. */
  readonly resource: Raw
  /** `$id` → schema, of the document: the event's schema, or one that was shared. */
  readonly ids: Map<string, Raw>
  /** `$id` of the resource, when it has one. */
  readonly base: string | undefined
  /** `$defs` of the modules around (TypeBox: `Type.Module`), the inner one last. */
  readonly modules: readonly Raw[]
}

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
  readonly #eventType: string
  readonly #root: Raw
  readonly #shared: Map<string, Raw>
  readonly #documents = new Map<Raw, Map<string, Raw>>()
  readonly #defs: Schema[] = []
  readonly #defIndex = new Map<Raw, Map<Raw, number>>()
  #isShared = false

  constructor (eventType: string, root: Raw, shared: Readonly<Record<string, unknown>>) {
    this.#eventType = eventType
    this.#root = root
    this.#shared = new Map(Object.entries(shared).filter(([, schema]) => isObject(schema)).map(([id, schema]) => [trimHash(id), schema as Raw]))
  }

  bundle (): Bundle {
    const root = this.#copy(this.#root, this.#scope(this.#root)) as Node
    return { root, defs: this.#defs, isShared: this.#isShared }
  }

  /** The scope at the top of a document. */
  #scope (document: Raw): Scope {
    let ids = this.#documents.get(document)
    if (ids === undefined) {
      ids = new Map()
      this.#documents.set(document, ids)
      this.#collectIds(document, ids, new Set())
    }
    return { resource: document, ids, base: idOf(document), modules: [] }
  }

  #collectIds (schema: unknown, ids: Map<string, Raw>, seen: Set<object>): void {
    if (!isObject(schema) || seen.has(schema)) return
    seen.add(schema)
    const id = idOf(schema)
    if (id !== undefined) {
      const other = ids.get(id)
      if (other !== undefined && other !== schema && JSON.stringify(other) !== JSON.stringify(schema)) {
        // Members of a module are found through the module, so that two modules may use one name.
        this.#refuse(`Two different schemas in event ${show(this.#eventType)} have the $id ${show(id)}. Rename one of them.`, { found: id })
      }
      ids.set(id, schema)
    }
    const isModule = schema[Kind] === 'Import'
    for (const [keyword, value] of Object.entries(schema)) {
      if (keyword === '$defs' && isModule) continue
      if (SCHEMA_KEYWORDS.has(keyword) || (keyword === 'items' && !Array.isArray(value))) this.#collectIds(value, ids, seen)
      else if ((LIST_KEYWORDS.has(keyword) || keyword === 'items') && Array.isArray(value)) {
        for (const item of value) this.#collectIds(item, ids, seen)
      } else if ((MAP_KEYWORDS.has(keyword) || keyword === 'dependencies') && isObject(value)) {
        for (const item of Object.values(value)) this.#collectIds(item, ids, seen)
      }
    }
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
      else if (keyword === 'dependencies') this.#copyDependencies(value as Raw, copy, scope)
      else if (keyword !== 'nullable' && ASSERTION_KEYWORDS.has(keyword)) copy[keyword] = value
    }
    return schema['nullable'] === true ? this.#nullable(copy) : copy
  }

  /** `dependencies` of draft 7 is two keywords by now. */
  #copyDependencies (dependencies: Raw, copy: Record<string, unknown>, scope: Scope): void {
    for (const [name, dependency] of Object.entries(dependencies)) {
      const keyword = Array.isArray(dependency) ? 'dependentRequired' : 'dependentSchemas'
      const map = (copy[keyword] ??= Object.create(null)) as Record<string, unknown>
      map[name] = Array.isArray(dependency) ? dependency : this.#copy(dependency, scope)
    }
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
    const found = this.#resolve(ref, scope)
    if (found === undefined) this.#refuseReference(ref, scope)
    const [target, around] = found
    return target === this.#root ? '#' : this.#defineRaw(target, around)
  }

  #resolve (ref: string, scope: Scope): [unknown, Scope] | undefined {
    const hash = ref.indexOf('#')
    const id = hash === -1 ? ref : ref.slice(0, hash)
    const fragment = hash === -1 ? '' : ref.slice(hash + 1)
    const found = id === '' ? [scope.resource, scope] as const : this.#find(id, scope)
    if (found === undefined) return undefined
    const [resource, around] = found
    if (fragment === '') return [resource, around]
    const at = inner(resource, around)
    return fragment.startsWith('/') ? follow(fragment, resource, at) : findAnchor(fragment, resource, at)
  }

  #find (id: string, scope: Scope): readonly [Raw, Scope] | undefined {
    for (const module of scope.modules.toReversed()) {
      if (Object.hasOwn(module, id)) return [module[id] as Raw, scope]
    }
    for (const candidate of [id, absolute(id, scope.base)]) {
      if (candidate === undefined) continue
      const near = scope.ids.get(candidate)
      if (near !== undefined) return [near, { ...scope, resource: near, base: candidate }]
      const shared = this.#shared.get(candidate)
      if (shared !== undefined) return [shared, this.#share(shared)]
    }
    // An `$id` inside a shared schema.
    for (const document of this.#shared.values()) {
      const nested = this.#nestedIds(document).get(id)
      if (nested !== undefined) return [nested, { ...this.#share(document), resource: nested, base: id }]
    }
    return undefined
  }

  #nestedIds (document: Raw): Map<string, Raw> {
    const ids = new Map<string, Raw>()
    try {
      this.#collectIds(document, ids, new Set())
    } catch {}
    return ids
  }

  #share (document: Raw): Scope {
    this.#isShared = true
    if (!this.#documents.has(document)) assertJSONSchema(this.#eventType, document)
    return this.#scope(document)
  }

  #refuseReference (ref: string, scope: Scope): never {
    const id = trimHash(ref)
    const candidates = new Set([...scope.ids.keys(), ...this.#shared.keys(), ...scope.modules.flatMap((module) => Object.keys(module))])
    const known = [...candidates].find((candidate) => id.startsWith(candidate + '#'))
    const near = nearest(ref.split('#')[0] ?? ref, candidates)
    const hint = known !== undefined
      ? `The schema ${show(known)} has nothing at ${show(id.slice(known.length))}.`
      : near !== undefined
        ? `Did you mean ${show(near)}?`
        : 'Add the schema to the instance with addSchema() before the route, or take a TypeBox type from its module with module.Import().'
    this.#refuse(`The schema of event ${show(this.#eventType)} refers to ${show(ref)}, which does not exist. ${hint}`, { found: ref })
  }

  #refuse (message: string, fields: Record<string, unknown>): never {
    throw new SSEError('FST_SSE_SCHEMA_INVALID', message, { eventType: this.#eventType, ...fields })
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

/** Whether it is a constant, with no more than the type it has anyway. */
function isConstant (schema: Raw): boolean {
  const type: string = typeof schema['const']
  return 'const' in schema && Object.keys(schema).every((keyword) => keyword === 'const' || (keyword === 'type' && schema['type'] === type))
}

/** An object or an array without more is left out: what it declares depends on what stands beside it. */
const SIMPLE_TYPES: ReadonlySet<string> = new Set(['string', 'number', 'integer', 'boolean', 'null'])

function constraints (schema: Raw): Raw {
  return Object.fromEntries(Object.entries(schema).filter(([keyword, value]) => value !== undefined && isConstraint(keyword)))
}

/** The scope of what lies inside a schema. */
function inner (schema: Raw, outer: Scope): Scope {
  const id = idOf(schema)
  const isModule = schema[Kind] === 'Import' && isObject(schema['$defs'])
  if (id === undefined && !isModule) return outer
  return {
    ...outer,
    ...(id === undefined ? {} : { resource: schema, base: absolute(id, outer.base) ?? id }),
    modules: isModule ? [...outer.modules, schema['$defs'] as Raw] : outer.modules
  }
}

function follow (pointer: string, from: Raw, scope: Scope): [unknown, Scope] | undefined {
  let target: unknown = from
  for (const token of pointer.slice(1).split('/')) {
    const name = decode(token).replaceAll('~1', '/').replaceAll('~0', '~')
    if (typeof target !== 'object' || target === null || !Object.hasOwn(target, name)) return undefined
    if (target !== from && isObject(target)) scope = inner(target, scope)
    target = (target as Raw)[name]
  }
  return isObject(target) || typeof target === 'boolean' ? [target, scope] : undefined
}

function findAnchor (name: string, schema: unknown, scope: Scope): [unknown, Scope] | undefined {
  if (Array.isArray(schema)) {
    for (const item of schema) {
      const found = findAnchor(name, item, scope)
      if (found !== undefined) return found
    }
    return undefined
  }
  if (!isObject(schema)) return undefined
  if (schema['$anchor'] === name || schema['$id'] === `#${name}`) return [schema, scope]
  for (const value of Object.values(schema)) {
    if (typeof value !== 'object') continue
    const found = findAnchor(name, value, scope)
    if (found !== undefined) return found
  }
  return undefined
}

function idOf (schema: Raw): string | undefined {
  const id = schema['$id']
  return typeof id === 'string' && !id.startsWith('#') && id !== '' ? trimHash(id) : undefined
}

function absolute (id: string, base: string | undefined): string | undefined {
  if (base === undefined) return undefined
  try {
    return trimHash(new URL(id, base).href)
  } catch {
    return undefined
  }
}

function trimHash (id: string): string {
  return id.endsWith('#') ? id.slice(0, -1) : id
}

function decode (token: string): string {
  try {
    return decodeURIComponent(token)
  } catch {
    return token
  }
}

/** Without a prototype: a property may be called `__proto__`. */
function mapValues (map: Raw, change: (value: unknown) => Schema): Record<string, Schema> {
  const changed: Record<string, Schema> = Object.create(null)
  for (const [name, value] of Object.entries(map)) changed[name] = change(value)
  return changed
}

function isObject (value: unknown): value is Raw {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
