import { Type } from '@sinclair/typebox'
import t, { type Test } from 'tap'
import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { defineEvents, type Channel, type ChannelOptions, type EventOf } from '../../lib/index.js'
import { createApp, listen } from '../support/app.js'
import { connect, type FrameClient } from '../support/client.js'
import { until } from '../support/sources.js'

const OPENING = ': sse-heartbeat: 15000\n\nretry: 3000\n\n'
const END = 'event: sse.end\ndata: null\nid: sse.end\n\n'

const A = defineEvents({ a: Type.Object({ n: Type.Integer() }) })
const B = defineEvents({ b: Type.Object({ n: Type.Integer() }) })

interface Probe {
  app: FastifyInstance
  a: Channel<EventOf<typeof A>>
  b: Channel<EventOf<typeof B>>
  /** The epochs. */
  ea: string
  eb: string
  origin: string
  publish: (...events: string[]) => void
  /** The ID of a place in each channel. */
  id: (a: number, b: number) => string
  frame: (event: string, a: number, b: number) => string
  open: (lastEventId?: string, url?: string) => Promise<FrameClient>
}

async function probe (t: Test, options: Pick<ChannelOptions, 'backlog' | 'overrun'> = {}, addRoutes?: (probed: Probe) => void): Promise<Probe> {
  const { app } = await createApp(t)
  const a = app.sse.channel('a', A, options)
  const b = app.sse.channel('b', B, options)
  const [ea, eb] = [a, b].map(({ lastEventId }) => lastEventId.slice(0, -2)) as [string, string]
  app.get('/', (_request, reply) => reply.sse(app.sse.merge(a, b)))
  app.get('/a', (_request, reply) => reply.sse(a))
  const id = (inA: number, inB: number): string => `${ea}.${inA},${eb}.${inB}`
  const probed: Probe = {
    app,
    a,
    b,
    ea,
    eb,
    origin: '',
    publish: (...events) => {
      for (const event of events) {
        const n = Number(event.slice(1))
        if (event[0] === 'a') a.publish({ event: 'a', data: { n } })
        else b.publish({ event: 'b', data: { n } })
      }
    },
    id,
    frame: (event, inA, inB) => `event: ${event[0]}\ndata: {"n":${event.slice(1)}}\nid: ${id(inA, inB)}\n\n`,
    open: (lastEventId, url = '/') => connect(t, probed.origin + url, lastEventId === undefined ? {} : { headers: { 'last-event-id': lastEventId } })
  }
  addRoutes?.(probed)
  probed.origin = (await listen(app)).origin
  return probed
}

/** Lets the clock go on by more than its resolution, so that order does not hang on it. */
async function tick (): Promise<void> {
  const now = performance.now()
  await until(() => performance.now() > now + 2)
}

async function received (t: Test, client: FrameClient, text: string, what = 'what the client has received'): Promise<void> {
  await until(() => client.text.length >= text.length || client.ended !== undefined)
  t.equal(client.text, text, what)
}

t.test('events of all channels come on one stream, each with an ID that has the place in all of them', async (t) => {
  const { a, b, publish, id, frame, open } = await probe(t)
  publish('a1', 'b1')
  const client = await open()
  await until(() => a.subscribers === 1 && b.subscribers === 1)
  const expected = [OPENING, `id: ${id(1, 1)}\n\n`]
  for (const [event, inA, inB] of [['a2', 2, 1], ['b2', 2, 2], ['b3', 2, 3], ['a3', 3, 3]] as const) {
    publish(event)
    expected.push(frame(event, inA, inB))
    await received(t, client, expected.join(''))
  }
})

