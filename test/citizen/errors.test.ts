import type { FastifyReply } from 'fastify'
import { Type } from '@sinclair/typebox'
import t from 'tap'
import { createApp, LEVEL, listen } from '../support/app.js'
import { connect } from '../support/client.js'
import { until } from '../support/sources.js'
import { createProducer, END, frame, nothingLeft, OPENING } from './producer.js'

const teapot = (): Error => Object.assign(new Error('no coffee'), { statusCode: 418, code: 'TEAPOT', headers: { 'x-kind': 'short' } })

/** The ways in which a stream can fail before its first event. */
const failures: Record<string, (reply: FastifyReply) => unknown> = {
  'a source function that throws': (reply) => reply.sse(() => { throw teapot() }),
  'a source function that rejects': (reply) => reply.sse(async () => { throw teapot() }),
  'a generator that throws': (reply) => reply.sse(async function * () { throw teapot() }),
  'a generator that throws late': (reply) => reply.sse(async function * () {
    await new Promise(setImmediate)
    throw teapot()
  }),
  'a handler that throws after reply.sse()': async (reply) => {
    reply.sse(async function * ({ signal }) { await new Promise((resolve) => signal.addEventListener('abort', resolve)) })
    throw teapot()
  },
  'a handler that throws before reply.sse()': async () => { throw teapot() }
}

for (const [name, handler] of Object.entries(failures)) {
  t.test(`${name} is an ordinary error response`, async (t) => {
    const { app, logs } = await createApp(t)
    app.get('/', (_request, reply) => handler(reply))
    const { origin } = await listen(app)
    const client = await connect(t, origin)
    t.equal(client.status, 418)
    t.equal(client.headers['content-type'], 'application/json; charset=utf-8')
    t.equal(client.headers['x-kind'], 'short')
    t.equal(client.headers['cache-control'], undefined)
    t.equal(client.headers['x-accel-buffering'], undefined)
    t.strictSame(JSON.parse(await client.rest()), { statusCode: 418, code: 'TEAPOT', error: "I'm a Teapot", message: 'no coffee' })
    await until(() => app.sse.stats().open === 0 && app.sse.stats().sources === 0)
    await until(() => logs.some(({ msg }) => msg === 'request completed'))
    t.strictSame(logs.filter(({ err }) => err !== undefined).map(({ level, msg }) => [level, msg]), [[LEVEL.info, 'no coffee']], 'logged once, as Fastify does')
  })

  t.test(`${name} goes through the error handler of its own context`, async (t) => {
    const { app } = await createApp(t)
    app.setErrorHandler(async (error: Error & { code?: string }, _request, reply) => {
      await new Promise(setImmediate)
      return reply.code(400).header('x-handler', 'root').send({ handled: error.code })
    })
    app.get('/', (_request, reply) => handler(reply))
    await app.register(async (child) => {
      child.setErrorHandler((error: Error & { code?: string }, _request, reply) => {
        reply.code(402).header('x-handler', 'child').send({ handled: error.code })
      })
      child.get('/child', (_request, reply) => handler(reply))
    })
    const { origin } = await listen(app)
    for (const [url, status, by] of [['/', 400, 'root'], ['/child', 402, 'child']] as const) {
      const client = await connect(t, origin + url)
      t.equal(client.status, status)
      t.equal(client.headers['content-type'], 'application/json; charset=utf-8')
      t.equal(client.headers['x-handler'], by)
      t.equal(await client.rest(), '{"handled":"TEAPOT"}')
    }
    await until(() => app.sse.stats().open === 0 && app.sse.stats().sources === 0)
  })
}

t.test('an error handler that throws falls back to the one around it', async (t) => {
  const { app } = await createApp(t)
  app.setErrorHandler((error: Error, _request, reply) => { reply.code(500).send({ root: error.message }) })
  await app.register(async (child) => {
    child.setErrorHandler(() => { throw new Error('handler too') })
    child.get('/', (_request, reply) => reply.sse(() => { throw teapot() }))
  })
  const response = await app.inject('/')
  t.strictSame(response.json(), { root: 'handler too' })
  await nothingLeft(app)
})

