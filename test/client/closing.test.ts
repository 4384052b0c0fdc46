import { getEventListeners } from 'node:events'
import t, { type Test } from 'tap'
import { connect, type ConnectOptions, type Fetch, type StreamState } from '../../lib/client.js'
// Loaded when the first stream is refused: its loading would look like something that is left.
import '../../lib/client/refresh.js'
import { deferred, until } from '../support/sources.js'
import { observe, serveRaw, settle, type Observed, type RawServer } from './servers.js'

/** What keeps this process going: timers, sockets, and whatever else there is. Files and ports are those of what loads and compiles modules. */
function resources (): string[] {
  return process.getActiveResourcesInfo().filter((name) => !/^(FSReq|MessagePort)/.test(name)).sort()
}

/** Closes the idle connections that Node keeps for later requests, and those that it opens in place of one that was aborted. */
async function dropIdle (...servers: RawServer[]): Promise<void> {
  for (let turn = 0; turn < 10; turn++) {
    for (const { sockets } of servers) {
      for (const socket of sockets) socket.destroy()
    }
    await settle()
  }
}

type End = (seen: Observed, abort: () => void) => void

const ENDS: Array<[name: string, end: End]> = [
  ['close()', ({ stream }) => stream.close()],
  ['the signal', (_seen, abort) => abort()],
  ['leaving the iteration', ({ stream }) => { stream[Symbol.asyncIterator]().return?.() }]
]

interface Phase {
  name: string
  options?: (server: RawServer, seen: () => Observed) => ConnectOptions
  /** Resolves when the stream is in this phase. */
  reach: (server: RawServer, seen: Observed) => Promise<unknown>
  /** What would go on, were the stream not closed. */
  goOn?: (server: RawServer) => void
  /** How many requests there were. */
  requests: number
  /** Whether there is a connection to close. */
  isConnected?: boolean
}

const never = deferred<never>().promise

const PHASES: Phase[] = [
  { name: 'before the first request', reach: async () => {}, requests: 0 },
  {
    name: 'while headers() is pending',
    options: () => ({ headers: () => never }),
    reach: async () => settle(),
    requests: 0
  }, {
    name: 'while the body is pending',
    options: () => ({ body: () => never }),
    reach: async () => settle(),
    requests: 0
  }, {
    name: 'while the URL is pending',
    reach: async () => settle(),
    requests: 0
  }, {
    name: 'while waiting for the response',
    reach: (server) => server.next(),
    goOn: ({ requests: [request] }) => request!.open('data: 1\n\n'),
    requests: 1,
    isConnected: true
  }, {
    name: 'while live',
    reach: async (server, seen) => {
      (await server.next()).open(': sse-heartbeat: 1000\n\n', 'retry: 100\n\n', 'data: 1\n\n')
      await until(() => seen.history.includes('message: 1'))
    },
    goOn: ({ requests: [request] }) => request!.chunks(': hi\n\n', 'data: 2\n\n'),
    requests: 1,
    isConnected: true
  }, {
    name: 'in the middle of an event',
    reach: async (server, seen) => {
      (await server.next()).open(': hi\ndata: 1\n')
      await until(() => seen.comments.includes('hi'))
    },
    goOn: ({ requests: [request] }) => request!.chunks('\n'),
    requests: 1,
    isConnected: true
  }, {
    name: 'while waiting to reconnect',
    reach: async (server, seen) => {
      (await server.next()).respond(503)
      await seen.reached('reconnecting')
    },
    requests: 1
  }, {
    name: 'while reconnecting',
    options: () => ({ reconnectionTimeMs: 100 }),
    reach: async (server, seen) => {
      (await server.next()).respond(503)
      await seen.reached('reconnecting')
      await server.next()
    },
    goOn: ({ requests }) => requests[1]!.open('data: 1\n\n'),
    requests: 2,
    isConnected: true
  }, {
    name: 'while the body of a refused response does not end',
    reach: async (server) => {
      const request = await server.next()
      request.head(404, { 'transfer-encoding': 'chunked' })
      request.chunks('not ')
      await settle()
    },
    goOn: ({ requests: [request] }) => { request!.chunks('found'); request!.end() },
    requests: 1,
    isConnected: true
  }, {
    name: 'while onUnauthorized is pending',
    options: (_server, seen) => ({
      onUnauthorized () {
        seen().history.push('onUnauthorized')
        return never
      }
    }),
    reach: async (server, { history }) => {
      (await server.next()).respond(401)
      await until(() => history.includes('onUnauthorized'))
    },
    requests: 1
  }
]

