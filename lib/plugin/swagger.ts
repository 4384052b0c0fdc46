import type { FastifyInstance, FastifySchema, RouteOptions } from 'fastify'
import {
  canEnd, LAST_EVENT_ID, MEDIA_TYPE, StreamDescriptions, type OpenAPIDialect, type OpenAPIVersion, type Response, type Uses
} from '../documents/openapi/streams.js'
import { templatesOf } from '../documents/openapi/url.js'
import { toYAML } from '../documents/openapi/yaml.js'
import type { Manifest, ManifestStream } from '../schema/manifest.js'
import { compareConstraints } from './manifest.js'

/** How streams stand in the documents of @fastify/swagger. */
export interface SwaggerSettings {
  /** What the schema of a stream describes in OpenAPI 3.0 and 3.1. */
  readonly dialect: OpenAPIDialect
  /** Names of the functions that give documents: the `decorator` of @fastify/swagger. */
  readonly decorators: readonly string[]
}

/** What marks a route's schema while a document is made of it, so that its operation can be told, whatever it is called there. */
const MARK = 'x-fastify-typed-sse'

type DocumentFunction = (this: unknown, options?: { yaml?: boolean }) => unknown

interface Json { readonly [member: string]: unknown }

/** A route that streams, as it was registered. @fastify/swagger holds the same object. */
interface StreamingRoute {
  readonly route: RouteOptions
  /** The URL that it was registered with: Fastify may write another one over it. */
  readonly url: string
  /** How many routes before it have its method and URL: constraints tell them apart. */
  readonly ordinals: ReadonlyMap<string, number>
}

/**
 * Puts streams into the documents that @fastify/swagger makes.
 *
 * The function that gives a document is replaced by one that calls it and adds the streams to the result. Nothing else of the
 * document is changed: whatever hides routes, renames them or rewrites their schemas (`transform`, `prefix`, `servers`) has had
 * its way by then. An instance has this function before it has a route that stands in its document, so it is replaced in time.
 */
export class SwaggerDocuments {
  readonly #getManifest: () => Manifest
  readonly #settings: SwaggerSettings
  readonly #routes: StreamingRoute[] = []
  readonly #counts = new Map<string, number>()
  readonly #replaced = new WeakSet<DocumentFunction>()

  /** @param getManifest called when a document is made: all routes are there, but the application may not be ready yet */
  constructor (getManifest: () => Manifest, settings: SwaggerSettings) {
    this.#getManifest = getManifest
    this.#settings = settings
  }

  /** Takes note of a route, as it is registered. */
  add (instance: FastifyInstance, route: RouteOptions): void {
    const { schema, sse } = route as RouteOptions & { schema?: FastifySchema, sse?: unknown }
    if (schema?.events === undefined && sse === undefined) return
    this.#routes.push({ route, url: route.url, ordinals: this.#ordinalsOf(route) })
    if (!instance.hasPlugin('@fastify/swagger')) return
    for (let at: object | null = instance; at !== null; at = Object.getPrototypeOf(at) as object | null) {
      for (const name of this.#settings.decorators) if (Object.hasOwn(at, name)) this.#replace(at as Record<string, unknown>, name)
    }
  }

  #ordinalsOf ({ method, url }: RouteOptions): Map<string, number> {
    return new Map([method].flat().map((each) => {
      const key = `${each.toUpperCase()} ${url}`
      const count = this.#counts.get(key) ?? 0
      this.#counts.set(key, count + 1)
      return [each.toUpperCase(), count]
    }))
  }

  #replace (holder: Record<string, unknown>, name: string): void {
    const original = holder[name] as DocumentFunction
    if (typeof original !== 'function' || this.#replaced.has(original)) return
    // @fastify/swagger makes its document once.
    let made: { base: unknown, document: unknown, yaml?: string } | undefined
    const documents = this
    const replacement: DocumentFunction = function (options) {
      const { base, seen } = documents.#make(original, this)
      const current: NonNullable<typeof made> = made !== undefined && made.base === base ? made : { base, document: documents.#withStreams(base, seen) }
      made = current
      if (options?.yaml !== true) return current.document
      if (current.document === base) return original.call(this, options)
      return (current.yaml ??= toYAML(JSON.parse(JSON.stringify(current.document))))
    }
    this.#replaced.add(replacement)
    holder[name] = replacement
  }

  /** The document without streams, and the routes that it was made of: none when it had been made before. */
  #make (original: DocumentFunction, self: unknown): { base: unknown, seen: ReadonlySet<number> } {
    const seen = new Set<number>()
    const schemas = this.#routes.map(({ route }) => Object.getOwnPropertyDescriptor(route, 'schema'))
    for (const [index, { route }] of this.#routes.entries()) {
      const marked = { ...schemas[index]?.value as object | undefined, [MARK]: index }
      Object.defineProperty(route, 'schema', {
        configurable: true,
        enumerable: true,
        get () {
          seen.add(index)
          return marked
        }
      })
    }
    try {
      return { base: original.call(self), seen }
    } finally {
      for (const [index, { route }] of this.#routes.entries()) {
        const descriptor = schemas[index]
        if (descriptor === undefined) delete route.schema
        else Object.defineProperty(route, 'schema', descriptor)
      }
    }
  }

