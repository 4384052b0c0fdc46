import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mock } from 'node:test'
import { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import FakeTimers from '@sinonjs/fake-timers'
import { Type } from '@sinclair/typebox'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import ssePlugin, { defineEvents, text, type SSEPluginOptions, type StreamHandle } from '../lib/index.js'
import { injectSSE, StreamFaultError, type InjectSSEOptions } from '../lib/testing.js'
import { cases, type Clock } from './fixtures/testing/cases.js'
import { createApp } from './support/app.js'
import { deferred, forever, until } from './support/sources.js'

// Other test runners are started here.
t.setTimeout(120_000)
t.comment('timeout=120000')

const ROOT = fileURLToPath(new URL('../', import.meta.url))

const Mixed = defineEvents({
  n: Type.Integer(),
  token: text(),
  'a,b: ü': text(),
  done: Type.Null()
})

/** An application whose route `/` streams what the test pushes. */
async function pushed (t: Test, options: SSEPluginOptions = {}): Promise<{ app: FastifyInstance, handle: () => StreamHandle<any> }> {
  const { app } = await createApp(t, options)
  let stream!: StreamHandle<any>
  app.get('/', (_request, reply) => {
    stream = reply.sse()
    return stream.closed
  })
  return { app, handle: () => stream }
}

/** An application whose route `/` answers with text that is not made by this package, as an event stream. */
async function foreign (t: Test, body: string | Readable): Promise<FastifyInstance> {
  const { app } = await createApp(t)
  app.get('/', (_request, reply) => reply.type('text/event-stream; charset=utf-8').send(body))
  return app
}

t.test('an answer that is no event stream rejects with its status, headers and body', async (t) => {
  const { app } = await createApp(t)
  app.get('/private', (_request, reply) => reply.code(401).header('www-authenticate', 'Bearer').send({ message: 'no session' }))
  app.get('/text', (_request, reply) => reply.send('line 1\n  line 2'))
  app.get('/long', (_request, reply) => reply.code(500).send('x'.repeat(1000)))
  app.get('/empty', (_request, reply) => reply.code(303).header('location', '/login').send())
  app.get('/created', (_request, reply) => reply.code(201).sse([{ data: 1 }]))
  app.get('/failing', (_request, reply) => reply.sse(function * () { throw new Error('before the first event') }))

  const refusal = async (options: string | InjectSSEOptions): Promise<Record<string, unknown>> =>
    await injectSSE(app, options).then(() => ({}), ({ code, message, statusCode, headers, body }) => ({ code, message, statusCode, type: headers['content-type'], body }))
  const code = 'FST_SSE_TEST_RESPONSE_UNEXPECTED'
  const json = 'application/json; charset=utf-8'
  const plain = 'text/plain; charset=utf-8'
  const missing = '{"message":"Route POST:/text not found","error":"Not Found","statusCode":404}'
  const failed = '{"statusCode":500,"error":"Internal Server Error","message":"before the first event"}'

  t.strictSame(await refusal('/private'), {
    code,
    message: 'GET /private was answered with 401 Unauthorized, and not with an event stream. Its body, JSON: {"message":"no session"}',
    statusCode: 401,
    type: json,
    body: '{"message":"no session"}'
  })
  t.strictSame(await refusal({ url: '/text', payload: {} }), {
    code,
    message: `POST /text was answered with 404 Not Found, and not with an event stream. Check the URL and the method, and that the route is registered. Its body, JSON: ${missing}`,
    statusCode: 404,
    type: json,
    body: missing
  })
  t.strictSame(await refusal({ url: { pathname: '/text' } }), {
    code,
    message: 'GET /text was answered with 200, and not with an event stream. A route streams when its handler returns reply.sse(…). Its body, text/plain: line 1 line 2',
    statusCode: 200,
    type: plain,
    body: 'line 1\n  line 2'
  })
  t.strictSame(await refusal('/long'), {
    code,
    message: `GET /long was answered with 500 Internal Server Error, and not with an event stream. Its body, text/plain: ${'x'.repeat(300)}…`,
    statusCode: 500,
    type: plain,
    body: 'x'.repeat(1000)
  })
  t.strictSame(await refusal('/empty'), {
    code,
    message: 'GET /empty was answered with 303 See Other, and not with an event stream. Its body is empty.',
    statusCode: 303,
    type: undefined,
    body: ''
  })
  t.match(await refusal('/created'), {
    message: /^GET \/created was answered with 201 Created, and not with an event stream\. Its body, text\/event-stream: : sse-heartbeat: 15000 /,
    statusCode: 201,
    type: 'text/event-stream'
  })
  t.strictSame(await refusal('/failing'), {
    code,
    message: `GET /failing was answered with 500 Internal Server Error, and not with an event stream. Its body, JSON: ${failed}`,
    statusCode: 500,
    type: json,
    body: failed
  })
  const { headers } = await injectSSE(app, '/private').catch((error) => error)
  t.match(headers, { 'www-authenticate': 'Bearer' })
})

t.test('a body that does not end, and is no event stream, is read up to one MiB, or as long as the test waits', async (t) => {
  const { app } = await createApp(t)
  const endless = new Readable({ read () { this.push('x'.repeat(10_000)) } })
  const silent = new Readable({ read () {} })
  app.get('/endless', (_request, reply) => reply.type('text/plain').send(endless))
  app.get('/silent', (_request, reply) => {
    silent.push('x')
    return reply.type('text/plain').send(silent)
  })
  const { body } = await injectSSE(app, '/endless').catch((error) => error)
  t.match(body, /^x{1048576,1120000}$/)
  await t.rejects(injectSSE(app, { url: '/silent', timeoutMs: 1 }), { code: 'FST_SSE_TEST_RESPONSE_UNEXPECTED', body: /^x?$/ })
  await until(() => endless.destroyed && silent.destroyed)
})

t.test('an application that does not start rejects with what has failed', async (t) => {
  const app = Fastify()
  app.register(async () => { throw new Error('no database') })
  await t.rejects(injectSSE(app, '/'), { message: 'no database' })
})

t.test('an answer that does not come in time rejects, and its client is gone', async (t) => {
  const { app } = await createApp(t)
  const left = deferred()
  app.get('/', async (request) => {
    request.raw.once('close', left.resolve)
    await forever(new AbortController().signal)
  })
  await app.ready()
  await t.rejects(injectSSE(app, { url: '/', timeoutMs: 1 }), {
    code: 'FST_SSE_TEST_TIMEOUT',
    message: 'GET / was not answered within 1 ms. Its handler, a hook, or a plugin that is not ready waits for something, maybe for a clock that the test has faked.',
    timeoutMs: 1,
    events: 0
  })
  await left.promise
})

t.test('a test that fakes process.nextTick is told to leave it out', async (t) => {
  const { app } = await pushed(t)
  await app.ready()
  const clock = FakeTimers.install()
  t.teardown(() => clock.uninstall())
  await t.rejects(injectSSE(app, '/'), {
    code: 'FST_SSE_TEST_TICKS_FAKED',
    message: "process.nextTick is faked, and no stream of Node moves without it. Leave it out: FakeTimers.install({ toNotFake: ['nextTick', 'queueMicrotask'] }), jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask'] })."
  })
  clock.runAll()
})

t.test('a number of events or of milliseconds that is none is refused', async (t) => {
  const { app } = await pushed(t)
  for (const timeoutMs of [-1, 0.5, NaN, Infinity, 2 ** 31, '1']) {
    await t.rejects(injectSSE(app, { url: '/', timeoutMs: timeoutMs as number }), { code: 'FST_SSE_OPTION_INVALID', option: 'timeoutMs' })
  }
  const stream = await injectSSE(app, '/')
  await t.rejects(stream.next({ timeoutMs: -1 }), { message: 'timeoutMs must be an integer from 0 to 2147483647, 0 for no limit, but is -1.' })
  for (const count of [-1, 0.5, NaN, '1']) {
    await t.rejects(stream.take(count as number), { code: 'FST_SSE_OPTION_INVALID', option: 'count' })
  }
  t.strictSame(await stream.take(0), [])
})

t.test('a request that cannot be one is refused by name', async (t) => {
  const { app } = await pushed(t)
  const inject = injectSSE as (app: unknown, options?: unknown) => Promise<unknown>
  await t.rejects(inject(undefined, '/'), { name: 'TypeError', message: 'injectSSE needs a Fastify application, but was given undefined. If that is a promise of one, await it.' })
  for (const options of [undefined, null, 3, ['/']]) await t.rejects(inject(app, options), { code: 'FST_SSE_OPTION_INVALID', option: 'injectSSE options' })
  await t.rejects(inject(app, { url: '/', lastEventID: '3' }), { code: 'FST_SSE_OPTION_UNKNOWN', message: 'injectSSE options has no option "lastEventID". Did you mean lastEventId?' })
  for (const lastEventId of [null, {}, true, 'a\nb', 'a\rb', '\0']) {
    await t.rejects(inject(app, { url: '/', lastEventId }), { code: 'FST_SSE_OPTION_INVALID', option: 'lastEventId' })
  }
})

t.test('a stream that fails rejects the read after its last event, and all after that, until the test leaves', async (t) => {
  const { app } = await createApp(t)
  app.get('/redacted', (_request, reply) => reply.sse(async function * () {
    yield { data: 1 }
    throw new Error('the password of the database is wrong')
  }))
  app.get('/exposed', (_request, reply) => reply.sse(async function * () {
    yield { data: 1 }
    throw Object.assign(new Error('No such order'), { code: 'ORDER_MISSING', expose: true })
  }))
  const redacted = await injectSSE(app, '/redacted')
  t.strictSame(await redacted.next(), { event: 'message', data: 1 })
  for (let n = 0; n < 2; n++) {
    await t.rejects(redacted.next(), new StreamFaultError('FST_SSE_SOURCE_FAILED', 'Internal Server Error'))
    t.equal(redacted.ended, 'fault')
  }
  await redacted.close()
  t.equal(await redacted.next(), undefined)
  t.equal(redacted.ended, 'fault')

  const exposed = await injectSSE(app, '/exposed')
  await t.rejects(exposed.take(2), { name: 'StreamFaultError', code: 'ORDER_MISSING', message: 'No such order' })
  t.equal(exposed.ended, undefined)
  t.strictSame(await exposed.next(), { event: 'message', data: 1 }, 'what a read that rejects had taken is there for the next one')
  await t.rejects(exposed.next(), StreamFaultError)

  const seen: unknown[] = []
  await t.rejects(async () => {
    for await (const { data } of await injectSSE(app, '/exposed')) seen.push(data)
  }, StreamFaultError)
  t.strictSame(seen, [1])
})

t.test('a stream that is cut off rejects', async (t) => {
  const { app, handle } = await pushed(t, { controlEvents: false, validation: 'throw' })
  const stream = await injectSSE(app, '/')
  handle().send({ data: 1 })
  t.strictSame(await stream.next(), { event: 'message', data: 1 })
  const next = stream.next()
  handle().send({ data: 2n })
  await t.rejects(next, {
    code: 'FST_SSE_TEST_STREAM_CUT',
    message: 'GET / was cut off by the server after one event. onDisconnect and the log of the application (level debug) tell the reason.',
    events: 1
  })
  t.equal(stream.ended, 'cut')
  t.equal(app.sse.stats().closed['event-invalid'], 1)
})

t.test('data that is not JSON rejects and names the event; the others can be read', async (t) => {
  const app = await foreign(t, 'event: n\ndata: 1\n\ndata: [DONE]\nid: 2\n\ndata: 3\n\n')
  const stream = await injectSSE(app, '/')
  await t.rejects(stream.take(2), {
    code: 'FST_SSE_TEST_DATA_UNREADABLE',
    message: 'The data of event "message" of GET / is not JSON: "[DONE]". Declare the event with text() when its data is text.',
    eventType: 'message',
    data: '[DONE]'
  })
  t.strictSame(await stream.take(Infinity), [{ event: 'n', data: 1 }, { event: 'message', data: 3, id: '2' }])
})

t.test('a read that nothing comes for rejects in time, and loses nothing', async (t) => {
  const { app, handle } = await pushed(t)
  const stream = await injectSSE(app, { url: '/', timeoutMs: 1000 })
  await t.rejects(stream.next({ timeoutMs: 1 }), {
    code: 'FST_SSE_TEST_TIMEOUT',
    message: 'GET / gave no event within 1 ms. The stream is open. When its source waits for a clock that the test has faked, call next() first, then move the clock, then await what next() gave.',
    timeoutMs: 1,
    events: 0
  })
  const both = stream.take(2, { timeoutMs: 2 })
  handle().send({ data: 1 })
  await t.rejects(both, { message: /^GET \/ gave no event within 2 ms, and 1 of the 2 asked for\. / })
  handle().send({ data: 2 })
  t.strictSame(await stream.take(2, { timeoutMs: 0 }), [{ event: 'message', data: 1 }, { event: 'message', data: 2 }])
  await t.rejects(stream.next(), { message: /^GET \/ gave no event within 1000 ms after 2 events\. /, events: 2 })
})

t.test('a signal leaves: before the request, before the answer, and after it', async (t) => {
  const { app } = await pushed(t)
  const [called, left] = [deferred(), deferred()]
  app.get('/waiting', async (request) => {
    request.raw.once('close', left.resolve)
    called.resolve()
    await forever(new AbortController().signal)
  })
  await t.rejects(injectSSE(app, { url: '/', signal: AbortSignal.abort(new Error('mine')) }), { message: 'mine' })
  t.equal(app.sse.stats().opened, 0)

  const before = new AbortController()
  const answer = injectSSE(app, { url: '/waiting', signal: before.signal, timeoutMs: 0 })
  await called.promise
  before.abort(new Error('mine'))
  await t.rejects(answer, { message: 'mine' })
  await left.promise

  const after = new AbortController()
  const stream = await injectSSE(app, { url: '/', signal: after.signal })
  const next = stream.next()
  after.abort()
  t.equal(await next, undefined)
  t.equal(stream.ended, 'left')
  t.equal(app.sse.stats().open, 0)
})

t.test('events are given as a client dispatches them: data parsed, text raw, the last event ID when there is one', async (t) => {
  const { app } = await createApp(t)
  app.get('/', { schema: { events: Mixed } }, (_request, reply) => reply.sse([
    { event: 'n', data: 1 },
    { event: 'token', data: '42', id: 0 },
    { event: 'a,b: ü', data: '{"a":\n1}' },
    { event: 'token', data: '', id: '' },
    Mixed.make.done()
  ]))
  app.get('/undeclared', (_request, reply) => reply.sse([{ data: { a: [null] } }, { event: 'x', data: '42', id: 'ü' }]))
  const stream = await injectSSE<typeof Mixed>(app, { url: '/' })
  t.strictSame(await stream.take(9), [
    { event: 'n', data: 1 },
    { event: 'token', data: '42', id: '0' },
    { event: 'a,b: ü', data: '{"a":\n1}', id: '0' },
    { event: 'token', data: '' },
    { event: 'done', data: null }
  ])
  t.strictSame(await (await injectSSE(app, '/undeclared')).take(9), [
    { event: 'message', data: { a: [null] } },
    { event: 'x', data: '42', id: 'ü' }
  ])
})

t.test('a comment of the application does not make text of an event', async (t) => {
  const { app, handle } = await pushed(t)
  const stream = await injectSSE(app, '/')
  handle().comment('sse-text: message')
  handle().send({ data: 1 })
  t.strictSame(await stream.next(), { event: 'message', data: 1 })
})

t.test('a gap is an event, and its ID where a client goes on', async (t) => {
  const { app } = await createApp(t)
  const channel = app.sse.channel('n', { n: Type.Integer() })
  app.get('/', { schema: { events: { n: Type.Integer() } } }, (_request, reply) => reply.sse(channel))
  await channel.publish({ event: 'n', data: 1 })
  const stream = await injectSSE(app, { url: '/', lastEventId: 'elsewhere.7' })
  const one = channel.lastEventId
  const zero = one.replace(/1$/, '0')
  t.strictSame(await stream.next(), { event: 'sse.gap', data: { reason: 'epoch', requested: 'elsewhere.7', resumedAt: zero }, id: zero })
  t.equal(stream.lastEventId, zero)
  t.strictSame(await stream.next(), { event: 'n', data: 1, id: one })
})

t.test('a client that leaves takes up where it has read to, however much has come', async (t) => {
  const { app } = await createApp(t)
  const channel = app.sse.channel('n', { n: Type.Integer() })
  app.get('/', { schema: { events: { n: Type.Integer() } } }, (_request, reply) => reply.sse(channel))
  const first = await injectSSE(app, '/')
  t.equal(first.lastEventId, channel.lastEventId, 'before the first event: the place that it was told')
  for (let n = 1; n <= 3; n++) await channel.publish({ event: 'n', data: n })
  const [one, two] = await first.take(2)
  t.strictSame([one?.data, two?.data, two?.id], [1, 2, first.lastEventId])
  await first.close()
  t.equal(first.lastEventId, two?.id)
  const again = await injectSSE(app, { url: '/', lastEventId: first.lastEventId })
  t.equal((await again.next())?.data, 3)
})

t.test('when a read says that the stream is over, the server has done with it', async (t) => {
  const ends: string[] = []
  const { app } = await createApp(t, { onDisconnect: (_request, { reason }) => { ends.push(reason) } })
  app.get('/', (_request, reply) => reply.sse([{ data: 1 }, { data: 2 }]))
  const stream = await injectSSE(app, '/')
  t.strictSame(await stream.take(3), [{ event: 'message', data: 1 }, { event: 'message', data: 2 }])
  t.strictSame([ends, app.sse.stats().open], [['source-ended'], 0])
  t.equal(await stream.next(), undefined)
  t.strictSame(await stream.take(2), [])
  t.equal(stream.lastEventId, 'sse.end')
})

t.test('it tells how a stream has ended, and nothing while there may be something to read', async (t) => {
  const { app, handle } = await pushed(t)
  app.get('/finite', (_request, reply) => reply.sse([{ data: 1 }]))
  app.get('/bare', { sse: { controlEvents: false } }, (_request, reply) => reply.sse([{ data: 1 }]))

  const finite = await injectSSE(app, '/finite')
  t.equal(finite.ended, undefined)
  await finite.take(Infinity)
  t.equal(finite.ended, 'source-ended')

  const seen = await injectSSE(app, { url: '/finite', lastEventId: finite.lastEventId })
  t.strictSame([seen.statusCode, seen.ended, await seen.next()], [204, 'no-content', undefined])

  const bare = await injectSSE(app, '/bare')
  t.strictSame(await bare.take(2), [{ event: 'message', data: 1 }])
  t.equal(bare.ended, 'incomplete')

  const left = await injectSSE(app, '/')
  await left.close()
  t.equal(left.ended, 'left')

  const evicted = await injectSSE(app, '/')
  app.sse.evict(() => true)
  t.equal(await evicted.next(), undefined)
  t.equal(evicted.ended, 'incomplete')

  const shut = await injectSSE(app, '/')
  handle().send({ data: 1 })
  await app.close()
  t.strictSame(await shut.take(2), [{ event: 'message', data: 1 }])
  t.equal(shut.ended, 'incomplete')
  t.match(shut.reconnectionTimeMs, Number)
})

t.test('leaving aborts the signal, returns the source, and resolves when the server has let go', async (t) => {
  const ends: string[] = []
  const { app } = await createApp(t, { onDisconnect: (_request, { reason }) => { ends.push(reason) } })
  const aborted = deferred<unknown>()
  let isReturned = false
  app.get('/', (_request, reply) => reply.sse(async function * ({ signal }) {
    signal.addEventListener('abort', () => aborted.resolve(signal.reason.reason))
    try {
      yield { data: 1 }
      await forever(signal)
    } finally {
      isReturned = true
    }
  }))
  const stream = await injectSSE(app, '/')
  await stream.next()
  const waiting = [stream.next(), stream.take(2)]
  const closing = stream.close()
  t.equal(stream.close(), closing)
  await closing
  t.strictSame([app.sse.stats().open, ends], [0, ['client-left']])
  t.equal(await aborted.promise, 'client-left')
  await until(() => isReturned)
  t.strictSame(await Promise.all(waiting), [undefined, []])
  t.equal(await stream.next(), undefined)
})

t.test('leaving drops what was not read, and gives a read that waits what it has', async (t) => {
  const { app, handle } = await pushed(t)
  const stream = await injectSSE(app, '/')
  for (let n = 0; n < 3; n++) handle().send({ data: n })
  await stream.next()
  const waiting = stream.take(5)
  await stream.close()
  t.strictSame(await waiting, [{ event: 'message', data: 1 }, { event: 'message', data: 2 }])

  const dropping = await injectSSE(app, '/')
  for (let n = 0; n < 3; n++) handle().send({ data: n })
  await dropping.next()
  await dropping[Symbol.asyncDispose]()
  t.strictSame(await dropping.take(5), [])
})

t.test('a loop reads to the end, and who leaves the loop leaves the stream', async (t) => {
  const { app } = await createApp(t)
  app.get('/finite', (_request, reply) => reply.sse([{ data: 1 }, { data: 2 }]))
  app.get('/endless', (_request, reply) => reply.sse(function * () { for (let n = 0; ; n++) yield { data: n } }))
  const seen: unknown[] = []
  for await (const { data } of await injectSSE(app, '/finite')) seen.push(data)
  t.strictSame(seen.splice(0), [1, 2])
  const endless = await injectSSE(app, '/endless')
  for await (const { data } of endless) {
    seen.push(data)
    if (data === 2) break
  }
  t.strictSame([seen, endless.ended, app.sse.stats().open], [[0, 1, 2], 'left', 0])
})

t.test('reads are served in the order of their calls, each as a whole', async (t) => {
  const { app, handle } = await pushed(t)
  const stream = await injectSSE(app, '/')
  const reads = [stream.next(), stream.take(2), stream.next(), stream.take(Infinity)]
  for (let n = 0; n < 6; n++) await handle().send({ data: n })
  handle().close()
  const data = (await Promise.all(reads)).map((given) => [given].flat().map((event) => event?.data))
  t.strictSame(data, [[0], [1, 2], [3], [4, 5]])
})

t.test('what nobody asks for stays with the server', async (t) => {
  const { app } = await createApp(t)
  let made = 0
  app.get('/', (_request, reply) => reply.sse(function * () {
    for (;;) yield { data: 'x'.repeat(10_000), id: made++ }
  }))
  const stream = await injectSSE(app, '/')
  await stream.next()
  // The server gives a batch, the response keeps one, and one was read.
  let before
  do {
    before = made
    for (let turn = 0; turn < 10; turn++) await until(() => true)
  } while (made !== before)
  t.ok(made <= 40, `${made} events`)
  t.equal((await stream.take(100)).at(-1)?.id, '100')
})

t.test('the request is sent as a client sends it', async (t) => {
  const { app } = await createApp(t)
  app.addContentTypeParser('application/octet-stream', { parseAs: 'buffer' }, (_request, body, done) => done(null, (body as Buffer).toString('hex')))
  app.addContentTypeParser(/^multipart\/form-data/, { parseAs: 'string' }, (_request, body, done) => done(null, String(body).includes('name="field"')))
  app.all('/*', (request, reply) => reply.sse([{
    data: {
      method: request.method,
      url: request.url,
      lastEventId: request.headers['last-event-id'],
      accept: request.headers.accept,
      cookie: request.headers.cookie,
      host: request.host,
      body: request.body
    }
  }]))
  const sent = async (options: InjectSSEOptions): Promise<any> => (await (await injectSSE(app, options)).next())!.data
  const bytes = (id: string): string => Buffer.from(id).toString('latin1')

  t.strictSame(await sent({ url: '/' }), { method: 'GET', url: '/', accept: 'text/event-stream', host: 'localhost:80' })
  t.match(await sent({ url: '/', headers: { Accept: '*/*', 'Last-Event-ID': '1' } }), { accept: '*/*', lastEventId: '1' })
  t.match(await sent({ url: '/', headers: { 'Last-Event-ID': '1' }, lastEventId: 'ü€' }), { lastEventId: bytes('ü€') })
  t.match(await sent({ url: '/', lastEventId: 0 }), { lastEventId: '0' })
  t.notOk('lastEventId' in await sent({ url: '/', lastEventId: '' }))
  t.match(await sent({ path: '/x', query: { a: 'b' }, cookies: { c: 'd' }, authority: 'e.test' }), { url: '/x?a=b', cookie: 'c=d', host: 'e.test' })
  t.match(await sent({ url: '/', payload: { a: 1 } }), { method: 'POST', body: { a: 1 } })
  t.match(await sent({ url: '/', body: ['ü'], method: 'put' }), { method: 'PUT', body: ['ü'] })
  t.match(await sent({ url: '/', payload: 'text', headers: { 'content-type': 'text/plain' } }), { method: 'POST', body: 'text' })
  const binary = { 'content-type': 'application/octet-stream' }
  t.match(await sent({ url: '/', payload: Buffer.from([1, 255]), headers: binary }), { body: '01ff' })
  t.match(await sent({ url: '/', payload: Readable.from([Buffer.from([1]), Buffer.from([255])]), headers: binary }), { body: '01ff' })
  const form = new FormData()
  form.append('field', 'value')
  t.match(await sent({ url: '/', payload: form }), { method: 'POST', body: true })
  t.match(await sent({ url: '/', method: 'POST' }), { method: 'POST' })
})

t.test('an event that has no ID of its own is given with the one that was sent', async (t) => {
  const { app } = await createApp(t)
  app.get('/', (_request, reply) => reply.sse([{ data: 1 }, { data: 2, id: 8 }]))
  const stream = await injectSSE(app, { url: '/', lastEventId: 7 })
  t.strictSame([stream.lastEventId, await stream.take(2)], ['7', [{ event: 'message', data: 1, id: '7' }, { event: 'message', data: 2, id: '8' }]])
})

t.test('comments and the reconnection time can be looked at, and are no events', async (t) => {
  const { app, handle } = await pushed(t, { reconnectionTimeMs: 500 })
  const stream = await injectSSE(app, '/')
  t.equal(stream.statusCode, 200)
  t.match(stream.headers, { 'content-type': 'text/event-stream', 'sse-heartbeat': '15000' })
  t.strictSame([stream.comments, stream.reconnectionTimeMs], [['sse-heartbeat: 15000'], 500])
  handle().comment('one\ntwo')
  handle().send({ data: 1, retry: 20 })
  t.strictSame(await stream.next(), { event: 'message', data: 1 })
  t.strictSame([stream.comments, stream.reconnectionTimeMs], [['sse-heartbeat: 15000', 'one', 'two'], 20])
})

t.test('an application need not be ready, and the plugin may be in a context of its own', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.register(async (scope) => {
    await scope.register(ssePlugin)
    scope.get('/', (_request, reply) => reply.sse([{ data: 1 }]))
  })
  t.strictSame(await (await injectSSE(app, '/')).take(2), [{ event: 'message', data: 1 }])
})

