import { Type } from '@sinclair/typebox'
import type { FastifyPluginAsync, FastifyPluginCallback, FastifyReply, FastifyRequest } from 'fastify'
import type {
  Channel, ChannelFamily, ChannelMember, ChannelOptions, ChannelStats, CloseReason, EventOf, GapContext, GapEvent, Merge, MergedEvent, SnapshotContext,
  SSEStats, StreamContext, SubscribedEvent, SubscribeOptions, Subscription, UntypedEvent
} from '../lib/index.js'
import { defineEvents } from '../lib/schema/events.js'
import type { SourceEvent } from '../lib/stream/types.js'
import { Orders, app, authenticate, created, expect, orders as map, typed, type Equal, type Order, type TypeBoxTypeProvider } from './support.tst.js'

const Rooms = defineEvents({
  said: Type.Object({ name: Type.String(), text: Type.String() }),
  closing: Type.Null()
})
type Said = EventOf<typeof Rooms>

const orders = app.sse.channel('orders', Orders)
const rooms = app.sse.channels('rooms', Rooms)
const room = rooms.for('tea')

// A channel has the events of its contract, or of a bare map.

expect<Equal<typeof orders, Channel<Order>>>()
expect<Equal<typeof rooms, ChannelFamily<Said>>>()
expect<Equal<typeof room, Channel<Said>>>()
const bare = app.sse.channel('bare', map)
expect<Equal<typeof bare, Channel<Order>>>()
const inline = app.sse.channel('inline', { count: Type.Integer(), done: Type.Null() })
expect<Equal<typeof inline, Channel<EventOf<{ count: ReturnType<typeof Type.Integer>, done: ReturnType<typeof Type.Null> }>>>>()
const family = app.sse.channels('family', map)
expect<Equal<typeof family, ChannelFamily<Order>>>()

expect<Equal<typeof orders.name, string>>()
expect<Equal<typeof orders.key, string | undefined>>()
expect<Equal<typeof orders.subscribers, number>>()
expect<Equal<typeof orders.lastEventId, string>>()
expect<Equal<ReturnType<typeof orders.stats>, ChannelStats>>()
expect<Equal<ReturnType<typeof orders.close>, Promise<void>>>()
expect<Equal<typeof rooms.size, number>>()
expect<Equal<ReturnType<typeof rooms.keys>, IterableIterator<string>>>()
expect<Equal<ReturnType<typeof rooms.stats>, ChannelStats>>()
expect<Equal<ReturnType<typeof app.sse.stats>, SSEStats>>()
expect<Equal<SSEStats['channels'], Record<string, ChannelStats>>>()

// @ts-expect-error a schema is not a string
app.sse.channel('x', { tick: 'string' })
// @ts-expect-error a channel has events
app.sse.channel('x')
// @ts-expect-error a name is a string
app.sse.channel(1, Orders)
// @ts-expect-error a key is a string
rooms.for(1)
// @ts-expect-error the channels of a family are got by their key
rooms.publish({ event: 'closing', data: null })
// @ts-expect-error a channel that stands alone has no others
orders.for('tea')
// @ts-expect-error how many there are is counted
orders.subscribers = 1

// publish() takes the channel's events.

const published = orders.publish({ event: 'created', data: { id: 1, kind: 'web', lines: [{ sku: 'a', count: 1 }] } })
expect<Equal<typeof published, Promise<{ id: string }>>>()
orders.publish({ event: 'created', data: { ...created, lines: [], note: 'x' } })
orders.publish({ event: 'count', data: 1, retry: 10 })
orders.publish({ event: 'closing', data: null })
orders.publish(Orders.make.removed({ id: 1 }))
orders.publish(Orders.make.closing())
orders.publish(typed<Order>())
orders.publish(Rooms.make.closing())
bare.publish({ event: 'removed', data: { id: 1 } })
inline.publish({ event: 'count', data: 1 })
room.publish({ event: 'said', data: { name: 'ada', text: 'x' } })
family.for('a').publish(Orders.make.count(1))

