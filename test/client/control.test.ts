import { Type } from '@sinclair/typebox'
import t, { type Test } from 'tap'
import { connect, StreamError, type ConnectOptions, type EventStream, type Fetch, type ReceivedEvent } from '../../lib/client.js'
import { defineStream } from '../../lib/events.js'
import { defineEvents, text } from '../../lib/index.js'
import { createApp, listen } from '../support/app.js'
import { deferred, until } from '../support/sources.js'
import { observe, serveRaw, settle, type Observed, type RawRequest, type RawServer } from './servers.js'

const SHIPPED = { shipped: Type.Null() }

/** Connects with these arguments to a server that says 204, and gives the request. */
async function requestOf (t: Test, options: ConnectOptions = {}, url: (origin: string) => unknown = (origin) => origin): Promise<RawRequest> {
  const server = await serveRaw(t, (request) => request.respond(204))
  const stream = connect(url(server.origin) as string, options)
  const { error } = await stream.closed
  if (error) throw error
  return server.requests[0]!
}

/** What the server is asked for by the path of a declared stream. */
async function pathOf (t: Test, path: string, options: object = {}, base = ''): Promise<string> {
  const server = await serveRaw(t, (request) => request.respond(204))
  const stream = connect(defineStream({ path, events: SHIPPED }), { ...options, baseUrl: server.origin + base } as never)
  const { error } = await stream.closed
  if (error) throw error
  return server.requests[0]!.url
}

/** A stream that has sent this, and is still open. */
async function opened (t: Test, chunk: string, options: Parameters<typeof observe>[2] = {}): Promise<{ server: RawServer, request: RawRequest, seen: Observed, stream: Observed['stream'], history: string[] }> {
  const server = await serveRaw(t, (request) => request.open(chunk))
  const seen = observe(t, server.origin, options)
  await until(() => server.requests.length > 0)
  return { server, request: server.requests[0]!, seen, stream: seen.stream, history: seen.history }
}

t.test('headers, url and body are values, or functions that are called for every attempt', async (t) => {
  const server = await serveRaw(t, (request, { requests }) => requests.length < 3 ? request.respond(503) : request.respond(204))
  let attempt = 0
  const seen: Observed = observe(t, async () => `${server.origin}/${++attempt}`, {
    headers: async () => ({ authorization: `token ${attempt}` }),
    body: () => ({ attempt }),
    shouldRetry: () => true,
    onStatus: (_status, { reason }) => { if (reason === 'status') queueMicrotask(() => seen.stream.reconnect()) }
  })
  await seen.stream.closed
  t.strictSame(server.requests.map(({ method, url, headers, body }) => [method, url, headers['authorization'], String(body)]), [
    ['POST', '/1', 'token 1', '{"attempt":1}'], ['POST', '/2', 'token 2', '{"attempt":2}'], ['POST', '/3', 'token 3', '{"attempt":3}']
  ])
})

t.test('headers are given as fetch takes them, and replace those of the client', async (t) => {
  const given: Array<ConnectOptions['headers']> = [{ a: '1', Accept: '*/*' }, [['a', '1'], ['accept', '*/*']], new Headers({ a: '1', accept: '*/*' }), new Map([['a', '1'], ['accept', '*/*']]), async () => ({ a: '1', accept: '*/*' })]
  for (const headers of given) {
    const request = await requestOf(t, { headers })
    t.equal(request.headers['a'], '1')
    t.equal(request.headers['accept'], '*/*')
  }
  const none = await requestOf(t, { headers: () => undefined })
  t.match([none.method, none.headers], ['GET', { accept: 'text/event-stream', 'cache-control': 'no-cache' }])
  t.equal(none.headers['content-type'], undefined)
})

t.test('headers, url and body that fail are an error of kind request, and are tried again', async (t) => {
  const cause = new Error('no token')
  const fail = (): never => { throw cause }
  const failing: Array<[url: unknown, options: ConnectOptions]> = [
    ['http://a.test', { headers: fail }], ['http://a.test', { headers: async () => fail() }],
    ['http://a.test', { body: fail }], [fail, {}], [async () => fail(), { headers: fail, body: async () => fail() }]
  ]
  for (const [url, options] of failing) {
    const seen = observe(t, url as string, options)
    t.match(await seen.reached('reconnecting'), { reason: 'request', error: { kind: 'request', willRetry: true } })
    t.equal(seen.errors[0]?.cause, cause)
    seen.stream.close()
  }
  await settle()
})

