import { Readable } from 'node:stream'
import { ReadableStream } from 'node:stream/web'
import { Type } from '@sinclair/typebox'
import type { FastifyRequest } from 'fastify'
import type { EventOf } from '../lib/schema/events.js'
import type { Source, SourceEvent, StreamContext } from '../lib/stream/types.js'
import { Orders, app, created, expect, typed, type Equal, type Order } from './support.tst.js'

// What comes out of a source is known for each kind of it.

expect<Equal<SourceEvent<AsyncGenerator<1>>, 1>>()
expect<Equal<SourceEvent<1[]>, 1>>()
expect<Equal<SourceEvent<ReadableStream<1>>, 1>>()
expect<Equal<SourceEvent<() => Promise<Set<1>>>, 1>>()
expect<Equal<SourceEvent<(ctx: StreamContext) => AsyncGenerator<1> | 2[]>, 1 | 2>>()
expect<Equal<SourceEvent<Readable>, any>>()
expect<Equal<SourceEvent<Source<Order>>, Order>>()

// Sources that are declared elsewhere.

async function * annotated (): AsyncGenerator<Order> {
  yield { event: 'created', data: { id: 1, kind: 'web', lines: [] } }
  // @ts-expect-error with an annotation TypeScript itself refuses what is not declared, at the property
  yield { event: 'removed', data: { id: 1, reason: 'x' } }
}
async function * built ({ signal }: StreamContext) {
  while (!signal.aborted) {
    yield Orders.make.removed({ id: 1 })
    yield Orders.make.created({ ...created, lines: [] }, { id: 7 })
  }
  yield Orders.make.closing()
}
async function * widened () {
  yield { event: 'removed', data: { id: 1 } }
}
async function * wrong () {
  yield { event: 'removed' as const, data: { id: '1' } }
}
async function * wider () {
  yield { event: 'removed' as const, data: { id: 1, reason: 'x' } }
}
class Row {
  readonly id = 1
  #secret = 2
  toJSON () { return { id: this.id, secret: this.#secret } }
}

app.get('/', { schema: { events: Orders } }, async (request, reply) => {
  // Inline generators: event types and literals in data stay literal, and the context has types.

  await reply.sse(async function * () {
    yield { event: 'created', data: { id: 1, kind: 'shop', lines: [{ sku: 'a', count: 1 }] } }
    yield { event: 'removed', data: { id: 1 }, id: 0, retry: 10 }
    yield { event: 'count', data: 1 }
    yield { event: 'closing', data: null, id: '' }
  })
  await reply.sse(async function * ({ signal, lastEventId, request }) {
    expect<Equal<typeof signal, AbortSignal>>()
    expect<Equal<typeof lastEventId, string | undefined>>()
    expect<Equal<typeof request, FastifyRequest>>()
    yield { event: 'removed', data: { id: 1 }, id: lastEventId }
    yield Orders.make.closing()
    yield * [Orders.make.count(1)]
    yield * annotated()
  })
  await reply.sse(async function * (ctx) {
    expect<Equal<typeof ctx, StreamContext>>()
    yield { event: ctx.signal.aborted ? 'count' : 'count', data: 1 }
  })
  await reply.sse(function * ({ lastEventId }) {
    yield { event: 'count', data: Number(lastEventId) }
  })
  await reply.sse(function * () {
    yield { event: 'created', data: { ...created, lines: [...created.lines], note: 'x' } }
  })

  // A source that gives nothing, and one of which nothing is known.
  await reply.sse(async function * () {})
  await reply.sse([])
  await reply.sse(typed<AsyncIterable<any>>())
  await reply.sse(typed<any>())

  // Every kind of source.
  await reply.sse(annotated)
  await reply.sse(annotated())
  await reply.sse(built)
  await reply.sse((ctx) => built(ctx))
  await reply.sse(async ({ signal }) => built({ signal, lastEventId: undefined, request }))
  await reply.sse([{ event: 'removed', data: { id: 1 } }, Orders.make.closing()])
  await reply.sse(() => [{ event: 'created', data: { id: 1, kind: 'web', lines: [] } }])
  await reply.sse(async () => [{ event: 'count', data: 1 }])
  await reply.sse(new Set([Orders.make.count(1)]))
  await reply.sse(typed<ReadableStream<Order>>())
  await reply.sse(() => typed<Promise<ReadableStream<Order>>>())
  await reply.sse(new ReadableStream<Order>({ start (controller) { controller.enqueue(Orders.make.count(1)) } }))
  await reply.sse(Readable.from([Orders.make.closing()]))
  await reply.sse(async () => Readable.from([Orders.make.closing()]))
  await reply.sse(typed<Source<Order>>())
  await reply.sse(typed<Source<Order> | Readable>())
  await reply.sse(typed<AsyncIterable<EventOf<typeof Orders.schemas>>>())
  await reply.sse((ctx) => ctx.lastEventId === undefined ? annotated() : [])

  // The methods of an object and properties that are undefined never reach the wire.
  await reply.sse([{ event: 'removed', data: new Row() }])
  await reply.sse([{ event: 'removed', data: { id: 1, reason: undefined } }])
  await reply.sse([{ event: 'count', data: 1, id: undefined, retry: undefined }])

  // An event type that is not declared.

  // @ts-expect-error in an inline generator
  await reply.sse(async function * () { yield { event: 'moved', data: null } })
  // @ts-expect-error in an inline generator with its context
  await reply.sse(async function * ({ lastEventId }) { yield { event: 'moved', data: null, id: lastEventId } })
  // @ts-expect-error among others that are
  await reply.sse(async function * () {
    yield { event: 'closing', data: null }
    yield { event: 'moved', data: null }
  })
  // @ts-expect-error in a generator that is not asynchronous
  await reply.sse(function * () { yield { event: 'moved', data: null } })
  // @ts-expect-error in an array
  await reply.sse([{ event: 'moved', data: null }])
  // @ts-expect-error in a web stream
  await reply.sse(typed<ReadableStream<{ event: 'moved', data: null }>>())
  // @ts-expect-error in what a function promises
  await reply.sse(async () => typed<AsyncIterable<{ event: 'moved', data: null }>>())
  // @ts-expect-error it has become any string in a generator declared elsewhere
  await reply.sse(widened)
  // @ts-expect-error it has become any string in a generator declared elsewhere
  await reply.sse(widened())
  // @ts-expect-error it is missing
  await reply.sse(async function * () { yield { data: null } })

  // The wrong data.

  // @ts-expect-error in an inline generator
  await reply.sse(async function * () { yield { event: 'removed', data: { id: '1' } } })
  // @ts-expect-error in an inline generator with its context
  await reply.sse(async function * ({ lastEventId }) { yield { event: 'removed', data: { id: lastEventId } } })
  // @ts-expect-error a literal that is not one of the declared
  await reply.sse(async function * () { yield { event: 'created', data: { id: 1, kind: 'fax', lines: [] } } })
  // @ts-expect-error in a generator declared elsewhere
  await reply.sse(wrong)
  // @ts-expect-error in a generator declared elsewhere
  await reply.sse(async () => wrong())
  // @ts-expect-error in a Set
  await reply.sse(new Set([{ event: 'count' as const, data: null }]))
  // @ts-expect-error nothing is known of the data
  await reply.sse(async function * () { yield { event: 'removed', data: typed<unknown>() } })
  // @ts-expect-error nothing is known of the events
  await reply.sse(typed<AsyncIterable<unknown>>())

  // The data of another event.

  // @ts-expect-error in an inline generator
  await reply.sse(async function * () { yield { event: 'count', data: { id: 1 } } })
  // @ts-expect-error in an inline generator with its context
  await reply.sse(async function * ({ signal }) { if (!signal.aborted) yield { event: 'closing', data: 1 } })

  // A property is missing.

  // @ts-expect-error of data, in an inline generator
  await reply.sse(async function * () { yield { event: 'removed', data: {} } })
  // @ts-expect-error inside data, in an inline generator with its context
  await reply.sse(async function * ({ signal }) { yield { event: 'created', data: { ...created, lines: [{ sku: `${signal}` }] } } })
  // @ts-expect-error the event has no data
  await reply.sse(async function * () { yield { event: 'removed' } })
  // @ts-expect-error the event has no data
  await reply.sse([{ event: 'closing' }])

  // A property is not declared.

  // @ts-expect-error of data, in an inline generator
  await reply.sse(async function * () { yield { event: 'removed', data: { id: 1, reason: 'x' } } })
  // @ts-expect-error of data, in an inline generator with its context
  await reply.sse(async function * ({ lastEventId }) { yield { event: 'removed', data: { id: 1, lastEventId } } })
  // @ts-expect-error among events that are right
  await reply.sse(async function * () {
    yield Orders.make.closing()
    yield { event: 'removed', data: { id: 1 } }
    yield { event: 'removed', data: { id: 1, reason: 'x' } }
  })
  // @ts-expect-error inside data
  await reply.sse(async function * () { yield { event: 'created', data: { ...created, lines: [{ sku: 'a', count: 1, price: 2 }] } } })
  // @ts-expect-error of the event
  await reply.sse(async function * () { yield { event: 'count', data: 1, comment: 'x' } })
  // @ts-expect-error in a generator declared elsewhere
  await reply.sse(wider)
  // @ts-expect-error in an array
  await reply.sse([{ event: 'removed', data: { id: 1, reason: 'x' } }])
  // @ts-expect-error in what a function promises
  await reply.sse(async () => [{ event: 'removed', data: { id: 1, reason: 'x' } }])

  // The fields of an event.

  // @ts-expect-error an ID is a string or a number
  await reply.sse(async function * () { yield { event: 'count', data: 1, id: 1n } })
  // @ts-expect-error a reconnection time is a number
  await reply.sse(async function * ({ lastEventId }) { yield { event: 'count', data: 1, retry: lastEventId } })

  // What is no source of events.

  // @ts-expect-error one event is not a source of events
  await reply.sse(Orders.make.closing())
  // @ts-expect-error the elements of a string are not events
  await reply.sse('text')
  // @ts-expect-error arrays are not events
  await reply.sse(typed<AsyncIterable<unknown[]>>())
  // @ts-expect-error the function returns nothing
  await reply.sse(() => {})
  // @ts-expect-error a promise is not a source; a function that returns one is
  await reply.sse(typed<Promise<Order[]>>())
})

// Data of every shape is looked into, and left alone where nothing can be said.

interface Tree { name: string, children: Tree[] }
const shapes = {
  union: Type.Union([Type.Object({ a: Type.String() }), Type.Object({ b: Type.String() })]),
  record: Type.Record(Type.String(), Type.Object({ a: Type.String() })),
  tuple: Type.Tuple([Type.Object({ a: Type.String() }), Type.Number()]),
  both: Type.Intersect([Type.Object({ a: Type.String() }), Type.Object({ b: Type.String() })]),
  optional: Type.Object({ a: Type.Optional(Type.Object({ b: Type.Optional(Type.String()) })) }),
  nothing: Type.Object({}),
  anything: Type.Any(),
  unknown: Type.Unknown(),
  tree: Type.Unsafe<Tree>({}),
  recursive: Type.Recursive((Self) => Type.Object({ name: Type.String(), children: Type.Array(Self) })),
  flag: Type.Boolean(),
  level: Type.Union([Type.Literal(1), Type.Literal(2)])
}
app.get('/shapes', { schema: { events: shapes } }, async (_request, reply) => {
  await reply.sse(async function * ({ signal }) {
    yield { event: 'union', data: { a: 'x' } }
    yield { event: 'union', data: signal.aborted ? { a: 'x' } : { b: 'x' } }
    yield { event: 'record', data: { x: { a: 'x' }, y: { a: 'y' } } }
    yield { event: 'record', data: {} }
    yield { event: 'tuple', data: [{ a: 'x' }, 1] }
    yield { event: 'both', data: { a: 'x', b: 'x' } }
    yield { event: 'optional', data: {} }
    yield { event: 'optional', data: { a: {} } }
    yield { event: 'optional', data: { a: { b: 'x' } } }
    yield { event: 'nothing', data: { a: 1 } }
    yield { event: 'anything', data: { a: 1 } }
    yield { event: 'unknown', data: { a: 1 } }
    yield { event: 'tree', data: { name: 'x', children: [{ name: 'y', children: [] }] } }
    yield { event: 'tree', data: typed<Tree>() }
    yield { event: 'recursive', data: { name: 'x', children: [{ name: 'y', children: [] }] } }
    yield { event: 'recursive', data: typed<Tree>() }
    yield { event: 'flag', data: signal.aborted }
    yield { event: 'level', data: 2 }
    yield { event: signal.aborted ? 'tree' : 'recursive', data: typed<Tree>() }
    yield { event: 'record', data: JSON.parse('{}') }
  })

  // @ts-expect-error not declared by any member of a union
  await reply.sse(async function * () { yield { event: 'union', data: { a: 'x', c: 'x' } } })
  // @ts-expect-error not declared by the members of an intersection
  await reply.sse(async function * () { yield { event: 'both', data: { a: 'x', b: 'x', c: 'x' } } })
  // @ts-expect-error not declared in a value of a record
  await reply.sse(async function * () { yield { event: 'record', data: { x: { a: 'x', c: 'x' } } } })
  // @ts-expect-error not declared in an element of a tuple
  await reply.sse(async function * () { yield { event: 'tuple', data: [{ a: 'x', c: 'x' }, 1] } })
  // @ts-expect-error not declared in an optional property
  await reply.sse(async function * () { yield { event: 'optional', data: { a: { b: 'x', c: 'x' } } } })
  // @ts-expect-error not declared deep in a type that contains itself
  await reply.sse(async function * () { yield { event: 'tree', data: { name: 'x', children: [{ name: 'y', children: [], c: 'x' }] } } })
  // @ts-expect-error not declared deep in a schema that contains itself
  await reply.sse(async function * () { yield { event: 'recursive', data: { name: 'x', children: [{ name: 'y', children: [], c: 'x' }] } } })
  // @ts-expect-error the wrong data of a union
  await reply.sse(async function * () { yield { event: 'level', data: 3 } })
  // @ts-expect-error the wrong data of a tuple
  await reply.sse(async function * () { yield { event: 'tuple', data: [{ a: 'x' }, 'y'] } })
})

// A route that declares no events sends any, and still only events.

app.get('/untyped', async (_request, reply) => {
  await reply.sse(async function * ({ lastEventId }) {
    yield { data: { any: lastEventId } }
    yield { event: 'x', data: 1, id: 0, retry: 0 }
    yield { event: undefined, data: null }
  })
  await reply.sse(widened)
  await reply.sse(built)
  await reply.sse([{ data: 1 }])
  await reply.sse(typed<AsyncIterable<any>>())
  // @ts-expect-error an event carries data
  await reply.sse(async function * () { yield { event: 'x' } })
  // @ts-expect-error an event type is a string
  await reply.sse(async function * () { yield { event: 1, data: null } })
  // @ts-expect-error the field is not one of an event
  await reply.sse(async function * ({ lastEventId }) { yield { evnet: 'x', data: lastEventId } })
  // @ts-expect-error text is not an event
  await reply.sse(async function * () { yield 'text' })
})
