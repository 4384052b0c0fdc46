import type { Socket } from 'node:net'
import compress from '@fastify/compress'
import cors from '@fastify/cors'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import t, { type Test } from 'tap'
import { defineEvents, text, type RouteStreamOptions, type StreamContext, type StreamHandle } from '../../lib/index.js'
import { createApp } from '../support/app.js'
import { deferred, forever, until } from '../support/sources.js'
import { Changes, foreignClients, NAMES, pageOf, type ForeignClient, type Name, type Open, type OpenOptions, type SeenEvent } from './clients.js'

const OPENING = ': sse-heartbeat: 15000\n\nretry: 10\n\n'
const END = 'event: sse.end\ndata: null\nid: sse.end\n\n'
const FAULT = '{"code":"FST_SSE_SOURCE_FAILED","message":"Internal Server Error"}'
const ERROR_RESPONSE = '{"statusCode":503,"error":"Service Unavailable","message":"not yet"}'

const Things = defineEvents({
  item: Type.Object({ n: Type.Integer(), name: Type.Optional(Type.String()) }),
  note: text(),
  nothing: Type.Null()
})

const CHROMIUM = 'Chromium\'s EventSource'
const UNDICI = 'undici\'s EventSource'
const FETCH = 'fetch-event-source'

/** What a client gives in place of what an event does not have. */
const ABSENT: Record<Name, { type: string | undefined, lastEventId: 'the last one' | '' | undefined }> = {
  [CHROMIUM]: { type: 'message', lastEventId: 'the last one' },
  [UNDICI]: { type: 'message', lastEventId: 'the last one' },
  eventsource: { type: 'message', lastEventId: '' },
  'eventsource-client': { type: undefined, lastEventId: undefined },
  [FETCH]: { type: '', lastEventId: '' },
  // It shows the text: this is what eventsource-parser makes of it.
  curl: { type: undefined, lastEventId: undefined }
}

/** How clients differ in what becomes of them when a stream has ended in order. */
const COMES_BACK: Record<Name, boolean> = {
  [CHROMIUM]: true, [UNDICI]: true, eventsource: true, 'eventsource-client': true, [FETCH]: false, curl: false
}
const STOPS_AS: Record<Name, string> = {
  [CHROMIUM]: 'closed', [UNDICI]: 'closed', eventsource: 'closed', 'eventsource-client': 'closed', [FETCH]: 'resolved', curl: 'exit 0'
}

/** A request for a stream. */
interface Visit {
  lastEventId: string | undefined
  method: string
  body: unknown
  cookie: string | undefined
  socket: Socket
  at: number
}

/** A server of streams that counts its visits. Routes of streams begin with `/stream`; `/page` is an empty page. */
class Server {
  readonly app: FastifyInstance
  readonly visits: Visit[] = []
  readonly #changes = new Changes()
  origin = ''

  constructor (app: FastifyInstance) {
    this.app = app
    app.addHook('preHandler', async (request: FastifyRequest) => {
      if (!request.url.startsWith('/stream')) return
      const { 'last-event-id': lastEventId, cookie } = request.headers
      this.visits.push({
        lastEventId: lastEventId as string | undefined,
        method: request.method,
        body: request.body,
        cookie,
        socket: request.raw.socket,
        at: performance.now()
      })
      this.#changes.tell()
    })
    app.get('/page', (_request, reply) => reply.type('text/html').send('<!doctype html>'))
  }

  /** Adds a stream; `source` is told how many requests came before. */
  stream (url: string, source: (ctx: StreamContext, before: number) => unknown, sse: RouteStreamOptions = {}, events?: typeof Things): void {
    this.app.route({
      method: ['GET', 'POST'],
      url,
      sse,
      schema: events === undefined ? {} : { events },
      handler: (_request, reply) => {
        const before = this.visits.length - 1
        return reply.sse((ctx: StreamContext) => source(ctx, before) as AsyncIterable<never>)
      }
    })
  }

  async listen (port = 0): Promise<void> {
    this.origin = await this.app.listen({ port, host: '127.0.0.1' })
  }

