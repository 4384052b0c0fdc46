import type { Socket } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Type } from '@sinclair/typebox'
import t, { type Test } from 'tap'
import type { FastifyInstance } from 'fastify'
import { defineEvents, type Channel, type ChannelOptions, type Disconnect, type EventOf, type SubscribeOptions } from '../../lib/index.js'
import { createApp, LEVEL, listen, type LogLine } from '../support/app.js'
import { connect, type FrameClient } from '../support/client.js'
import { deferred, until } from '../support/sources.js'

const OPENING = ': sse-heartbeat: 15000\n\nretry: 3000\n\n'

const Prices = defineEvents({ price: Type.Object({ of: Type.Integer(), n: Type.Integer(), fill: Type.String() }) })
type Price = EventOf<typeof Prices>

const BIG = 'x'.repeat(50_000)

interface Probe {
  app: FastifyInstance
  logs: LogLine[]
  prices: Channel<Price>
  epoch: string
  origin: string
  ends: Disconnect[]
  /** Publishes one event of a key. */
  publish: (of: number, fill?: string) => void
  /** What was published, by offset. */
  published: Array<{ of: number, n: number, fill: string }>
  frame: (offset: number) => string
  /** Opens a stream, and publishes events of key 0 until its connection takes no more. */
  openBlocked: (url?: string) => Promise<FrameClient>
}

/** An application with a subscription on `/`, and with it merged with a silent channel on `/merged`. */
async function probe (t: Test, subscribe: SubscribeOptions<Price>, options: ChannelOptions<Price> = {}): Promise<Probe> {
  const { app, logs } = await createApp(t)
  const prices = app.sse.channel('prices', Prices, options)
  const silent = app.sse.channel('silent', Prices)
  const epoch = prices.lastEventId.slice(0, -2)
  const ends: Disconnect[] = []
  const sockets: Socket[] = []
  app.server.on('connection', (socket: Socket) => { sockets.push(socket) })
  const sse = { onDisconnect: (_request: unknown, end: Disconnect) => { ends.push(end) } }
  app.get('/', { sse }, (_request, reply) => reply.sse(prices.subscribe(subscribe)))
  app.get('/merged', { sse }, (_request, reply) => reply.sse(app.sse.merge(prices.subscribe(subscribe), silent)))
  app.get('/all', { sse }, (_request, reply) => reply.sse(prices))
  const { origin } = await listen(app)
  const published: Probe['published'] = []
  const probed: Probe = {
    app,
    logs,
    prices,
    epoch,
    origin,
    ends,
    published,
    publish: (of, fill = 'x') => {
      const data = { of, n: published.length + 1, fill }
      published.push(data)
      prices.publish({ event: 'price', data })
    },
    frame: (offset) => `event: price\ndata: ${JSON.stringify(published[offset - 1])}\nid: ${epoch}.${offset}\n\n`,
    openBlocked: async (url = '/') => {
      const { subscribers } = prices
      const client = await connect(t, origin + url)
      await until(() => prices.subscribers === subscribers + 1 && client.text.endsWith('.0\n\n'))
      client.stall()
      const socket = sockets.at(-1)!
      let turns = 0
      await until(() => {
        if (socket.writableNeedDrain) return ++turns === 50
        turns = 0
        probed.publish(0, BIG)
        return false
      })
      return client
    }
  }
  return probed
}

/** The offsets of the events that a client has received, in order. */
function offsets (text: string): number[] {
  return [...text.matchAll(/^event: price\ndata: .*\nid: [^.]*\.(\d+)/gm)].map(([, offset]) => Number(offset))
}

const latestBy = ({ data }: Price): unknown => data.of

for (const url of ['/', '/merged']) {
  t.test(`a subscriber that keeps up gets every event, also of one key and in one turn (${url})`, async (t) => {
    const { prices, origin, publish, published } = await probe(t, { latestBy })
    const client = await connect(t, origin + url)
    await client.frame()
    await until(() => prices.subscribers === 1)
    for (let turn = 0; turn < 3; turn++) {
      for (let n = 0; n < 5; n++) publish(1)
      await until(() => client.text.includes(`"n":${published.length},`))
    }
    t.strictSame(offsets(client.text), Array.from({ length: 15 }, (_, index) => index + 1))
    t.equal(prices.stats().superseded, 0)
  })
}