// @ts-expect-error the event type is not declared
orders.publish({ event: 'moved', data: null })
// @ts-expect-error the event type is not declared, in a channel of a bare map
bare.publish({ event: 'moved', data: null })
// @ts-expect-error the event type is not declared, in a channel of a family
room.publish({ event: 'count', data: 1 })
// @ts-expect-error it is made of another contract
room.publish(Orders.make.count(1))
// @ts-expect-error the wrong data
orders.publish({ event: 'removed', data: { id: '1' } })
// @ts-expect-error a literal that is not one of the declared
orders.publish({ event: 'created', data: { id: 1, kind: 'fax', lines: [] } })
// @ts-expect-error the data of another event
orders.publish({ event: 'count', data: { id: 1 } })
// @ts-expect-error a property is missing
orders.publish({ event: 'removed', data: {} })
// @ts-expect-error an event carries data
orders.publish({ event: 'closing' })
// @ts-expect-error an event has a type
orders.publish({ data: null })
// @ts-expect-error a property is not declared
orders.publish({ event: 'removed', data: { id: 1, reason: 'x' } })
// @ts-expect-error a property inside is not declared
orders.publish({ event: 'created', data: { ...created, lines: [{ sku: 'a', count: 1, price: 2 }] } })
// @ts-expect-error a property is not declared, in a channel of a family
room.publish({ event: 'said', data: { name: 'ada', text: 'x', at: 1 } })
// @ts-expect-error the field is not one of an event
orders.publish({ event: 'count', data: 1, comment: 'x' })
// @ts-expect-error it may be any of the events, and the data of any of them
orders.publish({ event: typed<Order['event']>(), data: typed<Order['data']>() })
// @ts-expect-error one event at a time
orders.publish([Orders.make.closing()])
// @ts-expect-error what says that events are missing is not the application's to send
orders.publish(typed<GapEvent>())

// Options of a channel; the hooks know its events.

app.sse.channel('options', Orders, {
  backlog: { events: 1024, bytes: 4 << 20, ageMs: 3_600_000 },
  overrun: 'latest',
  flushMs: 10,
  validation: 'report',
  onGap (gap) {
    expect<Equal<typeof gap, GapContext>>()
    expect<Equal<typeof gap.reason, 'malformed' | 'epoch' | 'future' | 'evicted' | 'overrun'>>()
    expect<Equal<typeof gap.request, FastifyRequest | undefined>>()
    return [Orders.make.closing()]
  },
  onJoin (member, channel) {
    expect<Equal<typeof member, ChannelMember>>()
    expect<Equal<typeof member.key, string | undefined>>()
    expect<Equal<typeof member.request, FastifyRequest | undefined>>()
    expect<Equal<typeof channel, Channel<Order>>>()
    channel.publish({ event: 'count', data: channel.subscribers })
    // @ts-expect-error the wrong data
    return channel.publish({ event: 'count', data: null })
  },
  async onLeave (member, channel, reason) {
    expect<Equal<typeof member, ChannelMember>>()
    expect<Equal<typeof reason, CloseReason>>()
    await channel.publish({ event: 'removed', data: { id: member.joinedAt } })
    // @ts-expect-error the event type is not declared
    await channel.publish({ event: 'moved', data: reason })
  }
})
app.sse.channel('options', map, { onJoin: (_member, channel) => channel.publish(Orders.make.closing()) })
app.sse.channel('options', Orders, {})
app.sse.channel('options', Orders, { backlog: undefined, overrun: undefined, onJoin: undefined })
app.sse.channel('options', Orders, { backlog: {} })
app.sse.channels('options', Rooms, {
  idleMs: 60_000,
  backlog: { events: 1 },
  onJoin: (_member, channel) => channel.publish({ event: 'said', data: { name: channel.key ?? '', text: 'x' } }),
  onLeave: (_member, channel) => {
    expect<Equal<typeof channel, Channel<Said>>>()
    // @ts-expect-error it is an event of another family
    channel.publish({ event: 'count', data: 1 })
  },
  onGap: () => 'earliest'
})

