import type { ControlEventType, JSONSchema, Manifest, ManifestEvent, ManifestStream } from '../../schema/manifest.js'
import { pascalCase } from '../names.js'
import { Components, follow, type Convert } from './components.js'
import { dictionary } from '../../schema/dictionary.js'
import { isObject, type Schema, type SchemaObject } from './lowering.js'
import { Lowering30, toSchema31, unique } from './schema.js'
import type { UrlTemplate } from './url.js'

/** Versions of OpenAPI that streams can be described in. */
export type OpenAPIVersion = '3.0' | '3.1' | '3.2'

/**
 * What the schema of a stream describes, before OpenAPI 3.2 had a word for it.
 *
 * - `'event'`: one event, parsed: `{ event, data, id? }`
 * - `'payload'`: the data of one event, of whichever type
 */
export type OpenAPIDialect = 'event' | 'payload'

/** One parameter of an operation. */
export interface Parameter {
  readonly name: string
  readonly in: 'path' | 'query' | 'header'
  readonly required: boolean
  readonly description?: string
  readonly deprecated?: true
  readonly schema: Schema
}

/** A member of an operation's `responses`. */
export interface Response {
  readonly description: string
  readonly headers?: Readonly<Record<string, SchemaObject>>
  readonly content?: Readonly<Record<string, SchemaObject>>
}

/** One stream under one path. */
export interface Use {
  readonly stream: ManifestStream
  readonly template: UrlTemplate
  /** What the parameters in the path are called there, in order: a path has one name for each. */
  readonly names: readonly string[]
}

/** The streams of one operation: one, or several that only their routes' constraints or regular expressions tell apart. */
export type Uses = [Use, ...Use[]]

export const MEDIA_TYPE = 'text/event-stream'

/** Headers that OpenAPI describes in other places. */
const NOT_PARAMETERS: ReadonlySet<string> = new Set(['accept', 'authorization', 'content-type'])

/** What a version can say. */
const CONVERT: Readonly<Record<OpenAPIVersion, Convert>> = {
  3.2: (schema, { refTo }) => ({ schema: toSchema31(schema, refTo), isExact: true }),
  3.1: (schema, { refTo }) => ({ schema: toSchema31(schema, refTo), isExact: true }),
  '3.0': (schema, references) => new Lowering30(references).lower(schema)
}

/** What documents of OpenAPI say of the streams of a manifest. */
export class StreamDescriptions {
  /** Everything that the descriptions refer to. */
  readonly components: Components
  readonly #manifest: Manifest
  readonly #version: OpenAPIVersion
  readonly #dialect: OpenAPIDialect
  /** The components that were made of events, and of all events of a stream. */
  readonly #events = new Map<ManifestEvent, { $ref: string }>()
  readonly #unions = new Map<ManifestStream, Schema>()

  /** @param taken names of components that the document has already */
  constructor (manifest: Manifest, version: OpenAPIVersion, dialect: OpenAPIDialect, taken: Iterable<string> = []) {
    this.components = new Components(manifest, CONVERT[version], taken)
    this.#manifest = manifest
    this.#version = version
    this.#dialect = dialect
  }

