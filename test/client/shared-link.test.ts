// What a tab makes of what other tabs say: here the test is the other tab. All of it in real tabs is in share.test.ts.
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { connect, type ConnectOptions, type EventStream, type ReceivedEvent, type StreamError } from '../../lib/client.js'
import { until } from '../support/sources.js'

const PREFIX = 'fastify-typed-sse/1 '
const TICKS = 'http://sse.test/ticks'

/** Web Locks, as much as is used: Node has them from version 24 on. */
class Locks {
  readonly #queues = new Map<string, Array<() => Promise<void>>>()

  readonly request = (name: string, { signal }: { signal: AbortSignal }, callback: () => Promise<void> | undefined): Promise<void> => {
    const queue = this.#queues.get(name) ?? []
    this.#queues.set(name, queue)
    return new Promise((resolve, reject) => {
      const grant = async (): Promise<void> => {
        await callback()
        queue.shift()
        resolve()
        queue[0]?.()
      }
      signal.addEventListener('abort', () => {
        const index = queue.indexOf(grant)
        if (index < 1) return
        queue.splice(index, 1)
        reject(signal.reason)
      })
      if (queue.push(grant) === 1) queueMicrotask(grant)
    })
  }

  /** How many hold the lock of this name, or wait for it. */
  count (name: string): number {
    return this.#queues.get(PREFIX + name)?.length ?? 0
  }
}

const locks = new Locks()
Object.defineProperty(globalThis, 'navigator', { configurable: true, value: { locks } })

/** A BroadcastChannel whose messages are under way for a while. */
class SlowChannel {
  static readonly #open = new Set<SlowChannel>()
  readonly name: string
  onmessage: ((event: { data: unknown }) => void) | null = null

  constructor (name: string) {
    this.name = name
    SlowChannel.#open.add(this)
  }

  postMessage (data: unknown): void {
    setImmediate(() => {
      for (const channel of SlowChannel.#open) if (channel !== this && channel.name === this.name) channel.onmessage?.({ data })
    })
  }

  close (): void {
    SlowChannel.#open.delete(this)
  }
}

/** Another tab, which holds the lock of a name and says what it is told to say. */
class OtherTab {
  readonly heard: Array<{ type: string }> = []
  readonly #channel: InstanceType<typeof BroadcastChannel>
  #release = (): void => {}

