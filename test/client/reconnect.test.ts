import net from 'node:net'
import t, { type Test } from 'tap'
import { connect, StreamError, type ConnectOptions, type StreamState } from '../../lib/client.js'
import { deferred, until } from '../support/sources.js'
import { observe, pinRandom, serveRaw, settle, stopTime, type RawRequest, type RawServer } from './servers.js'

type Answer = (request: RawRequest) => void

/** A server that gives these answers, one to each request, and 204 after them. */
async function answering (t: Test, ...answers: Answer[]): Promise<RawServer> {
  return serveRaw(t, (request, { requests }) => {
    const answer = answers[requests.length - 1]
    if (answer) answer(request)
    else request.respond(204)
  })
}

/** Connects, reconnects at once instead of waiting, and gives the states that it has waited in, until the stream is over. */
async function waits (t: Test, server: RawServer, options: ConnectOptions = {}): Promise<StreamState[]> {
  const { stream, states } = observe(t, server.origin, {
    ...options,
    onStatus (status, { reason }) {
      if (status === 'reconnecting' && reason !== 'manual') queueMicrotask(() => stream.reconnect())
    }
  })
  await stream.closed
  return states.filter(({ status, reason }) => status === 'reconnecting' && reason !== 'manual')
}

async function delays (t: Test, server: RawServer, options: ConnectOptions = {}): Promise<Array<number | undefined>> {
  return (await waits(t, server, options)).map(({ delayMs }) => delayMs)
}

const refuse = (status: number, headers: Record<string, string> = {}, body = ''): Answer => (request) => request.respond(status, headers, body)

/** A stream that ends after these chunks. */
const stream = (...chunks: string[]): Answer => (request) => {
  request.open(...chunks)
  request.end()
}

/** The first state in which the stream waits, or is over. */
async function verdict (t: Test, url: string, options: ConnectOptions = {}): Promise<StreamState> {
  const { stream, states, errors } = observe(t, url, options)
  const decided = (): StreamState | undefined => states.find(({ status }) => status === 'reconnecting' || status === 'closed')
  await until(() => decided() !== undefined)
  const state = decided()!
  t.strictSame(errors, state.error ? [state.error] : [], 'onError is told once')
  if (state.error) {
    t.equal(state.reason, state.error.kind)
    t.equal(state.error.willRetry, state.status === 'reconnecting')
    t.equal(state.error.delayMs, state.delayMs)
    t.type(state.error, StreamError)
  }
  stream.close()
  return state
}

t.test('what may pass by itself is tried again', async (t) => {
  const passing: Array<[name: string, kind: string, answer: Answer]> = [
    ['no answer at all', 'network', (request) => request.socket.end()],
    ['a reset before the head', 'network', (request) => request.reset()],
    ['a head that is none', 'network', (request) => request.raw('SSH-2.0-OpenSSH_9.6\r\n\r\n')],
    ['a reset in the middle', 'network', (request) => {
      request.open('data: 1\n\n')
      setImmediate(() => request.reset())
    }],
    ['a chunk that is cut', 'network', (request) => {
      request.open()
      request.raw('ff\r\ndata: 1\n\n')
      request.socket.end()
    }],
    ['an end in order', 'ended', stream('data: 1\n\n')],
    ['an end without anything', 'ended', stream()],
    ['an end in the middle of an event', 'ended', stream('data: 1\n')],
    ...[408, 425, 429, 500, 502, 503, 504, 599].map((status): [string, string, Answer] => [`status ${status}`, 'status', refuse(status)])
  ]
  for (const [name, kind, answer] of passing) {
    await t.test(name, async (t) => {
      const { origin } = await answering(t, answer)
      const state = await verdict(t, origin)
      t.equal(state.status, 'reconnecting')
      t.equal(state.reason, kind)
      t.equal(state.attempt, 1)
    })
  }
  await t.test('a port on which nobody listens', async (t) => {
    const server = net.createServer()
    await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
    const { port } = server.address() as net.AddressInfo
    await new Promise((resolve) => { server.close(resolve) })
    const state = await verdict(t, `http://127.0.0.1:${port}`)
    t.equal(state.status, 'reconnecting')
    t.match(state.error, { kind: 'network', cause: { cause: { code: 'ECONNREFUSED' } } }, 'and the error keeps what fetch has thrown')
  })
})

