import { FormatRegistry, Kind, Type, TypeRegistry, type TSchema } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import { ValueErrorType, type ValueError } from '@sinclair/typebox/errors'
import { TypeSystemPolicy } from '@sinclair/typebox/system'
import { MAX_ISSUES, type Checker, type Issue } from './check.js'
import { isNumberFormat } from './formats.js'
import { isConstraint } from './json-schema.js'
import { explainUnion } from './union-errors.js'

type Node = Record<PropertyKey, unknown>

/**
 * Kinds of TypeBox → keywords that its compiler honours as JSON Schema means them.
 *
 * Left to Ajv are the lengths of strings (JSON Schema counts characters, TypeBox UTF-16 units), patterns (JSON Schema reads
 * them by characters), `uniqueItems`, `contains`, `unevaluatedProperties`, fractions in `multipleOf`, and whatever a
 * type has that TypeBox does not look at, such as `enum` on a `Type.String`.
 */
const HONOURED: Readonly<Record<string, readonly string[]>> = {
  Any: [],
  Unknown: [],
  Never: ['not'],
  Null: ['type'],
  Boolean: ['type'],
  Literal: ['type', 'const'],
  Integer: ['type', 'minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'],
  Number: ['type', 'minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'],
  String: ['type', 'format', 'minLength'],
  TemplateLiteral: ['type', 'pattern'],
  Object: ['type', 'properties', 'required', 'additionalProperties'],
  Array: ['type', 'items', 'minItems', 'maxItems'],
  Tuple: ['type', 'items', 'additionalItems', 'minItems', 'maxItems'],
  Union: ['anyOf'],
  Intersect: ['type', 'allOf'],
  Ref: ['$ref'],
  This: ['$ref'],
  Import: ['$ref', '$defs']
}

/** Something that JSON has a value for, in place of `Type.Any` and `Type.Unknown`, which accept a function. */
const ANY_JSON = Type.Not(Type.Union([Type.Undefined(), Type.BigInt(), Type.Symbol(), Type.Function([], Type.Any())]))

/** What a walk through a type has found. */
interface Findings {
  ids: Map<string, unknown>
  hasAny: boolean
}

/**
 * Compiles a type with TypeBox's compiler, or gives undefined for a schema on which it would not decide as JSON Schema
 * does, or that is not of TypeBox throughout.
 */
export function compileTypeBox (schema: object): Pick<Checker, 'check' | 'explain'> | undefined {
  const findings: Findings = { ids: new Map(), hasAny: false }
  if (!isHonoured(schema, findings)) return undefined
  const type = (findings.hasAny ? replaceAny(schema) : schema) as TSchema
  const compiled = compileStrictly(type)
  if (compiled === undefined) return undefined
  return {
    check: (data) => compiled.Check(data),
    explain: (data) => toIssues(compiled.Errors(data))
  }
}

/**
 * The check of the kinds an application has registered in TypeBox's `TypeRegistry`, for a type that has any and is
 * otherwise checked by Ajv, which does not know them.
 */
export function compileOwnKinds (schema: object): ((data: unknown) => boolean) | undefined {
  if (!hasOwnKind(schema)) return undefined
  const compiled = compileStrictly(schema as TSchema)
  return compiled === undefined ? undefined : (data) => compiled.Check(data)
}

function hasOwnKind (schema: unknown): boolean {
  if (typeof schema !== 'object' || schema === null) return false
  const kind = (schema as Node)[Kind]
  return (typeof kind === 'string' && TypeRegistry.Has(kind)) || Object.values(schema).some(hasOwnKind)
}

/** Compiles under TypeBox's own policy, whatever the application has made of it: `AllowNaN` would let NaN out. */
function compileStrictly (type: TSchema): ReturnType<typeof TypeCompiler.Compile> | undefined {
  const { ExactOptionalPropertyTypes, AllowArrayObject, AllowNaN, AllowNullVoid } = TypeSystemPolicy
  const policy = { ExactOptionalPropertyTypes, AllowArrayObject, AllowNaN, AllowNullVoid }
  Object.assign(TypeSystemPolicy, { ExactOptionalPropertyTypes: false, AllowArrayObject: false, AllowNaN: false, AllowNullVoid: false })
  try {
    return TypeCompiler.Compile(type)
  } catch {
    // Ajv says better what is wrong, or finds a reference that TypeBox does not.
    return undefined
  } finally {
    Object.assign(TypeSystemPolicy, policy)
  }
}

