import { once } from 'node:events'
import t from 'tap'
import { createApp, listen } from '../support/app.js'
import { connect, rawConnect } from '../support/client.js'
import { until } from '../support/sources.js'
import { createProducer, END, frame, nothingLeft, type Producer } from './producer.js'

// Each of these timeouts is first seen at work on something that is no stream, and that began later than the stream did.

const GET = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'

/** The frame of an event of that route. */
function framed (url: string, data: unknown): string {
  return (url === '/declared' ? 'event: message\n' : '') + frame(data)
}

/** Routes that stream, as many ways as there are to declare one. */
function addStreams (app: Awaited<ReturnType<typeof createApp>>['app'], producers: Record<string, Producer>, options: object = {}): void {
  const handler = (request: any, reply: any): unknown => reply.sse(producers[request.url]!.source)
  app.get('/declared', { ...options, schema: { events: { message: { type: 'integer' } } } } as object, (request: any, reply: any) =>
    reply.sse(async function * (ctx: any) {
      for await (const { data } of producers[request.url]!.source(ctx)) yield { event: 'message', data }
    }))
  app.get('/with-options', { ...options, sse: { heartbeatMs: 0 } }, handler)
  app.get('/plain', options, handler)
  app.post('/plain', options, handler)
}

t.test('handlerTimeout of the server answers a handler that hangs, and does not cut a stream', async (t) => {
  const { app } = await createApp(t, {}, { handlerTimeout: 150 })
  const producers: Record<string, Producer> = { '/declared': createProducer(1), '/with-options': createProducer(1), '/plain': createProducer(1) }
  addStreams(app, producers)
  app.get('/hangs', () => new Promise(() => {}))
  const { origin } = await listen(app)
  const clients = []
  for (const url of Object.keys(producers)) clients.push(await connect(t, origin + url))
  for (const client of clients) await client.events(1)
  t.equal((await connect(t, `${origin}/hangs`)).status, 503)
  for (const [n, [url, producer]] of Object.entries(producers).entries()) {
    producer.give(2)
    t.strictSame(await clients[n]!.events(1), [framed(url, 2)], url)
    t.equal(producer.returned, 0, url)
    producer.finish()
    t.equal(await clients[n]!.rest(), END)
  }
  await nothingLeft(app)
})

t.test('handlerTimeout of a route does not cut its stream', async (t) => {
  const { app } = await createApp(t)
  const producers: Record<string, Producer> = { '/declared': createProducer(1), '/with-options': createProducer(1), '/plain': createProducer(1) }
  addStreams(app, producers, { handlerTimeout: 150 })
  app.get('/hangs', { handlerTimeout: 150 }, () => new Promise(() => {}))
  const { origin } = await listen(app)
  const clients = []
  for (const url of Object.keys(producers)) clients.push(await connect(t, origin + url))
  for (const client of clients) await client.events(1)
  t.equal((await connect(t, `${origin}/hangs`)).status, 503)
  for (const [n, [url, producer]] of Object.entries(producers).entries()) {
    producer.give(2)
    t.strictSame(await clients[n]!.events(1), [framed(url, 2)], url)
    clients[n]!.fin()
  }
  await nothingLeft(app)
  t.strictSame(Object.values(producers).map(({ returned }) => returned), [1, 1, 1])
})

t.test('handlerTimeout does not cut a stream that has not had its first event yet', async (t) => {
  const { app } = await createApp(t, {}, { handlerTimeout: 150 })
  const producer = createProducer()
  app.get('/', (_request, reply) => reply.sse(producer.source))
  app.get('/hangs', () => new Promise(() => {}))
  const { origin } = await listen(app)
  const client = await connect(t, origin)
  t.equal((await connect(t, `${origin}/hangs`)).status, 503)
  producer.give(1)
  t.strictSame(await client.events(1), [frame(1)])
  client.fin()
  await nothingLeft(app)
  t.equal(producer.returned, 1)
})

t.test('connectionTimeout ends a connection that is idle, and not one with a quiet stream', async (t) => {
  const { app } = await createApp(t, { heartbeatMs: 0 }, { connectionTimeout: 200 })
  const producer = createProducer(1)
  app.get('/', (_request, reply) => reply.sse(producer.source))
  const { port } = await listen(app)
  const client = await rawConnect(t, port, GET)
  await client.until(frame(1))
  const idle = await rawConnect(t, port, '')
  await once(idle, 'end')
  producer.give(2)
  await until(() => client.received().includes(frame(2)) || client.readableEnded)
  t.ok(client.received().includes(frame(2)))
  client.end()
  await nothingLeft(app)
  t.equal(producer.returned, 1)
})

t.test('after a stream connectionTimeout and keepAliveTimeout hold for its connection again', async (t) => {
  const { app } = await createApp(t, {}, { connectionTimeout: 200, keepAliveTimeout: 200 })
  app.get('/', (_request, reply) => reply.sse([{ data: 1 }]))
  const { port } = await listen(app)
  const client = await rawConnect(t, port, GET)
  await client.until(END)
  await once(client, 'end')
  await nothingLeft(app)
  t.pass('the connection was ended')
})

t.test('keepAliveTimeout ends a connection that is kept, and not one with a quiet stream', async (t) => {
  const { app } = await createApp(t, { heartbeatMs: 0 }, { keepAliveTimeout: 100 })
  const producer = createProducer(1)
  app.get('/', (_request, reply) => reply.sse(producer.source))
  app.get('/text', async () => 'text')
  const { port } = await listen(app)
  // The connection has been idle before, so the timeout has been set on it.
  const client = await rawConnect(t, port, 'GET /text HTTP/1.1\r\nHost: x\r\n\r\n')
  await client.until('text')
  client.write(GET)
  await client.until(frame(1))
  const idle = await rawConnect(t, port, 'GET /text HTTP/1.1\r\nHost: x\r\n\r\n')
  await once(idle, 'end')
  producer.give(2)
  await until(() => client.received().includes(frame(2)) || client.readableEnded)
  t.ok(client.received().includes(frame(2)))
  client.end()
  await nothingLeft(app)
  t.equal(producer.returned, 1)
})

t.test('requestTimeout refuses a request that does not arrive, and does not cut a stream', async (t) => {
  const { app } = await createApp(t, { heartbeatMs: 0 }, { requestTimeout: 150, http: { headersTimeout: 100, connectionsCheckingInterval: 20 } } as object)
  const producer = createProducer(1)
  app.post('/', (_request, reply) => reply.sse(producer.source))
  const { port } = await listen(app)
  const client = await rawConnect(t, port, 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n')
  await client.until(frame(1))
  const late = await rawConnect(t, port, 'POST / HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\n')
  await late.until('408')
  t.match(late.received(), /^HTTP\/1\.1 408 /)
  producer.give(2)
  await until(() => client.received().includes(frame(2)) || client.readableEnded)
  t.ok(client.received().includes(frame(2)))
  client.end()
  await nothingLeft(app)
  t.equal(producer.returned, 1)
})

t.test('maxRequestsPerSocket counts a stream as one request', async (t) => {
  const { app } = await createApp(t, {}, { maxRequestsPerSocket: 2 })
  app.get('/', (_request, reply) => reply.sse([{ data: 1 }]))
  const { port } = await listen(app)
  const client = await rawConnect(t, port, GET)
  await client.until(END)
  t.match(client.received(), /\r\nKeep-Alive: timeout=72, max=2\r\n/)
  client.write(GET)
  await until(() => client.received().split(END).length === 3)
  t.match(client.received().split(END)[1], /\r\nConnection: close\r\n/)
  client.end()
  await nothingLeft(app)
})
