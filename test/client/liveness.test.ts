import t, { type Test } from 'tap'
import { until } from '../support/sources.js'
import { observe, pinRandom, proxyTo, serveRaw, settle, stopTime, type Observed, type ObserveOptions, type RawRequest, type RawServer } from './servers.js'

/** The heartbeat of most servers here: a limit of 3 seconds, which is looked at every 750 ms. */
const HEARTBEAT = { 'sse-heartbeat': '1000' }

interface Opened {
  server: RawServer
  seen: Observed
  request: RawRequest
  /** Lets time pass, and all come to its end that it has begun. */
  pass: (ms: number) => Promise<void>
  clock: ReturnType<typeof stopTime>
}

/** A stream that is live, at a time that stands still. */
async function openStream (t: Test, headers: Record<string, string> = HEARTBEAT, options: ObserveOptions = {}, ...chunks: string[]): Promise<Opened> {
  const clock = stopTime(t)
  const server = await serveRaw(t)
  const seen = observe(t, server.origin, options)
  const request = await server.next()
  request.openWith(headers, ...chunks)
  await seen.reached('live')
  await settle()
  return { server, seen, request, clock, pass: passOf(clock) }
}

function passOf (clock: ReturnType<typeof stopTime>): (ms: number) => Promise<void> {
  return async (ms) => {
    // In steps, so that what sockets bring comes between the timers.
    for (let left = ms; left > 0; left -= 250) {
      clock.tick(Math.min(left, 250))
      await settle()
    }
  }
}

t.test('a stream that is silent for half its limit is stale, and for all of it stalled, each up to a quarter later', async (t) => {
  const { server, seen, request, pass } = await openStream(t)
  await pass(1_500)
  t.strictSame(seen.statuses, ['connecting', 'live'])
  await pass(750)
  t.strictSame(seen.statuses, ['connecting', 'live', 'stale: silent'])
  t.equal(seen.stream.status, 'stale')
  await pass(750)
  t.strictSame(seen.statuses, ['connecting', 'live', 'stale: silent'])
  await pass(750)
  t.strictSame(seen.statuses, ['connecting', 'live', 'stale: silent', 'reconnecting: stalled'])
  t.match(seen.errors, [{ kind: 'stalled', willRetry: true }])
  await request.closed
  await pass(1_250)
  t.equal((await server.next()).lastEventId, undefined)
})

t.test('a stale stream that brings something is live again', async (t) => {
  const { seen, request, pass } = await openStream(t)
  for (const [bytes, count] of [['data: 1\n\n', 2], [':\n\n', 3], ['\n', 4], ['d', 5]] as const) {
    await pass(2_250)
    t.equal(seen.stream.status, 'stale')
    request.chunks(bytes)
    await seen.reached('live', count)
  }
  t.strictSame(seen.errors, [])
})

t.test('any byte feeds the watchdog: a stream with heartbeats stays live', async (t) => {
  const { seen, request, pass } = await openStream(t, HEARTBEAT, {}, 'data: 1\n\n')
  for (let n = 0; n < 20; n++) {
    await pass(1_000)
    request.chunks(n % 2 === 0 ? ':\n\n' : 'x')
    await settle()
  }
  t.strictSame(seen.statuses, ['connecting', 'live'])
  t.strictSame(seen.errors, [])
})

t.test('the limit is three times the heartbeat that the server tells, by its header or its opening comment', async (t) => {
  const told: Array<[headers: Record<string, string>, options: ObserveOptions, chunk: string, limitMs: number]> = [
    [{ 'sse-heartbeat': '2000' }, {}, '', 6_000],
    [{}, {}, ': sse-heartbeat: 2000\n\n', 6_000],
    [{ 'sse-heartbeat': '9000' }, {}, ': sse-heartbeat: 2000\n\n', 6_000],
    [{ 'sse-heartbeat': '2000' }, { stallTimeoutMs: 4_000 }, ': sse-heartbeat: 9000\n\n', 4_000],
    [{}, { stallTimeoutMs: 4_000 }, '', 4_000]
  ]
  for (const [headers, options, chunk, limitMs] of told) {
    await t.test(`${JSON.stringify(headers)} ${JSON.stringify(options)} ${chunk.trim()}`, async (t) => {
      const { seen, pass } = await openStream(t, headers, options, chunk)
      await pass(limitMs)
      t.strictSame(seen.errors, [])
      await pass(limitMs / 4)
      t.match(seen.errors, [{ kind: 'stalled' }])
    })
  }
})

