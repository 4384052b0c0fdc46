import { once } from 'node:events'
import http2 from 'node:http2'
import type { Socket } from 'node:net'
import { PassThrough } from 'node:stream'
import { Type } from '@sinclair/typebox'
import t, { type Test } from 'tap'
import { defineEvents, text, type Disconnect } from '../../lib/index.js'
import { createApp, LEVEL, listen, streamLogs } from '../support/app.js'
import { connect, rawConnect } from '../support/client.js'
import { until } from '../support/sources.js'

const OPENING = ': sse-heartbeat: 15000\n\nretry: 3000\n\n'
const TEXT_OPENING = ': sse-heartbeat: 15000\n: sse-text: note\n\nretry: 3000\n\n'
const END = 'event: sse.end\ndata: null\nid: sse.end\n\n'
const fault = (code: string): string => `event: sse.fault\ndata: {"code":"${code}","message":"Internal Server Error"}\n\n`

const Orders = defineEvents({ created: Type.Object({ n: Type.Integer() }), note: text() })
// The same on the wire, of schemas of its own.
const Twins = defineEvents({ created: Type.Object({ n: Type.Integer() }), note: text() })

/** An application with a channel in which three events have been published. */
async function probe (t: Test, serverOptions: object = {}) {
  const { app, logs } = await createApp(t, {}, serverOptions)
  const orders = app.sse.channel('orders', Orders)
  const epoch = orders.lastEventId.slice(0, -2)
  const publish = (n: number): void => { orders.publish({ event: 'created', data: { n } }) }
  const frames = (...numbers: number[]): string => numbers.map((n) => `event: created\ndata: {"n":${n}}\nid: ${epoch}.${n}\n\n`).join('')
  for (const n of [1, 2, 3]) publish(n)
  return { app, logs, orders, epoch, publish, frames }
}

t.test('a channel, a subscription and a merge are sources, also out of a function, plain or async', async (t) => {
  const { app, orders, epoch, publish, frames } = await probe(t)
  app.get('/channel', (_request, reply) => reply.sse(orders))
  app.get('/subscription', (_request, reply) => reply.sse(orders.subscribe()))
  app.get('/merge', (_request, reply) => reply.sse(app.sse.merge(orders)))
  app.get('/function', (_request, reply) => reply.sse(() => orders))
  app.get('/async', (_request, reply) => reply.sse(async () => orders.subscribe({ from: 'now' })))
  app.get('/lastEventId', (_request, reply) => reply.sse(({ lastEventId }) => {
    t.equal(lastEventId, `${epoch}.1`)
    return orders
  }))
  app.get('/await', async (_request, reply) => { await reply.sse(orders) })
  const { origin } = await listen(app)
  const urls = ['/channel', '/subscription', '/merge', '/function', '/async', '/lastEventId', '/await']
  const clients = await Promise.all(urls.map((url) => connect(t, origin + url, { headers: { 'last-event-id': `${epoch}.1` } })))
  await until(() => orders.subscribers === clients.length)
  publish(4)
  for (const [index, client] of clients.entries()) {
    await until(() => client.text.endsWith(`id: ${epoch}.4\n\n`))
    // A merge has IDs of its own, which for one channel are those of the channel.
    t.equal(client.text, OPENING + frames(2, 3, 4), urls[index]!)
  }
})

t.test('a function that throws, or gives nothing, is an error response, and joins nothing', async (t) => {
  const { app, orders } = await probe(t)
  app.get('/throws', (_request, reply) => reply.sse((): typeof orders => { throw Object.assign(new Error('no'), { statusCode: 403 }) }))
  app.get('/nothing', (_request, reply) => reply.sse((() => undefined) as unknown as () => typeof orders))
  t.equal((await app.inject('/throws')).statusCode, 403)
  t.equal((await app.inject('/nothing')).json().code, 'FST_SSE_SOURCE_INVALID')
  t.strictSame(orders.stats().left, {})
})

t.test('a POST resumes as a GET does', async (t) => {
  const { app, orders, epoch, frames } = await probe(t)
  app.post('/', (_request, reply) => reply.sse(orders))
  const { origin } = await listen(app)
  const client = await connect(t, origin, { method: 'POST', body: { any: 'json' }, headers: { 'last-event-id': `${epoch}.1` } })
  await client.events(2)
  t.equal(client.text, OPENING + frames(2, 3))
})

