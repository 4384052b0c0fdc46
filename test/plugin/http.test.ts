import dns from 'node:dns'
import { EventEmitter, once } from 'node:events'
import http from 'node:http'
import net, { type AddressInfo, type Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { createProducer, END, frame, nothingLeft, OPENING, type Producer } from '../citizen/producer.js'
import { createApp, listen } from '../support/app.js'
import { connect, rawConnect } from '../support/client.js'
import { requirePart } from '../support/parts.js'
import { deferred, until } from '../support/sources.js'

const BIG = 'x'.repeat(20_000)
const RETRY = /^retry: \d+\n\n$/

/** An application with one stream on `/`, for GET and POST, fed by `producer`. */
async function createStreaming (t: Test, serverOptions: object = {}, options: object = {}): Promise<{ app: FastifyInstance, producer: Producer, sockets: Socket[] }> {
  const { app } = await createApp(t, options, serverOptions)
  const producer = createProducer(1)
  const sockets: Socket[] = []
  app.server.on('connection', (socket: Socket) => { sockets.push(socket) })
  app.route({ method: ['GET', 'POST'], url: '/', handler: (_request, reply) => reply.sse(producer.source) })
  return { app, producer, sockets }
}

/** The head and the body of what a bare socket received. */
function split (received: string): { head: string[], body: string } {
  const end = received.indexOf('\r\n\r\n')
  return { head: received.slice(0, end).split('\r\n'), body: received.slice(end + 4) }
}

/** How many listeners there are for each event. */
function listeners (emitter: Socket): Record<string, number> {
  return Object.fromEntries(emitter.eventNames().map((name) => [String(name), emitter.listenerCount(name)]))
}

/** Waits until the source has stopped for want of room: nothing was made in a whole round of turns. */
async function parked (app: FastifyInstance): Promise<void> {
  let seen = -1
  await until(() => {
    const { events } = app.sse.stats()
    const isParked = events > 0 && events === seen
    seen = events
    return isParked
  })
}

// HTTP/1.0 and connections that are not kept

t.test('HTTP/1.0 gets the events without chunks, and the connection ends with the stream', async (t) => {
  for (const header of ['', 'Connection: keep-alive\r\n']) {
    const { app, producer } = await createStreaming(t)
    const { port } = await listen(app)
    const socket = await rawConnect(t, port, `GET / HTTP/1.0\r\n${header}\r\n`)
    await socket.until(frame(1))
    producer.give(2)
    await socket.until(frame(2))
    producer.finish()
    await once(socket, 'end')
    const { head, body } = split(socket.received())
    t.equal(body, OPENING + frame(1) + frame(2) + END)
    t.strictSame(head.filter((line) => /^(connection|transfer-encoding|content-length|keep-alive):/i.test(line)), ['Connection: close'])
    await nothingLeft(app)
    t.equal(producer.returned, 1)
    socket.destroy()
    await app.close()
  }
})

t.test('a client of HTTP/1.0 that leaves stops the source', async (t) => {
  const { app, producer } = await createStreaming(t)
  const { port } = await listen(app)
  const socket = await rawConnect(t, port, 'GET / HTTP/1.0\r\n\r\n')
  await socket.until(frame(1))
  socket.end()
  await nothingLeft(app)
  t.equal(producer.returned, 1)
})

t.test('«Connection: close» is honoured', async (t) => {
  const { app, producer } = await createStreaming(t)
  const { port } = await listen(app)
  const socket = await rawConnect(t, port, 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
  await socket.until(frame(1))
  producer.finish()
  await once(socket, 'end')
  const { head } = split(socket.received())
  t.strictSame(head.filter((line) => /^(connection|transfer-encoding):/i.test(line)).sort(), ['Connection: close', 'Transfer-Encoding: chunked'])
  t.ok(socket.received().endsWith('\r\n0\r\n\r\n'))
  await nothingLeft(app)
})

// HEAD

t.test('HEAD is answered at once with the headers of the stream, and the connection can be used again', async (t) => {
  for (const exposeHeadRoutes of [true, false]) {
    const { app, producer, sockets } = await createStreaming(t, { exposeHeadRoutes })
    app.route({ method: 'HEAD', url: '/own', handler: (_request, reply) => reply.sse(producer.source) })
    const { port } = await listen(app)
    const url = exposeHeadRoutes ? '/' : '/own'
    const socket = await rawConnect(t, port, `HEAD ${url} HTTP/1.1\r\nHost: x\r\n\r\n`)
    await socket.until('\r\n\r\n')
    const { head, body } = split(socket.received())
    t.equal(head[0], 'HTTP/1.1 200 OK')
    t.ok(head.includes('content-type: text/event-stream'))
    t.notOk(head.some((line) => /^content-length/i.test(line)))
    t.equal(body, '')
    t.equal(producer.started, 0)
    t.equal(app.sse.stats().opened, 0)
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    await socket.until(frame(1))
    t.equal(sockets.length, 1)
    socket.end()
    await nothingLeft(app)
    t.equal(producer.returned, 1)
    await app.close()
  }
})

t.test('HEAD of a route that only takes POST is no route', async (t) => {
  const { app } = await createApp(t)
  const producer = createProducer(1)
  app.post('/', (_request, reply) => reply.sse(producer.source))
  const response = await app.inject({ method: 'HEAD', url: '/' })
  t.equal(response.statusCode, 404)
  t.equal(producer.started, 0)
})

t.test('HEAD with a handle that is used all the same sends nothing', async (t) => {
  const { app } = await createApp(t)
  let taken: boolean | undefined
  app.get('/', async (_request, reply) => {
    const stream = reply.sse()
    taken = await stream.send({ data: 1 })
    stream.comment('x')
    stream.close()
    await stream.closed
  })
  const { origin } = await listen(app)
  const client = await connect(t, origin, { method: 'HEAD' })
  t.equal(client.status, 200)
  t.equal(await client.rest(), '')
  t.equal(taken, false)
})

// inject

t.test('inject of a finite stream gives all of it', async (t) => {
  const { app } = await createApp(t)
  app.get('/', (_request, reply) => reply.sse(Array.from({ length: 500 }, (_, n) => ({ data: n }))))
  const response = await app.inject('/')
  t.equal(response.statusCode, 200)
  t.equal(response.headers['connection'], 'keep-alive', 'what Node sets, not we')
  t.equal(response.body, OPENING + Array.from({ length: 500 }, (_, n) => frame(n)).join('') + END)
  await nothingLeft(app)
})

t.test('inject with payloadAsStream resolves when the stream opens, and holds the source back', async (t) => {
  const { app } = await createApp(t)
  let returned = 0
  app.get('/', (_request, reply) => reply.sse(async function * () {
    try {
      while (true) yield { data: BIG }
    } finally {
      returned++
    }
  }))
  const response = await app.inject({ url: '/', payloadAsStream: true })
  t.equal(response.statusCode, 200)
  t.equal(response.headers['content-type'], 'text/event-stream')
  await parked(app)
  t.ok(app.sse.stats().events < 50, `${app.sse.stats().events} events were made for a reader that did not read`)
  const stream = response.stream()
  for await (const chunk of stream) {
    t.ok(String(chunk).startsWith(OPENING + frame(BIG)))
    break
  }
  await nothingLeft(app)
  t.equal(returned, 1)
})

// One connection, several requests

t.test('a connection is used again after a stream has ended, and no listener stays on it', async (t) => {
  const { app } = await createApp(t)
  app.get('/plain', async () => 'plain')
  app.route({ method: ['GET', 'POST'], url: '/', handler: (_request, reply) => reply.sse([{ data: 1 }, { data: BIG }]) })
  const sockets: Socket[] = []
  app.server.on('connection', (socket: Socket) => { sockets.push(socket) })
  const { origin } = await listen(app)
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  t.teardown(() => agent.destroy())
  await (await connect(t, `${origin}/plain`, { agent })).rest()
  const before = listeners(sockets[0]!)
  for (const request of [{}, {}, { method: 'POST', body: { a: 1 } }, {}]) {
    const client = await connect(t, origin, { agent, ...request })
    t.equal(client.headers['connection'], 'keep-alive')
    t.equal(await client.rest(), OPENING + frame(1) + frame(BIG) + END)
    await nothingLeft(app)
  }
  await (await connect(t, `${origin}/plain`, { agent })).rest()
  await until(() => JSON.stringify(listeners(sockets[0]!)) === JSON.stringify(before))
  t.strictSame(listeners(sockets[0]!), before)
  t.equal(sockets.length, 1)
})

t.test('while a stream is open it has one listener more for the end and the close of its socket', async (t) => {
  const { app, producer, sockets } = await createStreaming(t)
  app.get('/plain', () => new Promise(() => {}))
  const { port } = await listen(app)
  await rawConnect(t, port, 'GET /plain HTTP/1.1\r\nHost: x\r\n\r\n')
  const stream = await rawConnect(t, port, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  await stream.until(frame(1))
  const [plain, streaming] = sockets.map(listeners)
  t.equal(streaming!['end'], plain!['end']! + 1)
  t.equal(streaming!['close'], plain!['close']! + 1)
  stream.destroy()
  await nothingLeft(app)
  t.equal(producer.returned, 1)
})

t.test('a pipelined stream waits behind the one before it, and follows when that ends', async (t) => {
  const { app } = await createApp(t)
  const producers = [createProducer(1), createProducer(2)]
  app.get<{ Params: { n: string } }>('/:n', (request, reply) => reply.sse(producers[Number(request.params.n)]!.source))
  const { port } = await listen(app)
  const socket = await rawConnect(t, port, 'GET /0 HTTP/1.1\r\nHost: x\r\n\r\nGET /1 HTTP/1.1\r\nHost: x\r\n\r\n')
  await socket.until(frame(1))
  await until(() => app.sse.stats().opened === 2)
  t.notOk(socket.received().includes(frame(2)))
  producers[0]!.finish()
  await socket.until(frame(2))
  t.ok(socket.received().indexOf(frame(2)) > socket.received().indexOf(END))
  producers[1]!.finish()
  await until(() => socket.received().split(END).length === 3)
  await nothingLeft(app)
  t.strictSame(app.sse.stats().closed, { 'source-ended': 2 })
})

t.test('a pipelined stream that waits does not end the one before it, however long it waits', async (t) => {
  const { app } = await createApp(t, { stallTimeoutMs: 100 })
  const first = createProducer(1)
  app.get('/first', (_request, reply) => reply.sse(first.source))
  app.get('/ended', (_request, reply) => reply.sse([{ data: 'ended' }]))
  app.get('/full', (_request, reply) => reply.sse(Array.from({ length: 100 }, () => ({ data: BIG }))))
  const controlled = new EventEmitter()
  app.get('/control', { sse: { onDisconnect: () => { controlled.emit('end') } } }, (_request, reply) => reply.sse(async function * () {
    while (true) yield { data: BIG }
  }))
  const { port } = await listen(app)
  for (const url of ['/ended', '/full']) {
    const socket = await rawConnect(t, port, `GET /first HTTP/1.1\r\nHost: x\r\n\r\nGET ${url} HTTP/1.1\r\nHost: x\r\n\r\n`)
    await socket.until(frame(1))
    // What stalls by its own fault is cut off meanwhile, twice.
    for (let n = 0; n < 2; n++) {
      const control = await rawConnect(t, port, 'GET /control HTTP/1.1\r\nHost: x\r\n\r\n')
      control.pause()
      await once(controlled, 'end')
    }
    first.give(2)
    await until(() => socket.received().includes(frame(2)) || socket.readableEnded)
    t.ok(socket.received().includes(frame(2)), `the stream that ${url} waits for goes on`)
    socket.destroy()
    await until(() => app.sse.stats().open === 0)
    first.give(1)
  }
  await nothingLeft(app)
})

t.test('when a connection dies all streams that wait on it are stopped, without a warning about listeners', async (t) => {
  const warnings: Error[] = []
  const onWarning = (warning: Error): void => { warnings.push(warning) }
  process.on('warning', onWarning)
  t.teardown(() => process.off('warning', onWarning))
  for (const leave of ['end', 'resetAndDestroy'] as const) {
    const { app } = await createApp(t)
    const producers: Producer[] = []
    const sockets: Socket[] = []
    app.server.on('connection', (socket: Socket) => { sockets.push(socket) })
    app.get('/', (_request, reply) => {
      const producer = createProducer(producers.length)
      producers.push(producer)
      return reply.sse(producer.source)
    })
    const { port } = await listen(app)
    const socket = await rawConnect(t, port, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(15))
    await socket.until(frame(0))
    await until(() => app.sse.stats().opened === 15)
    socket[leave]()
    await nothingLeft(app)
    t.strictSame(producers.map(({ started, returned }) => started - returned), Array(15).fill(0))
    t.strictSame(app.sse.stats().closed, { 'client-left': 15 }, leave)
    await until(() => sockets[0]!.destroyed)
    await app.close()
  }
  t.strictSame(warnings.filter(({ name }) => name === 'MaxListenersExceededWarning'), [])
})

t.test('fifteen pipelined streams arrive in order, and leave no listener', async (t) => {
  const { app } = await createApp(t)
  let n = 0
  const sockets: Socket[] = []
  app.server.on('connection', (socket: Socket) => { sockets.push(socket) })
  app.get('/plain', async () => 'plain')
  app.get('/', (_request, reply) => reply.sse([{ data: n++ }]))
  const { port } = await listen(app)
  const socket = await rawConnect(t, port, 'GET /plain HTTP/1.1\r\nHost: x\r\n\r\n')
  await socket.until('plain')
  const before = listeners(sockets[0]!)
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(15))
  await until(() => socket.received().split(END).length === 16)
  t.strictSame(socket.received().match(/data: \d+/g), Array.from({ length: 15 }, (_, n) => `data: ${n}`))
  await nothingLeft(app)
  await until(() => JSON.stringify(listeners(sockets[0]!)) === JSON.stringify(before))
  t.strictSame(listeners(sockets[0]!), before)
})

t.test('close ends a stream and those that are pipelined behind it', async (t) => {
  const { app } = await createApp(t)
  const producers: Producer[] = []
  app.get('/', (_request, reply) => {
    const producer = createProducer(producers.length)
    producers.push(producer)
    return reply.sse(producer.source)
  })
  const { port } = await listen(app)
  const socket = await rawConnect(t, port, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(3))
  await socket.until(frame(0))
  await until(() => app.sse.stats().opened === 3)
  await app.close()
  await until(() => socket.readableEnded || socket.destroyed)
  t.strictSame(producers.map(({ returned }) => returned), [1, 1, 1])
  t.strictSame(app.sse.stats().closed, { shutdown: 3 })
  t.strictSame(socket.received().match(/data: \d+|\n0\r\n\r\n/g), ['data: 0', '\n0\r\n\r\n', 'data: 1', '\n0\r\n\r\n', 'data: 2', '\n0\r\n\r\n'], 'each is whole')
})

t.test('a plain answer that waits behind a stream is sent when the stream ends', async (t) => {
  const { app, producer } = await createStreaming(t)
  app.get('/plain', async () => 'plain')
  const { port } = await listen(app)
  const socket = await rawConnect(t, port, 'GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /plain HTTP/1.1\r\nHost: x\r\n\r\n')
  await socket.until(frame(1))
  producer.finish()
  await socket.until('plain')
  t.ok(socket.received().includes(END))
  await nothingLeft(app)
})

// Clients that leave

for (const [how, leave] of [['FIN', 'end'], ['RST', 'resetAndDestroy']] as const) {
  for (const method of ['GET', 'POST'] as const) {
    const request = method === 'GET'
      ? 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'
      : 'POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n{"a":1}'

    t.test(`${how} from a ${method} stops the source while it is idle, and ends the connection`, async (t) => {
      const { app, producer, sockets } = await createStreaming(t)
      const { port } = await listen(app)
      const socket = await rawConnect(t, port, request)
      await socket.until(frame(1))
      socket[leave]()
      await nothingLeft(app)
      t.equal(producer.returned, 1)
      await until(() => sockets[0]!.destroyed)
      t.strictSame(app.sse.stats().closed, { 'client-left': 1 })
    })

    t.test(`${how} from a ${method} stops the source while a write is blocked, and ends the connection`, async (t) => {
      const { app } = await createApp(t)
      const sockets: Socket[] = []
      let returned = 0
      app.server.on('connection', (socket: Socket) => { sockets.push(socket) })
      app.route({
        method,
        url: '/',
        handler: (_request, reply) => reply.sse(async function * () {
          try {
            while (true) yield { data: BIG }
          } finally {
            returned++
          }
        })
      })
      const { port } = await listen(app)
      const socket = await rawConnect(t, port, request)
      socket.pause()
      await parked(app)
      socket[leave]()
      await nothingLeft(app)
      t.equal(returned, 1)
      await until(() => sockets[0]!.destroyed)
      t.strictSame(app.sse.stats().closed, { 'client-left': 1 })
    })
  }
}

t.test('a client that closes while its body is still being sent opens no stream', async (t) => {
  const { app, producer, sockets } = await createStreaming(t)
  const { port } = await listen(app)
  const socket = await rawConnect(t, port, 'POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n{"a"')
  await until(() => sockets.length === 1)
  socket.resetAndDestroy()
  await until(() => sockets[0]!.destroyed)
  await app.close()
  t.equal(producer.started, 0)
  t.equal(app.sse.stats().opened, 0)
})

t.test('«Expect: 100-continue» is answered before the stream', async (t) => {
  const { app, producer } = await createStreaming(t)
  const { port } = await listen(app)
  const socket = await rawConnect(t, port,
    'POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 7\r\nExpect: 100-continue\r\n\r\n')
  await socket.until('HTTP/1.1 100 Continue\r\n\r\n')
  t.equal(producer.started, 0)
  socket.write('{"a":1}')
  await socket.until(frame(1))
  t.match(socket.received(), /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n/)
  socket.end()
  await nothingLeft(app)
  t.equal(producer.returned, 1)
})

// Closing the server

for (const forceCloseConnections of ['idle', true, false] as const) {
  t.test(`with forceCloseConnections: ${forceCloseConnections} close ends open streams in order and does not wait for idle connections`, async (t) => {
    const { app, producer } = await createStreaming(t, { forceCloseConnections })
    app.get('/plain', async () => 'plain')
    const { origin, port } = await listen(app)
    const client = await connect(t, origin)
    await client.events(1)
    const kept = await connect(t, origin, { headers: { connection: 'keep-alive' }, method: 'POST', body: {} })
    const idle = await rawConnect(t, port, 'GET /plain HTTP/1.1\r\nHost: x\r\n\r\n')
    await idle.until('plain')
    const ended = Date.now()
    await app.close()
    t.ok(Date.now() - ended < 5_000, 'far from the 72 s of keep-alive')
    for (const one of [client, kept]) {
      t.match((await one.rest()).replace(OPENING, ''), RETRY)
      t.equal(one.ended, 'end')
    }
    t.equal(producer.returned, producer.started)
    t.strictSame(app.sse.stats().closed, { shutdown: 2 })
  })
}

t.test('close finishes when a connection that carried streams is idle and another is blocked', async (t) => {
  const { app } = await createApp(t)
  app.get('/', (_request, reply) => reply.sse([{ data: 1 }]))
  app.get('/full', (_request, reply) => reply.sse(function * () { while (true) yield { data: BIG } }))
  const { port } = await listen(app)
  const idle = await rawConnect(t, port, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  await idle.until(END)
  const full = await rawConnect(t, port, 'GET /full HTTP/1.1\r\nHost: x\r\n\r\n')
  full.pause()
  await until(() => app.sse.stats().opened === 2)
  await parked(app)
  await app.close()
  await nothingLeft(app)
  t.strictSame(app.sse.stats().closed, { 'source-ended': 1, shutdown: 1 })
})

// Addresses

t.test('streams over IPv6', async (t) => {
  const { app, producer } = await createStreaming(t)
  const origin = await app.listen({ port: 0, host: '::1' }).catch(() => null)
  if (origin === null) {
    requirePart(t, 'the IPv6 loopback', false)
    return
  }
  const client = await connect(t, origin)
  t.strictSame(await client.events(1), [frame(1)])
  client.fin()
  await nothingLeft(app)
  t.equal(producer.returned, 1)
})

t.test('a server that listens on both addresses of localhost ends the streams of both', async (t) => {
  // What most systems say; a machine without IPv6 in its hosts file says less.
  const { lookup } = dns
  t.teardown(() => { dns.lookup = lookup })
  dns.lookup = function (hostname: string, options: any, callback: any) {
    if (hostname === 'localhost' && options?.all === true) {
      process.nextTick(callback, null, [{ address: '127.0.0.1', family: 4 }, { address: '::1', family: 6 }])
    } else {
      lookup(hostname, options, callback)
    }
  } as typeof lookup

  const { app } = await createApp(t)
  const producers: Producer[] = []
  app.get('/', (_request, reply) => {
    const producer = createProducer(1)
    producers.push(producer)
    return reply.sse(producer.source)
  })
  const released = deferred()
  app.addHook('preClose', async () => { await released.promise })
  await app.listen({ port: 0, host: 'localhost' })
  dns.lookup = lookup
  const addresses = app.addresses() as AddressInfo[]
  if (!addresses.some(({ address }) => address === '::1')) {
    released.resolve()
    requirePart(t, 'the IPv6 loopback', false)
    return
  }
  const { port } = addresses[0]!
  const clients = await Promise.all([connect(t, `http://127.0.0.1:${port}`), connect(t, `http://[::1]:${port}`)])
  for (const client of clients) t.strictSame(await client.events(1), [frame(1)])

  // A reconnect to either address meanwhile is reset, not refused: an EventSource then tries again.
  const closing = app.close()
  for (const client of clients) {
    t.match(await client.rest(), RETRY)
    t.equal(client.ended, 'end')
  }
  for (const host of ['127.0.0.1', '::1']) {
    const socket = net.connect({ port, host })
    let received = ''
    socket.on('data', (chunk) => { received += String(chunk) })
    socket.on('error', () => {})
    socket.write('GET / HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n')
    await once(socket, 'close')
    t.equal(received, '', host)
  }
  released.resolve()
  await closing
  t.strictSame(producers.map(({ returned }) => returned), [1, 1])
  await nothingLeft(app)
})
