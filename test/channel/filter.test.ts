import { Type } from '@sinclair/typebox'
import t, { type Test } from 'tap'
import type { FastifyInstance } from 'fastify'
import {
  defineEvents, text, type Channel, type ChannelOptions, type Disconnect, type EventOf, type RouteStreamOptions, type SubscribeOptions
} from '../../lib/index.js'
import { createApp, LEVEL, listen, streamLogs, type LogLine } from '../support/app.js'
import { connect, type FrameClient } from '../support/client.js'
import { until } from '../support/sources.js'

const OPENING = ': sse-heartbeat: 15000\n\nretry: 3000\n\n'
const TEXT_OPENING = ': sse-heartbeat: 15000\n: sse-text: note\n\nretry: 3000\n\n'
const fault = (code: string): string => `event: sse.fault\ndata: {"code":"${code}","message":"Internal Server Error"}\n\n`

const Ticks = defineEvents({ tick: Type.Object({ n: Type.Integer() }), note: text() })
const Twins = defineEvents({ tick: Type.Object({ n: Type.Integer() }), note: text() })
type Tick = EventOf<typeof Ticks>

interface Probe {
  app: FastifyInstance
  logs: LogLine[]
  ticks: Channel<Tick>
  epoch: string
  origin: string
  ends: Disconnect[]
  publish: (...numbers: number[]) => void
  frames: (...numbers: number[]) => string
  open: (lastEventId?: string, url?: string) => Promise<FrameClient>
}

/** An application with one subscription on `/`, the whole channel on `/all`, and both merged with a channel that is silent on `/merged`. */
async function probe (
  t: Test, subscribe: SubscribeOptions<Tick>, options: ChannelOptions<Tick> = {}, sse: RouteStreamOptions = {}
): Promise<Probe> {
  const { app, logs } = await createApp(t)
  const ticks = app.sse.channel('ticks', Ticks, options)
  const silent = app.sse.channel('silent', Ticks)
  const epoch = ticks.lastEventId.slice(0, -2)
  const ends: Disconnect[] = []
  const streaming = { ...sse, onDisconnect: (_request: unknown, end: Disconnect) => { ends.push(end) } }
  app.get('/', { sse: streaming }, (_request, reply) => reply.sse(ticks.subscribe(subscribe)))
  app.get('/twins', { sse: streaming, schema: { events: Twins } }, (_request, reply) => reply.sse(ticks.subscribe(subscribe)))
  app.get('/merged', { sse: streaming }, (_request, reply) => reply.sse(app.sse.merge(ticks.subscribe(subscribe), silent)))
  app.get('/all', (_request, reply) => reply.sse(ticks))
  const { origin } = await listen(app)
  return {
    app,
    logs,
    ticks,
    epoch,
    origin,
    ends,
    publish: (...numbers) => { for (const n of numbers) ticks.publish({ event: 'tick', data: { n } }) },
    frames: (...numbers) => numbers.map((n) => `event: tick\ndata: {"n":${n}}\nid: ${epoch}.${n}\n\n`).join(''),
    open: (lastEventId, url = '/') => connect(t, origin + url, lastEventId === undefined ? {} : { headers: { 'last-event-id': lastEventId } })
  }
}

const isEven = (event: Tick): boolean => event.event === 'tick' && event.data.n % 2 === 0
const never = (): boolean => false

/** The offset that a client has been told last. */
function told (client: FrameClient): number {
  return Number(/.*^id: [^\n]*?\.(\d+)/ms.exec(client.text)?.[1] ?? -1)
}

t.test('a subscriber with a filter gets what the filter lets pass, live and from the backlog', async (t) => {
  const { ticks, epoch, publish, frames, open } = await probe(t, { filter: isEven })
  publish(1, 2, 3, 4)
  const fresh = await open()
  const behind = await open(`${epoch}.1`)
  const all = await open(`${epoch}.0`, '/all')
  await until(() => ticks.subscribers === 3)
  publish(5, 6, 7, 8)
  publish(9)
  publish(10)
  await Promise.all([fresh.events(3), behind.events(5), all.events(10)])
  t.equal(fresh.text, OPENING + `id: ${epoch}.4\n\n` + frames(6, 8, 10))
  t.equal(behind.text, OPENING + frames(2, 4, 6, 8, 10))
  t.equal(all.text, OPENING + frames(1, 2, 3, 4, 5, 6, 7, 8, 9, 10))
  t.equal(ticks.stats().delivered, 3 + 5 + 10)
})