for (const phase of PHASES) {
  for (const [name, end] of ENDS) {
    t.test(`closed ${phase.name} by ${name}, nothing is called after it, and nothing is left`, async (t) => {
      const server = await serveRaw(t)
      await settle()
      const before = resources()
      const controller = new AbortController()
      const seen: Observed = observe(t, phase.name === 'while the URL is pending' ? () => never : server.origin, {
        ...phase.options?.(server, () => seen), signal: controller.signal
      })
      await phase.reach(server, seen)
      const { history, states } = seen
      end(seen, () => controller.abort())
      t.equal(seen.stream.status, 'closed')
      const last = states.at(-1)!
      t.match(last, { status: 'closed', reason: 'closed', delayMs: undefined, error: undefined })
      t.equal(last, seen.stream.state)
      const told = [...history]
      seen.stream.close()
      seen.stream.reconnect()
      controller.abort()
      phase.goOn?.(server)
      if (phase.isConnected) await server.requests.at(-1)!.closed
      await dropIdle(server)
      t.strictSame(history, told)
      t.equal(server.requests.length, phase.requests)
      t.strictSame(await seen.stream.closed, last)
      t.strictSame(await seen.stream[Symbol.asyncIterator]().next(), { done: true, value: undefined })
      t.strictSame(resources(), before)
      t.strictSame(getEventListeners(controller.signal, 'abort'), [])
    })
  }
}

t.test('a signal that has aborted before makes no request', async (t) => {
  const server = await serveRaw(t)
  const { stream, history } = observe(t, server.origin, { signal: AbortSignal.abort() })
  t.equal(stream.status, 'closed')
  stream.on('message', () => t.fail())
  await settle()
  t.strictSame(history, ['closed: closed'])
  t.equal(server.requests.length, 0)
})

t.test('close() in a callback leaves out the rest of the chunk', async (t) => {
  const chunk = ': a\n\nid: 1\ndata: 1\n\n: b\n\nid: 2\ndata: 2\n\nevent: sse.end\ndata: null\nid: sse.end\n\n'
  const closers: Array<[name: string, closesAt: string, expected: string[]]> = [
    ['onStatus', 'connecting', ['connecting', 'closed: closed']],
    ['onStatus', 'live', ['connecting', 'live', 'closed: closed']],
    ['onComment', 'a', ['connecting', 'live', 'comment: a', 'closed: closed']],
    ['handler', '1', ['connecting', 'live', 'comment: a', 'message: 1 (1)', 'closed: closed']],
    ['onComment', 'b', ['connecting', 'live', 'comment: a', 'message: 1 (1)', 'comment: b', 'closed: closed']]
  ]
  for (const [name, closesAt, expected] of closers) {
    const server = await serveRaw(t, (request) => request.open(chunk))
    const seen: Observed = observe(t, server.origin, {
      onStatus: (status) => { if (status === closesAt) seen.stream.close() },
      onComment: (text) => { if (text === closesAt) seen.stream.close() }
    })
    const { stream, history } = seen
    stream.on('sse.unknown', (data) => { if (String(data) === closesAt) stream.close() })
    stream.on('sse.unknown', () => { if (stream.status === 'closed') t.fail('nor is the event given to the handlers after it') })
    await stream.closed
    await Promise.all(server.requests.map(({ closed }) => closed))
    await settle()
    t.strictSame(history, expected, `${name}: ${closesAt}`)
  }
})

