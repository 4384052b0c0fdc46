import fastifySSE from '@fastify/sse'
import Fastify from 'fastify'
import { closed, report, workload } from './harness.mjs'

const app = Fastify()
await app.register(fastifySSE)

app.get('/stream', { sse: 'only' }, async (_request, reply) => {
  await reply.sse.send(workload.ticks())
})

app.get('/idle', { sse: 'only' }, async (_request, reply) => {
  await reply.sse.send((async function * () {
    yield { event: 'hello', data: null, id: '1' }
    await closed(reply.raw)
  })())
})

app.get('/idle-push', { sse: 'only' }, async (_request, reply) => {
  reply.sse.keepAlive()
  await reply.sse.send({ event: 'hello', data: null, id: '1' })
})

await app.listen({ port: 0, host: '127.0.0.1' })
report(app.server.address().port)