t.test('what stays as it is ends the stream', async (t) => {
  const lasting: Array<[name: string, kind: string, answer: Answer]> = [
    ...[201, 206, 300, 400, 401, 403, 404, 405, 406, 409, 410, 413, 422, 451].map((status): [string, string, Answer] => [
      `status ${status}`, 'status', refuse(status, { 'content-type': 'text/event-stream' }, 'data: 1\n\n')
    ]),
    ['another content type', 'content-type', refuse(200, { 'content-type': 'text/html' }, '<p>data: 1</p>')],
    ['a content type that begins alike', 'content-type', refuse(200, { 'content-type': 'text/event-streams' }, 'data: 1\n\n')],
    ['a content type that goes on', 'content-type', refuse(200, { 'content-type': 'text/event-stream+json' }, 'data: 1\n\n')],
    ['no content type', 'content-type', refuse(200, {}, 'data: 1\n\n')],
    ['an event over the limit', 'too-large', stream(`data: ${'x'.repeat(200)}\n\n`)],
    ['data that is not JSON', 'invalid', stream('data: {\n\n')],
    ['a fault', 'fault', stream('event: sse.fault\ndata: {"code":"FST_SSE_SOURCE_FAILED","message":"Internal Server Error"}\n\n')]
  ]
  for (const [name, kind, answer] of lasting) {
    await t.test(name, async (t) => {
      const server = await answering(t, answer)
      const state = await verdict(t, server.origin, { maxEventBytes: 100 })
      t.equal(state.status, 'closed')
      t.equal(state.reason, kind)
      await settle()
      t.equal(server.requests.length, 1)
    })
  }
})

t.test('a content type is read whatever its case and its parameters', async (t) => {
  for (const type of ['text/event-stream', 'Text/Event-Stream', 'text/event-stream;charset=utf-8', 'text/event-stream ; charset=UTF-8']) {
    const server = await answering(t, refuse(200, { 'content-type': type }, 'data: 1\n\n'))
    const { history, stream } = observe(t, server.origin)
    await until(() => history.includes('message: 1'))
    stream.close()
  }
})

t.test('status 204 ends the stream, without an error, at first and later', async (t) => {
  const { origin } = await answering(t)
  const first = observe(t, origin)
  t.strictSame({ ...await first.stream.closed }, { status: 'closed', reason: 'done', attempt: 0, delayMs: undefined, error: undefined })
  t.strictSame(first.history, ['connecting', 'closed: done'])

  const server = await answering(t, stream('id: 1\ndata: 1\n\n'))
  const later = observe(t, server.origin, { onStatus: (status, { reason }) => { if (status === 'reconnecting' && reason === 'ended') later.stream.reconnect() } })
  await later.stream.closed
  t.strictSame(later.history, [
    'connecting', 'live', 'message: 1 (1)', 'error: ended', 'reconnecting: ended', 'reconnecting: manual', 'closed: done'
  ])
  t.strictSame(server.requests.map(({ lastEventId }) => lastEventId), [undefined, '1'])
})

t.test('sse.end ends the stream, and is not given; what stands behind it is not read', async (t) => {
  const server = await answering(t, (request) => request.open('id: 1\ndata: 1\n\nevent: sse.end\ndata: null\nid: sse.end\n\ndata: 2\n\n'))
  const { stream, history } = observe(t, server.origin)
  t.match(await stream.closed, { status: 'closed', reason: 'done', error: undefined })
  t.strictSame(history, ['connecting', 'live', 'message: 1 (1)', 'closed: done'])
  t.equal(stream.lastEventId, '1')
  await server.requests[0]!.closed
  t.equal(server.requests.length, 1)
})

