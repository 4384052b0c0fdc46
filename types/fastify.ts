import type { FastifySchema, FastifyTypeProvider, RouteGenericInterface } from 'fastify'
import type { GapEvent } from '../lib/channel/gap.js'
import type { EventProblem, Unjudged } from '../lib/schema/event-problem.js'
import type { kEventContract, StaticOf, TypedEvent } from '../lib/schema/events.js'
import type { Source, SourceEvent, StreamHandle, UntypedEvent } from '../lib/stream/types.js'
import type { RouteStreamOptions, SSEApi } from '../lib/plugin/types.js'

/** What a route may send: the union of the events it declares, or anything when it declares none. */
export type RouteEvent<
  Schema extends FastifySchema,
  Provider extends FastifyTypeProvider,
  Route extends RouteGenericInterface = RouteGenericInterface
> = DeclaredEvent<unknown extends Route['Events'] ? Schema['events'] : Route['Events'], Provider>

type DeclaredEvent<D, Provider extends FastifyTypeProvider> = unknown extends D
  ? UntypedEvent
  : D extends { readonly [kEventContract]: true, readonly schemas: infer M }
    ? ProvidedEvent<M, Provider>
    : ProvidedEvent<D, Provider>

type ProvidedEvent<M, Provider extends FastifyTypeProvider> = {
  [K in keyof M & string]: TypedEvent<K, ProvidedData<M[K], Provider>>
}[keyof M & string]

/** What the route's type provider makes of a schema, else what TypeBox does. */
type ProvidedData<S, Provider extends FastifyTypeProvider> = (Provider & { schema: S })['serializer'] extends infer Data
  ? unknown extends Data ? StaticOf<S> : Data
  : never

/** Adds nothing to the type of a source whose events are right, and {@link Refused} to the type of another. */
type Judged<E, Ev> = [EventProblem<E, Ev>] extends [never]
  ? unknown
  // `& string` says nothing new, but makes the compiler show the sentences instead of the name of their type.
  : Refused<EventProblem<E, Ev> & string>

/** What no source is. The compiler shows its type argument: a sentence for each mistake. */
interface Refused<Sentence> {
  [kRefused]: Sentence
}

declare const kRefused: unique symbol

declare module 'fastify' {
  interface FastifySchema {
    /** What the route streams: a contract made with `defineEvents`, or a bare map of event type → schema. */
    events?: unknown
  }

  interface RouteGenericInterface {
    /**
     * What the route streams, for routes with explicit type arguments, where Fastify infers nothing from the schema:
     * `app.get<{ Params: …, Events: typeof Clock }>(url, { schema: { events: Clock } }, handler)`.
     */
    Events?: unknown
  }

  // The parameters' names must be those of Fastify, in its order; constraints and defaults are taken from there.
  interface FastifyReply<
    RouteGeneric, RawServer, RawRequest, RawReply, ContextConfig, SchemaCompiler, TypeProvider, ReplyType
  > {
    /**
     * Opens an event stream that events are pushed into.
     *
     * Wait for each `send`, and return the handle's `closed` from the handler.
     */
    sse (): StreamHandle<RouteEvent<SchemaCompiler, TypeProvider, RouteGeneric>>
    /**
     * Opens an event stream and sends what the source gives.
     *
     * @returns a promise to return from the handler or to wait for: resolves when the stream is over, never rejects
     */
    sse<S extends Source<Unjudged<RouteEvent<SchemaCompiler, TypeProvider, RouteGeneric>>>> (
      source: S & Judged<Exclude<SourceEvent<S>, GapEvent>, RouteEvent<SchemaCompiler, TypeProvider, RouteGeneric>>
    ): Promise<void>
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