t.test('close() while events wait for their first handler leaves out those behind, and keeps the ID of the one that was given', async (t) => {
  const server = await serveRaw(t, (request) => request.open('id: 1\ndata: 1\n\nid: 2\ndata: 2\n\nid: 3\n\n'))
  const { stream, comments } = observe(t, server.origin, { handle: false })
  await until(() => server.requests.length === 1 && stream.status === 'live')
  server.requests[0]!.chunks(': read\n\n')
  await until(() => comments.length === 1)
  const given: unknown[] = []
  stream.on('message', (data) => {
    given.push(data)
    stream.close()
  })
  await stream.closed
  await settle()
  t.strictSame(given, [1])
  t.equal(stream.lastEventId, '1')
})

t.test('close() in onError, onUnauthorized, shouldRetry, invalid and validate is the last word', async (t) => {
  const close: (options: (stream: Observed['stream']) => ConnectOptions, answer: (server: RawServer) => void, ...expected: string[]) => Promise<void> =
    async (options, answer, ...expected) => {
      const server = await serveRaw(t, () => answer(server))
      const seen: Observed = observe(t, server.origin, options({ close: () => seen.stream.close() } as Observed['stream']))
      const { stream } = seen
      await stream.closed
      await Promise.all([...server.sockets].map((socket) => new Promise((resolve) => socket.once('close', resolve))))
      await settle()
      t.strictSame(seen.history, ['connecting', ...expected])
      t.equal(server.requests.length, 1)
    }
  const refuse = (status: number) => ({ requests: [request] }: RawServer) => request!.respond(status, { connection: 'close' })
  const send = (text: string) => ({ requests: [request] }: RawServer) => request!.open(text)
  await close((stream) => ({ onError: () => stream.close() }), refuse(503), 'error: status', 'closed: closed')
  await close((stream) => ({ onError: () => stream.close() }), refuse(404), 'error: status', 'closed: status')
  await close((stream) => ({ onUnauthorized: () => stream.close() }), refuse(401), 'closed: closed')
  await close((stream) => ({ onUnauthorized: async () => { await settle(); stream.close(); return false } }), refuse(401), 'closed: closed')
  await close((stream) => ({ shouldRetry: () => { stream.close(); return true } }), refuse(404), 'closed: closed')
  await close((stream) => ({ shouldRetry: () => { stream.close(); return false } }), refuse(503), 'closed: closed')
  await close((stream) => ({ invalid: () => stream.close() }), send('data: {\n\ndata: 1\n\n'), 'live', 'closed: closed')
  await close((stream) => ({ validate: () => { stream.close(); return undefined } }), send('data: 0\n\ndata: 1\n\n'), 'live', 'closed: closed')
  await close((stream) => ({ validate: () => { stream.close(); return 'wrong' } }), send('data: 0\n\ndata: 1\n\n'), 'live', 'closed: closed')
})

t.test('close() in headers, url, body or fetch makes no request', async (t) => {
  const server = await serveRaw(t)
  const closers: Array<(close: () => void) => [url: string | (() => string), options: ConnectOptions]> = [
    (close) => [server.origin, { headers: () => { close(); return {} } }],
    (close) => [server.origin, { headers: async () => { close(); return {} } }],
    (close) => [() => { close(); return server.origin }, {}],
    (close) => [server.origin, { body: () => { close(); return {} } }]
  ]
  for (const closer of closers) {
    const seen: Observed = observe(t, ...closer(() => seen.stream.close()))
    await seen.stream.closed
    await settle()
    t.strictSame(seen.history, ['connecting', 'closed: closed'])
  }
  t.equal(server.requests.length, 0)
})

/** A fetch that gives this response, and cares for no signal; it tells whether the body was cancelled. */
function deafFetch (respond: (body: ReadableStream<Uint8Array>) => Response | Promise<Response>): { fetch: Fetch, calls: () => number, cancelled: () => number, enqueue: (text: string) => void } {
  let calls = 0
  let cancelled = 0
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined
  return {
    calls: () => calls,
    cancelled: () => cancelled,
    enqueue: (text) => controller!.enqueue(Buffer.from(text)),
    fetch: async () => {
      calls++
      return respond(new ReadableStream({
        start: (given) => { controller = given },
        cancel: () => { cancelled++ }
      }))
    }
  }
}