t.test('a fault is an error with the code and the message of the server', async (t) => {
  const faults: Array<[data: string, code: string | undefined, message: string]> = [
    ['{"code":"FST_SSE_SOURCE_FAILED","message":"Internal Server Error"}', 'FST_SSE_SOURCE_FAILED', 'Internal Server Error'],
    ['{"code":"OUT_OF_STOCK","message":"ausverkauft: größe →"}', 'OUT_OF_STOCK', 'ausverkauft: größe →'],
    ['{"message":"it broke"}', undefined, 'it broke']
  ]
  for (const [data, code, message] of faults) {
    const server = await answering(t, (request) => request.open(`data: 1\n\nevent: sse.fault\ndata: ${data}\n\ndata: 2\n\n`))
    const { stream, history } = observe(t, server.origin)
    const { error } = await stream.closed
    t.strictSame({ kind: error?.kind, code: error?.code, message: error?.message, willRetry: error?.willRetry }, { kind: 'fault', code, message, willRetry: false })
    t.strictSame(history, ['connecting', 'live', 'message: 1', 'error: fault', 'closed: fault'])
  }
})

t.test('a refusal tells its status and the beginning of its body', async (t) => {
  const server = await answering(t, refuse(404, { 'content-type': 'application/json' }, '{"message":"größe →"}'))
  const { error } = await verdict(t, server.origin)
  t.match(error, { name: 'StreamError', status: 404, body: '{"message":"größe →"}' })
  t.equal(error!.message, `404 application/json from ${server.origin}: {"message":"größe →"}`)

  // The 4096th character is of two bytes.
  const long = await answering(t, refuse(400, {}, 'é'.repeat(100_000)))
  t.equal((await verdict(t, long.origin)).error?.body, 'é'.repeat(4096))
})

t.test('a refusal whose body never ends, or is cut, is a refusal all the same', async (t) => {
  const clock = stopTime(t)
  for (const isCut of [false, true]) {
    const server = await answering(t, (request) => {
      request.head(404, { 'transfer-encoding': 'chunked' })
      request.chunks('it is ')
      if (isCut) setImmediate(() => request.reset())
    })
    const { stream } = observe(t, server.origin)
    await server.next()
    await settle()
    clock.tick(60_000)
    t.match(await stream.closed, { reason: 'status', error: { kind: 'status', status: 404, willRetry: false } })
    await server.requests[0]!.closed
  }
})

t.test('a refusal whose body goes on without end is cut', async (t) => {
  const server = await answering(t, (request) => {
    request.head(404, { 'transfer-encoding': 'chunked' })
    const pour = (): void => {
      if (request.isClosed) return
      request.chunks('x'.repeat(1000))
      setImmediate(pour)
    }
    pour()
  })
  const { error } = await observe(t, server.origin).stream.closed
  t.equal(error?.body, 'x'.repeat(4096))
  await server.requests[0]!.closed
})

t.test('the wait grows at random from the reconnection time on, and never goes below it', async (t) => {
  const failures = Array.from({ length: 8 }, () => refuse(503))
  pinRandom(t, 0)
  t.strictSame(await delays(t, await answering(t, ...failures)), Array(8).fill(1_000))
  pinRandom(t, 1)
  t.strictSame(await delays(t, await answering(t, ...failures)), [1_250, 2_250, 4_250, 8_250, 16_250, 31_000, 31_000, 31_000])
  pinRandom(t, 0.5)
  t.strictSame(await delays(t, await answering(t, ...failures)), [1_125, 1_625, 2_625, 4_625, 8_625, 16_000, 16_000, 16_000])
  pinRandom(t, 1)
  t.strictSame(await delays(t, await answering(t, ...failures), { reconnectionTimeMs: 60_000 }), [75_000, ...Array(7).fill(90_000)])
})

t.test('the states and errors count the attempts that have failed in a row', async (t) => {
  const states = await waits(t, await answering(t, refuse(503), refuse(500), (request) => request.reset()))
  t.strictSame(states.map(({ attempt, reason }) => [attempt, reason]), [[1, 'status'], [2, 'status'], [3, 'network']])
  t.strictSame(states.map(({ error, delayMs }) => error?.willRetry === true && error.delayMs === delayMs), [true, true, true])
})

t.test('the next attempt is made when the delay is over, and not before', async (t) => {
  const clock = stopTime(t)
  const server = await answering(t, refuse(503), refuse(503))
  let calls = 0
  const { stream, reached } = observed(t, server, { fetch: (...args) => { calls++; return fetch(args[0], args[1] as RequestInit) } })
  for (const failed of [1, 2]) {
    const { delayMs } = await reached('reconnecting', failed)
    clock.tick(delayMs! - 1)
    await settle()
    t.equal(calls, failed)
    clock.tick(1)
    await settle()
    t.equal(calls, failed + 1)
  }
  t.match(await stream.closed, { reason: 'done' })
})

