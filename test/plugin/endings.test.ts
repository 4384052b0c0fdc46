import { getEventListeners } from 'node:events'
import type { Socket } from 'node:net'
import { Readable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { Type } from '@sinclair/typebox'
import t from 'tap'
import type { Disconnect, RouteStreamOptions, StreamContext } from '../../lib/index.js'
import { createApp, LEVEL, listen, streamLogs, type LogLine } from '../support/app.js'
import { connect, type FrameClient } from '../support/client.js'
import { deferred, forever, until } from '../support/sources.js'

const OPENING = ': sse-heartbeat: 15000\n\nretry: 3000\n\n'
const END = 'event: sse.end\ndata: null\nid: sse.end\n\n'
const fault = (code: string, message = 'Internal Server Error'): string => `event: sse.fault\ndata: {"code":"${code}","message":"${message}"}\n\n`
const BIG = 'x'.repeat(20_000)

interface Probe {
  app: FastifyInstance
  logs: LogLine[]
  origin: string
  /** What `onDisconnect` was told. */
  ends: Disconnect[]
  /** What the source did. */
  steps: string[]
  signal: () => AbortSignal
}

/** An application with the given source on GET and POST `/`. */
async function probe (
  t: Parameters<typeof createApp>[0], source: (ctx: StreamContext, steps: string[]) => unknown, options: RouteStreamOptions = {}
): Promise<Probe> {
  const { app, logs } = await createApp(t)
  const ends: Disconnect[] = []
  const steps: string[] = []
  let signal: AbortSignal | undefined
  app.route({
    method: ['GET', 'POST'],
    url: '/',
    sse: { ...options, onDisconnect: (_request, end) => { ends.push(end) } },
    handler: (_request, reply) => reply.sse((ctx: StreamContext) => {
      signal = ctx.signal
      return source(ctx, steps) as AsyncIterable<{ data: unknown }>
    })
  })
  const { origin } = await listen(app)
  return { app, logs, origin, ends, steps, signal: () => signal! }
}

/** Waits until nothing of the stream is left, and checks it. */
async function settled (t: Parameters<typeof createApp>[0], { app, ends, signal }: Probe, reason: string): Promise<void> {
  await until(() => app.sse.stats().open === 0 && app.sse.stats().sources === 0)
  t.equal(ends.length, 1)
  t.equal(ends[0]?.reason, reason)
  t.equal(signal().aborted, true)
  t.equal((signal().reason as { code: string }).code, 'FST_SSE_STREAM_CLOSED')
  t.equal((signal().reason as { name: string }).name, 'AbortError')
}

const leave = {
  FIN: (client: FrameClient) => client.fin(),
  RST: (client: FrameClient) => client.rst(),
  'a destroyed socket': (client: FrameClient) => { client.response.destroy() }
}

for (const [how, go] of Object.entries(leave)) {
  for (const method of ['GET', 'POST']) {
    const request = method === 'POST' ? { method, body: { any: 'json' } } : { method }

    t.test(`${how} while the source awaits its signal stops it (${method})`, async (t) => {
      const probed = await probe(t, async function * ({ signal }, steps) {
        try {
          yield { data: 1 }
          await forever(signal)
        } finally {
          steps.push('finally')
        }
      })
      const client = await connect(t, probed.origin, request)
      await client.events(1)
      go(client)
      await settled(t, probed, 'client-left')
      t.strictSame(probed.steps, ['finally'])
      t.strictSame(streamLogs(probed.logs).map((line) => [line.level, line.sse?.reason]), [[LEVEL.debug, 'client-left']])
      t.strictSame(probed.logs.filter((line) => line.level > LEVEL.info), [])
    })

    t.test(`${how} while the response is blocked stops the source (${method})`, async (t) => {
      const probed = await probe(t, async function * (_ctx, steps) {
        try {
          while (true) yield { data: BIG }
        } finally {
          steps.push('finally')
        }
      })
      const client = await connect(t, probed.origin, request)
      client.stall()
      const { app } = probed
      // The source has stopped for want of room when a whole round of turns gives no further event.
      let seen = -1
      await until(() => {
        const { events } = app.sse.stats()
        const isParked = events > 0 && events === seen
        seen = events
        return isParked
      })
      go(client)
      await settled(t, probed, 'client-left')
      t.strictSame(probed.steps, ['finally'])
    })
  }
}

t.test('a source that ignores its signal is told to return at once, and returns when its wait is over', async (t) => {
  const step = deferred()
  const probed = await probe(t, async function * (_ctx, steps) {
    try {
      yield { data: 1 }
      await step.promise
      steps.push('went on')
      yield { data: 2 }
      steps.push('not reached')
    } finally {
      steps.push('finally')
    }
  })
  const client = await connect(t, probed.origin)
  await client.events(1)
  client.fin()
  await until(() => probed.app.sse.stats().open === 0)
  t.equal(probed.app.sse.stats().sources, 1)
  step.resolve()
  await settled(t, probed, 'client-left')
  t.strictSame(probed.steps, ['went on', 'finally'])
})

t.test('a client that takes no bytes is cut off after the stall timeout, and costs one batch until then', async (t) => {
  const probed = await probe(t, async function * (_ctx, steps) {
    try {
      while (true) yield { data: BIG }
    } finally {
      steps.push('finally')
    }
  }, { stallTimeoutMs: 300 })
  let held = 0
  const sockets: Socket[] = []
  probed.app.server.on('connection', (socket: Socket) => { sockets.push(socket) })
  const client = await connect(t, probed.origin)
  client.stall()
  await until(() => {
    held = Math.max(held, ...sockets.map((socket) => socket.writableLength))
    return probed.app.sse.stats().open === 0
  })
  await settled(t, probed, 'client-stalled')
  t.strictSame(probed.steps, ['finally'])
  // One batch is 64 KiB and the event that filled it, and the framing of one chunk.
  t.ok(held > 0 && held <= 65_536 + BIG.length + 100, `${held} bytes were held`)
  t.strictSame(streamLogs(probed.logs).map((line) => [line.level, line.sse?.reason]), [[LEVEL.info, 'client-stalled']])
  client.response.resume()
  await client.rest()
  t.equal(client.ended, 'aborted')
})

t.test('a slow client that takes some bytes now and then is not cut off', async (t) => {
  const probed = await probe(t, function * () {
    for (let n = 0; n < 1000; n++) yield { data: BIG }
  }, { stallTimeoutMs: 200 })
  const client = await connect(t, probed.origin)
  // A little more than the stall timeout passes between any two of its reads taken together, never without progress.
  const { response } = client
  response.pause()
  let received = 0
  response.on('data', (chunk: string) => { received += chunk.length })
  const timer = setInterval(() => { response.isPaused() ? response.resume() : response.pause() }, 20)
  t.teardown(() => clearInterval(timer))
  await client.rest()
  t.equal(client.ended, 'end')
  t.ok(received > 1000 * BIG.length)
  await settled(t, probed, 'source-ended')
})

t.test('an error before the first event is an ordinary error response', async (t) => {
  const { app, logs } = await createApp(t)
  const failing = Object.assign(new Error('no such order'), { statusCode: 404 })
  app.get('/generator', (_request, reply) => reply.sse(async function * () { throw failing }))
  app.get('/function', (_request, reply) => reply.sse(() => { throw failing }))
  app.get('/async-function', (_request, reply) => reply.sse(async () => { throw failing }))
  app.get('/next', (_request, reply) => reply.sse({ [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(failing) }) }))
  app.get('/handler', async (_request, reply) => {
    reply.sse()
    throw failing
  })
  app.get('/handler-with-source', async (_request, reply) => {
    reply.sse(async function * ({ signal }) { await forever(signal) })
    throw failing
  })
  app.get('/readable', (_request, reply) => reply.sse(new Readable({ objectMode: true, read () { this.destroy(failing) } })))
  for (const url of ['/generator', '/function', '/async-function', '/next', '/handler', '/handler-with-source', '/readable']) {
    const response = await app.inject(url)
    t.equal(response.statusCode, 404, url)
    t.strictSame(response.json(), { statusCode: 404, error: 'Not Found', message: 'no such order' }, url)
    t.match(response.headers['content-type'], /^application\/json/, url)
    t.equal(response.headers['cache-control'], undefined, url)
  }
  t.strictSame(logs.filter((line) => line.level >= LEVEL.error), [])
  t.equal(app.sse.stats().open, 0)
  t.equal(app.sse.stats().closed['source-failed'], 7)
})