const LIVE = { headers: { 'content-type': 'text/event-stream', 'sse-heartbeat': '1000' } }

t.test('a fetch that does not care for its signal holds nothing up: its response is cancelled, when it comes', async (t) => {
  await settle()
  const before = resources()
  const answered = deferred()
  const late = deafFetch(async (body) => {
    await answered.promise
    return new Response(body, LIVE)
  })
  const waiting = observe(t, 'http://a.test', { fetch: late.fetch })
  await until(() => late.calls() === 1)
  waiting.stream.close()
  t.match(await waiting.stream.closed, { reason: 'closed' })
  answered.resolve()
  await until(() => late.cancelled() === 1)

  const open = deafFetch((body) => new Response(body, LIVE))
  const live = observe(t, 'http://a.test', { fetch: open.fetch })
  await live.reached('live')
  open.enqueue('data: 1\n\n')
  await until(() => live.history.includes('message: 1'))
  live.stream.close()
  await until(() => open.cancelled() === 1)

  const refused = deafFetch((body) => new Response(body, { status: 404 }))
  const reading = observe(t, 'http://a.test', { fetch: refused.fetch })
  await settle()
  reading.stream.close()
  await until(() => refused.cancelled() === 1)

  await settle()
  t.strictSame(resources(), before)
  t.strictSame([waiting, live, reading].map(({ errors }) => errors), [[], [], []])
})

t.test('closed at any moment between the steps of an attempt, nothing is left', async (t) => {
  await settle()
  const before = resources()
  for (const step of ['headers', 'fetch', 'refused', 'live']) {
    for (let later = 0; later < 24; later++) {
      const seenStates: StreamState[] = []
      let isClosed = false
      let callsAfter = 0
      const closeLater = (turns: number): void => {
        if (turns > 0) return queueMicrotask(() => closeLater(turns - 1))
        stream.close()
        isClosed = true
      }
      const deaf = deafFetch((body) => {
        if (step === 'fetch' || step === 'refused') closeLater(later)
        if (step === 'live') setImmediate(() => { deaf.enqueue('data: 1\n\n'); closeLater(later) })
        return new Response(body, step === 'refused' ? { status: 404 } : LIVE)
      })
      const stream = connect('http://a.test', {
        headers: () => { if (step === 'headers') closeLater(later); return {} },
        fetch (...args) {
          if (isClosed) callsAfter++
          return deaf.fetch(...args)
        },
        onStatus: (_status, state) => seenStates.push(state),
        onError: () => t.fail('an error')
      })
      stream.on('message', () => { if (isClosed) t.fail('an event after the end') })
      await stream.closed
      await settle()
      const name = `${step}, ${later} later`
      t.equal(callsAfter, 0, `${name}: no request after it`)
      t.equal(deaf.cancelled(), deaf.calls(), `${name}: the response is cancelled`)
      t.equal(seenStates.at(-1)?.status, 'closed', name)
      t.strictSame(resources(), before, name)
    }
  }
})

t.test('a long-lived signal has one listener for each stream, however often it reconnects, and none after it', async (t) => {
  const controller = new AbortController()
  const { signal } = controller
  const server = await serveRaw(t, (request, { requests }) => requests.length < 20 ? request.respond(503) : request.open('data: 1\n\n'))
  const seen: Observed = observe(t, server.origin, {
    signal,
    onStatus: (status, { reason }) => { if (status === 'reconnecting' && reason !== 'manual') queueMicrotask(() => seen.stream.reconnect()) }
  })
  await seen.reached('live')
  t.equal(getEventListeners(signal, 'abort').length, 1)
  server.requests.at(-1)!.chunks('event: sse.end\ndata: null\n\n')
  await seen.stream.closed
  t.equal(getEventListeners(signal, 'abort').length, 0, 'ended by the server')

  for (const status of [404, 204]) {
    const refusing = await serveRaw(t, (request) => request.respond(status))
    await observe(t, refusing.origin, { signal }).stream.closed
    t.equal(getEventListeners(signal, 'abort').length, 0, `status ${status}`)
  }
})

