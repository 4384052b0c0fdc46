import { Type, type StringOptions, type TSchema, type TString } from '@sinclair/typebox'
import { SSEError, show } from '../errors.js'

/**
 * Marks a contract, so that a bare map whose events happen to be called `schemas` and `make` is never taken for one.
 *
 * From the global symbol registry: a contract made by another copy of this package is a contract too.
 */
export const kEventContract: unique symbol = Symbol.for('fastify-typed-sse.events')

/**
 * Keyword that marks a string schema whose data goes on the wire as it is instead of as JSON.
 *
 * The only value is `'text'`. Other tools ignore keywords they do not know.
 */
export const TEXT_KEYWORD = 'x-sse-data'

/**
 * A TypeBox schema, as far as types need one.
 *
 * TypeBox has its types twice, for ES modules and for CommonJS, and TypeScript takes the two for different. What this
 * asks for is the same in both.
 */
export interface EventSchema {
  params: unknown[]
  static: unknown
}

/** What a TypeBox schema describes; `unknown` for any other schema. */
export type StaticOf<S> = S extends EventSchema ? (S & { params: [] })['static'] : unknown

/** Event type → schema of its data. */
export type EventMap = Readonly<Record<string, EventSchema>>

/** The fields of an event beside its type and data. */
export interface EventFields {
  /** Becomes the client's last event ID. `0` and `''` are IDs like any other; the empty one resets it. No CR, LF or U+0000. */
  id?: string | number | undefined
  /** Reconnection time in milliseconds, from this event on. An integer of 0 or more. */
  retry?: number | undefined
}

/** One event: its type, its data, and optionally an ID and a reconnection time. */
export interface TypedEvent<Name extends string, Data> extends EventFields {
  /** The event type: what the client dispatches on. */
  event: Name
  /** What the schema of this event type describes. */
  data: Data
}

/** Makes an event of one type. Data that can only be `null` may be left out. */
export type EventMaker<Name extends string, Data> = IsNull<Data> extends true
  ? (data?: null, fields?: EventFields) => TypedEvent<Name, Data>
  : (data: Data, fields?: EventFields) => TypedEvent<Name, Data>

/**
 * A declaration of events that server, client, documents and tests share. Made by {@link defineEvents}.
 *
 * Without a type argument it is any contract.
 */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- `EventMap` would be the contract that no other is assignable to
export interface EventContract<M extends EventMap = any> {
  readonly [kEventContract]: true
  /** Event type → schema. Frozen, without a prototype. Spread it to compose: `defineEvents({ ...A.schemas, ...B.schemas })`. */
  readonly schemas: Readonly<M>
  /** Event type → function that makes an event of it. Frozen, without a prototype. */
  readonly make: { readonly [K in keyof M & string]: EventMaker<K, StaticOf<M[K]>> }
}

/**
 * The events of a contract (`EventOf<typeof Clock>`) or of a bare map: a union discriminated by `event`.
 */
export type EventOf<D> = D extends { readonly [kEventContract]: true, readonly schemas: infer M }
  ? EventOfMap<M>
  : EventOfMap<D>

type EventOfMap<M> = { [K in keyof M & string]: TypedEvent<K, StaticOf<M[K]>> }[keyof M & string]

// `any` is assignable to null as well, and must not make data optional.
type IsNull<T> = 0 extends 1 & T ? false : [T] extends [null] ? true : false

/**
 * Declares the events of a stream, once, for the handler's types, the run-time check, the documents and the client.
 *
 * ```ts
 * const Clock = defineEvents({ tick: Type.Object({ now: Type.String() }), closing: Type.Null() })
 * Clock.make.tick({ now: '…' }, { id: 7 })       // { event: 'tick', data: { now: '…' }, id: 7 }
 * ```
 *
 * @param map event type → schema of its data. An event type is not empty and has no CR or LF. `error` and `open` are what
 * an `EventSource` dispatches by itself, and `sse.*` belongs to this package: these are reserved.
 * @throws FST_SSE_EVENT_TYPE_INVALID for an event type that cannot stand on the wire
 * @throws FST_SSE_EVENT_TYPE_RESERVED for a reserved one
 * @throws FST_SSE_SCHEMA_INVALID for a map or a schema that is not an object
 */
