import { createChannel, createSession } from 'better-sse'
import Fastify from 'fastify'
import { serve } from './harness.mjs'

const app = Fastify()
const channel = createChannel()

app.get('/feed', async (request, reply) => {
  reply.hijack()
  const session = await createSession(request.raw, reply.raw)
  channel.register(session)
})
await app.listen({ port: 0, host: '127.0.0.1' })

await serve({
  server: app.server,
  publish: ({ event, data, id }) => channel.broadcast(data, event, { eventId: id }),
  subscribers: () => channel.sessionCount,
  close: () => app.close()
})
