import type { Static, TSchema } from '@sinclair/typebox'
import type { FastifySchema, FastifyTypeProvider } from 'fastify'
import type { kEventContract, TypedEvent } from '../lib/schema/events.js'
import type { Source, StreamHandle, UntypedEvent } from '../lib/stream/types.js'
import type { RouteStreamOptions, SSEApi } from '../lib/plugin/types.js'

/** What a route may send: the union of its `schema.events`, or anything when it declares none. */
export type RouteEvent<Schema extends FastifySchema, Provider extends FastifyTypeProvider> =
  Schema['events'] extends infer D
    ? unknown extends D
      ? UntypedEvent
      : D extends { readonly [kEventContract]: true, readonly schemas: infer M }
        ? ProvidedEvent<M, Provider>
        : ProvidedEvent<D, Provider>
    : never

type ProvidedEvent<M, Provider extends FastifyTypeProvider> = {
  [K in keyof M & string]: TypedEvent<K, ProvidedData<M[K], Provider>>
}[keyof M & string]

/** What the route's type provider makes of a schema, else what TypeBox does. */
type ProvidedData<S, Provider extends FastifyTypeProvider> = (Provider & { schema: S })['serializer'] extends infer Data
  ? unknown extends Data
    ? S extends TSchema ? Static<S> : unknown
    : Data
  : never

declare module 'fastify' {
  interface FastifySchema {
    /** What the route streams: a contract made with `defineEvents`, or a bare map of event type → schema. */
    events?: unknown
  }

  // The parameters' names must be those of Fastify, in its order; constraints and defaults are taken from there.
  interface FastifyReply<
    RouteGeneric, RawServer, RawRequest, RawReply, ContextConfig, SchemaCompiler, TypeProvider, ReplyType
  > {
    sse (): StreamHandle<RouteEvent<SchemaCompiler, TypeProvider>>
    sse (source: Source<RouteEvent<SchemaCompiler, TypeProvider>>): Promise<void>
  }

  interface RouteShorthandOptions {
    /** How this route streams. Members left out take the plugin's defaults. */
    sse?: RouteStreamOptions
  }

  interface FastifyInstance {
    /** Helpers for producers, and what concerns all open streams. */
    sse: SSEApi
  }
}
