import type { FastifySerializerCompiler } from 'fastify/types/schema.js'
import { show, SSEError } from '../errors.js'
import { callback, checkOptions, integer, invalid, milliseconds, oneOf } from '../option-checks.js'
import { compileEvents } from '../schema/compile.js'
import { EventEncoder, type Validation } from '../schema/encoder.js'
import { isText, resolveEvents } from '../schema/events.js'
import { assertJSONSchema } from '../schema/json-schema.js'
import type { SharedTimer } from '../time/shared-timer.js'
import type { RingLimits } from './ring.js'
import type { ChannelOptions, ChannelStats, FamilyOptions, OnGap, Overrun, SubscribeOptions } from './types.js'

/** What channels need of the application that they are in. */
export interface ChannelEnvironment {
  readonly timer: SharedTimer
  /** The plugin's `validation`. */
  readonly validation: Validation
  /** The schemas that `$ref` may lead to. */
  getSchemas (): Record<string, unknown>
  getSerializerCompiler (): FastifySerializerCompiler<unknown> | undefined
  warn (error: unknown, message: string): void
}

const LIMITS: RingLimits = { events: 1024, bytes: 4 * 1024 * 1024, ageMs: 3_600_000 }

const LIMIT_CHECKS = {
  events: integer(1),
  bytes: integer(1024),
  ageMs: milliseconds(100, 'for no limit')
}

const checkOverrun = oneOf('disconnect', 'skip', 'latest')

const CHECKS = {
  backlog: () => {},
  overrun: checkOverrun,
  flushMs: integer(0, 60_000),
  validation: oneOf('throw', 'report', 'off'),
  onGap: callback,
  onJoin: callback,
  onLeave: callback
}

const FAMILY_CHECKS = { ...CHECKS, idleMs: milliseconds(100) }

/** Without an age limit, how long a channel without subscribers is kept. */
const IDLE_MS = 300_000

const SUBSCRIBE_CHECKS = {
  from: checkFrom,
  filter: callback,
  latestBy: callback,
  overrun: checkOverrun,
  onGap: callback,
  snapshot: callback,
  signal: checkSignal
}

function checkFrom (option: string, value: unknown): void {
  if (typeof value !== 'string') throw invalid(option, value, "'now', 'earliest' or an ID that the channel gave")
}

function checkSignal (option: string, value: unknown): void {
  if (!(value instanceof AbortSignal)) throw invalid(option, value, 'an AbortSignal')
}

/**
 * Checks the options of a subscription.
 *
 * @throws FST_SSE_OPTION_UNKNOWN, FST_SSE_OPTION_INVALID
 */
export function checkSubscribeOptions (given: unknown): SubscribeOptions {
  return checkOptions(given, {}, SUBSCRIBE_CHECKS, 'subscribe')
}

/**
 * What is the same for all channels of one declaration: of one channel, or of a family.
 */
export class ChannelDefinition {
  readonly name: string
  readonly environment: ChannelEnvironment
  /** Event type → schema. */
  readonly schemas: Readonly<Record<string, unknown>>
  readonly limits: RingLimits
  readonly overrun: Overrun
  readonly flushMs: number
  readonly idleMs: number
  readonly onGap: OnGap<unknown> | undefined
  readonly onJoin: ChannelOptions['onJoin']
  readonly onLeave: ChannelOptions['onLeave']
  /** What has been counted, less what is counted afresh each time. */
  readonly counted = {
    published: 0,
    refused: 0,
    delivered: 0,
    superseded: 0,
    gaps: {} as ChannelStats['gaps'],
    overruns: {} as ChannelStats['overruns'],
    left: {} as ChannelStats['left']
  }

  readonly #validation: Validation
  #encoder: EventEncoder | null = null
  /** Errors that were logged. */
  readonly #reported = new WeakSet<object>()
  /** Hooks that are running. */
  #hooks = 0
  readonly #report = (error: SSEError): void => this.environment.warn(error, `an invalid event was published to channel ${show(this.name)}`)

