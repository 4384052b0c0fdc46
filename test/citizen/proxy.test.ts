import proxy, { type FastifyHttpProxyOptions } from '@fastify/http-proxy'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { createApp, createLogged, listen } from '../support/app.js'
import { connect } from '../support/client.js'
import { until } from '../support/sources.js'
import { createProducer, END, frame, nothingLeft, OPENING, type Producer } from './producer.js'

const RETRY = /retry: \d+\n\n$/

/** How @fastify/http-proxy may ask its upstream, each with a time after which it gives a silent one up. */
const ways: Record<string, { proxy: object, upstream: object }> = {
  undici: { proxy: { undici: { bodyTimeout: 60_000 } }, upstream: {} },
  'node:http': { proxy: { http: { requestOptions: { timeout: 200 } } }, upstream: {} },
  'node:http2': { proxy: { http2: { requestTimeout: 200 } }, upstream: { http2: true } }
}

interface Proxied {
  upstream: FastifyInstance
  front: FastifyInstance
  origin: string
  producer: Producer
}

/** An upstream with a stream for GET and POST on `/stream`, and a proxy before it that has a stream of its own on `/own`. */
async function createProxied (t: Test, way: keyof typeof ways): Promise<Proxied> {
  const { app: upstream } = await createApp(t, {}, ways[way]!.upstream as object)
  const producer = createProducer(1)
  upstream.route({ method: ['GET', 'POST'], url: '/stream', handler: (_request, reply) => reply.sse(producer.source) })
  upstream.get('/hangs', () => new Promise(() => {}))
  upstream.get('/refused', (_request, reply) => reply.sse(() => { throw Object.assign(new Error('no'), { statusCode: 403 }) }))
  const { origin: target } = await listen(upstream)
  const { app: front } = await createApp(t)
  front.get('/own', (_request, reply) => reply.sse([{ data: 'own' }]))
  await front.register(proxy, { upstream: target, prefix: '/up', destroyAgent: true, ...ways[way]!.proxy } as FastifyHttpProxyOptions)
  const { origin } = await listen(front)
  return { upstream, front, origin, producer }
}

for (const way of Object.keys(ways)) {
  t.test(`events pass @fastify/http-proxy (${way}) one by one, headers too`, async (t) => {
    const { upstream, origin, producer } = await createProxied(t, way)
    const client = await connect(t, `${origin}/up/stream`, { headers: { 'last-event-id': '7' } })
    t.equal(client.headers['content-type'], 'text/event-stream')
    t.equal(client.headers['cache-control'], 'no-cache, no-transform')
    t.equal(client.headers['x-accel-buffering'], 'no')
    t.strictSame(await client.events(1), [frame(1)])
    for (const n of [2, 3]) {
      producer.give(n)
      t.strictSame(await client.events(1), [frame(n)])
    }
    producer.finish()
    t.equal(await client.rest(), END)
    t.equal(client.ended, 'end')
    t.equal(client.text, OPENING + frame(1) + frame(2) + frame(3) + END)
    await nothingLeft(upstream)
  })

  t.test(`a client that leaves @fastify/http-proxy (${way}) stops the source upstream`, async (t) => {
    for (const leave of ['fin', 'rst'] as const) {
      for (const method of ['GET', 'POST'] as const) {
        const { upstream, origin, producer } = await createProxied(t, way)
        const client = await connect(t, `${origin}/up/stream`, method === 'POST' ? { method, body: { a: 1 } } : {})
        t.strictSame(await client.events(1), [frame(1)])
        client[leave]()
        await nothingLeft(upstream)
        t.equal(producer.returned, 1, `${leave} of a ${method}`)
        t.strictSame(upstream.sse.stats().closed, { 'client-left': 1 })
      }
    }
  })

  t.test(`an upstream that closes ends the streams behind @fastify/http-proxy (${way}) in order`, async (t) => {
    const { upstream, origin, producer } = await createProxied(t, way)
    const client = await connect(t, `${origin}/up/stream`)
    t.strictSame(await client.events(1), [frame(1)])
    await upstream.close()
    t.match(await client.rest(), RETRY)
    t.equal(client.ended, 'end')
    t.equal(producer.returned, 1)
    t.strictSame(upstream.sse.stats().closed, { shutdown: 1 })
  })

  t.test(`an error before the first event passes @fastify/http-proxy (${way}) as what it is`, async (t) => {
    const { upstream, origin } = await createProxied(t, way)
    const client = await connect(t, `${origin}/up/refused`)
    t.equal(client.status, 403)
    t.equal(JSON.parse(await client.rest()).message, 'no')
    await nothingLeft(upstream)
  })

  t.test(`a proxy (${way}) may have streams of its own`, async (t) => {
    const { front, origin } = await createProxied(t, way)
    const client = await connect(t, `${origin}/own`)
    t.equal(await client.rest(), OPENING + frame('own') + END)
    await nothingLeft(front)
  })
}

for (const way of ['node:http', 'node:http2']) {
  t.test(`the timeout of @fastify/http-proxy (${way}) gives up an upstream that hangs, and not one with a quiet stream`, async (t) => {
    const { upstream, origin, producer } = await createProxied(t, way)
    const client = await connect(t, `${origin}/up/stream`)
    t.strictSame(await client.events(1), [frame(1)])
    t.equal((await connect(t, `${origin}/up/hangs`)).status, 504)
    producer.give(2)
    t.strictSame(await client.events(1), [frame(2)])
    client.fin()
    await nothingLeft(upstream)
    t.equal(producer.returned, 1)
  })
}

t.test('a proxy that breaks off stops the sources upstream', async (t) => {
  const { upstream, front, origin, producer } = await createProxied(t, 'undici')
  const client = await connect(t, `${origin}/up/stream`)
  t.strictSame(await client.events(1), [frame(1)])
  front.server.closeAllConnections()
  await nothingLeft(upstream)
  t.equal(producer.returned, 1)
  await until(() => client.ended !== undefined)
  t.equal(client.ended, 'aborted')
})

t.test('a slow client behind a proxy holds the source back', async (t) => {
  const { app: upstream } = await createApp(t)
  const BIG = 'x'.repeat(100_000)
  let returned = 0
  upstream.get('/', (_request, reply) => reply.sse(async function * () {
    try {
      while (true) yield { data: BIG }
    } finally {
      returned++
    }
  }))
  const { origin: target } = await listen(upstream)
  const { app: front } = createLogged(t)
  await front.register(proxy, { upstream: target, destroyAgent: true })
  const { origin } = await listen(front)
  const client = await connect(t, origin)
  client.stall()
  let seen = -1
  await until(() => {
    const { events } = upstream.sse.stats()
    const isParked = events > 0 && events === seen
    seen = events
    return isParked
  })
  client.rst()
  await nothingLeft(upstream)
  t.equal(returned, 1)
})
