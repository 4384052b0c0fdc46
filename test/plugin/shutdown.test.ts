import http from 'node:http'
import { setImmediate as nextTurn } from 'node:timers/promises'
import t from 'tap'
import { EventSource } from 'undici'
import { createApp, LEVEL, listen } from '../support/app.js'
import { connect, rawConnect } from '../support/client.js'
import { deferred, forever, until } from '../support/sources.js'

const BIG = 'x'.repeat(20_000)

/** The reconnection time that a stream was sent away with. */
function farewell (text: string): number {
  const match = /(?:^|\n\n)retry: (\d+)\n\n$/.exec(text)
  return Number(match?.[1])
}

t.test('close ends open streams in order, each with a reconnection time of its own', async (t) => {
  const { app } = await createApp(t)
  const steps: string[] = []
  app.get('/', (_request, reply) => reply.sse(async function * ({ signal }) {
    try {
      yield { data: 1 }
      await forever(signal)
    } finally {
      steps.push('finally')
    }
  }))
  app.addHook('onClose', async () => { steps.push('onClose') })
  const { origin } = await listen(app)
  const clients = await Promise.all(Array.from({ length: 20 }, () => connect(t, origin)))
  await Promise.all(clients.map((client) => client.events(1)))
  await app.close()
  const times: number[] = []
  for (const client of clients) {
    await client.rest()
    t.equal(client.ended, 'end')
    times.push(farewell(client.text))
  }
  t.ok(times.every((ms) => ms >= 3000 && ms < 6000), String(times))
  t.ok(new Set(times).size > 10)
  t.strictSame(steps, [...Array(20).fill('finally'), 'onClose'])
  t.strictSame(app.sse.stats(), { open: 0, sources: 0, opened: 20, events: 20, closed: { shutdown: 20 }, channels: {} })
})

t.test('connections that have sent nothing do not hold up close', async (t) => {
  const { app } = await createApp(t)
  let port = 0
  let during: Awaited<ReturnType<typeof rawConnect>> | undefined
  // After the plugin's own hook, while the server still accepts.
  app.addHook('preClose', async () => {
    during = await rawConnect(t, port, '')
  })
  port = (await listen(app)).port
  const before = await rawConnect(t, port, '')
  await app.close()
  await Promise.all([before, during!].map((socket) => until(() => socket.destroyed || socket.readableEnded)))
})

t.test('a stream that Node\'s fetch has left does not hold up close', async (t) => {
  const { app } = await createApp(t)
  app.get('/', (_request, reply) => reply.sse(async function * ({ signal }) {
    yield { data: 1 }
    await forever(signal)
  }))
  const { origin } = await listen(app)
  let connections = 0
  app.server.on('connection', () => { connections++ })
  const controller = new AbortController()
  const response = await fetch(origin, { signal: controller.signal })
  await response.body!.getReader().read()
  controller.abort()
  // The one that fetch opens in its place.
  await until(() => connections === 2)
  await app.close()
  t.strictSame(app.sse.stats().closed, { 'client-left': 1 })
})

t.test('a source that cleans up takes its time before onClose hooks run', async (t) => {
  const { app } = await createApp(t)
  const steps: string[] = []
  app.get('/', (_request, reply) => reply.sse(async function * ({ signal }) {
    try {
      yield { data: 1 }
      await forever(signal)
    } finally {
      for (let turn = 0; turn < 50; turn++) await nextTurn()
      steps.push('cleaned up')
    }
  }))
  app.addHook('onClose', async () => { steps.push('onClose') })
  const { origin } = await listen(app)
  const client = await connect(t, origin)
  await client.events(1)
  await app.close()
  t.strictSame(steps, ['cleaned up', 'onClose'])
})

t.test('a source that never returns is reported, and close finishes all the same', async (t) => {
  const { app, logs } = await createApp(t, { drainTimeoutMs: 100 })
  app.get('/', (_request, reply) => reply.sse(async function * () {
    yield { data: 1 }
    await new Promise(() => {})
  }))
  const { origin } = await listen(app)
  const client = await connect(t, origin)
  await client.events(1)
  await app.close()
  await client.rest()
  t.equal(client.ended, 'end')
  t.strictSame(logs.filter((line) => line.level === LEVEL.warn).map((line) => line.msg),
    ['the source of an event stream has not returned 100 ms after the server began to close: let it stop when its signal aborts'])
})

t.test('a client that does not read is cut off, and close finishes', async (t) => {
  const { app } = await createApp(t)
  app.get('/', (_request, reply) => reply.sse(function * () {
    while (true) yield { data: BIG }
  }))
  const { origin } = await listen(app)
  const client = await connect(t, origin)
  client.stall()
  let seen = -1
  await until(() => {
    const isParked = app.sse.stats().events > 0 && seen === app.sse.stats().events
    seen = app.sse.stats().events
    return isParked
  })
  await app.close()
  t.strictSame(app.sse.stats().closed, { shutdown: 1 })
  t.equal(app.sse.stats().sources, 0)
})

