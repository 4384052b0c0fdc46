import diagnostics from 'node:diagnostics_channel'
import requestContext from '@fastify/request-context'
import t from 'tap'
import { createApp, LEVEL, listen, streamLogs } from '../support/app.js'
import { connect } from '../support/client.js'
import { forever, until } from '../support/sources.js'
import { createProducer, END, frame, nothingLeft, OPENING } from './producer.js'

declare module '@fastify/request-context' {
  interface RequestContextData {
    name: string
  }
}

const BIG = 'x'.repeat(100_000)

t.test('@fastify/request-context: the source sees its own request, also after it waited for a slow client', async (t) => {
  const { app } = await createApp(t)
  await app.register(requestContext)
  app.addHook('onRequest', async (request) => { request.requestContext.set('name', request.url) })
  const seen: Record<string, Set<string | undefined>> = { '/a': new Set(), '/b': new Set() }
  let waiting = 0
  app.get('/:name', (_request, reply) => reply.sse(async function * ({ request }) {
    // Enough to fill the socket many times over.
    for (let n = 0; n < 200; n++) {
      seen[request.url]!.add(request.requestContext.get('name'))
      if (n === 150) waiting++
      yield { data: BIG }
    }
    seen[request.url]!.add(request.requestContext.get('name'))
  }))
  const { origin } = await listen(app)
  const [a, b] = await Promise.all([connect(t, `${origin}/a`), connect(t, `${origin}/b`)])
  a.stall()
  b.stall()
  // Neither can have got here without the client reading.
  await until(() => app.sse.stats().events > 10)
  t.equal(waiting, 0)
  a.response.resume()
  b.response.resume()
  await Promise.all([a.rest(), b.rest()])
  t.strictSame([a.ended, b.ended], ['end', 'end'])
  t.strictSame([...seen['/a']!], ['/a'])
  t.strictSame([...seen['/b']!], ['/b'])
  await nothingLeft(app)
})

t.test('@fastify/request-context: a source that is stopped runs its finally block in the context of its request', async (t) => {
  const { app } = await createApp(t)
  await app.register(requestContext)
  app.addHook('onRequest', async (request) => { request.requestContext.set('name', request.url) })
  const seen: Array<string | undefined> = []
  app.get('/:name', (_request, reply) => reply.sse(async function * ({ request, signal }) {
    try {
      yield { data: 1 }
      await forever(signal)
    } finally {
      seen.push(request.requestContext.get('name'))
    }
  }))
  const { origin } = await listen(app)
  const clients = await Promise.all([connect(t, `${origin}/a`), connect(t, `${origin}/b`)])
  for (const client of clients) {
    await client.events(1)
    client.fin()
  }
  await nothingLeft(app)
  t.strictSame(seen.sort(), ['/a', '/b'])
})

t.test('@fastify/request-context: a body that is parsed does not lose the context', async (t) => {
  const { app } = await createApp(t)
  await app.register(requestContext)
  app.addHook('onRequest', async (request) => { request.requestContext.set('name', String(request.headers['x-name'])) })
  app.post('/', (_request, reply) => reply.sse(async function * ({ request }) {
    yield { data: request.requestContext.get('name') }
    await new Promise(setImmediate)
    yield { data: request.requestContext.get('name') }
  }))
  const { origin } = await listen(app)
  const client = await connect(t, origin, { method: 'POST', body: { a: 1 }, headers: { 'x-name': 'Ann' } })
  t.equal(await client.rest(), OPENING + frame('Ann') + frame('Ann') + END)
  await nothingLeft(app)
})

t.test('what is logged about a stream goes to the logger of its request', async (t) => {
  let id = 0
  const { app, logs } = await createApp(t, {}, {
    genReqId: () => `request-${++id}`,
    childLoggerFactory: (logger, bindings, options) => logger.child({ ...bindings, tenant: 'mine' }, options)
  })
  app.get('/', (_request, reply) => reply.sse([{ data: 1 }]))
  app.get('/fails', (_request, reply) => reply.sse(function * () {
    yield { data: 1 }
    throw new Error('after the first event')
  }))
  await app.inject('/')
  await app.inject('/fails')
  t.strictSame(streamLogs(logs).map(({ level, reqId, tenant, sse }) => [level, reqId, tenant, sse?.reason]), [
    [LEVEL.debug, 'request-1', 'mine', 'source-ended'],
    [LEVEL.error, 'request-2', 'mine', 'source-failed']
  ])
})

