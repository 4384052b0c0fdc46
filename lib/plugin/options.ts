import { nearest, show, SSEError } from '../errors.js'
import { MAX_DELAY_MS } from '../stream/host.js'
import type { RouteStreamOptions, SSEPluginOptions } from './types.js'

/** The options of a route, all of them given. */
export type ResolvedOptions = Required<{ [K in keyof RouteStreamOptions]: Exclude<RouteStreamOptions[K], undefined> }> extends infer R
  ? Omit<R, 'expiresAt' | 'limitKey' | 'onDisconnect'> & Pick<RouteStreamOptions, 'expiresAt' | 'limitKey' | 'onDisconnect'>
  : never

export const DEFAULTS: ResolvedOptions = Object.freeze({
  heartbeatMs: 15_000,
  reconnectionTimeMs: 3_000,
  stallTimeoutMs: 30_000,
  maxAgeMs: 0,
  drain: 'reconnect',
  drainTimeoutMs: 5_000,
  validation: 'throw',
  accept: 'any',
  controlEvents: true
})

type Check = (option: string, value: unknown) => void

const CHECKS: { readonly [K in keyof Required<RouteStreamOptions>]: Check } = {
  heartbeatMs: milliseconds(1_000, 'for no heartbeats'),
  reconnectionTimeMs: milliseconds(10),
  stallTimeoutMs: milliseconds(100),
  maxAgeMs: milliseconds(100, 'for no limit'),
  drain: oneOf('reconnect', 'finish'),
  drainTimeoutMs: milliseconds(0),
  validation: oneOf('throw', 'drop', 'report', 'off'),
  accept: oneOf('any', 'strict'),
  controlEvents: oneOf(true, false),
  expiresAt: callback,
  limitKey: callback,
  onDisconnect: callback
}

/**
 * Checks the options of a route, or the route part of the plugin's options, and fills in what is absent.
 *
 * @param where for messages: whose options they are
 * @throws FST_SSE_OPTION_UNKNOWN, FST_SSE_OPTION_INVALID, FST_SSE_OPTIONS_CONFLICT
 */
export function resolveOptions (given: unknown, defaults: ResolvedOptions, where: string): ResolvedOptions {
  if (given === undefined) return defaults
  checkObject(where, given)
  const resolved: Record<string, unknown> = { ...defaults }
  for (const [option, value] of Object.entries(given)) {
    const check = Object.hasOwn(CHECKS, option) ? CHECKS[option as keyof RouteStreamOptions] : undefined
    if (check === undefined) throw unknownOption(where, option, Object.keys(CHECKS))
    if (value === undefined) continue
    check(`${where}.${option}`, value)
    resolved[option] = value
  }
  const options = resolved as unknown as ResolvedOptions
  checkConflicts(options, given, where)
  return options
}

/**
 * Splits the plugin's options into the defaults of routes and the limits, both checked.
 *
 * @throws FST_SSE_OPTION_UNKNOWN, FST_SSE_OPTION_INVALID, FST_SSE_OPTIONS_CONFLICT
 */
export function resolvePluginOptions (given: SSEPluginOptions): { defaults: ResolvedOptions, total: number, perKey: number } {
  // Fastify itself puts these three among a plugin's options.
  const { limits, prefix, logLevel, logSerializers, ...routeOptions } = given as SSEPluginOptions & Record<string, unknown>
  const unknown = Object.keys(routeOptions).find((option) => !Object.hasOwn(CHECKS, option))
  if (unknown !== undefined) throw unknownOption('options', unknown, [...Object.keys(CHECKS), 'limits'])
  const defaults = resolveOptions(routeOptions, DEFAULTS, 'options')
  const checked = { total: Infinity, perKey: Infinity }
  if (limits !== undefined) {
    checkObject('options.limits', limits)
    for (const [option, value] of Object.entries(limits)) {
      if (option !== 'total' && option !== 'perKey') throw unknownOption('options.limits', option, ['total', 'perKey'])
      if (value === undefined) continue
      if (!Number.isInteger(value) || value < 1) throw invalid(`options.limits.${option}`, value, 'an integer of 1 or more')
      checked[option] = value
    }
  }
  return { defaults, ...checked }
}

function checkConflicts (options: ResolvedOptions, given: object, where: string): void {
  const conflict = (a: keyof RouteStreamOptions, b: keyof RouteStreamOptions, hint: string): SSEError =>
    new SSEError('FST_SSE_OPTIONS_CONFLICT',
      `${where}.${a} (${show(options[a])}) and ${where}.${b} (${show(options[b])}) contradict each other. ${hint}`,
      { options: { [a]: options[a], [b]: options[b] } })
  if (options.maxAgeMs > 0 && options.heartbeatMs > options.maxAgeMs && 'heartbeatMs' in given) {
    throw conflict('heartbeatMs', 'maxAgeMs', 'No stream would live until its first heartbeat: lower heartbeatMs, set it to 0, or raise maxAgeMs.')
  }
  if (options.drain === 'finish' && options.drainTimeoutMs === 0) {
    throw conflict('drain', 'drainTimeoutMs', 'No stream could finish in no time: raise drainTimeoutMs, or let clients reconnect.')
  }
}

function checkObject (where: string, given: unknown): asserts given is object {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) throw invalid(where, given, 'an object of options')
}

function milliseconds (min: number, zero?: string): Check {
  const range = `an integer from ${min} to ${MAX_DELAY_MS} (milliseconds)${zero === undefined ? '' : `, or 0 ${zero}`}`
  return (option, value) => {
    if (zero !== undefined && value === 0) return
    if (!Number.isInteger(value) || value as number < min || value as number > MAX_DELAY_MS) throw invalid(option, value, range)
  }
}

function oneOf (...values: readonly unknown[]): Check {
  return (option, value) => {
    if (!values.includes(value)) throw invalid(option, value, `one of ${values.map(show).join(', ')}`)
  }
}

function callback (option: string, value: unknown): void {
  if (typeof value !== 'function') throw invalid(option, value, 'a function')
}

function invalid (option: string, value: unknown, expected: string): SSEError {
  return new SSEError('FST_SSE_OPTION_INVALID', `${option} must be ${expected}, but is ${show(value)}.`, { option, value })
}

function unknownOption (where: string, option: string, known: string[]): SSEError {
  const near = nearest(option, known)
  return new SSEError('FST_SSE_OPTION_UNKNOWN',
    `${where} has no option ${show(option)}. ` +
    (near === undefined ? `The options are ${known.join(', ')}.` : `Did you mean ${near}?`),
    { option: `${where}.${option}`, known })
}
