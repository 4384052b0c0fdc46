import { nearest, show, SSEError } from '../errors.js'
import { defineEvents, isEventContract, type EventContract, type EventMap, type EventSchema, type StaticOf } from './events.js'

/** What {@link defineStream} takes. */
export interface StreamDeclaration {
  /**
   * HTTP method, in capitals.
   *
   * @defaultValue `'POST'` with a `body`, otherwise `'GET'`
   */
  readonly method?: string
  /** The route's URL as Fastify takes it, from the first slash on: `/orders/:id`. A prefix of the server is not in it. */
  readonly path: string
  /** TypeBox schema of an object with a property for each parameter of the path. Parameters are any text without it. */
  readonly params?: EventSchema
  /** TypeBox schema of an object with the parameters after the `?`. */
  readonly querystring?: EventSchema
  /** TypeBox schema of the request's body, which is JSON. */
  readonly body?: EventSchema
  /** What the stream sends: a contract made with `defineEvents`, or a bare map of event type → schema. */
  readonly events: EventMap | EventContract
}

/**
 * A stream as server and client share it: made by {@link defineStream}.
 *
 * The server takes `path` and `schema` (and `method`, with `app.route`), the client the whole: `connect(stream, { params })`.
 */
export interface StreamDefinition<D extends StreamDeclaration = StreamDeclaration> {
  /** HTTP method. */
  readonly method: MethodOf<D>
  /** The route's URL. */
  readonly path: D['path']
  /** What the stream sends, with `make` for the handler. */
  readonly events: ContractOf<D['events']>
  /** For Fastify: `app.get(stream.path, { schema: stream.schema }, …)`. */
  readonly schema: SchemaOf<D>
}

type MethodOf<D extends StreamDeclaration> = D extends { readonly method: infer Method extends string }
  ? Method
  : D extends { readonly body: EventSchema } ? 'POST' : 'GET'

type ContractOf<E> = E extends EventContract<infer M> ? EventContract<M> : E extends EventMap ? EventContract<E> : never

type SchemaOf<D extends StreamDeclaration> =
  { readonly [K in keyof D as K extends 'params' | 'querystring' | 'body' ? K : never]: D[K] } &
  { readonly events: ContractOf<D['events']> }

/** What a client gives for the path: what the schema says, and text or a number for each parameter that has no schema. */
export type ParamsOf<S> = S extends { readonly path: infer Path extends string }
  ? S extends { readonly schema: { readonly params: infer P extends EventSchema } }
    ? WithParams<StaticOf<P>, PathParams<Path>>
    : PathParams<Path>
  : {}

type WithParams<Declared, OfPath> = Exclude<keyof OfPath, keyof Declared> extends infer Others
  ? [Others] extends [never] ? Declared : string extends Others ? Declared : Flat<Declared & Pick<OfPath, Others & keyof OfPath>>
  : never

type Flat<T> = { [K in keyof T]: T[K] }

/** What a client gives after the `?`. */
export type QueryOf<S> = S extends { readonly schema: { readonly querystring: infer Q extends EventSchema } } ? StaticOf<Q> : QueryParams

/** What a client sends; never without a schema for it. */
export type BodyOf<S> = S extends { readonly schema: { readonly body: infer B extends EventSchema } } ? StaticOf<B> : never

/** Parameters after the `?`. Of an array each element is one; what is undefined or null is left out. */
export type QueryParams = Readonly<Record<string, QueryParam | readonly QueryParam[]>>
type QueryParam = string | number | boolean | bigint | null | undefined

type PathParam = string | number | boolean | bigint

type PathParams<Path extends string> = string extends Path
  ? Readonly<Record<string, PathParam>>
  : [Names<Path>] extends [never]
      // Not `{}`, which takes anything.
      ? Readonly<Record<string, never>>
      : Flat<{ readonly [Name in RequiredNames<Path>]: PathParam } & { readonly [Name in OptionalNames<Path>]?: PathParam | undefined }>