function observed (t: Test, { origin }: RawServer, options: ConnectOptions): Pick<ReturnType<typeof observe>, 'stream' | 'reached'> {
  const seen = observe(t, origin, options)
  return { stream: seen.stream, reached: seen.reached.bind(seen) }
}

t.test('retry sets the reconnection time from then on, at least 100 ms and at most what a timer can hold', async (t) => {
  pinRandom(t, 0)
  const max = 2 ** 31 - 1
  const retries: Array<[stream: string, delays: number[]]> = [
    ['retry: 1500\n\n', [1500, 1500]],
    ['retry: 1500\n', [1500, 1500]],
    ['retry: 0\n\n', [100, 100]],
    ['retry: 99\n\n', [100, 100]],
    ['retry: 101\n\n', [101, 101]],
    [`retry: ${max}\n\n`, [max, max]],
    [`retry: ${max + 1}\n\n`, [max, max]],
    ['retry: 5000000000\n\n', [max, max]],
    [`retry: ${'9'.repeat(400)}\n\n`, [max, max]],
    ['retry: 1.5\n\n', [1000, 1000]],
    ['retry: -1\n\n', [1000, 1000]],
    ['retry: 1e3\n\n', [1000, 1000]],
    ['retry:\n\n', [1000, 1000]],
    ['retry: 2000\nretry: x\n\n', [2000, 2000]],
    ['retry: 2000\n\nretry: 3000\n\n', [3000, 3000]]
  ]
  for (const [text, expected] of retries) {
    t.strictSame(await delays(t, await answering(t, stream(text), refuse(503))), expected, text)
  }
  pinRandom(t, 1)
  t.strictSame(await delays(t, await answering(t, stream('retry: 5000000000\n\n'), refuse(503))), [max, max], 'what failures add does not go over it')
})

t.test('reconnectionTimeMs is bounded alike', async (t) => {
  pinRandom(t, 0)
  for (const [given, waited] of [[0, 100], [-1, 100], [250, 250], [5e9, 2 ** 31 - 1], [Infinity, 2 ** 31 - 1]] as const) {
    t.strictSame(await delays(t, await answering(t, refuse(503)), { reconnectionTimeMs: given }), [waited])
  }
})

t.test('Retry-After is waited for, in seconds and as a date, and what failures add comes on top', async (t) => {
  const now = Date.UTC(2024, 0, 1)
  const clock = stopTime(t)
  clock.setSystemTime(now)
  const waitsFor = async (value: string, ...more: Answer[]): Promise<Array<number | undefined>> => {
    return delays(t, await answering(t, ...more, refuse(503, { 'retry-after': value })))
  }
  pinRandom(t, 0)
  t.strictSame(await waitsFor('7'), [7_000])
  t.strictSame(await waitsFor('0'), [1_000])
  t.strictSame(await waitsFor('Mon, 01 Jan 2024 00:00:09 GMT'), [9_000])
  t.strictSame(await waitsFor('Sunday, 31-Dec-23 23:59:59 GMT'), [1_000], 'a date that has passed')
  t.strictSame(await waitsFor('soon'), [1_000])
  t.strictSame(await waitsFor('-5'), [1_000])
  t.strictSame(await waitsFor('99999999999'), [2 ** 31 - 1])
  t.strictSame(await waitsFor('9'.repeat(400)), [2 ** 31 - 1])
  t.strictSame(await waitsFor('Fri, 31 Dec 9999 23:59:59 GMT'), [2 ** 31 - 1])
  t.strictSame(await waitsFor('7', stream('retry: 8000\n\n')), [8_000, 8_000], 'not less than retry says')
  t.strictSame(await waitsFor('9', stream('retry: 8000\n\n')), [8_000, 9_000])
  pinRandom(t, 1)
  t.strictSame(await waitsFor('7'), [7_250])
  t.strictSame(await waitsFor('7', refuse(429), refuse(429)), [1_250, 2_250, 7_000 + 3_250])
})