t.test('a stream is logged as received and as completed once, also when the client leaves', async (t) => {
  const { app, logs } = await createApp(t)
  const producers = [createProducer(1), createProducer(1)]
  let opened = 0
  app.get('/', (_request, reply) => reply.sse(producers[opened++]!.source))
  const { origin } = await listen(app)
  const ends = await connect(t, origin)
  const leaves = await connect(t, origin)
  await ends.events(1)
  await leaves.events(1)
  producers[0]!.finish()
  t.equal(await ends.rest(), END)
  leaves.rst()
  await nothingLeft(app)
  await until(() => logs.filter(({ msg }) => msg === 'request completed').length >= 2)
  for (const reqId of ['req-1', 'req-2']) {
    const lines = logs.filter((line) => line['reqId'] === reqId && line.level >= LEVEL.info).map(({ level, msg }) => [level, msg])
    t.strictSame(lines, [[LEVEL.info, 'incoming request'], [LEVEL.info, 'request completed']], reqId)
  }
})

t.test('with disableRequestLogging only failures are logged', async (t) => {
  const { app, logs } = await createApp(t, {}, { disableRequestLogging: true })
  app.get('/', (_request, reply) => reply.sse([{ data: 1 }]))
  app.get('/fails', (_request, reply) => reply.sse(function * () {
    yield { data: 1 }
    throw new Error('after the first event')
  }))
  await app.inject('/')
  await app.inject('/fails')
  t.strictSame(logs.filter(({ level }) => level > LEVEL.debug).map(({ level, err }) => [level, err?.message]),
    [[LEVEL.error, 'after the first event']])
})

t.test('a route may have its own log level', async (t) => {
  const { app, logs } = await createApp(t)
  app.get('/', { logLevel: 'error' }, (_request, reply) => reply.sse([{ data: 1 }]))
  await app.inject('/')
  t.strictSame(logs.filter((line) => line['reqId'] !== undefined), [])
})

interface Traced { request: { url: string }, error?: Error }

/** The names of the events that `fastify.request.handler` gave, by URL. */
function traceHandlers (t: { teardown: (end: () => void) => void }): Record<string, string[]> {
  const traced: Record<string, string[]> = {}
  const channel = diagnostics.tracingChannel<object, Traced>('fastify.request.handler')
  const note = (name: string) => ({ request, error }: Traced): void => {
    (traced[request.url] ??= []).push(error === undefined ? name : `${name}: ${error.message}`)
  }
  const subscribers = { start: note('start'), end: note('end'), asyncStart: note('asyncStart'), asyncEnd: note('asyncEnd'), error: note('error') }
  channel.subscribe(subscribers)
  t.teardown(() => { channel.unsubscribe(subscribers) })
  return traced
}

t.test('tracing of handlers sees the end of a stream, whoever ended it', async (t) => {
  const traced = traceHandlers(t)
  const { app } = await createApp(t)
  const producers: Record<string, ReturnType<typeof createProducer>> = { ends: createProducer(1), leaves: createProducer(1), shutdown: createProducer(1) }
  app.get<{ Params: { name: string } }>('/:name', (request, reply) => reply.sse(producers[request.params.name]!.source))
  const { origin } = await listen(app)
  const ends = await connect(t, `${origin}/ends`)
  const leaves = await connect(t, `${origin}/leaves`)
  const shutdown = await connect(t, `${origin}/shutdown`)
  for (const client of [ends, leaves, shutdown]) await client.events(1)
  t.strictSame(traced, { '/ends': ['start', 'end'], '/leaves': ['start', 'end'], '/shutdown': ['start', 'end'] })
  producers['ends']!.finish()
  await ends.rest()
  leaves.fin()
  await until(() => app.sse.stats().open === 1)
  await app.close()
  const whole = ['start', 'end', 'asyncStart', 'asyncEnd']
  t.strictSame(traced, { '/ends': whole, '/leaves': whole, '/shutdown': whole })
})

t.test('tracing of handlers is inside the store that was bound to it', async (t) => {
  const { AsyncLocalStorage } = await import('node:async_hooks')
  const storage = new AsyncLocalStorage<{ request: { url: string } }>()
  const { start } = diagnostics.tracingChannel<object, Traced>('fastify.request.handler')
  traceHandlers(t)
  start.bindStore(storage as any)
  t.teardown(() => start.unbindStore(storage as any))
  const { app } = await createApp(t)
  app.get('/', (_request, reply) => reply.sse(async function * () {
    yield { data: storage.getStore()?.request.url }
    await new Promise(setImmediate)
    yield { data: storage.getStore()?.request.url }
  }))
  t.equal((await app.inject('/')).body, OPENING + frame('/') + frame('/') + END)
})
