// On node:http. The Fastify adapter of its README does not work with Fastify 5: reply.send() of a stream that has written its head already is an error.
// A client subscribes with a request of its own there; the server does it here. Its events have neither a type nor an ID.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { Transmit } from '@boringnode/transmit'
import { serve } from './harness.mjs'

const transmit = new Transmit({ pingInterval: false, transport: null })

let streams = 0
const server = createServer((request, response) => {
  const uid = String(++streams)
  transmit.createStream({ uid, context: {}, request, response })
  transmit.subscribe({ uid, channel: 'ticks', context: {} })
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')

await serve({
  server,
  publish: ({ data }) => transmit.broadcast('ticks', data),
  subscribers: () => transmit.getSubscribersFor('ticks').length,
  async close () {
    await transmit.shutdown()
    await new Promise((resolve) => server.close(resolve))
  }
})
