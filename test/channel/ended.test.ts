// What the application does in its own callbacks and hooks may end the stream that they were called for. Nothing comes after the end, and nothing stays.
import { Readable } from 'node:stream'
import { Type } from '@sinclair/typebox'
import t from 'tap'
import { createApp, listen, LEVEL } from '../support/app.js'
import { connect } from '../support/client.js'
import { deferred, until } from '../support/sources.js'

const Ticks = { tick: Type.Integer() }
const OPENING = ': sse-heartbeat: 15000\n\nretry: 3000\n\n'
const END = 'event: sse.end\ndata: null\nid: sse.end\n\n'

for (const [name, end] of [
  ['an onSend hook that fails', (done: (error: Error | null, payload?: unknown) => void) => done(new Error('mine'))],
  ['an eviction in onSend', (done: (error: Error | null, payload?: unknown) => void, evict: () => void, payload: unknown) => { evict(); done(null, payload) }]
] as const) {
  t.test(`${name} leaves nobody who reads`, async (t) => {
    const { app } = await createApp(t)
    const ticks = app.sse.channel('ticks', Ticks, { backlog: { events: 2 } })
    let calls = 0
    app.get('/', {
      onSend: (_request, _reply, payload, done) => {
        if (typeof payload === 'object') end(done, () => { app.sse.evict(() => true) }, payload)
        else done(null, payload)
      }
    }, (_request, reply) => reply.sse(ticks.subscribe({ filter: () => { calls++; return true }, latestBy: () => { calls++; return 1 } })))
    const { origin } = await listen(app)
    for (let n = 0; n < 5; n++) await (await connect(t, origin)).rest()
    t.equal(ticks.subscribers, 0)
    for (let n = 0; n < 10; n++) {
      await ticks.publish({ event: 'tick', data: n })
      await new Promise(setImmediate)
    }
    t.equal(calls, 0)
  })
}

for (const url of ['/', '/merged']) {
  t.test(`a filter that closes its channel ends the stream there (${url})`, async (t) => {
    const { app } = await createApp(t)
    const ticks = app.sse.channel('ticks', Ticks)
    const filter = ({ data }: { data: number }): boolean => {
      if (data === 2) ticks.close()
      return true
    }
    app.get('/', (_request, reply) => reply.sse(ticks.subscribe({ filter })))
    app.get('/merged', (_request, reply) => reply.sse(app.sse.merge(ticks.subscribe({ filter }), app.sse.channel('other', Ticks))))
    const { origin } = await listen(app)
    const client = await connect(t, origin + url)
    await until(() => ticks.subscribers === 1)
    for (const data of [1, 2, 3]) ticks.publish({ event: 'tick', data })
    await until(() => client.text.includes(END) || client.text.includes('data: 3'))
    if (url === '/') t.ok((await client.rest(), client.text).endsWith(END), 'nothing comes after the end')
    else t.ok(client.text.includes('data: 3'), 'the other channel is open')
  })
}

t.test('a client that sends a word of the application as its ID has sent none', async (t) => {
  const { app } = await createApp(t)
  const ticks = app.sse.channel('ticks', Ticks, { onGap: () => { throw Object.assign(new Error('no'), { statusCode: 409 }) } })
  app.get('/', (_request, reply) => reply.sse(ticks))
  await ticks.publish({ event: 'tick', data: 1 })
  const { origin } = await listen(app)
  for (const word of ['earliest', 'now']) {
    t.equal((await connect(t, origin, { headers: { 'last-event-id': word } })).status, 409)
    t.equal((await connect(t, `${origin}/?lastEventId=${word}`)).status, 409)
  }
  t.strictSame(ticks.stats().gaps, { malformed: 4 })
})

for (const url of ['/', '/merged']) {
  t.test(`what onGap gives for a client that has left meanwhile is let go (${url})`, async (t) => {
    const { app } = await createApp(t)
    const answer = deferred<Readable>()
    const ticks = app.sse.channel('ticks', Ticks, { onGap: () => answer.promise })
    const other = app.sse.channel('other', Ticks)
    app.get('/', (_request, reply) => reply.sse(ticks))
    app.get('/merged', (_request, reply) => reply.sse(app.sse.merge(ticks, other)))
    const { origin } = await listen(app)
    const client = await connect(t, origin + url, { headers: { 'last-event-id': `${other.lastEventId}` } })
    client.rst()
    await until(() => app.sse.stats().open === 0)
    const readable = new Readable({ objectMode: true, read () {} })
    answer.resolve(readable)
    await until(() => readable.destroyed)
    await until(() => app.sse.stats().sources === 0)
    t.equal(ticks.subscribers, 0)
  })
}

t.test('a request that is refused makes no channel of a family', async (t) => {
  const { app } = await createApp(t, { limits: { total: 1 } })
  const rooms = app.sse.channels('rooms', Ticks)
  app.get<{ Params: { key: string } }>('/:key', (request, reply) => reply.sse(rooms.for(request.params.key)))
  app.get<{ Params: { key: string } }>('/merged/:key', (request, reply) => reply.sse(app.sse.merge(rooms.for(request.params.key))))
  const { origin } = await listen(app)
  await (await connect(t, `${origin}/a`)).frame()
  for (let n = 0; n < 10; n++) {
    t.equal((await connect(t, `${origin}/k${n}`)).status, 503)
    t.equal((await connect(t, `${origin}/merged/m${n}`)).status, 503)
    t.equal((await connect(t, `${origin}/h${n}`, { method: 'HEAD' })).status, 200)
  }
  t.strictSame([...rooms.keys()], ['a'])
})

t.test('a subscription to a channel that is not there yet misses nothing', async (t) => {
  const { app } = await createApp(t)
  const rooms = app.sse.channels('rooms', Ticks)
  const subscription = rooms.for('a').subscribe()
  t.equal(rooms.size, 0)
  const { id } = await rooms.for('a').publish({ event: 'tick', data: 1 })
  for await (const event of subscription) {
    t.strictSame(event, { event: 'tick', data: 1, id })
    break
  }
})

t.test('who leaves because the room is closed is announced to nobody, and not in the log either', async (t) => {
  const { app, logs } = await createApp(t)
  const rooms = app.sse.channels('rooms', Ticks, { onLeave: (_member, room) => room.publish({ event: 'tick', data: room.subscribers }) })
  app.get('/', (_request, reply) => reply.sse(rooms.for('a')))
  const { origin } = await listen(app)
  const clients = await Promise.all(Array.from({ length: 20 }, () => connect(t, origin)))
  await until(() => rooms.for('a').subscribers === 20)
  await rooms.for('a').close()
  for (const client of clients) t.ok((await client.rest(), client.text).startsWith(OPENING) && client.text.endsWith(END))
  t.strictSame(logs.filter(({ level }) => level >= LEVEL.warn), [])
})
