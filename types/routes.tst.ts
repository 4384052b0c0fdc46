import { Type } from '@sinclair/typebox'
import type {
  FastifyInstance, FastifyPluginAsync, FastifyPluginCallback, FastifyReply, FastifyRequest, FastifyTypeProvider, RouteHandlerMethod
} from 'fastify'
import type { EventContract, EventMap, EventOf } from '../lib/schema/events.js'
import type { Source, StreamHandle, UntypedEvent } from '../lib/stream/types.js'
import { Orders, app, authenticate, expect, orders, type Equal, type Order, type TypeBoxTypeProvider } from './support.tst.js'

const typebox = app.withTypeProvider<TypeBoxTypeProvider>()
const params = Type.Object({ id: Type.Integer() })
const response = { 200: Type.Object({ total: Type.Integer() }) }

/** The event that a handle sends. */
type Sent<H> = H extends StreamHandle<infer E> ? E : never

// Every way to declare a route gives the handler its events: a contract or a bare map, with and without a type provider.

app.get('/', { schema: { events: Orders } }, (_request, reply) => {
  const stream = reply.sse()
  expect<Equal<Sent<typeof stream>, Order>>()
  return stream.closed
})
app.get('/', { schema: { events: orders } }, (_request, reply) => {
  const stream = reply.sse()
  expect<Equal<Sent<typeof stream>, Order>>()
  return stream.closed
})
app.post('/', { schema: { body: params, events: { done: Type.Null() } } }, async (_request, reply) => {
  const stream = reply.sse()
  expect<Equal<Sent<typeof stream>['event'], 'done'>>()
  return stream.closed
})
app.get('/', { schema: { events: Orders }, handler: (_request, reply) => reply.sse([Orders.make.closing()]) })
app.route({
  method: 'GET',
  url: '/',
  schema: { events: Orders },
  handler: (_request, reply) => reply.sse(async function * ({ signal }) {
    yield { event: 'count', data: signal.aborted ? 1 : 2 }
  })
})
app.route({
  method: ['GET', 'POST'],
  url: '/',
  schema: { events: orders },
  async handler (_request, reply) {
    const stream = reply.sse()
    expect<Equal<Sent<typeof stream>, Order>>()
    await stream.closed
  }
})
typebox.get('/:id', { schema: { params, events: Orders } }, (request, reply) => {
  expect<Equal<typeof request.params, { id: number }>>()
  const stream = reply.sse()
  expect<Equal<Sent<typeof stream>, Order>>()
  return stream.closed
})
typebox.route({
  method: 'GET',
  url: '/:id',
  schema: { params, events: orders },
  handler: (request, reply) => reply.sse(async function * ({ lastEventId }) {
    yield { event: 'removed', data: { id: request.params.id }, id: lastEventId }
  })
})

app.route({
  method: 'GET',
  url: '/',
  schema: { events: Orders },
  // @ts-expect-error the event type is not declared
  handler: (_request, reply) => reply.sse(async function * () { yield { event: 'moved', data: null } })
})
typebox.get('/', { schema: { events: Orders } }, (_request, reply) => {
  // @ts-expect-error the wrong data
  reply.sse(async function * () { yield { event: 'removed', data: { id: '1' } } })
  // @ts-expect-error a property is not declared
  return reply.sse(async function * ({ signal }) { yield { event: 'removed', data: { id: 1, signal } } })
})
typebox.route({
  method: 'GET',
  url: '/',
  schema: { events: orders },
  // @ts-expect-error a property is not declared
  handler: (_request, reply) => reply.sse(async function * ({ lastEventId }) { yield { event: 'removed', data: { id: 1, lastEventId } } })
})

// Encapsulated, and in plugins.

