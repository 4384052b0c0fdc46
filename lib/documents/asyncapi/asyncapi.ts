import { invalid, oneOf } from '../../option-checks.js'
import type { JSONSchema, Manifest, ManifestEvent, ManifestStream } from '../../schema/manifest.js'
import { Lowering7 } from './schema.js'
import { Names } from '../../schema/names.js'
import { pascalCase } from '../names.js'
import { Components } from '../openapi/components.js'
import { dictionary } from '../../schema/dictionary.js'
import { isObject, type Schema } from '../openapi/lowering.js'
import { membersOf, type Member } from '../openapi/streams.js'
import { templatesOf, type UrlTemplate } from '../openapi/url.js'
import { checkInfo, type DocumentInfo, type DocumentServer } from '../openapi/openapi.js'

/** What {@link toAsyncAPI} takes. */
export interface AsyncAPIOptions {
  /**
   * Version of AsyncAPI. Both give the same document: 3.1 has nothing more that concerns streams, and some tools read only 3.0.
   *
   * @defaultValue `'3.0'`
   */
  readonly version?: '3.0' | '3.1' | undefined
  readonly info: DocumentInfo
  /** With absolute URLs. */
  readonly servers?: readonly DocumentServer[] | undefined
}

/** A document, as plain JSON. */
export interface AsyncAPIDocument {
  asyncapi: string
  info: DocumentInfo
  defaultContentType: string
  servers?: Record<string, Record<string, unknown>>
  channels: Record<string, Record<string, unknown>>
  operations: Record<string, Record<string, unknown>>
  components: { messages: Record<string, unknown>, schemas: Record<string, unknown> }
}