t.test('an event, and a heartbeat, let failures be counted anew; an answer and its opening do not', async (t) => {
  pinRandom(t, 1)
  const attempts = async (...answers: Answer[]): Promise<number[]> => (await waits(t, await answering(t, ...answers))).map(({ attempt }) => attempt)
  const opening = ': sse-heartbeat: 15000\n: sse-text: note\n\nretry: 100\n\n'
  t.strictSame(await attempts(refuse(503), refuse(503), stream(), stream(opening), stream('id: 1\n\n'), refuse(503)), [1, 2, 3, 4, 5, 6])
  t.strictSame(await attempts(refuse(503), refuse(503), stream('data: 1\n\n'), refuse(503)), [1, 2, 1, 2])
  t.strictSame(await attempts(refuse(503), refuse(503), stream(opening, ':\n\n'), refuse(503)), [1, 2, 1, 2])
})

t.test('a new connection goes on from the last ID that was read, with an event or without', async (t) => {
  const server = await answering(t,
    stream('id: 1\ndata: 1\n\ndata: 2\n\n'), refuse(503), stream('id: größe 😀\n\n'), stream(': nothing\n\n'), stream('id: 4\ndata: 1\n'),
    stream('id\ndata: 1\n\n'), stream('id: a\0b\ndata: 1\n\n'))
  await waits(t, server, { initialLastEventId: '0' })
  t.strictSame(server.requests.map(({ lastEventId }) => lastEventId), ['0', '1', '1', 'größe 😀', 'größe 😀', 'größe 😀', undefined, undefined])
})

t.test('a request that is not safe is not sent twice', async (t) => {
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
    const broken: Answer[] = [refuse(503), refuse(429, { 'retry-after': '1' }), (request) => request.reset(), stream(), stream('data: 1\n\n')]
    for (const answer of broken) {
      const server = await answering(t, answer)
      const state = await verdict(t, server.origin, { method, ...(method !== 'DELETE' && { body: { a: 1 } }) })
      t.equal(state.status, 'closed')
      t.equal(state.error?.willRetry, false)
      await settle()
      t.equal(server.requests.length, 1)
    }
  }
})

t.test('it is sent again when the stream can be resumed, with its body', async (t) => {
  const given = await answering(t, (request) => request.reset())
  await waits(t, given, { body: { a: 1 }, initialLastEventId: '7' })
  t.strictSame(given.requests.map(({ method, body, lastEventId }) => [method, String(body), lastEventId]), [['POST', '{"a":1}', '7'], ['POST', '{"a":1}', '7']])

  const learnt = await answering(t, stream('id: 8\ndata: 1\n\n'))
  await waits(t, learnt, { body: { a: 1 } })
  t.strictSame(learnt.requests.map(({ body, lastEventId }) => [String(body), lastEventId]), [['{"a":1}', undefined], ['{"a":1}', '8']])

  const cleared = await answering(t, stream('id: 8\ndata: 1\n\n', 'id\ndata: 2\n\n'))
  await waits(t, cleared, { body: { a: 1 } })
  t.equal(cleared.requests.length, 1, 'not when the server has cleared the ID')
})

t.test('it is sent again when shouldRetry says so, and when nothing was sent yet', async (t) => {
  const asked = await answering(t, refuse(503), stream('data: 1\n\n'))
  await waits(t, asked, { body: 'a', shouldRetry: () => true })
  t.strictSame(asked.requests.map(({ body }) => String(body)), ['a', 'a', 'a'])

  let calls = 0
  const unsent = await answering(t)
  const [state] = await waits(t, unsent, { body: () => { if (calls++ === 0) throw new Error('no body yet'); return 'b' } })
  t.match(state, { reason: 'request', error: { message: 'Error: no body yet', cause: { message: 'no body yet' } } })
  t.strictSame(unsent.requests.map(({ body }) => String(body)), ['b'])
})

t.test('QUERY is as safe as GET', async (t) => {
  for (const method of ['QUERY', 'query']) {
    const server = await answering(t, refuse(503))
    await waits(t, server, { method, body: 'a' })
    t.strictSame(server.requests.map((request) => request.method), [method.toUpperCase(), method.toUpperCase()])
  }
})