t.test('a body is sent as what it is, and what is none of the kinds of fetch as JSON', async (t) => {
  const form = new FormData()
  form.set('a', 'größe')
  const bytes = Buffer.from('{"a":1}')
  class Point { x = 1; toString (): string { return '1' } }
  const bodies: Array<[name: string, body: unknown, type: string | RegExp | undefined, sent: string | RegExp]> = [
    ['an object', { a: 'größe' }, 'application/json', '{"a":"größe"}'],
    ['an array', [1, null], 'application/json', '[1,null]'],
    ['a number', 42, 'application/json', '42'],
    ['true', true, 'application/json', 'true'],
    ['null', null, 'application/json', 'null'],
    ['a date', new Date(0), 'application/json', '"1970-01-01T00:00:00.000Z"'],
    ['an object of a class', new Point(), 'application/json', '{"x":1}'],
    ['an object without a prototype', Object.assign(Object.create(null), { a: 1 }), 'application/json', '{"a":1}'],
    ['a string', 'größe', 'text/plain;charset=UTF-8', 'größe'],
    ['an empty string', '', 'text/plain;charset=UTF-8', ''],
    ['URLSearchParams', new URLSearchParams({ a: 'größe' }), 'application/x-www-form-urlencoded;charset=UTF-8', 'a=gr%C3%B6%C3%9Fe'],
    ['FormData', form, /^multipart\/form-data; boundary=/, /name="a"\r\n\r\ngröße\r\n/],
    ['a Uint8Array', new Uint8Array(bytes), undefined, '{"a":1}'],
    ['an ArrayBuffer', new Uint8Array(bytes).buffer, undefined, '{"a":1}'],
    ['a Blob', new Blob(['größe'], { type: 'a/b' }), 'a/b', 'größe'],
    ['a stream', new Blob(['größe']).stream(), undefined, 'größe']
  ]
  for (const [name, body, type, sent] of bodies) {
    for (const given of name === 'a stream' ? [body] : [body, () => body, async () => body]) {
      const request = await requestOf(t, { body: given })
      t.equal(request.method, 'POST', name)
      t.match(request.headers['content-type'], type, name)
      t.match(String(request.body), sent, name)
      if (typeof sent === 'string') t.equal(String(request.body), sent, name)
    }
  }
})

t.test('a content type that is given stays, and so does the method', async (t) => {
  const request = await requestOf(t, { method: 'put', body: { a: 1 }, headers: { 'content-type': 'application/vnd.a+json' } })
  t.strictSame([request.method, request.headers['content-type'], String(request.body)], ['PUT', 'application/vnd.a+json', '{"a":1}'])
})

t.test('a declared body is JSON, text too', async (t) => {
  const server = await serveRaw(t, (request) => request.respond(204))
  const Ask = defineStream({ path: '/ask', body: Type.String(), events: SHIPPED })
  await connect(Ask, { baseUrl: server.origin, body: 'why?' }).closed
  const [request] = server.requests
  t.strictSame([request!.method, request!.url, request!.headers['content-type'], String(request!.body)], ['POST', '/ask', 'application/json', '"why?"'])
})

t.test('the parameters of a path are put into it, so that the server reads each as it was given', async (t) => {
  const paths: Array<[path: string, params: Record<string, unknown>, expected: string]> = [
    ['/a/:id', { id: 7 }, '/a/7'],
    ['/a/:id', { id: 0 }, '/a/0'],
    ['/a/:id/b', { id: 'x/y' }, '/a/x%2Fy/b'],
    ['/a/:id', { id: 'größe 😀?#%' }, '/a/gr%C3%B6%C3%9Fe%20%F0%9F%98%80%3F%23%25'],
    ['/a/:id', { id: '...' }, '/a/...'],
    ['/a/:id', { id: '.b' }, '/a/.b'],
    ['/a/:id', { id: '%2e%2e' }, '/a/%252e%252e'],
    ['/a/:id(\\d+)/b', { id: 7 }, '/a/7/b'],
    ['/a/:id(^\\d+$).json', { id: 7 }, '/a/7.json'],
    ['/a/:from-:to', { from: 1, to: 2 }, '/a/1-2'],
    ['/a/:file.:ext', { file: 'x', ext: 'png' }, '/a/x.png'],
    ['/a/:b/:b_2', { b: 1, b_2: 2 }, '/a/1/2'],
    ['/a/:id?', {}, '/a'],
    ['/a/:id?', { id: undefined }, '/a'],
    ['/a/:id?', { id: 'b' }, '/a/b'],
    ['/a/*', { '*': 'b/c d' }, '/a/b/c%20d'],
    ['/a/*', { '*': '' }, '/a/'],
    ['/a::b/:id', { id: 1 }, '/a:b/1'],
    ['/a/:id', { id: '$&$1' }, '/a/%24%26%241'],
    ['/a/:id', { id: ':b' }, '/a/%3Ab']
  ]
  for (const [path, params, expected] of paths) t.equal(await pathOf(t, path, { params }), expected, `${path} ${JSON.stringify(params)}`)
})

