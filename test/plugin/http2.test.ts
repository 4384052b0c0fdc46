import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import http2, { type ClientHttp2Session, type ClientHttp2Stream, type IncomingHttpHeaders } from 'node:http2'
import https from 'node:https'
import net from 'node:net'
import { PassThrough } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { createProducer, END, frame, nothingLeft, OPENING, type Producer } from '../citizen/producer.js'
import { createApp, listen } from '../support/app.js'
import { until } from '../support/sources.js'

const BIG = 'x'.repeat(20_000)
const RETRY = /retry: \d+\n\n$/

// For the loopback alone, valid for a hundred years.
const key = readFileSync(new URL('../fixtures/loopback-key.pem', import.meta.url))
const cert = readFileSync(new URL('../fixtures/loopback-cert.pem', import.meta.url))

/** An application over HTTP/2 with a stream on `/:name` for each producer. */
async function createStreaming (
  t: Test, names: string[], serverOptions: object = {}, options: object = {}
): Promise<{ app: FastifyInstance, origin: string, producers: Record<string, Producer> }> {
  const { app } = await createApp(t, options, { http2: true, ...serverOptions } as object)
  const producers = Object.fromEntries(names.map((name) => [name, createProducer(`${name} 1`)]))
  app.route<{ Params: { name: string } }>({
    method: ['GET', 'POST'],
    url: '/:name',
    handler: (request, reply) => reply.sse(producers[request.params.name]!.source)
  })
  const { origin } = await listen(app)
  return { app, origin, producers }
}

async function openSession (t: Test, origin: string): Promise<ClientHttp2Session> {
  const session = http2.connect(origin, { ca: cert })
  t.teardown(() => session.destroy())
  session.on('error', () => {})
  await once(session, 'connect')
  return session
}

/** Waits for the end of a stream, whether in order or not. */
function closed (stream: ClientHttp2Stream): Promise<void> {
  return new Promise((resolve) => { stream.once('close', () => resolve()) })
}

interface Opened {
  stream: ClientHttp2Stream
  headers: IncomingHttpHeaders & { ':status'?: number }
  text: () => string
  /** Waits until what was received ends like this. */
  until: (end: string) => Promise<void>
  ended: Promise<void>
}

async function open (session: ClientHttp2Session, path: string, { method = 'GET', body = undefined as string | undefined } = {}): Promise<Opened> {
  const stream = session.request({ ':path': path, ':method': method, ...(body === undefined ? {} : { 'content-type': 'application/json' }) }, { endStream: body === undefined })
  if (body !== undefined) stream.end(body)
  stream.on('error', () => {})
  const ended = closed(stream)
  const [headers] = await once(stream, 'response')
  let text = ''
  stream.setEncoding('utf8').on('data', (chunk: string) => { text += chunk })
  return { stream, headers, text: () => text, until: (end) => until(() => text.endsWith(end)), ended }
}

t.test('one HTTP/2 session carries several streams, each with its own events', async (t) => {
  const { app, origin, producers } = await createStreaming(t, ['a', 'b', 'c'])
  const session = await openSession(t, origin)
  const a = await open(session, '/a')
  const b = await open(session, '/b')
  const c = await open(session, '/c', { method: 'POST', body: '{"a":1}' })
  t.strictSame({
    ':status': a.headers[':status'],
    'content-type': a.headers['content-type'],
    'cache-control': a.headers['cache-control'],
    connection: a.headers['connection'],
    'transfer-encoding': a.headers['transfer-encoding']
  }, { ':status': 200, 'content-type': 'text/event-stream', 'cache-control': 'no-cache, no-transform', connection: undefined, 'transfer-encoding': undefined })
  producers['c']!.give('c 2')
  await c.until(frame('c 2'))
  producers['a']!.give('a 2')
  await a.until(frame('a 2'))
  producers['b']!.finish()
  await b.ended
  t.equal(b.text(), OPENING + frame('b 1') + END)
  t.equal(a.text(), OPENING + frame('a 1') + frame('a 2'))
  t.equal(c.text(), OPENING + frame('c 1') + frame('c 2'))
  t.equal(app.sse.stats().open, 2)
  session.destroy()
  await nothingLeft(app)
  t.strictSame(Object.values(producers).map(({ returned }) => returned), [1, 1, 1])
  t.strictSame(app.sse.stats().closed, { 'source-ended': 1, 'client-left': 2 })
})