t.test('shouldRetry decides both ways, knows the error, and leaves it to the client by undefined', async (t) => {
  const told: Array<[kind: string, status: number | undefined, attempt: number]> = []
  const asked = (answer: boolean | undefined) => (error: StreamError, attempt: number): boolean | undefined => {
    told.push([error.kind, error.status, attempt])
    return answer
  }
  const final = [refuse(404), refuse(200, { 'content-type': 'text/html' }), stream(`data: ${'x'.repeat(100)}\n\n`), stream('event: sse.fault\ndata: {}\n\n')]
  const yes = await waits(t, await answering(t, ...final), { shouldRetry: asked(true), maxEventBytes: 50 })
  t.strictSame(yes.map(({ reason, error }) => [reason, error?.willRetry]), [['status', true], ['content-type', true], ['too-large', true], ['fault', true]])
  t.strictSame(told.splice(0), [['status', 404, 1], ['content-type', 200, 2], ['too-large', undefined, 3], ['fault', undefined, 1]])

  const no = await verdict(t, (await answering(t, refuse(503, { 'retry-after': '9' }))).origin, { shouldRetry: asked(false) })
  t.match(no, { status: 'closed', reason: 'status', attempt: 1, error: { willRetry: false, delayMs: undefined } })
  t.strictSame(told.splice(0), [['status', 503, 1]])

  const left = await waits(t, await answering(t, refuse(503), refuse(404)), { shouldRetry: asked(undefined) })
  t.strictSame(left.map(({ error }) => error?.status), [503])
  t.strictSame(told.splice(0), [['status', 503, 1], ['status', 404, 2]])
})

t.test('a shouldRetry that throws ends the stream with what it has thrown', async (t) => {
  const server = await answering(t, refuse(503))
  const cause = new Error('no idea')
  const { stream, errors } = observe(t, server.origin, { shouldRetry () { throw cause } })
  const { reason, error } = await stream.closed
  t.equal(reason, 'handler')
  t.match(error, { kind: 'handler', willRetry: false, delayMs: undefined })
  t.equal(error?.cause, cause)
  t.strictSame(errors, [error])
  await settle()
  t.equal(server.requests.length, 1)
})

t.test('onUnauthorized is called once for 401 and 403, and the request is made again with new headers', async (t) => {
  for (const status of [401, 403]) {
    let token = 'old'
    const server = await answering(t, refuse(status, {}, 'who?'), stream('data: 1\n\n'))
    const told: StreamError[] = []
    const { stream: seen, history, reached } = bound(observe(t, server.origin, {
      headers: () => ({ authorization: token }),
      async onUnauthorized (error) {
        told.push(error)
        await settle()
        token = 'new'
      }
    }))
    await reached('reconnecting')
    seen.close()
    t.match(told, [{ kind: 'status', status, body: 'who?' }])
    t.strictSame(server.requests.map(({ headers }) => headers['authorization']), ['old', 'new'])
    t.strictSame(history, ['connecting', 'live', 'message: 1', 'error: ended', 'reconnecting: ended', 'closed: closed'], 'it is no failure')
  }
})

function bound (seen: ReturnType<typeof observe>): Pick<ReturnType<typeof observe>, 'stream' | 'history' | 'reached' | 'errors' | 'states'> {
  return { stream: seen.stream, history: seen.history, reached: seen.reached.bind(seen), errors: seen.errors, states: seen.states }
}

t.test('a second refusal in a row ends the stream', async (t) => {
  let calls = 0
  const server = await answering(t, refuse(401), refuse(403))
  const { stream, errors } = observe(t, server.origin, { onUnauthorized: () => { calls++ } })
  t.match(await stream.closed, { reason: 'status', error: { status: 403, willRetry: false } })
  t.equal(calls, 1)
  t.strictSame(errors.map(({ status }) => status), [403])
  t.equal(server.requests.length, 2)
})

t.test('it is called anew for a refusal after the stream was live again', async (t) => {
  let calls = 0
  const server = await answering(t, refuse(401), stream('data: 1\n\n'), refuse(401), stream('data: 2\n\n'))
  const states = await waits(t, server, { onUnauthorized: () => { calls++ } })
  t.equal(calls, 2)
  t.strictSame(states.map(({ reason, attempt }) => [reason, attempt]), [['ended', 1], ['ended', 1]])
})

