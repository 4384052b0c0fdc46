import { once } from 'node:events'
import http from 'node:http'
import type { Readable } from 'node:stream'
import { createGunzip, createGzip, constants as zlib } from 'node:zlib'
import compress from '@fastify/compress'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { createApp, listen } from '../support/app.js'
import { connect } from '../support/client.js'
import { until } from '../support/sources.js'
import { createProducer, END, frame, nothingLeft, OPENING, type Producer } from './producer.js'

const LONG = 'text '.repeat(1000)

/** An application with a stream that ends when its producer does, and a route whose answer is worth compressing. */
async function createCompressed (t: Test, options: object): Promise<{ app: FastifyInstance, origin: string, producer: Producer }> {
  const { app } = await createApp(t)
  await app.register(compress, options)
  const producer = createProducer()
  app.get('/', (_request, reply) => reply.sse(producer.source))
  app.get('/text', (_request, reply) => reply.send(LONG))
  const { origin } = await listen(app)
  return { app, origin, producer }
}

for (const [name, options] of [
  ['by default', {}],
  ['with customTypes that match everything', { customTypes: /./, threshold: 0 }],
  ['with a customTypes function', { customTypes: () => true, threshold: 0 }],
  ['with inflateIfDeflated', { inflateIfDeflated: true, customTypes: /./ }]
] as const) {
  t.test(`@fastify/compress ${name}: events arrive one by one and uncompressed, while other routes are compressed`, async (t) => {
    const { app, origin, producer } = await createCompressed(t, options)
    const headers = { 'accept-encoding': 'gzip' }
    const client = await connect(t, origin, { headers })
    t.equal(client.headers['content-encoding'], undefined)
    t.equal(client.headers['content-type'], 'text/event-stream')
    for (const n of [1, 2, 3]) {
      producer.give(n)
      t.strictSame(await client.events(1), [frame(n)])
    }
    const other = await connect(t, `${origin}/text`, { headers })
    t.equal(other.headers['content-encoding'], 'gzip')
    producer.finish()
    t.equal(await client.rest(), END)
    t.equal(client.text, OPENING + frame(1) + frame(2) + frame(3) + END)
    await nothingLeft(app)
    t.equal(producer.returned, 1)
  })
}

t.test('@fastify/compress: a client that leaves stops the source, whatever is compressed', async (t) => {
  const { app, origin, producer } = await createCompressed(t, { customTypes: /./, threshold: 0 })
  producer.give(1)
  const client = await connect(t, origin, { headers: { 'accept-encoding': 'gzip' } })
  t.strictSame(await client.events(1), [frame(1)])
  client.rst()
  await nothingLeft(app)
  t.equal(producer.returned, 1)
})

t.test('@fastify/compress with onUnsupportedEncoding: `compress: false` on the route keeps the stream', async (t) => {
  const { app } = await createApp(t)
  // @fastify/compress 9 calls it for whatever it leaves as it is, also for clients that accept gzip.
  await app.register(compress, {
    onUnsupportedEncoding: (encoding, _request, reply) => {
      reply.code(406)
      return JSON.stringify({ encoding })
    }
  })
  const left = createProducer(1)
  const kept = createProducer(1)
  app.get('/', (_request, reply) => reply.sse(left.source))
  app.get('/kept', { compress: false }, (_request, reply) => reply.sse(kept.source))
  const { origin } = await listen(app)
  const headers = { 'accept-encoding': 'gzip' }
  const client = await connect(t, `${origin}/kept`, { headers })
  t.equal(client.status, 200)
  t.strictSame(await client.events(1), [frame(1)])
  client.fin()
  // Without it the handler's answer replaces the stream, and nothing of that stays.
  const replaced = await connect(t, origin, { headers })
  t.equal(replaced.status, 406)
  t.equal(await replaced.rest(), '{"encoding":"gzip"}')
  await nothingLeft(app)
  t.equal(kept.returned, 1)
  t.equal(left.returned, left.started)
  t.strictSame(app.sse.stats().closed, { 'client-left': 1, 'response-replaced': 1 })
})

t.test('@fastify/compress: an error before the first event is an ordinary response, compressed or not', async (t) => {
  const { app } = await createApp(t)
  await app.register(compress, { threshold: 0 })
  app.get('/', (_request, reply) => reply.sse(() => { throw Object.assign(new Error(LONG), { statusCode: 403 }) }))
  const response = await app.inject({ url: '/', headers: { 'accept-encoding': 'identity' } })
  t.equal(response.statusCode, 403)
  t.equal(response.json().message, LONG)
  await nothingLeft(app)
})

t.test('a hook that compresses and flushes each chunk sends events one by one', async (t) => {
  const { app } = await createApp(t)
  const producer = createProducer()
  app.addHook('onSend', async (_request, reply, payload) => {
    reply.header('content-encoding', 'gzip')
    return (payload as Readable).pipe(createGzip({ flush: zlib.Z_SYNC_FLUSH }))
  })
  app.get('/', (_request, reply) => reply.sse(producer.source))
  const { origin } = await listen(app)
  const request = http.get(origin)
  request.on('error', () => {})
  t.teardown(() => request.destroy())
  const [response] = await once(request, 'response') as [http.IncomingMessage]
  let text = ''
  response.pipe(createGunzip()).setEncoding('utf8').on('data', (chunk: string) => { text += chunk })
  for (const n of [1, 2, 3]) {
    producer.give(n)
    await until(() => text.endsWith(frame(n)))
  }
  t.equal(text, OPENING + frame(1) + frame(2) + frame(3))
  response.socket.resetAndDestroy()
  await nothingLeft(app)
  t.equal(producer.returned, 1)
})