t.test('a client that cancels one stream stops its source, and no other of the session', async (t) => {
  const { app, origin, producers } = await createStreaming(t, ['a', 'b', 'post'])
  const session = await openSession(t, origin)
  const a = await open(session, '/a')
  const b = await open(session, '/b')
  const post = await open(session, '/post', { method: 'POST', body: '{}' })
  await post.until(frame('post 1'))
  a.stream.close(http2.constants.NGHTTP2_CANCEL)
  await until(() => app.sse.stats().open === 2)
  t.equal(producers['a']!.returned, 1)
  post.stream.close(http2.constants.NGHTTP2_CANCEL)
  await until(() => app.sse.stats().open === 1)
  t.equal(producers['post']!.returned, 1)
  producers['b']!.give('b 2')
  await b.until(frame('b 2'))
  b.stream.close(http2.constants.NGHTTP2_CANCEL)
  await nothingLeft(app)
  t.strictSame(app.sse.stats().closed, { 'client-left': 3 })
})

t.test('onResponse of an HTTP/2 stream runs once, whoever ends it', async (t) => {
  const { app } = await createApp(t, {}, { http2: true } as object)
  const producers: Record<string, Producer> = { ends: createProducer(1), leaves: createProducer(1) }
  const responses: string[] = []
  app.addHook('onResponse', async (request) => { responses.push(request.url) })
  app.get<{ Params: { name: string } }>('/:name', (request, reply) => reply.sse(producers[request.params.name]!.source))
  const { origin } = await listen(app)
  const session = await openSession(t, origin)
  const ends = await open(session, '/ends')
  producers['ends']!.finish()
  await ends.ended
  await nothingLeft(app)
  const leaves = await open(session, '/leaves')
  leaves.stream.close(http2.constants.NGHTTP2_CANCEL)
  await nothingLeft(app)
  session.close()
  await app.close()
  t.strictSame(responses, ['/ends', '/leaves'])
})

t.test('a reader that gives no flow-control window holds the source back, and is cut off alone', async (t) => {
  const { app } = await createApp(t, { stallTimeoutMs: 300 }, { http2: true } as object)
  let returned = 0
  const other = createProducer(1)
  app.get('/other', (_request, reply) => reply.sse(other.source))
  app.get('/', (_request, reply) => reply.sse(async function * () {
    try {
      while (true) yield { data: BIG }
    } finally {
      returned++
    }
  }))
  const { origin } = await listen(app)
  const session = await openSession(t, origin)
  const beside = await open(session, '/other')
  const stalled = session.request({ ':path': '/' })
  stalled.on('error', () => {})
  stalled.pause()
  await once(stalled, 'response')
  await until(() => returned === 1)
  await until(() => app.sse.stats().open === 1)
  t.strictSame(app.sse.stats().closed, { 'client-stalled': 1 })
  t.ok(app.sse.stats().events * BIG.length < 1024 * 1024, `${app.sse.stats().events} events were made for a window of 64 KiB`)
  other.give(2)
  await beside.until(frame(2))
  session.destroy()
  await nothingLeft(app)
  t.equal(other.returned, 1)
})

t.test('a slow HTTP/2 reader gets all events, in order', async (t) => {
  const { app } = await createApp(t, {}, { http2: true } as object)
  app.get('/', (_request, reply) => reply.sse(function * () {
    for (let n = 0; n < 100; n++) yield { data: BIG, id: n }
  }))
  const { origin } = await listen(app)
  const session = await openSession(t, origin)
  const stream = session.request({ ':path': '/' })
  let text = ''
  for await (const chunk of stream) {
    text += String(chunk)
    await new Promise(setImmediate)
  }
  t.equal(text, OPENING + Array.from({ length: 100 }, (_, n) => `data: "${BIG}"\nid: ${n}\n\n`).join('') + END)
  session.close()
  await nothingLeft(app)
})

t.test('a session that breaks off stops all its sources', async (t) => {
  const { app, origin, producers } = await createStreaming(t, ['a', 'b'])
  const socket = net.connect(Number(new URL(origin).port), '127.0.0.1')
  const session = http2.connect(origin, { createConnection: () => socket })
  session.on('error', () => {})
  await open(session, '/a')
  await open(session, '/b')
  socket.resetAndDestroy()
  await nothingLeft(app)
  t.strictSame(Object.values(producers).map(({ returned }) => returned), [1, 1])
})