t.test('a stream that a hook has put something in between is read like any other', async (t) => {
  const { app } = await createApp(t)
  app.addHook('onSend', async (_request, _reply, payload) => Readable.from(payload as Readable, { objectMode: false }))
  app.get('/', (_request, reply) => reply.sse(function * () { for (let n = 0; ; n++) yield { data: n } }))
  const stream = await injectSSE(app, '/')
  t.strictSame((await stream.take(3)).map(({ data }) => data), [0, 1, 2])
  await stream.close()
  t.equal(app.sse.stats().open, 0)
})

t.test('an event stream that is not of this package is read, and left', async (t) => {
  const endless = new Readable({ read () { this.push('data: 1\n\n') } })
  const app = await foreign(t, endless)
  const stream = await injectSSE(app, '/')
  t.strictSame(await stream.take(2), [{ event: 'message', data: 1 }, { event: 'message', data: 1 }])
  await stream.close()
  await until(() => endless.destroyed)
})

const clocks: Record<string, (t: Test) => Clock> = {
  'mock.timers of node:test': (t) => ({
    fake () {
      mock.timers.enable()
      t.teardown(() => mock.timers.reset())
    },
    tick: (ms) => mock.timers.tick(ms)
  }),
  '@sinonjs/fake-timers': (t) => {
    let clock!: ReturnType<typeof FakeTimers.install>
    return {
      fake () {
        clock = FakeTimers.install({ toNotFake: ['nextTick', 'queueMicrotask'] })
        t.teardown(() => clock.uninstall())
      },
      tick: (ms) => { clock.tick(ms) }
    }
  }
}