// @ts-expect-error the option is unknown
app.sse.channel('x', Orders, { history: 10 })
// @ts-expect-error the option is unknown
app.sse.channel('x', Orders, { backlog: { max: 10 } })
// @ts-expect-error a channel that stands alone is not given back
app.sse.channel('x', Orders, { idleMs: 60_000 })
// @ts-expect-error the option is unknown
app.sse.channels('x', Orders, { ttlMs: 60_000 })
// @ts-expect-error the option has other values
app.sse.channel('x', Orders, { overrun: 'drop' })
// @ts-expect-error the publisher is told
app.sse.channel('x', Orders, { validation: 'drop' })
// @ts-expect-error the option is a number
app.sse.channel('x', Orders, { flushMs: '10' })

// What onGap may answer: where to go on, or events to be sent first.

app.sse.channel('gap', Orders, { onGap: () => 'earliest' })
app.sse.channel('gap', Orders, { onGap: () => 'now' })
app.sse.channel('gap', Orders, { onGap: () => undefined })
app.sse.channel('gap', Orders, { onGap: () => {} })
app.sse.channel('gap', Orders, { onGap: ({ reason }) => reason === 'overrun' ? 'now' : [Orders.make.closing()] })
app.sse.channel('gap', Orders, { onGap: () => new Set([Orders.make.closing()]) })
app.sse.channel('gap', Orders, { onGap: async () => [Orders.make.closing()] })
app.sse.channel('gap', Orders, { async * onGap () { yield Orders.make.closing() } })
app.sse.channel('gap', Orders, { onGap: async ({ request }) => { request?.log.info('a gap') } })
app.sse.channel('gap', Orders, { onGap: async ({ reason }) => reason === 'overrun' ? 'now' : 'earliest' })
// One literal alone is text to TypeScript where an asynchronous function gives it.
app.sse.channel('gap', Orders, { onGap: async () => 'earliest' as const })
orders.subscribe({ onGap: () => [{ event: 'removed', data: { id: 1 } }] })
orders.subscribe({ onGap: async () => [{ event: 'removed', data: { id: 1 } }] })
orders.subscribe({
  async * onGap () {
    yield Orders.make.closing()
    yield { event: 'removed', data: { id: 1 } }
  }
})

// @ts-expect-error there is no such place
app.sse.channel('gap', Orders, { onGap: () => 'latest' })
// @ts-expect-error the event type is not declared
orders.subscribe({ onGap: () => [{ event: 'moved', data: null }] })
// @ts-expect-error the wrong data
orders.subscribe({ onGap: async () => [{ event: 'removed', data: { id: '1' } }] })
// @ts-expect-error the wrong data, in a generator
orders.subscribe({ async * onGap () { yield { event: 'count', data: null } } })
// @ts-expect-error it is an event of another channel
app.sse.channel('gap', Orders, { onGap: () => [Rooms.make.said({ name: 'ada', text: 'x' })] })
// @ts-expect-error one event is not a source of events
app.sse.channel('gap', Orders, { onGap: () => Orders.make.closing() })

// subscribe(): the callbacks get the union of the channel's events.

const subscription = orders.subscribe({
  from: 'earliest',
  filter (event) {
    expect<Equal<typeof event, Order>>()
    return event.event === 'created' && event.data.kind === 'web'
  },
  latestBy (event) {
    expect<Equal<typeof event, Order>>()
    return event.event === 'removed' ? event.data.id : undefined
  },
  overrun: 'skip',
  onGap (gap) {
    expect<Equal<typeof gap, GapContext>>()
    return gap.key === undefined ? 'now' : [Orders.make.closing()]
  },
  async * snapshot (context) {
    expect<Equal<typeof context, SnapshotContext>>()
    expect<Equal<typeof context.gap, GapContext | null>>()
    expect<Equal<typeof context.request, FastifyRequest | undefined>>()
    yield Orders.make.closing()
    yield { event: 'removed', data: { id: 1 } }
  },
  signal: new AbortController().signal
})
expect<Equal<typeof subscription, Subscription<Order>>>()
expect<Equal<NonNullable<Parameters<typeof orders.subscribe>[0]>, SubscribeOptions<Order>>>()
orders.subscribe()
orders.subscribe({})
orders.subscribe({ from: undefined, filter: undefined, latestBy: undefined, snapshot: undefined, signal: undefined })
orders.subscribe({ from: 'now' })
orders.subscribe({ from: orders.lastEventId })
orders.subscribe({ latestBy: ({ event }) => event })
orders.subscribe({ snapshot: () => [] })
orders.subscribe({ snapshot: () => [{ event: 'created', data: { id: 1, kind: 'web', lines: [] } }] })
orders.subscribe({ snapshot: async () => [Orders.make.closing()] })
orders.subscribe({ snapshot: () => typed<AsyncIterable<Order>>() })
orders.subscribe({ snapshot: () => new Map([[1, Orders.make.closing()]]).values() })
room.subscribe({ filter: (event) => event.event === 'said' && event.data.name === 'ada' })
bare.subscribe({ filter: ({ event }) => event === 'closing' })