t.test('a subscriber that comes back gets only the newest event of each key, in order of last change', async (t) => {
  const { prices, epoch, origin, publish, frame } = await probe(t, { latestBy, from: 'earliest' })
  for (const of of [1, 2, 3, 1, 2, 1, 4]) publish(of)
  const client = await connect(t, origin)
  const back = await connect(t, origin, { headers: { 'last-event-id': `${epoch}.4` } })
  await until(() => prices.subscribers === 2)
  await until(() => client.text.endsWith(frame(7)) && back.text.endsWith(frame(7)))
  t.equal(client.text, OPENING + [3, 5, 6, 7].map(frame).join(''))
  t.equal(back.text, OPENING + [5, 6, 7].map(frame).join(''))
  publish(1)
  publish(1)
  await until(() => client.text.endsWith(frame(9)) && back.text.endsWith(frame(9)))
  t.equal(client.text, OPENING + [3, 5, 6, 7, 8, 9].map(frame).join(''), 'and then, keeping up, every event')
  t.equal(prices.stats().superseded, 3)
})

for (const url of ['/', '/merged']) {
  t.test(`a blocked subscriber gets the newest event of each key, however much was published meanwhile (${url})`, async (t) => {
    const { prices, origin, ends, publish, published, frame, openBlocked } = await probe(t, { latestBy }, { backlog: { events: 20 } })
    // Somebody who keeps up beside it, and what waits does not keep.
    const all = await connect(t, `${origin}/all`)
    await until(() => prices.subscribers === 1)
    const client = await openBlocked(url)
    // The last one of key 0 may be on its way or waiting: another takes its place, or comes after it.
    for (let n = 0; n < 1000; n++) {
      publish(1 + n % 7, 'y'.repeat(1000))
      if (n % 10 === 0) await new Promise(setImmediate)
    }
    publish(0)
    const last = published.length
    client.response.resume()
    await until(() => client.text.includes(`"n":${last},`) && client.text.endsWith('\n\n'))
    const received = offsets(client.text)
    const blockedAt = received.findIndex((offset) => published[offset - 1]!.of !== 0)
    const before = published.findIndex(({ of }) => of !== 0)
    t.strictSame(received.slice(0, blockedAt), Array.from({ length: blockedAt }, (_, index) => received[0]! + index), 'every event until it blocked')
    t.ok(received[blockedAt - 1]! <= before)
    // A merged stream has taken one event of the first key out before it knew of others.
    const newest = Array.from({ length: 7 }, (_, index) => last - 7 + index)
    t.strictSame(received.slice(-8), [...newest, last])
    t.strictSame([...received].sort((a, b) => a - b), received, 'IDs increase')
    t.ok(received.length <= blockedAt + 9, `${received.length - blockedAt} after it was blocked`)
    if (url === '/') t.ok(client.text.includes(newest.map(frame).join('') + frame(last)))
    await until(() => all.text.includes(`"n":${last},`))
    t.strictSame(offsets(all.text), Array.from({ length: last }, (_, index) => index + 1), 'and who keeps up got everything')
    const { superseded, overruns, gaps } = prices.stats()
    t.strictSame({ overruns, gaps }, { overruns: {}, gaps: {} })
    t.ok(superseded >= 990, `${superseded}`)
    t.strictSame(ends, [])
    for (const n of [1, 2]) {
      publish(3)
      await until(() => client.text.includes(`"n":${last + n},`))
    }
    t.strictSame(offsets(client.text).slice(-3), [last, last + 1, last + 2], 'live again, it gets every event')
  })
}

t.test('an event without a key gives way to nothing, and nothing gives way to it', async (t) => {
  const { origin, publish, frame, prices } = await probe(t, { latestBy: ({ data }) => data.of === 0 ? undefined : data.of, from: 'earliest' })
  for (const of of [0, 1, 0, 1, 0]) publish(of)
  const client = await connect(t, origin)
  await until(() => client.text.endsWith(frame(5)))
  t.equal(client.text, OPENING + [1, 3, 4, 5].map(frame).join(''))
  t.equal(prices.stats().superseded, 1)
})

t.test('keys are compared as the keys of a Map: an object is one key as long as it is the same object', async (t) => {
  const one = {}
  const keys = [one, one, {}, NaN, NaN, 1, '1', null, null, 'x', 'x', -0, 0]
  const { origin, publish, frame } = await probe(t, { latestBy: ({ data }) => keys[data.of], from: 'earliest' })
  for (let of = 0; of < keys.length; of++) publish(of)
  const client = await connect(t, origin)
  await until(() => client.text.endsWith(frame(13)))
  t.strictSame(offsets(client.text), [2, 3, 5, 6, 7, 9, 11, 13])
})

