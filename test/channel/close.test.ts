import type { Socket } from 'node:net'
import { Type } from '@sinclair/typebox'
import t, { type Test } from 'tap'
import { EventSource } from 'undici'
import ssePlugin, { defineEvents, text, type BacklogOptions, type Disconnect, type SSEPluginOptions } from '../../lib/index.js'
import { createApp, createLogged, listen } from '../support/app.js'
import { connect, rawConnect, type FrameClient } from '../support/client.js'
import { until } from '../support/sources.js'

const OPENING = ': sse-heartbeat: 15000\n\nretry: 3000\n\n'
const TEXT_OPENING = ': sse-heartbeat: 15000\n: sse-text: note\n\nretry: 3000\n\n'
const END = 'event: sse.end\ndata: null\nid: sse.end\n\n'

const News = defineEvents({ item: Type.Object({ n: Type.Integer() }), note: text() })
const Twins = defineEvents({ item: Type.Object({ n: Type.Integer() }), note: text() })

async function probe (t: Test, backlog: BacklogOptions = {}, options: SSEPluginOptions = {}) {
  const { app, logs } = await createApp(t, options)
  const news = app.sse.channel('news', News, { backlog })
  const other = app.sse.channel('other', News)
  const epoch = news.lastEventId.slice(0, -2)
  const ends: Disconnect[] = []
  const sockets: Socket[] = []
  app.server.on('connection', (socket: Socket) => { sockets.push(socket) })
  const sse = { onDisconnect: (_request: unknown, end: Disconnect) => { ends.push(end) } }
  app.get('/', { sse }, (_request, reply) => reply.sse(news))
  app.get('/filtered', { sse }, (_request, reply) => reply.sse(news.subscribe({ filter: ({ event }) => event === 'item' })))
  app.get('/latest', { sse }, (_request, reply) => reply.sse(news.subscribe({ latestBy: ({ id }) => id })))
  app.get('/merged', { sse }, (_request, reply) => reply.sse(app.sse.merge(news, other)))
  app.get('/twins', { sse, schema: { events: Twins } }, (_request, reply) => reply.sse(news))
  app.get('/generator', { sse }, (_request, reply) => reply.sse(async function * ({ signal }) { yield * news.subscribe({ signal }) }))
  app.get('/earliest', { sse }, (_request, reply) => reply.sse(news.subscribe({ from: 'earliest' })))
  const { origin } = await listen(app)
  return {
    app,
    logs,
    news,
    other,
    epoch,
    origin,
    ends,
    sockets,
    publish: (...numbers: number[]): void => { for (const n of numbers) news.publish({ event: 'item', data: { n } }) },
    frames: (...numbers: number[]): string => numbers.map((n) => `event: item\ndata: {"n":${n}}\nid: ${epoch}.${n}\n\n`).join('')
  }
}

/** The numbers of the items that a client has received. */
function items (client: FrameClient): number[] {
  return [...client.text.matchAll(/^event: item\ndata: \{"n":(\d+)\}\nid: /gm)].map(([, n]) => Number(n))
}

const ALL = ['/', '/filtered', '/latest', '/twins', '/generator', '/merged']

t.test('a channel that is closed gives each subscriber what was published, and then the end', async (t) => {
  const { app, news, other, epoch, origin, publish, frames, ends } = await probe(t)
  const clients = await Promise.all(ALL.map((url) => connect(t, origin + url)))
  await until(() => news.subscribers === ALL.length)
  publish(1)
  await until(() => clients.every((client) => items(client).length === 1))
  publish(2, 3)
  await news.close()
  await news.close()
  // A merge goes on with what is open.
  const merged = clients.pop()!
  for (const [index, client] of clients.entries()) {
    const text = await client.rest().then(() => client.text)
    const isEventByEvent = ALL[index] === '/twins' || ALL[index] === '/generator'
    t.equal(text.replace(`id: ${epoch}.0\n\n`, ''), (ALL[index] === '/twins' ? TEXT_OPENING : OPENING) + frames(1, 2, 3) + END, ALL[index]!)
    t.equal(client.ended, 'end')
    if (!isEventByEvent) t.ok(text.includes(`id: ${epoch}.0\n\n`))
  }
  await until(() => items(merged).length === 3)
  await other.publish({ event: 'item', data: { n: 4 } })
  await until(() => items(merged).length === 4)
  await other.close()
  await merged.rest()
  t.strictSame(items(merged), [1, 2, 3, 4])
  t.ok(merged.text.endsWith(END))
  t.strictSame(ends.map(({ reason }) => reason), Array(6).fill('source-ended'))
  t.equal(news.subscribers, 0)
  t.strictSame(news.stats().left, { 'source-ended': 6 })
  t.equal(app.sse.stats().open, 0)
})

