import net from 'node:net'
import type { FastifyInstance, FastifyReply } from 'fastify'
import t from 'tap'
import { createApp, listen } from '../support/app.js'
import { connect } from '../support/client.js'
import { deferred, until } from '../support/sources.js'
import { createProducer, END, frame, nothingLeft, OPENING } from './producer.js'

/** Notes the run of each hook that a request can have. */
function noteHooks (app: FastifyInstance): string[] {
  const steps: string[] = []
  for (const hook of ['onRequest', 'preValidation', 'preHandler', 'onResponse'] as const) {
    app.addHook(hook as 'onRequest', async () => { steps.push(hook) })
  }
  app.addHook('onRequestAbort', async (_request) => { steps.push('onRequestAbort') })
  app.addHook('preParsing', async () => { steps.push('preParsing') })
  app.addHook('preSerialization', async () => { steps.push('preSerialization') })
  app.addHook('onSend', async () => { steps.push('onSend') })
  app.addHook('onError', async (_request, _reply, error) => { steps.push(`onError: ${error.message}`) })
  return steps
}

for (const method of ['GET', 'POST'] as const) {
  const before = ['onRequest', 'preParsing', 'preValidation', 'preHandler', 'handler']
  const body = method === 'POST' ? { a: 1 } : undefined

  t.test(`the hooks of a ${method} run in Fastify's order, each once`, async (t) => {
    const { app } = await createApp(t)
    const steps = noteHooks(app)
    const producer = createProducer(1)
    app.route({
      method,
      url: '/',
      handler: (_request, reply) => {
        steps.push('handler')
        return reply.sse(producer.source)
      }
    })
    const { origin } = await listen(app)
    const client = await connect(t, origin, { method, body })
    await client.events(1)
    t.strictSame(steps, [...before, 'onSend'])
    producer.finish()
    await client.rest()
    await nothingLeft(app)
    await until(() => steps.includes('onResponse'))
    t.strictSame(steps, [...before, 'onSend', 'onResponse'])
  })

  for (const [way, leave] of [['FIN', 'fin'], ['RST', 'rst']] as const) {
    t.test(`onResponse of a ${method} runs once when the client leaves by ${way}`, async (t) => {
      const { app } = await createApp(t)
      const steps = noteHooks(app)
      const producer = createProducer(1)
      let elapsed = 0
      app.addHook('onResponse', async (_request, reply) => { elapsed = reply.elapsedTime })
      app.route({ method, url: '/', handler: (_request, reply) => reply.sse(producer.source) })
      const { origin } = await listen(app)
      const client = await connect(t, origin, { method, body })
      await client.events(1)
      client[leave]()
      await nothingLeft(app)
      t.equal(producer.returned, 1)
      await app.close()
      t.strictSame(steps.filter((step) => step === 'onResponse'), ['onResponse'])
      t.ok(elapsed > 0)
    })
  }
}

t.test('onRequestAbort runs once when the client of a GET leaves, and not when the source ends', async (t) => {
  const { app } = await createApp(t)
  const steps = noteHooks(app)
  const producers = [createProducer(1), createProducer(1)]
  let opened = 0
  app.get('/', (_request, reply) => reply.sse(producers[opened++]!.source))
  const { origin } = await listen(app)
  const ends = await connect(t, origin)
  await ends.events(1)
  producers[0]!.finish()
  await ends.rest()
  await nothingLeft(app)
  t.notOk(steps.includes('onRequestAbort'))

  const leaves = await connect(t, origin)
  await leaves.events(1)
  leaves.fin()
  await nothingLeft(app)
  await until(() => steps.includes('onRequestAbort'))
  await app.close()
  t.strictSame(steps.filter((step) => step === 'onRequestAbort'), ['onRequestAbort'])
})

