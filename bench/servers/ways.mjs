// Ways to write a stream inside Fastify without a plugin. One process for each: BENCH_WAY says which.
import { once } from 'node:events'
import { Readable } from 'node:stream'
import Fastify from 'fastify'
import { report, workload } from './harness.mjs'

async function * frames () {
  for await (const { event, data, id } of workload.ticks()) yield `event: ${event}\ndata: ${JSON.stringify(data)}\nid: ${id}\n\n`
}

const WAYS = {
  hijack: async (_request, reply) => {
    reply.hijack()
    reply.raw.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' })
    for await (const frame of frames()) {
      if (reply.raw.destroyed) return
      if (!reply.raw.write(frame)) await once(reply.raw, 'drain')
    }
    reply.raw.end()
  },
  readable: (_request, reply) => reply.type('text/event-stream').send(Readable.from(frames())),
  'readable-bytes': (_request, reply) => reply.type('text/event-stream').send(Readable.from(frames(), { objectMode: false })),
  response: (_request, reply) => reply.send(new Response(ReadableStream.from(encoded()), { headers: { 'content-type': 'text/event-stream' } })),
  'web-stream': (_request, reply) => reply.type('text/event-stream').send(ReadableStream.from(encoded()))
}

const encoder = new TextEncoder()

async function * encoded () {
  for await (const frame of frames()) yield encoder.encode(frame)
}

const app = Fastify()
app.get('/stream', WAYS[process.env.BENCH_WAY])
await app.listen({ port: 0, host: '127.0.0.1' })
report(app.server.address().port)
