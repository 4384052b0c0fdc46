import { nearest, show, SSEError } from '../errors.js'
import { encodeEvent, encodeHead, encodeLineEvent } from '../wire/encode.js'
import { isReservedEventType } from '../wire/frame.js'
import type { CompiledEvent } from './compile.js'

/**
 * What happens to an event that is undeclared or fails its schema.
 *
 * - `'throw'`: it is not sent, and the stream ends with a fault
 * - `'drop'`: it is not sent and a warning is logged; the stream goes on
 * - `'report'`: it is sent all the same and a warning is logged
 * - `'off'`: nothing is checked
 */
export type Validation = 'throw' | 'drop' | 'report' | 'off'

/** Told of an event that was dropped or sent in spite of what is wrong with it. */
export type InvalidEventReport = (error: SSEError) => void

interface Entry extends CompiledEvent {
  readonly head: string
}

/**
 * Makes frames of the events of one route. Built once, when the route's schemas are compiled.
 */
export class EventEncoder {
  /** null for a route that declares no events: anything that JSON can hold may be sent. */
  readonly #entries: Map<string, Entry> | null
  readonly #validation: Validation

  constructor (events: Map<string, CompiledEvent> | null, validation: Validation) {
    this.#validation = validation
    this.#entries = null
    if (events !== null) {
      this.#entries = new Map()
      for (const [type, event] of events) {
        const { isText, check, explain, stringify } = event
        this.#entries.set(type, {
          type,
          isText,
          check: check.bind(event),
          explain: explain.bind(event),
          stringify: stringify.bind(event),
          head: encodeHead(type)
        })
      }
    }
  }

  /**
   * The frame of one event, or `''` for one that is dropped.
   *
   * The event is only read, never changed.
   *
   * @param report called with the error for an event that is dropped (`'drop'`) or sent all the same (`'report'`)
   * @throws FST_SSE_EVENT_MALFORMED for something that has not the shape of an event
   * @throws FST_SSE_EVENT_UNDECLARED, FST_SSE_EVENT_INVALID with `'throw'`
   * @throws FST_SSE_FIELD_FORBIDDEN for an ID, a reconnection time or an event type that would break the wire
   * @throws FST_SSE_SERIALIZATION_FAILED when no text can be made of the data
   */
  encode (event: unknown, report: InvalidEventReport): string {
    if (this.#validation !== 'drop') return this.#encode(event, report)
    try {
      return this.#encode(event, report)
    } catch (error) {
      if (!(error instanceof SSEError)) throw error
      report(error)
      return ''
    }
  }

  #encode (event: unknown, report: InvalidEventReport): string {
    if (typeof event !== 'object' || event === null) throw malformed(event)
    const { event: type, data, id, retry } = event as { event?: unknown, data?: unknown, id?: string, retry?: number }
    if (this.#entries === null) return this.#encodeUntyped(event)
    const entry = this.#entries.get(type as string)
    if (entry === undefined) {
      const error = undeclared(event, type, this.#entries)
      if (this.#validation === 'throw' || this.#validation === 'drop' || typeof type !== 'string') throw error
      const frame = this.#encodeUntyped(event)
      if (this.#validation === 'report') report(error)
      return frame
    }
    if (this.#validation !== 'off' && !entry.check(data)) {
      const error = invalid(entry, data)
      if (this.#validation !== 'report') throw error
      const frame = encodeText(entry, stringifyInvalid(entry, data), id, retry)
      report(error)
      return frame
    }
    let text: string
    try {
      text = entry.stringify(data)
    } catch (error) {
      throw notSerializable(type as string, error)
    }
    return encodeText(entry, text, id, retry)
  }

  #encodeUntyped (event: object): string {
    const { event: type, data, id, retry } = event as { event?: unknown, data?: unknown, id?: string, retry?: number }
    if (type !== undefined && typeof type !== 'string') throw malformed(event)
    if (type !== undefined && isReservedEventType(type)) {
      throw new SSEError('FST_SSE_EVENT_TYPE_RESERVED',
        `The event type ${show(type)} is reserved: \`error\` and \`open\` are EventSource's own, \`sse.\` is this package's. Choose another name.`,
        { eventType: type })
    }
    return encodeLineEvent(encodeHead(type), toJSON(event, type, data), id, retry)
  }
}

function toJSON (event: unknown, type: string | undefined, data: unknown): string {
  let text: string | undefined
  try {
    text = JSON.stringify(data)
  } catch (error) {
    throw notSerializable(type, error)
  }
  if (text === undefined) throw malformed(event)
  return text
}

function encodeText (entry: Entry, text: string, id: string | undefined, retry: number | undefined): string {
  return entry.isText ? encodeEvent(entry.head, text, id, retry) : encodeLineEvent(entry.head, text, id, retry)
}

/** A serializer may refuse what its schema forbids; what is reported is to be sent all the same. */
function stringifyInvalid (entry: Entry, data: unknown): string {
  try {
    const text = entry.stringify(data)
    if (typeof text === 'string') return text
  } catch {}
  return toJSON({ event: entry.type, data }, entry.type, data)
}

/** @param hint a sentence on what to do */
function malformed (found: unknown, hint = hintFor(found)): SSEError {
  return new SSEError('FST_SSE_EVENT_MALFORMED', `An event is an object { event, data, id?, retry? }, but the source gave ${shapeOf(found)}. ${hint}`, { found: shapeOf(found) })
}

/** What kind of value it is, without its content: errors are logged, and the first one may reach the client. */
function shapeOf (value: unknown): string {
  if (value === null || value === undefined) return String(value)
  if (Array.isArray(value)) return 'an array'
  if (typeof value !== 'object') return `a ${typeof value}`
  const keys = Object.keys(value)
  return keys.length === 0 ? 'an object without properties' : `an object with ${keys.slice(0, 8).join(', ')}`
}

function hintFor (found: unknown): string {
  if (typeof found === 'string') return 'To send a text, give { data: text }.'
  if (typeof found !== 'object' || found === null || Array.isArray(found)) return 'Give that.'
  const { event, data } = found as { event?: unknown, data?: unknown }
  if (event !== undefined && typeof event !== 'string') return `Its \`event\` must be a string, but is ${shapeOf(event)}.`
  if (data === undefined) return 'It has no `data`: give null for an event without any.'
  return `Its \`data\` is ${shapeOf(data)}, of which no JSON can be made.`
}

function undeclared (event: object, type: unknown, entries: Map<string, Entry>): SSEError {
  const declared = [...entries.keys()]
  if (typeof type !== 'string') {
    return malformed(event, `Its \`event\` is ${shapeOf(type)}: give one of ${declared.map(show).join(', ')}.`)
  }
  const near = nearest(type, declared)
  return new SSEError('FST_SSE_EVENT_UNDECLARED',
    `The event type ${show(type)} is not declared. ` +
    (near === undefined
      ? `Declare it in defineEvents; this route declares ${declared.map(show).join(', ') || 'none'}.`
      : `Did you mean ${show(near)}? Else declare it in defineEvents.`),
    { eventType: type, declared })
}

function invalid (entry: Entry, data: unknown): SSEError {
  const issues = entry.explain(data)
  const first = issues[0]
  const where = first === undefined ? '' : ` at ${first.path === '' ? 'the data itself' : first.path}: ${first.message}`
  return new SSEError('FST_SSE_EVENT_INVALID',
    `The data of event ${show(entry.type)} does not match its schema${where}. Mend the source, or the schema.`,
    { eventType: entry.type, issues })
}

function notSerializable (type: string | undefined, cause: unknown): SSEError {
  const name = type === undefined ? 'an event' : `event ${show(type)}`
  const reason = cause instanceof Error ? cause.message.split('\n', 1)[0] : show(cause)
  return new SSEError('FST_SSE_SERIALIZATION_FAILED',
    `No JSON can be made of the data of ${name}: ${reason}. Give plain data: no cycles, no BigInt.`, { eventType: type }, cause)
}