  /** Responses 200 and 204 of one operation. */
  responses (uses: Uses): Record<string, Response> {
    const streams = streamsOf(uses)
    return {
      200: {
        description: 'Event stream',
        headers: {
          'sse-heartbeat': {
            description: 'Milliseconds after which a silent stream sends a comment; 0 for never.',
            required: true,
            schema: { type: 'integer', minimum: 0 }
          }
        },
        content: { [MEDIA_TYPE]: this.#mediaType(streams) }
      },
      ...(streams.some(canEnd) && { 204: { description: 'The stream is over: do not connect again.' } })
    }
  }

  /** Parameters of one operation, those in the path first. */
  parameters (uses: Uses): Parameter[] {
    const all = uses.map((use) => this.#parametersOf(use))
    const byKey = new Map<string, Parameter[]>()
    for (const parameter of all.flat()) {
      // Names of headers are the same in capitals.
      const key = `${parameter.in} ${parameter.in === 'header' ? parameter.name.toLowerCase() : parameter.name}`
      byKey.set(key, [...byKey.get(key) ?? [], parameter])
    }
    return [...byKey.values()].map((same) => ({
      ...same[0]!,
      required: same.length === all.length && same.every(({ required }) => required),
      schema: anyOf(same.map(({ schema }) => schema))
    }))
  }

  /** Body of one operation's request; undefined when it has none. */
  requestBody (uses: Uses): SchemaObject | undefined {
    const streams = streamsOf(uses)
    const bodies = streams.flatMap(({ body }) => body === undefined ? [] : [this.components.schema(body)])
    if (bodies.length === 0) return undefined
    return { required: bodies.length === streams.length, content: { 'application/json': { schema: anyOf(bodies) } } }
  }

  #mediaType (streams: Streams): SchemaObject {
    return { [this.#version === '3.2' ? 'itemSchema' : 'schema']: this.#union(streams) }
  }

  #union (streams: Streams): Schema {
    const make = (): Schema => this.#version === '3.2' || this.#dialect === 'event' ? this.#eventUnion(streams) : this.#payloadUnion(streams)
    if (streams.length > 1) return make()
    // One stream has two paths when a parameter is optional.
    let union = this.#unions.get(streams[0])
    if (union === undefined) this.#unions.set(streams[0], union = make())
    return union
  }

  #eventUnion (streams: Streams): Schema {
    const name = `${pascalCase(streams[0].name)}Event`
    // Whoever may send anything may send all others too.
    if (streams.some(({ events }) => events === undefined)) return this.components.add(name, this.#event(undefined, { format: 'json', schema: true }))
    const branches: Array<[eventType: string, ref: { $ref: string }]> = []
    for (const stream of streams) {
      for (const [eventType, event] of Object.entries(stream.events!)) {
        branches.push([eventType, this.#component(event, `${pascalCase(stream.name)}${pascalCase(eventType)}Event`, eventType)])
      }
    }
    for (const eventType of controlEventsOf(streams)) {
      branches.push([eventType, this.#component(this.#manifest.controlEvents[eventType], `${pascalCase(eventType)}Event`, eventType)])
    }
    const refs = branches.map(([, ref]) => ref)
    // Events of one type with two schemas may fit both.
    if (new Set(branches.map(([eventType]) => eventType)).size < branches.length) return this.components.add(name, { anyOf: refs })
    return this.components.add(name, {
      oneOf: refs,
      discriminator: { propertyName: 'event', mapping: dictionary(branches.map(([eventType, { $ref }]) => [eventType, $ref])) }
    })
  }

  #component (event: ManifestEvent, name: string, eventType: string): { $ref: string } {
    let ref = this.#events.get(event)
    if (ref === undefined) this.#events.set(event, ref = this.components.add(name, this.#event(eventType, event)))
    return ref
  }

  /** One event as an object. In 3.2 its fields are those on the wire. */
  #event (eventType: string | undefined, { format, schema }: ManifestEvent): Schema {
    // What describes the data stands above, where readers see it.
    const { description, data } = described(this.components.schema(schema))
    const name = eventType === undefined
      ? { type: 'string' }
      : { type: 'string', ...(this.#version === '3.0' ? { enum: [eventType] } : { const: eventType }) }
    if (this.#version !== '3.2') {
      return { ...description, type: 'object', required: ['event', 'data'], properties: { event: name, data, id: { type: 'string' } } }
    }
    const text = { type: 'string', contentMediaType: 'application/json', ...(data !== true && { contentSchema: data }) }
    return {
      ...description,
      type: 'object',
      required: eventType === undefined ? ['data'] : ['event', 'data'],
      properties: { event: name, data: format === 'text' ? data : text, id: { type: 'string' }, retry: { type: 'integer', minimum: 0 } }
    }
  }

  #payloadUnion (streams: Streams): Schema {
    const isOpen = streams.some(({ events }) => events === undefined)
    const schemas = isOpen ? [true] : streams.flatMap(({ events }) => Object.values(events!).map(({ schema }) => schema))
    const control = isOpen ? [] : controlEventsOf(streams).map((eventType) => this.#manifest.controlEvents[eventType].schema)
    return this.components.add(`${pascalCase(streams[0].name)}Payload`, anyOf([...schemas, ...control].map((schema) => this.components.schema(schema))))
  }

  #parametersOf ({ stream: { params = true, query = true, headers = true }, template, names }: Use): Parameter[] {
    const declared = membersOf(params, params)
    const inPath = template.parameters.map(({ name, pattern }, index): Parameter => {
      const member = declared.get(name)
      if (member !== undefined) return this.#parameter('path', names[index]!, { ...member, isRequired: true })
      return { name: names[index]!, in: 'path', required: true, schema: { type: 'string', ...(pattern !== undefined && { pattern }) } }
    })
    const inQuery = [...membersOf(query, query)].map(([name, member]) => this.#parameter('query', name, member))
    const inHeaders = [...membersOf(headers, headers)].filter(([name]) => !NOT_PARAMETERS.has(name.toLowerCase()))
      .map(([name, member]) => this.#parameter('header', name, member))
    if (inHeaders.some(({ name }) => name.toLowerCase() === 'last-event-id')) return [...inPath, ...inQuery, ...inHeaders]
    return [...inPath, ...inQuery, ...inHeaders, LAST_EVENT_ID]
  }

  #parameter (place: Parameter['in'], name: string, { schema, isRequired }: Member): Parameter {
    const written = this.components.schema(schema)
    const { description, deprecated, ...rest } = isObject(written) ? written : {} as SchemaObject
    return {
      name,
      in: place,
      required: isRequired,
      ...(typeof description === 'string' && { description }),
      ...(deprecated === true && { deprecated }),
      schema: isObject(written) ? rest : written
    }
  }
}

/** Where a client goes on. */
export const LAST_EVENT_ID: Parameter = {
  name: 'Last-Event-ID',
  in: 'header',
  required: false,
  description: 'ID of the last event that the client has: the stream goes on after it. For clients that cannot set headers, the query parameter `lastEventId` does the same.',
  schema: { type: 'string' }
}

function described (schema: Schema): { description: { description?: string }, data: Schema } {
  if (!isObject(schema) || typeof schema['description'] !== 'string') return { description: {}, data: schema }
  const { description, ...data } = schema
  return { description: { description }, data }
}

/** A parameter or a property, as its schema says. */
export interface Member {
  readonly schema: JSONSchema
  readonly isRequired: boolean
}

/**
 * The properties that an object may have, through references, intersections and unions.
 *
 * @param root what has the definitions
 */
export function membersOf (schema: JSONSchema, root: JSONSchema, open: ReadonlySet<JSONSchema> = new Set()): Map<string, Member> {
  const members = new Map<string, Member>()
  const node = follow(schema, root)
  if (!isObject(node) || open.has(node)) return members
  const inside = new Set([...open, node])
  const of = (list: unknown): Array<Map<string, Member>> => Array.isArray(list) ? list.map((item: JSONSchema) => membersOf(item, root, inside)) : []
  const add = (name: string, member: Member, combine: 'allOf' | 'anyOf', isRequired: boolean): void => {
    const other = members.get(name)
    members.set(name, { isRequired, schema: other === undefined ? member.schema : combined(combine, other.schema, member.schema) })
  }
  const required = new Set(Array.isArray(node['required']) ? node['required'] as string[] : [])
  for (const [name, property] of Object.entries(node['properties'] as Record<string, JSONSchema> | undefined ?? {})) {
    members.set(name, { schema: property, isRequired: required.has(name) })
  }
  for (const part of of(node['allOf'])) {
    for (const [name, member] of part) add(name, member, 'allOf', member.isRequired || members.get(name)?.isRequired === true || required.has(name))
  }
  for (const branches of [of(node['anyOf']), of(node['oneOf'])]) {
    const names = new Set(branches.flatMap((branch) => [...branch.keys()]))
    for (const name of names) {
      const found = branches.flatMap((branch) => branch.get(name) ?? [])
      const schema = found.map((member) => member.schema).reduce((a, b) => combined('anyOf', a, b))
      const isRequired = found.length === branches.length && found.every((member) => member.isRequired)
      add(name, { schema, isRequired }, 'allOf', isRequired || members.get(name)?.isRequired === true || required.has(name))
    }
  }
  return members
}

function combined (keyword: 'allOf' | 'anyOf', a: JSONSchema, b: JSONSchema): JSONSchema {
  const schemas = unique([...isObject(a) && Object.keys(a).length === 1 && Array.isArray(a[keyword]) ? a[keyword] as JSONSchema[] : [a], b])
  return schemas.length === 1 ? schemas[0]! : { [keyword]: schemas }
}

/** A union, or the one schema that there is. */
function anyOf (schemas: readonly Schema[]): Schema {
  const each = unique(schemas)
  return each.length === 1 ? each[0]! : { anyOf: each }
}

type Streams = readonly [ManifestStream, ...ManifestStream[]]

function streamsOf ([first, ...others]: Uses): Streams {
  return [first.stream, ...others.map(({ stream }) => stream)]
}

/** Whether the stream may say that it is over. */
export function canEnd ({ controlEvents }: ManifestStream): boolean {
  return controlEvents.includes('sse.end')
}

/** The control events that any of the streams may send. */
function controlEventsOf (streams: readonly ManifestStream[]): ControlEventType[] {
  return [...new Set(streams.flatMap(({ controlEvents }) => controlEvents))]
}
