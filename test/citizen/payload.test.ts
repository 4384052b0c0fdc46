import { PassThrough, pipeline, Transform, type Readable } from 'node:stream'
import t from 'tap'
import type { StreamHandle } from '../../lib/index.js'
import { createApp, LEVEL, listen, streamLogs } from '../support/app.js'
import { connect, rawConnect } from '../support/client.js'
import { deferred, until } from '../support/sources.js'
import { createProducer, END, frame, nothingLeft, OPENING } from './producer.js'

const BIG = 'x'.repeat(20_000)

/** What an `onSend` hook may put between the stream and the response. */
const between: Record<string, (payload: Readable) => Readable> = {
  pipe: (payload) => payload.pipe(new PassThrough()),
  pipeline: (payload) => pipeline(payload, new PassThrough(), () => {}),
  'pipe twice': (payload) => payload.pipe(new PassThrough()).pipe(new PassThrough()),
  'a transform that counts': (payload) => payload.pipe(new Transform({ transform (chunk, _encoding, done) { done(null, chunk) } })),
  'an async generator': (payload) => {
    const through = new PassThrough()
    pipeline(payload, async function * (chunks) { yield * chunks }, through, () => {})
    return through
  }
}

for (const [name, put] of Object.entries(between)) {
  t.test(`an onSend hook may put something in between: ${name}`, async (t) => {
    const { app } = await createApp(t)
    const producer = createProducer()
    app.addHook('onSend', async (_request, _reply, payload) => put(payload as Readable))
    app.get('/', (_request, reply) => reply.sse(producer.source))
    const { origin } = await listen(app)
    const client = await connect(t, origin)
    t.equal(client.headers['content-type'], 'text/event-stream')
    for (const n of [1, 2, 3]) {
      producer.give(n)
      t.strictSame(await client.events(1), [frame(n)])
    }
    producer.finish()
    t.equal(await client.rest(), END)
    t.equal(client.ended, 'end')
    t.equal(client.text, OPENING + frame(1) + frame(2) + frame(3) + END)
    await nothingLeft(app)
    t.strictSame(app.sse.stats().closed, { 'source-ended': 1 })
  })

  t.test(`a client that leaves stops the source behind ${name}`, async (t) => {
    for (const leave of ['fin', 'rst'] as const) {
      const { app } = await createApp(t)
      const producer = createProducer(1)
      app.addHook('onSend', async (_request, _reply, payload) => put(payload as Readable))
      app.get('/', (_request, reply) => reply.sse(producer.source))
      const { origin } = await listen(app)
      const client = await connect(t, origin)
      await client.events(1)
      client[leave]()
      await nothingLeft(app)
      t.equal(producer.returned, 1)
      t.strictSame(app.sse.stats().closed, { 'client-left': 1 }, leave)
      await app.close()
    }
  })
}

