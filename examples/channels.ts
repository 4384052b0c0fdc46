// An order board. What is published to a channel reaches everybody who looks at it, and who was away for a moment gets
// what was published meanwhile.
//
//   node --import tsx examples/channels.ts
//   curl -N http://127.0.0.1:3000/orders
//   curl http://127.0.0.1:3000/orders -H 'content-type: application/json' -d '{ "customer": "ada", "item": "tea" }'
//   curl http://127.0.0.1:3000/orders/1/state -H 'content-type: application/json' -d '{ "state": "packed" }'
//   curl -N 'http://127.0.0.1:3000/orders?customer=ada'
//   curl -N http://127.0.0.1:3000/prices
//   curl http://127.0.0.1:3000/stats
//
// Stop the first curl, change an order, and start it again with the last ID that it printed: -H 'last-event-id: …'.
// It goes on there, as an EventSource does by itself.
import { Type, type Static } from '@sinclair/typebox'
import Fastify from 'fastify'
import ssePlugin, { defineEvents } from 'fastify-typed-sse'

const Item = Type.Union([Type.Literal('tea'), Type.Literal('coffee'), Type.Literal('cocoa')])

const Order = Type.Object({
  number: Type.Integer(),
  customer: Type.String({ minLength: 1, maxLength: 40 }),
  item: Item,
  state: Type.Union([Type.Literal('placed'), Type.Literal('packed')])
})

const Orders = defineEvents({
  // The whole order, new or changed, and not what has changed in it: then it does no harm to get one twice.
  order: Order,
  shipped: Type.Pick(Order, ['number', 'customer'])
})

const Prices = defineEvents({
  price: Type.Object({ item: Item, price: Type.Number() })
})

const app = Fastify({ logger: { level: 'warn' } })
await app.register(ssePlugin)

// What is kept for those who come back: the last 100 events, if they are not older than ten minutes.
const orders = app.sse.channel('orders', Orders, { backlog: { events: 100, ageMs: 10 * 60_000 } })

/** Stands in for the database. */
const open = new Map<number, Static<typeof Order>>()
let lastNumber = 0

const NewOrder = Type.Pick(Order, ['customer', 'item'])

app.post<{ Body: Static<typeof NewOrder> }>('/orders', { schema: { body: NewOrder } }, async ({ body: { customer, item } }, reply) => {
  const order: Static<typeof Order> = { number: ++lastNumber, customer, item, state: 'placed' }
  // First the state, then the event: a snapshot that is read in between has the order, and the event comes after it.
  open.set(order.number, order)
  await orders.publish({ event: 'order', data: order })
  return reply.code(201).send(order)
})

const Place = Type.Pick(Order, ['number'])
const Change = Type.Object({ state: Type.Union([Type.Literal('packed'), Type.Literal('shipped')]) })

app.post<{ Params: Static<typeof Place>, Body: Static<typeof Change> }>('/orders/:number/state', { schema: { params: Place, body: Change } },
  async ({ params: { number }, body: { state } }, reply) => {
    const order = open.get(number)
    if (order === undefined) return reply.code(404).send({ message: `There is no open order ${number}.` })
    if (state === 'shipped') {
      open.delete(number)
      return await orders.publish({ event: 'shipped', data: { number, customer: order.customer } })
    }
    order.state = state
    return await orders.publish({ event: 'order', data: order })
  })

const Whose = Type.Object({ customer: Type.Optional(Order.properties.customer) })

app.get<{ Querystring: Static<typeof Whose>, Events: typeof Orders }>('/orders', { schema: { querystring: Whose, events: Orders } },
  ({ query: { customer } }, reply) => reply.sse(orders.subscribe({
    // In your application the customer is who has signed in. Without a filter all clients share the bytes that are sent.
    filter: customer === undefined ? undefined : ({ data }) => data.customer === customer,
    // Events alone do not say which orders were open before. This is sent to a client that comes for the first time, and
    // to one that was away for more than is kept; that one is told so by sse.gap, on which it empties its board.
    snapshot: () => [...open.values()]
      .filter((order) => customer === undefined || order.customer === customer)
      .map((order) => Orders.make.order(order))
  })))

const prices = app.sse.channel('prices', Prices)

const now = new Map<Static<typeof Item>, number>([['tea', 3.2], ['coffee', 4.5], ['cocoa', 3.9]])

// One publisher, however many look on: nobody is waited for.
const timer = setInterval(() => {
  for (const [item, price] of now) {
    now.set(item, Math.round(price * 100 + Math.random() * 10 - 5) / 100)
    prices.publish({ event: 'price', data: { item, price: now.get(item)! } })
  }
}, 200)
app.addHook('onClose', async () => clearInterval(timer))

app.get('/prices', { schema: { events: Prices } }, (_request, reply) => reply.sse(prices.subscribe({
  // Nobody wants yesterday's price. For a client that is behind, because its connection is slow or it has been away, an
  // event takes the place of the earlier one about the same item. One that keeps up gets them all.
  latestBy: ({ data }) => data.item,
  snapshot: () => [...now].map(([item, price]) => Prices.make.price({ item, price }))
})))

app.get('/stats', async () => app.sse.stats().channels)

process.once('SIGINT', () => app.close())
process.once('SIGTERM', () => app.close())

const url = await app.listen({ port: Number(process.env['PORT'] ?? 3000), host: '127.0.0.1' })
console.log(`Listening on ${url}. Try:

  curl -N ${url}/orders
  curl ${url}/orders -H 'content-type: application/json' -d '{ "customer": "ada", "item": "tea" }'
  curl ${url}/orders/1/state -H 'content-type: application/json' -d '{ "state": "packed" }'
  curl -N '${url}/orders?customer=ada'
  curl -N ${url}/prices
  curl ${url}/stats
`)