t.test('HEAD is answered with headers alone, and joins nothing', async (t) => {
  const { app, orders } = await probe(t)
  app.get('/', (_request, reply) => reply.sse(orders))
  const { origin } = await listen(app)
  const client = await connect(t, origin, { method: 'HEAD' })
  t.equal(await client.rest(), '')
  t.equal(client.status, 200)
  t.equal(client.headers['content-type'], 'text/event-stream')
  t.equal(orders.subscribers, 0)
  t.strictSame(orders.stats().left, {})
})

t.test('a client that does not take event streams joins nothing where that is asked for', async (t) => {
  const { app, orders } = await probe(t)
  app.get('/', { sse: { accept: 'strict' } }, (_request, reply) => reply.sse(orders))
  const response = await app.inject({ url: '/', headers: { accept: 'application/json' } })
  t.equal(response.statusCode, 406)
  t.strictSame(orders.stats().left, {})
})

t.test('over HTTP/2, streams of one session resume each for itself', async (t) => {
  const { app, orders, epoch, publish, frames } = await probe(t, { http2: true })
  app.get('/', (_request, reply) => reply.sse(orders))
  const { origin } = await listen(app)
  const session = http2.connect(origin)
  t.teardown(() => session.destroy())
  session.on('error', () => {})
  await once(session, 'connect')
  const streams = [`${epoch}.1`, `${epoch}.3`, undefined].map((id) => {
    const stream = session.request({ ':path': '/', ...(id === undefined ? {} : { 'last-event-id': id }) })
    const read = { stream, text: '' }
    stream.setEncoding('utf8').on('data', (chunk: string) => { read.text += chunk })
    return read
  })
  await until(() => orders.subscribers === 3)
  publish(4)
  await until(() => streams.every(({ text }) => text.endsWith(frames(4))))
  t.strictSame(streams.map(({ text }) => text), [OPENING + frames(2, 3, 4), OPENING + frames(4), OPENING + `id: ${epoch}.3\n\n` + frames(4)])
  streams[0]!.stream.close(http2.constants.NGHTTP2_CANCEL)
  await until(() => orders.subscribers === 2)
  publish(5)
  await orders.close()
  await until(() => streams[1]!.text.endsWith(END) && streams[2]!.text.endsWith(END))
  t.strictSame(streams.slice(1).map(({ text }) => text), [OPENING + frames(4, 5) + END, OPENING + `id: ${epoch}.3\n\n` + frames(4, 5) + END])
})

t.test('over HTTP/1.0 the same frames arrive without chunks', async (t) => {
  const { app, orders, epoch, frames } = await probe(t)
  app.get('/', (_request, reply) => reply.sse(orders))
  const { port } = await listen(app)
  const socket = await rawConnect(t, port, `GET / HTTP/1.0\r\nHost: x\r\nLast-Event-ID: ${epoch}.1\r\n\r\n`)
  await socket.until(frames(3))
  await orders.close()
  const received = await socket.until(END)
  t.equal(received.slice(received.indexOf('\r\n\r\n') + 4), OPENING + frames(2, 3) + END)
})

t.test('inject gives what a channel sent until it was closed', async (t) => {
  const { app, orders, epoch, publish, frames } = await probe(t)
  app.get('/', (_request, reply) => reply.sse(orders))
  const response = app.inject({ url: '/', headers: { 'last-event-id': `${epoch}.2` } })
  await until(() => orders.subscribers === 1)
  publish(4)
  await orders.close()
  t.equal((await response).body, OPENING + frames(3, 4) + END)
})

t.test('an injected stream is read while it lasts, and its reader may leave', async (t) => {
  const { app, orders, epoch, publish, frames } = await probe(t)
  app.get('/', (_request, reply) => reply.sse(orders))
  const response = await app.inject({ url: '/', headers: { 'last-event-id': `${epoch}.2` }, payloadAsStream: true })
  let received = ''
  for await (const chunk of response.stream()) {
    received += String(chunk)
    if (received.endsWith(frames(3))) publish(4)
    if (received.endsWith(frames(4))) break
  }
  t.equal(received, OPENING + frames(3, 4))
  await until(() => orders.subscribers === 0)
  t.strictSame(orders.stats().left, { 'client-left': 1 })
})

