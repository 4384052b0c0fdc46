import type { FastifySerializerCompiler } from 'fastify/types/schema.js'
import { show, SSEError } from '../errors.js'
import { bundle, type Bundle } from './bundle.js'
import { compileAjv, type EventIssue } from './check.js'
import { compileDeclared, NotJSONError } from './declared.js'
import { isText } from './events.js'
import { registerFormats } from './formats.js'
import { assertJSONSchema } from './json-schema.js'

export type { EventIssue } from './check.js'

/** One event type, ready to be sent. */
export interface CompiledEvent {
  readonly type: string
  /** Whether its data goes on the wire as it is: the schema was made with `text()`. */
  readonly isText: boolean
  /**
   * Whether the data, as JSON has it, matches the schema. Reads the data and changes nothing: no coercion, no defaults.
   *
   * Data that cannot be read (a getter throws, an object contains itself) does not match.
   */
  check (data: unknown): boolean
  /** What is wrong with data that `check` has refused: one to five issues, the first being the most telling. */
  explain (data: unknown): EventIssue[]
  /**
   * The data on one line: JSON of what the schema declares, or the text itself.
   *
   * Meant for data that has passed `check`. Other data gives the JSON of what its schema names, whatever its type.
   *
   * @throws whatever stands in the way of JSON: a BigInt, an object that contains itself, the route's own serializer
   */
  stringify (data: unknown): string
}

/** What the events of one route are compiled with. */
export interface CompileOptions {
  /** The schemas of the instance that `$ref` may lead to: `instance.getSchemas()`. */
  schemas?: Record<string, unknown>
  /**
   * The serializer compiler of the route or the instance, when the application has set one. It is handed what the schema
   * declares of the data, and line ends in what it returns are taken out. Not called for text.
   *
   * Fastify's default (fast-json-stringify) is not used: it keeps only the first matching branch of a union.
   */
  serializerCompiler?: FastifySerializerCompiler<unknown>
  /** For the serializer compiler. */
  method?: string
  /** For the serializer compiler. */
  url?: string
}

type Core = Pick<CompiledEvent, 'check' | 'explain' | 'stringify'> & { declare (data: unknown): unknown }

/** Contracts are shared by routes and by applications. Only schemas that refer to nothing outside are kept. */
const cores = new WeakMap<object, Core>()

/**
 * Compiles the events of one route: event type → its check and its serializer. Nothing is compiled later.
 *
 * @param events event type → schema, as `resolveEvents` gives it
 * @throws FST_SSE_SCHEMA_INVALID for a schema that is not plain JSON Schema or does not compile
 */
export function compileEvents (events: Record<string, unknown>, options: CompileOptions = {}): Map<string, CompiledEvent> {
  registerFormats()
  return new Map(Object.entries(events).map(([type, schema]) => [type, compileEvent(type, schema, options)]))
}

function compileEvent (type: string, schema: unknown, options: CompileOptions): CompiledEvent {
  const core = compileCore(type, schema, options.schemas ?? {})
  const { check, explain } = core
  if (isText(schema)) return { type, isText: true, check, explain, stringify: String }
  return { type, isText: false, check, explain, stringify: customStringify(type, schema, core, options) ?? core.stringify }
}

function compileCore (type: string, schema: unknown, schemas: Record<string, unknown>): Core {
  const known = cores.get(schema as object)
  if (known !== undefined) return known
  assertJSONSchema(type, schema)
  const bundled = bundle(type, schema as object, schemas)
  let core: Core
  try {
    core = makeCore(bundled)
  } catch (err) {
    throw new SSEError('FST_SSE_SCHEMA_INVALID', `The schema of event ${show(type)} does not compile: ${messageOf(err)}. Correct it.`, { eventType: type }, err)
  }
  if (!bundled.isShared) cores.set(schema as object, core)
  return core
}

function makeCore (bundled: Bundle): Core {
  const checker = compileAjv(bundled)
  const declare = compileDeclared(bundled, checker.test)
  return {
    check (data) {
      try {
        return checker.check(declare(data, 'check'))
      } catch {
        return false
      }
    },
    explain (data) {
      try {
        return checker.explain(declare(data, 'check'))
      } catch (err) {
        return [{ path: err instanceof NotJSONError ? err.path : '', message: messageOf(err) }]
      }
    },
    stringify: (data) => toText(JSON.stringify(declare(data, 'stringify'))),
    declare: (data) => declare(data, 'stringify')
  }
}

function customStringify (type: string, schema: unknown, core: Core, options: CompileOptions): CompiledEvent['stringify'] | undefined {
  const { serializerCompiler, method = 'GET', url = '' } = options
  if (serializerCompiler === undefined || isDefault(serializerCompiler)) return undefined
  let serialize: (data: unknown) => unknown
  try {
    serialize = serializerCompiler({ schema, method, url, httpStatus: '200' }) as (data: unknown) => unknown
  } catch (err) {
    throw new SSEError('FST_SSE_SCHEMA_INVALID', `The serializer compiler refuses the schema of event ${show(type)}: ${messageOf(err)}. Set one for the route that takes JSON Schema.`, { eventType: type }, err)
  }
  return (data) => toText(serialize(core.declare(data))).replace(/[\r\n]+/g, '')
}

/** Fastify gives an instance its default compiler once a route of it has a response schema; nobody chose it. */
function isDefault (serializerCompiler: FastifySerializerCompiler<unknown>): boolean {
  return serializerCompiler.name === 'bound responseSchemaCompiler'
}

function toText (json: unknown): string {
  if (typeof json !== 'string') throw new TypeError(`The data has no JSON: the serializer returned ${typeof json}`)
  return json
}

function messageOf (err: unknown): string {
  return err instanceof Error ? err.message : String(err)
}
