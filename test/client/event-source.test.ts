// Where `fetch` does not stream, the platform's EventSource serves: in Node that of undici, and at the end the real one of Chromium.
import { fileURLToPath } from 'node:url'
import { Type } from '@sinclair/typebox'
import { buildSync } from 'esbuild'
import { EventSource as OtherEventSource } from 'eventsource'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { EventSource } from 'undici'
import { connect, type ConnectOptions, type StreamError, type StreamState } from '../../lib/client.js'
import { defineStream, text } from '../../lib/events.js'
import { createApp, listen } from '../support/app.js'
import { launchChromium } from '../support/browser.js'
import { deferred, forever, until } from '../support/sources.js'

// A browser takes its time when others use the machine too. The comment is how tap's runner is told.
t.setTimeout(120_000)
t.comment('timeout=120000')

/** What the client looks at is whether responses have a body at all. */
Object.assign(globalThis, { Response: class {}, EventSource })

const Clock = defineStream({ path: '/clock', events: { tick: Type.Integer(), note: text(), message: Type.String() } })

type Source = (request: FastifyRequest, reply: FastifyReply, attempt: number) => unknown

interface Serving {
  app: FastifyInstance
  origin: string
  /** The `Last-Event-ID` of each request, or what its query had instead; null when there was none. */
  asked: Array<string | null>
  requests: FastifyRequest[]
}

/** A server whose `/clock` answers each request by `source`, which is told how many there have been. */
async function serve (t: Test, source: Source): Promise<Serving> {
  const { app } = await createApp(t, { reconnectionTimeMs: 100 })
  const requests: FastifyRequest[] = []
  app.addHook('onRequest', async (request, reply) => {
    reply.headers({ 'access-control-allow-origin': request.headers.origin ?? '*', 'access-control-allow-credentials': 'true' })
  })
  app.get('/', async (_request, reply) => reply.type('text/html').send('<!doctype html><link rel="icon" href="data:,">'))
  app.get(Clock.path, { schema: Clock.schema }, (request, reply) => {
    requests.push(request)
    return source(request, reply, requests.length) as never
  })
  app.get('/ended', async (_request, reply) => reply.code(204).send())
  const { origin } = await listen(app)
  return {
    app,
    origin,
    requests,
    get asked () {
      return requests.map(({ headers, query }) => headers['last-event-id'] as string ?? (query as { lastEventId?: string }).lastEventId ?? null)
    }
  }
}

/** Sends a tick, and then nothing more until the client has left. */
const tickAndWait: Source = (_request, reply) => reply.sse(async function * ({ signal }) {
  yield { event: 'tick', data: 1, id: 'a' }
  await forever(signal)
})

const breakOff = (request: FastifyRequest): void => { request.raw.socket.resetAndDestroy() }

/** Each state as `status reason`. */
function recordStates (): { states: string[], onStatus: (status: string, state: StreamState) => void } {
  const states: string[] = []
  return { states, onStatus: (status, { reason }) => { states.push(reason === undefined ? status : `${status} ${reason}`) } }
}

t.test('what cannot be asked for by an EventSource ends the stream, and the error says what stands in the way and what helps', async (t) => {
  const { origin, requests } = await serve(t, tickAndWait)
  const helps = "Hand over a fetch that streams, as the option 'fetch'"
  for (const [options, obstacle] of [
    [{ method: 'post' }, 'EventSource cannot send the method POST'],
    [{ body: { a: 1 } }, 'EventSource cannot send the method POST'],
    [{ method: 'GET', body: 'a' }, 'EventSource cannot send a body'],
    [{ headers: { authorization: 'Bearer a' } }, 'EventSource cannot send the header authorization'],
    [{ headers: async () => [['X-A', 'b']] }, 'EventSource cannot send the header x-a'],
    [{ credentials: 'omit' }, 'EventSource cannot leave out cookies (credentials)']
  ] as Array<[ConnectOptions & { data?: 'json' }, string]>) {
    const errors: StreamError[] = []
    const stream = connect(`${origin}/clock`, { ...options, onError: (error) => { errors.push(error) } })
    stream.on('tick', () => {})
    const { status, reason, error } = await stream.closed
    t.strictSame([status, reason, error?.message], ['closed', 'unsupported', `fetch does not stream on this platform, and ${obstacle}. ${helps}`])
    t.strictSame(errors, [error])
  }
  t.equal(requests.length, 0)
})

