import { Kind } from '@sinclair/typebox'
import { dictionary } from './dictionary.js'
import { decodeText, definitionRef, unescapeToken } from './json-pointer.js'
import { isConstant, LIST_KEYWORDS, MAP_KEYWORDS, SCHEMA_KEYWORDS, splitDependencies } from './json-schema.js'
import type { JSONSchema } from './manifest.js'
import { Names } from './names.js'
import { idOf, inner, isObject, References, type Raw, type Scope } from './references.js'

/** The dialect of what is hoisted. */
const DIALECT = 'https://json-schema.org/draft/2020-12/schema'

/** What has a meaning for its place alone: names of places, other dialects' marks, and how this package sends. */
const DROPPED: ReadonlySet<string> = new Set(['$id', '$anchor', '$schema', '$defs', 'definitions', 'discriminator', 'nullable', 'x-sse-data'])

/** A schema in work: a copy whose `$ref` is a definition, not text. */
type Draft = boolean | { [keyword: string]: unknown }

/** One schema that has a name. */
class Definition {
  /** What it should be called; the name itself once all are known. */
  name: string
  draft: Draft = true
  /** The definition that it turned out to be the same as. */
  same: Definition | undefined

  constructor (name: string) {
    this.name = name
  }
}

/** A schema that was taken in, not yet written. */
export interface Hoisted {
  /** The schema as plain JSON, standing for itself. Call it when all have been taken in: names depend on each other. */
  write (): JSONSchema
}

/**
 * Makes plain, self-contained JSON Schema (draft 2020-12) of a set of schemas: whatever has a name of its own (`$id`, a member of a
 * TypeBox module, the target of a `$ref`) is moved to `#/$defs/<name>`, and one name means one schema in the whole set.
 *
 * What describes a schema (`title`, `description`, `default`, `examples`, own `x-` keywords) is kept.
 */
export class Hoister {
  readonly #definitions: Definition[] = []
  /** Schema → what lies around it → where its references lead. */
  readonly #index = new Map<Raw, Map<Raw, Map<object, Definition>>>()
  readonly #closed = new Map<Raw, boolean>()
  #isNamed = false