t.test('an error handler may answer with a text', async (t) => {
  const { app } = await createApp(t)
  app.setErrorHandler((_error, _request, reply) => { reply.code(409).type('text/plain').send('conflict') })
  app.get('/', (_request, reply) => reply.sse(() => { throw teapot() }))
  const response = await app.inject('/')
  t.equal(response.statusCode, 409)
  t.equal(response.headers['content-type'], 'text/plain')
  t.equal(response.body, 'conflict')
  await nothingLeft(app)
})

t.test('an error response is serialized by the schema of its status', async (t) => {
  const { app } = await createApp(t)
  app.get('/', {
    schema: {
      events: { count: Type.Integer() },
      response: { 418: Type.Object({ message: Type.String() }) }
    }
  }, (_request, reply) => (reply as FastifyReply).sse(() => { throw teapot() }))
  const response = await app.inject('/')
  t.equal(response.statusCode, 418)
  t.strictSame(response.json(), { message: 'no coffee' })
  await nothingLeft(app)
})

t.test('a first event that is invalid is an error response, and goes through the error handler', async (t) => {
  const { app } = await createApp(t)
  app.setErrorHandler((error: Error & { code?: string, statusCode?: number }, _request, reply) => {
    reply.code(error.statusCode ?? 500).send({ handled: error.code })
  })
  app.get('/', { schema: { events: { count: Type.Integer() } } }, (_request, reply) => reply.sse([{ event: 'count', data: 1.5 }]))
  const response = await app.inject('/')
  t.equal(response.statusCode, 500)
  t.strictSame(response.json(), { handled: 'FST_SSE_EVENT_INVALID' })
  await nothingLeft(app)
})

t.test('an error handler may answer with a stream, also for a stream that has failed before its first event', async (t) => {
  const { app } = await createApp(t)
  app.setErrorHandler((_error, _request, reply) => reply.sse([{ data: 'error' }]))
  app.get('/', async () => { throw teapot() })
  app.get('/stream', (_request, reply) => reply.sse(() => { throw teapot() }))
  t.equal((await app.inject('/')).body, OPENING + frame('error') + END, 'without a stream before it, it is a stream like any other')
  t.equal((await app.inject('/stream')).body, OPENING + frame('error') + END)
  await nothingLeft(app)
})

t.test('the not-found handler answers for what is no route, and may stream itself', async (t) => {
  const { app } = await createApp(t)
  const producer = createProducer(1)
  app.setNotFoundHandler((request, reply) => request.url === '/stream'
    ? reply.sse(producer.source)
    : reply.code(404).send({ none: request.url }))
  app.get('/gone', async (_request, reply) => reply.callNotFound())
  const { origin } = await listen(app)
  t.strictSame(await (await fetch(`${origin}/nowhere`)).json(), { none: '/nowhere' })
  t.strictSame(await (await fetch(`${origin}/gone`)).json(), { none: '/gone' })
  const client = await connect(t, `${origin}/stream`)
  t.strictSame(await client.events(1), [frame(1)])
  client.fin()
  await nothingLeft(app)
  t.equal(producer.returned, 1)
})

t.test('a request that fails validation opens no stream', async (t) => {
  const { app } = await createApp(t)
  const producer = createProducer(1)
  app.post('/', { schema: { body: Type.Object({ n: Type.Integer() }) } }, (_request, reply) => reply.sse(producer.source))
  const response = await app.inject({ method: 'POST', url: '/', payload: { n: 'x' } })
  t.equal(response.statusCode, 400)
  t.equal(response.json().code, 'FST_ERR_VALIDATION')
  t.equal(producer.started, 0)
  t.equal(app.sse.stats().opened, 0)
})