t.test('an onSend hook that pipes the body elsewhere gets the same frames', async (t) => {
  const { app, orders, epoch, publish, frames } = await probe(t)
  app.addHook('onSend', async (_request, _reply, payload) => (payload as NodeJS.ReadableStream).pipe(new PassThrough()))
  app.get('/', (_request, reply) => reply.sse(orders))
  const { origin } = await listen(app)
  const client = await connect(t, origin, { headers: { 'last-event-id': `${epoch}.1` } })
  await client.events(2)
  publish(4)
  await client.events(1)
  const big = 'x'.repeat(300_000)
  orders.publish({ event: 'note', data: big })
  publish(6)
  await orders.close()
  await client.rest()
  t.equal(client.text, OPENING + frames(2, 3, 4) + `event: note\ndata: ${big}\nid: ${epoch}.5\n\n` + frames(6) + END)
  t.equal(orders.subscribers, 0)
})

t.test('a slow onSend hook loses nothing of what is published meanwhile', async (t) => {
  const { app, orders, epoch, publish, frames } = await probe(t)
  app.addHook('onSend', async () => {
    publish(4)
    await new Promise(setImmediate)
    publish(5)
  })
  app.get('/', (_request, reply) => reply.sse(orders))
  const { origin } = await listen(app)
  const client = await connect(t, origin)
  await client.events(2)
  t.equal(client.text, OPENING + `id: ${epoch}.3\n\n` + frames(4, 5))
})

t.test('a client that reads slowly gets everything, in order', async (t) => {
  const { app } = await createApp(t)
  const orders = app.sse.channel('notes', Orders, { backlog: { events: 2000, bytes: 64 << 20 } })
  const epoch = orders.lastEventId.slice(0, -2)
  app.get('/', (_request, reply) => reply.sse(orders))
  const { origin } = await listen(app)
  const client = await connect(t, origin)
  await until(() => orders.subscribers === 1)
  const data = 'x'.repeat(20_000)
  // Reading goes on and off with the turns.
  let turns = 0
  await until(() => {
    orders.publish({ event: 'note', data })
    if (turns++ % 20 === 0) turns % 40 === 1 ? client.response.pause() : client.response.resume()
    return turns === 1000
  })
  client.response.resume()
  const frames = await client.events(1000)
  t.ok(frames.length === 1000 && frames.every((frame, index) => frame === `event: note\ndata: ${data}\nid: ${epoch}.${index + 1}\n\n`))
  t.strictSame(orders.stats().overruns, {})
})

t.test('several requests over one connection are answered one after the other', async (t) => {
  const { app, orders, epoch, publish, frames } = await probe(t)
  app.get('/', (_request, reply) => reply.sse(orders))
  const { port } = await listen(app)
  const socket = await rawConnect(t, port, `GET / HTTP/1.1\r\nHost: x\r\nLast-Event-ID: ${epoch}.2\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nLast-Event-ID: ${epoch}.1\r\n\r\n`)
  await until(() => orders.subscribers === 2)
  publish(4)
  await socket.until(frames(4))
  await orders.close()
  await socket.until(END)
  // The second response begins when the first has ended.
  await until(() => socket.received().split('0\r\n\r\n').length === 3)
  const bodies = socket.received().split(/HTTP\/1.1 200 OK\r\n/).slice(1).map((response) =>
    response.slice(response.indexOf('\r\n\r\n') + 4).replace(/[\da-f]+\r\n([^\r]*)\r\n/g, '$1'))
  t.strictSame(bodies, [OPENING + frames(3, 4) + END, OPENING + frames(2, 3, 4) + END])
})

// A route's own declaration

