import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { serve } from '@hono/node-server'
import { Type } from '@sinclair/typebox'
import express from 'express'
import { Hono } from 'hono'
import { streamSSE } from 'hono/streaming'
import t, { type Test } from 'tap'
import { connect } from '../../lib/client.js'
import { defineEvents, text } from '../../lib/index.js'
import { createApp, listen } from '../support/app.js'
import { until } from '../support/sources.js'
import { observe, proxyTo, settle, type Observed } from './servers.js'

const Orders = defineEvents({ created: Type.Object({ n: Type.Integer() }), note: text() })

/** Where a server listens; it is closed, with all of its connections, at the end of the test. */
async function originOf (t: Test, server: Server): Promise<string> {
  t.teardown(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => { server.close(resolve) })
  })
  if (!server.listening) await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** What a server that is not ours sends: three events from the last event ID on, and at the fourth it says that there is no more. */
interface Foreign {
  name: string
  serve: (t: Test, visits: Visit[]) => Promise<string>
}

interface Visit {
  lastEventId: string | undefined
  /** Resolves when the server has seen that the client is gone. */
  gone: Promise<void>
}

function goneOf (response: ServerResponse): Promise<void> {
  return new Promise((resolve) => { response.on('close', resolve) })
}

const foreign: Foreign[] = [{
  name: 'Hono\'s streamSSE',
  async serve (t, visits) {
    const app = new Hono()
    app.get('/', (c) => {
      const lastEventId = c.req.header('last-event-id')
      const first = Number(lastEventId ?? 0) + 1
      if (first > 9) return c.body(null, 204)
      return streamSSE(c, async (stream) => {
        visits.push({ lastEventId, gone: new Promise((resolve) => { stream.onAbort(resolve) }) })
        for (let n = first; n < first + 3; n++) await stream.writeSSE({ event: 'n', id: String(n), data: JSON.stringify({ n, text: 'größe\n→' }), retry: 100 })
        if (first === 7) await new Promise(() => {})
      })
    })
    return originOf(t, serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }) as Server)
  }
}, {
  name: 'Express with res.write',
  async serve (t, visits) {
    const app = express()
    app.get('/', (req, res) => {
      const lastEventId = req.get('last-event-id')
      const first = Number(lastEventId ?? 0) + 1
      visits.push({ lastEventId, gone: goneOf(res) })
      res.set({ 'Content-Type': 'text/event-stream; charset=utf-8', 'Cache-Control': 'no-cache', Connection: 'keep-alive' })
      res.flushHeaders()
      for (let n = first; n < first + 3; n++) res.write(`event: n\r\nid: ${n}\r\nretry: 100\r\ndata: ${JSON.stringify({ n, text: 'größe\n→' })}\r\n\r\n`)
      if (first < 7) res.end()
    })
    return originOf(t, createServer(app))
  }
}, {
  name: 'bare node:http',
  async serve (t, visits) {
    return originOf(t, createServer((request: IncomingMessage, response) => {
      const lastEventId = request.headers['last-event-id'] as string | undefined
      const first = Number(lastEventId ?? 0) + 1
      visits.push({ lastEventId, gone: goneOf(response) })
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      for (let n = first; n < first + 3; n++) response.write(`id:${n}\nretry:100\nevent:n\ndata:{"n":${n},\ndata:"text":"größe\\n→"}\n\n`)
      // Without the chunk that ends the response.
      if (first < 7) response.write(':\n\n', () => response.destroy())
    }))
  }
}]

for (const { name, serve } of foreign) {
  t.test(`${name}: events come as they were sent, over ends of the connection, each once`, async (t) => {
    const visits: Visit[] = []
    const origin = await serve(t, visits)
    const stream = connect<{ event: 'n', data: { n: number, text: string } }>(origin)
    const given: unknown[] = []
    for await (const event of stream) {
      given.push(event)
      if (given.length === 9) break
    }
    t.strictSame(given, Array.from({ length: 9 }, (_, index) => ({ event: 'n', data: { n: index + 1, text: 'größe\n→' }, id: String(index + 1) })))
    t.strictSame(visits.map(({ lastEventId }) => lastEventId), [undefined, '3', '6'])
    t.equal(stream.lastEventId, '9')
    await visits.at(-1)!.gone
  })
}