export function defineEvents<const M extends EventMap> (map: M): EventContract<M> {
  const schemas = checkedMap(map)
  // Without a prototype, events may be called `constructor` or `__proto__`.
  const make: Record<string, unknown> = Object.create(null)
  for (const event of Object.keys(schemas)) {
    make[event] = (data: unknown = null, fields?: EventFields) => {
      const made: TypedEvent<string, unknown> = { event, data }
      if (fields?.id !== undefined) made.id = fields.id
      if (fields?.retry !== undefined) made.retry = fields.retry
      return made
    }
  }
  return Object.freeze({
    [kEventContract]: true,
    schemas,
    make: Object.freeze(make)
  }) as unknown as EventContract<M>
}

/**
 * A schema for text that is sent raw: one `data` line for each of its lines, and no quotes around it.
 *
 * Its static type is `string`. Line ends of all kinds (CR, LF, CRLF) reach the client as LF.
 */
export function text (options?: StringOptions): TString {
  return Type.String({ ...options, [TEXT_KEYWORD]: 'text' })
}

/** Whether a schema was made with {@link text}. */
export function isText (schema: unknown): boolean {
  return typeof schema === 'object' && schema !== null && (schema as Record<string, unknown>)[TEXT_KEYWORD] === 'text'
}

/** Whether a value was made with {@link defineEvents}. */
export function isEventContract (value: unknown): value is EventContract {
  return typeof value === 'object' && value !== null && (value as Record<symbol, unknown>)[kEventContract] === true
}

/**
 * The checked map of what stands in a route's `schema.events`: a contract, or a bare map.
 *
 * Frozen and without a prototype, so that a look-up by event type finds declared events and nothing else.
 *
 * @throws what {@link defineEvents} throws
 */
export function resolveEvents (declaration: unknown): Readonly<Record<string, TSchema>> {
  return isEventContract(declaration) ? declaration.schemas : checkedMap(declaration)
}

function checkedMap (map: unknown): Readonly<Record<string, TSchema>> {
  if (!isObject(map)) {
    throw new SSEError('FST_SSE_SCHEMA_INVALID', `The events are ${show(map)}. Declare an object: event type → schema of its data.`, { value: map })
  }
  if (isSchema(map)) {
    throw new SSEError('FST_SSE_SCHEMA_INVALID', 'The events are one schema. Declare an object: event type → schema of its data.', { value: map })
  }
  const checked: Record<string, TSchema> = Object.create(null)
  for (const [eventType, schema] of Object.entries(map)) {
    checkEventType(eventType)
    if (!isObject(schema)) {
      throw new SSEError('FST_SSE_SCHEMA_INVALID', `The schema of event ${show(eventType)} is ${show(schema)}. Give it a TypeBox schema, Type.Null() for an event without data.`, { eventType, value: schema })
    }
    if (isEventContract(schema)) {
      throw new SSEError('FST_SSE_SCHEMA_INVALID', `The schema of event ${show(eventType)} is a contract. To compose contracts, spread their schemas: defineEvents({ ...contract.schemas }).`, { eventType, value: schema })
    }
    checked[eventType] = schema as unknown as TSchema
  }
  return Object.freeze(checked)
}

function checkEventType (eventType: string): void {
  if (eventType === '') {
    throw new SSEError('FST_SSE_EVENT_TYPE_INVALID', 'An event type is empty. Give it a name; a client receives an event without one as "message".', { eventType })
  }
  if (/[\r\n]/.test(eventType)) {
    throw new SSEError('FST_SSE_EVENT_TYPE_INVALID', `The event type ${show(eventType)} contains a line end, which would end its field on the wire. Use one line.`, { eventType })
  }
  if (eventType === 'error' || eventType === 'open') {
    throw new SSEError('FST_SSE_EVENT_TYPE_RESERVED', `The event type ${show(eventType)} is reserved: an EventSource dispatches its own. Choose another name.`, { eventType })
  }
  if (eventType.startsWith('sse.')) {
    throw new SSEError('FST_SSE_EVENT_TYPE_RESERVED', `The event type ${show(eventType)} is reserved: names that start with "sse." belong to fastify-typed-sse. Choose another name.`, { eventType })
  }
}

function isObject (value: unknown): value is Record<PropertyKey, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Whether a map is one schema by mistake: of TypeBox, of Standard Schema, or of JSON Schema. */
function isSchema (map: Record<PropertyKey, unknown>): boolean {
  return '~standard' in map || typeof map['type'] === 'string' || typeof map['$ref'] === 'string' ||
    Object.getOwnPropertySymbols(map).some((symbol) => symbol.description === 'TypeBox.Kind')
}