t.test('headers that are left out, and one that EventSource sends anyhow, do not stand in the way', async (t) => {
  const { origin } = await serve(t, tickAndWait)
  for (const headers of [undefined, {}, async () => undefined, { Accept: 'text/event-stream' }]) {
    for await (const { data } of connect(Clock, { baseUrl: origin, headers })) {
      t.equal(data, 1)
      break
    }
  }
})

t.test('without an EventSource the stream ends, and the error says to hand over a fetch', async (t) => {
  t.teardown(() => Object.assign(globalThis, { EventSource }))
  Object.assign(globalThis, { EventSource: undefined })
  await t.rejects(connect(Clock, { baseUrl: 'http://127.0.0.1:1' })[Symbol.asyncIterator]().next(), {
    name: 'StreamError',
    kind: 'unsupported',
    message: "fetch does not stream on this platform, and there is no EventSource either. Hand over a fetch that streams, as the option 'fetch'"
  })
})

t.test('a fetch that was handed over is used, whatever the platform has', async (t) => {
  const { origin } = await serve(t, tickAndWait)
  let calls = 0
  const fetched = connect(Clock, { baseUrl: origin, fetch: (url, init) => fetch(url, (calls++, init) as RequestInit) })
  for await (const { event, data, id } of fetched) {
    t.strictSame({ event, data, id }, { event: 'tick', data: 1, id: 'a' })
    break
  }
  t.equal(calls, 1)
})

t.test('a stream of a definition can be iterated over: each event with its type, text as text, until the server says that it is over', async (t) => {
  const { origin, requests } = await serve(t, (_request, reply) => reply.sse([
    { event: 'tick', data: 1, id: 'é, 日本' },
    { event: 'note', data: 'not JSON\nat all' },
    { event: 'note', data: '42' },
    { event: 'message', data: 'without a type', id: '' },
    { event: 'tick', data: 2 }
  ] as never))
  const { states, onStatus } = recordStates()
  const stream = connect(Clock, { baseUrl: origin, onStatus })
  const events = []
  for await (const event of stream) events.push(event)
  t.strictSame(events, [
    { event: 'tick', data: 1, id: 'é, 日本' },
    { event: 'note', data: 'not JSON\nat all', id: 'é, 日本' },
    { event: 'note', data: '42', id: 'é, 日本' },
    { event: 'message', data: 'without a type' },
    { event: 'tick', data: 2 }
  ])
  t.strictSame(states, ['connecting', 'live', 'closed done'])
  t.equal(requests.length, 1)
})

t.test('handlers say by themselves which events they are for, with types alone too', async (t) => {
  const { origin } = await serve(t, (_request, reply) => reply.sse([
    { event: 'tick', data: 1, id: 'a' }, { event: 'note', data: '"b"' }, { event: 'message', data: 'c' }
  ] as never))
  const seen: unknown[] = []
  const stream = connect<typeof Clock>(`${origin}/clock`)
  stream.on('tick', (data, { id }) => seen.push(['tick', data, id]))
  // An event whose data is JSON all the same.
  stream.on('note', (data) => seen.push(['note', data]))
  stream.on('message', (data) => seen.push(['message', data]))
  t.match(await stream.closed, { reason: 'done' })
  t.strictSame(seen, [['tick', 1, 'a'], ['note', 'b'], ['message', 'c']])
  t.equal(stream.lastEventId, 'a')
})

t.test('with types alone it connects when there is a handler, and no event is lost before', async (t) => {
  const { origin, requests } = await serve(t, tickAndWait)
  const stream = connect<typeof Clock>(`${origin}/clock`)
  await fetch(origin)
  await fetch(origin)
  t.strictSame([stream.status, requests.length], ['connecting', 0])
  const { promise, resolve } = deferred<number>()
  stream.on('tick', resolve)
  t.equal(await promise, 1)
  stream.close()
})