t.test('what was missed comes in the order in which it was published', async (t) => {
  const { publish, id, frame, open } = await probe(t)
  for (const event of ['b1', 'a1', 'a2', 'b2', 'b3', 'a3']) {
    publish(event)
    await tick()
  }
  await received(t, await open(id(0, 0)), OPENING + frame('b1', 0, 1) + frame('a1', 1, 1) + frame('a2', 2, 1) + frame('b2', 2, 2) + frame('b3', 2, 3) + frame('a3', 3, 3))
  await received(t, await open(id(2, 1)), OPENING + frame('b2', 2, 2) + frame('b3', 2, 3) + frame('a3', 3, 3))
  await received(t, await open(id(3, 1)), OPENING + frame('b2', 3, 2) + frame('b3', 3, 3))
  const current = await open(id(3, 3))
  await received(t, current, OPENING)
  publish('a4')
  await received(t, current, OPENING + frame('a4', 4, 3))
})

t.test('each ID that a client has been told resumes exactly', async (t) => {
  const { a, publish, id, open } = await probe(t)
  const client = await open(id(0, 0))
  for (const event of ['a1', 'b1', 'b2', 'a2', 'a3', 'b3', 'a4']) publish(event)
  const frames = await client.events(7)
  for (let from = 0; from <= 7; from++) {
    const lastEventId = from === 0 ? id(0, 0) : /^id: (.*)$/m.exec(frames[from - 1]!)![1]!
    const back = await open(lastEventId)
    await received(t, back, OPENING + frames.slice(from).join(''), `after ${from}`)
    back.fin()
  }
  await until(() => a.subscribers === 1)
})

t.test('a gap in one channel says in which, and the others go on', async (t) => {
  const { a, b, ea, eb, publish, id, frame, open } = await probe(t, { backlog: { events: 2 } })
  publish('a1', 'a2', 'a3')
  await tick()
  publish('b1')
  const gap = (channel: string, reason: string, requested: string, resumedAt: string): string =>
    `event: sse.gap\ndata: ${JSON.stringify({ reason, requested, resumedAt, channel })}\n\n`
  const requested = id(0, 0)
  const client = await open(requested)
  await received(t, client, OPENING + gap('a', 'evicted', requested, `${ea}.1`) + `id: ${id(1, 0)}\n\n` + frame('a2', 2, 0) + frame('a3', 3, 0) + frame('b1', 3, 1))
  await received(t, await open(id(1, 0)), OPENING + frame('a2', 2, 0) + frame('a3', 3, 0) + frame('b1', 3, 1), 'afterwards there is none')
  const both = await open('x')
  await received(t, both, OPENING + gap('a', 'malformed', 'x', `${ea}.1`) + gap('b', 'malformed', 'x', `${eb}.0`) + `id: ${id(1, 0)}\n\n` +
    frame('a2', 2, 0) + frame('a3', 3, 0) + frame('b1', 3, 1))
  // A channel that was not merged before.
  const grown = await open(`${ea}.3`)
  await received(t, grown, OPENING + gap('b', 'epoch', `${ea}.3`, `${eb}.0`) + `id: ${id(3, 0)}\n\n` + frame('b1', 3, 1))
  // In another order, and with one that is gone.
  await received(t, await open(`${eb}.1,AAAAAAAA.7,${ea}.3`), OPENING)
  t.strictSame(a.stats().gaps, { evicted: 1, malformed: 1 })
  t.strictSame(b.stats().gaps, { malformed: 1, epoch: 1 })
})

t.test('a gap without control events is an ID alone', async (t) => {
  const { publish, id, frame, open } = await probe(t, { backlog: { events: 1 } }, ({ app, a, b }) => {
    app.get('/silent', { sse: { controlEvents: false } }, (_request, reply) => reply.sse(app.sse.merge(a, b)))
  })
  publish('a1', 'a2')
  await received(t, await open(id(0, 0), '/silent'), OPENING + `id: ${id(1, 0)}\n\n` + frame('a2', 2, 0))
})

