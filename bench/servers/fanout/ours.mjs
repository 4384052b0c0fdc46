import { Type } from '@sinclair/typebox'
import Fastify from 'fastify'
import { BACKLOG, serve } from './harness.mjs'

const { default: ssePlugin, defineEvents } = await import(process.env.BENCH_LIB)

const Ticks = defineEvents({
  tick: Type.Object({
    sequence: Type.Integer({ minimum: 0 }),
    symbol: Type.String({ minLength: 1 }),
    exchange: Type.String(),
    bid: Type.Number(),
    ask: Type.Number(),
    volume: Type.Integer(),
    isOpen: Type.Boolean(),
    currency: Type.Union([Type.Literal('USD'), Type.Literal('EUR')]),
    at: Type.String(),
    note: Type.Optional(Type.String())
  })
})

const app = Fastify()
await app.register(ssePlugin)
const feed = app.sse.channel('ticks', Ticks, { backlog: { events: BACKLOG } })
app.get('/feed', { schema: { events: Ticks } }, (_request, reply) => reply.sse(feed))
await app.listen({ port: 0, host: '127.0.0.1' })

await serve({
  server: app.server,
  // The channel gives the IDs.
  publish: ({ event, data }) => feed.publish({ event, data }),
  subscribers: () => feed.subscribers,
  lastEventId: () => feed.lastEventId,
  close: () => app.close()
})