t.test('there is no limit when none is told, when it is told to be none, and when stallTimeoutMs is 0', async (t) => {
  const told: Array<[headers: Record<string, string>, options: ObserveOptions, chunk: string]> = [
    [{}, {}, ''],
    [{ 'sse-heartbeat': '0' }, {}, ''],
    [{ 'sse-heartbeat': 'often' }, {}, ''],
    [{ 'sse-heartbeat': '-1000' }, {}, ''],
    [HEARTBEAT, {}, ': sse-heartbeat: 0\n\n'],
    [HEARTBEAT, { stallTimeoutMs: 0 }, ': sse-heartbeat: 1000\n\n']
  ]
  for (const [headers, options, chunk] of told) {
    await t.test(`${JSON.stringify(headers)} ${JSON.stringify(options)} ${chunk.trim()}`, async (t) => {
      const { seen, clock, pass } = await openStream(t, headers, options, chunk)
      // Whatever Node's fetch waits for is over by then.
      clock.tick(86_400_000)
      t.equal(clock.countTimers(), 0)
      await pass(1)
      t.strictSame(seen.statuses, ['connecting', 'live'])
    })
  }
})

t.test('a heartbeat that is longer than a timer can hold is no short one', async (t) => {
  const { seen, clock, pass } = await openStream(t, { 'sse-heartbeat': '5000000000' })
  clock.tick(86_400_000)
  await pass(1)
  t.strictSame(seen.statuses, ['connecting', 'live'])
})

t.test('waiting for the answer counts: 45 seconds, or stallTimeoutMs', async (t) => {
  for (const [options, limitMs] of [[{}, 45_000], [{ stallTimeoutMs: 4_000 }, 4_000]] as const) {
    await t.test(JSON.stringify(options), async (t) => {
      const clock = stopTime(t)
      const server = await serveRaw(t)
      const seen = observe(t, server.origin, options)
      const request = await server.next()
      // A part of the head is no answer.
      request.raw('HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n')
      await settle()
      clock.tick(limitMs)
      await settle()
      t.strictSame(seen.statuses, ['connecting'])
      clock.tick(limitMs / 4)
      await seen.reached('reconnecting')
      t.match(seen.errors, [{ kind: 'stalled', willRetry: true }])
      await request.closed
    })
  }
})

t.test('so does waiting for headers, url and body', async (t) => {
  const clock = stopTime(t)
  const never = new Promise<never>(() => {})
  const pending: Array<() => Observed> = [
    () => observe(t, 'http://127.0.0.1:1', { headers: () => never }),
    () => observe(t, 'http://127.0.0.1:1', { method: 'QUERY', body: () => never }),
    () => observe(t, () => never)
  ]
  for (const connectTo of pending) {
    const seen = connectTo()
    await seen.reached('connecting')
    clock.tick(45_000)
    await settle()
    t.strictSame(seen.statuses, ['connecting'])
    clock.tick(11_250)
    t.match((await seen.reached('reconnecting')).error, { kind: 'stalled' })
  }
})

t.test('there is no limit for the answer when stallTimeoutMs is 0', async (t) => {
  const clock = stopTime(t)
  const server = await serveRaw(t)
  const seen = observe(t, server.origin, { stallTimeoutMs: 0 })
  await server.next()
  clock.tick(200_000)
  await settle()
  t.strictSame(seen.statuses, ['connecting'])
})