  /** Waits for the request of this number. */
  async visit (number: number): Promise<Visit> {
    await this.#changes.until(() => this.visits.length >= number)
    return this.visits[number - 1]!
  }

  get lastEventIds (): Array<string | undefined> {
    return this.visits.map(({ lastEventId }) => lastEventId)
  }

  /** Breaks the connection of the last request off. */
  cut (): void {
    this.visits.at(-1)!.socket.destroy()
  }

  /** Waits until no stream is open and no source runs. */
  async isQuiet (): Promise<void> {
    await until(() => this.app.sse.stats().open === 0 && this.app.sse.stats().sources === 0)
  }
}

/**
 * A server whose streams send their clients back at once. It closes as the README says for servers that browsers use: those
 * open connections ahead of need, which would hold it up.
 */
async function createServer (t: Test, serverOptions: object = {}): Promise<Server> {
  const { app } = await createApp(t, { reconnectionTimeMs: 10 }, { forceCloseConnections: true, ...serverOptions })
  return new Server(app)
}

/** A server with one stream at `/stream`, and a client of it. */
async function openStream (
  t: Test, open: Open, source: (ctx: StreamContext, before: number) => unknown, options?: OpenOptions
): Promise<{ server: Server, client: ForeignClient }> {
  const server = await createServer(t)
  server.stream('/stream', source)
  await server.listen()
  return { server, client: await open(t, `${server.origin}/stream`, options) }
}

/** A channel with its server, in which events are numbered as they are published. */
async function createChannel (t: Test, events = 1024) {
  const server = await createServer(t)
  const channel = server.app.sse.channel('things', Things, { backlog: { events } })
  const epoch = channel.lastEventId.slice(0, -2)
  server.stream('/stream', () => channel)
  await server.listen()
  return {
    server,
    channel,
    epoch,
    publish: (...numbers: number[]) => { for (const n of numbers) channel.publish({ event: 'item', data: { n } }) },
    items: (...numbers: number[]) => numbers.map((n) => ({ type: 'item', data: `{"n":${n}}`, lastEventId: `${epoch}.${n}` }))
  }
}

/**
 * What brings a client back after its connection was cut: nothing for those that come back by themselves, and another
 * command with the last ID for curl.
 */
async function comeBack (t: Test, name: Name, open: Open, client: ForeignClient, url: string, lastEventId: string): Promise<ForeignClient> {
  if (name !== 'curl') return client
  t.equal(await client.stopped(), 'exit 18', 'curl tells that the response was cut off')
  return open(t, url, { headers: { 'last-event-id': lastEventId } })
}

function item (n: number, id = n): { event: 'item', data: { n: number }, id: number } {
  return { event: 'item', data: { n }, id }
}

function seenItem (n: number, id: string | number = n): SeenEvent {
  return { type: 'item', data: `{"n":${n}}`, lastEventId: String(id) }
}

// A browser takes its time when others use the machine too. The comment is how tap's runner is told.
t.setTimeout(120_000)
t.comment('timeout=120000')

const clients = await foreignClients(t)