for (const [name, clock] of Object.entries(clocks)) {
  for (const [rule, run] of cases) {
    t.test(`${rule} (tap, ${name})`, async (t) => { await run(clock(t)) })
  }
}

/** What a command ends with, run as somebody at a terminal does: without the loaders that tap hands to its children. */
async function run (t: Test, args: string[]): Promise<{ code: number, output: string }> {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(NODE_|_?TAP|VITEST)/.test(name)))
  const child = spawn(process.execPath, args, { cwd: ROOT, env: { ...env, NO_COLOR: '1' }, stdio: ['ignore', 'pipe', 'pipe'] })
  t.teardown(() => child.kill('SIGKILL'))
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8')
    stream.on('data', (chunk: string) => { output += chunk })
  }
  const [code] = await once(child, 'close')
  return { code, output }
}

t.test('a process that has read three events of a stream without end, and left, ends by itself', async (t) => {
  const { code, output } = await run(t, ['--import', 'tsx', 'test/fixtures/testing/script.ts'])
  t.strictSame([code, output], [0, '{"open":0,"sources":0}\n'])
})

t.test('the same holds in node:test, which ends by itself', async (t) => {
  const { code, output } = await run(t, ['--import', 'tsx', '--test', 'test/fixtures/testing/node-test.ts'])
  t.equal(code, 0, output)
  t.match(output, new RegExp(`(# |ℹ )pass ${cases.length}\n`))
})

t.test('the same holds in Vitest, which finds nothing that is left open', async (t) => {
  const { code, output } = await run(t, ['node_modules/vitest/vitest.mjs', 'run', '--config', 'test/fixtures/testing/vitest.config.ts', '--reporter', 'verbose', '--reporter', 'hanging-process'])
  t.equal(code, 0, output)
  t.match(output, new RegExp(`Tests +${cases.length} passed`))
  t.notMatch(output, /hanging|timed out/)
})
