import { FormatRegistry } from '@sinclair/typebox'
import { fullFormats } from 'ajv-formats/dist/formats.js'

/** Formats of numbers. They mean nothing for a string, and TypeBox looks at the formats of strings alone. */
const NUMBER_FORMATS: ReadonlySet<string> = new Set(['int32', 'int64', 'float', 'double'])

/** Whether a format is one of numbers: `int32`, `int64`, `float`, `double`. */
export function isNumberFormat (name: string): boolean {
  return NUMBER_FORMATS.has(name)
}

/** Every format an event may use: those of ajv-formats, and those registered in TypeBox's `FormatRegistry`. */
export function knownFormats (): Set<string> {
  return new Set([...Object.keys(fullFormats), ...FormatRegistry.Entries().keys()])
}

/**
 * Registers the string formats of ajv-formats in TypeBox's `FormatRegistry`, where TypeBox and our Ajv both look them up.
 *
 * A format that is registered already stays as it is: the application's own wins. Not done on import: only the
 * compilation of an event changes the registry.
 */
export function registerFormats (): void {
  for (const [name, format] of Object.entries(fullFormats)) {
    if (NUMBER_FORMATS.has(name) || FormatRegistry.Has(name)) continue
    const test = toTest(format)
    FormatRegistry.Set(name, name === 'date-time' ? (value) => isUTCTimestamp(value) || test(value) : test)
  }
}

function toTest (format: (typeof fullFormats)[keyof typeof fullFormats]): (value: string) => boolean {
  const validate: unknown = typeof format === 'object' && 'validate' in format ? format.validate : format
  if (validate instanceof RegExp) return (value) => validate.test(value)
  if (typeof validate === 'function') return (value) => validate(value) === true
  return () => true
}

const UTC_TIMESTAMP = /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?Z$/

/** What `Date.prototype.toISOString` gives, but for days after the 28th: a tenth of the full definition's cost. */
function isUTCTimestamp (value: string): boolean {
  return UTC_TIMESTAMP.test(value)
}
