import { Type } from '@sinclair/typebox'
import { connect, type EventStream, type StreamOptions } from '../lib/client.js'
import { defineEvents, defineStream, type BodyOf, type EventOf, type ParamsOf, type QueryOf, type StreamDefinition, type StreamEvent } from '../lib/events.js'
import type { StreamHandle } from '../lib/stream/types.js'
import { app, authenticate, expect, Orders, orders, type Equal, type Order, type TypeBoxTypeProvider } from './support.tst.js'

const typebox = app.withTypeProvider<TypeBoxTypeProvider>()

const Order = defineStream({
  path: '/orders/:id',
  params: Type.Object({ id: Type.Integer() }),
  querystring: Type.Object({ since: Type.String(), lines: Type.Optional(Type.Boolean()) }),
  events: Orders
})
const Ask = defineStream({ path: '/ask', body: Type.Object({ question: Type.String() }), events: { token: Type.String() } })
const Poke = defineStream({ method: 'POST', path: '/poke/:id', events: orders })
const Put = defineStream({ method: 'PUT', path: '/put', body: Type.Array(Type.Integer()), events: orders })
const News = defineStream({ path: '/news', events: orders })

/** The event that a handle sends. */
type Sent<H> = H extends StreamHandle<infer E> ? E : never
/** The event that a stream gives. */
type Given<S> = S extends EventStream<infer E> ? E : never
type Plain = string | number | boolean | bigint
type ParamsOfPath<Path extends string> = ParamsOf<{ path: Path }>

// A definition keeps what it was declared with.

expect<Equal<typeof Order.method, 'GET'>>()
expect<Equal<typeof Order.path, '/orders/:id'>>()
expect<Equal<typeof Order.events, typeof Orders>>()
expect<Equal<typeof Ask.method, 'POST'>>()
expect<Equal<typeof Poke.method, 'POST'>>()
expect<Equal<typeof Put.method, 'PUT'>>()
expect<Equal<EventOf<typeof News.events>, Order>>()
expect<Equal<EventOf<typeof Ask.events>['data'], string>>()
Ask.events.make.token('x')
export const anyDefinition: StreamDefinition[] = [Order, Ask, Poke, Put, News]

// @ts-expect-error a stream has events
defineStream({ path: '/' })
// @ts-expect-error and a path
defineStream({ events: orders })
// @ts-expect-error a path is text
defineStream({ path: 7, events: orders })
// @ts-expect-error the member is unknown
defineStream({ path: '/', query: Type.Object({}), events: orders })
// @ts-expect-error a schema is not a string
defineStream({ path: '/', events: { tick: 'string' } })
// @ts-expect-error parameters are described by a schema
defineStream({ path: '/:id', params: { id: Type.Integer() }, events: orders })
// @ts-expect-error a definition is not changed
News.path = '/other'

// The server takes path and schema: the type provider gives what comes, the events what goes.

typebox.get(Order.path, { schema: Order.schema }, (request, reply) => {
  expect<Equal<typeof request.params, { id: number }>>()
  expect<Equal<typeof request.query, { lines?: boolean, since: string }>>()
  const stream = reply.sse()
  expect<Equal<Sent<typeof stream>, Order>>()
  return stream.closed
})
typebox.get(Order.path, { schema: Order.schema, preHandler: authenticate, sse: { heartbeatMs: 5_000 } }, async (request, reply) => {
  await reply.sse(async function * () { yield Order.events.make.removed({ id: request.params.id }) })
  // @ts-expect-error the wrong data
  await reply.sse(async function * () { yield { event: 'removed', data: { id: '1' } } })
  // @ts-expect-error the event type is not declared
  return reply.sse([{ event: 'moved', data: null }])
})
typebox.post(Ask.path, { schema: Ask.schema }, (request, reply) => {
  expect<Equal<typeof request.body, { question: string }>>()
  return reply.sse(async function * () { yield { event: 'token', data: request.body.question } })
})
typebox.route({
  method: Ask.method,
  url: Ask.path,
  schema: Ask.schema,
  handler (request, reply) {
    expect<Equal<typeof request.body, { question: string }>>()
    const stream = reply.sse()
    expect<Equal<Sent<typeof stream>, EventOf<typeof Ask.events>>>()
    return stream.closed
  }
})
typebox.route({ method: Put.method, url: Put.path, schema: Put.schema, handler: (request, reply) => reply.sse([Put.events.make.count(request.body.length)]) })
typebox.route({
  method: Order.method,
  url: Order.path,
  schema: Order.schema,
  // @ts-expect-error the data of another event
  handler: (request, reply) => reply.sse(async function * () { yield { event: 'count', data: request.params } })
})
typebox.get(News.path, { schema: News.schema }, (_request, reply) => reply.sse(app.sse.channel('news', News.events)))
typebox.get(Order.path, { schema: { ...Order.schema, headers: Type.Object({ 'x-key': Type.String() }) } }, (request, reply) => {
  expect<Equal<typeof request.headers['x-key'], string>>()
  return reply.sse([Orders.make.count(request.params.id)])
})
// Without a type provider the events are typed all the same.
app.get(Order.path, { schema: Order.schema }, (_request, reply) => {
  const stream = reply.sse()
  expect<Equal<Sent<typeof stream>, Order>>()
  return stream.closed
})
typebox.get(Order.path, { schema: Order.schema }, (request, reply) => {
  // @ts-expect-error a parameter that is not declared
  return reply.sse([Orders.make.count(request.params.n)])
})

