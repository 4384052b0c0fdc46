// It has no channel: a set of replies, and reply.sse(event) for each. (An iterator of an emitter for each reply, its other way, costs more.)
import Fastify from 'fastify'
import { FastifySSEPlugin } from 'fastify-sse-v2'
import { serve } from './harness.mjs'

const app = Fastify()
await app.register(FastifySSEPlugin)
const replies = new Set()

app.get('/feed', (request, reply) => {
  reply.sse({ event: 'hello', data: 'null' })
  replies.add(reply)
  request.socket.on('close', () => replies.delete(reply))
})
await app.listen({ port: 0, host: '127.0.0.1' })

await serve({
  server: app.server,
  publish ({ event, data, id }) {
    // It sends strings: the JSON is the user's own, and made once.
    const json = JSON.stringify(data)
    for (const reply of replies) reply.sse({ event, data: json, id })
  },
  subscribers: () => replies.size,
  close: () => app.close()
})
