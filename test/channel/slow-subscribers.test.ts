import type { Socket } from 'node:net'
import { Type } from '@sinclair/typebox'
import t, { type Test } from 'tap'
import type { FastifyInstance } from 'fastify'
import {
  defineEvents, type Channel, type ChannelOptions, type Disconnect, type EventOf, type RouteStreamOptions, type SubscribeOptions
} from '../../lib/index.js'
import { createApp, LEVEL, listen, streamLogs, type LogLine } from '../support/app.js'
import { connect, rawConnect, type FrameClient } from '../support/client.js'
import { until } from '../support/sources.js'

const OPENING = ': sse-heartbeat: 15000\n\nretry: 3000\n\n'

const Feed = defineEvents({ item: Type.Object({ n: Type.Integer(), fill: Type.String() }), state: Type.Object({ at: Type.Integer() }) })
type FeedEvent = EventOf<typeof Feed>

/** Each event fills a segment of the ring of its own. */
const BIG = 'x'.repeat(100_000)

interface Probe {
  app: FastifyInstance
  logs: LogLine[]
  feed: Channel<FeedEvent>
  epoch: string
  origin: string
  port: number
  ends: Disconnect[]
  sockets: Socket[]
  /** Publishes one event; returns its number, which is its offset. */
  publish: (fill?: string) => number
  /** Opens a stream, and publishes until its connection has taken nothing for fifty turns. */
  openBlocked: (url?: string) => Promise<FrameClient>
}

async function probe (t: Test, options: ChannelOptions<FeedEvent>, subscribe: SubscribeOptions<FeedEvent> = {}, sse: RouteStreamOptions = {}): Promise<Probe> {
  const { app, logs } = await createApp(t)
  const feed = app.sse.channel('feed', Feed, options)
  const ends: Disconnect[] = []
  const sockets: Socket[] = []
  app.server.on('connection', (socket: Socket) => { sockets.push(socket) })
  const streaming = { ...sse, onDisconnect: (_request: unknown, end: Disconnect) => { ends.push(end) } }
  app.get('/', { sse: streaming }, (_request, reply) => reply.sse(feed.subscribe(subscribe)))
  app.get('/filtered', { sse: streaming }, (_request, reply) => reply.sse(feed.subscribe({ ...subscribe, filter: () => true })))
  const { origin, port } = await listen(app)
  let n = 0
  const publish = (fill = BIG): number => {
    feed.publish({ event: 'item', data: { n: ++n, fill } })
    return n
  }
  return {
    app,
    logs,
    feed,
    epoch: feed.lastEventId.slice(0, -2),
    origin,
    port,
    ends,
    sockets,
    publish,
    openBlocked: async (url = '/') => {
      const { subscribers } = feed
      const client = await connect(t, origin + url)
      await until(() => feed.subscribers === subscribers + 1 && client.text.length > OPENING.length)
      client.stall()
      const socket = sockets.at(-1)!
      let turns = 0
      await until(() => {
        if (socket.writableLength > 0) return ++turns === 50
        turns = 0
        publish()
        return false
      })
      return client
    }
  }
}

function numbers (text: string): number[] {
  return [...text.matchAll(/^event: item\ndata: \{"n":(\d+)/gm)].map(([, n]) => Number(n))
}

function gaps (text: string): Array<{ reason: string, requested: string, resumedAt: string }> {
  return [...text.matchAll(/^event: sse\.gap\ndata: (.*)$/gm)].map(([, data]) => JSON.parse(data!))
}

function range (first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index)
}

/** The last ID that a client has been told. */
function lastId (client: FrameClient): string {
  return [...client.text.matchAll(/^id: (.*)$/gm)].at(-1)![1]!
}