t.test('each channel of a merge has its own from, filter, snapshot and onGap', async (t) => {
  const { ea, eb, publish, id, frame, open } = await probe(t, { backlog: { events: 3 } }, ({ app, a, b }) => {
    app.get('/own', (_request, reply) => reply.sse(app.sse.merge(
      a.subscribe({ from: 'earliest', filter: ({ data }) => data.n % 2 === 0, onGap: () => 'now' }),
      b.subscribe({ snapshot: ({ gap }) => [{ event: 'b', data: { n: gap === null ? 100 : 200 } }] })
    )))
  })
  publish('a1', 'a2', 'a3', 'a4', 'a5', 'b1', 'b2', 'b3', 'b4', 'b5')
  const fresh = await open(undefined, '/own')
  await received(t, fresh, OPENING + 'event: b\ndata: {"n":100}\n\n' + `id: ${id(2, 5)}\n\n` + frame('a4', 4, 5))
  publish('a7')
  publish('b6')
  publish('a8')
  await received(t, fresh, OPENING + 'event: b\ndata: {"n":100}\n\n' + `id: ${id(2, 5)}\n\n` + frame('a4', 4, 5) + frame('b6', 6, 6) + frame('a8', 7, 6))
  const back = await open(id(0, 0), '/own')
  const gap = (channel: string, resumedAt: string): string =>
    `event: sse.gap\ndata: ${JSON.stringify({ reason: 'evicted', requested: id(0, 0), resumedAt, channel })}\n\n`
  await received(t, back, OPENING + gap('a', `${ea}.7`) + gap('b', `${eb}.6`) + 'event: b\ndata: {"n":200}\n\n' + `id: ${id(7, 6)}\n\n`)
})

t.test('filtered events of one channel leave no gap behind those of another', async (t) => {
  const { a, publish, open } = await probe(t, { backlog: { events: 8 } }, ({ app, a, b }) => {
    app.get('/own', (_request, reply) => reply.sse(app.sse.merge(a.subscribe({ filter: () => false }), b)))
  })
  const client = await open(undefined, '/own')
  await until(() => a.subscribers === 1)
  for (let n = 1; n <= 100; n++) {
    publish(`a${n}`)
    if (n % 7 === 0) publish(`b${n}`)
    await new Promise(setImmediate)
  }
  await client.events(14)
  const last = (): string => [...client.text.matchAll(/^id: (.*)$/gm)].at(-1)![1]!
  await until(() => Number(/\.(\d+),/.exec(last())![1]) >= 92)
  client.rst()
  await until(() => a.subscribers === 0)
  const back = await open(last(), '/own')
  await received(t, back, OPENING)
  t.strictSame(a.stats().gaps, {})
})

t.test('one channel may be merged twice, each time with a filter of its own', async (t) => {
  const { ea, publish, open } = await probe(t, {}, ({ app, a }) => {
    app.get('/twice', (_request, reply) => reply.sse(app.sse.merge(
      a.subscribe({ filter: ({ data }) => data.n < 10 }),
      a.subscribe({ filter: ({ data }) => data.n % 2 === 0 })
    )))
  })
  const client = await open(`${ea}.0,${ea}.0`, '/twice')
  await received(t, client, OPENING)
  publish('a1')
  await client.events(1)
  publish('a2')
  await client.events(2)
  publish('a12', 'a13')
  await client.events(1)
  const numbers = [...client.text.matchAll(/"n":(\d+)/g)].map(([, n]) => Number(n))
  t.strictSame(numbers, [1, 2, 2, 12])
  const ids = [...client.text.matchAll(/^id: (.*)$/gm)].map(([, id]) => id!)
  t.equal(new Set(ids).size, ids.length, 'no ID stands for two places')
  for (const [index, id] of ids.entries()) {
    const back = await open(id, '/twice')
    await back.events(numbers.length - index - 1)
    t.strictSame([...back.text.matchAll(/"n":(\d+)/g)].map(([, n]) => Number(n)), numbers.slice(index + 1), `after ${index + 1}`)
    back.fin()
  }
})

