import { createSession } from 'better-sse'
import Fastify from 'fastify'
import { closed, report, workload } from './harness.mjs'

const app = Fastify()

// session.iterate() is this loop without IDs of one's own.
app.get('/stream', async (request, reply) => {
  reply.hijack()
  const session = await createSession(request.raw, reply.raw)
  for await (const { event, data, id } of workload.ticks()) session.push(data, event, id)
})

app.get('/idle', async (request, reply) => {
  reply.hijack()
  const session = await createSession(request.raw, reply.raw)
  session.push(null, 'hello', '1')
  await closed(reply.raw)
})

app.get('/idle-push', async (request, reply) => {
  reply.hijack()
  const session = await createSession(request.raw, reply.raw)
  session.push(null, 'hello', '1')
})

await app.listen({ port: 0, host: '127.0.0.1' })
report(app.server.address().port)