for (const [name, open] of clients) {
  const absent = ABSENT[name]
  const byHand = name === 'curl' ? ', by hand' : ''

  // What it reads

  const reads = {
    [CHROMIUM]: 'reads the type, data and last event ID of each event, in order',
    [UNDICI]: 'reads the type, data and last event ID of each event, in order',
    eventsource: 'reads the type and data of each event, in order, and gives an event without an ID of its own the empty one',
    'eventsource-client': 'reads the type, data and ID of each event, in order, and leaves out what an event does not have',
    [FETCH]: 'reads the type, data and ID of each event, in order, gives the empty string for what is absent, and drops empty lines before the first other',
    curl: 'shows each event, in order, as another parser reads it'
  }[name]
  t.test(`${name} ${reads}`, async (t) => {
    const server = await createServer(t)
    const texts = ['one line', 'a\rb\nc\r\nd\n\re', '', '\n', '\n\nx', 'x\n', '  indented: ', 'Zażółć 日本語 🙂 \u2028 \0', 'id: 9\ndata: x\n\nevent: item', ':']
    server.stream('/stream/declared', async function * ({ signal }) {
      yield { event: 'item', data: { n: 1, name: 'é\r\n🙂' }, id: 'first' }
      yield { event: 'nothing', data: null }
      yield { event: 'item', data: { n: 2 }, id: 0 }
      for (const data of texts) yield { event: 'note', data }
      yield { event: 'item', data: { n: 3 }, id: '' }
      yield { event: 'nothing', data: null }
      await forever(signal)
    }, {}, Things)
    const values = [null, '', 0, false, 'a\nb', { 日本: ['🙂'] }]
    server.stream('/stream/plain', async function * ({ signal }) {
      for (const data of values) yield { data, id: 'only' }
      yield { event: 'note', data: 'last' }
      await forever(signal)
    })
    await server.listen()

    const idOf = (id: string): string | undefined => absent.lastEventId === 'the last one' ? id : absent.lastEventId
    const dataOf = (data: string): string => {
      const read = data.replace(/\r\n|\r/g, '\n')
      return name === FETCH ? read.replace(/^\n+/, '') : read
    }
    const declared = await open(t, `${server.origin}/stream/declared`)
    t.strictSame(await declared.take(15), [
      { type: 'item', data: '{"n":1,"name":"é\\r\\n🙂"}', lastEventId: 'first' },
      { type: 'nothing', data: 'null', lastEventId: idOf('first') },
      { type: 'item', data: '{"n":2}', lastEventId: '0' },
      ...texts.map((data) => ({ type: 'note', data: dataOf(data), lastEventId: idOf('0') })),
      { type: 'item', data: '{"n":3}', lastEventId: '' },
      { type: 'nothing', data: 'null', lastEventId: idOf('') }
    ])
    const plain = await open(t, `${server.origin}/stream/plain`)
    t.strictSame(await plain.take(7), [
      ...values.map((data) => ({ type: absent.type, data: JSON.stringify(data), lastEventId: 'only' })),
      { type: 'note', data: '"last"', lastEventId: idOf('only') }
    ])
  })

  t.test(`${name} reads an event of 200 KB, and 2,000 events that are ready at once`, async (t) => {
    const big = '日本語🙂'.repeat(16_000)
    const { client } = await openStream(t, open, async function * ({ signal }) {
      yield { event: 'note', data: big, id: 0 }
      for (let n = 1; n <= 2000; n++) yield item(n)
      await forever(signal)
    })
    t.strictSame(await client.take(1), [{ type: 'note', data: `"${big}"`, lastEventId: '0' }])
    t.strictSame(await client.take(2000), Array.from({ length: 2000 }, (_, index) => seenItem(index + 1)))
  })

  // How it comes back

  if (name !== 'curl') {
    t.test(`${name} waits for the reconnection time of the stream, and then for that of an event`, async (t) => {
      const { server, client } = await openStream(t, open, async function * ({ signal }, before) {
        yield before === 0 ? item(1) : { ...item(2), retry: 300 }
        await forever(signal)
      })
      await client.take(1)
      let cutAt = performance.now()
      server.cut()
      const second = await server.visit(2)
      // By itself each waits for one second or more.
      t.ok(second.at - cutAt < 900, `${second.at - cutAt} ms`)
      await client.take(1)
      cutAt = performance.now()
      server.cut()
      const third = await server.visit(3)
      t.ok(third.at - cutAt >= 290, `${third.at - cutAt} ms`)
    })
  }

  t.test(`${name}, cut off from a channel again and again, gets each event once and in order${byHand}`, async (t) => {
    const { server, channel, publish, items, epoch } = await createChannel(t)
    const url = `${server.origin}/stream`
    let client = await open(t, url)
    await until(() => channel.subscribers === 1)
    const seen: SeenEvent[] = []
    for (let n = 1; n <= 10; n += 3) {
      publish(n)
      seen.push(...await client.take(1))
      server.cut()
      publish(n + 1)
      client = await comeBack(t, name, open, client, url, `${epoch}.${n}`)
      await server.visit((n + 2) / 3 + 1)
      publish(n + 2)
      seen.push(...await client.take(2))
    }
    t.strictSame(seen, items(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12))
    t.strictSame(client.untaken, [])
    t.strictSame(server.lastEventIds, [undefined, `${epoch}.1`, `${epoch}.4`, `${epoch}.7`, `${epoch}.10`])
  })

  if (name !== 'curl') {
    const isTold = !name.startsWith('eventsource')
    t.test(`${name}${name === FETCH ? ' with the callbacks of its README' : ''}, sent away from a channel before its first event, ${isTold
      ? 'comes back with the ID that it was told, and misses nothing'
      : 'comes back without an ID, for it takes none from a block without data, and misses what was published meanwhile'}`, async (t) => {
      const { server, channel, publish, items, epoch } = await createChannel(t)
      publish(1)
      const client = await open(t, `${server.origin}/stream`, { withRecipe: true })
      await until(() => channel.subscribers === 1)
      server.app.sse.evict(() => true)
      publish(2)
      await server.visit(2)
      await until(() => channel.subscribers === 1)
      publish(3)
      t.strictSame(await client.take(isTold ? 2 : 1), isTold ? items(2, 3) : items(3))
      t.strictSame(server.lastEventIds, [undefined, isTold ? `${epoch}.1` : undefined])
    })
  }

  const beyondLatin1 = name === CHROMIUM || name === 'curl'
  t.test(`${name} comes back with an ID of Latin-1, ${beyondLatin1
    ? `and of all Unicode${byHand}`
    : 'and with one beyond it never reaches the server again'}`, async (t) => {
    const server = await createServer(t)
    const ids = ['é', 'ÿ¿½', '日本 🙂']
    // The source sends the ID that it was told as it reads it.
    for (const [index, id] of ids.entries()) {
      server.stream(`/stream/${index}`, async function * ({ signal, lastEventId = '' }) {
        yield { event: 'note', data: lastEventId, id }
        await forever(signal)
      }, {}, Things)
    }
    await server.listen()
    for (const [index, id] of ids.entries()) {
      server.visits.length = 0
      const url = `${server.origin}/stream/${index}`
      let client = await open(t, url)
      t.strictSame(await client.take(1), [{ type: 'note', data: '', lastEventId: id }])
      server.cut()
      if (beyondLatin1 || id !== '日本 🙂') {
        client = await comeBack(t, name, open, client, url, id)
        t.strictSame(await client.take(1), [{ type: 'note', data: id, lastEventId: id }])
      } else {
        await client.changes.until(() => client.failures.length >= 4)
        t.equal(server.visits.length, 1)
      }
      await client.close()
    }
  })

  // What it does when something happens

  t.test(`${name} ${{
    [CHROMIUM]: 'comes back once after sse.end, is answered with 204 and stops',
    [UNDICI]: 'comes back once after sse.end, is answered with 204 and stops',
    eventsource: 'comes back once after sse.end, is answered with 204 and stops',
    'eventsource-client': 'comes back once after sse.end, is answered with 204 and stops',
    [FETCH]: 'does not come back after sse.end, as after any response that ends in order',
    curl: 'exits with 0 after sse.end'
  }[name]}, so that a finite stream is delivered once`, async (t) => {
    let runs = 0
    const { server, client } = await openStream(t, open, function * () {
      runs++
      yield item(1)
      yield item(2)
    })
    t.equal(await client.stopped(), STOPS_AS[name])
    t.strictSame(await client.take(4), [seenItem(1), seenItem(2), { type: 'sse.end', data: 'null', lastEventId: 'sse.end' }])
    t.strictSame(server.lastEventIds, COMES_BACK[name] ? [undefined, 'sse.end'] : [undefined])
    t.equal(runs, 1)
  })

  t.test(`${name} shows sse.gap with its ID, and goes on behind the gap${byHand}`, async (t) => {
    const { server, channel, publish, items, epoch } = await createChannel(t, 2)
    const url = `${server.origin}/stream`
    let client = await open(t, url)
    await until(() => channel.subscribers === 1)
    publish(1)
    t.strictSame(await client.take(1), items(1))
    server.cut()
    publish(2, 3, 4, 5, 6)
    client = await comeBack(t, name, open, client, url, `${epoch}.1`)
    const gap = { reason: 'evicted', requested: `${epoch}.1`, resumedAt: `${epoch}.4` }
    t.strictSame(await client.take(3), [{ type: 'sse.gap', data: JSON.stringify(gap), lastEventId: `${epoch}.4` }, ...items(5, 6)])
    server.cut()
    publish(7)
    client = await comeBack(t, name, open, client, url, `${epoch}.6`)
    t.strictSame(await client.take(1), items(7))
    t.strictSame(client.untaken, [])
  })

  t.test(`${name} shows sse.fault, and ${COMES_BACK[name] ? 'comes back after it with the ID it had' : 'does not come back after it'}`, async (t) => {
    const { server, client } = await openStream(t, open, failingOnce)
    const lastEventId = absent.lastEventId === 'the last one' ? '1' : absent.lastEventId
    t.strictSame(await client.take(2), [seenItem(1), { type: 'sse.fault', data: FAULT, lastEventId }])
    if (COMES_BACK[name]) t.strictSame(await client.take(1), [seenItem(2)])
    else t.equal(await client.stopped(), STOPS_AS[name])
    t.strictSame(server.lastEventIds, COMES_BACK[name] ? [undefined, '1'] : [undefined])
  })

  t.test(`${name} ${{
    [CHROMIUM]: 'stops at an error response',
    [UNDICI]: 'stops at an error response',
    eventsource: 'stops at an error response',
    'eventsource-client': 'comes back after an error response',
    [FETCH]: 'comes back after an error response',
    curl: 'shows an error response, and exits with 0'
  }[name]}`, async (t) => {
    const isFirst = name === 'curl'
    const { server, client } = await openStream(t, open, async function * ({ signal }, before) {
      if (before === 1 || isFirst) throw Object.assign(new Error('not yet'), { statusCode: 503 })
      yield item(before)
      await forever(signal)
    })
    if (isFirst) {
      t.equal(await client.stopped(), 'exit 0')
      t.match(client.head, /^HTTP\/1\.1 503 /)
      t.equal(client.body, ERROR_RESPONSE)
      return
    }
    t.strictSame(await client.take(1), [seenItem(0)])
    server.cut()
    if (name === FETCH || name === 'eventsource-client') {
      t.strictSame(await client.take(1), [seenItem(2)])
      t.strictSame(server.lastEventIds, [undefined, '0', '0'])
    } else {
      t.equal(await client.stopped(), 'closed')
      t.strictSame(server.lastEventIds, [undefined, '0'])
    }
  })

  t.test(`${name} ${COMES_BACK[name]
    ? 'is sent back by a server that closes, and goes on with the next one on its port'
    : 'takes the end of a server that closes for the end of the stream'}`, async (t) => {
    const { client, first, second } = await restart(t, open, name === CHROMIUM || name === FETCH)
    t.strictSame(await client.take(1), [seenItem(1)])
    if (COMES_BACK[name]) t.strictSame(await client.take(1), [seenItem(2)])
    else t.equal(await client.stopped(), STOPS_AS[name])
    t.strictSame(first.app.sse.stats().closed, { shutdown: 1 })
    t.strictSame(second.lastEventIds, COMES_BACK[name] ? ['1'] : [])
  })

  // How it leaves

  const leaves = name === 'curl' ? 'that is killed' : name === FETCH ? 'that is aborted' : 'that is closed'
  t.test(`${name} ${leaves} leaves nothing behind: the source has returned, and no stream is open`, async (t) => {
    let returned = 0
    const { server, client } = await openStream(t, open, async function * ({ signal }) {
      try {
        yield item(1)
        await forever(signal)
      } finally {
        returned++
      }
    })
    await client.take(1)
    await client.close()
    await server.isQuiet()
    t.equal(returned, 1)
    t.strictSame(server.app.sse.stats(), { open: 0, sources: 0, opened: 1, events: 1, closed: { 'client-left': 1 }, channels: {} })
  })
}