t.test('onUnauthorized that gives false, or fails, ends the stream', async (t) => {
  const givesUp = await verdict(t, (await answering(t, refuse(401))).origin, { onUnauthorized: async () => false })
  t.match(givesUp, { status: 'closed', error: { status: 401, willRetry: false } })
  const cause = new Error('no network')
  for (const onUnauthorized of [async () => { throw cause }, () => { throw cause }]) {
    const failed = await verdict(t, (await answering(t, refuse(401))).origin, { onUnauthorized })
    t.match(failed, { status: 'closed', error: { kind: 'handler', willRetry: false } })
    t.equal(failed.error?.cause, cause)
  }
})

t.test('a POST that was refused with 401 is sent again: it was not done', async (t) => {
  const server = await answering(t, refuse(401))
  await observe(t, server.origin, { body: { a: 1 }, onUnauthorized: () => {} }).stream.closed
  t.strictSame(server.requests.map(({ body }) => String(body)), ['{"a":1}', '{"a":1}'])
})

t.test('streams that are refused while it is under way, or were asked for before it was done, share one call', async (t) => {
  let token = 'old'
  let calls = 0
  const refreshed = deferred()
  const server = await serveRaw(t)
  const options: ConnectOptions = {
    headers: () => ({ authorization: token }),
    async onUnauthorized () {
      calls++
      await refreshed.promise
      token = 'new'
    }
  }
  const streams = Array.from({ length: 4 }, () => observe(t, server.origin, options))
  const requests = await Promise.all(streams.map(() => server.next()))
  t.strictSame(requests.map(({ headers }) => headers['authorization']), ['old', 'old', 'old', 'old'])
  requests[0]!.respond(401)
  await until(() => calls === 1)
  requests[1]!.respond(403)
  requests[2]!.respond(401)
  await settle()
  t.equal(calls, 1, 'refused while it is under way')
  refreshed.resolve()
  const again = await Promise.all([0, 1, 2].map(() => server.next()))
  requests[3]!.respond(401)
  again.push(await server.next())
  t.strictSame(again.map(({ headers }) => headers['authorization']), ['new', 'new', 'new', 'new'])
  t.equal(calls, 1, 'sent before it was done, and refused after')

  again[0]!.respond(401)
  t.match(await streams.find(({ stream }) => stream.status === 'closed')?.stream.closed ?? await Promise.race(streams.map(({ stream }) => stream.closed)), { reason: 'status' })
  t.equal(calls, 1, 'what was refused with the new one is over')

  const later = observe(t, server.origin, options)
  ;(await server.next()).respond(401)
  await until(() => calls === 2)
  ;(await server.next()).respond(204)
  await later.stream.closed
  t.equal(calls, 2, 'another stream that is refused later has a call of its own')
})

t.test('streams with other functions have other calls', async (t) => {
  const server = await answering(t, refuse(401), refuse(401))
  let calls = 0
  const make = (): ConnectOptions => ({ onUnauthorized: () => { calls++ } })
  await Promise.all([observe(t, server.origin, make()), observe(t, server.origin, make())].map(({ stream }) => stream.closed))
  t.equal(calls, 2)
})

t.test('reconnect() drops the connection, and goes on at once from the last event ID', async (t) => {
  const server = await serveRaw(t)
  const { stream, history, reached, states } = bound(observe(t, server.origin))
  const first = await server.next()
  first.open('id: 1\ndata: 1\n\n')
  await until(() => history.includes('message: 1 (1)'))
  stream.reconnect()
  t.equal(stream.status, 'reconnecting')
  const second = await server.next()
  await first.closed
  t.equal(second.lastEventId, '1')
  second.open('id: 2\ndata: 2\n\n')
  await reached('live', 2)
  second.end()
  await reached('reconnecting', 2)
  stream.reconnect()
  const third = await server.next()
  t.equal(third.lastEventId, '2')
  third.respond(204)
  await stream.closed
  stream.reconnect()
  await settle()
  t.equal(server.requests.length, 3, 'nothing once it is closed')
  t.strictSame(history, [
    'connecting', 'live', 'message: 1 (1)', 'reconnecting: manual', 'live', 'message: 2 (2)', 'error: ended', 'reconnecting: ended', 'reconnecting: manual', 'closed: done'
  ])
  t.strictSame(states.filter(({ reason }) => reason === 'manual').map(({ delayMs, error }) => [delayMs, error]), [[undefined, undefined], [undefined, undefined]])
})

