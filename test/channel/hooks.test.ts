import { Type } from '@sinclair/typebox'
import t, { type Test } from 'tap'
import type { FastifyInstance } from 'fastify'
import { defineEvents, type Channel, type ChannelMember, type ChannelOptions, type CloseReason, type EventOf, type RouteStreamOptions } from '../../lib/index.js'
import { createApp, LEVEL, listen, type LogLine } from '../support/app.js'
import { connect, type FrameClient } from '../support/client.js'
import { until } from '../support/sources.js'

const OPENING = ': sse-heartbeat: 15000\n\nretry: 3000\n\n'

const Room = defineEvents({ joined: Type.Object({ who: Type.String() }), left: Type.Object({ who: Type.String() }), said: Type.Object({ n: Type.Integer() }) })
const Twins = defineEvents({ joined: Type.Object({ who: Type.String() }), left: Type.Object({ who: Type.String() }), said: Type.Object({ n: Type.Integer() }) })
type RoomEvent = EventOf<typeof Room>

interface Probe {
  app: FastifyInstance
  logs: LogLine[]
  room: Channel<RoomEvent>
  epoch: string
  origin: string
  /** What the hooks were called with. */
  calls: unknown[]
  /** The members that have joined. */
  members: ChannelMember[]
}

async function probe (t: Test, options: ChannelOptions<RoomEvent> = {}, sse: RouteStreamOptions = {}): Promise<Probe> {
  const { app, logs } = await createApp(t)
  const calls: unknown[] = []
  const members: ChannelMember[] = []
  const room: Channel<RoomEvent> = app.sse.channel('room', Room, {
    onJoin (member, channel) {
      members.push(member)
      calls.push(['join', member.request?.url, channel === room, channel.subscribers])
    },
    onLeave (member, channel, reason) {
      calls.push(['leave', member.request?.url, members.includes(member), channel.subscribers, reason])
    },
    ...options
  })
  app.get('/', { sse }, (_request, reply) => reply.sse(room))
  app.get('/merged', { sse }, (_request, reply) => reply.sse(app.sse.merge(room, app.sse.channel(`silent ${app.sse.stats().opened}`, Room))))
  app.get('/twins', { sse, schema: { events: Twins } }, (_request, reply) => reply.sse(room))
  const { origin } = await listen(app)
  return { app, logs, room, epoch: room.lastEventId.slice(0, -2), origin, calls, members }
}

const who = ({ request }: ChannelMember): string => (request?.query as { who?: string } | undefined)?.who ?? 'nobody'