// The client gives what the stream takes.

const order = connect(Order, { params: { id: 7 }, query: { since: 'today' } })
expect<Equal<Given<typeof order>, StreamEvent<typeof Orders>>>()
order.on('removed', ({ id }) => id satisfies number)
connect(Order, { params: { id: 7 }, query: { since: 'today', lines: true }, baseUrl: 'https://example.test/api', headers: async () => ({}) })
connect(Order, { params: { id: 7 }, query: { since: 'today' }, baseUrl: async () => new URL('https://example.test') })
expect<Equal<ParamsOf<typeof Order>, { id: number }>>()
expect<Equal<QueryOf<typeof Order>, { lines?: boolean, since: string }>>()
export const options: StreamOptions<typeof Order> = { params: { id: 7 }, query: { since: 'today' } }

// @ts-expect-error there are parameters to give
connect(Order)
// @ts-expect-error the parameters of the path are missing
connect(Order, { query: { since: 'today' } })
// @ts-expect-error a parameter of the path is missing
connect(Order, { params: {}, query: { since: 'today' } })
// @ts-expect-error a parameter of the path has another type
connect(Order, { params: { id: '7' }, query: { since: 'today' } })
// @ts-expect-error a parameter that the path does not have
connect(Order, { params: { id: 7, line: 1 }, query: { since: 'today' } })
// @ts-expect-error the query is missing
connect(Order, { params: { id: 7 } })
// @ts-expect-error a parameter of the query is missing
connect(Order, { params: { id: 7 }, query: { lines: true } })
// @ts-expect-error a parameter of the query has another type
connect(Order, { params: { id: 7 }, query: { since: 7 } })
// @ts-expect-error a parameter that the query does not have
connect(Order, { params: { id: 7 }, query: { since: 'today', until: 'now' } })
// @ts-expect-error the option is unknown
connect(Order, { params: { id: 7 }, query: { since: 'today' }, header: {} })
// @ts-expect-error the method is the stream's
connect(Order, { params: { id: 7 }, query: { since: 'today' }, method: 'POST' })
// @ts-expect-error the stream takes no body
connect(Order, { params: { id: 7 }, query: { since: 'today' }, body: {} })

// A body is required where it is declared, and is one or a function that gives one.

connect(Ask, { body: { question: 'why' } })
connect(Ask, { body: async () => ({ question: 'why' }) })
connect(Put, { body: [1, 2] })
connect(Poke, { params: { id: 7 } })
expect<Equal<BodyOf<typeof Ask>, { question: string }>>()
expect<Equal<BodyOf<typeof Order>, never>>()
// @ts-expect-error there is a body to give
connect(Ask)
// @ts-expect-error there is a body to give
connect(Ask, {})
// @ts-expect-error a body of another type
connect(Ask, { body: { question: 7 } })
// @ts-expect-error a property that the body does not have
connect(Ask, { body: { question: 'why', n: 7 } })
// @ts-expect-error a function that gives another
connect(Ask, { body: async () => ({ question: 7 }) })

// Without schemas a path takes text or a number for each of its parameters, and a query whatever stands in one.

connect(News)
connect(News, { query: { page: 1, tag: ['a', 'b'] } })
connect(News, { params: {} })
// @ts-expect-error the path has no parameters
connect(News, { params: { id: 7 } })
// @ts-expect-error the parameters are missing
connect(Poke)
// @ts-expect-error a parameter is not null
connect(Poke, { params: { id: null } })
// @ts-expect-error an object is not in a query
connect(News, { query: { page: { n: 1 } } })

// Parameters are found in the path as Fastify's router finds them.