/** Methods that the HTTP binding knows. */
const METHODS: ReadonlySet<string> = new Set(['GET', 'PUT', 'POST', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS', 'CONNECT', 'TRACE'])

/**
 * The streams of an application as an AsyncAPI 3 document.
 *
 * Each stream is a channel and an operation: the application sends its events, or, where the request has a body, receives a
 * request and replies with them. Each event type is a message, whose `name` is the event type. Schemas are those of draft 7:
 * what it cannot say is left out, so that a schema takes more, never less.
 *
 * AsyncAPI has no binding for Server-Sent Events; that of HTTP tells the method and the parameters after the `?`.
 *
 * Equal manifests give equal documents.
 *
 * @throws FST_SSE_OPTION_INVALID for a version there is not, an `info` without title or version, and for a server without an absolute URL
 * @throws FST_SSE_MANIFEST_INVALID for a schema that refers to nothing
 */
export function toAsyncAPI (manifest: Manifest, { version = '3.0', info, servers }: AsyncAPIOptions): AsyncAPIDocument {
  oneOf('3.0', '3.1')('version', version)
  checkInfo(info)
  const writer = new Writer(manifest)
  for (const stream of manifest.streams) for (const template of templatesOf(stream.url)) writer.add(stream, template)
  // A copy of its own: what the document shares with the manifest nobody can change through it.
  return JSON.parse(JSON.stringify({
    asyncapi: `${version}.0`,
    info,
    defaultContentType: 'application/json',
    ...(servers !== undefined && { servers: serversOf(servers) }),
    ...writer.write()
  })) as AsyncAPIDocument
}

class Writer {
  readonly #manifest: Manifest
  readonly #components: Components
  readonly #channels = dictionary<unknown>([])
  readonly #operations = dictionary<unknown>([])
  readonly #messages = new Map<string, unknown>()
  readonly #messageNames = new Names([])
  readonly #names: Names
  /** The messages that were made. One stream has two channels when a parameter is optional. */
  readonly #made = new Map<string, { $ref: string }>()

  constructor (manifest: Manifest) {
    this.#manifest = manifest
    this.#components = new Components(manifest, (schema, references) => new Lowering7(references).lower(schema))
    this.#names = new Names([], manifest.streams.map(({ name }) => toKey(name)))
  }

  add (stream: ManifestStream, template: UrlTemplate): void {
    const { name, summary, description, tags, deprecated, body } = stream
    const id = this.#names.give(toKey(template.without === undefined ? name : `${name}Without${pascalCase(template.without.join(' '))}`))
    const { address, parameters } = addressOf(template, stream)
    const messages = this.#messagesOf(stream)
    const request = body === undefined ? undefined : { request: this.#request(stream, body) }
    this.#channels[id] = {
      address,
      ...(parameters !== undefined && { parameters }),
      messages: { ...request, ...messages }
    }
    const refs = (keys: string[]): Array<{ $ref: string }> => keys.map((key) => ({ $ref: `#/channels/${id}/messages/${key}` }))
    const channel = { $ref: `#/channels/${id}` }
    const common = {
      channel,
      ...(summary !== undefined && { summary }),
      ...(description !== undefined && { description }),
      ...(tags !== undefined && tags.length > 0 && { tags: tags.map((tag) => ({ name: tag })) }),
      ...(deprecated === true && { 'x-deprecated': true }),
      ...(METHODS.has(stream.method) && { bindings: { http: this.#binding(stream) } })
    }
    this.#operations[id] = request === undefined
      ? { action: 'send', ...common, messages: refs(Object.keys(messages)) }
      : { action: 'receive', ...common, messages: refs(['request']), reply: { channel, messages: refs(Object.keys(messages)) } }
  }

  write (): object {
    return {
      channels: this.#channels,
      operations: this.#operations,
      components: {
        messages: dictionary([...this.#messages].sort(([a], [b]) => a < b ? -1 : 1)),
        schemas: this.#components.write()
      }
    }
  }

  #messagesOf ({ name, events, controlEvents }: ManifestStream): Record<string, { $ref: string }> {
    if (events === undefined) return { event: this.#message(`${pascalCase(name)}Any`, `${name} any`, () => ({ payload: {} })) }
    // The request's message is in the same map.
    const keys = new Names(['request'], [...Object.keys(events), ...controlEvents].map(toKey))
    const ofEvent = (eventType: string, { format, schema }: ManifestEvent, prefix: string): [string, { $ref: string }] => [
      keys.give(toKey(eventType)),
      this.#message(`${prefix}${pascalCase(eventType)}`, `${prefix} event ${eventType}`, () => ({
        name: eventType,
        ...(format === 'text' && { contentType: 'text/plain' }),
        payload: this.#components.schema(schema)
      }))
    ]
    return dictionary([
      ...Object.entries(events).map(([eventType, event]) => ofEvent(eventType, event, pascalCase(name))),
      ...controlEvents.map((eventType) => ofEvent(eventType, this.#manifest.controlEvents[eventType], ''))
    ])
  }

  #request ({ name, headers }: ManifestStream, body: JSONSchema): { $ref: string } {
    const members = headers === undefined ? undefined : membersOf(headers, headers)
    return this.#message(`${pascalCase(name)}Request`, `${name} request`, () => ({
      ...(members !== undefined && members.size > 0 && { headers: this.#object(members) }),
      payload: this.#components.schema(body)
    }))
  }

  /** @param id of what the message is of */
  #message (name: string, id: string, make: () => object): { $ref: string } {
    const known = this.#made.get(id)
    if (known !== undefined) return known
    const key = this.#messageNames.give(toKey(name))
    const ref = { $ref: `#/components/messages/${key}` }
    this.#messages.set(key, make())
    this.#made.set(id, ref)
    return ref
  }

  #binding ({ method, query }: ManifestStream): object {
    const members = query === undefined ? undefined : membersOf(query, query)
    return { method, ...(members !== undefined && members.size > 0 && { query: this.#object(members) }), bindingVersion: '0.3.0' }
  }

  #object (members: ReadonlyMap<string, Member>): Schema {
    const required = [...members].flatMap(([name, { isRequired }]) => isRequired ? [name] : [])
    return {
      type: 'object',
      ...(required.length > 0 && { required }),
      properties: dictionary([...members].map(([name, member]) => [name, this.#components.schema(member.schema)]))
    }
  }
}

/** The URL with the parameters that stand in it, whose names AsyncAPI has other rules for. */
function addressOf ({ path, parameters }: UrlTemplate, { params = true }: ManifestStream): { address: string, parameters?: Record<string, object> } {
  if (parameters.length === 0) return { address: path }
  const declared = membersOf(params, params)
  const names = new Names([], parameters.map(({ name }) => toParameterName(name)))
  const byName = new Map(parameters.map(({ name }) => [name, names.give(toParameterName(name))]))
  return {
    address: path.replace(/\{([^}]*)\}/g, (_, name: string) => `{${byName.get(name)!}}`),
    parameters: dictionary([...byName].map(([name, given]) => [given, parameterOf(declared.get(name)?.schema)]))
  }
}

function parameterOf (schema: JSONSchema | undefined): object {
  if (!isObject(schema)) return {}
  const { description, enum: values = 'const' in schema ? [schema['const']] : undefined, default: standard } = schema
  return {
    ...(typeof description === 'string' && { description }),
    ...(Array.isArray(values) && { enum: values.map(String) }),
    ...(standard !== undefined && { default: String(standard) })
  }
}

function serversOf (servers: readonly DocumentServer[]): Record<string, object> {
  return dictionary(servers.map(({ url, description }, index) => {
    if (typeof url !== 'string' || !URL.canParse(url)) throw invalid(`servers[${index}].url`, url, 'an absolute URL')
    const { protocol, host, pathname } = new URL(url)
    return [`server${index + 1}`, {
      host,
      protocol: protocol.slice(0, -1),
      ...(pathname !== '/' && { pathname }),
      ...(description !== undefined && { description })
    }]
  }))
}

/** The characters that names of channels, operations and messages may have, and that need no escape in a reference. */
function toKey (name: string): string {
  // What is called `__proto__` many tools lose.
  return name === '__proto__' ? 'proto' : name.replace(/[^A-Za-z0-9._-]+/g, '_')
}

function toParameterName (name: string): string {
  return name === '*' ? 'wildcard' : name.replace(/[^A-Za-z0-9_-]+/g, '_')
}
