import websocket from '@fastify/websocket'
import t, { type Test } from 'tap'
import { WebSocket } from 'undici'
import ssePlugin from '../../lib/index.js'
import { createApp, createLogged, listen } from '../support/app.js'
import { connect } from '../support/client.js'
import { createProducer, frame, nothingLeft } from './producer.js'

/** A WebSocket that is open, and the messages it gets. */
async function openSocket (t: Test, url: string): Promise<{ socket: WebSocket, next: () => Promise<string>, closed: Promise<number> }> {
  const socket = new WebSocket(url)
  t.teardown(() => socket.close())
  const next = (): Promise<string> => new Promise((resolve) => {
    socket.addEventListener('message', ({ data }) => resolve(String(data)), { once: true })
  })
  const closed = new Promise<number>((resolve) => {
    socket.addEventListener('close', ({ code }) => resolve(code), { once: true })
  })
  await new Promise<void>((resolve, reject) => {
    socket.addEventListener('open', () => resolve(), { once: true })
    socket.addEventListener('error', () => reject(new Error('the WebSocket did not open')), { once: true })
  })
  return { socket, next, closed }
}

t.test('@fastify/websocket: streams and sockets live in one application, on one URL even, and close ends both', async (t) => {
  const { app } = await createApp(t)
  await app.register(websocket)
  const producer = createProducer(1)
  app.route({
    method: 'GET',
    url: '/',
    schema: { events: { message: { type: 'integer' } } },
    handler: (_request, reply) => reply.sse(async function * (ctx) {
      for await (const { data } of producer.source(ctx)) yield { event: 'message', data: data as never }
    }),
    wsHandler: (socket) => { socket.on('message', (message: Buffer) => { socket.send(`echo ${String(message)}`) }) }
  })
  const { origin, port } = await listen(app)
  const client = await connect(t, origin)
  const { socket, next, closed } = await openSocket(t, `ws://127.0.0.1:${port}/`)
  t.strictSame(await client.events(1), ['event: message\n' + frame(1)])
  const echoed = next()
  socket.send('hi')
  t.equal(await echoed, 'echo hi')
  producer.give(2)
  t.strictSame(await client.events(1), ['event: message\n' + frame(2)])

  await app.close()
  t.match(await client.rest(), /^retry: \d+\n\n$/)
  t.equal(client.ended, 'end')
  t.equal(await closed, 1005)
  await nothingLeft(app)
  t.equal(producer.returned, 1)
})

t.test('@fastify/websocket: whichever plugin is registered first', async (t) => {
  const { app } = createLogged(t)
  await app.register(websocket)
  await app.register(ssePlugin)
  const producer = createProducer(1)
  app.get('/', (_request, reply) => reply.sse(producer.source))
  app.get('/socket', { websocket: true }, (socket) => { socket.send('hello') })
  const { origin, port } = await listen(app)
  const client = await connect(t, origin)
  const { closed } = await openSocket(t, `ws://127.0.0.1:${port}/socket`)
  t.strictSame(await client.events(1), [frame(1)])
  await app.close()
  t.match(await client.rest(), /^retry: \d+\n\n$/)
  await closed
  t.equal(producer.returned, 1)
})

t.test('@fastify/websocket: a client that leaves one of them leaves the other open', async (t) => {
  const { app } = await createApp(t)
  await app.register(websocket)
  const producer = createProducer(1)
  app.get('/', (_request, reply) => reply.sse(producer.source))
  app.get('/socket', { websocket: true }, (socket) => { socket.on('message', () => { socket.send('here') }) })
  const { origin, port } = await listen(app)
  const client = await connect(t, origin)
  const { socket, next } = await openSocket(t, `ws://127.0.0.1:${port}/socket`)
  await client.events(1)
  client.rst()
  await nothingLeft(app)
  t.equal(producer.returned, 1)
  const answer = next()
  socket.send('?')
  t.equal(await answer, 'here')
})