t.test('what the server is asked for is what its router reads', async (t) => {
  const { app } = await createApp(t)
  const seen: unknown[] = []
  const paths: Array<[path: string, params: Record<string, string>]> = [
    ['/one/:id', { id: 'größe / 😀?#%2F..' }], ['/digits/:id(^\\d+$)', { id: '7' }], ['/wild/*', { '*': 'b/c d/ü' }],
    ['/double::colon/:id', { id: 'x' }], ['/range/:from-:to', { from: '1', to: '2' }], ['/optional/:id?', { id: 'z' }],
    ['/word/:größe', { größe: 'ü' }], ['/dollar/:$id', { $id: '7' }], ['/at/:user@host', { 'user@host': 'x' }], ['/slash/:id?/', { id: '7' }], ['/none/:id?/', {}]
  ]
  for (const [path] of paths) app.get(path, (request, reply) => { seen.push(request.params); return reply.code(204).send() })
  const { origin } = await listen(app)
  for (const [path, params] of paths) {
    t.match(await connect(defineStream({ path, events: SHIPPED }), { baseUrl: origin, params } as never).closed, { reason: 'done' }, path)
  }
  t.strictSame(seen.map((params) => ({ ...params as object })), paths.map(([, params]) => params))
})

t.test('a parameter that is missing, or that would mean another path, is an error, and nothing is requested', async (t) => {
  const server = await serveRaw(t, (request) => request.respond(204))
  const wrong: Array<[path: string, params: Record<string, unknown>]> = [
    ['/a/:id', {}], ['/a/:id', { id: '' }], ['/a/:id', { id: null }], ['/a/:id', { id: '.' }], ['/a/:id', { id: '..' }], ['/a/*', { '*': 'b/../c' }], ['/a/*', { '*': '..' }]
  ]
  for (const [path, params] of wrong) {
    let error: unknown
    try {
      error = (await connect(defineStream({ path, events: SHIPPED }), { baseUrl: server.origin, params } as never).closed).error
    } catch (thrown) {
      error = thrown
    }
    t.match(String(error), /(id|\*)/, `${path} ${JSON.stringify(params)}`)
  }
  t.equal(server.requests.length, 0)
})

t.test('the base of a declared stream is an origin, a prefix, a URL, or a function', async (t) => {
  t.equal(await pathOf(t, '/a', {}, '/api'), '/api/a')
  t.equal(await pathOf(t, '/a', {}, '/api/'), '/api/a')
  t.equal(await pathOf(t, '/:id', { params: { id: 1 } }, '/:id/*'), '/:id/*/1', 'it is no pattern')
  const server = await serveRaw(t, (request) => request.respond(204))
  const A = defineStream({ path: '/a', events: SHIPPED })
  for (const baseUrl of [new URL(server.origin), () => server.origin, async () => new URL(`${server.origin}/`)]) await connect(A, { baseUrl }).closed
  t.strictSame(server.requests.map(({ url }) => url), ['/a', '/a', '/a'])
  t.match(await connect(A).closed, { status: 'closed', error: { cause: TypeError } }, 'and needed where there is no page')
})

t.test('params and query go with a URL too', async (t) => {
  const request = await requestOf(t, { params: { id: 'x/y' }, query: { b: 1 } }, (origin) => `${origin}/a/:id`)
  t.equal(request.url, '/a/x%2Fy?b=1')
  const lazy = await requestOf(t, { params: { id: 7 } }, (origin) => async () => new URL(`${origin}/a/:id`))
  t.equal(lazy.url, '/a/7')
})