t.test('what Hono answers with 204 is over', async (t) => {
  const origin = await foreign[0]!.serve(t, [])
  t.match(await connect(origin, { initialLastEventId: '9' }).closed, { reason: 'done' })
})

t.test('an error page of Express is an error with its status and its text', async (t) => {
  const app = express()
  app.get('/teapot', (_req, res) => { res.status(418).json({ message: 'short and stout' }) })
  const origin = await originOf(t, createServer(app))
  t.match((await connect(`${origin}/teapot`).closed).error, { kind: 'status', status: 418, body: '{"message":"short and stout"}' })
  t.match((await connect(`${origin}/nothing`).closed).error, { kind: 'status', status: 404, body: /Cannot GET \/nothing/ })
})

t.test('a stream as OpenAI\'s, by POST, is read with data: text up to its end', async (t) => {
  const bodies: string[] = []
  const origin = await originOf(t, createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += String(chunk)
    bodies.push(body)
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.end('data: {"delta":"Hel"}\n\ndata: {"delta":"lo"}\n\ndata: [DONE]\n\n')
  }))
  const stream = connect(origin, { data: 'text', body: { prompt: 'Say hello' } })
  const deltas: string[] = []
  for await (const { data } of stream) {
    if (data === '[DONE]') break
    deltas.push(JSON.parse(data).delta)
  }
  t.strictSame(deltas, ['Hel', 'lo'])
  t.equal(stream.state.reason, 'closed')
  await settle()
  t.strictSame(bodies, ['{"prompt":"Say hello"}'], 'and it was asked for once')
})

/** An application with a channel, and a proxy before it. */
async function channelled (t: Test, events = 100): Promise<{
  app: Awaited<ReturnType<typeof createApp>>['app'], orders: any, publish: (...numbers: number[]) => void, proxy: Awaited<ReturnType<typeof proxyTo>>, port: number
}> {
  const { app } = await createApp(t, { reconnectionTimeMs: 100 })
  const orders = app.sse.channel('orders', Orders, { backlog: { events } })
  app.get('/', { schema: { events: Orders } }, (_request, reply) => reply.sse(orders))
  const { port } = await listen(app)
  return { app, orders, port, proxy: await proxyTo(t, port), publish: (...numbers) => { for (const n of numbers) orders.publish({ event: 'created', data: { n } }) } }
}

/** The numbers of the orders that a stream has given. */
function numbersOf ({ history }: Observed): number[] {
  return history.flatMap((line) => {
    const [, n] = /^created: \{"n":(\d+)\}/.exec(line) ?? []
    return n === undefined ? [] : [Number(n)]
  })
}

t.test('this plugin: a channel goes on after a proxy has cut the connection, without a hole and without a repeat', async (t) => {
  const { orders, publish, proxy } = await channelled(t)
  const seen = observe(t, proxy.origin)
  // It has a place to go on from.
  await until(() => seen.stream.lastEventId !== '')
  let n = 0
  for (let cut = 1; cut <= 5; cut++) {
    publish(++n, ++n, ++n)
    // Some of them are on their way, and some were given.
    if (cut % 2 === 0) await until(() => numbersOf(seen).length === n)
    proxy.cut()
    publish(++n, ++n)
    await seen.reached('reconnecting', cut)
    publish(++n)
    await until(() => numbersOf(seen).length === n)
  }
  t.strictSame(numbersOf(seen), Array.from({ length: n }, (_, index) => index + 1))
  t.strictSame(seen.errors.map(({ kind }) => kind).filter((kind) => kind !== 'network' && kind !== 'ended'), [])
  t.equal(seen.stream.lastEventId, orders.lastEventId)
  seen.stream.close()
  await until(() => orders.subscribers === 0)
})

t.test('this plugin: a first connection that is cut before any event goes on from where it began', async (t) => {
  const { orders, publish, proxy } = await channelled(t)
  publish(1, 2)
  const seen = observe(t, proxy.origin)
  await until(() => seen.stream.lastEventId !== '')
  t.equal(seen.stream.lastEventId, orders.lastEventId)
  proxy.cut()
  publish(3)
  await until(() => numbersOf(seen).length === 1)
  t.strictSame(numbersOf(seen), [3])
})