t.test('a route with the channel\'s own schemas, or without any, sends its frames as they are', async (t) => {
  const { app, orders, epoch, frames } = await probe(t)
  app.get('/same', { schema: { events: Orders } }, (_request, reply) => reply.sse(orders))
  app.get('/bare', { schema: { events: { ...Orders.schemas } } }, (_request, reply) => reply.sse(orders))
  app.get('/more', { schema: { events: { ...Orders.schemas, more: Type.Null() } } }, (_request, reply) => reply.sse(orders))
  app.get('/none', (_request, reply) => reply.sse(orders))
  const { origin } = await listen(app)
  for (const url of ['/same', '/bare', '/more', '/none']) {
    const client = await connect(t, origin + url, { headers: { 'last-event-id': `${epoch}.1` } })
    await client.events(2)
    t.equal(client.text, (url === '/none' ? OPENING : TEXT_OPENING) + frames(2, 3), url)
  }
})

t.test('a route with other schemas for the same events checks each event, and the stream resumes all the same', async (t) => {
  const { app, orders, epoch, publish, frames } = await probe(t)
  app.get('/', { schema: { events: Twins } }, (_request, reply) => reply.sse(orders))
  const { origin } = await listen(app)
  const client = await connect(t, origin, { headers: { 'last-event-id': `${epoch}.1` } })
  await client.events(2)
  publish(4)
  orders.publish({ event: 'note', data: 'a\nb' })
  await client.events(2)
  t.equal(client.text, TEXT_OPENING + frames(2, 3, 4) + `event: note\ndata: a\ndata: b\nid: ${epoch}.5\n\n`)
  await orders.close()
  t.equal(await client.rest(), END)
})

t.test('a route with other schemas tells a gap, and tells it once', async (t) => {
  const { app, orders, epoch, frames } = await probe(t)
  app.get('/', { schema: { events: Twins } }, (_request, reply) => reply.sse(orders))
  app.get('/silent', { schema: { events: Twins }, sse: { controlEvents: false } }, (_request, reply) => reply.sse(orders))
  const { origin } = await listen(app)
  const client = await connect(t, origin, { headers: { 'last-event-id': 'other.7' } })
  await client.events(4)
  t.equal(client.text, TEXT_OPENING +
    `event: sse.gap\ndata: {"reason":"epoch","requested":"other.7","resumedAt":"${epoch}.0"}\nid: ${epoch}.0\n\n` + frames(1, 2, 3))
  const silent = await connect(t, `${origin}/silent`, { headers: { 'last-event-id': 'other.7' } })
  await silent.events(3)
  t.equal(silent.text, TEXT_OPENING + `id: ${epoch}.0\n\n` + frames(1, 2, 3))
})

t.test('a first connection to a route with other schemas is told its ID too', async (t) => {
  const { app, orders, epoch } = await probe(t)
  app.get('/', { schema: { events: Twins } }, (_request, reply) => reply.sse(orders))
  const { origin } = await listen(app)
  const client = await connect(t, origin)
  await until(() => orders.subscribers === 1)
  await orders.close()
  await client.rest()
  t.equal(client.text, TEXT_OPENING + `id: ${epoch}.3\n\n` + END)
})

t.test('a route whose schemas are stricter ends its own stream with a fault, and no other', async (t) => {
  const { app, orders, epoch, publish, frames } = await probe(t)
  const ends: Disconnect[] = []
  app.get('/', (_request, reply) => reply.sse(orders))
  app.get('/strict', {
    schema: { events: { created: Type.Object({ n: Type.Integer({ maximum: 4 }) }), note: text() } },
    sse: { onDisconnect: (_request, end) => { ends.push(end) } }
  }, (_request, reply) => reply.sse(orders))
  const { origin } = await listen(app)
  const wide = await connect(t, origin)
  const strict = await connect(t, `${origin}/strict`, { headers: { 'last-event-id': `${epoch}.3` } })
  await until(() => orders.subscribers === 2)
  publish(4)
  publish(5)
  publish(6)
  await strict.rest()
  t.equal(strict.text, TEXT_OPENING + frames(4) + fault('FST_SSE_EVENT_INVALID'))
  await wide.events(3)
  t.strictSame(ends.map(({ reason }) => reason), ['event-invalid'])
  t.equal(orders.subscribers, 1)
})

