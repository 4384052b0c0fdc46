// What an EventEmitter emits, to every client that listens. When a client leaves, its listener goes.
//
//   node --import tsx examples/event-emitter.ts
//   curl -N http://127.0.0.1:3000/prices
//   curl http://127.0.0.1:3000/listeners       # 1 while the first curl runs, 0 once you have stopped it
import { EventEmitter } from 'node:events'
import { Type } from '@sinclair/typebox'
import Fastify from 'fastify'
import ssePlugin, { defineEvents } from 'fastify-typed-sse'

const Prices = defineEvents({
  price: Type.Object({ symbol: Type.String(), price: Type.Number() })
})

// Whatever your application emits already: a job queue, a database's change feed, a message broker's client.
const ticker = new EventEmitter()
const timer = setInterval(() => {
  ticker.emit('price', 'ACME', Math.round(10_000 + Math.random() * 1000) / 100)
}, 500)

const app = Fastify({ logger: { level: 'warn' } })
await app.register(ssePlugin)
app.addHook('onClose', async () => clearInterval(timer))

app.get('/prices', { schema: { events: Prices } }, (_request, reply) =>
  reply.sse(async function * ({ signal }) {
    // The type argument names the arguments of emit('price', …). Each round of the loop gets them as an array.
    // Of what a client is too slow to take, the newest 1024 wait for it, or as many as you say here.
    const prices = app.sse.on<[symbol: string, price: number]>(ticker, 'price', { signal, maxWaiting: 100 })
    for await (const [symbol, price] of prices) {
      yield { event: 'price', data: { symbol, price } }
    }
    // Do not use events.on() of node:events here without the signal: its listeners stay when a client leaves.
  }))

app.get('/listeners', async () => ({ price: ticker.listenerCount('price'), error: ticker.listenerCount('error') }))

process.once('SIGINT', () => app.close())
process.once('SIGTERM', () => app.close())

const url = await app.listen({ port: Number(process.env['PORT'] ?? 3000), host: '127.0.0.1' })
console.log(`Listening on ${url}. Try:\n\n  curl -N ${url}/prices\n  curl ${url}/listeners\n`)
