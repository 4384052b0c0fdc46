import type { FastifyInstance, FastifySchema } from 'fastify'
import { SSEError } from '../errors.js'
import { dictionary } from '../schema/dictionary.js'
import { isText } from '../schema/events.js'
import { Hoister, type Hoisted } from '../schema/hoist.js'
import { assertInputSchema } from '../schema/json-schema.js'
import { CONTROL_EVENTS, NOT_STREAMED, type ControlEventType, type JSONSchema, type Manifest, type ManifestStream } from '../schema/manifest.js'
import { Names } from '../schema/names.js'
import { operationName, streamName } from '../schema/stream-name.js'

/** A route that streams, as it was registered. */
export interface DeclaredRoute {
  /** The instance that it was registered on. */
  readonly instance: FastifyInstance
  readonly methods: readonly string[]
  readonly url: string
  /** What tells routes of one method and URL apart: a version, a host. */
  readonly constraints?: Readonly<Record<string, unknown>> | undefined
  readonly schema: FastifySchema | undefined
  /** Event type → schema; null for a route that declares no events. */
  readonly events: Readonly<Record<string, unknown>> | null
  readonly controlEvents: boolean
}

/** A channel or family, as it was declared. */
export interface DeclaredChannel {
  readonly name: string
  readonly schemas: Readonly<Record<string, unknown>>
}

/** What routes describe themselves with, for OpenAPI. */
interface Described {
  readonly operationId?: unknown
  readonly summary?: unknown
  readonly description?: unknown
  readonly deprecated?: unknown
  readonly tags?: unknown
  readonly query?: unknown
}

/**
 * The manifest of an application.
 *
 * @throws FST_SSE_SCHEMA_INVALID for a reference to nothing
 */
export function createManifest (routes: readonly DeclaredRoute[], channels: readonly DeclaredChannel[]): Manifest {
  const streams = routes
    .flatMap((route) => route.methods.filter((method) => !NOT_STREAMED.has(method)).map((method) => ({ route, method })))
    .sort((a, b) => compare(a.route.url, b.route.url) || compare(a.method, b.method) || compareConstraints(a.route, b.route))
  const hoister = new Hoister()
  const names = nameStreams(streams)
  const written = streams.map(({ route, method }, index) => describe(route, method, channels, hoister, names[index]!))
  return { manifest: 1, streams: written.map((write) => write()), controlEvents: structuredClone(CONTROL_EVENTS) }
}

/**
 * What streams are called. One that has a name of its own (`operationId`) comes before those whose names are made, and a number makes no
 * name that another one has by itself.
 */
function nameStreams (streams: ReadonlyArray<{ route: DeclaredRoute, method: string }>): string[] {
  const own = streams.map(({ route }) => operationName((route.schema as Described | undefined)?.operationId))
  const wanted = streams.map(({ route, method }, index) => own[index] ?? streamName(method, route.url))
  const names = new Names([], wanted)
  const given = own.map((name) => name === undefined ? undefined : names.give(name))
  return given.map((name, index) => name ?? names.give(wanted[index]!))
}

/** All schemas are taken in before one is written: their names depend on each other. */
function describe (
  route: DeclaredRoute, method: string, channels: readonly DeclaredChannel[], hoister: Hoister, name: string
): () => ManifestStream {
  const { instance, url, events, controlEvents } = route
  const schema = (route.schema ?? {}) as FastifySchema & Described
  const shared = instance.getSchemas()
  const inputs = Object.entries({ params: schema.params, query: schema.querystring ?? schema.query, headers: schema.headers, body: bodyOf(schema.body) })
    .map(([member, given]) => [member, takeInput(hoister, `${method} ${url}: ${member}`, given, member, shared)] as const)
  const data = events === null
    ? undefined
    : Object.entries(events).map(([eventType, declared]) =>
      [eventType, isText(declared) ? 'text' : 'json', hoister.add(eventType, declared, eventType, shared)] as const)
  const declaring = channels.filter(({ schemas }) => isSame(schemas, events))
  return () => ({
    name,
    method,
    url,
    ...(isString(schema.summary) && { summary: schema.summary }),
    ...(isString(schema.description) && { description: schema.description }),
    ...(schema.deprecated === true && { deprecated: true as const }),
    ...(Array.isArray(schema.tags) && { tags: schema.tags.filter(isString) }),
    ...Object.fromEntries(inputs.flatMap(([member, hoisted]) => hoisted === undefined ? [] : [[member, hoisted.write()]])),
    ...(data !== undefined && { events: dictionary(data.map(([eventType, format, hoisted]) => [eventType, { format, schema: hoisted.write() }])) }),
    controlEvents: controlEvents ? Object.keys(CONTROL_EVENTS) as ControlEventType[] : [],
    ...(declaring.length === 1 && { channel: declaring[0]!.name })
  })
}

/**
 * Undefined for what is absent, and for schemas of libraries that a validator compiler of the application understands. A body of such a
 * schema is any: clients have to send one.
 */
function takeInput (hoister: Hoister, where: string, schema: unknown, hint: string, shared: Readonly<Record<string, unknown>>): Hoisted | undefined {
  if (schema === undefined || schema === null) return undefined
  try {
    if (typeof schema !== 'boolean') assertInputSchema(where, schema)
    return hoister.add(where, schema, hint, shared)
  } catch (err) {
    if (err instanceof SSEError) return hint === 'body' ? { write: () => true } : undefined
    throw err
  }
}

/** With a schema for each content type, that of JSON. */
function bodyOf (body: unknown): unknown {
  if (typeof body !== 'object' || body === null || !('content' in body) || 'type' in body) return body
  const content = body.content as Record<string, { schema?: JSONSchema } | undefined>
  const type = Object.keys(content).find((type) => /^application\/(?:.+\+)?json\b/i.test(type))
  return type === undefined ? undefined : content[type]?.schema
}

function isSame (schemas: Readonly<Record<string, unknown>>, events: Readonly<Record<string, unknown>> | null): boolean {
  if (events === null) return false
  const types = Object.keys(schemas)
  return types.length === Object.keys(events).length && types.every((eventType) => events[eventType] === schemas[eventType])
}

function isString (value: unknown): value is string {
  return typeof value === 'string'
}

/** Orders routes of one method and URL by their constraints, so that their order does not depend on which was registered first. */
export function compareConstraints (a: Pick<DeclaredRoute, 'constraints'>, b: Pick<DeclaredRoute, 'constraints'>): number {
  const [first, second] = [a, b].map(({ constraints = {} }) => Object.entries(constraints).sort(([a], [b]) => compare(a, b)).map(([name, value]) => `${name} ${String(value)}`).join('\n'))
  return compare(first!, second!)
}

/** By code unit, so that the order depends on no locale. */
function compare (a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