expect<Equal<ParamsOfPath<'/a/:id'>, { readonly id: Plain }>>()
expect<Equal<ParamsOfPath<'/a/:id/b/:other'>, { readonly id: Plain, readonly other: Plain }>>()
expect<Equal<ParamsOfPath<'/a/:id?'>, { readonly id?: Plain | undefined }>>()
expect<Equal<ParamsOfPath<'/a/:id/:last?'>, { readonly id: Plain, readonly last?: Plain | undefined }>>()
expect<Equal<ParamsOfPath<'/near/:lat-:lng'>, { readonly lat: Plain, readonly lng: Plain }>>()
expect<Equal<ParamsOfPath<'/at/:hour(^\\d{2})h:minute(^\\d{2})m'>, { readonly hour: Plain, readonly minute: Plain }>>()
expect<Equal<ParamsOfPath<'/image/:file(^\\d+).png'>, { readonly file: Plain }>>()
expect<Equal<ParamsOfPath<'/in/:zone(^(?:utc|cet)$)/:id'>, { readonly zone: Plain, readonly id: Plain }>>()
expect<Equal<ParamsOfPath<'/in/:zone(^(utc|cet)$)?'>, { readonly zone?: Plain | undefined }>>()
expect<Equal<ParamsOfPath<'/image/:file.:type'>, { readonly file: Plain, readonly type: Plain }>>()
expect<Equal<ParamsOfPath<'/files/*'>, { readonly '*': Plain }>>()
expect<Equal<ParamsOfPath<'/files/:id/*'>, { readonly id: Plain, readonly '*': Plain }>>()
expect<Equal<ParamsOfPath<'/name::verb'>, Readonly<Record<string, never>>>>()
expect<Equal<ParamsOfPath<'/name::verb/:id'>, { readonly id: Plain }>>()
expect<Equal<ParamsOfPath<'/'>, Readonly<Record<string, never>>>>()
expect<Equal<ParamsOfPath<'*'>, { readonly '*': Plain }>>()
expect<Equal<ParamsOfPath<string>, Readonly<Record<string, Plain>>>>()

// A schema that describes some of the parameters leaves the others to the path.
const Some = defineStream({ path: '/a/:id/:other/:last?', params: Type.Object({ id: Type.Integer() }), events: orders })
expect<Equal<ParamsOf<typeof Some>, { id: number, readonly other: Plain, readonly last?: Plain | undefined }>>()
connect(Some, { params: { id: 7, other: 'x' } })
// @ts-expect-error a parameter of the path is missing
connect(Some, { params: { id: 7 } })

// A type alone: nothing of the definition is needed at run time, and the URL is compared with its path.

const byType = connect<typeof Order>('/orders/:id', { params: { id: 7 }, query: { since: 'today' } })
expect<Equal<Given<typeof byType>, StreamEvent<typeof Orders>>>()
connect<typeof Order>('/api/orders/:id', { params: { id: 7 }, query: { since: 'today' } })
connect<typeof Order>('https://example.test/orders/:id', { params: { id: 7 }, query: { since: 'today' } })
export const byOrigin = (origin: string) => connect<typeof Order>(`${origin}/orders/:id`, { params: { id: 7 }, query: { since: 'today' } })
connect<typeof Order>(new URL('https://example.test/orders/:id'), { params: { id: 7 }, query: { since: 'today' } })
connect<typeof Order>(async () => '/orders/:id', { params: { id: 7 }, query: { since: 'today' } })
connect<typeof News>('/news')
connect<typeof News>('/news', { method: 'GET' })
connect<typeof Ask>('/ask', { body: { question: 'why' } })
connect<typeof Ask>('/ask', { method: 'POST', body: { question: 'why' } })
connect<typeof Poke>('/poke/:id', { method: 'POST', params: { id: 7 } })
connect<typeof Put>('/put', { method: 'PUT', body: [] })

// @ts-expect-error another path
connect<typeof Order>('/order/:id', { params: { id: 7 }, query: { since: 'today' } })
// @ts-expect-error the path goes on
connect<typeof News>('/news/old')
// @ts-expect-error the parameters are missing
connect<typeof Order>('/orders/:id', { query: { since: 'today' } })
// @ts-expect-error a parameter has another type
connect<typeof Order>('/orders/:id', { params: { id: '7' }, query: { since: 'today' } })
// @ts-expect-error there are parameters to give
connect<typeof Order>('/orders/:id')
// @ts-expect-error the path has no parameters
connect<typeof News>('/news', { params: { id: 7 } })
// @ts-expect-error there is a body to give
connect<typeof Ask>('/ask')
// @ts-expect-error a body of another type
connect<typeof Ask>('/ask', { body: { question: 7 } })
// @ts-expect-error the stream takes no body
connect<typeof News>('/news', { body: {} })
// @ts-expect-error the stream has another method
connect<typeof News>('/news', { method: 'POST' })
// @ts-expect-error without a body it would be GET
connect<typeof Poke>('/poke/:id', { params: { id: 7 } })
// @ts-expect-error with a body it would be POST
connect<typeof Put>('/put', { body: [] })
// @ts-expect-error what comes before the path is in the URL
connect<typeof News>('/news', { baseUrl: 'https://example.test' })

// A definition of contracts in their other spelling, and one that is made of another.

const Spelt = defineStream({ path: '/spelt', events: defineEvents({ ...Orders.schemas, extra: Type.Null() }) })
expect<Equal<EventOf<typeof Spelt.events>['event'], Order['event'] | 'extra'>>()
const Again = defineStream({ path: '/v2/orders/:id', params: Order.schema.params, events: Order.events })
connect(Again, { params: { id: 7 } })
// @ts-expect-error a parameter has another type
connect(Again, { params: { id: '7' } })
