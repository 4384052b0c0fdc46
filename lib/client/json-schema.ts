// The entry «fastify-typed-sse/client/json-schema»: checks events by plain JSON Schema. Needs the package @cfworker/json-schema.
import { Validator as SchemaValidator, type OutputUnit, type Schema, type SchemaDraft } from '@cfworker/json-schema'
import { problemText, valueAt } from './problem.js'
import type { Validator } from './types.js'

/**
 * A `validate` for {@link connect} that checks events by JSON Schema, without `eval`: for schemas that were read from a file or
 * generated, of draft 7, 2019-09 or 2020-12. `$schema` says which; without it, it is 2019-09.
 *
 * What a server of this package sends of a declared event passes, but for text in the formats `hostname`, `time`, `regex` and
 * `uuid`, which the two read differently at their edges. Events that are not in the map, which a newer server may
 * send, and `sse.*` pass unseen.
 *
 * References lead to parts of the same schema (`#/$defs/…`, `$id`, `$anchor`); nothing is fetched. Formats are those that
 * `@cfworker/json-schema` knows, as it reads them, and others are not looked at. Neither are patterns that are none with
 * the flag `u`, and the kinds of an application's own, of which plain JSON Schema knows nothing.
 *
 * @param schemas event type → JSON Schema of its data
 * @throws TypeError for a schema that is not an object or a boolean. What else is wrong with a schema, such as a reference to
 * nothing, is told when the first event of its type arrives: as what is wrong with the event
 */
export function jsonSchemaValidator (schemas: Readonly<Record<string, unknown>>): Validator {
  const declared = new Map(Object.entries(schemas))
  for (const [event, schema] of declared) {
    if (typeof schema !== 'boolean' && (typeof schema !== 'object' || schema === null || Array.isArray(schema))) {
      throw new TypeError(`The schema of event "${event}" is ${schema === null ? 'null' : Array.isArray(schema) ? 'an array' : typeof schema}. Give a JSON Schema, an object: { "type": … }.`)
    }
  }
  const validators = new Map<string, SchemaValidator>()
  return ({ event, data }) => {
    const schema = declared.get(event)
    if (schema === undefined) return undefined
    try {
      let validator = validators.get(event)
      // Not before: a page may never see most of the events that it knows.
      if (validator === undefined) validators.set(event, validator = new SchemaValidator(prepare(schema), draftOf(schema)))
      const { valid, errors } = validator.validate(data)
      return valid ? undefined : problemOf(errors, data)
    } catch (error) {
      return `its schema cannot be used: ${String((error as Error).message).split('\n')[0]}`
    }
  }
}

function draftOf (schema: unknown): SchemaDraft {
  const dialect = String((schema as { $schema?: unknown }).$schema)
  return (['4', '7', '2019-09', '2020-12'] as const).find((draft) => dialect.includes(`draft-0${draft}`) || dialect.includes(`/${draft}/`)) ?? '2019-09'
}

/**
 * A copy to be marked by the validator: the schema itself may be frozen, or have parts in common with another.
 *
 * `nullable` of OpenAPI 3.0 is spelt out in it.
 */
function prepare (schema: unknown): Schema {
  const named = new Map<string, unknown>()
  return prepared(JSON.parse(JSON.stringify(schema))) as Schema

  function prepared (value: unknown): unknown {
    if (Array.isArray(value)) return value.map(prepared)
    if (typeof value !== 'object' || value === null) return value
    const keywords = Object.entries(value).flatMap(([keyword, given]): Array<[string, unknown]> => {
      if (keyword === 'pattern' && !isPattern(given)) return []
      // Data, which may look like a schema.
      if (DATA.has(keyword)) return [[keyword, given]]
      return [[keyword, MAPS.has(keyword) && typeof given === 'object' ? preparedEach(given ?? {}) : prepared(given)]]
    })
    const node = Object.fromEntries(keywords)
    const { nullable, type, patternProperties } = node
    if (nullable === true && (typeof type === 'string' || Array.isArray(type))) node['type'] = [type, 'null'].flat()
    const patterns = Object.keys(patternProperties ?? {})
    for (const pattern of patterns.filter((each) => !isPattern(each))) {
      delete (patternProperties as Record<string, unknown>)[pattern]
      // Which properties are the others cannot be told.
      delete node['additionalProperties']
      delete node['unevaluatedProperties']
    }
    if (typeof node['$id'] !== 'string') return node
    // What stands in two places under one name is one schema, not two.
    const text = JSON.stringify(node)
    return named.get(text) ?? (named.set(text, node), node)
  }

  function preparedEach (map: object): Record<string, unknown> {
    return Object.fromEntries(Object.entries(map).map(([name, schema]) => [name, prepared(schema)]))
  }
}

/** Keywords whose value is data. */
const DATA = new Set(['const', 'enum', 'default', 'example', 'examples'])
/** Keywords whose value is schemas by name, and a name may be that of a keyword. */
const MAPS = new Set(['properties', 'patternProperties', '$defs', 'definitions', 'dependentSchemas', 'dependencies'])

function isPattern (source: unknown): boolean {
  try {
    return new RegExp(String(source), 'u') instanceof RegExp
  } catch {
    return false
  }
}

/** Errors about a part, which one about the whole goes before. */
const BRANCHES = new Set(['anyOf', 'oneOf'])
const WHOLES = new Set([
  '$ref', '$recursiveRef', 'allOf', 'if', 'properties', 'patternProperties', 'additionalProperties', 'unevaluatedProperties', 'propertyNames',
  'dependentSchemas', 'dependencies', 'prefixItems', 'items', 'additionalItems', 'unevaluatedItems'
])

function problemOf (errors: OutputUnit[], data: unknown): string {
  const { instanceLocation, keyword, error } = firstCause(errors)
  const path = decodeURI(instanceLocation.slice(1))
  if (keyword === 'false') return problemText(path, 'not allowed', valueAt(data, path))
  return problemText(path, error.replace(/\.$/, ''), keyword === 'required' ? undefined : valueAt(data, path))
}

/** The innermost error, and for a union that of the branch that was meant, when it can be told: no other has an error deeper inside and none at a constant. */
function firstCause (errors: OutputUnit[]): OutputUnit {
  const index = errors.findIndex(({ keyword }) => !WHOLES.has(keyword))
  const error = errors[index]
  if (error === undefined) return errors.at(-1)!
  if (!BRANCHES.has(error.keyword)) return error
  const branches = new Map<string, OutputUnit[]>()
  for (const inner of errors.slice(index + 1)) {
    if (!inner.keywordLocation.startsWith(`${error.keywordLocation}/`)) break
    const branch = inner.keywordLocation.slice(error.keywordLocation.length + 1).split('/', 1)[0]!
    branches.set(branch, [...branches.get(branch) ?? [], inner])
  }
  const meant = [...branches.values()].filter((inner) => inner.every(({ keyword, instanceLocation }) =>
    WHOLES.has(keyword) || (instanceLocation !== error.instanceLocation && keyword !== 'const')))
  return meant.length === 1 ? firstCause(meant[0]!) : error
}