t.test('who comes after the end gets the backlog, and then the end', async (t) => {
  const { news, epoch, origin, publish, frames } = await probe(t)
  publish(1, 2, 3)
  await news.close()
  const open = (url: string, id?: string): Promise<FrameClient> => connect(t, origin + url, id === undefined ? {} : { headers: { 'last-event-id': id } })
  const expected: Array<[client: FrameClient, text: string]> = [
    [await open('/'), `id: ${epoch}.3\n\n`],
    [await open('/earliest'), frames(1, 2, 3)],
    [await open('/', `${epoch}.1`), frames(2, 3)],
    [await open('/', `${epoch}.3`), ''],
    [await open('/latest', `${epoch}.1`), frames(2, 3)],
    [await open('/twins', `${epoch}.1`), frames(2, 3)]
  ]
  for (const [index, [client, text]] of expected.entries()) {
    await client.rest()
    t.equal(client.text, (index === 5 ? TEXT_OPENING : OPENING) + text + END)
  }
  const done = await open('/', 'sse.end')
  t.equal(done.status, 204)
})

t.test('a bare EventSource stops at the end of a channel', async (t) => {
  const { app, news, origin, publish } = await probe(t, {}, { reconnectionTimeMs: 10 })
  const source = new EventSource(origin)
  t.teardown(() => source.close())
  await until(() => news.subscribers === 1)
  publish(1)
  await news.close()
  await until(() => source.readyState === EventSource.CLOSED)
  t.equal(app.sse.stats().opened, 1)
})

t.test('a slow subscriber of a channel that is closed gets the rest at its own pace', async (t) => {
  for (const url of ['/', '/filtered', '/latest', '/twins', '/merged']) {
    const { news, other, origin, sockets, publish } = await probe(t, { events: 10_000, bytes: 64 << 20 })
    const client = await connect(t, origin + url)
    client.stall()
    await until(() => news.subscribers === 1)
    const note = 'x'.repeat(100_000)
    let n = 0
    let turns = 0
    await until(() => {
      // What the filter refuses does not fill the connection.
      if (sockets[0]!.writableLength > 0 || n === 50) return ++turns === 50
      turns = 0
      publish(++n)
      news.publish({ event: 'note', data: note })
      return false
    })
    publish(++n)
    await Promise.all([news.close(), other.close()])
    publish(0)
    client.response.resume()
    await client.rest()
    t.ok(client.text.endsWith(END), url)
    t.strictSame(items(client), Array.from({ length: n }, (_, index) => index + 1), url)
    t.equal(news.subscribers, 0)
  }
})

t.test('a name can be declared again after the end, and is another log', async (t) => {
  const { app, news, epoch, publish } = await probe(t)
  publish(1)
  t.throws(() => app.sse.channel('news', News), { code: 'FST_SSE_CHANNEL_EXISTS', channel: 'news' })
  await news.close()
  const again = app.sse.channel('news', News)
  t.not(again.lastEventId.split('.')[0], epoch)
  const { id } = await again.publish({ event: 'item', data: { n: 1 } })
  t.match(id, /\.1$/)
  await t.rejects(news.publish({ event: 'item', data: { n: 2 } }), { code: 'FST_SSE_LOG_CLOSED' })
  t.equal(app.sse.stats().channels['news']?.published, 1)
  t.throws(() => app.sse.channels('news', News), { code: 'FST_SSE_CHANNEL_EXISTS' })
})

// The server closes

for (const url of ALL) {
  t.test(`what was published right before the server closes arrives, and then the reconnection time (${url})`, async (t) => {
    const { app, news, origin, publish, ends } = await probe(t)
    const client = await connect(t, origin + url)
    await until(() => news.subscribers === 1)
    publish(1)
    await until(() => items(client).length === 1)
    publish(2, 3)
    const closed = app.close()
    publish(4)
    await closed
    await client.rest()
    t.strictSame(items(client).slice(0, 3), [1, 2, 3])
    t.match(client.text, /\n\nretry: \d+\n\n$/)
    t.equal(client.ended, 'end')
    t.strictSame(ends.map(({ reason }) => reason), ['shutdown'])
    await t.rejects(news.publish({ event: 'item', data: { n: 5 } }), { code: 'FST_SSE_LOG_CLOSED' })
    t.equal(news.subscribers, 0)
  })
}

t.test('what a preClose hook publishes arrives, when the hook was added before the plugin', async (t) => {
  const { app } = createLogged(t)
  app.addHook('preClose', async () => { await news.publish({ event: 'item', data: { n: 2 } }) })
  await app.register(ssePlugin)
  const news = app.sse.channel('news', News)
  app.get('/', (_request, reply) => reply.sse(news))
  const { origin } = await listen(app)
  const client = await connect(t, origin)
  await until(() => news.subscribers === 1)
  await news.publish({ event: 'item', data: { n: 1 } })
  await until(() => items(client).length === 1)
  await app.close()
  await client.rest()
  t.strictSame(items(client), [1, 2])
})