t.test('with drain "finish" a stream may come to its end, and new events are still sent', async (t) => {
  const { app } = await createApp(t, { drain: 'finish' })
  const go = deferred()
  app.get('/', (_request, reply) => reply.sse(async function * () {
    yield { data: 1 }
    await go.promise
    yield { data: 2 }
  }))
  const { origin } = await listen(app)
  const client = await connect(t, origin)
  await client.events(1)
  const closed = app.close()
  await nextTurn()
  go.resolve()
  await closed
  t.equal(await client.rest(), 'data: 2\n\nevent: sse.end\ndata: null\nid: sse.end\n\n')
  t.strictSame(app.sse.stats().closed, { 'source-ended': 1 })
})

t.test('with drain "finish" a stream that does not end in time is sent away', async (t) => {
  const { app } = await createApp(t, { drain: 'finish', drainTimeoutMs: 100 })
  app.get('/', (_request, reply) => reply.sse(async function * ({ signal }) {
    yield { data: 1 }
    await forever(signal)
  }))
  const { origin } = await listen(app)
  const client = await connect(t, origin)
  await client.events(1)
  await app.close()
  await client.rest()
  t.equal(client.ended, 'end')
  t.ok(farewell(client.text) >= 3000)
})

t.test('a stream that is opened while the server closes is sent away at once, without starting its source', async (t) => {
  const { app } = await createApp(t)
  const entered = deferred()
  const go = deferred()
  let runs = 0
  app.get('/open', (_request, reply) => reply.sse(async function * ({ signal }) {
    try {
      yield { data: 1 }
      await forever(signal)
    } finally {
      // The server is closing: the late one is let through before this stream has settled.
      go.resolve()
      await lateDone.promise
    }
  }))
  const lateDone = deferred()
  app.get('/late', { preHandler: async () => { entered.resolve(); await go.promise } }, (_request, reply) => reply.sse(function * () {
    runs++
    yield { data: 1 }
  }))
  const { origin } = await listen(app)
  const open = await connect(t, `${origin}/open`)
  await open.events(1)
  const late = connect(t, `${origin}/late`)
  await entered.promise
  const closed = app.close()
  const client = await late
  await client.rest()
  lateDone.resolve()
  await closed
  t.ok(farewell(client.text) >= 3000)
  t.equal(client.ended, 'end')
  t.equal(runs, 0)
})

t.test('a reconnect during the drain is reset, not refused, so that an EventSource tries again', async (t) => {
  const { app } = await createApp(t, { drain: 'finish' })
  const go = deferred()
  app.get('/', (_request, reply) => reply.sse(async function * () {
    yield { data: 1 }
    await go.promise
  }))
  app.get('/plain', async () => 'plain')
  const { origin } = await listen(app)
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  t.teardown(() => agent.destroy())
  const idle = await connect(t, `${origin}/plain`, { agent })
  await idle.rest()
  const client = await connect(t, origin)
  await client.events(1)
  const closed = app.close()
  await nextTurn()
  await t.rejects(connect(t, origin, { headers: { accept: 'text/event-stream' }, agent }), 'over a connection that was kept')
  await t.rejects(connect(t, origin, { headers: { accept: 'text/event-stream' } }), 'over a new connection')
  const other = await connect(t, `${origin}/plain`)
  t.equal(other.status, 503, 'other requests are answered as ever')
  go.resolve()
  await closed
})

t.test('an EventSource survives a restart of the server', async (t) => {
  const start = async (port: number, n: number) => {
    const { app } = await createApp(t, { reconnectionTimeMs: 10 })
    app.get('/', (_request, reply) => reply.sse(async function * ({ signal, lastEventId }) {
      yield { data: [n, lastEventId ?? null], id: n }
      await forever(signal)
    }))
    await app.listen({ port, host: '127.0.0.1' })
    return app
  }
  const first = await start(0, 1)
  const { port } = first.server.address() as { port: number }
  const source = new EventSource(`http://127.0.0.1:${port}/`)
  t.teardown(() => source.close())
  const messages: unknown[] = []
  let notify = (): void => {}
  source.onmessage = ({ data }) => {
    messages.push(JSON.parse(data))
    notify()
  }
  const message = (count: number) => new Promise<void>((resolve) => {
    notify = () => { if (messages.length >= count) resolve() }
    notify()
  })
  await message(1)
  await first.close()
  await start(port, 2)
  await message(2)
  t.strictSame(messages, [[1, null], [2, '1']])
})

t.test('close with 1,000 open streams leaves no timer, listener or source', async (t) => {
  const { app } = await createApp(t)
  app.get('/', (_request, reply) => reply.sse(async function * ({ signal }) {
    yield { data: 1 }
    await forever(signal)
  }))
  const { port } = await listen(app)
  const sockets = await Promise.all(Array.from({ length: 1000 }, async () => {
    const socket = await rawConnect(t, port, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    await socket.until('data: 1')
    return socket
  }))
  const ended = Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once('end', resolve))))
  await app.close()
  await ended
  t.strictSame(app.sse.stats(), { open: 0, sources: 0, opened: 1000, events: 1000, closed: { shutdown: 1000 }, channels: {} })
  t.ok(sockets.every((socket) => /\r\nretry: \d+\n\n\r\n0\r\n\r\n$/.test(socket.received())))
})
