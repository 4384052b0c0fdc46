import { EventEmitter } from 'node:events'
import { Readable } from 'node:stream'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { Type } from '@sinclair/typebox'
import t from 'tap'
import { defineEvents, text, type StreamHandle } from '../../lib/index.js'
import { createApp, createLogged, listen, streamLogs } from '../support/app.js'
import { connect } from '../support/client.js'
import { deferred, forever } from '../support/sources.js'
import ssePlugin from '../../lib/index.js'

const Clock = defineEvents({
  tick: Type.Object({ now: Type.String({ format: 'date-time' }) }),
  count: Type.Integer(),
  line: text(),
  closing: Type.Null()
})

const OPENING = ': sse-heartbeat: 15000\n\nretry: 3000\n\n'
const TEXT_OPENING = ': sse-heartbeat: 15000\n: sse-text: line\n\nretry: 3000\n\n'
const END = 'event: sse.end\ndata: null\nid: sse.end\n\n'

function count (n: number): { event: 'count', data: number } {
  return { event: 'count', data: n }
}

const ONE_TWO = 'event: count\ndata: 1\n\nevent: count\ndata: 2\n\n'

t.test('a stream is its opening, its events and its end', async (t) => {
  const { app } = await createApp(t)
  app.get('/', { schema: { events: Clock } }, (_request, reply) => reply.sse([
    Clock.make.tick({ now: '2026-01-02T03:04:05Z' }, { id: 7 }),
    { event: 'count', data: 1, id: '', retry: 50 },
    Clock.make.line('two\r\nlines\rand "three"'),
    Clock.make.closing()
  ]))
  const response = await app.inject('/')
  t.equal(response.statusCode, 200)
  t.strictSame({
    'content-type': response.headers['content-type'],
    'cache-control': response.headers['cache-control'],
    'x-accel-buffering': response.headers['x-accel-buffering'],
    'sse-heartbeat': response.headers['sse-heartbeat']
  }, {
    'content-type': 'text/event-stream',
    'cache-control': 'no-cache, no-transform',
    'x-accel-buffering': 'no',
    'sse-heartbeat': '15000'
  })
  t.equal(response.body, TEXT_OPENING +
    'event: tick\ndata: {"now":"2026-01-02T03:04:05Z"}\nid: 7\n\n' +
    'event: count\ndata: 1\nid: \nretry: 50\n\n' +
    'event: line\ndata: two\ndata: lines\ndata: and "three"\n\n' +
    'event: closing\ndata: null\n\n' +
    END)
})

t.test('every kind of source gives the same stream', async (t) => {
  const { app } = await createApp(t)
  const events = { schema: { events: Clock } }
  async function * generator (): AsyncGenerator<{ event: 'count', data: number }> {
    yield count(1)
    yield count(2)
  }
  app.get('/array', events, (_request, reply) => reply.sse([count(1), count(2)]))
  app.get('/set', events, (_request, reply) => reply.sse(new Set([count(1), count(2)])))
  app.get('/async-iterable', events, (_request, reply) => reply.sse(generator()))
  app.get('/generator-function', events, (_request, reply) => reply.sse(generator))
  app.get('/sync-generator-function', events, (_request, reply) => reply.sse(function * () {
    yield count(1)
    yield count(2)
  }))
  app.get('/arrow', events, (_request, reply) => reply.sse(() => generator()))
  app.get('/async-function', events, (_request, reply) => reply.sse(async () => generator()))
  app.get('/readable', events, (_request, reply) => reply.sse(Readable.from([count(1), count(2)])))
  app.get('/web-stream', events, (_request, reply) => reply.sse(new ReadableStream({
    start (controller) {
      controller.enqueue(count(1))
      controller.enqueue(count(2))
      controller.close()
    }
  }) as any))
  app.get('/handle', events, async (_request, reply) => {
    const stream = reply.sse()
    t.equal(await stream.send(count(1)), true)
    t.equal(await stream.send(count(2)), true)
    stream.close()
    stream.close()
    await stream.closed
    t.equal(await stream.send(count(3)), false)
  })
  app.get('/handle-returned', events, (_request, reply) => {
    const stream = reply.sse()
    stream.send(count(1))
    stream.send(count(2))
    stream.close()
    return stream.closed
  })
  app.get('/not-returned', events, async (_request, reply) => { reply.sse([count(1), count(2)]) })
  app.get('/callback-handler', events, (_request, reply) => { reply.sse([count(1), count(2)]) })
  app.get('/awaited', events, async (_request, reply) => { await reply.sse([count(1), count(2)]) })
  app.post('/post', events, (_request, reply) => reply.sse([count(1), count(2)]))
  for (const url of ['array', 'set', 'async-iterable', 'generator-function', 'sync-generator-function', 'arrow', 'async-function',
    'readable', 'web-stream', 'handle', 'handle-returned', 'not-returned', 'callback-handler', 'awaited']) {
    t.equal((await app.inject(`/${url}`)).body, TEXT_OPENING + ONE_TWO + END, url)
  }
  t.equal((await app.inject({ method: 'POST', url: '/post', payload: {} })).body, TEXT_OPENING + ONE_TWO + END, 'post')
  t.strictSame(app.sse.stats(), { open: 0, sources: 0, opened: 15, events: 30, closed: { 'source-ended': 15 }, channels: {} })
})