  #withStreams (base: unknown, seen: ReadonlySet<number>): unknown {
    if (seen.size === 0 || !isObject(base) || !isObject(base['paths'])) return base
    const version = versionOf(base)
    const manifest = this.#getManifest()
    const taken = isObject(base['components']) && isObject(base['components']['schemas']) ? base['components']['schemas'] : {}
    const descriptions = version === undefined || version === '2.0'
      ? undefined
      : new StreamDescriptions(manifest, version, this.#settings.dialect, Object.keys(taken))
    const describe = (operation: Json, stream: ManifestStream | undefined): Json => {
      if (stream === undefined || version === undefined) return operation
      return descriptions === undefined ? withStream2(operation, stream, base) : withStream3(operation, stream, descriptions)
    }
    const paths = new Paths(base['paths'])
    for (const [index, operations] of this.#operations(paths, base, seen)) {
      for (const { path, method, operation } of operations) {
        const { [MARK]: _, ...rest } = operation
        paths.set(path, method, describe(rest, this.#streamOf(manifest, index, method)))
      }
    }
    if (!paths.isChanged) return base
    const added = descriptions === undefined ? {} : copy(descriptions.components.write())
    if (Object.keys(added).length === 0) return { ...base, paths: paths.value }
    return { ...base, paths: paths.value, components: { ...base['components'] as Json | undefined, schemas: { ...taken, ...added } } }
  }

  /** The operations of each route: those that have its mark, else those at its URL, since a `transform` may give a schema of its own. */
  #operations (paths: Paths, base: Json, seen: ReadonlySet<number>): Map<number, Operation[]> {
    const byRoute = new Map<number, Operation[]>()
    const unmarked = new Map<string, Operation>()
    for (const operation of paths.operations()) {
      const mark = operation.operation[MARK]
      if (typeof mark === 'number') byRoute.set(mark, [...byRoute.get(mark) ?? [], operation])
      else unmarked.set(`${operation.method} ${operation.path}`, operation)
    }
    for (const index of seen) {
      if (byRoute.has(index)) continue
      const { route, ordinals } = this.#routes[index]!
      if ((route.schema as { hide?: unknown } | undefined)?.hide === true) continue
      const found = pathsOf(route.url, base).flatMap((path) => [...ordinals.keys()].flatMap((method) => unmarked.get(`${method} ${path}`) ?? []))
      byRoute.set(index, found)
    }
    return byRoute
  }

  #streamOf ({ streams }: Manifest, index: number, method: string): ManifestStream | undefined {
    const { url, ordinals } = this.#routes[index]!
    const same = streams.filter((stream) => stream.method === method && stream.url === url)
    // In the order of the manifest: by constraints.
    const routes = this.#routes.filter((other) => other.url === url && other.ordinals.has(method))
      .sort((a, b) => compareConstraints(a.route, b.route) || a.ordinals.get(method)! - b.ordinals.get(method)!)
    return same[routes.findIndex((each) => each.ordinals === ordinals)] ?? same[0]
  }
}

interface Operation {
  readonly path: string
  /** In capitals. */
  readonly method: string
  readonly operation: Json
}

/** The paths of a document, of which those that change are copied first. */
class Paths {
  readonly #given: Json
  readonly #changed = new Map<string, Record<string, unknown>>()

  constructor (given: Json) {
    this.#given = given
  }

  get isChanged (): boolean {
    return this.#changed.size > 0
  }