t.test('something thrown that is not an Error is a 500 with a code before the first event', async (t) => {
  const { app } = await createApp(t)
  // eslint-disable-next-line no-throw-literal
  app.get('/', (_request, reply) => reply.sse(async function * () { throw 'text' }))
  const response = await app.inject('/')
  t.equal(response.statusCode, 500)
  t.equal(response.json().code, 'FST_SSE_SOURCE_FAILED')
})

t.test('an error after an event is one sse.fault that does not tell the message, and one log line that does', async (t) => {
  const { app, logs } = await createApp(t)
  const steps: string[] = []
  app.get('/', (_request, reply) => reply.sse(async function * () {
    try {
      yield { data: 1 }
      throw new Error('password is hunter2')
    } finally {
      steps.push('finally')
    }
  }))
  t.equal((await app.inject('/')).body, OPENING + 'data: 1\n\n' + fault('FST_SSE_SOURCE_FAILED'))
  t.strictSame(steps, ['finally'])
  const errors = logs.filter((line) => line.level >= LEVEL.warn)
  t.strictSame(errors.map((line) => [line.level, line.msg, line.err?.message, line.sse?.reason]),
    [[LEVEL.error, 'event stream failed', 'password is hunter2', 'source-failed']])
})

t.test('an error that is marked to be exposed tells its code and message', async (t) => {
  const { app } = await createApp(t)
  app.get('/', (_request, reply) => reply.sse(function * () {
    yield { data: 1 }
    throw Object.assign(new Error('quota\nused up'), { expose: true, code: 'QUOTA' })
  }))
  t.equal((await app.inject('/')).body, OPENING + 'data: 1\n\n' + fault('QUOTA', 'quota\\nused up'))
})