app.register(async (child) => {
  child.get('/', { schema: { events: Orders } }, (_request, reply) => reply.sse(async function * () {
    yield { event: 'count', data: 1 }
  }))
  // @ts-expect-error a property is not declared
  child.get('/', { schema: { events: Orders } }, (_request, reply) => reply.sse(async function * () { yield { event: 'removed', data: { id: 1, reason: 'x' } } }))
  child.withTypeProvider<TypeBoxTypeProvider>().get('/', { schema: { params, events: Orders } }, async (request, reply) => {
    // @ts-expect-error the data of another event
    await reply.sse(async function * () { yield { event: 'count', data: { id: request.params.id } } })
  })
})
export const plugin: FastifyPluginAsync = async (child) => {
  child.get('/', { schema: { events: orders } }, async (_request, reply) => {
    await reply.sse(async function * () { yield { event: 'count', data: 1 } })
    // @ts-expect-error the event type is not declared
    await reply.sse(async function * () { yield { event: 'moved', data: null } })
  })
}
export const typeboxPlugin: FastifyPluginAsync<{ prefix: string }, FastifyInstance['server'], TypeBoxTypeProvider> = async (child) => {
  child.get('/', { schema: { params, events: orders } }, async ({ params: { id } }, reply) => {
    await reply.sse(async function * () { yield { event: 'count', data: id } })
    // @ts-expect-error a property is missing
    await reply.sse(async function * () { yield { event: 'removed', data: {} } })
  })
}
export const callbackPlugin: FastifyPluginCallback = (child, _options, done) => {
  child.get('/', { schema: { events: Orders } }, (_request, reply) => reply.sse([Orders.make.closing()]))
  done()
}
export function wrapper (child: FastifyInstance, url: string, source: AsyncIterable<Order>) {
  child.get(url, { schema: { events: Orders } }, (_request, reply) => reply.sse(source))
}
export function anyContract (child: FastifyInstance, events: EventContract, source: Source<EventOf<EventContract>>) {
  child.get('/', { schema: { events } }, (_request, reply) => reply.sse(source))
}
anyContract(app, Orders, async function * () { yield Orders.make.closing() })
// Where the events themselves are a type parameter nothing can be looked into: any passes.
export function generic<M extends EventMap> (child: FastifyInstance, events: EventContract<M>, source: Source<EventOf<M>>) {
  child.get('/', { schema: { events } }, (_request, reply) => reply.sse(source as Source<any>))
}
generic(app, Orders, () => [Orders.make.closing()])

// A handler may answer JSON on one branch and a stream on the other, and both are typed.

typebox.get('/', { schema: { response, events: Orders } }, async (request, reply) => {
  if (request.headers.accept === 'application/json') return { total: 1 }
  return reply.sse([Orders.make.closing()])
})
typebox.get('/', { schema: { response, events: Orders } }, async (request, reply) => {
  if (request.headers.accept === 'application/json') return reply.send({ total: 1 })
  await reply.sse([Orders.make.closing()])
})
typebox.get('/', { schema: { response, events: Orders } }, (request, reply) => {
  if (request.headers.accept === 'application/json') return { total: 1 }
  const stream = reply.sse()
  return stream.closed
})
typebox.get('/', { schema: { response, events: Orders } }, (request, reply) => {
  if (request.headers.accept === 'application/json') reply.code(200).send({ total: 1 })
  else reply.sse([Orders.make.closing()])
})
typebox.route({
  method: 'GET',
  url: '/',
  schema: { response, events: Orders },
  handler: (request, reply) => request.headers.accept === 'application/json' ? { total: 1 } : reply.sse([Orders.make.closing()])
})
app.get('/', { schema: { response, events: Orders } }, async (request, reply) =>
  request.headers.accept === 'application/json' ? { anything: 1 } : reply.sse([Orders.make.closing()]))
// @ts-expect-error the answer is not the one declared
typebox.get('/', { schema: { response, events: Orders } }, async (request, reply) => {
  if (request.headers.accept === 'application/json') return { total: 'many' }
  return reply.sse([Orders.make.closing()])
})
typebox.get('/', { schema: { response, events: Orders } }, async (request, reply) => {
  if (request.headers.accept === 'application/json') return { total: 1 }
  // @ts-expect-error the wrong data
  return reply.sse(async function * () { yield { event: 'count', data: 'many' } })
})

// Hooks and helpers that are typed for any route take the request and the reply of this one.

declare function log (request: FastifyRequest, reply: FastifyReply, error: Error): Promise<void>
declare function stamp (reply: FastifyReply): FastifyReply
app.addHook('onRequest', authenticate)
app.get('/', { schema: { events: Orders }, onRequest: authenticate, preHandler: [authenticate, authenticate], onError: log }, (_request, reply) => {
  stamp(reply)
  const streamed = reply.header('x-one', 1).code(200).type('text/event-stream').sse([Orders.make.closing()])
  expect<Equal<typeof streamed, Promise<void>>>()
  // @ts-expect-error a reply that was passed on still has its events
  return reply.code(200).sse([{ event: 'moved', data: null }])
})
typebox.get('/:id', { schema: { params, events: orders }, preHandler: authenticate }, (_request, reply) => reply.sse([Orders.make.closing()]))
typebox.route({ method: 'GET', url: '/', schema: { events: orders }, preHandler: [authenticate], handler: (_request, reply) => reply.sse([]) })
app.get('/', {
  schema: { events: Orders },
  preHandler: async (_request, reply) => {
    // @ts-expect-error a hook of the route is typed like its handler
    await reply.sse(async function * () { yield { event: 'moved', data: null } })
  }
}, (_request, reply) => reply.sse([]))

