import { FormatRegistry } from '@sinclair/typebox'
import { Ajv2019, type ValidateFunction } from 'ajv/dist/2019.js'
import { fullFormats } from 'ajv-formats/dist/formats.js'
import type { Bundle, Schema } from './bundle.js'
import { toRegExp, type TestDefinition } from './declared.js'
import { isNumberFormat } from './formats.js'

/** What is wrong with one part of an event's data. */
export interface EventIssue {
  /** JSON pointer into the data; `''` for all of it. */
  path: string
  /** What was expected, and what was found. Never contains data. */
  message: string
}

/** A compiled schema. `check` has no coercion, no defaults and no mutation. */
export interface Checker {
  check (data: unknown): boolean
  explain (data: unknown): EventIssue[]
  /** Whether a value matches one of the bundle's `$defs`. */
  test: TestDefinition
}

/** How many issues are told of at most. */
export const MAX_ISSUES = 5

let ajv: Ajv2019 | undefined
let keys = 0

/**
 * Compiles a bundle with a strict Ajv.
 *
 * One Ajv serves all: a bundle refers to nothing outside itself. Nothing stays in it after the compilation.
 */
export function compileAjv (bundle: Bundle): Checker {
  ajv ??= makeAjv()
  const key = `event${keys++}`
  const definitions: Array<ValidateFunction | undefined> = []
  for (const schema of [bundle.root, ...bundle.defs]) addFormats(ajv, schema)
  ajv.addSchema({ ...bundle.root, $defs: Object.fromEntries(bundle.defs.entries()) }, key)
  try {
    const validate = ajv.getSchema(key)!
    bundle.defs.forEach((_, index) => { definitions[index] = ajv!.getSchema(`${key}#/$defs/${index}`) })
    return {
      check: (data) => validate(data) as boolean,
      explain: (data) => validate(data) ? [] : toIssues(validate),
      test: (index, value) => definitions[index]?.(value) as boolean
    }
  } finally {
    ajv.removeSchema(key)
  }
}

function makeAjv (): Ajv2019 {
  return new Ajv2019({
    // The bundle has keywords of JSON Schema alone, and ./json-schema.ts has looked at them.
    strict: false,
    strictNumbers: true,
    meta: false,
    validateSchema: false,
    logger: false,
    code: { regExp: Object.assign(toRegExp, { code: 'toRegExp' }) }
  })
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

function toIssues (validate: ValidateFunction): EventIssue[] {
  // The last error is that of the outermost keyword: of a union, not of its first branch.
  return (validate.errors ?? []).toReversed().slice(0, MAX_ISSUES).map((error) => {
    const { additionalProperty, allowedValues, allowedValue } = error.params as Record<string, unknown>
    const detail = additionalProperty !== undefined
      ? `: ${JSON.stringify(additionalProperty)}`
      : allowedValues !== undefined || allowedValue !== undefined ? `: ${JSON.stringify(allowedValues ?? allowedValue)}` : ''
    return { path: error.instancePath, message: (error.message ?? `fails ${error.keyword}`) + detail }
  })
}