t.test('a handler that is added later gets what comes from then on', async (t) => {
  const { promise: isAdded, resolve: add } = deferred()
  const { origin } = await serve(t, (_request, reply) => reply.sse(async function * () {
    yield { event: 'tick', data: 1 }
    await isAdded
    yield { event: 'message', data: 'b' }
  }))
  const seen: unknown[] = []
  const stream = connect<typeof Clock>(`${origin}/clock`)
  stream.on('tick', (data) => {
    seen.push(data)
    stream.on('message', (data) => seen.push(data))
    add()
  })
  await stream.closed
  t.strictSame(seen, [1, 'b'])
})

t.test('with types alone an iteration is refused, and so is a handler for all other events: they would go without events silently', async (t) => {
  const { origin, requests } = await serve(t, tickAndWait)
  const message = (what: string): string => `fetch does not stream on this platform, and EventSource has to be told each event type, which ${what} does not. ` +
    "Connect with a stream made with defineStream, add a handler for each event type with on(), or hand over a fetch that streams, as the option 'fetch'"
  await t.rejects(connect(`${origin}/clock`)[Symbol.asyncIterator]().next(), { kind: 'unsupported', message: message('an iteration') })
  const stream = connect(`${origin}/clock`, { onError: () => {} })
  stream.on('sse.unknown', () => {})
  t.equal((await stream.closed).error?.message, message('sse.unknown'))
  t.equal(requests.length, 0)
})

t.test('a connection that is lost comes back by itself, and goes on after the last event', async (t) => {
  const serving = await serve(t, (request, reply, attempt) => reply.sse(async function * () {
    yield { event: 'tick', data: attempt, id: `n${attempt}` }
    if (attempt === 3) return
    await until(() => ticks.length === attempt)
    breakOff(request)
  }))
  const ticks: number[] = []
  const errors: unknown[] = []
  const { states, onStatus } = recordStates()
  const stream = connect(Clock, { baseUrl: serving.origin, onStatus, onError: ({ kind, willRetry, delayMs }) => { errors.push([kind, willRetry, delayMs]) } })
  stream.on('tick', (n) => ticks.push(n))
  await stream.closed
  t.strictSame(ticks, [1, 2, 3])
  t.strictSame(serving.asked, [null, 'n1', 'n2'])
  // When it comes back, the EventSource knows, and does not tell.
  t.strictSame(errors, [['network', true, undefined], ['network', true, undefined]])
  t.strictSame(states, ['connecting', 'live', 'reconnecting network', 'live', 'reconnecting network', 'live', 'closed done'])
})

t.test('a server that refuses for a moment is asked again, and told where to go on', async (t) => {
  const serving = await serve(t, (request, reply, attempt) => {
    if (attempt === 2) return reply.code(503).send({})
    if (attempt === 3) return reply.type('text/html').send('no stream')
    return reply.sse(async function * () {
      yield { event: 'tick', data: attempt, id: `é&${attempt}` }
      if (attempt === 4) return
      await until(() => ticks.length === 1)
      breakOff(request)
    })
  })
  const ticks: number[] = []
  const errors: StreamError[] = []
  const stream = connect(Clock, { baseUrl: serving.origin, query: { zone: 'a b' }, reconnectionTimeMs: 100, onError: (error) => { errors.push(error) } })
  stream.on('tick', (n) => ticks.push(n))
  t.match(await stream.closed, { reason: 'done' })
  t.strictSame(ticks, [1, 4])
  t.same(serving.requests.at(-1)!.query, { zone: 'a b', lastEventId: 'é&1' })
  t.strictSame(errors.map(({ kind, status, willRetry }) => [kind, status, willRetry]),
    [['network', undefined, true], ['status', undefined, true], ['status', undefined, true]])
  // At random over a span that doubles: 125 ms after the second failure, 325 ms after the third.
  for (const [index, mostMs] of [[1, 225], [2, 425]] as const) {
    const { delayMs = 0 } = errors[index]!
    t.ok(delayMs >= 100 && delayMs <= mostMs, String(delayMs))
  }
})

