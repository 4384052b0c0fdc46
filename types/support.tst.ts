import { Type, type Static, type TSchema } from '@sinclair/typebox'
import Fastify, { type FastifyReply, type FastifyRequest, type FastifyTypeProvider } from 'fastify'
import { defineEvents, type EventOf } from '../lib/schema/events.js'
import './fastify.js'

/** True for two types that are the same, to the last `readonly` and `any`. */
export type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false

/** Compiles for `true` alone: as a type, and as a statement. */
export type Expect<T extends true> = T
export declare function expect<T extends true> (): T

/** A type that can be looked at and has no value. */
export declare function typed<T> (): T

/** What `@fastify/type-provider-typebox` exports. */
export interface TypeBoxTypeProvider extends FastifyTypeProvider {
  validator: this['schema'] extends TSchema ? Static<this['schema']> : unknown
  serializer: this['schema'] extends TSchema ? Static<this['schema']> : unknown
}

export const Orders = defineEvents({
  created: Type.Object({
    id: Type.Integer(),
    kind: Type.Union([Type.Literal('web'), Type.Literal('shop')]),
    note: Type.Optional(Type.String()),
    lines: Type.Array(Type.Object({ sku: Type.String(), count: Type.Integer() }))
  }),
  removed: Type.Object({ id: Type.Integer() }),
  count: Type.Number(),
  closing: Type.Null()
})

/** The same as a bare map. */
export const orders = Orders.schemas

export type Order = EventOf<typeof Orders>

export const created = { id: 1, kind: 'web', lines: [{ sku: 'a', count: 2 }] } as const

export const app = Fastify()

/** A hook as applications share it: typed for any route. */
export declare function authenticate (request: FastifyRequest, reply: FastifyReply): Promise<void>
