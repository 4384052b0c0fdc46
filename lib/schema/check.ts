import { FormatRegistry } from '@sinclair/typebox'
import { Ajv2019, type ValidateFunction } from 'ajv/dist/2019.js'
import { fullFormats } from 'ajv-formats/dist/formats.js'
import type { Bundle, Schema } from './bundle.js'
import { toRegExp, type CompileTest } from './declared.js'
import { isNumberFormat } from './formats.js'

/** What is wrong with one part of an event's data. */
export interface EventIssue {
  /** JSON pointer into the data; `''` for all of it. */
  path: string
  /** What was expected, and what was found. Holds names of properties at most, no values. */
  message: string
}

/** An issue on the way out: where the JSON type is wrong, what was found is told too. */
export interface Issue extends EventIssue { isType?: boolean }

/** A compiled schema. `check` has no coercion, no defaults and no mutation. */
export interface Checker {
  check (data: unknown): boolean
  explain (data: unknown): Issue[]
}

/** How many issues are told of at most. */
export const MAX_ISSUES = 5

/** Made when needed. The one for schemas that name `constructor` and the like looks at own properties alone, and is slower. */
const ajvs: { usual?: Ajv2019, careful?: Ajv2019 } = {}
let keys = 0

/**
 * Compiles a bundle with a strict Ajv.
 *
 * One Ajv serves all: a bundle refers to nothing outside itself. Nothing of it stays in that Ajv.
 */
export function compileAjv (bundle: Bundle): Checker {
  return withBundle(bundle, (compile) => {
    const validate = compile('')
    return {
      check: (data) => validate(data),
      explain: (data) => validate(data) ? [] : toIssues(validate)
    }
  })
}

/**
 * Compiles what tells which branches of a bundle a value matches.
 *
 * @param use is given the compiler of tests, which is good for as long as it runs
 */
export function withTests<T> (bundle: Bundle, use: (compileTest: CompileTest) => T): T {
  return withBundle(bundle, (compile) => use((index) => {
    const validate = compile(`#/$defs/${index}`)
    return (value) => validate(value)
  }))
}

function withBundle<T> (bundle: Bundle, use: (compile: (pointer: string) => ValidateFunction) => T): T {
  const schemas = [bundle.root, ...bundle.defs]
  const ajv = schemas.some(namesInherited) ? ajvs.careful ??= makeAjv(true) : ajvs.usual ??= makeAjv(false)
  const key = `event${keys++}`
  for (const schema of schemas) addFormats(ajv, schema)
  ajv.addSchema({ ...bundle.root, $defs: Object.fromEntries(bundle.defs.entries()) }, key)
  try {
    return use((pointer) => ajv.getSchema(key + pointer)!)
  } finally {
    ajv.removeSchema(key)
  }
}

function makeAjv (ownProperties: boolean): Ajv2019 {
  return new Ajv2019({
    ownProperties,
    // The bundle has keywords of JSON Schema alone, and ./json-schema.ts has looked at them.
    strict: false,
    strictNumbers: true,
    meta: false,
    validateSchema: false,
    logger: false,
    code: { regExp: Object.assign(toRegExp, { code: 'toRegExp' }) }
  })
}

/** Whether a schema speaks of a property that every object inherits. */
function namesInherited (schema: unknown): boolean {
  if (typeof schema !== 'object' || schema === null) return false
  return Object.entries(schema).some(([name, value]) => name in Object.prototype || (typeof value === 'string' && value in Object.prototype) || namesInherited(value))
}

/** Formats are looked up in TypeBox's registry on each use, so that both engines agree, also on an application's own. */
function addFormats (ajv: Ajv2019, schema: unknown): void {
  if (typeof schema !== 'object' || schema === null) return
  for (const [keyword, value] of Object.entries(schema)) {
    if (keyword === 'format' && typeof value === 'string' && !(value in ajv.formats)) {
      if (isNumberFormat(value)) ajv.addFormat(value, fullFormats[value as 'int32'])
      else ajv.addFormat(value, (text: string) => FormatRegistry.Get(value)?.(text) ?? false)
    } else if (keyword !== 'enum' && keyword !== 'const') addFormats(ajv, value as Schema)
  }
}

function toIssues (validate: ValidateFunction): Issue[] {
  // The last error is that of the outermost keyword: of a union, not of its first branch.
  return (validate.errors ?? []).toReversed().slice(0, MAX_ISSUES).map((error) => {
    const { additionalProperty, allowedValues, allowedValue } = error.params as Record<string, unknown>
    const detail = additionalProperty !== undefined
      ? `: ${JSON.stringify(additionalProperty)}`
      : allowedValues !== undefined || allowedValue !== undefined ? `: ${JSON.stringify(allowedValues ?? allowedValue)}` : ''
    const issue = { path: error.instancePath, message: (error.message ?? `fails ${error.keyword}`) + detail }
    return error.keyword === 'type' ? { ...issue, isType: true } : issue
  })
}