t.test('a filter gets each event as the client would', async (t) => {
  const seen: unknown[] = []
  const { ticks, epoch, open } = await probe(t, {
    from: 'earliest',
    filter: (event) => {
      seen.push(structuredClone(event))
      return true
    }
  })
  ticks.publish({ event: 'tick', data: { n: 1, secret: 2 } as { n: number }, retry: 10 })
  ticks.publish({ event: 'note', data: 'a\r\nb' })
  ticks.publish({ event: 'note', data: '{"n":1}' })
  await (await open()).events(3)
  t.strictSame(seen, [
    { event: 'tick', data: { n: 1 }, id: `${epoch}.1`, retry: 10 },
    { event: 'note', data: 'a\nb', id: `${epoch}.2` },
    { event: 'note', data: '{"n":1}', id: `${epoch}.3` }
  ])
})

t.test('what a filter gives counts as true or false', async (t) => {
  const answers = [1, 0, 'x', '', {}, null, [], undefined, true, NaN] as unknown[]
  const { publish, frames, open } = await probe(t, {
    from: 'earliest',
    filter: (event) => answers[(event as { data: { n: number } }).data.n - 1] as boolean
  })
  publish(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
  const client = await open()
  await client.events(5)
  t.equal(client.text, OPENING + frames(1, 3, 5, 7, 9))
})

for (const url of ['/', '/merged', '/twins']) {
  for (const [how, perTurn] of [['one by one', 1], ['many in a turn', 50]] as const) {
    t.test(`filtered events leave no gap, though all of them were evicted (${url}, ${how})`, async (t) => {
      const { ticks, publish, open } = await probe(t, { filter: ({ data }) => (data as { n: number }).n === 0 }, { backlog: { events: 8 } })
      const client = await open(undefined, url)
      await until(() => ticks.subscribers === 1)
      publish(0)
      await client.events(1)
      const before = client.text.length
      let n = 0
      while (n < 100) {
        for (let each = 0; each < perTurn; each++) publish(++n)
        await new Promise(setImmediate)
      }
      await until(() => told(client) >= ticks.stats().published - 8)
      t.match(client.text.slice(before), /^(id: \S+\n\n)*$/, 'it is sent IDs and nothing else')
      client.rst()
      await until(() => ticks.subscribers === 0)
      const back = await open(/.*^id: (\S+)$/ms.exec(client.text)![1]!, url)
      const opening = url === '/twins' ? TEXT_OPENING : OPENING
      await until(() => ticks.subscribers === 1 && back.text.length >= opening.length)
      t.equal(back.text, opening)
      t.strictSame(ticks.stats().gaps, {})
    })
  }
}

t.test('filtered events leave no gap, though all of them have become too old', async (t) => {
  const { ticks, epoch, publish, open } = await probe(t, { filter: never }, { backlog: { ageMs: 100 } })
  const client = await open()
  await until(() => ticks.subscribers === 1 && client.text.length > OPENING.length)
  publish(1, 2, 3)
  await until(() => ticks.stats().events === 0)
  client.rst()
  await until(() => ticks.subscribers === 0)
  const id = /.*^id: (\S+)$/ms.exec(client.text)![1]!
  const back = await open(id)
  await until(() => back.text.length >= OPENING.length)
  t.equal(back.text, OPENING, `with ${id} after ${epoch}.3 was evicted`)
})

t.test('a heartbeat tells the client where it stands, when its filter has moved it on', async (t) => {
  const { ticks, epoch, publish, open } = await probe(t, { filter: never }, {}, { heartbeatMs: 1000 })
  const opening = ': sse-heartbeat: 1000\n\nretry: 3000\n\n'
  const client = await open()
  await until(() => ticks.subscribers === 1)
  publish(1, 2, 3)
  await until(() => client.text.endsWith('.3\n\n'))
  t.equal(client.text, opening + `id: ${epoch}.0\n\nid: ${epoch}.3\n\n`)
  await until(() => client.text.endsWith(':\n\n'))
  t.equal(client.text, opening + `id: ${epoch}.0\n\nid: ${epoch}.3\n\n:\n\n`, 'and otherwise it is a comment')
})

for (const url of ['/', '/merged']) {
  t.test(`a stream that ends in order tells the client where it stands (${url})`, async (t) => {
    const { app, ticks, epoch, publish, open } = await probe(t, { filter: never })
    const silent = app.sse.stats().channels['silent']
    t.equal(silent?.published, 0)
    const client = await open(undefined, url)
    await until(() => ticks.subscribers === 1)
    publish(1, 2, 3)
    await new Promise(setImmediate)
    await new Promise(setImmediate)
    t.equal(app.sse.evict(() => true), 1)
    await client.rest()
    const ids = [...client.text.matchAll(/^id: (\S+)$/gm)].map(([, id]) => id!.split(',')[0])
    t.strictSame(ids, [`${epoch}.0`, `${epoch}.3`])
    const second = await open(undefined, url)
    await until(() => ticks.subscribers === 1 && told(second) >= 0)
    publish(4)
    await new Promise(setImmediate)
    await new Promise(setImmediate)
    await app.close()
    await second.rest()
    t.match(second.text, new RegExp(`^: sse-heartbeat: 15000\n\nretry: 3000\n\nid: ${epoch}.3\\S*\n\nid: ${epoch}.4\\S*\n\nretry: \\d+\n\n$`))
  })
}

t.test('a backlog of which the filter lets nothing pass leaves the client with an ID all the same', async (t) => {
  const { epoch, publish, open } = await probe(t, { from: 'earliest', filter: never })
  publish(1, 2, 3)
  const client = await open()
  await until(() => client.text.length > OPENING.length)
  t.equal(client.text, OPENING + `id: ${epoch}.3\n\n`)
})

const failing = {
  throws: (): boolean => { throw new Error('my filter') },
  'gives a promise': (async () => true) as unknown as () => boolean,
  'gives a promise that rejects': (async () => { throw new Error('my filter') }) as unknown as () => boolean
}

for (const [what, failure] of Object.entries(failing)) {
  t.test(`a filter that ${what} ends its stream with a fault, and no other`, async (t) => {
    const code = what === 'throws' ? 'FST_SSE_SOURCE_FAILED' : 'FST_SSE_OPTION_INVALID'
    const filter = (event: Tick): boolean => (event as { data: { n: number } }).data.n !== 3 || failure()
    for (const url of ['/', '/merged', '/twins']) {
      const { logs, ticks, epoch, publish, frames, ends, open } = await probe(t, { filter })
      const client = await open(undefined, url)
      const all = await open(undefined, '/all')
      await until(() => ticks.subscribers === 2 && (url === '/twins' || told(client) === 0))
      publish(1)
      await client.events(1)
      publish(2)
      await client.events(1)
      publish(3)
      publish(4)
      await client.rest()
      t.match(client.text, new RegExp(`${fault(code).replace(/[{}.]/g, '\\$&')}$`), url)
      t.equal(told(client), 2, 'the ID is that of the last event before')
      await all.events(4)
      t.equal(all.text, OPENING + `id: ${epoch}.0\n\n` + frames(1, 2, 3, 4))
      t.strictSame(ends.map(({ reason }) => reason), ['source-failed'])
      t.strictSame(streamLogs(logs).map(({ level, sse }) => [level, sse?.reason]), [[LEVEL.error, 'source-failed']])
      await until(() => ticks.subscribers === 1)
    }
  })
}

for (const url of ['/', '/merged', '/twins']) {
  for (const isLive of [true, false]) {
    t.test(`what a filter let pass before it failed is not lost to a client that comes back (${url}, ${isLive ? 'live' : 'from the backlog'})`, async (t) => {
      let isBroken = true
      const { ticks, epoch, publish, frames, open } = await probe(t, {
        filter: (event) => {
          const { n } = (event as { data: { n: number } }).data
          if (n === 5 && isBroken) throw new Error('my filter')
          return n !== 2
        }
      })
      const id = url === '/merged' ? `${epoch}.0,${epoch}.0` : `${epoch}.0`
      if (!isLive) publish(1, 2, 3, 4, 5, 6)
      const client = await open(id, url)
      if (isLive) {
        await until(() => ticks.subscribers === 1)
        await new Promise(setImmediate)
        publish(1, 2, 3, 4, 5, 6)
      }
      await client.rest()
      isBroken = false
      const last = [...client.text.matchAll(/^id: (\S+)$/gm)].at(-1)?.[1] ?? id
      const back = await open(last, url)
      await until(() => (client.text + back.text).includes('"n":6'))
      const numbers = [...(client.text + back.text).matchAll(/^data: \{"n":(\d+)\}$/gm)].map(([, n]) => Number(n))
      t.strictSame(numbers, [1, 3, 4, 5, 6])
      t.equal(frames().length, 0)
    })
  }
}

t.test('a filter and a blocked connection: what passes arrives in order when the client reads again', async (t) => {
  const { app } = await createApp(t)
  const notes = app.sse.channel('notes', { note: Type.Object({ n: Type.Integer(), fill: Type.String() }) }, { backlog: { events: 4000, bytes: 256 << 20 } })
  const epoch = notes.lastEventId.slice(0, -2)
  app.get('/', (_request, reply) => reply.sse(notes.subscribe({ filter: ({ data }) => data.n % 3 === 0 })))
  const { origin } = await listen(app)
  const client = await connect(t, origin)
  client.stall()
  await until(() => notes.subscribers === 1)
  const fill = 'x'.repeat(20_000)
  let n = 0
  await until(() => {
    for (let each = 0; each < 5; each++) notes.publish({ event: 'note', data: { n: ++n, fill } })
    return n >= 3000
  })
  client.response.resume()
  const frames = await client.events(1000)
  t.ok(frames.length === 1000 && frames.every((frame, index) => frame === `event: note\ndata: {"n":${index * 3 + 3},"fill":"${fill}"}\nid: ${epoch}.${index * 3 + 3}\n\n`))
  t.strictSame(notes.stats().overruns, {})
})