t.test('ten refusals in a row end the stream, or as many as shouldRetry allows', async (t) => {
  const { origin, requests } = await serve(t, (_request, reply) => reply.code(404).send({}))
  const stopped = connect(Clock, { baseUrl: origin, reconnectionTimeMs: 100, shouldRetry: (_error, attempt) => attempt < 3, onError: () => {} })
  t.match(await stopped.closed, { status: 'closed', reason: 'status', attempt: 3, error: { willRetry: false, delayMs: undefined } })
  t.equal(requests.length, 3)
  // The waits grow at random.
  const { random } = Math
  t.teardown(() => { Math.random = random })
  Math.random = () => 0
  t.match(await connect(Clock, { baseUrl: origin, reconnectionTimeMs: 100, onError: () => {} }).closed, { status: 'closed', reason: 'status', attempt: 10 })
  t.equal(requests.length, 13)
})

t.test('a URL that a function gives is asked for at every attempt', async (t) => {
  const serving = await serve(t, (request, reply, attempt) => reply.sse(async function * () {
    yield { event: 'tick', data: attempt, id: attempt }
    if (attempt === 2) return
    await until(() => ticks.length === 1)
    breakOff(request)
  }))
  const ticks: number[] = []
  let token = 0
  const stream = connect<typeof Clock.events>(async () => `${serving.origin}/clock?token=${++token}&lastEventId=0#here`, { reconnectionTimeMs: 100, onError: () => {} })
  stream.on('tick', (n) => ticks.push(n))
  await stream.closed
  t.strictSame(serving.requests.map(({ url }) => url), ['/clock?token=1&lastEventId=0', '/clock?token=2&lastEventId=1'])
})

t.test('a function for the URL that fails is called again', async (t) => {
  const { origin } = await serve(t, tickAndWait)
  const errors: unknown[] = []
  let calls = 0
  const stream = connect<typeof Clock.events>(() => {
    if (++calls === 1) throw new Error('no token')
    return `${origin}/clock`
  }, { reconnectionTimeMs: 100, onError: ({ kind, message, willRetry }) => { errors.push([kind, message, willRetry]) } })
  const { promise, resolve } = deferred<number>()
  stream.on('tick', resolve)
  t.equal(await promise, 1)
  stream.close()
  t.strictSame(errors, [['request', 'Error: no token', true]])
})

t.test('where to go on from an earlier connection goes into the URL', async (t) => {
  const serving = await serve(t, (_request, reply) => reply.sse([{ event: 'tick', data: 1 }] as never))
  await connect(Clock, { baseUrl: serving.origin, initialLastEventId: 'a/b ü' }).closed
  t.strictSame(serving.asked, ['a/b ü'])
})

t.test('a fault ends the stream with its code, and a gap is an event', async (t) => {
  const { origin } = await serve(t, (_request, reply) => reply.type('text/event-stream').send(
    'event: sse.gap\ndata: {"reason":"evicted","requested":"a.1","resumedAt":"a.7"}\nid: a.7\n\n' +
    'event: sse.fault\ndata: {"code":"FST_SSE_SOURCE_FAILED","message":"Internal Server Error"}\n\n'))
  const stream = connect(Clock, { baseUrl: origin })
  const events: unknown[] = []
  await t.rejects(async () => {
    for await (const event of stream) events.push(event)
  }, { kind: 'fault', code: 'FST_SSE_SOURCE_FAILED', message: 'Internal Server Error' })
  t.strictSame(events, [{ event: 'sse.gap', data: { reason: 'evicted', requested: 'a.1', resumedAt: 'a.7' }, id: 'a.7' }])
  t.match(stream.state, { status: 'closed', reason: 'fault' })
})

t.test('events that are called as what an EventSource dispatches itself are told apart from it', async (t) => {
  const { origin, requests } = await serve(t, (_request, reply) => reply.type('text/event-stream').send(
    'event: error\ndata: 1\n\nevent: open\ndata: 2\n\nevent: sse.end\ndata: null\n\n'))
  const { states, onStatus } = recordStates()
  const seen: unknown[] = []
  const stream = connect(`${origin}/clock`, { onStatus })
  stream.on('error', (data) => seen.push(data))
  stream.on('open', (data) => seen.push(data))
  await stream.closed
  t.strictSame(seen, [1, 2])
  t.strictSame(states, ['connecting', 'live', 'closed done'])
  t.equal(requests.length, 1)
})