t.test('an error after the headers, though before the first event, is a fault', async (t) => {
  const go = deferred()
  const probed = await probe(t, async function * () {
    await go.promise
    throw new Error('late')
  })
  const client = await connect(t, probed.origin)
  go.resolve()
  t.equal(await client.rest(), OPENING + fault('FST_SSE_SOURCE_FAILED'))
  t.equal(client.ended, 'end')
  await settled(t, probed, 'source-failed')
})

t.test('a handler that throws while its stream is open ends it with a fault', async (t) => {
  const { app, logs } = await createApp(t)
  app.get('/', async (_request, reply) => {
    const stream = reply.sse()
    await stream.send({ data: 1 })
    throw new Error('mine')
  })
  t.equal((await app.inject('/')).body, OPENING + 'data: 1\n\n' + fault('FST_SSE_SOURCE_FAILED'))
  t.strictSame(logs.filter((line) => line.level >= LEVEL.warn).map((line) => line.err?.message), ['mine'])
})

t.test('a source that throws in its finally block, at its end, ends with a fault', async (t) => {
  const { app } = await createApp(t)
  app.get('/', (_request, reply) => reply.sse(function * () {
    try {
      yield { data: 1 }
    } finally {
      // eslint-disable-next-line no-unsafe-finally
      throw new Error('cleanup')
    }
  }))
  t.equal((await app.inject('/')).body, OPENING + 'data: 1\n\n' + fault('FST_SSE_SOURCE_FAILED'))
})

t.test('a source that throws in its finally block after the client has left is logged once', async (t) => {
  const probed = await probe(t, async function * ({ signal }) {
    try {
      yield { data: 1 }
      await forever(signal)
    } finally {
      // eslint-disable-next-line no-unsafe-finally
      throw new Error('cleanup')
    }
  })
  const client = await connect(t, probed.origin)
  await client.events(1)
  client.fin()
  await settled(t, probed, 'client-left')
  t.strictSame(probed.logs.filter((line) => line.level >= LEVEL.warn).map((line) => [line.level, line.err?.message]), [[LEVEL.warn, 'cleanup']])
})