  get value (): Json {
    return Object.fromEntries(Object.entries(this.#given).map(([path, item]) => [path, this.#changed.get(path) ?? item]))
  }

  * operations (): Iterable<Operation> {
    for (const [path, item] of Object.entries(this.#given)) {
      if (!isObject(item)) continue
      const { additionalOperations, ...members } = item
      for (const [method, operation] of [...Object.entries(members), ...Object.entries(isObject(additionalOperations) ? additionalOperations : {})]) {
        if (isObject(operation) && isObject(operation['responses'])) yield { path, method: method.toUpperCase(), operation }
      }
    }
  }

  set (path: string, method: string, operation: Json): void {
    const item = this.#changed.get(path) ?? { ...this.#given[path] as Json }
    this.#changed.set(path, item)
    const field = method.toLowerCase()
    if (field in item) item[field] = operation
    else item['additionalOperations'] = { ...item['additionalOperations'] as Json, [method]: operation }
  }
}

/** What @fastify/swagger writes for a route that declares no response. */
const UNDECLARED = 'Default Response'

function withStream3 (operation: Json, stream: ManifestStream, descriptions: StreamDescriptions): Json {
  const responses = operation['responses'] as Json
  const status = '200' in responses || !('2XX' in responses) ? '200' : '2XX'
  const given = responses[status] as Json | undefined
  const content = given?.['content'] as Json | undefined
  let described = given
  // What the application says of its stream by itself stands.
  if (given?.['$ref'] === undefined && content?.[MEDIA_TYPE] === undefined) {
    const [template] = templatesOf(stream.url)
    const uses: Uses = [{ stream, template, names: [] }]
    const response = copy(descriptions.responses(uses)[200]!)
    described = {
      ...given,
      description: isUndeclared(given) ? response.description : given['description'],
      headers: { ...response.headers, ...given?.['headers'] as Json | undefined },
      content: { ...content, ...response.content }
    }
  }
  return {
    ...operation,
    parameters: withLastEventId(operation['parameters'], copy(LAST_EVENT_ID)),
    responses: withEnd({ ...responses, [status]: described }, stream)
  }
}

/** Swagger 2 has one schema for all media types of a response, and no unions: that there is a stream is all that it can be told. */
function withStream2 (operation: Json, stream: ManifestStream, { produces }: Json): Json {
  const responses = operation['responses'] as Json
  const given = responses['200'] as Json | undefined
  const others = operation['produces'] ?? (given?.['schema'] === undefined ? [] : produces ?? ['application/json'])
  return {
    ...operation,
    produces: [...new Set([...others as string[], MEDIA_TYPE])],
    parameters: withLastEventId(operation['parameters'], { name: LAST_EVENT_ID.name, in: 'header', description: LAST_EVENT_ID.description, type: 'string' }),
    responses: withEnd({ ...responses, 200: isUndeclared(given) ? { ...given, description: 'Event stream' } : given }, stream)
  }
}

function isUndeclared (response: Json | undefined): response is undefined | { description: typeof UNDECLARED } {
  return response === undefined || (response['description'] === UNDECLARED && response['content'] === undefined && response['schema'] === undefined)
}

function withEnd (responses: Json, stream: ManifestStream): Json {
  if (!canEnd(stream) || '204' in responses) return responses
  return { ...responses, 204: { description: 'The stream is over: do not connect again.' } satisfies Response }
}

function withLastEventId (parameters: unknown, parameter: object): unknown[] {
  const given = Array.isArray(parameters) ? parameters as Json[] : []
  const isThere = given.some(({ name, in: place }) => place === 'header' && typeof name === 'string' && name.toLowerCase() === 'last-event-id')
  return isThere ? given : [...given, parameter]
}

/** Where a document may have a URL: under its servers' paths, and with the mark of an optional parameter. */
function pathsOf (url: string, { servers }: Json): string[] {
  const [{ path }] = templatesOf(url)
  const bases = (Array.isArray(servers) ? servers as Json[] : []).map((server) => {
    const base = String(server['url'])
    return base.startsWith('/') ? base : URL.canParse(base) ? new URL(base).pathname : '/'
  })
  const shortened = bases.filter((base) => base !== '/' && path.startsWith(base)).map((base) => path.slice(base.length))
  return [path, ...shortened].flatMap((each) => [each, `${each}?`])
}

function versionOf ({ openapi, swagger }: Json): OpenAPIVersion | '2.0' | undefined {
  if (swagger === '2.0') return '2.0'
  const minor = typeof openapi === 'string' ? /^3\.(\d+)/.exec(openapi)?.[1] : undefined
  if (minor === undefined) return undefined
  return minor === '0' ? '3.0' : minor === '1' ? '3.1' : '3.2'
}

/** Plain JSON that nothing else holds. */
function copy<T> (json: T): T {
  return JSON.parse(JSON.stringify(json)) as T
}

function isObject (value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