for (const url of ['/', '/filtered']) {
  t.test(`a client that reads again before anything was evicted misses nothing (${url})`, async (t) => {
    const { feed, ends, publish, openBlocked } = await probe(t, { backlog: { events: 1000, bytes: 256 << 20 } })
    const client = await openBlocked(url)
    for (let n = 0; n < 20; n++) publish()
    const last = publish('x')
    client.response.resume()
    await until(() => client.text.includes(`"n":${last},`))
    t.strictSame(numbers(client.text), range(1, last))
    t.strictSame(gaps(client.text), [])
    t.strictSame(ends, [])
    const { overruns, left, delivered } = feed.stats()
    t.strictSame({ overruns, gaps: feed.stats().gaps, left, delivered }, { overruns: {}, gaps: {}, left: {}, delivered: last })
  })

  t.test(`overrun "disconnect" ends the stream, and its ID resumes with a gap (${url})`, async (t) => {
    const { logs, feed, epoch, origin, ends, publish, openBlocked } = await probe(t, { backlog: { events: 4 } })
    const client = await openBlocked(url)
    for (let n = 0; n < 10; n++) publish()
    const last = publish('x')
    t.equal(feed.subscribers, 1, 'it is found out when it reads again')
    client.response.resume()
    await client.rest()
    t.equal(client.ended, 'end')
    const before = numbers(client.text)
    t.strictSame(before, range(1, before.length))
    t.strictSame(ends.map(({ reason, error }) => [reason, error]), [['slow-subscriber', undefined]])
    t.strictSame(streamLogs(logs).map(({ level, sse }) => [level, sse?.reason]), [[LEVEL.debug, 'slow-subscriber']])
    t.equal(lastId(client), `${epoch}.${before.length}`)
    const back = await connect(t, origin + url, { headers: { 'last-event-id': lastId(client) } })
    await until(() => back.text.includes(`"n":${last},`))
    t.strictSame(gaps(back.text), [{ reason: 'evicted', requested: lastId(client), resumedAt: `${epoch}.${last - 4}` }])
    t.strictSame(numbers(back.text), range(last - 3, last))
    const { overruns, left } = feed.stats()
    t.strictSame({ overruns, gaps: feed.stats().gaps, left }, { overruns: { disconnect: 1 }, gaps: { evicted: 1 }, left: { 'slow-subscriber': 1 } })
  })

  for (const overrun of ['skip', 'latest'] as const) {
    t.test(`overrun "${overrun}" tells the gap and goes on, on the same stream (${url})`, async (t) => {
      // Of the subscription, which goes before that of the channel.
      const { feed, epoch, ends, publish, openBlocked } = await probe(t, { backlog: { events: 4 }, overrun: 'disconnect' }, { overrun })
      const client = await openBlocked(url)
      for (let n = 0; n < 10; n++) publish()
      const last = publish('x')
      client.response.resume()
      await until(() => client.text.includes(`"n":${last},`))
      const next = publish('x')
      await until(() => client.text.includes(`"n":${next},`))
      const received = numbers(client.text)
      const first = overrun === 'skip' ? last - 3 : last
      const before = received.filter((n) => n < first)
      t.strictSame(before, range(1, before.length))
      t.strictSame(received.slice(before.length), range(first, next))
      t.strictSame(gaps(client.text), [{ reason: 'overrun', requested: `${epoch}.${before.length}`, resumedAt: `${epoch}.${first - 1}` }])
      t.match(client.text, `"resumedAt":"${epoch}.${first - 1}"}\nid: ${epoch}.${first - 1}\n\nevent: item\n`)
      t.strictSame(ends, [])
      const { overruns, left } = feed.stats()
      t.strictSame({ overruns, gaps: feed.stats().gaps, left }, { overruns: { [overrun]: 1 }, gaps: { overrun: 1 }, left: {} })
    })
  }
}

t.test('after an overrun that it is told, a subscriber is given what onGap or snapshot gives', async (t) => {
  for (const hook of ['onGap', 'snapshot'] as const) {
    let now = 0
    const { feed, epoch, publish, openBlocked } = await probe(t, { backlog: { events: 4 } }, {
      overrun: 'skip',
      from: 'earliest',
      [hook]: async () => {
        const at = now
        await new Promise(setImmediate)
        return [{ event: 'state', data: { at } }]
      }
    })
    const client = await openBlocked()
    for (let n = 0; n < 10; n++) now = publish()
    client.response.resume()
    await until(() => client.text.includes('event: state\n'))
    const last = publish('x')
    await until(() => client.text.includes(`"n":${last},`))
    const before = numbers(client.text).length - 1
    const tail = client.text.slice(client.text.indexOf('event: sse.gap'))
    t.equal(tail, `event: sse.gap\ndata: {"reason":"overrun","requested":"${epoch}.${before}","resumedAt":"${epoch}.${now}"}\n\n` +
      `event: state\ndata: {"at":${now}}\n\nid: ${epoch}.${now}\n\n` +
      `event: item\ndata: {"n":${last},"fill":"x"}\nid: ${epoch}.${last}\n\n`, hook)
    t.equal(feed.subscribers, 1)
  }
})

t.test('what onGap throws at an overrun is a fault', async (t) => {
  const { ends, publish, openBlocked } = await probe(t, { backlog: { events: 4 } }, { overrun: 'skip', onGap: () => { throw new Error('mine') } })
  const client = await openBlocked()
  for (let n = 0; n < 10; n++) publish()
  client.response.resume()
  await client.rest()
  t.ok(client.text.endsWith('event: sse.fault\ndata: {"code":"FST_SSE_SOURCE_FAILED","message":"Internal Server Error"}\n\n'))
  t.strictSame(ends.map(({ reason, error }) => [reason, (error as Error).message]), [['source-failed', 'mine']])
})

