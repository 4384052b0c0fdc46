import { createHash } from 'node:crypto'
import cors from '@fastify/cors'
import etag from '@fastify/etag'
import helmet from '@fastify/helmet'
import t from 'tap'
import { createApp, listen } from '../support/app.js'
import { connect } from '../support/client.js'
import { createProducer, END, frame, nothingLeft, OPENING } from './producer.js'

t.test('@fastify/cors: a stream carries the headers that let another origin read it', async (t) => {
  const { app } = await createApp(t)
  await app.register(cors, { origin: ['https://page.example'], credentials: true, exposedHeaders: ['sse-heartbeat'] })
  const producer = createProducer(1)
  app.get('/', (_request, reply) => reply.sse(producer.source))
  const { origin } = await listen(app)
  const client = await connect(t, origin, { headers: { origin: 'https://page.example' } })
  t.equal(client.headers['access-control-allow-origin'], 'https://page.example')
  t.equal(client.headers['access-control-allow-credentials'], 'true')
  t.equal(client.headers['access-control-expose-headers'], 'sse-heartbeat')
  t.equal(client.headers['vary'], 'Origin')
  t.strictSame(await client.events(1), [frame(1)])
  client.fin()
  await nothingLeft(app)
  t.equal(producer.returned, 1)
})

t.test('@fastify/cors: with accept "strict" Vary names both headers that the answer depends on', async (t) => {
  const { app } = await createApp(t, { accept: 'strict' })
  await app.register(cors, { origin: ['https://page.example'] })
  app.get('/', (_request, reply) => reply.sse([{ data: 1 }]))
  const response = await app.inject({ url: '/', headers: { origin: 'https://page.example' } })
  t.equal(response.headers['vary'], 'Origin, accept')
})

t.test('@fastify/cors: a preflight for Last-Event-ID is answered, and opens no stream', async (t) => {
  const { app } = await createApp(t)
  await app.register(cors, { origin: true, methods: ['GET', 'POST'] })
  app.post('/', (_request, reply) => reply.sse([{ data: 1 }]))
  const response = await app.inject({
    method: 'OPTIONS',
    url: '/',
    headers: {
      origin: 'https://page.example',
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'last-event-id, content-type'
    }
  })
  t.equal(response.statusCode, 204)
  t.equal(response.headers['access-control-allow-origin'], 'https://page.example')
  t.equal(response.headers['access-control-allow-methods'], 'GET, POST')
  t.equal(response.headers['access-control-allow-headers'], 'last-event-id, content-type')
  t.equal(app.sse.stats().opened, 0)
})

t.test('@fastify/cors: an error before the first event can be read by the page too', async (t) => {
  const { app } = await createApp(t)
  await app.register(cors, { origin: true })
  app.get('/', (_request, reply) => reply.sse(() => { throw Object.assign(new Error('no'), { statusCode: 403 }) }))
  const response = await app.inject({ url: '/', headers: { origin: 'https://page.example' } })
  t.equal(response.statusCode, 403)
  t.equal(response.headers['access-control-allow-origin'], 'https://page.example')
  t.equal(response.headers['content-type'], 'application/json; charset=utf-8')
  await nothingLeft(app)
})

t.test('@fastify/helmet: a stream carries its headers, a content security policy with nonces among them', async (t) => {
  const { app } = await createApp(t)
  await app.register(helmet, { enableCSPNonces: true, contentSecurityPolicy: { directives: { connectSrc: ["'self'"] } } })
  let nonce = ''
  app.get('/', (_request, reply) => {
    nonce = reply.cspNonce.script
    return reply.sse([{ data: 1 }])
  })
  const response = await app.inject('/')
  const policy = String(response.headers['content-security-policy']).split(';')
  t.ok(policy.includes("connect-src 'self'"))
  t.match(policy.find((directive) => directive.startsWith('script-src ')), `'nonce-${nonce}'`)
  t.equal(response.headers['x-content-type-options'], 'nosniff')
  t.equal(response.headers['content-type'], 'text/event-stream')
  t.equal(response.headers['cache-control'], 'no-cache, no-transform')
  t.equal(response.body, OPENING + frame(1) + END)
})

t.test('@fastify/helmet: options of a stream route hold', async (t) => {
  const { app } = await createApp(t)
  await app.register(helmet)
  app.get('/', { helmet: { contentSecurityPolicy: false, frameguard: { action: 'deny' } } }, (_request, reply) => reply.sse([{ data: 1 }]))
  const response = await app.inject('/')
  t.equal(response.headers['content-security-policy'], undefined)
  t.equal(response.headers['x-frame-options'], 'DENY')
  t.equal(response.body, OPENING + frame(1) + END)
})

t.test('@fastify/etag: a stream gets no tag, while other routes do', async (t) => {
  const { app } = await createApp(t)
  await app.register(etag)
  const producer = createProducer(1)
  app.get('/', (_request, reply) => reply.sse(producer.source))
  app.get('/other', async () => 'text')
  const { origin } = await listen(app)
  const client = await connect(t, origin, { headers: { 'if-none-match': '*' } })
  t.equal(client.status, 200)
  t.equal(client.headers['etag'], undefined)
  t.strictSame(await client.events(1), [frame(1)])
  t.equal((await fetch(`${origin}/other`)).headers.get('etag'), `"${createHash('sha1').update('text').digest('base64')}"`)
  client.fin()
  await nothingLeft(app)
  t.equal(producer.returned, 1)
})

t.test('@fastify/etag: a tag that matches turns the stream into 304, and stops its source', async (t) => {
  const { app } = await createApp(t)
  await app.register(etag)
  const producer = createProducer(1)
  app.get('/', (_request, reply) => {
    reply.header('etag', '"v1"')
    return reply.sse(producer.source)
  })
  const { origin } = await listen(app)
  const client = await connect(t, origin, { headers: { 'if-none-match': '"v1"' } })
  t.equal(client.status, 304)
  t.equal(await client.rest(), '')
  await nothingLeft(app)
  t.equal(producer.returned, producer.started)
  t.strictSame(app.sse.stats().closed, { 'response-replaced': 1 })
})