t.test('the source hears that the client of a POST left, although request.signal and onRequestAbort do not', async (t) => {
  const { app } = await createApp(t)
  const steps = noteHooks(app)
  const aborted = deferred<string>()
  const returned = deferred()
  app.post('/', (_request, reply) => reply.sse(async function * ({ signal }) {
    signal.addEventListener('abort', () => aborted.resolve(signal.reason.reason))
    try {
      yield { data: 1 }
      await aborted.promise
    } finally {
      returned.resolve()
    }
  }))
  const { origin } = await listen(app)
  const client = await connect(t, origin, { method: 'POST', body: { a: 1 } })
  t.strictSame(await client.events(1), [frame(1)], 'the parsed body is not taken for a client that left')
  client.rst()
  t.equal(await aborted.promise, 'client-left')
  await returned.promise
  await nothingLeft(app)
  t.notOk(steps.includes('onRequestAbort'))
})

t.test('a source that fails before its first event runs onError and the error handler', async (t) => {
  const { app } = await createApp(t)
  const steps = noteHooks(app)
  app.get('/', (_request, reply) => reply.sse(async function * () { throw new Error('no') }))
  const response = await app.inject('/')
  t.equal(response.statusCode, 500)
  t.strictSame(response.json(), { statusCode: 500, error: 'Internal Server Error', message: 'no' })
  t.strictSame(steps.slice(4), ['onError: no', 'onSend', 'onResponse'])
  await nothingLeft(app)
})

t.test('a source that fails after its first event runs no error handler: the response is under way', async (t) => {
  const { app } = await createApp(t)
  const steps = noteHooks(app)
  app.get('/', (_request, reply) => reply.sse(function * () {
    yield { data: 1 }
    throw new Error('no')
  }))
  const response = await app.inject('/')
  t.equal(response.body, OPENING + frame(1) + 'event: sse.fault\ndata: {"code":"FST_SSE_SOURCE_FAILED","message":"Internal Server Error"}\n\n')
  await until(() => steps.includes('onResponse'))
  t.strictSame(steps.slice(4), ['onSend', 'onResponse'])
  await nothingLeft(app)
})

t.test('a hook that answers first leaves nothing for the stream to do', async (t) => {
  const { app } = await createApp(t)
  const producer = createProducer(1)
  app.addHook('preHandler', async (_request, reply) => reply.code(401).send({ no: true }))
  app.get('/', (_request, reply) => reply.sse(producer.source))
  const response = await app.inject('/')
  t.equal(response.statusCode, 401)
  t.equal(producer.started, 0)
  t.equal(app.sse.stats().opened, 0)
})

t.test('hooks of the route and of each encapsulated plugin run, and those of siblings do not', async (t) => {
  const { app } = await createApp(t)
  const steps: string[] = []
  const note = (step: string) => async (): Promise<void> => { steps.push(step) }
  app.addHook('onRequest', note('root'))
  await app.register(async (sibling) => { sibling.addHook('onRequest', note('sibling')) })
  await app.register(async (child) => {
    child.addHook('onRequest', note('child'))
    child.addHook('onSend', note('child onSend'))
    child.get('/stream', { onRequest: note('route'), onSend: note('route onSend') }, (_request, reply) => reply.sse([{ data: 1 }]))
  }, { prefix: '/child' })
  t.equal((await app.inject('/child/stream')).body, OPENING + frame(1) + END)
  t.strictSame(steps, ['root', 'child', 'route', 'child onSend', 'route onSend'])
})

t.test('decorators, prefixes and route options of an encapsulated plugin hold for its streams alone', async (t) => {
  const { app } = await createApp(t, { heartbeatMs: 2000 })
  await app.register(async (child) => {
    child.decorateRequest('tenant', 'none')
    child.addHook('onRequest', async (request) => { request.setDecorator('tenant', 'Ann') })
    child.get('/', { sse: { heartbeatMs: 5000, reconnectionTimeMs: 100 } }, (_request, reply) =>
      reply.sse(({ request }) => [{ data: request.getDecorator('tenant') }]))
  }, { prefix: '/child' })
  app.get('/', (_request, reply) => reply.sse(({ request }) => [{ data: 'tenant' in request }]))
  t.equal((await app.inject('/child/')).body, ': sse-heartbeat: 5000\n\nretry: 100\n\n' + frame('Ann') + END)
  t.equal((await app.inject('/')).body, ': sse-heartbeat: 2000\n\nretry: 3000\n\n' + frame(false) + END)
})

