import { nearest, show, SSEError } from './errors.js'
import { MAX_DELAY_MS } from './time/delay.js'

/** Refuses a value that an option cannot have. `option` is its name with what it belongs to, for the message. */
export type Check = (option: string, value: unknown) => void

/**
 * Options with what is absent taken from `defaults`.
 *
 * @param where for messages: whose options they are
 * @throws FST_SSE_OPTION_UNKNOWN, FST_SSE_OPTION_INVALID
 */
export function checkOptions<T extends object> (given: unknown, defaults: T, checks: Readonly<Record<string, Check>>, where: string): T {
  if (given === undefined) return defaults
  checkObject(where, given)
  const resolved = { ...defaults } as Record<string, unknown>
  for (const [option, value] of Object.entries(given)) {
    const check = Object.hasOwn(checks, option) ? checks[option] : undefined
    if (check === undefined) throw unknownOption(where, option, Object.keys(checks))
    if (value === undefined) continue
    check(`${where}.${option}`, value)
    resolved[option] = value
  }
  return resolved as T
}

export function checkObject (where: string, given: unknown): asserts given is object {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) throw invalid(where, given, 'an object of options')
}

export function integer (min: number, max: number = Number.MAX_SAFE_INTEGER): Check {
  const range = max === Number.MAX_SAFE_INTEGER ? `an integer of ${min} or more` : `an integer from ${min} to ${max}`
  return (option, value) => {
    if (!Number.isSafeInteger(value) || value as number < min || value as number > max) throw invalid(option, value, range)
  }
}

export function milliseconds (min: number, zero?: string): Check {
  const range = `an integer from ${min} to ${MAX_DELAY_MS} (milliseconds)${zero === undefined ? '' : `, or 0 ${zero}`}`
  return (option, value) => {
    if (zero !== undefined && value === 0) return
    if (!Number.isInteger(value) || value as number < min || value as number > MAX_DELAY_MS) throw invalid(option, value, range)
  }
}

export function oneOf (...values: readonly unknown[]): Check {
  return (option, value) => {
    if (!values.includes(value)) throw invalid(option, value, `one of ${values.map(show).join(', ')}`)
  }
}

export function callback (option: string, value: unknown): void {
  if (typeof value !== 'function') throw invalid(option, value, 'a function')
}

export function invalid (option: string, value: unknown, expected: string): SSEError {
  return new SSEError('FST_SSE_OPTION_INVALID', `${option} must be ${expected}, but is ${show(value)}.`, { option, value })
}

export function unknownOption (where: string, option: string, known: string[]): SSEError {
  const near = nearest(option, known)
  return new SSEError('FST_SSE_OPTION_UNKNOWN',
    `${where} has no option ${show(option)}. ` +
    (near === undefined ? `The options are ${known.join(', ')}.` : `Did you mean ${near}?`),
    { option: `${where}.${option}`, known })
}
