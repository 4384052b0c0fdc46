// What applications and servers get wrong must not cost more than the stream that it concerns.
import { getEventListeners } from 'node:events'
import t from 'tap'
import { connect, type StreamError } from '../../lib/client.js'
import { resolve } from '../../lib/client/declared.js'
import { injectSSE } from '../../lib/testing.js'
import { until } from '../support/sources.js'
import { observe, serveRaw, stopTime } from './servers.js'

t.test('an onError that rejects is logged, and no unhandled rejection', async (t) => {
  const logged: unknown[] = []
  const { error } = console
  console.error = (...values: unknown[]) => { logged.push(...values) }
  t.teardown(() => { console.error = error })
  const server = await serveRaw(t, (request) => request.respond(404))
  const failure = new Error('the report failed')
  await connect(server.origin, { onError: async () => { throw failure } }).closed
  await until(() => logged.length > 0)
  t.strictSame(logged, [failure])
})

t.test('the first failure of a stream that was never connected is logged, once, when nothing else tells of it', async (t) => {
  const logged: unknown[] = []
  const { error } = console
  console.error = (...values: unknown[]) => { logged.push(...values) }
  t.teardown(() => { console.error = error })
  const server = await serveRaw(t, (request, { requests }) => requests.length < 3 ? request.respond(503) : request.respond(204))
  await connect(server.origin, { reconnectionTimeMs: 100 }).closed
  t.equal(server.requests.length, 3)
  t.strictSame(logged.map((each) => [(each as StreamError).kind, (each as StreamError).status]), [['status', 503]])
})

t.test('a fault that is no JSON object is final, and its data is the message', async (t) => {
  for (const [data, message] of [['database is down', 'database is down'], ['null', 'null'], ['"x"', '"x"'], ['{"message":"m","code":"c"}', 'm']] as const) {
    const server = await serveRaw(t, (request) => request.open(`event: sse.fault\ndata: ${data}\n\n`))
    const { error } = await observe(t, server.origin).stream.closed
    t.match(error, { kind: 'fault', message, willRetry: false }, data)
    t.equal(server.requests.length, 1)
  }
})

t.test('a reconnection time that is no number is the shortest one', async (t) => {
  const clock = stopTime(t)
  const server = await serveRaw(t, (request) => request.respond(503))
  const { stream, states } = observe(t, server.origin, { reconnectionTimeMs: Number(undefined) })
  await until(() => states.some(({ status }) => status === 'reconnecting'))
  const { delayMs } = stream.state
  t.ok(delayMs! >= 100 && delayMs! <= 125, String(delayMs))
  stream.close()
  clock.uninstall()
})

t.test('a comment of the application after the opening says nothing of the stream', async (t) => {
  const clock = stopTime(t)
  const server = await serveRaw(t, (request) => request.open(
    ': sse-heartbeat: 15000\n\nretry: 1000\n\n', ': sse-heartbeat: 1\n: sse-text: tick\n\n', 'event: tick\ndata: 42\n\n'))
  const data: unknown[] = []
  const { stream } = observe(t, server.origin, { validate: (event) => { data.push(event.data); return undefined } })
  await until(() => data.length > 0)
  clock.tick(20_000)
  t.equal(stream.status, 'live')
  t.strictSame(data, [42])
  stream.close()
})

t.test('what connect refuses leaves no stream behind', async (t) => {
  const server = await serveRaw(t, (request) => request.open())
  t.throws(() => connect(server.origin, { signal: new AbortController() as never }), TypeError)
  for (const [target, name] of [['/clock', '/clock'], ['localhost:3000/clock', 'localhost:3000/clock'], ['', ''], [3, '3'], [undefined, 'undefined'], [{ events: {} }, '[object Object]']] as const) {
    t.throws(() => connect(target as unknown as string), { name: 'TypeError', message: `${name} is no absolute URL` })
  }
  const { signal } = new AbortController()
  t.throws(() => connect('/clock', { signal }), TypeError)
  t.equal(getEventListeners(signal, 'abort').length, 0)
  const { closed } = connect(`${server.origin}/last`, { signal, onStatus: (status) => { if (status === 'live') server.requests[0]!.end() }, shouldRetry: () => false })
  await closed
  t.strictSame(server.requests.map(({ url }) => url), ['/last'])
  t.equal(getEventListeners(signal, 'abort').length, 0)
})

t.test('parameters go into the path, and only when there are some', async (t) => {
  const cases: Array<[url: string, options: { params?: Record<string, unknown>, query?: object }, resolved: string]> = [
    ['/x#top', { query: { a: 1 } }, '/x?a=1'],
    ['/x?pattern=*', { query: { a: 1 } }, '/x?pattern=*&a=1'],
    ['/t/12:30', { query: {} }, '/t/12:30'],
    ['/:id?since=12:30&u=a::b', { params: { id: 7 } }, '/7?since=12:30&u=a::b'],
    ['/in/:zone(^(utc|cet)$)/x', { params: { zone: 'utc' } }, '/in/utc/x'],
    ['/x/:id(^(?:a|b)$)?', { params: {} }, '/x'],
    ['http://127.0.0.1:80/:id', { params: { id: 'a/b' } }, 'http://127.0.0.1:80/a%2Fb']
  ]
  for (const [url, options, resolved] of cases) t.equal(resolve(url, options)[0], resolved, url)
  t.throws(() => resolve('/:constructor', { params: {} }), { message: /constructor/ })
})

t.test('a base URL may end with slashes, and have a query', async (t) => {
  const declared = { method: 'GET', path: '/a/:id', events: { schemas: {} } }
  for (const [baseUrl, resolved] of [['http://h//', 'http://h/a/x'], ['http://h/v1?token=1', 'http://h/v1/a/x?token=1'], ['http://h/#top', 'http://h/a/x'], ['', '/a/x']] as const) {
    t.equal(resolve(declared, { baseUrl, params: { id: 'x' } })[0], resolved)
  }
})

t.test('injectSSE refuses what is no application, and leaves no clock running', async (t) => {
  for (const app of [undefined, Promise.resolve({}), {}]) await t.rejects(injectSSE(app as never, '/'), { message: /needs a Fastify application.*await it/ })
  await t.rejects(injectSSE({ inject () { throw new Error('broken') } }, { url: '/' }), { message: 'broken' })
  t.notOk(process.getActiveResourcesInfo().includes('Timeout'))
})