async function * failingOnce ({ signal }: StreamContext, before: number): AsyncGenerator {
  yield item(before + 1)
  if (before === 0) throw new Error('secret')
  await forever(signal)
}

/** Closes the server of a client that has seen an event, and starts another one on its port. */
async function restart (t: Test, open: Open, forceCloseConnections: boolean) {
  const start = async (n: number, port?: number): Promise<Server> => {
    const server = await createServer(t, { forceCloseConnections })
    server.stream('/stream', async function * ({ signal }) {
      yield item(n)
      await forever(signal)
    })
    await server.listen(port)
    return server
  }
  const first = await start(1)
  const client = await open(t, `${first.origin}/stream`)
  await client.changes.until(() => client.untaken.length === 1)
  await first.app.close()
  const second = await start(2, Number(new URL(first.origin).port))
  return { client, first, second }
}

// Each waits for a second, so they do it together.
t.test('comments and heartbeats', { jobs: NAMES.length }, async (t) => {
  for (const [name, open] of clients) {
    t.test(`${name} ${{
      [FETCH]: 'shows each comment, heartbeat and reconnection time as an event without type, data and ID',
      curl: 'shows comments and heartbeats, and other parsers see no event in them'
    }[name as string] ?? 'does not show comments and heartbeats'}`, { buffered: true }, async (t) => {
      const server = await createServer(t)
      let stream!: StreamHandle<any>
      server.app.get('/stream', { sse: { heartbeatMs: 1000 } }, (_request, reply) => {
        stream = reply.sse()
        return stream.closed
      })
      await server.listen()
      const client = await open(t, `${server.origin}/stream`)
      const { socket } = await server.visit(1)
      await until(() => stream !== undefined)
      await stream.send(item(1))
      stream.comment('a comment\nevent: item\ndata: {"n":9}\n\ndata: {"n":9}')
      stream.comment()
      await stream.send(item(2))
      t.strictSame(await client.take(2), [seenItem(1), seenItem(2)])
      const written = socket.bytesWritten
      await until(() => socket.bytesWritten > written)
      await stream.send(item(3))
      t.strictSame(await client.take(1), [seenItem(3)])
      // The opening comment, the reconnection time, two comments and the heartbeat.
      t.equal(client.blanks, name === FETCH ? 5 : 0)
      if (name === 'curl') {
        const frame = (n: number): string => `event: item\ndata: {"n":${n}}\nid: ${n}\n\n`
        t.equal(client.body, ': sse-heartbeat: 1000\n\nretry: 10\n\n' + frame(1) +
          ': a comment\n: event: item\n: data: {"n":9}\n: \n: data: {"n":9}\n\n:\n\n' + frame(2) + ':\n\n' + frame(3))
      }
    })
  }
})

