import { Type } from '@sinclair/typebox'
import { defineEvents, text, type EventContract, type EventFields, type EventMaker, type EventOf, type TypedEvent } from '../lib/schema/events.js'
import { Orders, created, expect, orders, typed, type Equal, type Order } from './support.tst.js'

// The events of a contract are a union discriminated by `event`, and those of its bare map the same one.

expect<Equal<Order['event'], 'created' | 'removed' | 'count' | 'closing'>>()
expect<Equal<Order, EventOf<typeof orders>>>()
expect<Equal<Extract<Order, { event: 'count' }>, TypedEvent<'count', number>>>()
expect<Equal<Extract<Order, { event: 'closing' }>, TypedEvent<'closing', null>>>()

const event = typed<Order>()
if (event.event === 'removed') expect<Equal<typeof event.data, { id: number }>>()
expect<Equal<typeof event.id, string | number | undefined>>()
expect<Equal<typeof event.retry, number | undefined>>()

// @ts-expect-error the event type is not declared
export const undeclared: Order = { event: 'moved', data: null }
// @ts-expect-error an event carries data
export const empty: Order = { event: 'removed' }

// `make` has a function for each event type.

expect<Equal<keyof typeof Orders.make, 'created' | 'removed' | 'count' | 'closing'>>()
expect<Equal<typeof Orders.make.count, (data: number, fields?: EventFields) => TypedEvent<'count', number>>>()
const made = Orders.make.removed({ id: 1 })
expect<Equal<typeof made, TypedEvent<'removed', { id: number }>>>()
Orders.make.removed({ id: 1 }, { id: 0, retry: 10 })
Orders.make.removed({ id: 1 }, { id: undefined })
Orders.make.created({ ...created, lines: [] })
Orders.make.closing()
Orders.make.closing(null)
Orders.make.closing(null, { id: '' })

// @ts-expect-error the event type is not declared
Orders.make.moved({ id: 1 })
// @ts-expect-error the wrong data
Orders.make.removed({ id: '1' })
// @ts-expect-error the data of another event
Orders.make.removed(1)
// @ts-expect-error a property is missing
Orders.make.removed({})
// @ts-expect-error a property is not declared
Orders.make.removed({ id: 1, reason: 'x' })
// @ts-expect-error a property inside is not declared
Orders.make.created({ ...created, lines: [{ sku: 'a', count: 1, price: 2 }] })
// @ts-expect-error only data that is always null may be left out
Orders.make.removed()
// @ts-expect-error only data that is always null may be left out
Orders.make.count()
// @ts-expect-error the field is not one of an event
Orders.make.closing(null, { ids: 1 })
// @ts-expect-error an ID is a string or a number
Orders.make.closing(null, { id: true })

// Data that may be null, or anything, is not left out.

expect<Equal<EventMaker<'x', any>, (data: any, fields?: EventFields) => TypedEvent<'x', any>>>()
expect<Equal<EventMaker<'x', string | null>, (data: string | null, fields?: EventFields) => TypedEvent<'x', string | null>>>()

// A contract keeps what each schema is.

const Clock = defineEvents({ tick: Type.Object({ now: Type.String() }), note: text({ maxLength: 10 }) })
const now = Clock.schemas.tick.properties.now.type
expect<Equal<typeof now, 'string'>>()
expect<Equal<EventOf<typeof Clock>, TypedEvent<'tick', { now: string }> | TypedEvent<'note', string>>>()

// Contracts are composed of their schemas.

const Both = defineEvents({ ...Clock.schemas, closing: Orders.schemas.closing })
expect<Equal<EventOf<typeof Both>['event'], 'tick' | 'note' | 'closing'>>()

// Events may be called like the members of a contract.

const odd = { schemas: Type.String(), make: Type.Integer() }
expect<Equal<EventOf<typeof odd>, TypedEvent<'schemas', string> | TypedEvent<'make', number>>>()
expect<Equal<EventOf<EventContract<typeof odd>>, EventOf<typeof odd>>>()

// @ts-expect-error a schema is not a string
defineEvents({ tick: 'string' })
// @ts-expect-error a contract cannot be changed
Clock.schemas.tick = Type.String()