// @ts-expect-error the option is unknown
orders.subscribe({ since: 'now' })
// @ts-expect-error an ID is text
orders.subscribe({ from: 1 })
// @ts-expect-error there is no such event
orders.subscribe({ filter: ({ event }) => event === 'moved' })
// @ts-expect-error not all of the events have that data
orders.subscribe({ filter: ({ data }) => data.id === 1 })
// @ts-expect-error the event has no such data
orders.subscribe({ filter: (event) => event.event === 'removed' && event.data.kind === 'web' })
// @ts-expect-error whether an event is for a subscriber has to be known at once
orders.subscribe({ filter: async ({ event }) => event === 'closing' })
// @ts-expect-error there is no such event
orders.subscribe({ latestBy: (event) => event.event === 'moved' ? 1 : 2 })
// @ts-expect-error the key is what a function gives
orders.subscribe({ latestBy: 'id' })
// @ts-expect-error the option has other values
orders.subscribe({ overrun: 'drop' })
// @ts-expect-error there is no such place
orders.subscribe({ onGap: () => 'latest' })
// @ts-expect-error the event type is not declared
orders.subscribe({ snapshot: () => [{ event: 'moved', data: null }] })
// @ts-expect-error the wrong data
orders.subscribe({ snapshot: async () => [{ event: 'removed', data: { id: '1' } }] })
// @ts-expect-error the wrong data, in a generator
orders.subscribe({ snapshot: async function * () { yield { event: 'count', data: null } } })
// @ts-expect-error it is an event of another channel
room.subscribe({ snapshot: () => [Orders.make.count(1)] })
// @ts-expect-error a snapshot is asked for each time
orders.subscribe({ snapshot: [Orders.make.closing()] })
// @ts-expect-error a snapshot is events
orders.subscribe({ snapshot: () => 'now' })
// @ts-expect-error a signal is not its controller
orders.subscribe({ signal: new AbortController() })

// merge(): the events of all.

const merged = app.sse.merge(orders, room, subscription)
expect<Equal<typeof merged, Merge<Order | Said>>>()
const ofOne = app.sse.merge(rooms.for('a'), rooms.for('b').subscribe())
expect<Equal<typeof ofOne, Merge<Said>>>()
const spread = app.sse.merge(...['a', 'b'].map((key) => rooms.for(key)))
expect<Equal<typeof spread, Merge<Said>>>()
expect<Equal<MergedEvent<Channel<Order> | Subscription<Said>>, Order | Said>>()

// @ts-expect-error a family is not a channel
app.sse.merge(orders, rooms)
// @ts-expect-error other sources are published to a channel first
app.sse.merge(orders, [Rooms.make.closing()])
// @ts-expect-error what is merged is given one by one
app.sse.merge([orders, room])

// for await gives the channel's events, and what says that some are missing.