t.test('a route without events sends any JSON, with or without an event type', async (t) => {
  const { app } = await createApp(t)
  app.get('/', (_request, reply) => reply.sse([{ data: { a: [1] } }, { event: 'x', data: 'text\n' }, { data: null, id: 0 }]))
  t.equal((await app.inject('/')).body,
    OPENING + 'data: {"a":[1]}\n\nevent: x\ndata: "text\\n"\n\ndata: null\nid: 0\n\n' + END)
})

t.test('events may be declared as a bare map', async (t) => {
  const { app } = await createApp(t)
  app.get('/', { schema: { events: { count: Type.Integer() } } }, (_request, reply) => reply.sse([count(1)]))
  t.equal((await app.inject('/')).body, OPENING + 'event: count\ndata: 1\n\n' + END)
})

t.test('undeclared properties are never serialized', async (t) => {
  const { app } = await createApp(t)
  app.get('/', { schema: { events: { user: Type.Object({ name: Type.String() }) } } }, (_request, reply) => {
    // Typed as less than it is: what an inline literal has too much would not compile.
    const user: { name: string } = Object.assign({ name: 'Ann' }, { password: 'secret' })
    return reply.sse([{ event: 'user', data: user }])
  })
  t.equal((await app.inject('/')).body, OPENING + 'event: user\ndata: {"name":"Ann"}\n\n' + END)
})

t.test('a source function gets the signal, the last event ID and the request', async (t) => {
  const { app } = await createApp(t)
  app.get('/:name', (_request, reply) => reply.sse(function * ({ signal, lastEventId, request }) {
    yield { data: [signal.aborted, lastEventId ?? null, request.params] }
  }))
  const first = await app.inject('/x')
  t.match(first.body, 'data: [false,null,{"name":"x"}]\n\n')
  const again = await app.inject({ url: '/x', headers: { 'last-event-id': '0' } })
  t.match(again.body, 'data: [false,"0",{"name":"x"}]\n\n')
})

t.test('a last event ID arrives as UTF-8', async (t) => {
  const { app } = await createApp(t)
  app.get('/', (_request, reply) => reply.sse(({ lastEventId }) => [{ data: lastEventId }]))
  const { origin } = await listen(app)
  const client = await connect(t, origin, { headers: { 'last-event-id': Buffer.from('größe–1').toString('latin1') } })
  t.strictSame(await client.events(1), ['data: "größe–1"\n\n'])
})

t.test('a quiet stream opens without an event', async (t) => {
  const { app } = await createApp(t)
  app.get('/', (_request, reply) => reply.sse(async function * ({ signal }) { await forever(signal) }))
  const { origin } = await listen(app)
  const client = await connect(t, origin)
  t.equal(client.status, 200)
  t.equal(await client.frame(), ': sse-heartbeat: 15000\n\n')
  t.equal(await client.frame(), 'retry: 3000\n\n')
})

