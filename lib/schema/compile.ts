import type { FastifySerializerCompiler } from 'fastify/types/schema.js'
import { show, SSEError } from '../errors.js'
import { bundle, type Bundle } from './bundle.js'
import { compileAjv, withTests, type Checker, type EventIssue, type Issue } from './check.js'
import { compileDeclared, UndeclarableError } from './declared.js'
import { isText } from './events.js'
import { registerFormats } from './formats.js'
import { assertJSONSchema } from './json-schema.js'
import { compilePlainStringify, MISMATCH } from './stringify.js'
import { compileOwnKinds, compileTypeBox } from './typebox.js'

export type { EventIssue } from './check.js'

/** One event type, ready to be sent. */
export interface CompiledEvent {
  readonly type: string
  /** Whether its data goes on the wire as it is: the schema was made with `text()`. */
  readonly isText: boolean
  /**
   * Whether the data, as JSON has it, matches the schema. Reads the data and changes nothing: no coercion, no defaults.
   *
   * Data that cannot be read (a getter throws, an object contains itself) does not match. `stringify` reads again: data whose
   * getters answer something else the second time is not protected from itself.
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

interface Core extends Pick<CompiledEvent, 'check' | 'explain' | 'stringify'> {
  /** Makes the function that copies what the schema declares of data. */
  getDeclare (): (data: unknown) => unknown
}

/** Contracts are shared by routes and by applications. Only schemas that refer to nothing outside are kept. */
const cores = new WeakMap<object, Core>()

/**
 * Compiles the events of one route: event type → its check and its serializer.
 *
 * Nothing is compiled later, with one exception: of a type that TypeBox checks, the serializer for data that does not match
 * is made when the first such data is to be sent all the same.
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
    core = makeCore(schema as object, bundled)
  } catch (err) {
    throw new SSEError('FST_SSE_SCHEMA_INVALID', `The schema of event ${show(type)} does not compile: ${messageOf(err)}. Correct it.`, { eventType: type }, err)
  }
  if (!bundled.isShared) cores.set(schema as object, core)
  return core
}

function makeCore (schema: object, bundled: Bundle): Core {
  const plain = compilePlainStringify(bundled)
  const typebox = plain === undefined ? undefined : compileTypeBox(schema)
  if (plain === undefined || (typebox === undefined && plain.hasOpenParts)) return makePatientCore(bundled, compileAll(schema, bundled))
  const ajv = typebox === undefined ? compileAll(schema, bundled) : undefined
  // For data that does not match its schema and is sent all the same. Next to TypeBox, only that needs an Ajv.
  let patient: Core | undefined
  const getPatient = (): Core => {
    patient ??= makePatientCore(bundled, ajv ?? compileAll(schema, bundled))
    return patient
  }
  const { check, explain } = typebox ?? ajv!
  return {
    check (data) {
      try {
        return check(data)
      } catch {
        return false
      }
    },
    explain: (data) => explainWith(() => explain(data), data),
    stringify (data) {
      try {
        return plain.stringify(data)
      } catch (err) {
        if (err !== MISMATCH) throw err
        return getPatient().stringify(data)
      }
    },
    getDeclare: () => getPatient().getDeclare()
  }
}

/** For any schema: copies what it declares, checks the copy, and gives the copy to `JSON.stringify`. */
function makePatientCore (bundled: Bundle, checker: Checker): Core {
  const declare = withTests(bundled, (compileTest) => compileDeclared(bundled, compileTest))
  return {
    check (data) {
      try {
        return checker.check(declare(data, 'check'))
      } catch {
        return false
      }
    },
    explain: (data) => explainWith(() => checker.explain(declare(data, 'check')), data),
    stringify: (data) => toText(JSON.stringify(declare(data, 'stringify'))),
    getDeclare: () => (data) => declare(data, 'stringify')
  }
}

/** Ajv, and TypeBox for the kinds that only the application knows. */
function compileAll (schema: object, bundled: Bundle): Checker {
  const ajv = compileAjv(bundled)
  const checkOwn = compileOwnKinds(schema)
  return checkOwn === undefined ? ajv : { ...ajv, check: (data) => ajv.check(data) && checkOwn(data) }
}

function explainWith (explain: () => Issue[], data: unknown): EventIssue[] {
  let issues: Issue[]
  try {
    issues = explain()
  } catch (err) {
    const { path, isType } = err instanceof UndeclarableError ? err : { path: '', isType: false }
    issues = [{ path, message: messageOf(err), isType }]
  }
  if (issues.length === 0) issues = [{ path: '', message: 'does not match the schema' }]
  return issues.map(({ path, message, isType }) => ({ path, message: isType === true ? `${message}, found ${describeAt(data, path)}` : message }))
}

/** What kind of value lies at a JSON pointer. Never its content: issues are logged. */
function describeAt (data: unknown, pointer: string): string {
  let value = data
  for (const token of pointer.split('/').slice(1)) {
    if (typeof value !== 'object' || value === null) break
    value = (value as Record<string, unknown>)[token.replaceAll('~1', '/').replaceAll('~0', '~')]
  }
  if (value === null || value === undefined || Number.isNaN(value)) return String(value)
  if (Array.isArray(value)) return 'an array'
  if (value instanceof Date) return 'a Date: send its toISOString()'
  if (typeof value !== 'object') return `a ${typeof value}`
  const name: unknown = value.constructor?.name
  return typeof name === 'string' && name !== 'Object' && name !== '' ? `an instance of ${name}` : 'an object'
}

function customStringify (type: string, schema: unknown, core: Core, options: CompileOptions): CompiledEvent['stringify'] | undefined {
  const { serializerCompiler, method = 'GET', url = '' } = options
  if (serializerCompiler === undefined || isDefault(serializerCompiler)) return undefined
  const declare = core.getDeclare()
  let serialize: (data: unknown) => unknown
  try {
    serialize = serializerCompiler({ schema, method, url, httpStatus: '200' }) as (data: unknown) => unknown
  } catch (err) {
    throw new SSEError('FST_SSE_SCHEMA_INVALID', `The serializer compiler refuses the schema of event ${show(type)}: ${messageOf(err)}. Set one for the route that takes JSON Schema.`, { eventType: type }, err)
  }
  return (data) => toText(serialize(declare(data))).replace(/[\r\n]+/g, '')
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