async function iterations () {
  for await (const event of orders) {
    expect<Equal<typeof event, SubscribedEvent<Order>>>()
    expect<Equal<typeof event, Order | GapEvent>>()
    expect<Equal<typeof event.event, 'created' | 'removed' | 'count' | 'closing' | 'sse.gap'>>()
    if (event.event === 'sse.gap') {
      expect<Equal<typeof event, GapEvent>>()
      expect<Equal<typeof event.data.resumedAt, string>>()
    } else if (event.event === 'created') {
      expect<Equal<typeof event.data.kind, 'web' | 'shop'>>()
    }
  }
  for await (const { event, id } of orders.subscribe({ filter: ({ event }) => event === 'count' })) {
    expect<Equal<typeof event, SubscribedEvent<Order>['event']>>()
    expect<Equal<typeof id, string | number | undefined>>()
  }
  for await (const event of app.sse.merge(orders, room)) {
    expect<Equal<typeof event, Order | Said | GapEvent>>()
    if (event.event === 'said') expect<Equal<typeof event.data, { name: string, text: string }>>()
  }
  for await (const event of rooms.for('tea')) {
    // @ts-expect-error there is no such event
    if (event.event === 'count') console.log(event)
  }
  for await (const event of orders) {
    // @ts-expect-error the data may be that of a gap
    const data: Order['data'] = event.data
    console.log(data)
  }
}
iterations()

// A route sends what it declares.

expect<Equal<SourceEvent<typeof orders>, Order | GapEvent>>()
expect<Equal<SourceEvent<typeof subscription>, Order | GapEvent>>()
expect<Equal<SourceEvent<typeof merged>, Order | Said | GapEvent>>()

app.get('/', { schema: { events: Orders } }, async (_request, reply) => {
  const sent = reply.sse(orders)
  expect<Equal<typeof sent, Promise<void>>>()
  await reply.sse(orders.subscribe())
  await reply.sse(orders.subscribe({ from: 'earliest', filter: (event) => event.event === 'count' && event.data > 1 }))
  await reply.sse(orders.subscribe({ latestBy: (event) => event.event, snapshot: async function * () { yield Orders.make.closing() } }))
  await reply.sse(app.sse.merge(orders))
  await reply.sse(app.sse.merge(orders, bare.subscribe(), family.for('a')))
  await reply.sse(bare)
  await reply.sse(inline.key === undefined ? orders : bare.subscribe())
  await reply.sse(typed<Channel<any>>())

  // @ts-expect-error it has other events
  await reply.sse(room)
  // @ts-expect-error it has other events
  await reply.sse(room.subscribe())
  // @ts-expect-error a filter does not change what the channel may send
  await reply.sse(room.subscribe({ filter: ({ event }) => event === 'closing' }))
  // @ts-expect-error one of those that are merged has other events
  await reply.sse(app.sse.merge(orders, room))
  // @ts-expect-error the same event has other data
  await reply.sse(inline)
  // @ts-expect-error a family is not a source
  await reply.sse(rooms)
})
app.get('/', { schema: { events: map } }, (_request, reply) => reply.sse(orders))
app.get('/', { schema: { events: { ...Orders.schemas, ...Rooms.schemas } } }, async (_request, reply) => {
  await reply.sse(orders)
  await reply.sse(room.subscribe())
  await reply.sse(app.sse.merge(orders, room))
  await reply.sse(app.sse.merge(orders.subscribe(), rooms.for('a'), rooms.for('b')))
  // @ts-expect-error the same event has other data
  await reply.sse(app.sse.merge(orders, app.sse.channel('x', { said: Type.String() })))
})
app.get('/', { schema: { events: { closing: Type.Null() } } }, (_request, reply) => {
  // @ts-expect-error the route declares some of the events, and the channel may send others
  return reply.sse(room)
})
app.get('/', { schema: { events: { removed: Type.Object({ id: Type.Integer(), reason: Type.String() }) } } }, (_request, reply) => {
  const removed = app.sse.channel('removed', { removed: Orders.schemas.removed })
  // @ts-expect-error what the route declares has more properties
  return reply.sse(removed)
})
app.get('/', { schema: { events: { removed: Type.Object({ id: Type.Integer() }) } } }, (_request, reply) => {
  const wider = app.sse.channel('wider', { removed: Type.Object({ id: Type.Integer(), reason: Type.String() }) })
  // @ts-expect-error what the route declares has fewer properties
  return reply.sse(wider)
})

// A route that declares no events sends those of any channel.

app.get('/', async (_request, reply) => {
  await reply.sse(orders)
  await reply.sse(room.subscribe({ filter: ({ event }) => event === 'said' }))
  await reply.sse(app.sse.merge(orders, room))
  await reply.sse(() => orders)
  await reply.sse(async function * () { yield * orders })
  // @ts-expect-error a family is not a source
  await reply.sse(rooms)
})