for (const name of ['pipe', 'pipeline'] as const) {
  t.test(`a client that does not read holds the source back behind ${name}, and is cut off`, async (t) => {
    const { app } = await createApp(t, { stallTimeoutMs: 300 })
    let returned = 0
    app.addHook('onSend', async (_request, _reply, payload) => between[name]!(payload as Readable))
    app.get('/', (_request, reply) => reply.sse(async function * () {
      try {
        for (let n = 0; ; n++) yield { data: BIG }
      } finally {
        returned++
      }
    }))
    const { port } = await listen(app)
    const socket = await rawConnect(t, port, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    socket.pause()
    await nothingLeft(app)
    t.equal(returned, 1)
    t.strictSame(app.sse.stats().closed, { 'client-stalled': 1 })
    t.ok(app.sse.stats().events * BIG.length < 32 * 1024 * 1024, 'no more than the system and a few buffers hold')
  })
}

t.test('an onSend hook that destroys what it put in between ends the stream', async (t) => {
  const { app } = await createApp(t)
  const producer = createProducer(1)
  let through: PassThrough | undefined
  app.addHook('onSend', async (_request, _reply, payload) => {
    through = new PassThrough()
    pipeline(payload as Readable, through, () => {})
    return through
  })
  app.get('/', (_request, reply) => reply.sse(producer.source))
  const { origin } = await listen(app)
  const client = await connect(t, origin)
  await client.events(1)
  through!.destroy(new Error('broken'))
  t.equal(await client.rest(), '')
  t.equal(client.ended, 'aborted')
  await nothingLeft(app)
  t.equal(producer.returned, 1)
})

const replacements: Record<string, unknown> = { 'a string': 'replaced', 'a buffer': Buffer.from('replaced') }
for (const [name, replacement] of Object.entries(replacements)) {
  t.test(`an onSend hook that replaces the stream by ${name} stops the source`, async (t) => {
    const { app, logs } = await createApp(t)
    const producer = createProducer(1)
    app.addHook('onSend', async (_request, reply) => {
      reply.header('content-type', 'text/plain')
      return replacement
    })
    app.get('/', (_request, reply) => reply.sse(producer.source))
    const { origin } = await listen(app)
    const client = await connect(t, origin)
    t.equal(client.status, 200)
    t.equal(client.headers['content-type'], 'text/plain')
    t.equal(await client.rest(), 'replaced')
    await nothingLeft(app)
    t.equal(producer.returned, producer.started)
    t.strictSame(streamLogs(logs).map(({ level, sse }) => [level, sse?.reason]), [[LEVEL.info, 'response-replaced']])
  })
}

t.test('an onSend hook that replaces the stream by nothing stops the source', async (t) => {
  const { app } = await createApp(t)
  const producer = createProducer(1)
  app.addHook('onSend', (_request, reply, _payload, done) => {
    reply.code(204)
    done(null, null)
  })
  app.get('/', (_request, reply) => reply.sse(producer.source))
  const { origin } = await listen(app)
  const client = await connect(t, origin)
  t.equal(client.status, 204)
  t.equal(await client.rest(), '')
  await nothingLeft(app)
  t.equal(producer.returned, producer.started)
  t.strictSame(app.sse.stats().closed, { 'response-replaced': 1 })
})

t.test('an onSend hook that replaces the stream by another one stops the source', async (t) => {
  const { app } = await createApp(t)
  const producer = createProducer(1)
  app.addHook('onSend', async (_request, reply) => {
    reply.header('content-type', 'text/plain')
    return new PassThrough().end('replaced')
  })
  app.get('/', (_request, reply) => reply.sse(producer.source))
  const { origin } = await listen(app)
  const client = await connect(t, origin)
  t.equal(await client.rest(), 'replaced')
  await nothingLeft(app)
  t.equal(producer.returned, producer.started)
  t.strictSame(app.sse.stats().closed, { 'response-replaced': 1 })
})

const broken = (): Error => Object.assign(new Error('broken hook'), { statusCode: 418 })
const failing: Record<string, (app: any) => void> = {
  synchronously: (app) => app.addHook('onSend', () => { throw broken() }),
  'through its callback': (app) => app.addHook('onSend', (_request: unknown, _reply: unknown, _payload: unknown, done: (error: Error) => void) => done(broken())),
  'by a rejection': (app) => app.addHook('onSend', async () => { throw broken() }),
  'late, by a rejection': (app) => app.addHook('onSend', async () => {
    await new Promise(setImmediate)
    throw broken()
  })
}
for (const [name, fail] of Object.entries(failing)) {
  for (const handler of ['default', 'custom'] as const) {
    t.test(`an onSend hook that fails ${name} stops the source, and the ${handler} error handler answers`, async (t) => {
      const { app } = await createApp(t)
      const producer = createProducer(1)
      if (handler === 'custom') app.setErrorHandler((error: Error, _request, reply) => { reply.code(418).send({ message: `mine: ${error.message}` }) })
      let runs = 0
      await app.register(async (child) => {
        // Once: Fastify runs the hooks of the error response too.
        fail({
          addHook: (_name: string, hook: (...args: any[]) => unknown) => {
            const once = hook.length === 4
              ? (...args: any[]) => runs++ === 0 ? hook(...args) : args[3]()
              : async (...args: any[]) => runs++ === 0 ? hook(...args) : undefined
            child.addHook('onSend', hook.length === 4
              ? function (a: any, b: any, c: any, d: any) { once(a, b, c, d) }
              : async function (a: any, b: any, c: any) { return once(a, b, c) })
          }
        })
        child.get('/', (_request, reply) => reply.sse(producer.source))
      })
      const { origin } = await listen(app)
      const client = await connect(t, origin)
      t.equal(client.status, 418)
      t.equal(client.headers['content-type'], 'application/json; charset=utf-8')
      t.equal(JSON.parse(await client.rest()).message, handler === 'custom' ? 'mine: broken hook' : 'broken hook')
      await nothingLeft(app)
      t.equal(producer.returned, producer.started)
      t.equal(app.sse.stats().closed['client-left'], undefined)
    })
  }
}

t.test('an onSend hook that always fails stops the source, and the client is answered', async (t) => {
  const { app } = await createApp(t)
  const producer = createProducer(1)
  app.addHook('onSend', async () => { throw broken() })
  app.get('/', (_request, reply) => reply.sse(producer.source))
  const { origin } = await listen(app)
  const client = await connect(t, origin)
  t.equal(client.status, 418)
  t.equal(JSON.parse(await client.rest()).message, 'broken hook')
  await nothingLeft(app)
  t.equal(producer.returned, producer.started)
})

t.test('while a slow onSend hook runs the source waits, and nothing is lost', async (t) => {
  const { app } = await createApp(t)
  const entered = deferred()
  const go = deferred()
  let yielded = 0
  app.addHook('onSend', async () => {
    entered.resolve()
    await go.promise
  })
  app.get('/', (_request, reply) => reply.sse(function * () {
    for (; yielded < 100; yielded++) yield { data: BIG }
  }))
  const { origin } = await listen(app)
  const connecting = connect(t, origin)
  await entered.promise
  await new Promise(setImmediate)
  t.ok(yielded < 5, 'at most a batch is made before anybody can take it')
  go.resolve()
  const client = await connecting
  t.equal((await client.events(100)).join(''), frame(BIG).repeat(100))
  t.equal(await client.rest(), END)
  await nothingLeft(app)
})

t.test('a client that leaves during a slow onSend hook stops the source', async (t) => {
  for (const leave of ['end', 'resetAndDestroy'] as const) {
    const { app } = await createApp(t)
    const producer = createProducer(1)
    const entered = deferred()
    const go = deferred()
    app.addHook('onSend', async () => {
      entered.resolve()
      await go.promise
    })
    app.get('/', (_request, reply) => reply.sse(producer.source))
    const { port } = await listen(app)
    const socket = await rawConnect(t, port, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    await entered.promise
    socket[leave]()
    await nothingLeft(app)
    t.equal(producer.returned, 1, 'before the hook is done')
    t.strictSame(app.sse.stats().closed, { 'client-left': 1 })
    go.resolve()
    await app.close()
  }
})

t.test('a stream that ends during a slow onSend hook is sent whole', async (t) => {
  const endings = {
    'by its end': [(stream: StreamHandle<unknown>) => { stream.close() }, END],
    'by a fault': [
      (stream: StreamHandle<unknown>) => { stream.send({ data: 2, id: 'a\nb' }) },
      'event: sse.fault\ndata: {"code":"FST_SSE_FIELD_FORBIDDEN","message":"Internal Server Error"}\n\n'
    ]
  } as const
  for (const [name, [end, last]] of Object.entries(endings)) {
    const { app } = await createApp(t)
    const entered = deferred()
    const go = deferred()
    app.addHook('onSend', async () => {
      entered.resolve()
      await go.promise
    })
    app.get('/', (_request, reply) => {
      const stream = reply.sse()
      stream.send({ data: 1 })
      entered.promise.then(() => {
        end(stream)
        t.equal(stream.signal.aborted, true, name)
        go.resolve()
      })
      return stream.closed
    })
    const { origin } = await listen(app)
    const client = await connect(t, origin)
    t.equal(await client.rest(), OPENING + frame(1) + last, name)
    t.equal(client.ended, 'end')
    await nothingLeft(app)
    await app.close()
  }
})

t.test('the server can close during a slow onSend hook', async (t) => {
  const { app } = await createApp(t)
  const producer = createProducer(1)
  const entered = deferred()
  const go = deferred()
  app.addHook('onSend', async () => {
    entered.resolve()
    await go.promise
  })
  app.get('/', (_request, reply) => reply.sse(producer.source))
  const { origin } = await listen(app)
  const connecting = connect(t, origin)
  await entered.promise
  const closing = app.close()
  await until(() => producer.returned === 1)
  go.resolve()
  const client = await connecting
  t.match(await client.rest(), /^: sse-heartbeat: 15000\n\nretry: 3000\n\ndata: 1\n\nretry: \d+\n\n$/)
  t.equal(client.ended, 'end')
  await closing
  t.strictSame(app.sse.stats().closed, { shutdown: 1 })
})

t.test('a handler that throws during a slow onSend hook does not send two responses', async (t) => {
  const { app } = await createApp(t)
  const producer = createProducer(1)
  const entered = deferred()
  const go = deferred()
  app.addHook('onSend', async (_request, reply) => {
    if (reply.statusCode !== 200) return
    entered.resolve()
    await go.promise
  })
  app.get('/', async (_request, reply) => {
    reply.sse(producer.source)
    await entered.promise
    throw new Error('handler')
  })
  const { origin } = await listen(app)
  const connecting = connect(t, origin)
  await entered.promise
  await until(() => app.sse.stats().sources === 0)
  go.resolve()
  const client = await connecting
  const text = await client.rest()
  t.ok(
    client.status === 500 ? JSON.parse(text).message === 'handler' : text.startsWith(OPENING + frame(1) + 'event: sse.fault\n'),
    'either an error response or a stream that ends with a fault'
  )
  await nothingLeft(app)
  t.equal(producer.returned, 1)
})

t.test('trailers arrive after the events', async (t) => {
  const { app } = await createApp(t)
  const producer = createProducer(1, 2)
  let sent = 0
  app.get('/', (_request, reply) => {
    reply.trailer('x-events', async () => String(sent))
    return reply.sse(async function * (ctx) {
      for await (const event of producer.source(ctx)) {
        sent++
        yield event
      }
    })
  })
  const { origin } = await listen(app)
  const client = await connect(t, origin, { headers: { te: 'trailers' } })
  t.equal(client.headers['trailer'], 'x-events')
  t.equal(client.headers['transfer-encoding'], 'chunked')
  t.strictSame(await client.events(2), [frame(1), frame(2)])
  producer.finish()
  t.equal(await client.rest(), END)
  t.equal(client.ended, 'end')
  t.strictSame(client.response.trailers, { 'x-events': '2' })
  await nothingLeft(app)
  t.equal(producer.returned, 1)
})

t.test('with trailers a client that leaves stops the source', async (t) => {
  const { app } = await createApp(t)
  const producer = createProducer(1)
  app.get('/', (_request, reply) => {
    reply.trailer('x-events', async () => '1')
    return reply.sse(producer.source)
  })
  const { origin } = await listen(app)
  const client = await connect(t, origin)
  await client.events(1)
  client.rst()
  await nothingLeft(app)
  t.equal(producer.returned, 1)
})

t.test('a payload that is returned beside the stream is ignored, and that is logged', async (t) => {
  const { app, logs } = await createApp(t)
  app.get('/', async (_request, reply) => {
    await reply.sse([{ data: 1 }])
    return { also: 'this' }
  })
  const { origin } = await listen(app)
  const client = await connect(t, origin)
  t.equal(await client.rest(), OPENING + frame(1) + END)
  await nothingLeft(app)
  await until(() => logs.some(({ level }) => level === LEVEL.warn))
  t.match(logs.find(({ level }) => level === LEVEL.warn)?.msg, /reply\.send\(.*also.*\) was called although reply\.sse\(\) is answering/)
})

t.test('a handler that returns reply is answered by the stream', async (t) => {
  const { app, logs } = await createApp(t)
  const producer = createProducer(1)
  app.get('/', async (_request, reply) => {
    reply.sse(producer.source)
    return reply
  })
  const { origin } = await listen(app)
  const client = await connect(t, origin)
  t.strictSame(await client.events(1), [frame(1)])
  client.rst()
  await nothingLeft(app)
  t.equal(producer.returned, 1)
  await app.close()
  t.strictSame(logs.filter(({ level }) => level > LEVEL.info), [])
})