t.test('the query goes after the question mark: arrays element by element, and nothing for undefined and null', async (t) => {
  const queries: Array<[base: string, query: ConnectOptions['query'], expected: string]> = [
    ['', {}, '/'],
    ['', { a: 1, b: true, c: 'x y&z=ü', d: 10n }, '/?a=1&b=true&c=x+y%26z%3D%C3%BC&d=10'],
    ['', { a: [1, 'b', null, undefined], b: undefined, c: null, d: [] }, '/?a=1&a=b'],
    ['', { a: '' }, '/?a='],
    ['/?z=1', { a: 1 }, '/?z=1&a=1']
  ]
  for (const [base, query, expected] of queries) t.equal((await requestOf(t, { query }, (origin) => origin + base)).url, expected)
})

t.test('a relative URL needs a page', async (t) => {
  t.throws(() => connect('/clock'), TypeError)
})

t.test('fetch gets what it needs to know, and nothing of it is shared between attempts', async (t) => {
  const inits: Array<Record<string, any>> = []
  const urls: string[] = []
  const fake: Fetch = async (url, init) => {
    urls.push(url)
    inits.push(init)
    return new Response(null, { status: inits.length < 2 ? 503 : 204 })
  }
  const seen: Observed = observe(t, '/relative', {
    fetch: fake, credentials: 'include', onStatus: (_status, { reason }) => { if (reason === 'status') queueMicrotask(() => seen.stream.reconnect()) }
  })
  await seen.stream.closed
  t.strictSame(urls, ['/relative', '/relative'])
  t.match(inits, [{ method: 'GET', credentials: 'include', cache: 'no-store' }, { method: 'GET', credentials: 'include', cache: 'no-store' }])
  t.not(inits[0]!['signal'], inits[1]!['signal'])
})

t.test('data is JSON, or text when the option says so', async (t) => {
  const chunk = 'data: {"a":\ndata: [1]}\n\ndata: 42\n\ndata: "x"\n\ndata: null\n\n'
  const json = await opened(t, chunk)
  await until(() => json.history.includes('message: null'))
  t.strictSame(json.history.slice(2), ['message: {"a":[1]}', 'message: 42', 'message: "x"', 'message: null'])

  const asText = await opened(t, chunk + 'data: [DONE]\n\n', { data: 'text' })
  await until(() => asText.history.includes('message: "[DONE]"'))
  t.strictSame(asText.history.slice(2), ['message: "{\\"a\\":\\n[1]}"', 'message: "42"', 'message: "\\"x\\""', 'message: "null"', 'message: "[DONE]"'])
})

t.test('events that our server has declared as text are text', async (t) => {
  const Mixed = defineEvents({ n: Type.Integer(), token: text(), 'a,b: ü': text() })
  const { app } = await createApp(t)
  app.get('/', { schema: { events: Mixed } }, (_request, reply) => reply.sse([
    { event: 'n', data: 42 }, { event: 'token', data: '42' }, { event: 'a,b: ü', data: '{"x":1}' }, { event: 'token', data: 'a\n\nb' }
  ] as const))
  const { origin } = await listen(app)
  const given: unknown[] = []
  for await (const event of connect<typeof Mixed>(origin)) given.push([event.event, event.data])
  t.strictSame(given, [['n', 42], ['token', '42'], ['a,b: ü', '{"x":1}'], ['token', 'a\n\nb']])
})

