import { Type } from '@sinclair/typebox'
import t, { type Test } from 'tap'
import type { FastifyInstance } from 'fastify'
import { defineEvents, type ChannelFamily, type EventOf, type FamilyOptions } from '../../lib/index.js'
import { createApp, listen } from '../support/app.js'
import { connect, type FrameClient } from '../support/client.js'
import { until } from '../support/sources.js'

const OPENING = ': sse-heartbeat: 15000\n\nretry: 3000\n\n'
const END = 'event: sse.end\ndata: null\nid: sse.end\n\n'

const Rooms = defineEvents({ said: Type.Object({ n: Type.Integer() }) })
type Said = EventOf<typeof Rooms>

interface Probe {
  app: FastifyInstance
  rooms: ChannelFamily<Said>
  open: (key: string, lastEventId?: string) => Promise<FrameClient>
  say: (key: string, n: number) => Promise<string>
}

async function probe (t: Test, options: FamilyOptions<Said> = {}): Promise<Probe> {
  const { app } = await createApp(t)
  const rooms = app.sse.channels('rooms', Rooms, options)
  app.get('/:key', (request, reply) => reply.sse(rooms.for((request.params as { key: string }).key)))
  const { origin } = await listen(app)
  return {
    app,
    rooms,
    open: (key, lastEventId) => connect(t, `${origin}/${encodeURIComponent(key)}`, lastEventId === undefined ? {} : { headers: { 'last-event-id': lastEventId } }),
    say: async (key, n) => (await rooms.for(key).publish({ event: 'said', data: { n } })).id
  }
}

const frame = (n: number, id: string): string => `event: said\ndata: {"n":${n}}\nid: ${id}\n\n`

t.test('each key is a sequence of its own', async (t) => {
  const { app, rooms, open, say } = await probe(t)
  t.equal(rooms.size, 0)
  const a = await open('a')
  const b = await open('b')
  await until(() => rooms.for('a').subscribers === 1 && rooms.for('b').subscribers === 1)
  const first = await say('a', 1)
  const second = await say('b', 2)
  const third = await say('a', 3)
  await Promise.all([a.events(2), b.events(1)])
  const [one, other] = [first, second].map((id) => id.split('.')[0])
  t.not(one, other)
  t.strictSame([first, second, third], [`${one}.1`, `${other}.1`, `${one}.2`])
  t.equal(a.text, OPENING + `id: ${one}.0\n\n` + frame(1, first) + frame(3, third))
  t.equal(b.text, OPENING + `id: ${other}.0\n\n` + frame(2, second))
  const wrong = await open('b', first)
  await wrong.events(2)
  t.equal(wrong.text, OPENING + `event: sse.gap\ndata: {"reason":"epoch","requested":"${first}","resumedAt":"${other}.0"}\nid: ${other}.0\n\n` + frame(2, second))
  t.strictSame([...rooms.keys()], ['a', 'b'])
  t.equal(rooms.name, 'rooms')
  t.strictSame([rooms.for('a').name, rooms.for('a').key], ['rooms', 'a'])
  t.strictSame(app.sse.stats().channels, {
    rooms: {
      channels: 2,
      subscribers: 3,
      events: 3,
      bytes: frame(1, first).length * 3,
      published: 3,
      refused: 0,
      delivered: 4,
      superseded: 0,
      gaps: { epoch: 1 },
      overruns: {},
      left: {}
    }
  })
  t.strictSame(rooms.stats(), app.sse.stats().channels['rooms'])
})

t.test('a key is any string of 1 to 1,024 characters, and each is itself', async (t) => {
  const { rooms } = await probe(t)
  const keys = ['a', 'A', 'a ', '__proto__', 'constructor', '', 'é', 'e\u0301', 'a,b', 'a.b', '\n', '\0', 'x'.repeat(1024)].filter((key) => key !== '')
  for (const [index, key] of keys.entries()) await rooms.for(key).publish({ event: 'said', data: { n: index } })
  t.strictSame([...rooms.keys()], keys)
  t.equal(rooms.stats().events, keys.length)
  for (const key of ['', 'x'.repeat(1025), undefined, null, 5, {}, ['a'], Symbol('a')]) {
    t.throws(() => rooms.for(key as string), { code: 'FST_SSE_OPTION_INVALID' })
  }
  t.equal(rooms.size, keys.length)
})

t.test('what for gives is for use again and again, and does nothing until it is used', async (t) => {
  const { rooms, open } = await probe(t)
  const a = rooms.for('a')
  t.equal(a.subscribers, 0)
  t.equal(rooms.size, 0)
  const client = await open('a')
  await until(() => a.subscribers === 1)
  const { id } = await a.publish({ event: 'said', data: { n: 1 } })
  await client.events(1)
  t.equal(rooms.for('a').lastEventId, id)
  t.equal(a.lastEventId, id)
  t.equal(rooms.size, 1)
})