t.test('whenever a client comes back while the server closes, it is not answered in a way that makes an EventSource give up', async (t) => {
  const { app, news, origin, publish } = await probe(t)
  const client = await connect(t, origin)
  await until(() => news.subscribers === 1)
  const { port } = app.server.address() as { port: number }
  const sockets = await Promise.all(Array.from({ length: 12 }, () => rawConnect(t, port, '')))
  const request = 'GET / HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n'
  // Before the close, with it, and in each of the turns that follow.
  sockets[0]!.write(request)
  await new Promise(setImmediate)
  publish(1)
  const closed = app.close()
  for (const socket of sockets.slice(1)) {
    socket.write(request)
    await new Promise(setImmediate)
  }
  await closed
  await client.rest()
  t.strictSame(items(client), [1])
  t.strictSame(sockets.map((socket) => /^HTTP\/1.1 (\d+)/.exec(socket.received())?.[1]).filter((status) => status !== undefined && status !== '200'), [])
})

t.test('events that wait for others (flushMs) arrive before the end of their channel, and of the server', async (t) => {
  for (const end of ['channel', 'server'] as const) {
    const { app } = await createApp(t)
    const news = app.sse.channel('news', News, { flushMs: 60_000 })
    app.get('/', (_request, reply) => reply.sse(news))
    const { origin } = await listen(app)
    const client = await connect(t, origin)
    await until(() => client.text.includes(`id: ${news.lastEventId}\n\n`))
    await news.publish({ event: 'item', data: { n: 1 } })
    await (end === 'server' ? app.close() : news.close())
    await client.rest()
    t.strictSame(items(client), [1], end)
    t.match(client.text, end === 'server' ? /\n\nretry: \d+\n\n$/ : /\n\nevent: sse\.end\n/)
  }
})

t.test('with drain "finish" events go on until the time is over, and what was published last arrives', async (t) => {
  const { app, news, origin, publish } = await probe(t, {}, { drain: 'finish', drainTimeoutMs: 300 })
  const client = await connect(t, origin)
  await until(() => news.subscribers === 1)
  publish(1)
  await until(() => items(client).length === 1)
  const closed = app.close()
  publish(2)
  await until(() => items(client).length === 2)
  publish(3)
  await closed
  await client.rest()
  t.strictSame(items(client), [1, 2, 3])
  t.match(client.text, /\n\nretry: \d+\n\n$/)
})

t.test('with drain "finish" a channel that is closed lets its streams end before the time is over', async (t) => {
  const { app, news, origin, publish, ends } = await probe(t, {}, { drain: 'finish', drainTimeoutMs: 50_000 })
  const client = await connect(t, origin)
  await until(() => news.subscribers === 1)
  const closed = app.close()
  publish(1)
  await news.close()
  await closed
  await client.rest()
  t.ok(client.text.endsWith('"n":1}\nid: ' + news.lastEventId + '\n\n' + END))
  t.strictSame(ends.map(({ reason }) => reason), ['source-ended'])
})

t.test('a client that does not read keeps the server from closing no longer than others', async (t) => {
  const { app, news, origin, sockets } = await probe(t)
  const client = await connect(t, origin)
  client.stall()
  await until(() => news.subscribers === 1)
  let turns = 0
  await until(() => {
    if (sockets[0]!.writableLength > 0) return ++turns === 50
    turns = 0
    news.publish({ event: 'note', data: 'x'.repeat(100_000) })
    return false
  })
  await app.close()
  t.equal(news.subscribers, 0)
  t.strictSame(news.stats().left, { shutdown: 1 })
})

t.test('a channel of a family that is used after the server has closed takes nothing, and is not kept', async (t) => {
  const { app } = await createApp(t)
  const family = app.sse.channels('rooms', News)
  await family.for('a').publish({ event: 'item', data: { n: 1 } })
  await app.ready()
  await app.close()
  await t.rejects(family.for('a').publish({ event: 'item', data: { n: 2 } }), { code: 'FST_SSE_LOG_CLOSED' })
  await t.rejects(family.for('b').publish({ event: 'item', data: { n: 2 } }), { code: 'FST_SSE_LOG_CLOSED' })
  t.equal(family.size, 0)
})

t.test('a channel that is declared after the server has closed takes nothing', async (t) => {
  const { app } = await createApp(t)
  await app.ready()
  await app.close()
  const late = app.sse.channel('late', News)
  await t.rejects(late.publish({ event: 'item', data: { n: 2 } }), { code: 'FST_SSE_LOG_CLOSED' })
  const family = app.sse.channels('rooms', News)
  await t.rejects(family.for('a').publish({ event: 'item', data: { n: 2 } }), { code: 'FST_SSE_LOG_CLOSED' })
})