t.test('whatever ends the stream, the connection is closed with it', async (t) => {
  await settle()
  const before = resources()
  const endings: Array<[name: string, text: string, options: ConnectOptions]> = [
    ['sse.end', 'event: sse.end\ndata: null\n\n', {}],
    ['sse.fault', 'event: sse.fault\ndata: {"message":"a"}\n\n', {}],
    ['data that is not JSON', 'data: {\n\n', {}],
    ['an event over the limit', `data: ${'x'.repeat(100)}\n\n`, { maxEventBytes: 50 }]
  ]
  const servers: RawServer[] = []
  for (const [name, text, options] of endings) {
    const server = await serveRaw(t, (request) => request.open(text))
    servers.push(server)
    await observe(t, server.origin, options).stream.closed
    await server.requests[0]!.closed
    t.pass(name)
  }
  for (const status of [404, 200]) {
    const server = await serveRaw(t, (request) => {
      request.head(status, { 'content-length': '100000000', 'content-type': 'text/plain' })
      request.raw('x'.repeat(100_000))
    })
    servers.push(server)
    await observe(t, server.origin).stream.closed
    await server.requests[0]!.closed
    t.pass(`status ${status} with a large body`)
  }
  await dropIdle(...servers)
  t.strictSame(resources(), [...before, ...servers.map(() => 'TCPServerWrap')].sort())
})

t.test('leaving a loop closes the stream: by break, by return and by an error', async (t) => {
  const leave: Array<(stream: Observed['stream']) => Promise<unknown>> = [
    async (stream) => { for await (const event of stream) if (event) break },
    async (stream) => { for await (const event of stream) return event },
    async (stream) => { for await (const event of stream) throw new Error(`left at ${event.data}`) }
  ]
  for (const left of leave) {
    const server = await serveRaw(t, (request) => request.open('data: 1\n\ndata: 2\n\n'))
    const { stream, errors } = observe(t, server.origin, { handle: false })
    await left(stream).catch((error) => t.match(error, { message: 'left at 1' }))
    t.match(stream.state, { status: 'closed', reason: 'closed' })
    t.strictSame(errors, [])
    await server.requests[0]!.closed
  }
})

t.test('close() ends a next() that waits', async (t) => {
  const server = await serveRaw(t, (request) => request.open())
  const { stream } = observe(t, server.origin, { handle: false })
  const iterator = stream[Symbol.asyncIterator]()
  const waiting = [iterator.next(), iterator.next()]
  await server.next()
  stream.close()
  t.strictSame(await Promise.all(waiting), [{ done: true, value: undefined }, { done: true, value: undefined }])
})

t.test('a process whose streams are closed comes to its end', async (t: Test) => {
  const server = await serveRaw(t, (request) => request.open('data: 1\n\n'))
  const { spawn } = await import('node:child_process')
  const code = `
    import { connect } from './lib/client.ts'
    const stream = connect('${server.origin}')
    for await (const { data } of stream) { console.log(data); break }
  `
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', code], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => child.kill())
  let out = ''
  child.stdout.on('data', (chunk) => { out += chunk })
  t.equal(await new Promise((resolve) => { child.on('close', resolve) }), 0)
  t.equal(out, '1\n')
})

t.test('an abort after the end of the stream stops what is still waiting to be read', async (t) => {
  const server = await serveRaw(t, (request) => request.open('data: 1\n\ndata: 2\n\ndata: 3\n\nevent: sse.end\ndata: null\n\n'))
  const iterated = new AbortController()
  const seen: unknown[] = []
  const stream = connect(server.origin, { signal: iterated.signal })
  for await (const { data } of stream) {
    seen.push(data)
    await until(() => stream.status === 'closed')
    iterated.abort()
  }
  t.strictSame(seen, [1])

  const handled = new AbortController()
  const given: unknown[] = []
  const other = connect(server.origin, { signal: handled.signal })
  other.on('message', (data) => {
    given.push(data)
    handled.abort()
  })
  await other.closed
  await settle()
  t.strictSame(given, [1])
})
