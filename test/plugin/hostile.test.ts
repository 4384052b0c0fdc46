import { EventEmitter } from 'node:events'
import { PassThrough, Readable, Transform } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import type { StreamHandle } from '../../lib/index.js'
import { createApp, LEVEL, listen } from '../support/app.js'
import { connect, rawConnect } from '../support/client.js'
import { deferred, forever, until } from '../support/sources.js'

const OPENING = ': sse-heartbeat: 15000\n\nretry: 3000\n\n'
const END = 'event: sse.end\ndata: null\nid: sse.end\n\n'

const nothingLeft = (app: FastifyInstance): Promise<void> => until(() => app.sse.stats().open === 0 && app.sse.stats().sources === 0)

t.test('an onDisconnect that rejects is logged', async (t) => {
  const { app, logs } = await createApp(t)
  app.get('/', { sse: { onDisconnect: (async () => { throw new Error('mine') }) as () => void } }, (_request, reply) => reply.sse([{ data: 1 }]))
  await app.inject('/')
  await until(() => logs.some((line) => line.msg === 'onDisconnect failed' && line.err?.message === 'mine'))
})

t.test('a handler that throws while an onSend hook is waiting gets its error response, and nothing of the stream', async (t) => {
  const { app } = await createApp(t)
  const go = deferred()
  app.addHook('onSend', async (_request, _reply, payload) => {
    await go.promise
    return payload
  })
  app.get('/', async (_request, reply) => {
    await reply.sse().send({ data: 1 }).constructor
    queueMicrotask(() => go.resolve())
    throw Object.assign(new Error('mine'), { statusCode: 418 })
  })
  const response = await app.inject('/')
  t.equal(response.statusCode, 418)
  t.equal(response.json().message, 'mine')
  await nothingLeft(app)
})

t.test('a value returned while an onSend hook is waiting does not touch the stream', async (t) => {
  const { app } = await createApp(t)
  app.addHook('onSend', async (_request, _reply, payload) => {
    for (let turn = 0; turn < 5; turn++) await nextTurn()
    return payload
  })
  app.get('/', async (_request, reply) => {
    reply.sse([{ data: 1 }])
    return { json: true }
  })
  t.equal((await app.inject('/')).body, OPENING + 'data: 1\n\n' + END)
})

t.test('an onSend hook that puts a transform in between which fails before its first byte gets an error response', async (t) => {
  const { app } = await createApp(t)
  app.addHook('onSend', async (_request, _reply, payload) => (payload as Readable | string) instanceof Readable
    ? (payload as Readable).pipe(new Transform({ transform (_chunk, _encoding, done) { done(new Error('mine')) } }))
    : payload)
  app.get('/', (_request, reply) => reply.sse([{ data: 1 }]))
  const response = await app.inject('/')
  t.equal(response.statusCode, 500)
  t.equal(response.json().message, 'mine')
  await nothingLeft(app)
})

t.test('an onSend hook that destroys the stream and sends something else stops the source', async (t) => {
  const { app } = await createApp(t)
  const statuses: number[] = []
  app.addHook('onResponse', async (_request, reply) => { statuses.push(reply.statusCode) })
  app.addHook('onSend', (_request, reply, payload, done) => {
    ;(payload as Readable).destroy()
    reply.code(503).type('text/plain')
    done(null, 'closed')
  })
  const steps: string[] = []
  app.get('/', (_request, reply) => reply.sse(async function * ({ signal }) {
    try {
      yield { data: 1 }
      await forever(signal)
    } finally {
      steps.push('finally')
    }
  }))
  const response = await app.inject('/')
  t.equal(response.statusCode, 503)
  t.equal(response.body, 'closed')
  await nothingLeft(app)
  t.strictSame(steps, ['finally'])
  t.strictSame(statuses, [503])
  t.strictSame(app.sse.stats().closed, { 'response-replaced': 1 })
})

t.test('a source that is handed over is let go when there is no stream', async (t) => {
  const { app } = await createApp(t, { limits: { total: 1 }, accept: 'strict' })
  const sources: PassThrough[] = []
  app.get('/', (_request, reply) => {
    const source = new PassThrough({ objectMode: true })
    sources.push(source)
    return reply.sse(source)
  })
  await app.inject({ url: '/', headers: { 'last-event-id': 'sse.end' } })
  await app.inject({ url: '/', headers: { accept: 'text/html' } })
  await app.inject({ url: '/', method: 'HEAD' })
  await app.inject({ url: '/', headers: { 'last-event-id': 'x'.repeat(5000) } })
  const { origin } = await listen(app)
  const client = await connect(t, origin)
  const second = await connect(t, origin)
  t.equal(second.status, 503)
  t.strictSame(sources.map((source) => source.destroyed), [true, true, true, true, false, true])
  client.fin()
  await nothingLeft(app)
  t.equal(sources[4]!.destroyed, true)
})