  constructor (t: Test, name: string) {
    this.#channel = new BroadcastChannel(PREFIX + name)
    this.#channel.onmessage = ({ data }: { data: { type: string } }) => this.heard.push(data)
    const request = new AbortController()
    locks.request(PREFIX + name, request, () => new Promise((resolve) => { this.#release = resolve })).catch(() => {})
    t.teardown(() => {
      this.#channel.close()
      request.abort()
      this.#release()
    })
  }

  lead (by: string, id: string, status?: unknown[]): void {
    this.#channel.postMessage({ type: 'lead', by, id, status })
  }

  tell (by: string, ...told: unknown[][]): void {
    this.#channel.postMessage({ type: 'told', by, told })
  }

  release (): void {
    this.#release()
  }
}

function event (id: number | string): unknown[] {
  return ['receive', { event: 'tick', data: String(id), id: String(id) }, false]
}

/** A server as a `fetch`. */
class Server {
  readonly requests: Array<{ headers: Headers, send: (text: string) => void, end: () => void }> = []
  status = 200

  readonly fetch: NonNullable<ConnectOptions['fetch']> = async (_url, { headers, signal }) => {
    let controller!: ReadableStreamDefaultController
    const body = new ReadableStream({ start: (given) => { controller = given } })
    const bytes = new TextEncoder()
    const send = (text: string): void => controller.enqueue(bytes.encode(text))
    ;(signal as AbortSignal).addEventListener('abort', () => controller.error((signal as AbortSignal).reason))
    this.requests.push({ headers: headers as Headers, send, end: () => controller.close() })
    if (this.status !== 200) controller.close()
    return new Response(body, { status: this.status, headers: { 'content-type': 'text/event-stream' } })
  }

  /** The request of this number. */
  async request (number: number): Promise<Server['requests'][number]> {
    await until(() => this.requests.length >= number)
    return this.requests[number - 1]!
  }
}

/** A stream of this tab, and what it has told. */
interface Seen {
  stream: EventStream<ReceivedEvent>
  events: unknown[]
  statuses: string[]
  errors: StreamError[]
}

function open (t: Test, options: ConnectOptions & { read?: boolean }): Seen {
  const seen: Omit<Seen, 'stream'> = { events: [], statuses: [], errors: [] }
  const stream = connect(TICKS, {
    onStatus: (status, { reason }) => seen.statuses.push(reason ? `${status}: ${reason}` : status),
    onError: (error) => seen.errors.push(error),
    ...options as object
  }) as EventStream<ReceivedEvent>
  t.teardown(() => stream.close())
  if (options.read !== false) {
    stream.on('tick', (data) => seen.events.push(data))
    stream.on('sse.gap', (data) => seen.events.push(data))
  }
  return { stream, ...seen }
}

/** A follower of another tab, which has joined. */
async function follow (t: Test, name: string, options: ConnectOptions & { read?: boolean } = {}): Promise<{ other: OtherTab, follower: Seen }> {
  const other = new OtherTab(t, name)
  const follower = open(t, { share: name, ...options })
  await until(() => other.heard.some(({ type }) => type === 'hello'))
  return { other, follower }
}

t.test('what a new leader is sent again is left out where it was seen, whatever was superseded meanwhile', async (t) => {
  const { other, follower: { events, stream } } = await follow(t, t.name)
  other.lead('one', '2', ['live', 0])
  other.tell('one', event(3), event(4), event(5), event(6), event(7))
  await until(() => events.length === 5)
  // The next one has seen less.
  other.lead('two', '4')
  other.tell('two', ['place', '5'], event(5))
  // The sixth is not sent any more.
  other.tell('two', ['place', '6'], ['place', '7'], event(7), ['place', '8'], event(8), event(9))
  await until(() => events.length === 7)
  other.lead('three', '8')
  other.tell('three', event(10))
  await until(() => events.length === 8)
  t.strictSame(events, [3, 4, 5, 6, 7, 8, 9, 10])
  t.equal(stream.lastEventId, '10')
})

t.test('events of one ID are told apart by how many there were', async (t) => {
  const { other, follower: { events } } = await follow(t, t.name)
  const again = (id: string, data: number): unknown[] => ['receive', { event: 'tick', data: String(data), id }, false]
  other.lead('one', '')
  other.tell('one', again('a', 1), again('b', 2), again('b', 3))
  await until(() => events.length === 3)
  other.lead('two', 'a')
  other.tell('two', again('b', 2), again('b', 3), again('b', 4), again('b', 5))
  await until(() => events.length === 5)
  t.strictSame(events, [1, 2, 3, 4, 5])
})

t.test('what a leader says after the next has spoken is not listened to, nor what is said before anybody leads', async (t) => {
  const { other, follower: { events, statuses } } = await follow(t, t.name)
  other.tell('one', event(1))
  other.lead('one', '1', ['live', 0])
  other.tell('one', event(2))
  other.lead('two', '2')
  other.tell('one', event(3), ['status', 'closed', 0, 'done'])
  other.lead('one', '3', ['stale', 0, 'silent'])
  other.tell('two', ['status', 'connecting', 0], ['status', 'live', 0], event(3))
  await until(() => events.length === 2)
  t.strictSame(events, [2, 3])
  t.strictSame(statuses, ['connecting', 'live', 'reconnecting', 'live'])
})

t.test('a leader that goes on from a place which is not known leaves a gap', async (t) => {
  const { other, follower: { events } } = await follow(t, t.name)
  other.lead('one', '1')
  other.tell('one', event(2), event(3))
  other.lead('two', '7')
  other.tell('two', event(8))
  await until(() => events.length === 4)
  t.strictSame(events, [2, 3, { reason: 'evicted', requested: '3', resumedAt: '7' }, 8])
})

t.test('a tab that is granted the lock first takes in what the last leader has said, and goes on from there', async (t) => {
  const server = new Server()
  const { other, follower: { events, statuses } } = await follow(t, t.name, { fetch: server.fetch })
  other.lead('one', '0', ['live', 0])
  other.tell('one', event(1), event(2))
  // Nothing of it has been delivered yet.
  other.release()
  const request = await server.request(1)
  t.equal(request.headers.get('last-event-id'), '2')
  t.strictSame(events, [1, 2])
  // Too late.
  other.tell('one', event(3))
  request.send('id: 3\nevent: tick\ndata: 3\n\n')
  await until(() => events.length === 3)
  await until(() => other.heard.some(({ type }) => type === 'told'))
  t.strictSame(events, [1, 2, 3])
  t.strictSame(statuses, ['connecting', 'live', 'reconnecting', 'live'])
  t.strictSame(other.heard.map(({ by: _by, ...message }: { by?: string, type: string }) => message), [
    { type: 'hello' },
    { type: 'barrier' },
    { type: 'lead', id: '2' },
    { type: 'told', told: [['status', 'connecting', 0, undefined, undefined]] },
    { type: 'told', told: [['status', 'live', 0, undefined, undefined]] },
    { type: 'told', told: [['receive', { event: 'tick', data: '3', id: '3' }, false]] }
  ])
})

t.test('a leader whose stream is over keeps the lock until the others have been told, though locks are faster', async (t) => {
  const server = new Server()
  t.intercept(globalThis, 'BroadcastChannel', { value: SlowChannel })
  const { stream } = open(t, { share: t.name, fetch: server.fetch })
  const request = await server.request(1)
  await until(() => stream.status === 'live')
  // Another tab, which is next.
  const heard: unknown[] = []
  const channel = new SlowChannel(PREFIX + t.name)
  t.teardown(() => channel.close())
  channel.onmessage = ({ data }) => heard.push(...(data as { told?: unknown[] }).told ?? [])
  const isNext = new Promise<void>((resolve, reject) => {
    locks.request(PREFIX + t.name, new AbortController(), async () => resolve()).catch(reject)
  })
  request.send('event: sse.end\ndata: null\n\n')
  await isNext
  t.strictSame(heard, [['status', 'live', 0, undefined, undefined], ['status', 'closed', 0, 'done', undefined]])
})

t.test('a page that is left while others are being told that the stream is over gives up the lock, and listens to nothing when it is back', async (t) => {
  const server = new Server()
  const listeners = new Map<string, Set<() => void>>()
  t.intercept(globalThis, 'BroadcastChannel', { value: SlowChannel })
  t.intercept(globalThis, 'addEventListener' as never, { value: (type: string, listener: () => void) => { listeners.set(type, (listeners.get(type) ?? new Set()).add(listener)) } })
  t.intercept(globalThis, 'removeEventListener' as never, { value: (type: string, listener: () => void) => { listeners.get(type)?.delete(listener) } })
  const fire = (type: string): void => { for (const listener of [...listeners.get(type) ?? []]) listener() }
  const { stream } = open(t, { share: t.name, fetch: server.fetch })
  await until(() => stream.status === 'live')
  stream.close()
  t.equal(locks.count(t.name), 1)
  fire('pagehide')
  await until(() => locks.count(t.name) === 0)
  fire('pageshow')
  t.strictSame(['pagehide', 'freeze', 'pageshow', 'resume'].map((type) => listeners.get(type)!.size), [0, 0, 0, 0])
  t.equal(locks.count(t.name), 0)
})

t.test('other tabs are told of a chunk in one message, and of an ID only when no event has it', async (t) => {
  const server = new Server()
  const { stream } = open(t, { share: t.name, fetch: server.fetch })
  const request = await server.request(1)
  await until(() => stream.status === 'live')
  const other = new OtherTab(t, t.name)
  request.send(': hi\nid: 1\ndata: 1\n\nid: 2\n\nid: 3\nevent: tick\ndata: 3\n\n')
  await until(() => other.heard.length === 1)
  request.send('id: 4\n\n')
  await until(() => other.heard.length === 2)
  const told = other.heard.map((message) => (message as unknown as { told: unknown[] }).told)
  t.strictSame(told, [
    [['comment', 'hi'], ['receive', { event: 'message', data: '1', id: '1' }, false], ['receive', { event: 'tick', data: '3', id: '3' }, false]],
    [['place', '4']]
  ])
})

t.test('who is 4,096 events behind misses those, and is told so, and no other member is', async (t) => {
  const { other, follower: { events } } = await follow(t, t.name)
  const late = open(t, { share: t.name, read: false })
  other.lead('one', '0', ['live', 0])
  await until(() => late.stream.status === 'live')
  other.tell('one', event(1))
  const iterator = late.stream[Symbol.asyncIterator]()
  t.strictSame((await iterator.next()).value, { event: 'tick', data: 1, id: '1' })
  // As many as wait in the reader itself, as many as may wait for it, and one more.
  const total = 6_000
  for (let id = 2; id <= total; id++) other.tell('one', event(id))
  await until(() => events.length === total)
  const taken: ReceivedEvent[] = []
  while (taken.at(-1)?.id !== String(total)) taken.push((await iterator.next()).value!)
  const at = taken.findIndex(({ event }) => event === 'sse.gap')
  const { requested, resumedAt } = taken[at]!.data as { requested: string, resumedAt: string }
  t.strictSame(taken[at], { event: 'sse.gap', data: { reason: 'overrun', requested: String(at + 1), resumedAt }, id: resumedAt })
  t.equal(Number(resumedAt) - Number(requested), 4_097)
  const numbers = (from: number, to: number): ReceivedEvent[] => Array.from({ length: to - from + 1 }, (_, index) => ({ event: 'tick', data: from + index, id: String(from + index) }))
  t.strictSame(taken.slice(0, at), numbers(2, at + 1))
  t.strictSame(taken.slice(at + 1), numbers(Number(resumedAt) + 1, total))
  t.equal(events.length, total)
})

t.test('who is behind when the stream ends gets the rest first', async (t) => {
  const { other, follower: { stream } } = await follow(t, t.name, { read: false })
  other.lead('one', '0', ['live', 0])
  other.tell('one', ...Array.from({ length: 200 }, (_, id) => event(id + 1)), ['status', 'closed', 0, 'status', { kind: 'status', message: 'no more', status: 403, willRetry: false }])
  await until(() => stream.status === 'closed')
  const seen: unknown[] = []
  await t.rejects(async () => {
    for await (const { data } of stream) seen.push(data)
  }, { name: 'StreamError', kind: 'status', message: 'no more', status: 403, willRetry: false })
  t.strictSame(seen, Array.from({ length: 200 }, (_, index) => index + 1))
  t.equal(locks.count(t.name), 1)
})

t.test('what a member fails on while it is given the rest is what ends it', async (t) => {
  const { other, follower } = await follow(t, t.name, { read: false, validate: ({ data }) => data === 100 ? 'no hundred' : undefined })
  other.lead('one', '0', ['live', 0])
  other.tell('one', ...Array.from({ length: 200 }, (_, id) => event(id + 1)), ['status', 'closed', 0, 'done'])
  const { reason, error } = await follower.stream.closed
  t.strictSame([reason, error?.kind], ['invalid', 'invalid'])
  t.strictSame(follower.statuses, ['connecting', 'live', 'closed: invalid'])
})

t.test('a tab that joins is told how the stream stands, and those that know it are not told again', async (t) => {
  const { other, follower } = await follow(t, t.name)
  const error = { kind: 'network', message: 'no way', willRetry: true, delayMs: 5000 }
  other.lead('one', '0', ['live', 0])
  other.tell('one', ['status', 'reconnecting', 3, 'network', error])
  other.lead('one', '0', ['reconnecting', 3, 'network', error])
  other.tell('one', event(1))
  await until(() => follower.events.length === 1)
  t.match(follower.errors, [error])
  t.equal(follower.errors.length, 1)
  const second = open(t, { share: t.name })
  await until(() => second.errors.length === 1)
  t.match(second.stream.state, { status: 'reconnecting', attempt: 3, reason: 'network', delayMs: 5000, error })
})

t.test('what one member fails on ends it alone, at once', async (t) => {
  const { other, follower } = await follow(t, t.name)
  const strict = open(t, { share: t.name, validate: ({ data }) => data === 2 ? 'no two' : undefined })
  other.lead('one', '0', ['live', 0])
  await until(() => strict.stream.status === 'live' && follower.stream.status === 'live')
  other.tell('one', event(1), event(2), event(3))
  await until(() => follower.events.length === 3)
  t.strictSame(strict.events, [1])
  t.equal(strict.stream.state.error!.kind, 'invalid')
  t.equal(follower.stream.status, 'live')
})

t.test('who closes while others are being told is told nothing more', async (t) => {
  const { other, follower } = await follow(t, t.name)
  const second = open(t, { share: t.name })
  follower.stream.on('tick', (data) => { if (data === 2) second.stream.close() })
  second.stream.on('tick', (data) => { if (data === 3) t.fail('it is closed') })
  other.lead('one', '0', ['live', 0])
  await until(() => second.stream.status === 'live' && follower.stream.status === 'live')
  other.tell('one', event(1), event(2), event(3))
  await until(() => follower.events.length === 3)
  t.strictSame(second.events, [1])
})

t.test('requests are made with what the oldest member gives that is still there', async (t) => {
  const server = new Server()
  const asked: string[] = []
  const member = (name: string): Seen => open(t, {
    share: t.name,
    fetch: server.fetch,
    headers: () => ({ 'x-member': name }),
    onUnauthorized: async () => { asked.push(`${name} refreshes`) },
    shouldRetry: ({ kind }) => {
      asked.push(`${name}: ${kind}`)
      return true
    },
    reconnectionTimeMs: 100
  })
  const first = member('first')
  const request = await server.request(1)
  const second = member('second')
  await until(() => second.stream.status === 'live')
  first.stream.close()
  server.status = 401
  request.end()
  await until(() => asked.length === 3)
  second.stream.close()
  t.strictSame(server.requests.map(({ headers }) => headers.get('x-member')), ['first', 'second', 'second'])
  t.strictSame(asked, ['second: ended', 'second refreshes', 'second: status'])
  await until(() => locks.count(t.name) === 0)
})

t.test('where a function gives the URL, and with a body, a name is needed', async (t) => {
  const server = new Server()
  for (const [url, options] of [[() => TICKS, {}], [TICKS, { body: { a: 1 } }]] as const) {
    const { kind, message } = (await connect(url as string, { share: true, fetch: server.fetch, onError () {}, ...options }).closed).error!
    t.strictSame([kind, message], ['request', 'TypeError: share needs a name: a function gives the URL, or there is a body'])
    const stream = connect(url as string, { share: t.name, fetch: server.fetch, ...options })
    await until(() => stream.status === 'live')
    stream.close()
  }
  t.equal(server.requests.length, 2)
})

t.test('a stream that is closed in the turn in which it was opened asks for nothing', async (t) => {
  const server = new Server()
  const stream = connect(TICKS, { share: t.name, fetch: server.fetch })
  stream.close()
  t.match(await stream.closed, { status: 'closed', reason: 'closed' })
  await until(() => locks.count(t.name) === 0)
  t.equal(server.requests.length, 0)
})

t.test('Node shares among the streams of a process, where it has locks, and ends when they are closed', async (t) => {
  const { stdout } = await promisify(execFile)(process.execPath, ['--import=tsx', '--input-type=module', '--eval', `
    import { createServer } from 'node:http'
    import { connect } from ${JSON.stringify(fileURLToPath(new URL('../../lib/client.ts', import.meta.url)))}
    let requests = 0
    const server = createServer((_request, response) => {
      requests++
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: 1\\n\\n')
    }).listen(0, '127.0.0.1', async () => {
      const url = 'http://127.0.0.1:' + server.address().port
      const streams = [connect(url, { share: true }), connect(url, { share: true })]
      await Promise.all(streams.map((stream) => new Promise((resolve) => stream.on('message', resolve))))
      for (const stream of streams) stream.close()
      server.close()
      console.log(requests, Boolean(globalThis.navigator?.locks))
    })
  `], { timeout: 30_000 })
  t.equal(stdout, process.versions.node >= '24' ? '1 true\n' : '2 false\n')
})

t.test('a POST that the tab before has sent is not sent again, unless shouldRetry says so', async (t) => {
  for (const [name, shouldRetry, requests] of [['silent', undefined, 0], ['no', () => false, 0], ['yes', () => true, 1]] as const) {
    const server = new Server()
    const { other, follower: { stream, events } } = await follow(t, `${t.name} ${name}`, {
      body: { a: 1 }, fetch: server.fetch, reconnectionTimeMs: 100, ...(shouldRetry && { shouldRetry }), onError: () => {}
    })
    other.lead('one', '', ['live', 0])
    other.tell('one', ['receive', { event: 'tick', data: '1', id: '' }, false])
    await until(() => events.length === 1)
    other.release()
    if (requests === 0) {
      t.match(await stream.closed, { reason: 'ended', error: { kind: 'ended', message: 'The tab that had sent this POST request is gone', willRetry: false } })
    } else {
      await server.request(1)
    }
    t.equal(server.requests.length, requests)
  }
})

t.test('a POST that can go on from its last event ID is sent by the next tab', async (t) => {
  const server = new Server()
  const { other, follower: { events } } = await follow(t, t.name, { body: { a: 1 }, fetch: server.fetch })
  other.lead('one', '', ['live', 0])
  other.tell('one', event(1))
  await until(() => events.length === 1)
  other.release()
  t.equal((await server.request(1)).headers.get('last-event-id'), '1')
})

t.test('close() in the first onStatus leaves nothing of a shared stream', async (t) => {
  const server = new Server()
  const states: string[] = []
  const stream = connect(TICKS, {
    share: t.name,
    fetch: server.fetch,
    onStatus (status) {
      states.push(status)
      stream.close()
    }
  })
  await stream.closed
  const later = open(t, { share: t.name, fetch: server.fetch })
  const { send } = await server.request(1)
  send('event: tick\ndata: 1\nid: 1\n\n')
  await until(() => later.events.length === 1)
  later.stream.close()
  await until(() => locks.count(t.name) === 0)
  t.equal(server.requests.length, 1)
  t.strictSame(states, ['connecting', 'closed'])
})