t.test('data that is not JSON, or that validate refuses, ends the stream', async (t) => {
  const refuse = (event: { data: unknown }): string | undefined => event.data === 2 ? 'no twos' : undefined
  for (const [data, validate, message] of [['{', undefined, /^Event message is invalid: SyntaxError.*Its data: \{$/], ['2', refuse, 'Event message is invalid: no twos. Its data: 2']] as const) {
    const { stream, history, server } = await opened(t, `id: 1\ndata: 1\n\nid: 2\ndata: ${data}\n\nid: 3\ndata: 3\n\n`, { validate })
    t.match(await stream.closed, { reason: 'invalid', error: { kind: 'invalid', message, willRetry: false } })
    t.strictSame(history, ['connecting', 'live', 'message: 1 (1)', 'error: invalid', 'closed: invalid'])
    await server.requests[0]!.closed
  }
})

t.test('skip leaves such an event out, and so does a function, which is told', async (t) => {
  const chunk = 'id: 1\ndata: 1\n\nid: 2\nevent: a\ndata: {\n\nid: 3\ndata: 3\n\nid: 4\ndata: {\n\n'
  const skipped = await opened(t, chunk, { invalid: 'skip' })
  await until(() => skipped.stream.lastEventId === '4')
  t.strictSame(skipped.history, ['connecting', 'live', 'message: 1 (1)', 'message: 3 (3)'])

  const told: unknown[] = []
  const reported = await opened(t, chunk, { invalid: (error, raw) => told.push([error.kind, error instanceof StreamError, raw]) })
  await until(() => told.length === 2)
  t.strictSame(told, [['invalid', true, { event: 'a', data: '{', id: '2' }], ['invalid', true, { event: 'message', data: '{', id: '4' }]])
  t.strictSame(reported.history, ['connecting', 'live', 'message: 1 (1)', 'message: 3 (3)'])
})

t.test('a validate that throws has refused the event', async (t) => {
  const { stream } = await opened(t, 'data: 1\n\n', { validate: () => { throw new Error('what is this?') } })
  t.match((await stream.closed).error, { kind: 'invalid', message: /what is this\?/ })
})

t.test('a handler that throws, or rejects, is reported, and the stream goes on', async (t) => {
  const thrown = new Error('thrown')
  const rejected = new Error('rejected')
  const { stream, history, seen } = await opened(t, 'data: 1\n\ndata: 2\n\n')
  stream.on('message', () => { throw thrown })
  stream.on('message', async () => { throw rejected })
  stream.on('message', (data) => history.push(`third: ${data}`))
  await until(() => seen.errors.length === 4)
  t.strictSame(seen.errors.map(({ kind, cause, willRetry }) => [kind, cause, willRetry]), [
    ['handler', thrown, false], ['handler', thrown, false], ['handler', rejected, false], ['handler', rejected, false]
  ])
  t.strictSame(history.filter((line) => line.startsWith('third')), ['third: 1', 'third: 2'])
  t.equal(stream.status, 'live')
})

t.test('so are all other callbacks', async (t) => {
  const causes = ['onStatus', 'onComment', 'invalid'].map((name) => new Error(name))
  const server = await serveRaw(t, (request) => request.open(': a\n\ndata: {\n\ndata: 1\n\n'))
  const errors: StreamError[] = []
  const stream = connect<unknown>(server.origin, {
    onStatus: () => { throw causes[0] },
    onComment: () => { throw causes[1] },
    invalid: () => { throw causes[2] },
    onError: (error) => errors.push(error)
  })
  t.teardown(() => stream.close())
  const given = deferred<unknown>()
  stream.on('message', given.resolve)
  t.equal(await given.promise, 1)
  t.strictSame(errors.map(({ kind, cause }) => [kind, cause]), [causes[0], causes[0], causes[1], causes[2]].map((cause) => ['handler', cause]))
})

t.test('without onError, what nothing else tells of is logged', async (t) => {
  const { error: log } = console
  const logged: unknown[] = []
  console.error = (...args: unknown[]) => { logged.push(...args) }
  t.teardown(() => { console.error = log })
  const refusing = await serveRaw(t, (request) => request.respond(404))
  const sending = await serveRaw(t, (request) => request.open('data: 1\n\n'))

  const handled = connect<unknown>(refusing.origin)
  handled.on('message', () => {})
  await handled.closed
  t.match(logged.splice(0), [{ kind: 'status', status: 404 }], 'the end of a stream with handlers')

  const iterated = connect<unknown>(refusing.origin)
  await t.rejects(iterated[Symbol.asyncIterator]().next(), { name: 'StreamError', message: /^404 / })
  t.strictSame(logged, [], 'an iteration throws it')

  const throwing = connect<unknown>(sending.origin)
  throwing.on('message', () => { throw new Error('thrown') })
  await until(() => logged.length > 0)
  t.match(logged.splice(0), [{ kind: 'handler', cause: { message: 'thrown' } }])
  throwing.close()

  const failing = connect<unknown>(sending.origin, { onError: () => { throw new Error('onError') } })
  failing.on('message', () => { throw new Error('thrown') })
  await until(() => logged.length > 0)
  t.match(logged.splice(0), [{ message: 'onError' }], 'an onError that throws')
  failing.close()
})

t.test('a handler that was removed is not called, nor one that the handler before it removes', async (t) => {
  const { stream, history, request } = await opened(t, '', { handle: false })
  const removeFirst = stream.on('message', (data) => {
    history.push(`first: ${data}`)
    removeSecond()
    removeFirst()
    stream.on('message', (data) => history.push(`late: ${data}`))
  })
  const removeSecond = stream.on('message', () => t.fail('removed'))
  stream.on('message', (data) => history.push(`third: ${data}`))
  request.chunks('data: 1\n\ndata: 2\n\n')
  await until(() => history.includes('late: 2'))
  t.strictSame(history, ['connecting', 'live', 'first: 1', 'third: 1', 'third: 2', 'late: 2'])
  removeFirst()
  removeSecond()
})

t.test('sse.unknown gets the events that have no handler, and no others', async (t) => {
  const { stream, history, request } = await opened(t, '', { handle: false })
  const remove = stream.on('a', (data) => history.push(`a: ${data}`))
  stream.on('sse.unknown', (data, { event }) => history.push(`unknown ${event}: ${data}`))
  request.chunks('event: a\ndata: 1\n\nevent: b\ndata: 2\n\ndata: 3\n\nevent: sse.gap\ndata: 4\n\n')
  await until(() => history.includes('unknown sse.gap: 4'))
  remove()
  request.chunks('event: a\ndata: 5\n\n')
  await until(() => history.includes('unknown a: 5'))
  t.strictSame(history.slice(2), ['a: 1', 'unknown b: 2', 'unknown message: 3', 'unknown sse.gap: 4', 'unknown a: 5'])
})

t.test('names like those of Object.prototype are names like others', async (t) => {
  const { stream, history, request } = await opened(t, '', { handle: false })
  for (const name of ['constructor', '__proto__', 'toString']) stream.on(name, (data) => history.push(`${name}: ${data}`))
  request.chunks('event: constructor\ndata: 1\n\nevent: __proto__\ndata: 2\n\nevent: valueOf\ndata: 3\n\nevent: toString\ndata: 4\n\n')
  await until(() => history.includes('toString: 4'))
  t.strictSame(history.slice(2), ['constructor: 1', '__proto__: 2', 'toString: 4'])
})

t.test('events before the first handler are kept for all handlers that are added in its turn', async (t) => {
  const { stream, history, seen } = await opened(t, 'id: 1\ndata: 1\n\ndata: 2\n\n: read\n\n', { handle: false })
  await until(() => seen.comments.length === 1)
  t.equal(stream.lastEventId, '', 'not yet given')
  stream.on('message', (data) => history.push(`a: ${data}`))
  stream.on('message', (data) => history.push(`b: ${data}`))
  await until(() => history.includes('b: 2'))
  t.strictSame(history.slice(3), ['a: 1', 'b: 1', 'a: 2', 'b: 2'])
  t.equal(stream.lastEventId, '1')
})

t.test('an iteration gives the events, and ends with the stream', async (t) => {
  const { stream } = await opened(t, 'id: 1\ndata: 1\n\nevent: a\ndata: 2\n\nid\ndata: 3\n\nevent: sse.gap\ndata: {"reason":"expired"}\n\nevent: sse.end\ndata: null\n\n', { handle: false })
  const events: unknown[] = []
  for await (const event of stream) events.push(event)
  t.strictSame(events, [
    { event: 'message', data: 1, id: '1' }, { event: 'a', data: 2, id: '1' }, { event: 'message', data: 3 }, { event: 'sse.gap', data: { reason: 'expired' } }
  ])
  t.equal(stream.state.reason, 'done')
})

t.test('an error that ends the stream is thrown by the iteration after the events before it, once', async (t) => {
  const { stream, seen } = await opened(t, 'data: 1\n\ndata: 2\n\nevent: sse.fault\ndata: {"message":"it broke"}\n\n', { handle: false })
  await stream.closed
  const iterator = stream[Symbol.asyncIterator]()
  t.strictSame([(await iterator.next()).value?.data, (await iterator.next()).value?.data], [1, 2])
  await t.rejects(iterator.next(), { name: 'StreamError', message: 'it broke' })
  t.strictSame(await iterator.next(), { done: true, value: undefined })
  t.strictSame(await stream[Symbol.asyncIterator]().next(), { done: true, value: undefined })
  t.strictSame(seen.errors.map(({ kind }) => kind), ['fault'])
})

t.test('an iteration goes over reconnects', async (t) => {
  const server = await serveRaw(t, (request, { requests }) => {
    request.open(`id: ${requests.length}\ndata: ${requests.length}\n\n`)
    request.end()
  })
  const seen: Observed = observe(t, server.origin, { handle: false, onStatus: (_status, { reason }) => { if (reason === 'ended') queueMicrotask(() => seen.stream.reconnect()) } })
  const given: unknown[] = []
  for await (const { data } of seen.stream) if (given.push(data) === 5) break
  t.strictSame(given, [1, 2, 3, 4, 5])
  t.strictSame(server.requests.slice(0, 5).map(({ lastEventId }) => lastEventId), [undefined, '1', '2', '3', '4'])
})

t.test('next() may be called before the last one is done: each gets its own event, in order', async (t) => {
  const { stream, request } = await opened(t, '', { handle: false })
  const iterator = stream[Symbol.asyncIterator]()
  const results = [iterator.next(), iterator.next(), iterator.next(), iterator.next()]
  request.chunks('data: 1\n\n', 'data: 2\n\ndata: 3\n\n')
  request.chunks('event: sse.fault\ndata: {"message":"it broke"}\n\n')
  t.strictSame((await Promise.all(results.slice(0, 3))).map(({ value }) => value?.data), [1, 2, 3])
  await t.rejects(results[3]!, { name: 'StreamError', message: 'it broke' })
})

t.test('there is one iteration at a time', async (t) => {
  const { stream, request } = await opened(t, 'data: 1\n\n', { handle: false })
  const iterator = stream[Symbol.asyncIterator]()
  t.throws(() => stream[Symbol.asyncIterator](), TypeError)
  t.equal((await iterator.next()).value?.data, 1)
  await iterator.return?.()
  await request.closed
  t.strictSame(await stream[Symbol.asyncIterator]().next(), { done: true, value: undefined }, 'and of one that is over as many as you like')
})

t.test('handlers and an iteration each get all events', async (t) => {
  const { stream, history, request } = await opened(t, 'id: 1\ndata: 1\n\n', { handle: false })
  stream.on('message', (data) => history.push(`handler: ${data}`))
  const iterator = stream[Symbol.asyncIterator]()
  t.equal((await iterator.next()).value?.data, 1)
  request.chunks('id: 2\ndata: 2\n\n')
  await until(() => history.includes('handler: 2'))
  t.equal(stream.lastEventId, '1', 'the ID is that of the iteration, which is behind')
  t.equal((await iterator.next()).value?.data, 2)
  t.equal(stream.lastEventId, '2')
  t.strictSame(history.slice(2), ['handler: 1', 'handler: 2'])
})

t.test('lastEventId is that of what was given, and not of what was read', async (t) => {
  const { stream, seen, request } = await opened(t, 'id: 1\ndata: 1\n\nid: 2\ndata: 2\n\nid: 3\n\ndata: 4\n\n', { handle: false, initialLastEventId: '0' })
  request.chunks('id: 5\n\n: five\n\n')
  await until(() => seen.comments.length === 1)
  request.chunks('id: 6\ndata: {\n\n')
  await stream.closed
  t.equal(stream.lastEventId, '0')
  const iterator = stream[Symbol.asyncIterator]()
  const ids: string[] = []
  for (let n = 0; n < 3; n++) {
    await iterator.next()
    ids.push(stream.lastEventId)
  }
  t.strictSame(ids, ['1', '2', '3'])
  await t.rejects(iterator.next(), { name: 'StreamError', message: /^Event message is invalid/ })
  t.equal(stream.lastEventId, '5', 'a place without an event is passed, an event that was not given is not')
  t.equal(seen.errors.length, 1)
})

t.test('with handlers too', async (t) => {
  const { stream, request } = await opened(t, 'id: 1\ndata: 1\n\nid: 2\n\n')
  await until(() => stream.lastEventId === '2')
  request.chunks('id: 3\ndata: {\n\n')
  await stream.closed
  t.equal(stream.lastEventId, '2')
})

t.test('what waits for the iteration is read once, whatever happens to the connection', async (t) => {
  const server = await serveRaw(t)
  const { stream, reached } = ((seen) => ({ stream: seen.stream, reached: seen.reached.bind(seen) }))(observe(t, server.origin, { handle: false }))
  const first = await server.next()
  first.open('id: 1\ndata: 1\n\nid: 2\ndata: 2\n\n')
  await reached('live')
  first.end()
  await reached('reconnecting')
  stream.reconnect()
  const second = await server.next()
  t.equal(second.lastEventId, '2')
  second.open('id: 3\ndata: 3\n\nevent: sse.end\ndata: null\n\n')
  const given: unknown[] = []
  for await (const { data } of stream) given.push(data)
  t.strictSame(given, [1, 2, 3])
})

t.test('an iteration that waits lets the connection fill up, and the server stops', async (t) => {
  const piece = `data: "${'x'.repeat(65_536)}"\n\n`
  const total = 1_500
  let written = 0
  let isBlocked = false
  const server = await serveRaw(t, (request) => {
    request.open()
    const pour = (): void => {
      isBlocked = false
      while (written < total && !request.isClosed) {
        request.chunks(piece)
        written++
        if (request.socket.writableNeedDrain) {
          isBlocked = true
          request.socket.once('drain', pour)
          return
        }
      }
    }
    pour()
  })
  const stream = connect(server.origin)
  t.teardown(() => stream.close())
  const iterator = stream[Symbol.asyncIterator]()
  await iterator.next()
  // It is blocked for good when nothing has moved for long.
  for (let turns = 0, last = 0; turns < 200; turns++) {
    await settle()
    if (!isBlocked || last !== written) turns = 0
    last = written
  }
  t.ok(written < total / 3, `${written} of ${total} events were written`)
  let taken = 1
  while (taken < total) {
    await iterator.next()
    taken++
  }
  t.equal(written, total, 'and it goes on when the iteration does')
})

t.test('the connection is read no further than 32 events ahead, 16 if each has an ID, and the rest of one chunk', async (t) => {
  let pulled = 0
  const fake = (perChunk: number, hasIds: boolean): Fetch => async () => new Response(new ReadableStream({
    pull (controller) {
      const chunk = Array.from({ length: perChunk }, () => `${hasIds ? `id: ${pulled}\n` : ''}data: ${pulled++}\n\n`).join('')
      controller.enqueue(Buffer.from(chunk))
    }
  }, { highWaterMark: 0 }), { headers: { 'content-type': 'text/event-stream' } })
  for (const [perChunk, hasIds, limit] of [[1, false, 32], [1, true, 16], [10, false, 32]] as const) {
    pulled = 0
    const stream = connect('http://a.test', { fetch: fake(perChunk, hasIds) })
    const iterator = stream[Symbol.asyncIterator]()
    for (let taken = 0; taken < 100; taken++) {
      await settle()
      t.ok(pulled - taken >= limit && pulled - taken < limit + perChunk, `${pulled} read, ${taken} taken, ${perChunk} in a chunk`)
      t.equal((await iterator.next()).value?.data, taken)
    }
    stream.close()
  }
})

t.test('events that wait for the first handler are bounded alike, and handlers take all that comes', async (t) => {
  let pulled = 0
  const total = 1_000
  const stream = connect<unknown>('http://a.test', {
    fetch: async () => new Response(new ReadableStream({
      pull (controller) {
        controller.enqueue(Buffer.from(pulled < total ? `data: ${pulled++}\n\n` : 'event: sse.end\ndata: null\n\n'))
      }
    }, { highWaterMark: 0 }), { headers: { 'content-type': 'text/event-stream' } })
  })
  await settle()
  t.equal(pulled, 32)
  const given: unknown[] = []
  stream.on('message', (data) => given.push(data))
  await stream.closed
  t.strictSame(given, Array.from({ length: total }, (_, n) => n))
})

t.test('each stream is typed by what it is declared with', async (t) => {
  const Clock = defineEvents({ tick: Type.Object({ now: Type.String() }) })
  const { app } = await createApp(t)
  app.get('/', { schema: { events: Clock } }, (_request, reply) => reply.sse([Clock.make.tick({ now: 'noon' }, { id: 1 })]))
  const { origin } = await listen(app)
  const stream: EventStream<ReceivedEvent<any, any>> = connect<typeof Clock>(origin) as never
  const events: unknown[] = []
  for await (const event of stream) events.push(event)
  t.strictSame(events, [{ event: 'tick', data: { now: 'noon' }, id: '1' }])
})