t.test('filter and latestBy together: what the filter refuses takes nobody\'s place', async (t) => {
  const { origin, publish, frame } = await probe(t, { latestBy, from: 'earliest', filter: ({ data }) => data.n !== 4 })
  for (const of of [1, 2, 1, 1, 2]) publish(of)
  const client = await connect(t, origin)
  await until(() => client.text.endsWith(frame(5)))
  t.equal(client.text, OPENING + [3, 5].map(frame).join(''))
})

t.test('a client that is cut off while events wait resumes from what it has received, and gets the newest of each key', async (t) => {
  const { prices, publish, published, origin, openBlocked } = await probe(t, { latestBy }, { backlog: { events: 1000, bytes: 64 << 20 } })
  const client = await openBlocked()
  for (let n = 0; n < 100; n++) publish(1 + n % 7)
  client.rst()
  await until(() => prices.subscribers === 0)
  const received = offsets(client.text)
  const ids = [...client.text.matchAll(/^id: (\S+)\n\n/gm)].map(([, id]) => id!)
  const back = await connect(t, origin, { headers: { 'last-event-id': ids.at(-1)! } })
  await until(() => back.text.includes(`"n":${published.length},`))
  const newest = Array.from({ length: 7 }, (_, index) => published.length - 6 + index)
  const head = published.findLastIndex(({ of }) => of === 0) + 1
  t.strictSame(offsets(back.text), received.at(-1) === head ? newest : [head, ...newest])
  t.strictSame(prices.stats().gaps, {})
})