t.test('data that is invalid ends the stream, and nothing more of the chunk is given', async (t) => {
  const { origin } = await serve(t, (_request, reply) => reply.type('text/event-stream').send('event: tick\ndata: {\n\nevent: tick\ndata: 2\n\n'))
  const stream = connect(Clock, { baseUrl: origin, onError: () => {} })
  stream.on('tick', () => t.fail('an event after the end'))
  t.match(await stream.closed, { reason: 'invalid', error: { kind: 'invalid' } })
})

t.test('close() stops at once: in the same turn without a request, and in a handler without the rest of the chunk', async (t) => {
  const { app, origin, requests } = await serve(t, tickAndWait)
  const stream = connect(Clock, { baseUrl: origin })
  stream.on('tick', () => {})
  stream.close()
  t.match(await stream.closed, { reason: 'closed' })
  const controller = new AbortController()
  const seen: number[] = []
  const second = connect(Clock, { baseUrl: origin, signal: controller.signal })
  second.on('tick', (n) => {
    seen.push(n)
    controller.abort()
  })
  await second.closed
  await until(() => app.sse.stats().open === 0)
  t.strictSame([seen, requests.length], [[1], 1])
})

t.test('reconnect() drops the connection, and goes on after the last event', async (t) => {
  const serving = await serve(t, tickAndWait)
  const { states, onStatus } = recordStates()
  const stream = connect(Clock, { baseUrl: serving.origin, onStatus })
  let ticks = 0
  for await (const { event } of stream) {
    t.equal(event, 'tick')
    if (++ticks === 3) break
    stream.reconnect()
  }
  t.strictSame(serving.asked, [null, 'a', 'a'])
  t.strictSame(states, ['connecting', 'live', 'reconnecting manual', 'live', 'reconnecting manual', 'live', 'closed closed'])
  await until(() => serving.app.sse.stats().open === 0)
})

t.test('another EventSource that was put in its place is used', async (t) => {
  t.teardown(() => Object.assign(globalThis, { EventSource }))
  Object.assign(globalThis, { EventSource: OtherEventSource })
  const { origin } = await serve(t, (_request, reply) => reply.sse([{ event: 'tick', data: 1, id: 'a' }, { event: 'note', data: 'b', id: 'c' }] as never))
  const events = []
  for await (const event of connect(Clock, { baseUrl: origin })) events.push(event)
  t.strictSame(events, [{ event: 'tick', data: 1, id: 'a' }, { event: 'note', data: 'b', id: 'c' }])
})

t.test('a connection that is refused is tried again', async (t) => {
  const { app, origin } = await serve(t, tickAndWait)
  await app.close()
  const { states, onStatus } = recordStates()
  // Of a URL that does not change, undici's EventSource would come back by itself, after three seconds.
  const stream = connect(Clock, { baseUrl: () => origin, reconnectionTimeMs: 100, onStatus, onError: () => {}, shouldRetry: (_error, attempt) => attempt < 2 })
  t.match(await stream.closed, { attempt: 2 })
  t.strictSame(states, ['connecting', 'reconnecting network', 'closed network'])
})

t.test('a shouldRetry that fails ends the stream', async (t) => {
  const { origin, requests } = await serve(t, (_request, reply) => reply.code(404).send({}))
  const failure = new Error('no idea')
  for (const shouldRetry of [() => { throw failure }, async () => { throw failure }] as Array<() => never>) {
    t.match(await connect(Clock, { baseUrl: origin, shouldRetry, onError: () => {} }).closed, { reason: 'handler', error: { kind: 'handler', cause: failure, willRetry: false } })
  }
  t.equal(requests.length, 2)
})