t.test('when the client leaves during a slow hook the source never starts', async (t) => {
  for (const [method, hook] of [['GET', 'onRequest'], ['GET', 'preHandler'], ['POST', 'preHandler']] as const) {
    for (const leave of ['end', 'resetAndDestroy'] as const) {
      const { app } = await createApp(t)
      const producer = createProducer(1)
      const entered = deferred()
      const gone = deferred()
      const handled = deferred()
      app.addHook(hook as 'onRequest', async (request) => {
        // Both: what the response and what the connection tell.
        request.raw.socket.on('close', () => gone.resolve())
        entered.resolve()
        await gone.promise
      })
      app.addHook('onResponse', async () => handled.resolve())
      app.route({
        method,
        url: '/',
        handler: (_request, reply) => {
          const stream = reply.sse(producer.source)
          stream.then(() => handled.resolve())
          return stream
        }
      })
      const { port } = await listen(app)
      const socket = net.connect({ port, host: '127.0.0.1' })
      socket.on('error', () => {})
      t.teardown(() => socket.destroy())
      socket.write(`${method} / HTTP/1.1\r\nHost: x\r\n${method === 'POST' ? 'Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}' : '\r\n'}`)
      await entered.promise
      socket[leave]()
      await handled.promise
      t.equal(producer.started, 0, `${method} ${hook} ${leave}`)
      t.equal(app.sse.stats().opened, 0)
      await app.close()
    }
  }
})

t.test('request.routeOptions, which Fastify builds anew each time, is looked at once for a stream', async (t) => {
  const { app } = await createApp(t)
  let looks = 0
  app.addHook('onRequest', async (request) => {
    const { routeOptions } = request
    Object.defineProperty(request, 'routeOptions', {
      get () {
        looks++
        return routeOptions
      }
    })
  })
  app.get('/', (_request, reply) => reply.sse(Array.from({ length: 100 }, (_, n) => ({ data: n }))))
  await app.inject('/')
  await nothingLeft(app)
  t.equal(looks, 1)
})

t.test('what a handler does with the promise of its stream adds no listener to the response', async (t) => {
  const { app } = await createApp(t)
  const counts: Array<Record<string, number>> = []
  const producers: Array<ReturnType<typeof createProducer>> = []
  const handlers: Record<string, (reply: FastifyReply) => unknown> = {
    '/returned': (reply) => reply.sse(producers.at(-1)!.source),
    '/awaited': async (reply) => { await reply.sse(producers.at(-1)!.source) },
    '/left-alone': (reply) => { reply.sse(producers.at(-1)!.source) }
  }
  for (const [url, handler] of Object.entries(handlers)) {
    app.get(url, (_request, reply) => {
      producers.push(createProducer(1))
      const { raw } = reply
      setImmediate(() => setImmediate(() => {
        counts.push(Object.fromEntries(raw.eventNames().map((name) => [String(name), raw.listenerCount(name)])))
      }))
      return handler(reply)
    })
  }
  const { origin } = await listen(app)
  for (const url of Object.keys(handlers)) {
    const client = await connect(t, origin + url)
    await client.events(1)
    await until(() => counts.length === producers.length)
    client.fin()
    await nothingLeft(app)
  }
  t.strictSame(counts[1], counts[0])
  t.strictSame(counts[2], counts[0])
  t.strictSame(producers.map(({ returned }) => returned), [1, 1, 1])
})