t.test('HEAD over HTTP/2 is answered with headers alone', async (t) => {
  const { app, origin, producers } = await createStreaming(t, ['a'])
  const session = await openSession(t, origin)
  const head = await open(session, '/a', { method: 'HEAD' })
  await head.ended
  t.equal(head.headers[':status'], 200)
  t.equal(head.headers['content-type'], 'text/event-stream')
  t.equal(head.text(), '')
  t.equal(producers['a']!.started, 0)
  t.equal(app.sse.stats().opened, 0)
  session.close()
})

t.test('an error before the first event is an ordinary error response over HTTP/2', async (t) => {
  const { app } = await createApp(t, {}, { http2: true } as object)
  app.get('/', (_request, reply) => reply.sse(() => { throw Object.assign(new Error('no'), { statusCode: 403 }) }))
  const { origin } = await listen(app)
  const session = await openSession(t, origin)
  const refused = await open(session, '/')
  await refused.ended
  t.equal(refused.headers[':status'], 403)
  t.equal(refused.headers['content-type'], 'application/json; charset=utf-8')
  t.equal(JSON.parse(refused.text()).message, 'no')
  session.close()
  await nothingLeft(app)
})

t.test('trailers arrive after the events over HTTP/2', async (t) => {
  const { app } = await createApp(t, {}, { http2: true } as object)
  const producer = createProducer(1)
  app.get('/', (_request, reply) => {
    reply.trailer('x-events', async () => '1')
    return reply.sse(producer.source)
  })
  const { origin } = await listen(app)
  const session = await openSession(t, origin)
  const opened = await open(session, '/')
  const trailers = once(opened.stream, 'trailers')
  await opened.until(frame(1))
  producer.finish()
  t.equal((await trailers)[0]['x-events'], '1')
  await opened.ended
  t.equal(opened.text(), OPENING + frame(1) + END)
  session.close()
  await nothingLeft(app)
})

t.test('an onSend hook may put something in between over HTTP/2', async (t) => {
  const { app } = await createApp(t, {}, { http2: true } as object)
  const producers = [createProducer(1), createProducer(1)]
  let opened = 0
  app.addHook('onSend', async (_request, _reply, payload) => (payload as NodeJS.ReadableStream).pipe(new PassThrough()))
  app.get('/', (_request, reply) => reply.sse(producers[opened++]!.source))
  const { origin } = await listen(app)
  const session = await openSession(t, origin)
  const ends = await open(session, '/')
  const leaves = await open(session, '/')
  await leaves.until(frame(1))
  producers[0]!.finish()
  await ends.ended
  t.equal(ends.text(), OPENING + frame(1) + END)
  leaves.stream.close(http2.constants.NGHTTP2_CANCEL)
  await nothingLeft(app)
  t.strictSame(producers.map(({ returned }) => returned), [1, 1])
  session.close()
})

t.test('close ends the streams of all sessions in order, and does not wait for sessions that are kept', async (t) => {
  const { app, origin, producers } = await createStreaming(t, ['a', 'b', 'c', 'd'])
  const one = await openSession(t, origin)
  const two = await openSession(t, origin)
  const opened = [await open(one, '/a'), await open(one, '/b'), await open(two, '/c')]
  await app.close()
  for (const stream of opened) {
    await stream.ended
    t.match(stream.text(), RETRY)
    t.equal(stream.stream.rstCode, http2.constants.NGHTTP2_NO_ERROR)
  }
  t.strictSame(['a', 'b', 'c'].map((name) => producers[name]!.returned), [1, 1, 1])
  t.strictSame(app.sse.stats().closed, { shutdown: 3 })
})

t.test('close does not wait for a session whose streams had ended before', async (t) => {
  const { app, origin, producers } = await createStreaming(t, ['a'], { http2SessionTimeout: 5_000 })
  const session = await openSession(t, origin)
  const a = await open(session, '/a')
  producers['a']!.finish()
  await a.ended
  await nothingLeft(app)
  const started = Date.now()
  await app.close()
  t.ok(Date.now() - started < 4_000, 'before the time is over that Fastify keeps an idle session (72 s by default)')
})