t.test('events that are ready in one turn leave in one write', async (t) => {
  const { app } = await createApp(t)
  const more = deferred()
  app.get('/', (_request, reply) => reply.sse(async function * ({ signal }) {
    for (let n = 0; n < 100; n++) yield { data: n }
    await more.promise
    for (let n = 100; n < 200; n++) yield { data: n }
    await forever(signal)
  }))
  const writes: string[] = []
  app.addHook('onRequest', async (_request, reply) => {
    const { write } = reply.raw
    reply.raw.write = function (this: typeof reply.raw, chunk: any, ...rest: any[]) {
      writes.push(String(chunk))
      return (write as any).call(this, chunk, ...rest)
    } as typeof write
  })
  const { origin } = await listen(app)
  const client = await connect(t, origin)
  t.equal((await client.events(100)).length, 100)
  more.resolve()
  t.equal((await client.events(100)).length, 100)
  t.equal(writes.length, 2)
  t.ok(writes[0]!.startsWith(OPENING + 'data: 0\n\n'))
  t.ok(writes[1]!.startsWith('data: 100\n\n') && writes[1]!.endsWith('data: 199\n\n'))
})

t.test('a source that never waits leaves other requests their turn', async (t) => {
  const { app } = await createApp(t)
  app.get('/busy', (_request, reply) => reply.sse(function * () { while (true) yield { data: 'x'.repeat(100) } }))
  app.get('/other', async () => 'here')
  const { origin } = await listen(app)
  const client = await connect(t, `${origin}/busy`)
  await client.events(1000)
  t.equal(await (await fetch(`${origin}/other`)).text(), 'here')
})

t.test('a handler may answer with JSON or with a stream', async (t) => {
  const { app } = await createApp(t)
  app.post<{ Body: { stream: boolean } }>('/', { schema: { events: Clock } }, (request, reply) =>
    request.body.stream ? reply.sse([count(1)]) : reply.send({ count: 1 }))
  t.strictSame((await app.inject({ method: 'POST', url: '/', payload: { stream: false } })).json(), { count: 1 })
  t.equal((await app.inject({ method: 'POST', url: '/', payload: { stream: true } })).body, TEXT_OPENING + 'event: count\ndata: 1\n\n' + END)
})

t.test('comments of the handle are written, each line as its own', async (t) => {
  const { app } = await createApp(t)
  app.get('/', (_request, reply) => {
    const stream = reply.sse()
    stream.comment('a\nb')
    stream.comment()
    stream.close()
    stream.comment('late')
    return stream.closed
  })
  t.equal((await app.inject('/')).body, OPENING + ': a\n: b\n\n:\n\n' + END)
})

t.test('the handle refuses an invalid event without an unhandled rejection, and ends with a fault', async (t) => {
  const { app, logs } = await createApp(t)
  app.get('/', { schema: { events: Clock } }, async (_request, reply) => {
    const stream = reply.sse()
    await stream.send(count(1))
    t.equal(await stream.send({ event: 'count', data: 'x' as unknown as number }), false)
    t.equal(stream.signal.aborted, true)
    t.equal(await stream.send(count(2)), false)
    return stream.closed
  })
  t.equal((await app.inject('/')).body,
    TEXT_OPENING + 'event: count\ndata: 1\n\nevent: sse.fault\ndata: {"code":"FST_SSE_EVENT_INVALID","message":"Internal Server Error"}\n\n')
  t.strictSame(streamLogs(logs).map(({ level, err }) => [level, err?.code]), [[50, 'FST_SSE_EVENT_INVALID']])
})

t.test('a stream that ended is answered with 204 when the client comes back', async (t) => {
  const { app } = await createApp(t)
  let runs = 0
  const source = function * (): Generator<{ data: number }> {
    runs++
    yield { data: 1 }
  }
  app.get('/', (_request, reply) => reply.sse(source))
  app.get('/plain', { sse: { controlEvents: false } }, (_request, reply) => reply.sse(source))
  const id = /^id: (.*)$/m.exec((await app.inject('/')).body)![1]!
  const again = await app.inject({ url: '/', headers: { 'last-event-id': id } })
  t.equal(again.statusCode, 204)
  t.equal(again.body, '')
  t.equal(runs, 1)
  const plain = await app.inject({ url: '/plain', headers: { 'last-event-id': id } })
  t.equal(plain.statusCode, 200)
  t.equal(plain.body, OPENING + 'data: 1\n\n')
})