function isHonoured (schema: unknown, findings: Findings): boolean {
  if (typeof schema !== 'object' || schema === null) return false
  const node = schema as Node
  const kind = node[Kind]
  if (typeof kind !== 'string') return false
  // A kind of the application's own, with its own check.
  if (TypeRegistry.Has(kind)) return true
  if (!Object.hasOwn(HONOURED, kind)) return false
  const keywords = HONOURED[kind]!
  if (kind === 'Any' || kind === 'Unknown') findings.hasAny = true
  // TypeBox's generated functions are named after the $id: two types of one name would be one function.
  if (typeof node['$id'] === 'string') {
    const other = findings.ids.get(node['$id'])
    if (other === schema) return true
    if (other !== undefined && JSON.stringify(other) !== JSON.stringify(schema)) return false
    findings.ids.set(node['$id'], schema)
  }
  return Object.entries(node).every(([keyword, value]) => {
    if (value === undefined) return true
    if (!keywords.includes(keyword)) return !isConstraint(keyword)
    if (keyword === 'not') return typeof value === 'object' && Object.keys(value as object).length === 0
    if (keyword === 'format') return typeof value === 'string' && FormatRegistry.Has(value) && !isNumberFormat(value)
    if (keyword === 'minLength') return typeof value === 'number' && value <= 1
    if (keyword === 'multipleOf') return Number.isInteger(value)
    if (keyword === 'const') return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    if (keyword === 'additionalProperties' || keyword === 'additionalItems') return value === false
    if (keyword === 'required') return (value as string[]).every((name) => Object.hasOwn(node['properties'] as object, name))
    if (keyword === 'properties' || keyword === '$defs') return Object.values(value as object).every((part) => isHonoured(part, findings))
    if (keyword === 'items' || keyword === 'anyOf' || keyword === 'allOf') return [value].flat().every((part) => isHonoured(part, findings))
    return true
  })
}

/** A copy of a type in which what may be anything may be anything that JSON has. */
function replaceAny (value: unknown): unknown {
  if (Array.isArray(value)) return value.map(replaceAny)
  if (typeof value !== 'object' || value === null) return value
  const node = value as Node
  if (node[Kind] === 'Any' || node[Kind] === 'Unknown') return copySymbols(node, { ...ANY_JSON })
  const copy: Node = Object.create(null)
  for (const [keyword, part] of Object.entries(node)) copy[keyword] = replaceAny(part)
  return copySymbols(node, { ...copy })
}

function copySymbols (from: Node, to: Node): Node {
  // Optional and Readonly. The new Kind stays.
  for (const symbol of Object.getOwnPropertySymbols(from)) if (!(symbol in to)) to[symbol] = from[symbol]
  return to
}

/** Errors about the JSON type of a value, whose message is helped by what was found. */
const TYPE_ERRORS: ReadonlySet<ValueErrorType> = new Set([
  ValueErrorType.Array, ValueErrorType.Boolean, ValueErrorType.Integer, ValueErrorType.Null, ValueErrorType.Number, ValueErrorType.Object,
  ValueErrorType.String, ValueErrorType.Tuple, ValueErrorType.Union, ValueErrorType.Not
])

function toIssues (errors: Iterable<ValueError>): Issue[] {
  const issues: Issue[] = []
  for (const error of errors) {
    for (const { path, message, type, schema } of explainUnion(error, MAX_ISSUES)) {
      // One absent property is told of once, not also as a value of the wrong type.
      if (issues.some((issue) => issue.path === path)) continue
      const text = type === ValueErrorType.Not && 'not' in schema ? 'Expected a value that JSON has' : message
      issues.push({ path, message: text, ...(TYPE_ERRORS.has(type) ? { isType: true } : {}) })
      if (issues.length === MAX_ISSUES) return issues
    }
  }
  return issues
}