t.test('close finishes although a session does not read', { timeout: 8_000 }, async (t) => {
  const { app } = await createApp(t, {}, { http2: true } as object)
  app.get('/', (_request, reply) => reply.sse(function * () { while (true) yield { data: BIG } }))
  const { origin } = await listen(app)
  const session = await openSession(t, origin)
  const stalled = session.request({ ':path': '/' })
  stalled.on('error', () => {})
  stalled.pause()
  await once(stalled, 'response')
  await app.close()
  await nothingLeft(app)
  t.strictSame(app.sse.stats().closed, { shutdown: 1 })
})

for (const forceCloseConnections of [true, false]) {
  t.test(`with forceCloseConnections: ${forceCloseConnections} close ends HTTP/2 streams in order`, async (t) => {
    const { app, origin, producers } = await createStreaming(t, ['a'], { forceCloseConnections })
    const session = await openSession(t, origin)
    const a = await open(session, '/a')
    await app.close()
    await a.ended
    t.match(a.text(), RETRY)
    t.equal(producers['a']!.returned, 1)
  })
}

t.test('a reconnect over HTTP/2 during the drain is reset, not refused', async (t) => {
  const { app, origin } = await createStreaming(t, ['a'])
  let isReset = false
  const session = await openSession(t, origin)
  const a = await open(session, '/a')
  const closing = app.close()
  const again = session.request({ ':path': '/a', accept: 'text/event-stream' })
  again.on('response', () => { isReset = false })
  again.on('error', () => { isReset = true })
  await closed(again)
  t.equal(isReset, true)
  t.equal(again.rstCode, http2.constants.NGHTTP2_REFUSED_STREAM)
  await a.ended
  await closing
  t.equal(app.sse.stats().opened, 1)
})

t.test('over TLS a server with allowHTTP1 streams to clients of both protocols', async (t) => {
  const { app, origin, producers } = await createStreaming(t, ['two', 'one'], { https: { key, cert, allowHTTP1: true } })
  const session = await openSession(t, origin)
  t.equal(session.alpnProtocol, 'h2')
  const two = await open(session, '/two')
  await two.until(frame('two 1'))

  const request = https.get(`${origin}/one`, { ca: cert, agent: false })
  request.on('error', () => {})
  t.teardown(() => request.destroy())
  const [response] = await once(request, 'response')
  t.equal(response.httpVersion, '1.1')
  t.equal(response.headers['content-type'], 'text/event-stream')
  let text = ''
  response.setEncoding('utf8').on('data', (chunk: string) => { text += chunk })
  await until(() => text.endsWith(frame('one 1')))
  producers['one']!.give('one 2')
  await until(() => text === OPENING + frame('one 1') + frame('one 2'))

  two.stream.close(http2.constants.NGHTTP2_CANCEL)
  response.socket.destroy()
  await nothingLeft(app)
  t.strictSame(Object.values(producers).map(({ returned }) => returned), [1, 1])
  t.strictSame(app.sse.stats().closed, { 'client-left': 2 })
})

t.test('over TLS close ends the streams of both protocols in order', async (t) => {
  const { app, origin, producers } = await createStreaming(t, ['two', 'one'], { https: { key, cert, allowHTTP1: true } })
  const session = await openSession(t, origin)
  const two = await open(session, '/two')
  const request = https.get(`${origin}/one`, { ca: cert, agent: new https.Agent({ keepAlive: true }) })
  request.on('error', () => {})
  const [response] = await once(request, 'response')
  let text = ''
  response.setEncoding('utf8').on('data', (chunk: string) => { text += chunk })
  const ended = once(response, 'end')
  await until(() => text.endsWith(frame('one 1')))
  await app.close()
  await two.ended
  await ended
  t.match(two.text(), RETRY)
  t.match(text, RETRY)
  t.equal(response.complete, true)
  t.strictSame(Object.values(producers).map(({ returned }) => returned), [1, 1])
})

t.test('over HTTPS without HTTP/2 a stream is what it is elsewhere', async (t) => {
  const { app, origin, producers } = await createStreaming(t, ['a'], { http2: false, https: { key, cert } })
  const request = https.get(`${origin}/a`, { ca: cert, agent: false })
  request.on('error', () => {})
  t.teardown(() => request.destroy())
  const [response] = await once(request, 'response')
  let text = ''
  response.setEncoding('utf8').on('data', (chunk: string) => { text += chunk })
  await until(() => text.endsWith(frame('a 1')))
  t.equal(text, OPENING + frame('a 1'))
  response.socket.destroy()
  await nothingLeft(app)
  t.equal(producers['a']!.returned, 1)
})
