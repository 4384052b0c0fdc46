import type { FastifyInstance, FastifyRequest, FastifySchema, FastifySerializerCompiler, RouteOptions } from 'fastify'
import { encodeIdBlock } from '../channel/frame.js'
import { encodeGap } from '../channel/gap-answer.js'
import { isGapEvent } from '../channel/iterator.js'
import { compileEvents } from '../schema/compile.js'
import { EventEncoder } from '../schema/encoder.js'
import { isText, resolveEvents } from '../schema/events.js'
import { assertJSONSchema } from '../schema/json-schema.js'
import type { StreamHost, StreamSettings } from '../stream/host.js'
import { encodeComment, encodeRetry } from '../wire/encode.js'
import type { DeclaredRoute } from './manifest.js'
import { resolveOptions, type ResolvedOptions } from './options.js'

const kRoute = Symbol('sse.route')

type Config = Record<PropertyKey, unknown> & { [kRoute]?: StreamRoute }

/** What a route needs to stream, worked out once. */
export class StreamRoute implements StreamSettings {
  readonly options: ResolvedOptions
  readonly opening: string
  readonly heartbeatMs: number
  readonly stallTimeoutMs: number
  readonly maxAgeMs: number
  readonly controlEvents: boolean
  /** Event type → schema; null for a route that declares no events. */
  readonly schemas: Readonly<Record<string, unknown>> | null
  readonly #compile: () => EventEncoder
  #encoder: EventEncoder | null = null

  constructor (options: ResolvedOptions, events: unknown, compile: () => EventEncoder) {
    this.options = options
    this.schemas = events === undefined ? null : resolveEvents(events)
    this.heartbeatMs = options.heartbeatMs
    this.stallTimeoutMs = options.stallTimeoutMs
    this.maxAgeMs = options.maxAgeMs
    this.controlEvents = options.controlEvents
    // The heartbeat stands here too since a script of another origin does not see the response header.
    this.opening = encodeComment(`sse-heartbeat: ${options.heartbeatMs}${textNote(this.schemas)}`) + encodeRetry(options.reconnectionTimeMs)
    this.#compile = compile
  }

  /** Builds the checks and serializers; until then they are built with the first event. */
  compile (): void {
    this.#encoder ??= this.#compile()
  }

  /** Whether events that were checked by these schemas may be sent as they are: the route has the same, or none. */
  sends (schemas: Readonly<Record<string, unknown>>): boolean {
    const own = this.schemas
    return own === null || Object.entries(schemas).every(([eventType, schema]) => own[eventType] === schema)
  }

  encode (event: unknown, host: StreamHost): string {
    // Of a subscription that the source reads.
    if (isGapEvent(event)) return this.controlEvents ? encodeGap(event.data, event.id) : event.id === undefined ? '' : encodeIdBlock(event.id)
    this.#encoder ??= this.#compile()
    return this.#encoder.encode(event, (error) => {
      host.warn(error, this.options.validation === 'drop' ? 'an invalid event was dropped' : 'an invalid event was sent')
    })
  }
}

/**
 * The stream routes of one plugin: those seen when they were registered, and those found when they first stream.
 *
 * A route that was registered before the plugin was loaded (`app.register` without `await`) cannot be seen by a hook.
 * Its events are found in its schema when it first calls `reply.sse`, but Fastify does not keep its `sse` options.
 */
export class StreamRoutes {
  readonly #defaults: ResolvedOptions
  readonly #uncompiled: StreamRoute[] = []
  readonly #declared: Array<{ instance: FastifyInstance, url: string, route: RouteOptions, streamRoute: StreamRoute }> = []
  readonly #late = new WeakMap<object, StreamRoute>()

  constructor (defaults: ResolvedOptions) {
    this.#defaults = defaults
  }