for (const url of ['/', '/merged']) {
  for (const overrun of ['disconnect', 'skip', 'latest'] as const) {
    t.test(`more bytes than the backlog may hold in the newest events of all keys is an overrun: ${overrun} (${url})`, async (t) => {
      const { prices, origin, ends, publish, published, openBlocked } = await probe(t, { latestBy, overrun }, { backlog: { bytes: 100_000 } })
      const client = await openBlocked(url)
      const blockedAt = published.length
      // So many keys that each event waits.
      for (let n = 1; n <= 300; n++) {
        publish(n, 'y'.repeat(1000))
        if (n % 10 === 0) await new Promise(setImmediate)
      }
      const last = published.length
      const kept = prices.stats().events
      client.response.resume()
      if (overrun === 'disconnect') {
        await client.rest()
        t.strictSame(ends.map(({ reason }) => reason), ['slow-subscriber'])
        const id = [...client.text.matchAll(/^id: (\S+)$/gm)].at(-1)![1]!
        const back = await connect(t, origin + url, { headers: { 'last-event-id': id } })
        await until(() => back.text.includes(`"n":${last},`))
        t.match(back.text.slice(OPENING.length), /^event: sse\.gap\ndata: \{"reason":"evicted"/)
        t.strictSame(offsets(back.text), Array.from({ length: kept }, (_, index) => last - kept + index + 1))
      } else {
        await until(() => client.text.includes(`"n":${last},`))
        const received = offsets(client.text)
        const [gap, ...more] = [...client.text.matchAll(/^event: sse\.gap\ndata: (.*)$/gm)].map(([, data]) => JSON.parse(data!))
        t.strictSame(more, [])
        const first = overrun === 'latest' ? last : last - kept + 1
        t.match(gap.resumedAt, new RegExp(`\\.${first - 1}$`))
        t.strictSame(received.filter((offset) => offset > blockedAt), Array.from({ length: last - first + 1 }, (_, index) => first + index))
        // What it could not go on from is what it has received before.
        const before = received.filter((offset) => offset <= blockedAt)
        t.equal(gap.requested.replace(/.*\./, ''), String(before.at(-1)))
        t.strictSame(ends, [])
      }
      t.strictSame(prices.stats().overruns, { [overrun]: 1 })
    })
  }
}

t.test('what waits for a client that does not read is no more than the backlog may hold', async (t) => {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  for (const url of ['/', '/merged']) {
    const { prices, ends, publish, openBlocked } = await probe(t, { latestBy }, { backlog: { bytes: 1 << 20 } })
    const client = await openBlocked(url)
    gc()
    const before = process.memoryUsage().arrayBuffers
    let most = 0
    for (let n = 1; n <= 2000; n++) {
      publish(n, BIG)
      // Here only what the test itself keeps of 100 MB.
      if (n % 10 === 0) await new Promise(setImmediate)
      if (n % 500 === 0) {
        gc()
        most = Math.max(most, process.memoryUsage().arrayBuffers - before)
      }
    }
    t.ok(most < 10 << 20, `${url}: ${Math.round(most / 1e6)} MB`)
    t.ok(prices.stats().bytes <= 1 << 20)
    client.response.resume()
    await client.rest()
    t.strictSame(ends.map(({ reason }) => reason), ['slow-subscriber'])
  }
})

t.test('what latestBy throws ends the stream with a fault, at once or when it would be called', async (t) => {
  for (const url of ['/', '/merged']) {
    const { logs, prices, origin, epoch, ends, publish } = await probe(t, {
      from: 'earliest',
      latestBy: ({ data }) => {
        if (data.of === 2) throw new Error('my key')
        return data.of
      }
    })
    publish(1)
    publish(2)
    publish(1)
    const client = await connect(t, origin + url, { headers: { 'last-event-id': `${epoch}.0` } })
    const text = await client.rest()
    t.match(client.status === 500 ? text : client.text, /Internal Server Error|my key/)
    t.strictSame(ends.map(({ reason }) => reason), ['source-failed'])
    t.equal(prices.subscribers, 0)
    t.ok(logs.filter(({ level }) => level >= LEVEL.error).length === 1)
    const ids = [...client.text.matchAll(/^id: (\S+)$/gm)].map(([, id]) => id!.split(',')[0])
    t.ok(ids.every((id) => id === `${epoch}.0` || id === `${epoch}.1`), `nothing is told that was not sent: ${ids.join()}`)
  }
})

t.test('a snapshot that outlasts the backlog does not overrun a subscriber for which only the newest counts', async (t) => {
  const middle = deferred()
  const { prices, origin, publish, published, epoch } = await probe(t, {
    latestBy,
    snapshot: async function * () {
      yield { event: 'price', data: { of: 1, n: 0, fill: 's' } } as Price
      await middle.promise
    }
  }, { backlog: { events: 10 } })
  const client = await connect(t, origin)
  await client.events(1)
  for (let n = 0; n < 100; n++) {
    publish(1 + n % 3)
    await new Promise(setImmediate)
  }
  middle.resolve()
  await until(() => client.text.includes(`"n":${published.length},`) || client.ended !== undefined)
  t.equal(client.text, OPENING + 'event: price\ndata: {"of":1,"n":0,"fill":"s"}\n\n' + `id: ${epoch}.0\n\n` +
    [98, 99, 100].map((n) => `event: price\ndata: ${JSON.stringify(published[n - 1])}\nid: ${epoch}.${n}\n\n`).join(''))
  t.equal(prices.subscribers, 1)
})

t.test('a response that is held back while more than the backlog is published is an overrun, and no failure', async (t) => {
  const { app, logs } = await createApp(t)
  const prices = app.sse.channel('prices', Prices, { backlog: { events: 10 } })
  const ends: Disconnect[] = []
  const answer = deferred<Price[]>()
  const hook = deferred()
  let isHeld = false
  app.addHook('onSend', async () => {
    isHeld = true
    await hook.promise
  })
  app.get('/', { sse: { onDisconnect: (_request, end) => { ends.push(end) } } }, (_request, reply) =>
    reply.sse(prices.subscribe({ latestBy, onGap: () => answer.promise })))
  const { origin } = await listen(app)
  const connected = connect(t, origin, { headers: { 'last-event-id': 'other.1' } })
  await until(() => isHeld)
  for (let n = 0; n < 50; n++) prices.publish({ event: 'price', data: { of: 1 + n % 3, n, fill: BIG } })
  answer.resolve([])
  await new Promise(setImmediate)
  for (let n = 50; n < 60; n++) {
    prices.publish({ event: 'price', data: { of: 1 + n % 3, n, fill: BIG } })
    await new Promise(setImmediate)
  }
  hook.resolve()
  const client = await connected
  await until(() => client.text.includes('"n":59,') || client.ended !== undefined)
  // It conflates, or it is sent away to come back: nothing has failed.
  t.notMatch(client.text, 'sse.fault')
  t.strictSame(ends.filter(({ reason }) => reason !== 'slow-subscriber'), [])
  t.strictSame(logs.filter(({ level }) => level >= LEVEL.warn), [])
})