t.test('the plugin works without await, and inside a wrapper', async (t) => {
  for (const register of [
    (app: any) => { app.register(ssePlugin, { heartbeatMs: 1000 }) },
    (app: any) => { app.register(Object.assign(async (wrapped: any) => wrapped.register(ssePlugin, { heartbeatMs: 1000 }), { [Symbol.for('skip-override')]: true })) }
  ]) {
    const { app, logs } = createLogged(t)
    register(app)
    app.get('/early', { schema: { events: Clock } }, (_request, reply) => reply.sse([count(1)]))
    app.register(async (child) => {
      child.get('/child', { schema: { events: Clock }, sse: { heartbeatMs: 2000 } }, (_request, reply) => reply.sse([count(1)]))
    })
    t.equal((await app.inject('/early')).body, ': sse-heartbeat: 1000\n: sse-text: line\n\nretry: 3000\n\nevent: count\ndata: 1\n\n' + END)
    t.match(logs.find((line) => line.level === 40)?.msg, /GET \/early was registered before fastify-typed-sse was loaded/)
    t.equal((await app.inject('/child')).body, ': sse-heartbeat: 2000\n: sse-text: line\n\nretry: 3000\n\nevent: count\ndata: 1\n\n' + END)
  }
})

t.test('headers that the application has set are kept', async (t) => {
  const { app } = await createApp(t)
  app.get('/', (_request, reply) => {
    reply.code(201).header('cache-control', 'no-store').header('x-mine', '1')
    return reply.sse([{ data: 1 }])
  })
  const response = await app.inject('/')
  t.equal(response.statusCode, 201)
  t.equal(response.headers['cache-control'], 'no-store')
  t.equal(response.headers['x-mine'], '1')
})

t.test('with validation "drop" invalid events are left out and logged', async (t) => {
  const { app, logs } = await createApp(t, { validation: 'drop' })
  app.get('/', { schema: { events: Clock } }, (_request, reply) => reply.sse([
    count(1), { event: 'count', data: 1.5 }, { event: 'cuont', data: 1 } as any, { event: 'count', data: 2, id: 'a\nb' }, null as any, count(2)
  ]))
  t.equal((await app.inject('/')).body, TEXT_OPENING + ONE_TWO + END)
  t.strictSame(logs.filter((line) => line.level === 40).map((line) => line.err?.code),
    ['FST_SSE_EVENT_INVALID', 'FST_SSE_EVENT_UNDECLARED', 'FST_SSE_FIELD_FORBIDDEN', 'FST_SSE_EVENT_MALFORMED'])
})

t.test('with validation "report" invalid events are sent and logged, and with "off" they are sent', async (t) => {
  for (const validation of ['report', 'off'] as const) {
    const { app, logs } = await createApp(t, { validation })
    app.get('/', { schema: { events: Clock } }, (_request, reply) => reply.sse([
      { event: 'other', data: { a: 1 } } as any, { event: 'tick', data: { now: 'yesterday' } }
    ]))
    t.equal((await app.inject('/')).body, TEXT_OPENING + 'event: other\ndata: {"a":1}\n\nevent: tick\ndata: {"now":"yesterday"}\n\n' + END)
    t.strictSame(logs.filter((line) => line.level === 40).map((line) => line.err?.code),
      validation === 'off' ? [] : ['FST_SSE_EVENT_UNDECLARED', 'FST_SSE_EVENT_INVALID'])
  }
})

t.test('an event that would break the wire is never sent', async (t) => {
  for (const validation of ['throw', 'report', 'off'] as const) {
    const { app } = await createApp(t, { validation })
    app.get('/', (_request, reply) => reply.sse([{ data: 1 }, { data: 2, id: 'a\ndata: forged' }]))
    t.equal((await app.inject('/')).body,
      OPENING + 'data: 1\n\nevent: sse.fault\ndata: {"code":"FST_SSE_FIELD_FORBIDDEN","message":"Internal Server Error"}\n\n')
  }
})

t.test('accept "strict" answers 406 to a client that wants no event stream', async (t) => {
  const { app } = await createApp(t, { accept: 'strict' })
  app.get('/', (_request, reply) => reply.sse([{ data: 1 }]))
  const status = async (accept?: string): Promise<number> => (await app.inject({ url: '/', headers: accept === undefined ? {} : { accept } })).statusCode
  t.equal(await status(), 200)
  t.equal(await status('*/*'), 200)
  t.equal(await status('text/*;q=0.1'), 200)
  t.equal(await status('text/event-stream'), 200)
  t.equal(await status('application/json'), 406)
  t.equal(await status('text/event-stream;q=0, */*'), 406)
  const refused = await app.inject({ url: '/', headers: { accept: 'application/json' } })
  t.equal(refused.json().code, 'FST_SSE_NOT_ACCEPTABLE')
  t.equal(refused.headers.vary, 'accept')
})