t.test('what is closed while its code is being loaded opens nothing', async (t) => {
  const { origin, requests } = await serve(t, tickAndWait)
  const states: string[] = []
  const stream = connect(Clock, {
    baseUrl: origin,
    onStatus (status) {
      states.push(status)
      if (status === 'connecting') stream.close()
    }
  })
  await stream.closed
  t.strictSame(states, ['connecting', 'closed'])
  t.equal(requests.length, 0)
})

// In a browser that has no streams in fetch.

const bundle = buildSync({
  entryPoints: [fileURLToPath(new URL('../../lib/client.ts', import.meta.url))],
  bundle: true,
  write: false,
  format: 'iife',
  globalName: 'client',
  footer: { js: 'globalThis.client = client' },
  target: 'es2022'
}).outputFiles[0]!.text

/** Runs a function in a page of the server whose platform has no `Response.body`. */
async function inOldBrowser (t: Test, origin: string): Promise<Page | null> {
  const browser = await launchChromium(t)
  if (browser === null) return null
  const page = await browser.newPage()
  page.on('pageerror', (error) => t.fail(String(error)))
  await page.addInitScript('delete Response.prototype.body')
  await page.addInitScript(bundle)
  await page.goto(origin)
  return page
}

/** The schemas as they are, without what TypeBox hides in them. */
const sentClock = JSON.stringify(Clock)

t.test('in Chromium a stream of a definition is iterated over by its EventSource, and survives a lost connection and a refusal', async (t) => {
  const serving = await serve(t, (request, reply, attempt) => {
    if (attempt === 2) return reply.code(503).send({})
    return reply.sse(async function * ({ lastEventId }) {
      yield { event: 'tick', data: attempt, id: `é ${attempt}` }
      yield { event: 'note', data: `after ${lastEventId}` }
      if (attempt === 1) {
        await seen('after undefined')
        breakOff(request)
      }
    })
  })
  const page = await inOldBrowser(t, serving.origin)
  if (page === null) return
  const { promise, resolve } = deferred()
  const seen = (data: string): Promise<void> => promise.then(() => { t.equal(data, 'after undefined') })
  await page.exposeFunction('tellTest', resolve)
  const result = await page.evaluate(`(async () => {
    const events = [], states = []
    const stream = client.connect(${sentClock}, { reconnectionTimeMs: 100, onError () {}, onStatus: (status, { reason }) => states.push([status, reason]) })
    for await (const event of stream) {
      events.push(event)
      if (events.length === 2) tellTest()
    }
    return { events, states }
  })()`)
  t.same(result, {
    events: [
      { event: 'tick', data: 1, id: 'é 1' }, { event: 'note', data: 'after undefined', id: 'é 1' },
      { event: 'tick', data: 3, id: 'é 3' }, { event: 'note', data: 'after é 1', id: 'é 3' }
    ],
    states: [['connecting', undefined], ['live', undefined], ['reconnecting', 'network'], ['reconnecting', 'status'], ['live', undefined], ['closed', 'done']]
  })
  t.equal(serving.requests.length, 3)
  t.match(serving.requests[0]!.headers, { accept: 'text/event-stream', 'sec-fetch-dest': 'empty' })
})

t.test('in Chromium handlers say which events they are for, cookies go to another origin when they are to, and close() leaves nothing', async (t) => {
  const { app, origin, requests } = await serve(t, tickAndWait)
  const { origin: pageOrigin } = await serve(t, tickAndWait)
  const page = await inOldBrowser(t, pageOrigin)
  if (page === null) return
  await page.context().addCookies([{ name: 'who', value: 'ada', url: origin, sameSite: 'Lax' }])
  t.strictSame(await page.evaluate(`new Promise((resolve) => {
    const stream = client.connect('${origin}/clock', { credentials: 'include' })
    stream.on('tick', (data, { id }) => {
      stream.close()
      resolve([data, id, stream.state.reason])
    })
  })`), [1, 'a', 'closed'])
  t.equal(requests[0]!.headers.cookie, 'who=ada')
  await until(() => app.sse.stats().open === 0)
  t.strictSame(await page.evaluate(`client.connect('${origin}/clock', { body: {}, onError () {} }).closed.then(({ reason }) => reason)`), 'unsupported')
  t.equal(requests.length, 1)
})