  /** Checks a route as it is registered, and prepares it when it streams. */
  add (instance: FastifyInstance, route: RouteOptions): void {
    const { schema, sse } = route as RouteOptions & { schema?: FastifySchema, sse?: unknown }
    if (schema?.events === undefined && sse === undefined) return
    const where = `${[route.method].flat().join('|')} ${route.url}: sse`
    const options = resolveOptions(sse, this.#defaults, where)
    if (schema?.events !== undefined) checkEvents(schema.events)
    const streamRoute = new StreamRoute(options, schema?.events, () => buildEncoder(instance, schema?.events, options, route as SerializedRoute))
    this.#uncompiled.push(streamRoute)
    // Of a plugin's `/` under a prefix Fastify writes a second URL over the first, `/p/` over `/p`.
    this.#declared.push({ instance, url: route.url, route, streamRoute })
    // Fastify copies `config` with its symbols, for this route and for the HEAD route that it derives.
    route.config = { ...route.config, [kRoute]: streamRoute } as typeof route.config & object
  }

  /** Builds all checks and serializers. Run when the application is ready: only then all `addSchema` calls are made. */
  compile (): void {
    for (const route of this.#uncompiled.splice(0)) route.compile()
  }

  /** Those seen when they were registered, as their schemas are now: other plugins may have changed them. */
  declared (): DeclaredRoute[] {
    return this.#declared.map(({ instance, url, route, streamRoute: { schemas, controlEvents } }) => {
      const { method, constraints, schema } = route as RouteOptions & { schema?: FastifySchema }
      return { instance, methods: [method].flat(), url, constraints, schema, events: schemas, controlEvents }
    })
  }

  /** The route of a request. */
  of (request: FastifyRequest): StreamRoute {
    const { config, schema, method, url } = request.routeOptions
    const known = (config as unknown as Config)[kRoute] ?? this.#late.get(config)
    if (known !== undefined) return known
    const { events } = (schema ?? {})
    const options = this.#defaults
    const route = new StreamRoute(options, events, () => buildEncoder(request.server, events, options, { method, url: url ?? '' }))
    if (events !== undefined) checkEvents(events)
    this.#late.set(config, route)
    if (events !== undefined) {
      request.log.warn(`${[method].flat().join('|')} ${url} was registered before fastify-typed-sse was loaded: its events are checked, ` +
        'but its `sse` options, if it has any, are not known. Await app.register(fastify-typed-sse) before it.')
    }
    return route
  }
}

/**
 * A comment line with the event types whose data is text: a client that has types alone could not tell the text `42` from the
 * number. Percent-encoded, with commas between them.
 */
function textNote (schemas: Readonly<Record<string, unknown>> | null): string {
  const types = Object.entries(schemas ?? {}).filter(([, schema]) => isText(schema))
    // Half a surrogate pair is refused when the events are compiled; here it must not throw.
    .map(([eventType]) => encodeURIComponent(Buffer.from(eventType).toString()))
  return types.length === 0 ? '' : `\nsse-text: ${types.join()}`
}

function checkEvents (declaration: unknown): void {
  for (const [eventType, schema] of Object.entries(resolveEvents(declaration))) assertJSONSchema(eventType, schema)
}

/** What a serializer compiler is told of a route, and the route's own one. */
interface SerializedRoute {
  method: string | string[]
  url: string
  serializerCompiler?: FastifySerializerCompiler<unknown> | undefined
}

function buildEncoder (instance: FastifyInstance, events: unknown, options: ResolvedOptions, route: SerializedRoute): EventEncoder {
  if (events === undefined) return new EventEncoder(null, options.validation)
  const serializerCompiler = route.serializerCompiler ?? instance.serializerCompiler
  const compiled = compileEvents(resolveEvents(events), {
    schemas: instance.getSchemas(),
    method: [route.method].flat().join('|'),
    url: route.url,
    ...(serializerCompiler === undefined ? {} : { serializerCompiler })
  })
  return new EventEncoder(compiled, options.validation)
}
