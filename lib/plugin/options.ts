import { show, SSEError } from '../errors.js'
import { callback, checkObject, checkOptions, integer, invalid, milliseconds, oneOf, unknownOption, type Check } from '../option-checks.js'
import type { SwaggerSettings } from './swagger.js'
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
  const options = checkOptions(given, defaults, CHECKS, where)
  if (options !== defaults) checkConflicts(options, given as object, where)
  return options
}

/**
 * Splits the plugin's options into the defaults of routes and the limits, both checked.
 *
 * @throws FST_SSE_OPTION_UNKNOWN, FST_SSE_OPTION_INVALID, FST_SSE_OPTIONS_CONFLICT
 */
export function resolvePluginOptions (given: SSEPluginOptions): { defaults: ResolvedOptions, total: number, perKey: number, swagger: SwaggerSettings } {
  // Fastify itself puts these three among a plugin's options.
  const { limits, openapi, prefix, logLevel, logSerializers, ...routeOptions } = given as SSEPluginOptions & Record<string, unknown>
  const unknown = Object.keys(routeOptions).find((option) => !Object.hasOwn(CHECKS, option))
  if (unknown !== undefined) throw unknownOption('options', unknown, [...Object.keys(CHECKS), 'limits', 'openapi'])
  const defaults = resolveOptions(routeOptions, DEFAULTS, 'options')
  const checked = { total: Infinity, perKey: Infinity }
  if (limits !== undefined) {
    checkObject('options.limits', limits)
    for (const [option, value] of Object.entries(limits)) {
      if (option !== 'total' && option !== 'perKey') throw unknownOption('options.limits', option, ['total', 'perKey'])
      if (value === undefined) continue
      integer(1)(`options.limits.${option}`, value)
      checked[option] = value
    }
  }
  return { defaults, ...checked, swagger: resolveSwagger(openapi) }
}

function resolveSwagger (given: SSEPluginOptions['openapi']): SwaggerSettings {
  const defaults: { dialect: 'event' | 'payload', decorator: string | readonly string[] } = { dialect: 'event', decorator: 'swagger' }
  const { dialect, decorator } = checkOptions(given, defaults, { dialect: oneOf('event', 'payload'), decorator: names }, 'options.openapi')
  return { dialect, decorators: [decorator].flat() }
}

function names (option: string, value: unknown): void {
  const given: unknown[] = [value].flat()
  if (given.length === 0 || !given.every((name) => typeof name === 'string' && name !== '')) throw invalid(option, value, 'a name, or an array of names')
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