for (const url of ['/', '/merged', '/twins']) {
  const ends: Array<[reason: CloseReason, sse: RouteStreamOptions, end: (probed: Probe, client: FrameClient) => unknown]> = [
    ['client-left', {}, (_probed, client) => client.fin()],
    ['client-left', {}, (_probed, client) => client.rst()],
    ['evicted', {}, ({ app }) => app.sse.evict(() => true)],
    ['shutdown', {}, ({ app }) => app.close()],
    ['max-age', { maxAgeMs: 100, heartbeatMs: 0 }, () => {}],
    ['expired', { expiresAt: () => Date.now() + 100 }, () => {}]
  ]
  if (url !== '/merged') ends.push(['source-ended', {}, ({ room }) => room.close()])

  for (const [reason, sse, end] of ends) {
    t.test(`the hooks are called once for a subscriber, whoever ends it: ${reason} (${url})`, async (t) => {
      const probed = await probe(t, {}, sse)
      const { app, room, origin, calls, members } = probed
      const before = Date.now()
      const client = await connect(t, `${origin}${url}?a=1`)
      await until(() => calls.length > 0)
      t.strictSame(calls, [['join', `${url}?a=1`, true, 1]])
      const [{ channel, key, joinedAt }] = members as [ChannelMember]
      t.strictSame({ channel, key }, { channel: 'room', key: undefined })
      t.ok(joinedAt >= before && joinedAt <= Date.now())
      await end(probed, client)
      await until(() => app.sse.stats().open === 0 && room.subscribers === 0)
      t.strictSame(calls.slice(1), [['leave', `${url}?a=1`, true, 0, reason]])
      t.strictSame(room.stats().left, { [reason]: 1 })
    })
  }

  t.test(`a subscriber whose own callback fails has left for that reason (${url})`, async (t) => {
    const { app, logs } = await createApp(t)
    const reasons: CloseReason[] = []
    const room = app.sse.channel('room', Room, { onLeave: (_member, _channel, reason) => { reasons.push(reason) } })
    const silent = app.sse.channel('silent', Room)
    const failing = room.subscribe({ filter: () => { throw new Error('mine') } })
    app.get('/', (_request, reply) => reply.sse(failing))
    app.get('/merged', (_request, reply) => reply.sse(app.sse.merge(failing, silent)))
    app.get('/twins', { schema: { events: Twins } }, (_request, reply) => reply.sse(failing))
    const { origin } = await listen(app)
    const client = await connect(t, origin + url)
    await until(() => room.subscribers === 1)
    room.publish({ event: 'said', data: { n: 1 } })
    await client.rest()
    await until(() => room.subscribers === 0)
    t.strictSame(reasons, ['source-failed'])
    t.equal(logs.filter(({ level }) => level >= LEVEL.warn).length, 1)
  })

  t.test(`what the hooks publish reaches those who are there, also the one who has come (${url})`, async (t) => {
    const { app, room, origin, epoch } = await probe(t, {
      onJoin (member, channel) { channel.publish({ event: 'joined', data: { who: who(member) } }) },
      onLeave (member, channel) { channel.publish({ event: 'left', data: { who: who(member) } }) }
    })
    const ann = await connect(t, `${origin}${url}?who=ann`)
    await ann.events(1)
    const bob = await connect(t, `${origin}${url}?who=bob`)
    await Promise.all([ann.events(1), bob.events(1)])
    bob.rst()
    await ann.events(1)
    const events = (text: string): string[] => [...text.matchAll(/^event: (\w+)\ndata: (.*)\nid: ([^,\n]+)/gm)].map(([, event, data, id]) => `${event} ${JSON.parse(data!).who} ${id}`)
    t.strictSame(events(ann.text), [`joined ann ${epoch}.1`, `joined bob ${epoch}.2`, `left bob ${epoch}.3`])
    t.strictSame(events(bob.text), [`joined bob ${epoch}.2`])
    ann.rst()
    await until(() => app.sse.stats().open === 0 && room.subscribers === 0)
    t.equal(room.stats().published, 4)
  })
}

t.test('hooks that throw or reject are logged, and harm nobody', async (t) => {
  const failures = {
    throw: (what: string) => { throw new Error(what) },
    reject: async (what: string) => { throw new Error(what) }
  }
  for (const [how, failure] of Object.entries(failures)) {
    const { logs, room, origin, epoch } = await probe(t, { onJoin: () => failure('join'), onLeave: () => failure('leave') })
    const ann = await connect(t, origin)
    const bob = await connect(t, origin)
    await until(() => room.subscribers === 2)
    bob.fin()
    await until(() => room.subscribers === 1)
    room.publish({ event: 'said', data: { n: 1 } })
    await ann.events(1)
    t.equal(ann.text, OPENING + `id: ${epoch}.0\n\nevent: said\ndata: {"n":1}\nid: ${epoch}.1\n\n`, how)
    t.strictSame(logs.filter(({ level }) => level >= LEVEL.warn).map(({ level, msg, err }) => [level, msg, err?.message]), [
      [LEVEL.warn, 'onJoin of channel "room" failed', 'join'],
      [LEVEL.warn, 'onJoin of channel "room" failed', 'join'],
      [LEVEL.warn, 'onLeave of channel "room" failed', 'leave']
    ])
  }
})

t.test('nobody joins for a request that is refused', async (t) => {
  const { app, room, origin, calls } = await probe(t)
  t.equal((await connect(t, origin, { method: 'HEAD' })).status, 200)
  t.equal((await connect(t, origin, { headers: { 'last-event-id': 'sse.end' } })).status, 204)
  t.equal(room.subscribers, 0)
  t.strictSame(calls, [])
  t.equal(app.sse.stats().opened, 0)
  const limited = await createApp(t, { limits: { total: 1 } })
  const joins: string[] = []
  const small = limited.app.sse.channel('small', Room, { onJoin: ({ request }) => { joins.push(request!.url) } })
  limited.app.get('/', (_request, reply) => reply.sse(small))
  const { origin: other } = await listen(limited.app)
  await connect(t, other)
  t.equal((await connect(t, `${other}/?second`)).status, 503)
  t.strictSame(joins, ['/'])
})

t.test('an iteration is a member without a request, from its first event on', async (t) => {
  const { room, calls } = await probe(t)
  const iterator = room.subscribe()[Symbol.asyncIterator]()
  t.strictSame(calls, [])
  const next = iterator.next()
  t.strictSame(calls, [['join', undefined, true, 1]])
  room.publish({ event: 'said', data: { n: 1 } })
  await next
  await iterator.return?.()
  t.strictSame(calls.slice(1), [['leave', undefined, true, 0, 'source-ended']])
})