type RequiredNames<Path extends string> = Names<Path> extends infer Name ? Name extends `${string}?` ? never : Name & string : never
type OptionalNames<Path extends string> = Names<Path> extends infer Name ? Name extends `${infer Optional}?` ? Optional : never : never

// A double colon is a colon, and a group of a pattern that begins with (?: has no name.
type Names<Path extends string> = Path extends `${infer Head}(?:${infer Tail}`
  ? Names<`${Head}(${Tail}`>
  : Path extends `${infer Head}::${infer Tail}`
    ? Names<Head> | Names<Tail>
    : Path extends `${string}:${infer Tail}`
      ? NameAt<Tail> | Names<Tail>
      : Path extends `${string}*` ? '*' : never

/** The name that a path goes on with: up to what find-my-way ends a name at. */
type NameAt<Tail extends string> = Tail extends `${infer Name}/${string}`
  ? NameAt<Name>
  : Tail extends `${infer Name}(${string})?` ? `${Name}?`
    : Tail extends `${infer Name}(${string}` ? NameAt<Name>
      : Tail extends `${infer Name}-${string}` ? NameAt<Name>
        : Tail extends `${infer Name}.${string}` ? NameAt<Name>
          : Tail extends `${infer Name}:${string}` ? NameAt<Name>
            : Tail extends `${infer Name}*` ? NameAt<Name> : Tail

/** Nothing for members that a declaration does not have. */
type NoOther<D> = { readonly [K in Exclude<keyof D, keyof StreamDeclaration>]: never }

const MEMBERS = ['method', 'path', 'params', 'querystring', 'body', 'events']

/**
 * Declares a stream, its URL and what it takes included, once for both sides.
 *
 * ```ts
 * export const Order = defineStream({
 *   path: '/orders/:id',
 *   params: Type.Object({ id: Type.Integer() }),
 *   events: { shipped: Type.Object({ at: Type.String() }) }
 * })
 * app.get(Order.path, { schema: Order.schema }, (request, reply) => reply.sse(…))     // on the server
 * connect(Order, { params: { id: 7 } })                                               // on the client
 * ```
 *
 * @throws FST_SSE_OPTION_UNKNOWN, FST_SSE_OPTION_INVALID for a declaration that is none, and what `defineEvents` throws
 */
export function defineStream<const D extends StreamDeclaration> (declaration: D & NoOther<D>): StreamDefinition<D> {
  const { method = declaration.body === undefined ? 'GET' : 'POST', path, events, params, querystring, body } = declaration
  for (const member of Object.keys(declaration)) {
    if (MEMBERS.includes(member)) continue
    const near = nearest(member, MEMBERS)
    throw new SSEError('FST_SSE_OPTION_UNKNOWN',
      `A stream has no ${show(member)}. ${near === undefined ? `It has ${MEMBERS.join(', ')}.` : `Did you mean ${near}?`}`,
      { option: member, known: MEMBERS })
  }
  if (typeof path !== 'string' || !/^[/*]/.test(path)) throw invalid('path', path, 'the URL of a route, and begin with a slash')
  if (typeof method !== 'string' || !/^[A-Z-]+$/.test(method)) throw invalid('method', method, 'an HTTP method in capitals')
  const contract = isEventContract(events) ? events : defineEvents(events)
  const schema: Record<string, unknown> = { events: contract }
  for (const [name, given] of Object.entries({ params, querystring, body })) {
    if (given === undefined) continue
    if (typeof given !== 'object' || given === null) throw invalid(name, given, 'a schema')
    schema[name] = given
  }
  return Object.freeze({ method, path, events: contract, schema }) as unknown as StreamDefinition<D>
}

function invalid (member: string, value: unknown, expected: string): SSEError {
  return new SSEError('FST_SSE_OPTION_INVALID', `The ${member} of a stream must be ${expected}, but is ${show(value)}.`, { option: member, value })
}