// A handler and a helper that know no route send events of any kind.

export const handler: RouteHandlerMethod = (_request, reply) => reply.sse([{ event: 'x', data: 1 }])
export async function helper (reply: FastifyReply, events: AsyncIterable<UntypedEvent>) {
  await reply.sse(events)
  return reply.sse(async function * ({ signal }) { yield { data: signal.aborted } })
}

// A route without events.

app.get('/', (_request, reply) => reply.sse([{ data: 1 }]))
typebox.get('/:id', { schema: { params } }, (request, reply) => {
  const stream = reply.sse()
  expect<Equal<Sent<typeof stream>, UntypedEvent>>()
  stream.send({ event: 'x', data: request.params.id })
  return stream.closed
})
app.all('/', async (_request, reply) => reply.sse(async function * ({ lastEventId }) {
  yield { event: 'x', data: lastEventId }
  yield { data: null }
}))

// Explicit type arguments switch Fastify's inference off: the events are given among them.

app.get<{ Params: { id: string }, Events: typeof Orders }>('/:id', { schema: { events: Orders } }, (request, reply) => {
  expect<Equal<typeof request.params.id, string>>()
  const stream = reply.sse()
  expect<Equal<Sent<typeof stream>, Order>>()
  return stream.closed
})
app.get<{ Events: typeof orders, Reply: { total: number } }>('/', { schema: { events: orders }, preHandler: authenticate }, async (request, reply) => {
  if (request.headers.accept === 'application/json') return { total: 1 }
  // @ts-expect-error a property is not declared
  await reply.sse(async function * () { yield { event: 'removed', data: { id: 1, reason: 'x' } } })
  return reply.sse(async function * () { yield { event: 'removed', data: { id: 1 } } })
})
app.get<{ Params: { id: string } }>('/:id', { schema: { events: Orders } }, (_request, reply) => {
  const stream = reply.sse()
  expect<Equal<Sent<typeof stream>, UntypedEvent>>()
  return stream.closed
})

// Type providers for schemas that are not TypeBox's say what the data is.

interface JSONSchemaProvider extends FastifyTypeProvider {
  serializer: this['schema'] extends { type: 'string' } ? string : this['schema'] extends { type: 'integer' } ? number : unknown
  validator: unknown
}
app.withTypeProvider<JSONSchemaProvider>().get('/', { schema: { events: { name: { type: 'string' }, count: { type: 'integer' }, other: {} } } }, (_request, reply) => {
  reply.sse(async function * () { yield { event: 'other', data: { any: 1 } } })
  // @ts-expect-error the wrong data
  reply.sse(async function * () { yield { event: 'name', data: 1 } })
  const stream = reply.sse()
  expect<Equal<Extract<Sent<typeof stream>, { event: 'count' }>['data'], number>>()
  return stream.closed
})
app.get('/', { schema: { events: { name: { type: 'string' } } } }, (_request, reply) => {
  const stream = reply.sse()
  expect<Equal<Sent<typeof stream>['data'], unknown>>()
  return stream.closed
})

// Options of a route's streams.

app.get('/', {
  schema: { events: Orders },
  sse: { heartbeatMs: 5_000, maxAgeMs: undefined, drain: 'finish', accept: 'strict', controlEvents: false, validation: 'report', expiresAt: () => new Date(), limitKey: (request) => request.ip }
}, (_request, reply) => reply.sse([]))
app.route({ method: 'GET', url: '/', sse: { controlEvents: true }, handler: (_request, reply) => reply.sse([]) })
typebox.get('/', { schema: { events: orders }, sse: {} }, (_request, reply) => reply.sse([]))
// @ts-expect-error the option is unknown
app.get('/', { sse: { heartbeat: 5_000 } }, (_request, reply) => reply.sse([]))
// @ts-expect-error the option has other values
app.route({ method: 'GET', url: '/', sse: { drain: 'wait' }, handler: (_request, reply) => reply.sse([]) })

// The instance has what concerns all streams.

expect<Equal<typeof app.sse.stats, FastifyInstance['sse']['stats']>>()