t.test('HEAD answers with the headers and does not start the source', async (t) => {
  const { app } = await createApp(t)
  let runs = 0
  app.get('/', { schema: { events: Clock } }, (_request, reply) => reply.sse(function * () {
    runs++
    yield count(1)
  }))
  const { origin } = await listen(app)
  const response = await fetch(origin, { method: 'HEAD' })
  t.equal(response.status, 200)
  t.equal(response.headers.get('content-type'), 'text/event-stream')
  t.equal(response.headers.get('content-length'), null)
  t.equal(runs, 0)
})

t.test('a source runs in the asynchronous context of its request, also after it waited for a slow client', async (t) => {
  const { AsyncLocalStorage } = await import('node:async_hooks')
  const storage = new AsyncLocalStorage<string>()
  const { app } = await createApp(t)
  app.addHook('onRequest', (_request, _reply, done) => storage.run('mine', done))
  const seen = new Set<string | undefined>()
  app.get('/', (_request, reply) => reply.sse(async function * () {
    for (let n = 0; n < 2000; n++) {
      seen.add(storage.getStore())
      yield { data: 'x'.repeat(10_000) }
    }
  }))
  const { origin } = await listen(app)
  const client = await connect(t, origin)
  client.stall()
  await nextTurn()
  client.response.resume()
  await client.rest()
  t.equal(client.ended, 'end')
  t.strictSame([...seen], ['mine'])
})

t.test('onDisconnect is told once how a stream ended', async (t) => {
  const { app, logs } = await createApp(t)
  const told: unknown[] = []
  app.get('/', { sse: { onDisconnect: (request, end) => { told.push([request.url, end.reason, end.events, end.error]) } } },
    (_request, reply) => reply.sse([{ data: 1 }, { data: 2 }]))
  app.get('/throws', { sse: { onDisconnect: () => { throw new Error('mine') } } }, (_request, reply) => reply.sse([{ data: 1 }]))
  await app.inject('/')
  t.strictSame(told, [['/', 'source-ended', 2, undefined]])
  await app.inject('/throws')
  t.equal(logs.find((line) => line.msg === 'onDisconnect failed')?.err?.message, 'mine')
})

t.test('an EventEmitter feeds a stream, and no listener stays', async (t) => {
  const { app } = await createApp(t)
  const ticker = new EventEmitter()
  const opened = deferred()
  app.get('/', { schema: { events: { price: Type.Number() } } }, (_request, reply) => reply.sse(async function * ({ signal }) {
    const prices = app.sse.on<[number]>(ticker, 'price', { signal })
    opened.resolve()
    for await (const [price] of prices) yield { event: 'price' as const, data: price }
  }))
  const { origin } = await listen(app)
  const clientPromise = connect(t, origin)
  await opened.promise
  ticker.emit('price', 1)
  ticker.emit('price', 2)
  const client = await clientPromise
  t.strictSame(await client.events(2), ['event: price\ndata: 1\n\n', 'event: price\ndata: 2\n\n'])
  client.fin()
  while (ticker.listenerCount('price') > 0) await nextTurn()
  t.equal(ticker.listenerCount('error'), 0)
})

t.test('the handle may be kept and used from anywhere', async (t) => {
  const { app } = await createApp(t)
  const handles = new Set<StreamHandle<any>>()
  app.get('/', (_request, reply) => {
    const stream = reply.sse()
    handles.add(stream)
    stream.closed.then(() => handles.delete(stream))
    return stream.closed
  })
  const { origin } = await listen(app)
  const [a, b] = await Promise.all([connect(t, origin), connect(t, origin)])
  t.equal(handles.size, 2)
  for (const handle of handles) handle.send({ data: 'to all' })
  t.strictSame(await a.events(1), ['data: "to all"\n\n'])
  t.strictSame(await b.events(1), ['data: "to all"\n\n'])
  a.rst()
  while (handles.size > 1) await sleep(1)
})