t.test('behind a proxy that freezes without FIN the stream reconnects, and goes on where it was', async (t) => {
  const clock = stopTime(t)
  const pass = passOf(clock)
  pinRandom(t, 0)
  const server = await serveRaw(t)
  const proxy = await proxyTo(t, server.port)
  const seen = observe(t, proxy.origin)
  const first = await server.next()
  first.openWith(HEARTBEAT, 'id: 1\ndata: 1\n\n', 'id: 2\ndata')
  await until(() => seen.history.includes('message: 1 (1)'))

  // In the middle of a stream.
  proxy.freeze()
  first.chunks(': 2\n\n')
  await pass(3_750)
  const { delayMs } = await seen.reached('reconnecting')
  t.equal(delayMs, 1_000)

  // And at the head.
  await pass(1_000)
  await until(() => proxy.pairs.size >= 2)
  await pass(45_000)
  t.equal(server.requests.length, 1)
  t.equal(seen.errors.length, 1)
  await pass(11_250)
  await seen.reached('reconnecting', 2)
  t.strictSame(seen.errors.map(({ kind }) => kind), ['stalled', 'stalled'])

  proxy.thaw()
  await pass(1_000)
  await until(() => server.requests.some((request) => request.lastEventId === '1' && !request.isClosed))
  server.requests.at(-1)!.openWith(HEARTBEAT, 'id: 2\ndata: 2\n\n')
  await until(() => seen.history.includes('message: 2 (2)'))
  t.strictSame(seen.history, [
    'connecting', 'live', 'message: 1 (1)', 'stale: silent', 'error: stalled', 'reconnecting: stalled', 'error: stalled', 'reconnecting: stalled', 'live', 'message: 2 (2)'
  ])
})

t.test('a reader that pauses is no stall', async (t) => {
  const { seen, request, clock } = await openStream(t, HEARTBEAT, { handle: false })
  const iterator = seen.stream[Symbol.asyncIterator]()
  for (let n = 0; n < 100; n++) request.chunks(`data: ${n}\n\n`)
  t.strictSame(await iterator.next(), { done: false, value: { event: 'message', data: 0 } })
  await settle()
  clock.tick(3_600_000)
  await settle()
  t.strictSame(seen.statuses, ['connecting', 'live'])
  for (let n = 1; n < 100; n++) t.equal((await iterator.next()).value?.data, n)
  t.strictSame(seen.statuses, ['connecting', 'live'])
})

t.test('a machine that slept has heard nothing, and judges nothing by that', async (t) => {
  const { seen, clock, request, pass } = await openStream(t)
  clock.jump(3_600_000)
  await settle()
  t.strictSame(seen.statuses, ['connecting', 'live'])
  request.chunks('data: 1\n\n')
  await until(() => seen.history.includes('message: 1'))
  t.strictSame(seen.errors, [])

  clock.jump(3_600_000)
  await pass(3_750)
  t.strictSame(seen.statuses, ['connecting', 'live', 'stale: silent', 'reconnecting: stalled'], 'a connection that is dead is still found')
})

/** What a page has, as far as the client looks at it. */
function fakePage (t: Test): { tell: (type: string) => void, hide: (isHidden: boolean) => void, listeners: Set<string> } {
  const target = new EventTarget()
  const listeners = new Set<string>()
  const document = { visibilityState: 'visible' }
  const globals = {
    addEventListener (type: string, listener: () => void) {
      listeners.add(type)
      target.addEventListener(type, listener)
    },
    removeEventListener (type: string, listener: () => void) {
      listeners.delete(type)
      target.removeEventListener(type, listener)
    },
    document
  }
  Object.assign(globalThis, globals)
  t.teardown(() => {
    for (const name of Object.keys(globals)) delete (globalThis as Record<string, unknown>)[name]
  })
  return {
    listeners,
    tell: (type) => target.dispatchEvent(new Event(type)),
    hide: (isHidden) => { document.visibilityState = isHidden ? 'hidden' : 'visible' }
  }
}

