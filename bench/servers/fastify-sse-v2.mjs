import Fastify from 'fastify'
import { FastifySSEPlugin } from 'fastify-sse-v2'
import { closed, report, workload } from './harness.mjs'

const app = Fastify()
await app.register(FastifySSEPlugin)

async function * stringified (events) {
  // It sends strings: the JSON is the user's own.
  for await (const { event, data, id } of events) yield { event, data: JSON.stringify(data), id }
}

app.get('/stream', (_request, reply) => {
  reply.sse(stringified(workload.ticks()))
})

app.get('/idle', (_request, reply) => {
  reply.sse((async function * () {
    yield { event: 'hello', data: 'null', id: '1' }
    await closed(reply.raw)
  })())
})

app.get('/idle-push', (_request, reply) => {
  reply.sse({ event: 'hello', data: 'null', id: '1' })
})

await app.listen({ port: 0, host: '127.0.0.1' })
report(app.server.address().port)