// Functions and generators as sources: what says that events are missing passes too.

app.get('/', { schema: { events: Orders } }, async (_request, reply) => {
  await reply.sse(() => orders)
  await reply.sse((ctx) => orders.subscribe({ from: ctx.lastEventId ?? 'earliest' }))
  await reply.sse(async ({ request }) => request.headers.accept === undefined ? orders : orders.subscribe())
  await reply.sse(() => app.sse.merge(orders, bare))
  await reply.sse(async function * () { yield * orders })
  await reply.sse(async function * ({ signal }) { yield * orders.subscribe({ signal }) })
  await reply.sse(async function * ({ signal, lastEventId }) {
    yield { event: 'count', data: Number(lastEventId) }
    yield * orders.subscribe({ signal, from: lastEventId })
    yield * app.sse.merge(orders, bare)
    yield Orders.make.closing()
  })
  await reply.sse(async function * ({ signal }) {
    for await (const event of orders.subscribe({ signal })) {
      if (event.event !== 'sse.gap' && event.event !== 'count') yield event
    }
  })
  await reply.sse(async function * ({ signal }) {
    for await (const event of orders.subscribe({ signal })) yield event
  })
  await reply.sse(async function * ({ signal }) {
    for await (const event of rooms.for('tea').subscribe({ signal })) {
      if (event.event === 'said') yield { event: 'count', data: event.data.text.length }
    }
  })
  await reply.sse(wrapped)

  // @ts-expect-error it has other events
  await reply.sse(() => room)
  // @ts-expect-error it has other events
  await reply.sse(async () => room.subscribe())
  // @ts-expect-error one of those that are merged has other events
  await reply.sse(() => app.sse.merge(orders, room))
  // @ts-expect-error it has other events
  await reply.sse(async function * () { yield * room })
  // @ts-expect-error it has other events
  await reply.sse(async function * ({ signal }) { yield * room.subscribe({ signal }) })
  // @ts-expect-error it has other events, after some that are right
  await reply.sse(async function * ({ signal }) {
    yield * orders.subscribe({ signal })
    for await (const event of room.subscribe({ signal })) yield event
  })
  // @ts-expect-error a channel is not an event
  await reply.sse(async function * () { yield orders })
  // @ts-expect-error a family is not a source
  await reply.sse(() => rooms)
})
async function * wrapped ({ signal }: StreamContext) {
  yield * orders.subscribe({ signal })
}

// Every way to declare a route.

const typebox = app.withTypeProvider<TypeBoxTypeProvider>()
const params = Type.Object({ room: Type.String() })

app.get('/', { schema: { events: Orders }, handler: (_request, reply) => reply.sse(orders) })
app.get('/', { schema: { events: Orders }, preHandler: authenticate, sse: { heartbeatMs: 5_000 } }, (_request, reply) => reply.code(200).sse(orders.subscribe()))
app.post('/', { schema: { events: Orders } }, async (_request, reply) => reply.sse(orders))
app.route({ method: 'GET', url: '/', schema: { events: Orders }, handler: (_request, reply) => reply.sse(orders) })
app.route({
  method: ['GET', 'POST'],
  url: '/',
  schema: { events: Orders },
  // @ts-expect-error it has other events
  handler: (_request, reply) => reply.sse(room)
})
app.get<{ Params: { room: string }, Events: typeof Rooms }>('/:room', { schema: { events: Rooms } }, (request, reply) =>
  reply.sse(rooms.for(request.params.room)))
app.get<{ Params: { room: string }, Events: typeof Rooms }>('/:room', { schema: { events: Rooms } }, (_request, reply) => {
  // @ts-expect-error it has other events
  return reply.sse(orders)
})
typebox.get('/:room', { schema: { params, events: Rooms } }, (request, reply) =>
  reply.sse(rooms.for(request.params.room).subscribe({ filter: ({ event }) => event === 'said' })))
typebox.get('/:room', { schema: { params, events: { ...Rooms.schemas, ...Orders.schemas } } }, (request, reply) =>
  reply.sse(app.sse.merge(orders, rooms.for(request.params.room))))