  /**
   * Takes a schema in.
   *
   * @param eventType for messages
   * @param hint what a part is called that has to have a name and has none, such as a recursive type
   * @param shared the instance's schemas: `$id` → schema
   * @throws FST_SSE_SCHEMA_INVALID for a reference to nothing
   */
  add (eventType: string, schema: unknown, hint: string, shared: Readonly<Record<string, unknown>>): Hoisted {
    if (!isObject(schema)) return { write: () => schema as boolean }
    const references = new References(eventType, shared)
    const draft = new Copy(references, this).copy(schema, references.top(schema), hint)
    return { write: () => this.#write(draft) }
  }

  /** The definition of a schema as seen from a scope. Known before its content: it may refer to itself. */
  define (schema: Raw, scope: Scope, name: string, fill: () => Draft): Definition {
    const around = scope.modules.at(-1) ?? (idOf(schema) === undefined ? scope.resource : schema)
    const places = emplace(this.#index, schema, () => new Map<Raw, Map<object, Definition>>())
    const definitions = emplace(places, around, () => new Map<object, Definition>())
    // What refers to something outside is another schema where that is another one: in another event, or on another instance.
    const context = emplace(this.#closed, around, () => isClosed(around, scope.modules.length > 0)) ? around : scope.ids
    let definition = definitions.get(context)
    if (definition === undefined) {
      definitions.set(context, definition = new Definition(name))
      definition.draft = fill()
      this.#definitions.push(definition)
    }
    return definition
  }

  #write (draft: Draft): JSONSchema {
    this.#nameAll()
    const used = new Set<Definition>()
    const root = emit(draft, used)
    if (typeof root === 'boolean') return root
    // What is emitted uses more: the set grows while it is walked.
    const defs = Array.from(function * () {
      for (const definition of used) yield [definition.name, emit(definition.draft, used)] as const
    }()).sort(([a], [b]) => a < b ? -1 : 1)
    return { $schema: DIALECT, ...root, ...(defs.length > 0 && { $defs: dictionary(defs) }) }
  }

  #nameAll (): void {
    if (this.#isNamed) return
    this.#isNamed = true
    const byName = new Map<string, Definition[]>()
    for (const definition of this.#definitions) {
      const others = byName.get(definition.name)
      const same = others?.find((other) => isEqual(definition.draft, other.draft, new Map([[definition, new Set([other])]])))
      if (same !== undefined) definition.same = same
      else if (others === undefined) byName.set(definition.name, [definition])
      else others.push(definition)
    }
    const names = new Names([], byName.keys())
    for (const [name, definitions] of byName) for (const definition of definitions) definition.name = names.give(name)
  }
}

/** Copies one schema. */
class Copy {
  readonly #references: References
  readonly #hoister: Hoister

  constructor (references: References, hoister: Hoister) {
    this.#references = references
    this.#hoister = hoister
  }

  /** A copy, or a reference to the definition that a schema with a name becomes. */
  copy (schema: unknown, outer: Scope, hint: string): Draft {
    if (!isObject(schema)) return schema as boolean
    const id = idOf(schema)
    return id === undefined ? this.#plain(schema, outer, hint) : { $ref: this.#define(schema, outer, nameOf(id), hint) }
  }

  #define (schema: Raw, scope: Scope, name: string | undefined, hint: string): Definition {
    const title = typeof schema['title'] === 'string' && schema['title'].trim() !== '' ? schema['title'].trim() : undefined
    return this.#hoister.define(schema, scope, name ?? title ?? hint, () => this.#plain(schema, scope, name ?? hint))
  }

  #plain (schema: Raw, outer: Scope, hint: string): Draft {
    const scope = inner(schema, outer)
    const copy: Record<string, unknown> = {}
    for (const [keyword, value] of Object.entries(schema)) {
      if (value === undefined || DROPPED.has(keyword)) continue
      if (keyword === '$ref') Object.assign(copy, this.#reference(String(value), scope, hint))
      else if (keyword === 'anyOf') Object.assign(copy, constants(value as unknown[], schema) ?? { anyOf: this.#list(value, scope, hint) })
      else if (keyword === 'items' && Array.isArray(value)) copy['prefixItems'] = this.#list(value, scope, hint)
      else if (keyword === 'additionalItems') {
        if (Array.isArray(schema['items'])) copy['items'] = this.copy(value, scope, `${hint}Item`)
      } else if (keyword === 'items' || SCHEMA_KEYWORDS.has(keyword)) copy[keyword] = this.copy(value, scope, keyword === 'items' ? `${hint}Item` : hint)
      else if (LIST_KEYWORDS.has(keyword)) copy[keyword] = this.#list(value, scope, hint)
      else if (keyword === 'dependencies') splitDependencies(value as Raw, copy, (dependency) => this.copy(dependency, scope, hint))
      else if (MAP_KEYWORDS.has(keyword)) {
        copy[keyword] = dictionary(Object.entries(value as Raw).filter(([, item]) => item !== undefined)
          .map(([name, item]) => [name, this.copy(item, scope, keyword === 'properties' ? hint + capitalized(name) : hint)]))
      } else {
        const plain = plainOf(value)
        if (plain !== undefined) copy[keyword] = plain
      }
    }
    return schema['nullable'] === true ? nullable(copy) : copy
  }

  #list (list: unknown, scope: Scope, hint: string): Draft[] {
    return (list as unknown[]).map((item) => this.copy(item, scope, hint))
  }

  #reference (ref: string, scope: Scope, hint: string): Record<string, unknown> {
    const [target, around] = this.#references.follow(ref, scope)
    if (!isObject(target)) return target === false ? { not: {} } : {}
    const id = idOf(target)
    return { $ref: this.#define(target, around, id === undefined ? nameInRef(ref) : nameOf(id), hint) }
  }
}

/**
 * What a keyword says, as JSON; undefined for what JSON cannot say. Keywords of others may have functions, or objects that
 * contain themselves.
 */
function plainOf (value: unknown): unknown {
  if (typeof value === 'string' || typeof value === 'boolean' || value === null || Number.isFinite(value)) return value
  try {
    const json = JSON.stringify(value) as string | undefined
    return json === undefined || typeof value === 'number' ? undefined : JSON.parse(json)
  } catch {
    return undefined
  }
}

/** One `enum` for branches that are bare constants, as `Type.Union` of literals and `Type.Enum` give them. */
function constants (branches: unknown[], schema: Raw): Record<string, unknown> | undefined {
  if (branches.length < 2 || 'type' in schema || 'enum' in schema || !branches.every((branch) => isObject(branch) && isConstant(branch))) return undefined
  const values = branches.map((branch) => (branch as Raw)['const'])
  const types = new Set(values.map((value) => typeof value))
  const [type] = types
  return { ...(types.size === 1 && type !== 'object' && { type }), enum: [...new Set(values)] }
}

/** `nullable` of OpenAPI 3.0: null is one more type. */
function nullable (copy: Record<string, unknown>): Draft {
  const type = copy['type']
  if (type !== undefined) {
    const types = [type].flat()
    return types.includes('null') ? copy : { ...copy, type: [...types, 'null'] }
  }
  const { title, description, default: standard, ...rest } = copy
  if (Object.keys(rest).length === 0) return copy
  return {
    ...(title !== undefined && { title }),
    ...(description !== undefined && { description }),
    ...('default' in copy && { default: standard }),
    anyOf: [rest, { type: 'null' }]
  }
}

/** A draft as JSON: each definition in it is a reference to its name, and noted as used. */
function emit (draft: unknown, used: Set<Definition>): JSONSchema {
  const write = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(write)
    if (!isObject(value)) return value
    return dictionary(Object.entries(value).map(([key, item]) => [key, key === '$ref' && item instanceof Definition ? refer(item) : write(item)]))
  }
  const refer = (definition: Definition): string => {
    const target = definition.same ?? definition
    used.add(target)
    return definitionRef(target.name)
  }
  return write(draft) as JSONSchema
}

/** Whether two drafts are the same schema, when the given definitions are taken for the same. */
function isEqual (a: unknown, b: unknown, assumed: Map<Definition, Set<Definition>>): boolean {
  if (a === b) return true
  if (a instanceof Definition && b instanceof Definition) {
    const same = assumed.get(a)
    if (same?.has(b) === true) return true
    if (same === undefined) assumed.set(a, new Set([b]))
    else same.add(b)
    return isEqual(a.draft, b.draft, assumed)
  }
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((item, index) => isEqual(item, b[index], assumed))
  if (!isObject(a) || !isObject(b) || Array.isArray(b)) return false
  const names = Object.keys(a)
  return names.length === Object.keys(b).length && names.every((name) => Object.hasOwn(b, name) && isEqual(a[name], b[name], assumed))
}

/** Whether all that is referred to by `$id` in a schema, or in the members of a module, lies within it. */
function isClosed (around: Raw, isModule: boolean): boolean {
  const ids = new Set(isModule ? Object.keys(around) : [])
  const references = new Set<string>()
  const seen = new Set<unknown>()
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null || seen.has(value)) return
    seen.add(value)
    if (isObject(value)) {
      const id = idOf(value)
      if (id !== undefined) ids.add(id)
      if (value[Kind] === 'Import' && isObject(value['$defs'])) for (const name of Object.keys(value['$defs'])) ids.add(name)
      if (typeof value['$ref'] === 'string') references.add(value['$ref'].split('#')[0]!)
    }
    for (const each of Object.values(value)) visit(each)
  }
  visit(around)
  return [...references].every((id) => id === '' || ids.has(id))
}

function emplace<K, V> (map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key)
  if (value === undefined) map.set(key, value = make())
  return value
}

/** The part of an `$id` that is a name: of a URL or a path the last segment. */
function nameOf (id: string): string | undefined {
  if (!/^[a-z][a-z\d+.-]*:|^\.*\/|\.json$/i.test(id)) return nameUnlessNumber(id)
  const [path = ''] = id.split('#')
  return nameUnlessNumber(decodeText(path.split('/').findLast((part) => part !== '') ?? '').replace(/\.json$/i, ''))
}

/** Undefined for the numbers that `Type.Recursive` gives, which depend on what was made before. */
function nameUnlessNumber (name: string): string | undefined {
  return name === '' || /^T\d+$/.test(name) ? undefined : name
}

/** The name in `#/$defs/Order` and the like. */
function nameInRef (ref: string): string | undefined {
  const token = /\/(?:\$defs|definitions|schemas)\/([^/]+)$/.exec(ref)?.[1] ?? /#([^/]+)$/.exec(ref)?.[1]
  return token === undefined ? undefined : nameUnlessNumber(unescapeToken(token))
}

function capitalized (name: string): string {
  return name.slice(0, 1).toUpperCase() + name.slice(1)
}