// Clients that can send more than a GET

for (const name of ['eventsource-client', FETCH, 'curl'] as const) {
  const open = clients.get(name)
  if (open === undefined) continue
  t.test(`${name} posts a body, and ${name === 'curl' ? 'reads the stream that answers it' : 'posts it again with the last ID when it comes back'}`, async (t) => {
    const body = { question: 'what is «日本語»?', nested: [1, { two: 2 }] }
    const { server, client } = await openStream(t, open, async function * ({ signal, request }, before) {
      yield { event: 'note', data: request.body, id: before }
      await forever(signal)
    }, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
    t.strictSame(await client.take(1), [{ type: 'note', data: JSON.stringify(body), lastEventId: '0' }])
    if (name !== 'curl') {
      server.cut()
      t.strictSame(await client.take(1), [{ type: 'note', data: JSON.stringify(body), lastEventId: '1' }])
    }
    const requests = [{ method: 'POST', lastEventId: undefined, body }, { method: 'POST', lastEventId: '0', body }]
    t.strictSame(server.visits.map(({ method, lastEventId, body }) => ({ method, lastEventId, body })), requests.slice(0, name === 'curl' ? 1 : 2))
    await client.close()
    await server.isQuiet()
  })
}

// fetch-event-source with the callbacks of its README, which throw when a response has ended

const openFetch = clients.get(FETCH)
if (openFetch !== undefined) {
  const open: Open = (t, url, options) => openFetch(t, url, { ...options, withRecipe: true })

  t.test('fetch-event-source with the callbacks of its README comes back after sse.end too, and after each 204', async (t) => {
    let runs = 0
    const { server, client } = await openStream(t, open, function * () {
      runs++
      yield item(1)
    })
    await server.visit(4)
    await client.close()
    t.equal(await client.stopped(), 'resolved')
    t.strictSame(await client.take(3), [seenItem(1), { type: 'sse.end', data: 'null', lastEventId: 'sse.end' }])
    t.strictSame(server.lastEventIds.slice(0, 4), [undefined, 'sse.end', 'sse.end', 'sse.end'])
    t.equal(runs, 1)
  })

  t.test('fetch-event-source with the callbacks of its README comes back after sse.fault with the ID it had', async (t) => {
    const { server, client } = await openStream(t, open, failingOnce)
    t.strictSame(await client.take(3), [seenItem(1), { type: 'sse.fault', data: FAULT, lastEventId: '' }, seenItem(2)])
    t.strictSame(server.lastEventIds, [undefined, '1'])
  })

  t.test('fetch-event-source with the callbacks of its README goes on with the next server on the port of one that closes', async (t) => {
    const { client, second } = await restart(t, open, true)
    t.strictSame(await client.take(2), [seenItem(1), seenItem(2)])
    t.strictSame(second.lastEventIds, ['1'])
  })
}

// Pages of Chromium

const openEventSource = clients.get(CHROMIUM)
if (openEventSource !== undefined && openFetch !== undefined) {
  t.test('a page of Chromium that is closed leaves nothing behind', async (t) => {
    let returned = 0
    const server = await createServer(t)
    server.stream('/stream', async function * ({ signal }) {
      try {
        yield item(1)
        await forever(signal)
      } finally {
        returned++
      }
    })
    await server.listen()
    const client = await openEventSource(t, `${server.origin}/stream`, { pageOrigin: server.origin })
    await client.take(1)
    await pageOf(client).close()
    await server.isQuiet()
    t.equal(returned, 1)
    t.strictSame(server.app.sse.stats().closed, { 'client-left': 1 })
  })

  /** A stream, and a page of another origin that has set a cookie for both, since cookies do not tell ports apart. */
  const openAcross = async (t: Test, open: Open, withCors: boolean, options: OpenOptions = {}) => {
    const pages = await createServer(t)
    pages.app.addHook('onRequest', async (_request, reply) => { reply.header('set-cookie', 'user=ann') })
    await pages.listen()
    const server = await createServer(t)
    if (withCors) await server.app.register(cors, { origin: pages.origin, credentials: true })
    server.stream('/stream', async function * ({ signal }, before) {
      yield item(before)
      await forever(signal)
    })
    await server.listen()
    return { server, client: await open(t, `${server.origin}/stream`, { pageOrigin: pages.origin, ...options }) }
  }

  for (const withCredentials of [false, true]) {
    t.test(`Chromium's EventSource of another origin reads a stream with @fastify/cors, and resumes, ${
      withCredentials ? 'with its cookies when it has credentials' : 'without its cookies'}`, async (t) => {
      const { server, client } = await openAcross(t, openEventSource, true, { withCredentials })
      t.strictSame(await client.take(1), [seenItem(0)])
      server.cut()
      t.strictSame(await client.take(1), [seenItem(1)])
      const cookie = withCredentials ? 'user=ann' : undefined
      t.strictSame(server.visits.map(({ lastEventId, cookie }) => ({ lastEventId, cookie })), [{ lastEventId: undefined, cookie }, { lastEventId: '0', cookie }])
    })
  }

  t.test('Chromium\'s EventSource of another origin stops at a stream without CORS headers, and the stream ends with its page', async (t) => {
    const { server, client } = await openAcross(t, openEventSource, false)
    t.equal(await client.stopped(), 'closed')
    t.strictSame(client.untaken, [])
    t.equal(server.visits.length, 1)
    // It would let go of the refused response by itself after five seconds.
    await pageOf(client).close()
    await server.isQuiet()
    t.strictSame(server.app.sse.stats().closed, { 'client-left': 1 })
  })

  t.test('fetch-event-source of another origin posts and resumes with @fastify/cors, whose preflight lets Last-Event-ID pass', async (t) => {
    const { server, client } = await openAcross(t, openFetch, true,
      { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"a":1}' })
    t.strictSame(await client.take(1), [seenItem(0)])
    server.cut()
    t.strictSame(await client.take(1), [seenItem(1)])
    t.strictSame(server.visits.map(({ lastEventId, body }) => ({ lastEventId, body })), [{ lastEventId: undefined, body: { a: 1 } }, { lastEventId: '0', body: { a: 1 } }])
  })
}

// What curl shows

const openCurl = clients.get('curl')
if (openCurl !== undefined) {
  const frames = 'event: item\ndata: {"n":1}\nid: 1\n\nevent: item\ndata: {"n":2}\nid: 2\n\n'

  /** A stream whose second event waits until the first has been seen. */
  const readStepwise = async (t: Test, args: string[], serverOptions: object = {}, setUp?: (app: FastifyInstance) => Promise<unknown>): Promise<ForeignClient> => {
    const server = await createServer(t, serverOptions)
    await setUp?.(server.app)
    const go = deferred()
    server.stream('/stream', async function * () {
      yield item(1)
      await go.promise
      yield item(2)
    })
    await server.listen()
    const client = await openCurl(t, `${server.origin}/stream`, { args })
    t.strictSame(await client.take(1), [seenItem(1)])
    go.resolve()
    t.equal(await client.stopped(), 'exit 0')
    t.equal(client.body, OPENING + frames + END)
    return client
  }

  t.test('curl -N shows each event as soon as it is sent', async (t) => {
    const { head } = await readStepwise(t, ['-N'])
    t.match(head, /^HTTP\/1\.1 200 OK\r\ncontent-type: text\/event-stream\r\n/)
    t.match(head, /\r\nTransfer-Encoding: chunked\r\n/i)
  })

  t.test('curl --http1.0 shows each event as soon as it is sent, of a response without chunks', async (t) => {
    const { head } = await readStepwise(t, ['-N', '--http1.0'])
    t.notMatch(head, /transfer-encoding/i)
    t.match(head, /\r\nConnection: close\r\n/i)
  })

  t.test('curl --http2-prior-knowledge shows each event as soon as it is sent', async (t) => {
    const { head } = await readStepwise(t, ['-N', '--http2-prior-knowledge'], { http2: true })
    t.match(head, /^HTTP\/2 200 \r\ncontent-type: text\/event-stream\r\n/)
  })

  t.test('curl --compressed shows each event as soon as it is sent, uncompressed, with @fastify/compress', async (t) => {
    const { head } = await readStepwise(t, ['-N', '--compressed'], {}, async (app) => {
      await app.register(compress, { customTypes: /./, threshold: 0 })
    })
    t.notMatch(head, /content-encoding/i)
  })

  t.test('curl --head shows the headers of a stream, and starts no source', async (t) => {
    let runs = 0
    const { client } = await openStream(t, openCurl, function * () {
      runs++
      yield item(1)
    }, { args: ['--head'] })
    t.equal(await client.stopped(), 'exit 0')
    t.match(client.head, /^HTTP\/1\.1 200 OK\r\ncontent-type: text\/event-stream\r\n/)
    t.equal(client.body, '')
    t.equal(runs, 0)
  })
}
