import { Type } from '@sinclair/typebox'
import Fastify from 'fastify'
import { report, workload } from './harness.mjs'

const { default: ssePlugin, defineEvents } = await import(process.env.BENCH_LIB)

const Ticks = defineEvents({
  hello: Type.Null(),
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
const options = { schema: { events: Ticks } }

app.get('/stream', options, (_request, reply) => reply.sse(workload.ticks()))

app.get('/idle', options, (_request, reply) => reply.sse(async function * ({ signal }) {
  yield Ticks.make.hello()
  await new Promise((resolve) => signal.addEventListener('abort', resolve))
}))

app.get('/idle-push', options, (_request, reply) => {
  const stream = reply.sse()
  stream.send(Ticks.make.hello())
  return stream.closed
})

await app.listen({ port: 0, host: '127.0.0.1' })
report(app.server.address().port)