t.test('a client that takes nothing for stallTimeoutMs is cut off, and resumes by its ID', async (t) => {
  const { logs, feed, origin, ends, publish, openBlocked } = await probe(t, { backlog: { events: 1000, bytes: 256 << 20 } }, {}, { stallTimeoutMs: 300 })
  const client = await openBlocked()
  const last = publish('x')
  await until(() => feed.subscribers === 0)
  t.strictSame(ends.map(({ reason }) => reason), ['client-stalled'])
  t.strictSame(streamLogs(logs).map(({ level, sse }) => [level, sse?.reason]), [[LEVEL.info, 'client-stalled']])
  client.response.resume()
  await client.rest()
  t.equal(client.ended, 'aborted')
  // What was cut off amid a frame is read again as a whole.
  const whole = client.text.slice(0, client.text.lastIndexOf('\n\n') + 2)
  const id = [...whole.matchAll(/^id: (.*)$/gm)].at(-1)![1]!
  const back = await connect(t, origin, { headers: { 'last-event-id': id } })
  await until(() => back.text.includes(`"n":${last},`))
  t.strictSame([...numbers(whole), ...numbers(back.text)], range(1, last))
  t.strictSame(gaps(back.text), [])
})

t.test('a hundred clients that do not read keep neither a publisher nor the others waiting', async (t) => {
  const { app, feed, origin, port, sockets, publish } = await probe(t, { backlog: { events: 8 } })
  for (let n = 0; n < 100; n++) {
    const socket = await rawConnect(t, port, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    socket.pause()
  }
  const client = await connect(t, origin)
  await until(() => feed.subscribers === 101)
  // Connections take what their buffers hold; in the end all hundred are blocked.
  let n = 0
  let turns = 0
  await until(() => {
    turns = sockets.filter(({ writableLength }) => writableLength > 0).length >= 100 ? turns + 1 : 0
    if (turns === 0) n = publish()
    return turns === 20
  })
  await until(() => client.text.includes(`"n":${n},`))
  let hasTurned = false
  setImmediate(() => { hasTurned = true })
  for (let each = 0; each < 50; each++) {
    await feed.publish({ event: 'item', data: { n: ++n, fill: 'x' } })
  }
  t.equal(hasTurned, false, 'it was published without a wait')
  await until(() => client.text.includes(`"n":${n},`))
  t.strictSame(numbers(client.text), range(1, n))
  t.equal(feed.subscribers, 101)
  // A page for each, that is, here, one event of it.
  t.ok(sockets.every(({ writableLength }) => writableLength < 2 * BIG.length), `${Math.max(...sockets.map(({ writableLength }) => writableLength))} bytes`)
  t.equal(feed.stats().events, 8)
  await app.close()
  t.equal(feed.subscribers, 0)
})

t.test('a reader of another kind that joins takes nothing from one that is blocked', async (t) => {
  for (const kind of ['iteration', 'merge', 'latestBy'] as const) {
    const { app, feed, epoch, origin, ends, publish, openBlocked } = await probe(t, { backlog: { events: 4 } })
    const client = await openBlocked()
    // Nobody else reads: these are not written out to anybody.
    let head = 0
    for (let n = 0; n < 30; n++) head = publish()
    const iterator = (kind === 'latestBy'
      ? feed.subscribe({ latestBy: ({ event }) => event })
      : kind === 'merge' ? app.sse.merge(feed) : feed.subscribe())[Symbol.asyncIterator]()
    const next = iterator.next()
    client.response.resume()
    await until(() => client.ended !== undefined || client.text.includes(`"n":${head},`))
    const before = numbers(client.text)
    t.strictSame(before, range(1, before.length), kind)
    t.strictSame(ends.map(({ reason }) => reason), ['slow-subscriber'])
    const last = publish('x')
    t.equal(((await next).value as { data: { n: number } }).data.n, last)
    await iterator.return?.()
    const back = await connect(t, origin, { headers: { 'last-event-id': lastId(client) } })
    await until(() => back.text.includes(`"n":${last},`))
    t.strictSame(gaps(back.text), [{ reason: 'evicted', requested: lastId(client), resumedAt: `${epoch}.${last - 4}` }])
  }
})

t.test('events that are written out late are held for those who keep up, however little the channel keeps', async (t) => {
  const { feed, origin, publish } = await probe(t, { backlog: { events: 1 } })
  const plain = await connect(t, origin)
  const filtered = await connect(t, `${origin}/filtered`)
  await until(() => feed.subscribers === 2 && [plain, filtered].every(({ text }) => text.length > OPENING.length))
  let last = 0
  // Also more than is gathered in a turn.
  for (let n = 0; n < 100; n++) last = publish('x'.repeat(30_000))
  for (const client of [plain, filtered]) {
    await until(() => client.text.includes(`"n":${last},`) || client.ended !== undefined)
    const received = numbers(client.text)
    t.strictSame(received, range(1, received.length), 'a prefix, if it is too much for the connection')
  }
  t.equal(feed.stats().events, 1)
})
