import { show, SSEError } from '../../errors.js'
import type { JSONSchema, Manifest } from '../../schema/manifest.js'
import { Names } from '../../schema/names.js'
import { dictionary } from '../../schema/dictionary.js'
import { definitionName } from '../../schema/json-pointer.js'
import { isObject, type References, type Schema } from './lowering.js'

/** Says a schema in a document's dialect. */
export type Convert = (schema: JSONSchema, references: References) => { schema: Schema, isExact: boolean }

/**
 * `components.schemas` of a document: the definitions of a manifest that it uses, and what it adds.
 */
export class Components {
  readonly #convert: Convert
  readonly #definitions: ReadonlyMap<string, JSONSchema>
  /** Name in `$defs` → name here. */
  readonly #names = new Map<string, string>()
  readonly #taken: Names
  readonly #inexact = new Set<string>()
  readonly #schemas = new Map<string, Schema>()

  /** @param taken names that the document has already */
  constructor (manifest: Manifest, convert: Convert, taken: Iterable<string> = []) {
    this.#convert = convert
    this.#taken = new Names(taken)
    this.#definitions = definitionsOf(manifest)
    for (const name of this.#definitions.keys()) this.#names.set(name, this.#claim(name))
    this.#findInexact()
  }

  /** A manifest's schema as it stands in the document. The definitions it refers to become components. */
  schema (schema: JSONSchema): Schema {
    return this.#convert(schema, {
      isExact: (name) => !this.#inexact.has(name),
      refTo: (name) => {
        const component = this.#names.get(name)
        if (component === undefined) throw missing(name)
        if (!this.#schemas.has(component)) {
          // Known before its content: it may refer to itself.
          this.#schemas.set(component, true)
          this.#schemas.set(component, this.schema(this.#definitions.get(name)!))
        }
        return refOf(component)
      }
    }).schema
  }

  /**
   * Adds a schema.
   *
   * @param name what it should be called; a number is added when something else is called that
   */
  add (name: string, schema: Schema): { $ref: string } {
    const component = this.#claim(name)
    this.#schemas.set(component, schema)
    return { $ref: refOf(component) }
  }

  /** All that is used, sorted by name: whatever is added changes as few lines as it can. */
  write (): Record<string, Schema> {
    return dictionary([...this.#schemas].sort(([a], [b]) => a < b ? -1 : 1))
  }

  #claim (wanted: string): string {
    // The only characters that a component may have in its name.
    return this.#taken.give(wanted.replace(/[^A-Za-z0-9._-]+/g, '_'))
  }

  /** Definitions may refer to each other in circles: all are taken for exact, until one is found that is not. */
  #findInexact (): void {
    const references: References = { refTo: () => '', isExact: (name) => !this.#inexact.has(name) }
    for (let found = -1; found < this.#inexact.size;) {
      found = this.#inexact.size
      for (const [name, schema] of this.#definitions) if (!this.#convert(schema, references).isExact) this.#inexact.add(name)
    }
  }
}

function refOf (component: string): string {
  return `#/components/schemas/${component}`
}

function definitionsOf ({ streams, controlEvents }: Manifest): Map<string, JSONSchema> {
  const definitions = new Map<string, JSONSchema>()
  const collect = (schema: JSONSchema | undefined): void => {
    if (!isObject(schema)) return
    for (const [name, definition] of Object.entries(schema['$defs'] ?? {})) definitions.set(name, definition as JSONSchema)
  }
  for (const { params, query, headers, body, events = {} } of streams) {
    for (const schema of [params, query, headers, body]) collect(schema)
    for (const { schema } of Object.values(events)) collect(schema)
  }
  for (const { schema } of Object.values(controlEvents)) collect(schema)
  return new Map([...definitions].sort(([a], [b]) => a < b ? -1 : 1))
}

function missing (name: string): SSEError {
  return new SSEError('FST_SSE_MANIFEST_INVALID',
    `A schema in the manifest refers to ${show(`#/$defs/${name}`)}, which it does not have. Use it as app.sse.manifest() gives it.`, { where: 'manifest', path: `/$defs/${name}` })
}

/** The schema that a reference to a definition of its own leads to. */
export function follow (schema: JSONSchema, root: JSONSchema): JSONSchema {
  const seen = new Set<string>()
  let at = schema
  while (isObject(at) && typeof at['$ref'] === 'string' && !seen.has(at['$ref'])) {
    seen.add(at['$ref'])
    const definitions = isObject(root) ? root['$defs'] as Record<string, JSONSchema> | undefined : undefined
    at = definitions?.[definitionName(at['$ref'])] ?? true
  }
  return at
}
