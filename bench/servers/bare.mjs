// node:http as people write it by hand: one write for each event, and a wait for `drain`. Nothing is checked.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { closed, report, workload } from './harness.mjs'

const HEAD = { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' }

async function stream (response) {
  response.writeHead(200, HEAD)
  for await (const { event, data, id } of workload.ticks()) {
    if (response.destroyed) return
    if (!response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\nid: ${id}\n\n`)) await once(response, 'drain')
  }
  response.end()
}

async function idle (response) {
  response.writeHead(200, HEAD)
  response.write('event: hello\ndata: null\nid: 1\n\n')
  await closed(response)
}

const server = createServer((request, response) => {
  if (request.url === '/stream') stream(response)
  else idle(response)
})
server.listen(0, '127.0.0.1', () => report(server.address().port))