t.test('a source that fails while expiresAt is waited for is an error response', async (t) => {
  const go = deferred<undefined>()
  const { app } = await createApp(t, { expiresAt: () => go.promise })
  app.get('/', (_request, reply) => {
    const source = new Readable({ objectMode: true, read () {} })
    source.destroy(new Error('mine'))
    setImmediate(() => go.resolve(undefined))
    return reply.sse(source)
  })
  const response = await app.inject('/')
  t.equal(response.statusCode, 500)
  t.equal(response.json().message, 'mine')
})

t.test('a right that has expired already gets no event, and one that is refused late none either', async (t) => {
  const past = await createApp(t, { expiresAt: () => new Date(Date.now() - 1) })
  let runs = 0
  past.app.get('/', (_request, reply) => reply.sse(() => { runs++; return [{ data: 1 }] }))
  t.equal((await past.app.inject('/')).body, OPENING)
  t.equal(runs, 0)
  const refused = await createApp(t, { expiresAt: async () => { throw Object.assign(new Error('no'), { statusCode: 403 }) } })
  refused.app.get('/', async (_request, reply) => {
    const stream = reply.sse()
    t.equal(await stream.send({ data: 1 }), false)
    return stream.closed
  })
  t.equal((await refused.app.inject('/')).statusCode, 403)
})

t.test('an expiresAt or a limitKey that gives nonsense is refused in words', async (t) => {
  const messageOf = async (options: object): Promise<string> => {
    const { app } = await createApp(t, options)
    app.get('/', (_request, reply) => reply.sse([{ data: 1 }]))
    const response = await app.inject('/')
    t.equal(response.statusCode, 500)
    t.equal(response.json().code, 'FST_SSE_OPTION_INVALID')
    return response.json().message
  }
  const hint = 'Give a valid Date, milliseconds (not seconds) since the epoch, or undefined for no end.'
  t.equal(await messageOf({ expiresAt: () => 1_900_000_000 }), `expiresAt gave 1900000000. ${hint}`)
  t.equal(await messageOf({ expiresAt: () => null }), `expiresAt gave null. ${hint}`)
  t.equal(await messageOf({ expiresAt: () => new Date('x') }), `expiresAt gave null. ${hint}`)
  t.match(await messageOf({ limitKey: async () => { throw new Error('mine') } }), /^limitKey gave a promise\./)
  t.match(await messageOf({ limitKey: () => null }), /^limitKey gave null\./)
})

t.test('an event with a getter that throws ends the stream, and the source returns', async (t) => {
  const { app } = await createApp(t)
  const steps: string[] = []
  app.get('/', (_request, reply) => reply.sse(async function * () {
    try {
      yield { data: 1 }
      yield Object.defineProperty({ data: 0 }, 'data', { get () { throw new Error('mine') } })
    } finally {
      steps.push('finally')
    }
  }))
  t.match((await app.inject('/')).body, /^data: 1\n\nevent: sse\.fault/m)
  await nothingLeft(app)
  t.strictSame(steps, ['finally'])
  t.strictSame(app.sse.stats().closed, { 'event-invalid': 1 })
})

t.test('a generator that ends its own stream while it runs is returned', async (t) => {
  const { app, logs } = await createApp(t)
  const steps: string[] = []
  app.get('/', (_request, reply) => reply.sse(function * () {
    try {
      yield { data: 1 }
      app.sse.evict(() => true)
      yield { data: 2 }
    } finally {
      steps.push('finally')
    }
  }))
  t.equal((await app.inject('/')).body, OPENING + 'data: 1\n\n')
  await nothingLeft(app)
  t.strictSame(steps, ['finally'])
  t.strictSame(logs.filter((line) => line.level >= LEVEL.warn), [])
})

t.test('an error that cannot be logged does not keep its stream from ending', async (t) => {
  const { app, logs } = await createApp(t)
  const told = deferred()
  app.get('/', (_request, reply) => reply.sse(function * () {
    yield { data: 1 }
    throw Object.defineProperty(new Error('mine'), 'detail', { enumerable: true, get () { throw new Error('not even this') } })
  }))
  app.addHook('onResponse', async () => told.resolve())
  const { origin } = await listen(app)
  const client = await connect(t, origin)
  t.match(await client.rest(), /event: sse\.fault/)
  await told.promise
  await nothingLeft(app)
  t.equal(logs.filter((line) => line.level === LEVEL.error).length, 1)
})