t.test('reconnect() in a handler leaves out the rest of the chunk, and the server gives it again', async (t) => {
  const server = await serveRaw(t)
  const { stream, history } = observe(t, server.origin, { handle: false })
  stream.on('message', (data) => {
    history.push(String(data))
    if (data === 1) stream.reconnect()
  })
  ;(await server.next()).open('id: 1\ndata: 1\n\nid: 2\ndata: 2\n\n')
  const again = await server.next()
  t.equal(again.lastEventId, '1')
  again.open('id: 2\ndata: 2\n\n')
  await until(() => history.includes('2'))
  t.strictSame(history, ['connecting', 'live', '1', 'reconnecting: manual', 'live', '2'])
})

t.test('reconnect() in each phase leaves one connection', async (t) => {
  const phases: Array<[name: string, reach: (seen: ReturnType<typeof observe>, server: RawServer) => Promise<unknown>]> = [
    ['before the first request', async () => {}],
    ['while waiting for the response', async (_seen, server) => server.next()],
    ['while a refusal is read', async (_seen, server) => { (await server.next()).head(400, { 'content-length': '5' }); await settle() }],
    ['while live', async (seen, server) => { (await server.next()).open(); await seen.reached('live') }],
    ['while waiting to reconnect', async (seen, server) => { (await server.next()).respond(503); await seen.reached('reconnecting') }]
  ]
  for (const [name, reach] of phases) {
    await t.test(name, async (t) => {
      const server = await serveRaw(t)
      const seen = observe(t, server.origin)
      await reach(seen, server)
      seen.stream.reconnect()
      const request = await server.next()
      request.open('data: 1\n\n')
      await until(() => seen.history.includes('message: 1'))
      await settle()
      t.equal(server.requests.at(-1), request)
      const abandoned = server.requests.filter((each) => each !== request && !each.isAnswered)
      await Promise.all(abandoned.map(({ closed }) => closed))
      t.strictSame(seen.errors.filter(({ status }) => status !== 503), [])
    })
  }
  t.type(connect, 'function')
})

t.test('reconnect() while onUnauthorized is at work waits for it too', async (t) => {
  const server = await answering(t, refuse(401), refuse(401))
  const done = deferred()
  let calls = 0
  const { stream } = observe(t, server.origin, {
    onUnauthorized () {
      calls++
      return done.promise
    }
  })
  await until(() => calls === 1)
  stream.reconnect()
  await until(() => server.requests.length === 2 && server.requests[1]!.isAnswered)
  await settle()
  done.resolve()
  t.match(await stream.closed, { reason: 'done' })
  t.equal(calls, 1)
  t.equal(server.requests.length, 3)
})

t.test('a refusal after another failure asks onUnauthorized anew', async (t) => {
  const server = await answering(t, refuse(401), refuse(503), refuse(401))
  let calls = 0
  const states = await waits(t, server, { onUnauthorized: () => { calls++ } })
  t.strictSame(states.map(({ error }) => error?.status), [503])
  t.equal(calls, 2)
  t.equal(server.requests.length, 4)
})

t.test('what onUnauthorized throws late does not end a stream that is live again', async (t) => {
  let calls = 0
  const late = deferred()
  const server = await answering(t, refuse(401), (request) => request.open('data: 1\n\n'))
  const { stream } = observe(t, server.origin, {
    onUnauthorized () {
      calls++
      return late.promise
    }
  })
  await until(() => calls === 1)
  stream.reconnect()
  await until(() => stream.status === 'live')
  late.reject(new Error('too late'))
  await settle()
  t.equal(stream.status, 'live')
})

t.test('a Retry-After is for the failure that it came with', async (t) => {
  pinRandom(t, 0)
  const server = await answering(t, refuse(401, { 'retry-after': '60' }), stream('retry: 100\n\n'))
  t.strictSame(await delays(t, server, { onUnauthorized: () => {} }), [100])
})