t.test('one who joins may send away those who were there', async (t) => {
  const { app } = await createApp(t, { limitKey: (request) => (request.query as { who: string }).who })
  const reasons: unknown[] = []
  const room = app.sse.channel('room', Room, {
    onJoin ({ request }) {
      app.sse.evict((stream) => stream.key === who({ request } as ChannelMember) && stream.request !== request)
    },
    onLeave (member, _channel, reason) { reasons.push([member.request!.url, reason]) }
  })
  app.get('/', (_request, reply) => reply.sse(room))
  const { origin } = await listen(app)
  const first = await connect(t, `${origin}/?who=ann&n=1`)
  await until(() => room.subscribers === 1)
  const second = await connect(t, `${origin}/?who=ann&n=2`)
  await first.rest()
  t.equal(first.ended, 'end')
  await until(() => room.subscribers === 1)
  t.strictSame(reasons, [['/?who=ann&n=1', 'evicted']])
  t.equal(second.ended, undefined)
})

t.test('one who is sent away while joining has left, and leaves nothing behind', async (t) => {
  const { app, logs } = await createApp(t)
  const calls: string[] = []
  const room: Channel<RoomEvent> = app.sse.channel('room', Room, {
    backlog: { events: 4 },
    onJoin () {
      calls.push('join')
      app.sse.evict(() => true)
    },
    onLeave () { calls.push('leave') }
  })
  let keys = 0
  const latestBy = (): number => keys++
  app.get('/', (_request, reply) => reply.sse(room.subscribe({ latestBy })))
  app.get('/merged', (_request, reply) => reply.sse(app.sse.merge(room.subscribe({ latestBy }))))
  const { origin } = await listen(app)
  for (const url of ['/', '/merged']) {
    for (const headers of [{}, { 'last-event-id': 'other.1' }] as Array<Record<string, string>>) {
      const client = await connect(t, origin + url, { headers })
      await client.rest()
      t.equal(client.ended, 'end')
      await until(() => app.sse.stats().open === 0)
      t.strictSame(calls.splice(0), ['join', 'leave'], `${url} ${JSON.stringify(headers)}`)
      t.equal(room.subscribers, 0)
    }
  }
  for (let n = 0; n < 20; n++) {
    room.publish({ event: 'said', data: { n } })
    await new Promise(setImmediate)
  }
  t.equal(keys, 0, 'nobody reads any more')
  t.strictSame(logs.filter(({ level }) => level >= LEVEL.warn), [])
})

t.test('a hook that publishes while a flush is under way takes nothing from those who come after', async (t) => {
  const { app } = await createApp(t)
  const fill = 'x'.repeat(10_000)
  const Big = defineEvents({ big: Type.Object({ n: Type.Integer(), fill: Type.String() }) })
  const big: Channel<EventOf<typeof Big>> = app.sse.channel('big', Big, {
    backlog: { events: 1 },
    onLeave (_member, channel) { channel.publish({ event: 'big', data: { n: 99, fill } }) }
  })
  let isBroken = false
  // Each reads event by event: the first has all of them pass, the last breaks amid the flush.
  app.get('/all', (_request, reply) => reply.sse(big.subscribe({ filter: ({ data }) => data.n !== 2 })))
  app.get('/latest', (_request, reply) => reply.sse(big.subscribe({ latestBy: ({ data }) => data.n, filter: () => true })))
  app.get('/broken', (_request, reply) => reply.sse(big.subscribe({
    filter: () => {
      if (isBroken) throw new Error('mine')
      return true
    }
  })))
  const { origin } = await listen(app)
  const clients: FrameClient[] = []
  for (const [index, url] of ['/all', '/latest', '/broken'].entries()) {
    clients.push(await connect(t, origin + url))
    await until(() => big.subscribers === index + 1 && clients[index]!.text.length > OPENING.length)
  }
  isBroken = true
  for (const n of [1, 2, 3, 4]) big.publish({ event: 'big', data: { n, fill } })
  const numbers = (text: string): number[] => [...text.matchAll(/^data: \{"n":(\d+)/gm)].map(([, n]) => Number(n))
  await until(() => clients[0]!.text.includes('"n":99') && clients[1]!.text.includes('"n":99'))
  t.strictSame(numbers(clients[0]!.text), [1, 3, 4, 99])
  t.strictSame(numbers(clients[1]!.text), [1, 2, 3, 4, 99])
})