t.test('an invalid event ends the stream with a fault, and the source with it', async (t) => {
  const { app, logs } = await createApp(t)
  const steps: string[] = []
  app.get('/', { schema: { events: { count: Type.Integer() } } }, (_request, reply) => reply.sse(async function * () {
    try {
      yield { event: 'count' as const, data: 1 }
      yield { event: 'count' as const, data: '2' as unknown as number }
      steps.push('not reached')
    } finally {
      steps.push('finally')
    }
  }))
  t.equal((await app.inject('/')).body, OPENING + 'event: count\ndata: 1\n\n' + fault('FST_SSE_EVENT_INVALID'))
  await until(() => app.sse.stats().sources === 0)
  t.strictSame(steps, ['finally'])
  t.strictSame(streamLogs(logs).map((line) => [line.level, line.err?.code]), [[LEVEL.error, 'FST_SSE_EVENT_INVALID']])
})

t.test('an invalid first event is an error response with the code', async (t) => {
  const { app } = await createApp(t)
  app.get('/', { schema: { events: { count: Type.Integer() } } }, (_request, reply) =>
    reply.sse([{ event: 'count', data: 'x' as unknown as number }]))
  const response = await app.inject('/')
  t.equal(response.statusCode, 500)
  t.equal(response.json().code, 'FST_SSE_EVENT_INVALID')
})

