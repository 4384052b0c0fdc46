// node:http as people write it by hand: a set of responses, and a write to each of them. Nothing is checked, and nobody's buffer is looked at.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { serve } from './harness.mjs'

const responses = new Set()

const server = createServer((_request, response) => {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' })
  response.flushHeaders()
  responses.add(response)
  response.on('close', () => responses.delete(response))
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')

await serve({
  server,
  publish ({ event, data, id }) {
    const frame = `event: ${event}\ndata: ${JSON.stringify(data)}\nid: ${id}\n\n`
    for (const response of responses) response.write(frame)
  },
  subscribers: () => responses.size,
  close: () => new Promise((resolve) => server.close(resolve))
})