t.test('a route that declares fewer events than the channel ends with a fault at one that it lacks', async (t) => {
  const { app, logs, orders, epoch, publish, frames } = await probe(t)
  app.get('/', { schema: { events: { created: Orders.schemas.created } } }, (_request, reply) =>
    // @ts-expect-error -- the types say so too
    reply.sse(orders))
  const { origin } = await listen(app)
  const client = await connect(t, origin, { headers: { 'last-event-id': `${epoch}.2` } })
  await client.events(1)
  publish(4)
  orders.publish({ event: 'note', data: 'x' })
  publish(6)
  await client.rest()
  t.equal(client.text, OPENING + frames(3, 4) + fault('FST_SSE_EVENT_UNDECLARED'))
  t.equal(client.ended, 'end')
  await until(() => orders.subscribers === 0)
  t.strictSame(streamLogs(logs).map(({ level, err }) => [level, err?.code]), [[LEVEL.error, 'FST_SSE_EVENT_UNDECLARED']])
})

t.test('a filter takes from a channel what the route does not declare', async (t) => {
  const { app, orders, epoch, publish, frames } = await probe(t)
  app.get('/', { schema: { events: { created: Orders.schemas.created } } }, (_request, reply) =>
    reply.sse(orders.subscribe({ filter: ({ event }) => event === 'created' }) as AsyncIterable<{ event: 'created', data: { n: number } }>))
  const { origin } = await listen(app)
  const client = await connect(t, origin, { headers: { 'last-event-id': `${epoch}.2` } })
  await client.events(1)
  orders.publish({ event: 'note', data: 'x' })
  publish(5)
  await client.events(1)
  t.equal(client.text, OPENING + frames(3, 5))
})

t.test('events that a route drops leave no gap, though all of them were evicted', async (t) => {
  const { app } = await createApp(t)
  const orders = app.sse.channel('few', Orders, { backlog: { events: 8 } })
  app.get('/', { schema: { events: { created: Type.Object({ n: Type.Integer({ maximum: 0 }) }), note: text() } }, sse: { validation: 'drop' } }, (_request, reply) =>
    reply.sse(orders))
  const { origin } = await listen(app)
  const client = await connect(t, origin)
  await until(() => orders.subscribers === 1)
  await orders.publish({ event: 'created', data: { n: 0 } })
  await client.events(1)
  for (let n = 1; n <= 100; n++) {
    orders.publish({ event: 'created', data: { n } })
    await new Promise(setImmediate)
  }
  await new Promise(setImmediate)
  client.rst()
  await until(() => orders.subscribers === 0)
  const back = await connect(t, origin, { headers: { 'last-event-id': [...client.text.matchAll(/^id: (.*)$/gm)].at(-1)![1]! } })
  await until(() => back.text.length >= TEXT_OPENING.length)
  t.equal(back.text, TEXT_OPENING)
  t.strictSame(orders.stats().gaps, {})
})

t.test('a slow client of a route with other schemas ends as one of any other route', async (t) => {
  const { app } = await createApp(t)
  const notes = app.sse.channel('notes', Orders, { backlog: { events: 4 } })
  const ends: Disconnect[] = []
  app.get('/', { schema: { events: Twins }, sse: { onDisconnect: (_request, end) => { ends.push(end) } } }, (_request, reply) => reply.sse(notes))
  const sockets: Socket[] = []
  app.server.on('connection', (socket: Socket) => { sockets.push(socket) })
  const { origin } = await listen(app)
  const client = await connect(t, origin)
  client.stall()
  await until(() => notes.subscribers === 1)
  const data = 'x'.repeat(100_000)
  // Blocked: for fifty turns the connection has taken nothing.
  let turns = 0
  await until(() => {
    if (sockets[0]!.writableLength > 0) return ++turns === 50
    turns = 0
    notes.publish({ event: 'note', data })
    return false
  })
  for (let n = 0; n < 10; n++) {
    notes.publish({ event: 'note', data })
    await new Promise(setImmediate)
  }
  client.response.resume()
  await client.rest()
  t.strictSame(ends.map(({ reason }) => reason), ['slow-subscriber'])
  t.notMatch(client.text, 'sse.fault')
  t.strictSame(notes.stats().left, { 'slow-subscriber': 1 })
})