t.test('a merge goes on until all its channels are closed', async (t) => {
  const { a, b, publish, id, frame, open } = await probe(t)
  const client = await open(id(0, 0))
  await until(() => a.subscribers === 1)
  publish('a1')
  await a.close()
  publish('b1')
  await client.events(2)
  publish('b2')
  await client.events(1)
  await b.close()
  await client.rest()
  t.equal(client.text, OPENING + frame('a1', 1, 0) + frame('b1', 1, 1) + frame('b2', 1, 2) + END)
  t.strictSame([a.subscribers, b.subscribers], [0, 0])
  const late = await open(id(0, 1))
  await late.rest()
  t.strictSame([...late.text.matchAll(/^event: (.*)$/gm)].map(([, event]) => event), ['a', 'b', 'sse.end'])
})

t.test('a merge of one channel has its IDs, and a client may move between the two', async (t) => {
  const { ea, publish, open } = await probe(t, {}, ({ app, a }) => {
    app.get('/one', (_request, reply) => reply.sse(app.sse.merge(a)))
  })
  publish('a1', 'a2')
  const frames = [1, 2].map((n) => `event: a\ndata: {"n":${n}}\nid: ${ea}.${n}\n\n`)
  await received(t, await open(`${ea}.0`, '/one'), OPENING + frames.join(''))
  await received(t, await open(`${ea}.1`, '/a'), OPENING + frames[1]!)
  await received(t, await open(`${ea}.1,AAAAAAAA.1`, '/a'), OPENING + frames[1]!)
})

t.test('64 channels are merged, and their ID comes back', async (t) => {
  const { app } = await createApp(t)
  const channels = Array.from({ length: 64 }, (_, index) => app.sse.channel(`channel ${index}`, A))
  app.get('/', (_request, reply) => reply.sse(app.sse.merge(...channels)))
  app.get('/function', (_request, reply) => reply.sse(() => app.sse.merge(...channels)))
  const { origin } = await listen(app)
  const client = await connect(t, origin)
  await until(() => channels.every(({ subscribers }) => subscribers === 1))
  for (const [n, channel] of channels.entries()) await channel.publish({ event: 'a', data: { n } })
  const frames = await client.events(64)
  t.strictSame(frames.map((frame) => Number(/"n":(\d+)/.exec(frame)![1])).sort((a, b) => a - b), Array.from({ length: 64 }, (_, n) => n))
  for (const url of ['/', '/function']) {
    const back = await connect(t, origin + url, { headers: { 'last-event-id': /^id: (.*)$/m.exec(frames[31]!)![1]! } })
    t.strictSame(await back.events(32), frames.slice(32))
  }
})

t.test('a merge can be iterated, and begins where it was made', async (t) => {
  const { app, a, b, publish, id } = await probe(t)
  publish('a1')
  const merge = app.sse.merge(a, b)
  publish('b1')
  await tick()
  publish('a2')
  const received: unknown[] = []
  for await (const event of merge) {
    received.push(event)
    if (received.length === 2) break
  }
  t.strictSame(received, [{ event: 'b', data: { n: 1 }, id: id(1, 1) }, { event: 'a', data: { n: 2 }, id: id(2, 1) }])
  t.strictSame([a.subscribers, b.subscribers], [0, 0])
})