typebox.get('/:room', { schema: { params, events: Rooms } }, async (request, reply) => {
  await reply.sse(async function * ({ signal }) { yield * rooms.for(request.params.room).subscribe({ signal }) })
  // @ts-expect-error one of those that are merged has other events
  await reply.sse(app.sse.merge(orders, rooms.for(request.params.room)))
})
typebox.route({ method: 'GET', url: '/:room', schema: { params, events: Rooms }, handler: (request, reply) => reply.sse(rooms.for(request.params.room)) })
typebox.route({
  method: 'GET',
  url: '/:room',
  schema: { params, events: Rooms },
  // @ts-expect-error it has other events
  handler: (_request, reply) => reply.sse(orders.subscribe())
})

// Encapsulated, and in plugins: a channel may be made there, or be handed in.

app.register(async (child) => {
  const news = child.sse.channel('news', { headline: Type.String() })
  child.get('/news', { schema: { events: { headline: Type.String() } } }, (_request, reply) => reply.sse(news))
  child.get('/both', { schema: { events: { headline: Type.String(), ...Rooms.schemas } } }, (_request, reply) => reply.sse(child.sse.merge(news, room)))
  // @ts-expect-error it has other events
  child.get('/', { schema: { events: Orders } }, (_request, reply) => reply.sse(news))
  child.withTypeProvider<TypeBoxTypeProvider>().get('/:room', { schema: { params, events: Rooms } }, (request, reply) => reply.sse(rooms.for(request.params.room)))
})
export const plugin: FastifyPluginAsync<{ channel: Channel<Order> }> = async (child, { channel }) => {
  child.get('/', { schema: { events: Orders } }, (_request, reply) => reply.sse(channel))
  child.get('/', { schema: { events: Rooms } }, async (_request, reply) => {
    // @ts-expect-error it has other events
    await reply.sse(channel)
  })
}
app.register(plugin, { channel: orders })
app.register(plugin, { channel: family.for('a') })
// @ts-expect-error it has other events
app.register(plugin, { channel: room })
export const typeboxPlugin: FastifyPluginAsync<{ prefix: string }, typeof app.server, TypeBoxTypeProvider> = async (child) => {
  child.get('/:room', { schema: { params, events: Rooms } }, ({ params: { room } }, reply) => reply.sse(rooms.for(room)))
}
export const callbackPlugin: FastifyPluginCallback = (child, _options, done) => {
  child.get('/', { schema: { events: Orders } }, (_request, reply) => reply.sse(child.sse.merge(orders)))
  done()
}
export function helper (reply: FastifyReply, source: Channel<Order> | Subscription<Order> | Merge<Order>) {
  return reply.sse(source)
}
helper(typed<FastifyReply>(), app.sse.merge(orders))

// Who publishes or reads needs only the events that it knows.

export function report (channel: Pick<Channel<Order>, 'publish'>) {
  return channel.publish({ event: 'count', data: 1 })
}
report(orders)
report(family.for('a'))
// @ts-expect-error it has other events
report(room)
export async function logAll (events: AsyncIterable<SubscribedEvent<Order>>) {
  for await (const { event } of events) expect<Equal<typeof event, Order['event'] | 'sse.gap'>>()
}
logAll(orders)
logAll(orders.subscribe())
logAll(app.sse.merge(orders, bare))
// @ts-expect-error it has other events
logAll(room)
export function untyped (source: AsyncIterable<UntypedEvent>, reply: FastifyReply) {
  return reply.sse(source)
}
untyped(orders, typed<FastifyReply>())

// Options that are made elsewhere, and hooks whose events are literals.
app.sse.channel('gap', Orders, { onGap: () => [{ event: 'removed', data: { id: 1 } }] })
app.sse.channels('gap', Orders, { async * onGap () { yield Orders.make.closing(); yield { event: 'removed', data: { id: 1 } } } })
export const options: ChannelOptions<Order> = { onJoin: (_member, channel) => channel.publish(Orders.make.closing()) }
app.sse.channel('options', Orders, options)
app.sse.channels('options', Orders, options)
// @ts-expect-error they are of other events
app.sse.channel('options', Rooms, options)