  /**
   * @throws FST_SSE_OPTION_UNKNOWN, FST_SSE_OPTION_INVALID for the options
   * @throws FST_SSE_EVENT_TYPE_INVALID, FST_SSE_EVENT_TYPE_RESERVED, FST_SSE_SCHEMA_INVALID for the events
   */
  constructor (environment: ChannelEnvironment, name: unknown, events: unknown, given: unknown, isFamily: boolean) {
    if (typeof name !== 'string' || name === '') throw invalid('The name of a channel', name, 'a string that is not empty')
    const where = `channel ${show(name)}`
    this.name = name
    this.environment = environment
    this.schemas = resolveEvents(events)
    for (const [eventType, schema] of Object.entries(this.schemas)) assertJSONSchema(eventType, schema)
    const options: FamilyOptions = checkOptions<FamilyOptions>(given, {}, isFamily ? FAMILY_CHECKS : CHECKS, where)
    this.limits = checkOptions<RingLimits>(options.backlog, LIMITS, LIMIT_CHECKS, `${where}.backlog`)
    this.overrun = options.overrun ?? 'disconnect'
    this.flushMs = options.flushMs ?? 0
    this.idleMs = options.idleMs ?? (this.limits.ageMs === 0 ? IDLE_MS : this.limits.ageMs)
    this.onGap = options.onGap
    this.onJoin = options.onJoin
    this.onLeave = options.onLeave
    const { validation } = environment
    this.#validation = options.validation ?? (validation === 'drop' ? 'throw' : validation)
  }

  /** Builds the checks and serializers; until then they are built with the first event. */
  compile (): EventEncoder {
    const { environment } = this
    const serializerCompiler = environment.getSerializerCompiler()
    this.#encoder ??= new EventEncoder(compileEvents(this.schemas, {
      schemas: environment.getSchemas(),
      ...(serializerCompiler === undefined ? {} : { serializerCompiler })
    }), this.#validation)
    return this.#encoder
  }

  /**
   * The frame of an event, without ID.
   *
   * @throws what {@link EventEncoder.encode} throws, and FST_SSE_FIELD_FORBIDDEN for an event that has an ID
   */
  encode (event: unknown): string {
    const encoder = this.#encoder ?? this.compile()
    if (typeof event === 'object' && event !== null && (event as { id?: unknown }).id !== undefined) {
      throw new SSEError('FST_SSE_FIELD_FORBIDDEN',
        `The event has the ID ${show((event as { id?: unknown }).id)}, and channel ${show(this.name)} gives each event its own. Leave \`id\` out.`,
        { field: 'id' })
    }
    return encoder.encode(event, this.#report)
  }

  /** Whether the data of an event type is text, and not JSON. */
  isText (eventType: string): boolean {
    return isText(this.schemas[eventType])
  }

  /** Runs a hook of the application; what it throws is logged. */
  runHook (name: string, hook: () => unknown): void {
    const failed = (error: unknown): void => {
      if (!this.#reported.has(error as object)) this.environment.warn(error, `${name} of channel ${show(this.name)} failed`)
    }
    this.#hooks++
    try {
      Promise.resolve(hook()).catch(failed)
    } catch (error) {
      failed(error)
    } finally {
      this.#hooks--
    }
  }

  /**
   * Logs that an event was not published, once: the hook that published it may pass the error on. A hook that tells those who are
   * still there of somebody who leaves does so also when all of them leave, since the channel is closed; that is no mistake.
   */
  reportRefusal (error: SSEError, title: string): void {
    this.#reported.add(error)
    if (this.#hooks > 0 && error.code === 'FST_SSE_LOG_CLOSED') return
    this.environment.warn(error, `an event was not published to channel ${title}`)
  }
}

/** Adds one to a count by name. */
export function count<Name extends string> (counts: Partial<Record<Name, number>>, name: Name): void {
  counts[name] = (counts[name] ?? 0) + 1
}