t.test('data of which no JSON can be made ends the stream with a fault', async (t) => {
  const { app } = await createApp(t)
  const cyclic: Record<string, unknown> = {}
  cyclic['self'] = cyclic
  app.get('/cycle', (_request, reply) => reply.sse([{ data: 1 }, { data: cyclic }]))
  app.get('/bigint', (_request, reply) => reply.sse([{ data: 1 }, { data: 1n }]))
  app.get('/declared', { schema: { events: { any: Type.Unknown() } } }, (_request, reply) =>
    reply.sse([{ event: 'any', data: 1 }, { event: 'any', data: cyclic }]))
  t.equal((await app.inject('/cycle')).body, OPENING + 'data: 1\n\n' + fault('FST_SSE_SERIALIZATION_FAILED'))
  t.equal((await app.inject('/bigint')).body, OPENING + 'data: 1\n\n' + fault('FST_SSE_SERIALIZATION_FAILED'))
  t.match((await app.inject('/declared')).body, /^event: any\ndata: 1\n\nevent: sse\.fault\ndata: \{"code":"FST_SSE_/m)
})

t.test('a source without any event opens and ends', async (t) => {
  const { app } = await createApp(t)
  app.get('/', (_request, reply) => reply.sse([]))
  t.equal((await app.inject('/')).body, OPENING + END)
})

t.test('without control events a source that ends just ends, and one that fails cuts the response off', async (t) => {
  const { app } = await createApp(t, { controlEvents: false })
  app.get('/ends', (_request, reply) => reply.sse([{ data: 1 }]))
  const go = deferred()
  app.get('/fails', (_request, reply) => reply.sse(async function * () {
    yield { data: 1 }
    await go.promise
    throw new Error('mine')
  }))
  const { origin } = await listen(app)
  const ends = await connect(t, `${origin}/ends`)
  t.equal(await ends.rest(), OPENING + 'data: 1\n\n')
  t.equal(ends.ended, 'end')
  const fails = await connect(t, `${origin}/fails`)
  await fails.events(1)
  go.resolve()
  await fails.rest()
  t.equal(fails.ended, 'aborted')
  t.equal(fails.text, OPENING + 'data: 1\n\n')
})

t.test('a stream ends in order at its greatest age, and the client may come back', async (t) => {
  const probed = await probe(t, async function * ({ signal }, steps) {
    try {
      yield { data: 1, id: 5 }
      await forever(signal)
    } finally {
      steps.push('finally')
    }
  }, { maxAgeMs: 100, heartbeatMs: 0 })
  const client = await connect(t, probed.origin)
  t.equal(await client.rest(), ': sse-heartbeat: 0\n\nretry: 3000\n\ndata: 1\nid: 5\n\n')
  t.equal(client.ended, 'end')
  await settled(t, probed, 'max-age')
  t.strictSame(probed.steps, ['finally'])
})

t.test('a stream ends in order when the right to it expires', async (t) => {
  for (const expiresAt of [() => new Date(Date.now() + 100), async () => Date.now() + 100]) {
    const probed = await probe(t, async function * ({ signal }) {
      yield { data: 1 }
      await forever(signal)
    }, { expiresAt })
    const client = await connect(t, probed.origin)
    t.equal(await client.rest(), OPENING + 'data: 1\n\n')
    await settled(t, probed, 'expired')
  }
  const refused = await probe(t, () => [], { expiresAt: () => { throw Object.assign(new Error('who are you'), { statusCode: 401 }) } })
  t.equal((await connect(t, refused.origin)).status, 401)
})

t.test('evict ends the streams it chooses, also those of clients that do not read', async (t) => {
  const { app } = await createApp(t)
  app.get('/:user', { sse: { limitKey: (request) => (request.params as { user: string }).user } }, (_request, reply) =>
    reply.sse(async function * ({ signal }) {
      yield { data: BIG.repeat(500) }
      await forever(signal)
    }))
  const { origin } = await listen(app)
  const stalled = await connect(t, `${origin}/ann`)
  stalled.stall()
  const ann = await connect(t, `${origin}/ann`)
  const bob = await connect(t, `${origin}/bob`)
  await Promise.all([ann.events(1), bob.events(1)])
  t.equal(app.sse.evict(({ key }) => key === 'ann'), 2)
  await ann.rest()
  t.equal(ann.ended, 'end')
  await until(() => app.sse.stats().open === 1)
  t.strictSame(app.sse.stats().closed, { evicted: 2 })
  t.equal(bob.ended, undefined)
})

t.test('limits answer 503 and 429 with Retry-After, and count down again', async (t) => {
  const { app } = await createApp(t, { limits: { total: 3, perKey: 2 }, limitKey: (request) => request.headers['x-user'] as string | undefined })
  app.get('/', (_request, reply) => reply.sse(async function * ({ signal }) {
    yield { data: 1 }
    await forever(signal)
  }))
  const { origin } = await listen(app)
  const as = (user: string) => connect(t, origin, { headers: { 'x-user': user } })
  const first = await as('ann')
  await as('ann')
  const third = await as('ann')
  t.equal(third.status, 429)
  t.equal(third.headers['retry-after'], '3')
  t.equal(JSON.parse(await third.rest()).code, 'FST_SSE_LIMIT_REACHED')
  await as('bob')
  const fourth = await as('cleo')
  t.equal(fourth.status, 503)
  t.equal(JSON.parse(await fourth.rest()).code, 'FST_SSE_LIMIT_REACHED')
  first.fin()
  await until(() => app.sse.stats().open === 2)
  t.equal((await as('ann')).status, 200)
})

t.test('a signal that is asked for after the end is aborted, and one that nobody asked for is never made', async (t) => {
  const { app } = await createApp(t)
  const contexts: StreamContext[] = []
  app.get('/', (_request, reply) => reply.sse((ctx) => {
    contexts.push(ctx)
    return [{ data: 1 }]
  }))
  await app.inject('/')
  t.equal(contexts[0]?.signal.aborted, true)
  t.equal(getEventListeners(contexts[0]!.signal, 'abort').length, 0)
})

t.test('200 clients that leave an open stream leave nothing behind', async (t) => {
  const probed = await probe(t, async function * ({ signal }) {
    yield { data: 1 }
    await forever(signal)
  })
  const clients = await Promise.all(Array.from({ length: 200 }, () => connect(t, probed.origin)))
  await Promise.all(clients.map((client) => client.events(1)))
  t.equal(probed.app.sse.stats().open, 200)
  for (const client of clients) client.rst()
  await until(() => probed.app.sse.stats().open === 0 && probed.app.sse.stats().sources === 0)
  t.strictSame(probed.app.sse.stats(), { open: 0, sources: 0, opened: 200, events: 200, closed: { 'client-left': 200 }, channels: {} })
})

t.test('a reader of an injected stream that leaves stops the source', async (t) => {
  const { app } = await createApp(t)
  const steps: string[] = []
  app.get('/', (_request, reply) => reply.sse(async function * ({ signal }) {
    try {
      for (let n = 0; n < 3; n++) yield { data: n }
      await forever(signal)
    } finally {
      steps.push('finally')
    }
  }))
  const response = await app.inject({ url: '/', payloadAsStream: true })
  for await (const chunk of response.stream()) {
    t.equal(chunk.toString(), OPENING + 'data: 0\n\ndata: 1\n\ndata: 2\n\n')
    break
  }
  await until(() => app.sse.stats().open === 0 && app.sse.stats().sources === 0)
  t.strictSame(steps, ['finally'])
  t.strictSame(app.sse.stats().closed, { 'client-left': 1 })
})