t.test('a slow subscriber of a merge is dealt with as its channel says', async (t) => {
  for (const overrun of ['disconnect', 'skip', 'latest'] as const) {
    const { app } = await createApp(t)
    const Big = defineEvents({ big: Type.Object({ n: Type.Integer(), fill: Type.String() }) })
    const big = app.sse.channel('big', Big, { backlog: { events: 5 }, overrun })
    const small = app.sse.channel('small', A)
    const reasons: string[] = []
    const sockets: Socket[] = []
    app.server.on('connection', (socket: Socket) => { sockets.push(socket) })
    app.get('/', { sse: { onDisconnect: (_request, { reason }) => { reasons.push(reason) } } }, (_request, reply) => reply.sse(app.sse.merge(big, small)))
    const { origin } = await listen(app)
    const client = await connect(t, origin)
    await until(() => client.text.length > OPENING.length)
    client.stall()
    const fill = 'x'.repeat(50_000)
    let n = 0
    const publish = (): void => { big.publish({ event: 'big', data: { n: ++n, fill } }) }
    let turns = 0
    await until(() => {
      if (sockets[0]!.writableNeedDrain) return ++turns === 50
      turns = 0
      publish()
      return false
    })
    small.publish({ event: 'a', data: { n: 1 } })
    for (let each = 0; each < 30; each++) {
      publish()
      await new Promise(setImmediate)
    }
    client.response.resume()
    const numbers = (text: string): number[] => [...text.matchAll(/^event: big\ndata: \{"n":(\d+)/gm)].map(([, n]) => Number(n))
    let text: string
    if (overrun === 'disconnect') {
      await client.rest()
      t.strictSame(reasons, ['slow-subscriber'])
      const back = await connect(t, origin, { headers: { 'last-event-id': [...client.text.matchAll(/^id: (.*)$/gm)].at(-1)![1]! } })
      await until(() => back.text.includes(`"n":${n},`) && back.text.includes('event: a\n'))
      text = client.text + back.text
    } else {
      await until(() => client.text.includes(`"n":${n},`) && client.text.includes('event: a\n'))
      t.strictSame(reasons, [])
      text = client.text
    }
    const gaps = [...text.matchAll(/^event: sse\.gap\ndata: (.*)$/gm)].map(([, data]) => JSON.parse(data!))
    t.strictSame(gaps.map(({ reason, channel }) => [reason, channel]), [[overrun === 'disconnect' ? 'evicted' : 'overrun', 'big']])
    const before = numbers(text.slice(0, text.indexOf('sse.gap')))
    t.strictSame(before, Array.from({ length: before.length }, (_, index) => index + 1))
    const after = overrun === 'latest' ? [n] : [n - 4, n - 3, n - 2, n - 1, n]
    t.strictSame(numbers(text).slice(before.length), after, overrun)
    t.strictSame(big.stats().overruns, { [overrun]: 1 })
    t.strictSame(small.stats().overruns, {})
  }
})

t.test('a merge survives a burst of more than the backlog in one turn, whoever reads beside it', async (t) => {
  for (const beside of ['nobody', 'a filter', 'somebody who joins', 'a slow filter']) {
    // So that something becomes due while the slow one is at work.
    const ageMs = 400
    const { a, publish, id, frame, open } = await probe(t, { backlog: { events: 10, ageMs } }, ({ app, a }) => {
      app.get('/filtered', (_request, reply) => reply.sse(a.subscribe({
        filter: ({ data }) => {
          const end = performance.now() + (beside === 'a slow filter' && data.n === 200 ? ageMs / 2 : 0)
          while (performance.now() < end);
          return data.n > 0
        }
      })))
    })
    const client = await open(id(0, 0))
    await received(t, client, OPENING)
    if (beside.endsWith('filter')) {
      await open(undefined, '/filtered')
      await until(() => a.subscribers === 2)
      await new Promise(setImmediate)
    }
    const fill = Array.from({ length: 200 }, (_, index) => `a${index + 1}`)
    publish(...fill)
    if (beside === 'somebody who joins') {
      const iterator = a.subscribe()[Symbol.asyncIterator]()
      const next = iterator.next()
      next.catch(() => {})
      t.teardown(() => iterator.return?.())
    }
    await until(() => client.text.includes('"n":200}') || client.ended !== undefined)
    t.equal(client.text, OPENING + fill.map((event, index) => frame(event, index + 1, 0)).join(''), beside)
  }
})