t.test('this plugin: what is no longer kept is told as an event of its own, typed', async (t) => {
  const { orders, publish, proxy } = await channelled(t, 2)
  const stream = connect<typeof Orders>(proxy.origin)
  t.teardown(() => stream.close())
  const told: unknown[] = []
  stream.on('sse.gap', ({ reason, requested }) => told.push([reason, requested]))
  stream.on('created', ({ n }) => told.push(n))
  await until(() => orders.subscribers === 1)
  publish(1)
  await until(() => told.length === 1)
  const { lastEventId } = stream
  proxy.cut()
  await until(() => orders.subscribers === 0)
  publish(2, 3, 4, 5)
  await until(() => told.length === 4)
  t.strictSame(told, [1, ['evicted', lastEventId], 4, 5])
})

t.test('this plugin: app.close() sends streams on to the server that comes after, on the same port', async (t) => {
  const { app, publish, orders, port } = await channelled(t)
  const seen = observe(t, `http://127.0.0.1:${port}`)
  await until(() => orders.subscribers === 1)
  publish(1)
  await until(() => numbersOf(seen).length === 1)
  await app.close()
  const { reason } = await seen.reached('reconnecting')
  t.equal(reason, 'ended')

  const { app: next } = await createApp(t)
  const nextOrders = next.sse.channel('orders', Orders)
  next.get('/', { schema: { events: Orders } }, (_request, reply) => reply.sse(nextOrders))
  await next.listen({ port, host: '127.0.0.1' })
  seen.stream.reconnect()
  await until(() => nextOrders.subscribers === 1)
  nextOrders.publish({ event: 'created', data: { n: 2 } })
  await until(() => numbersOf(seen).length === 2)
  t.match(seen.history.find((line) => line.startsWith('sse.gap')), /^sse\.gap: \{"reason":"epoch"/, 'the log of the first is lost, and that is told')
  t.strictSame(numbersOf(seen), [1, 2])
})

t.test('this plugin: a source that has finished ends the stream, and one that comes back is answered with 204', async (t) => {
  const { app } = await createApp(t)
  let calls = 0
  app.get('/', { schema: { events: Orders } }, (_request, reply) => {
    calls++
    return reply.sse([{ event: 'created', data: { n: 1 }, id: 7 }] as const)
  })
  const { origin } = await listen(app)
  const seen = observe(t, origin)
  t.match(await seen.stream.closed, { reason: 'done', error: undefined })
  t.strictSame(numbersOf(seen), [1])
  t.equal(seen.stream.lastEventId, '7')
  t.match(await connect(origin, { initialLastEventId: 'sse.end' }).closed, { reason: 'done' })
  t.ok(calls <= 2)
})

t.test('this plugin: a source that fails is a fault with its code, after the events before it', async (t) => {
  const { app } = await createApp(t)
  app.get('/', { schema: { events: Orders } }, (_request, reply) => reply.sse(async function * () {
    yield { event: 'created', data: { n: 1 } } as const
    throw new Error('a secret')
  }))
  const { origin } = await listen(app)
  const given: unknown[] = []
  const stream = connect<typeof Orders>(origin)
  const failed = (async () => { for await (const event of stream) given.push(event.data) })()
  await t.rejects(failed, { name: 'StreamError', message: 'Internal Server Error' })
  t.strictSame(given, [{ n: 1 }])
  t.match(stream.state.error, { kind: 'fault', code: 'FST_SSE_SOURCE_FAILED', willRetry: false })
})

t.test('this plugin: an error before the first event is a response with a status', async (t) => {
  const { app } = await createApp(t)
  app.get('/', (_request, reply) => reply.sse(async function * () {
    yield * []
    throw Object.assign(new Error('no such order'), { statusCode: 404 })
  }))
  const { origin } = await listen(app)
  t.match((await connect(origin).closed).error, { kind: 'status', status: 404, body: /no such order/ })
})

t.test('this plugin: its heartbeats keep a quiet stream live', async (t) => {
  const { app } = await createApp(t, { heartbeatMs: 1_000 })
  app.get('/', (_request, reply) => reply.sse().closed)
  const { origin } = await listen(app)
  const seen = observe(t, origin)
  await until(() => seen.comments.includes(''))
  t.strictSame(seen.statuses, ['connecting', 'live'])
  t.equal(seen.comments[0], 'sse-heartbeat: 1000')
})
