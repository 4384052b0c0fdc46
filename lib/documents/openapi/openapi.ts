import { checkObject, invalid, oneOf } from '../../option-checks.js'
import type { Manifest, ManifestStream } from '../../schema/manifest.js'
import { Names } from '../../schema/names.js'
import { pascalCase } from '../names.js'
import { dictionary } from '../../schema/dictionary.js'
import { StreamDescriptions, type OpenAPIDialect, type OpenAPIVersion, type Uses } from './streams.js'
import { templatesOf, type UrlTemplate } from './url.js'

export type { OpenAPIDialect, OpenAPIVersion } from './streams.js'

/** The `info` of a document: its title and version, and whatever else the specification has for it. */
export interface DocumentInfo {
  readonly title: string
  /** Version of the API that is described. */
  readonly version: string
  readonly [member: string]: unknown
}

/** A server that the streams are at. */
export interface DocumentServer {
  readonly url: string
  readonly description?: string
}

/** What {@link toOpenAPI} takes. */
export interface OpenAPIOptions {
  /**
   * Version of OpenAPI.
   *
   * @defaultValue `'3.2'`
   */
  readonly version?: OpenAPIVersion | undefined
  /**
   * What the schema of a stream describes in 3.0 and 3.1. Nothing to 3.2, which has its own way (`itemSchema`).
   *
   * @defaultValue `'event'`
   */
  readonly dialect?: OpenAPIDialect | undefined
  readonly info: DocumentInfo
  readonly servers?: readonly DocumentServer[] | undefined
}

/** A document, as plain JSON. */
export interface OpenAPIDocument {
  openapi: string
  info: DocumentInfo
  servers?: DocumentServer[]
  paths: Record<string, Record<string, unknown>>
  components: { schemas: Record<string, unknown> }
}

const VERSIONS: Readonly<Record<OpenAPIVersion, string>> = { '3.0': '3.0.3', 3.1: '3.1.0', 3.2: '3.2.0' }

/** The methods that a path has members for. */
const METHODS: Readonly<Record<OpenAPIVersion, readonly string[]>> = {
  '3.0': ['GET', 'PUT', 'POST', 'DELETE', 'OPTIONS', 'HEAD', 'PATCH', 'TRACE'],
  3.1: ['GET', 'PUT', 'POST', 'DELETE', 'OPTIONS', 'HEAD', 'PATCH', 'TRACE'],
  3.2: ['GET', 'PUT', 'POST', 'DELETE', 'OPTIONS', 'HEAD', 'PATCH', 'TRACE', 'QUERY']
}

/**
 * The streams of an application as an OpenAPI document.
 *
 * In 3.2 `itemSchema` describes an event as its fields are on the wire: `data` is text, with `contentMediaType` and `contentSchema` for what
 * it holds. 3.0 and 3.1 have no word for streams: there `schema` describes one event, parsed, or with `dialect: 'payload'` the data of one.
 * 3.0 knows less of JSON Schema: what it cannot say is left out, so that a schema takes more, never less.
 *
 * An optional parameter in a URL makes two paths, a wildcard is the parameter `*`. Routes that only their constraints tell apart, or
 * regular expressions in their URLs, are one operation that may send what any of them may. 3.0 and 3.1 have no place for methods such
 * as QUERY: their streams are left out.
 *
 * Equal manifests give equal documents.
 *
 * @throws FST_SSE_OPTION_INVALID for options that are none of the above
 * @throws FST_SSE_MANIFEST_INVALID for a schema that refers to nothing
 */
export function toOpenAPI (manifest: Manifest, options: OpenAPIOptions): OpenAPIDocument {
  const { version = '3.2', dialect = 'event', info, servers } = options
  oneOf(...Object.keys(VERSIONS))('version', version)
  oneOf('event', 'payload')('dialect', dialect)
  checkInfo(info)
  const descriptions = new StreamDescriptions(manifest, version, dialect)
  const operationIds = new Names([], manifest.streams.map(({ name }) => name))
  const paths = dictionary<Record<string, unknown>>([])
  for (const { path, method, uses } of operationsOf(manifest.streams)) {
    const isFixed = METHODS[version].includes(method)
    if (!isFixed && version !== '3.2') continue
    const item = paths[path] ??= {}
    const operation = describe(descriptions, uses, operationIds)
    if (isFixed) item[method.toLowerCase()] = operation
    else item['additionalOperations'] = { ...item['additionalOperations'] as object | undefined, [method]: operation }
  }
  // A copy of its own: what the document shares with the manifest nobody can change through it.
  return JSON.parse(JSON.stringify({
    openapi: VERSIONS[version],
    info,
    ...(servers !== undefined && { servers }),
    paths,
    components: { schemas: descriptions.components.write() }
  })) as OpenAPIDocument
}

/** @throws FST_SSE_OPTION_INVALID */
export function checkInfo (info: DocumentInfo): void {
  checkObject('info', info)
  for (const member of ['title', 'version']) if (typeof info[member] !== 'string') throw invalid(`info.${member}`, info[member], 'text')
}

function describe (descriptions: StreamDescriptions, uses: Uses, operationIds: Names): Record<string, unknown> {
  const [{ stream: { name, summary, description, tags }, template: { without } }] = uses
  const requestBody = descriptions.requestBody(uses)
  return {
    operationId: operationIds.give(without === undefined ? name : `${name}Without${pascalCase(without.join(' '))}`),
    ...(summary !== undefined && { summary }),
    ...(description !== undefined && { description }),
    ...(tags !== undefined && { tags }),
    ...(uses.every(({ stream }) => stream.deprecated) && { deprecated: true }),
    parameters: descriptions.parameters(uses),
    ...(requestBody !== undefined && { requestBody }),
    responses: {
      ...descriptions.responses(uses),
      default: { description: 'An error before the first event: there is no stream.' }
    }
  }
}

/** The streams of each path and method. Paths that only the names of their parameters tell apart are one path. */
function operationsOf (streams: readonly ManifestStream[]): Iterable<{ path: string, method: string, uses: Uses }> {
  const paths = new Map<string, UrlTemplate>()
  const operations = new Map<string, { path: string, method: string, uses: Uses }>()
  for (const stream of streams) {
    for (const own of templatesOf(stream.url)) {
      const shape = own.path.replace(/\{[^}]*\}/g, '{}')
      const first = paths.get(shape) ?? own
      paths.set(shape, first)
      const use = { stream, template: own, names: first.parameters.map(({ name }) => name) }
      const key = `${stream.method} ${shape}`
      const operation = operations.get(key)
      if (operation === undefined) operations.set(key, { path: first.path, method: stream.method, uses: [use] })
      else operation.uses.push(use)
    }
  }
  return operations.values()
}
