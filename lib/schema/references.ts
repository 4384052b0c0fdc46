import { Kind } from '@sinclair/typebox'
import { nearest, show, SSEError } from '../errors.js'
import { unescapeToken } from './json-pointer.js'
import { LIST_KEYWORDS, MAP_KEYWORDS, SCHEMA_KEYWORDS, assertJSONSchema } from './json-schema.js'

/** An object that may be a schema. */
export type Raw = Record<PropertyKey, unknown>

/** Where a schema lies: what its relative references are relative to. */
export interface Scope {
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
 * Follows the references of one schema: JSON pointers, `$id`, `$anchor`, TypeBox modules, and what the instance shares.
 */
export class References {
  readonly #eventType: string
  readonly #shared: Map<string, Raw>
  readonly #documents = new Map<Raw, Map<string, Raw>>()
  #isShared = false

  /**
   * @param eventType for messages
   * @param shared the instance's schemas: `$id` → schema
   */
  constructor (eventType: string, shared: Readonly<Record<string, unknown>>) {
    this.#eventType = eventType
    this.#shared = new Map(Object.entries(shared).filter(([, schema]) => isObject(schema)).map(([id, schema]) => [trimHash(id), schema as Raw]))
  }

  /** Whether anything was taken from the schemas shared by `addSchema`. */
  get isShared (): boolean {
    return this.#isShared
  }

  /** The scope at the top of a document. */
  top (document: Raw): Scope {
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

  /**
   * What a reference leads to, and the scope around it.
   *
   * @throws FST_SSE_SCHEMA_INVALID when there is nothing
   */
  follow (ref: string, scope: Scope): readonly [unknown, Scope] {
    return this.#resolve(ref, scope) ?? this.#refuseReference(ref, scope)
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
    return fragment.startsWith('/') ? followPointer(fragment, resource, at) : findAnchor(fragment, resource, at)
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
    return this.top(document)
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

/** The scope of what lies inside a schema. */
export function inner (schema: Raw, outer: Scope): Scope {
  const id = idOf(schema)
  const isModule = schema[Kind] === 'Import' && isObject(schema['$defs'])
  if (id === undefined && !isModule) return outer
  return {
    ...outer,
    ...(id === undefined ? {} : { resource: schema, base: absolute(id, outer.base) ?? id }),
    modules: isModule ? [...outer.modules, schema['$defs'] as Raw] : outer.modules
  }
}

function followPointer (pointer: string, from: Raw, scope: Scope): [unknown, Scope] | undefined {
  let target: unknown = from
  for (const token of pointer.slice(1).split('/')) {
    const name = unescapeToken(token)
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

/** The `$id` of a schema, when it is one that others refer to. */
export function idOf (schema: Raw): string | undefined {
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

/** Whether a value is an object that is no array. */
export function isObject (value: unknown): value is Raw {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
