import jwt from '@fastify/jwt'
import rateLimit from '@fastify/rate-limit'
import underPressure from '@fastify/under-pressure'
import t from 'tap'
import { createApp, listen } from '../support/app.js'
import { connect } from '../support/client.js'
import { until } from '../support/sources.js'
import { createProducer, END, frame, nothingLeft, OPENING, type Producer } from './producer.js'

declare module '@fastify/jwt' {
  interface FastifyJWT {
    payload: { name: string }
    user: { name: string, exp: number }
  }
}

t.test('@fastify/rate-limit: a stream carries the headers, and each reconnect counts once', async (t) => {
  const { app } = await createApp(t)
  await app.register(rateLimit, { max: 2, timeWindow: '1 minute' })
  const producers: Producer[] = []
  app.get('/', (_request, reply) => {
    const producer = createProducer(1, 2)
    producers.push(producer)
    return reply.sse(producer.source)
  })
  const { origin } = await listen(app)
  for (const remaining of ['1', '0']) {
    const client = await connect(t, origin)
    t.equal(client.status, 200)
    t.equal(client.headers['x-ratelimit-limit'], '2')
    t.equal(client.headers['x-ratelimit-remaining'], remaining)
    t.strictSame(await client.events(2), [frame(1), frame(2)])
    client.fin()
  }
  await nothingLeft(app)

  const refused = await connect(t, origin)
  t.equal(refused.status, 429)
  t.equal(refused.headers['content-type'], 'application/json; charset=utf-8')
  t.equal(refused.headers['retry-after'], '60')
  t.match(JSON.parse(await refused.rest()), { statusCode: 429, error: 'Too Many Requests' })
  t.strictSame(producers.map(({ returned }) => returned), [1, 1])
  t.equal(app.sse.stats().opened, 2)
})

t.test('@fastify/jwt: without a token the answer is 401 and no source starts, with one the source sees the user', async (t) => {
  const { app } = await createApp(t)
  await app.register(jwt, { secret: 'a secret' })
  const producer = createProducer()
  app.get('/', {
    onRequest: (request) => request.jwtVerify(),
    sse: { expiresAt: (request) => request.user.exp * 1000, limitKey: (request) => request.user.name }
  }, (_request, reply) => reply.sse((ctx) => {
    producer.give(ctx.request.user.name)
    return producer.source(ctx)
  }))
  const { origin } = await listen(app)

  for (const authorization of [undefined, 'Bearer no-token']) {
    const refused = await connect(t, origin, { headers: authorization === undefined ? {} : { authorization } })
    t.equal(refused.status, 401)
    t.equal(refused.headers['content-type'], 'application/json; charset=utf-8')
    t.equal(JSON.parse(await refused.rest()).statusCode, 401)
  }
  t.equal(app.sse.stats().opened, 0)

  const client = await connect(t, origin, { headers: { authorization: `Bearer ${app.jwt.sign({ name: 'Ann' }, { expiresIn: '1h' })}` } })
  t.equal(client.status, 200)
  t.strictSame(await client.events(1), [frame('Ann')])
  t.equal(app.sse.evict(({ key }) => key === 'Ann'), 1)
  t.equal(await client.rest(), '')
  t.equal(client.ended, 'end')
  await nothingLeft(app)
  t.equal(producer.returned, 1)
  t.strictSame(app.sse.stats().closed, { evicted: 1 })
})

t.test('@fastify/jwt: a stream ends in order when its token does, and the reconnect is refused', async (t) => {
  const { app } = await createApp(t)
  await app.register(jwt, { secret: 'a secret' })
  const producer = createProducer(1)
  app.get('/', { onRequest: (request) => request.jwtVerify(), sse: { expiresAt: (request) => request.user.exp * 1000 } },
    (_request, reply) => reply.sse(producer.source))
  const { origin } = await listen(app)
  const headers = { authorization: `Bearer ${app.jwt.sign({ name: 'Ann' }, { expiresIn: '2s' })}` }
  const client = await connect(t, origin, { headers })
  t.strictSame(await client.events(1), [frame(1)])
  t.equal(await client.rest(), '')
  t.equal(client.ended, 'end')
  await nothingLeft(app)
  t.equal(producer.returned, 1)
  t.strictSame(app.sse.stats().closed, { expired: 1 })
  t.equal((await connect(t, origin, { headers })).status, 401)
})

t.test('@fastify/under-pressure: under pressure a stream is refused with 503, and open ones go on', async (t) => {
  const { app } = await createApp(t)
  let isHealthy = true
  await app.register(underPressure, {
    healthCheck: async () => isHealthy,
    healthCheckInterval: 10,
    exposeStatusRoute: '/health',
    retryAfter: 7
  })
  const producer = createProducer(1)
  app.get('/', (_request, reply) => reply.sse(producer.source))
  const { origin } = await listen(app)
  const client = await connect(t, origin)
  t.strictSame(await client.events(1), [frame(1)])
  t.equal((await fetch(`${origin}/health`)).status, 200, 'an open stream is no pressure')

  isHealthy = false
  let refused = await connect(t, origin, { headers: { accept: 'application/json' } })
  while (refused.status === 200) {
    refused.rst()
    refused = await connect(t, origin)
  }
  t.equal(refused.status, 503)
  t.equal(refused.headers['retry-after'], '7')
  t.equal(refused.headers['content-type'], 'application/json; charset=utf-8')
  t.equal(JSON.parse(await refused.rest()).code, 'FST_UNDER_PRESSURE')
  // One that was broken off would get the event instead, as long as the server has not heard of it.
  await until(() => app.sse.stats().open === 1)
  producer.give(2)
  t.strictSame(await client.events(1), [frame(2)])

  client.fin()
  await nothingLeft(app)
  t.equal(producer.returned, producer.started)
})

t.test('@fastify/under-pressure: a pressure handler decides before the source starts', async (t) => {
  const { app } = await createApp(t)
  let isPressed = true
  await app.register(underPressure, {
    maxHeapUsedBytes: 1,
    sampleInterval: 10,
    pressureHandler: (_request, reply) => { if (isPressed) reply.code(503).send({ busy: true }) }
  })
  app.get('/', (_request, reply) => reply.sse([{ data: 1 }]))
  await app.ready()
  await until(() => app.isUnderPressure())
  t.strictSame((await app.inject('/')).json(), { busy: true })
  t.equal(app.sse.stats().opened, 0)
  isPressed = false
  t.equal((await app.inject('/')).body, OPENING + frame(1) + END)
})