t.test('a web stream whose cancel gives no promise is let go', async (t) => {
  const { app } = await createApp(t)
  let cancelled = false
  app.get('/', (_request, reply) => reply.sse({
    getReader: () => ({ read: () => new Promise(() => {}), cancel () { cancelled = true } })
  } as unknown as ReadableStream as never))
  const { origin } = await listen(app)
  const client = await connect(t, origin)
  client.fin()
  await until(() => cancelled && app.sse.stats().open === 0)
})

t.test('many clients of one emitter cause no warning about listeners', async (t) => {
  const { app } = await createApp(t)
  const emitter = new EventEmitter()
  const warnings: Error[] = []
  const onWarning = (warning: Error): void => { warnings.push(warning) }
  process.on('warning', onWarning)
  t.teardown(() => process.off('warning', onWarning))
  const controllers = Array.from({ length: 30 }, () => new AbortController())
  for (const { signal } of controllers) app.sse.on(emitter, 'x', { signal })
  await nextTurn()
  t.strictSame(warnings, [])
  for (const controller of controllers) controller.abort()
  t.equal(emitter.getMaxListeners(), EventEmitter.defaultMaxListeners)
})

t.test('close waits for the source of a client that left just before', async (t) => {
  const { app } = await createApp(t)
  const steps: string[] = []
  const go = deferred()
  app.get('/', (_request, reply) => reply.sse(async function * ({ signal }) {
    try {
      yield { data: 1 }
      await forever(signal)
    } finally {
      await go.promise
      steps.push('finally')
    }
  }))
  app.addHook('onClose', async () => { steps.push('onClose') })
  const { origin } = await listen(app)
  const client = await connect(t, origin)
  await client.events(1)
  client.fin()
  await until(() => app.sse.stats().open === 0)
  t.equal(app.sse.stats().sources, 1)
  const closed = app.close()
  await nextTurn()
  go.resolve()
  await closed
  t.strictSame(steps, ['finally', 'onClose'])
})

t.test('a status that has no body is refused, and so is a content type that is not an event stream ignored', async (t) => {
  const { app } = await createApp(t)
  app.get('/:status', (request, reply) => {
    reply.code(Number((request.params as { status: string }).status)).type('application/json')
    return reply.sse([{ data: 1 }])
  })
  for (const status of [204, 205, 304]) {
    const response = await app.inject(`/${status}`)
    t.equal(response.statusCode, 500)
    t.equal(response.json().code, 'FST_SSE_STATUS_INVALID')
  }
  const response = await app.inject('/200')
  t.equal(response.headers['content-type'], 'text/event-stream')
})

t.test('a handler may return the handle itself', async (t) => {
  const { app, logs } = await createApp(t)
  app.get('/', async (_request, reply) => {
    const stream: StreamHandle<any> = reply.sse()
    setImmediate(() => stream.send({ data: 1 }).then(() => stream.close()))
    return stream
  })
  t.equal((await app.inject('/')).body, OPENING + 'data: 1\n\n' + END)
  t.strictSame(logs.filter((line) => line.level >= LEVEL.warn), [])
})

t.test('a thousand events pushed without waiting arrive in order', async (t) => {
  const { app } = await createApp(t)
  app.get('/', (_request, reply) => {
    const stream = reply.sse()
    for (let n = 0; n < 1000; n++) stream.send({ data: n })
    stream.close()
    return stream.closed
  })
  t.equal((await app.inject('/')).body, OPENING + Array.from({ length: 1000 }, (_, n) => `data: ${n}\n\n`).join('') + END)
})

t.test('clients that die at any moment leave nothing behind', async (t) => {
  const { app } = await createApp(t)
  app.get('/', (_request, reply) => reply.sse(async function * () {
    for (let n = 0; n < 50; n++) {
      yield { data: 'x'.repeat(n * 100) }
      if (n % 3 === 0) await nextTurn()
    }
  }))
  const { port } = await listen(app)
  for (let round = 0; round < 20; round++) {
    await Promise.all(Array.from({ length: 10 }, async (_, index) => {
      const socket = await rawConnect(t, port, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n')
      for (let turn = 0; turn < (round * 10 + index) % 23; turn++) await nextTurn()
      if (index % 2 === 0) socket.resetAndDestroy()
      else socket.end()
    }))
  }
  await nothingLeft(app)
  const { opened, closed } = app.sse.stats()
  t.equal(Object.values(closed).reduce((sum, count) => sum + count, 0), opened)
})
