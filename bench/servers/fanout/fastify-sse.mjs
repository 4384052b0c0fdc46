// It has no channel: a set of replies, as one writes it with send(), keepAlive(), onClose() and replay().
import fastifySSE from '@fastify/sse'
import Fastify from 'fastify'
import { BACKLOG, serve } from './harness.mjs'

const app = Fastify()
await app.register(fastifySSE)
const replies = new Set()
const history = []

app.get('/feed', { sse: 'only' }, async (_request, reply) => {
  reply.sse.keepAlive()
  // Nothing leaves before something is sent.
  await reply.sse.send({ event: 'hello', data: null })
  await reply.sse.replay(async (lastEventId) => {
    for (const event of history.slice(history.findIndex(({ id }) => id === lastEventId) + 1)) await reply.sse.send(event)
  })
  replies.add(reply)
  reply.sse.onClose(() => replies.delete(reply))
})
await app.listen({ port: 0, host: '127.0.0.1' })

await serve({
  server: app.server,
  publish (event) {
    history.push(event)
    if (history.length > BACKLOG) history.shift()
    // It resolves when there is room for more: to wait for it would be to wait for the slowest.
    for (const reply of replies) reply.sse.send(event).catch(() => {})
  },
  subscribers: () => replies.size,
  lastEventId: () => history.at(-1).id,
  close: () => app.close()
})