for (const type of ['online', 'visibilitychange', 'pageshow']) {
  t.test(`at ${type} a stream that is silent is tested: it has half its limit left to say something`, async (t) => {
    const page = fakePage(t)
    const { seen, request, pass } = await openStream(t)
    page.tell(type)
    t.equal(seen.stream.status, 'live', 'one that has just been heard of is not')
    await pass(750)
    page.tell(type)
    t.equal(seen.stream.status, 'stale')
    await pass(750)
    page.tell(type)
    t.equal(seen.stream.status, 'stale', 'again is not sooner')
    request.chunks(':\n\n')
    await seen.reached('live', 2)
    t.strictSame(seen.errors, [])

    await pass(750)
    page.tell(type)
    await pass(1_500)
    t.match(seen.errors, [{ kind: 'stalled' }])
    await request.closed
  })

  t.test(`at ${type} a stream that waits connects again, as soon as the server allows it`, async (t) => {
    const page = fakePage(t)
    const clock = stopTime(t)
    pinRandom(t, 1)
    const server = await serveRaw(t, (request, { requests }) => {
      if (requests.length === 3) request.respond(503, { 'retry-after': '7' })
      else request.respond(503)
    })
    const seen = observe(t, server.origin, { reconnectionTimeMs: 1_000 })
    t.equal((await seen.reached('reconnecting')).delayMs, 1_250)
    page.tell(type)
    clock.tick(999)
    await settle()
    t.equal(server.requests.length, 1)
    clock.tick(1)
    t.equal((await seen.reached('reconnecting', 2)).delayMs, 2_250)
    clock.tick(1_100)
    page.tell(type)
    clock.tick(1)
    t.equal((await seen.reached('reconnecting', 3)).delayMs, 10_250)
    clock.tick(6_000)
    page.tell(type)
    clock.tick(999)
    await settle()
    t.equal(server.requests.length, 3)
    clock.tick(1)
    await seen.reached('reconnecting', 4)
  })
}

t.test('a page that is hidden tests nothing', async (t) => {
  const page = fakePage(t)
  const { seen, pass } = await openStream(t)
  await pass(750)
  page.hide(true)
  page.tell('visibilitychange')
  page.tell('online')
  t.equal(seen.stream.status, 'live')
  page.hide(false)
  page.tell('visibilitychange')
  t.equal(seen.stream.status, 'stale')
})

t.test('a Retry-After that no timer can hold is not cut short by the page', async (t) => {
  const page = fakePage(t)
  const clock = stopTime(t)
  const server = await serveRaw(t, (request) => request.respond(503, { 'retry-after': '99999999999' }))
  const seen = observe(t, server.origin)
  await seen.reached('reconnecting')
  page.tell('online')
  clock.tick(86_400_000)
  await settle()
  t.equal(server.requests.length, 1)
})

t.test('a stream without a limit is not tested: what is silent is what it is', async (t) => {
  const page = fakePage(t)
  const { seen, clock } = await openStream(t, {})
  clock.tick(3_600_000)
  page.tell('online')
  t.strictSame(seen.statuses, ['connecting', 'live'])
})

t.test('the page is listened to while the stream is open, and not after it', async (t) => {
  const page = fakePage(t)
  const { seen } = await openStream(t)
  t.strictSame([...page.listeners].sort(), ['online', 'pageshow', 'visibilitychange'])
  seen.stream.close()
  t.strictSame([...page.listeners], [])
  const server = await serveRaw(t, (request) => request.respond(404))
  await observe(t, server.origin).stream.closed
  t.strictSame([...page.listeners], [])
})

t.test('the status is a value, and each change is told with a new state', async (t) => {
  const server = await serveRaw(t)
  const values: string[] = []
  const seen: Observed = observe(t, server.origin, { onStatus: (status, state) => values.push(`${status} ${seen.stream.status} ${String(seen.stream.state === state)}`) })
  t.strictSame({ ...seen.stream.state }, { status: 'connecting', attempt: 0 })
  ;(await server.next()).respond(503)
  await seen.reached('reconnecting')
  seen.stream.reconnect()
  ;(await server.next()).open('data: 1\n\n')
  await seen.reached('live')
  seen.stream.close()
  t.strictSame(values, ['connecting', 'reconnecting', 'reconnecting', 'live', 'closed'].map((status) => `${status} ${status} true`))
  t.equal(new Set(seen.states).size, 5)
  t.strictSame(seen.states.map(({ attempt }) => attempt), [0, 1, 1, 1, 1])
})