t.test('a channel that is idle is given back, and made anew by an old handle', async (t) => {
  const { rooms, open, say } = await probe(t, { idleMs: 100 })
  const a = rooms.for('a')
  const first = await say('a', 1)
  const client = await open('a', first)
  await until(() => a.subscribers === 1)
  client.fin()
  await until(() => rooms.size === 0)
  t.equal(a.subscribers, 0)
  t.strictSame(rooms.stats(), {
    channels: 0, subscribers: 0, events: 0, bytes: 0, published: 1, refused: 0, delivered: 0, superseded: 0, gaps: {}, overruns: {}, left: { 'client-left': 1 }
  })
  const { id } = await a.publish({ event: 'said', data: { n: 2 } })
  t.match(id, /\.1$/)
  t.not(id.split('.')[0], first.split('.')[0])
  t.equal(rooms.size, 1)
  t.equal(rooms.for('a').lastEventId, id, 'all handles of a key are the same channel')
  const back = await open('a', first)
  await back.events(2)
  t.equal(back.text, OPENING + `event: sse.gap\ndata: {"reason":"epoch","requested":"${first}","resumedAt":"${id.split('.')[0]}.0"}\nid: ${id.split('.')[0]}.0\n\n` + frame(2, id))
})

t.test('a channel with a subscriber stays, be it a stream or an iteration', async (t) => {
  const { rooms, open, say } = await probe(t, { idleMs: 100 })
  const client = await open('stream')
  const iterator = rooms.for('iteration').subscribe()[Symbol.asyncIterator]()
  const next = iterator.next()
  await until(() => rooms.for('stream').subscribers === 1)
  const epochs = ['stream', 'iteration'].map((key) => rooms.for(key).lastEventId)
  // Others come and go meanwhile, several times as long.
  for (let round = 0; round < 3; round++) {
    await say('other', round)
    await until(() => rooms.size === 2)
  }
  t.strictSame(['stream', 'iteration'].map((key) => rooms.for(key).lastEventId), epochs)
  const ids = [await say('stream', 1), await say('iteration', 1)]
  await client.events(1)
  t.ok(client.text.endsWith(frame(1, ids[0]!)))
  t.strictSame((await next).value, { event: 'said', data: { n: 1 }, id: ids[1]! })
  await iterator.return?.()
  client.rst()
  await until(() => rooms.size === 0)
})

t.test('a channel that is used stays: publishing counts as use', async (t) => {
  const { rooms, say } = await probe(t, { idleMs: 200 })
  const first = await say('a', 0)
  let rounds = 0
  let id = first
  // Others are given back a few times; this one is used in every turn.
  while (rounds < 3) {
    await say('other', 0)
    await until(() => {
      id = rooms.for('a').lastEventId
      rooms.for('a').publish({ event: 'said', data: { n: 1 } })
      return rooms.size === 1
    })
    rounds++
  }
  t.equal(id.split('.')[0], first.split('.')[0])
})

t.test('events that are too old are given back in a channel of a family as in any other', { timeout: 10_000 }, async (t) => {
  const { rooms, say } = await probe(t, { backlog: { ageMs: 100 }, idleMs: 600_000 })
  await say('a', 1)
  await until(() => rooms.stats().events === 0)
  t.equal(rooms.stats().bytes, 0)
  t.equal(rooms.size, 1)
})

t.test('the stats of one channel are those of its family', async (t) => {
  const { rooms, say } = await probe(t)
  await say('a', 1)
  await say('b', 2)
  await say('b', 3)
  t.strictSame(rooms.for('a').stats(), rooms.stats())
})

t.test('hooks and gaps are told the key', async (t) => {
  const calls: unknown[] = []
  const { rooms, open, say } = await probe(t, {
    onJoin: ({ channel, key }, handle) => { calls.push(['join', channel, key, handle.key]) },
    onLeave: ({ channel, key }, handle, reason) => { calls.push(['leave', channel, key, handle.key, reason]) },
    onGap: ({ channel, key, reason }) => { calls.push(['gap', channel, key, reason]) }
  })
  await say('a', 1)
  const client = await open('a', 'x')
  await client.events(1)
  client.fin()
  await until(() => rooms.for('a').subscribers === 0)
  t.strictSame(calls, [['join', 'rooms', 'a', 'a'], ['gap', 'rooms', 'a', 'malformed'], ['leave', 'rooms', 'a', 'a', 'client-left']])
})

t.test('a channel of a family that is closed takes nothing until it is given back, and no other one is closed', async (t) => {
  const { rooms, open, say } = await probe(t, { idleMs: 100 })
  const a = await open('a')
  const b = await open('b')
  await until(() => rooms.stats().subscribers === 2)
  const id = await say('a', 1)
  await rooms.for('a').close()
  await a.rest()
  t.ok(a.text.endsWith(frame(1, id) + END))
  await t.rejects(say('a', 2), { code: 'FST_SSE_LOG_CLOSED' })
  const other = await say('b', 2)
  await b.events(1)
  t.ok(b.text.endsWith(frame(2, other)))
  await until(() => !([...rooms.keys()].includes('a')))
  t.match(await say('a', 3), /\.1$/)
})

t.test('thousands of keys are given back together', async (t) => {
  const { rooms } = await probe(t, { idleMs: 100 })
  for (let key = 0; key < 5000; key++) rooms.for(String(key)).publish({ event: 'said', data: { n: key } })
  t.equal(rooms.size, 5000)
  await until(() => rooms.size === 0)
  t.equal(rooms.stats().published, 5000)
})
