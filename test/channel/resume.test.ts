import { Type } from '@sinclair/typebox'
import t, { type Test } from 'tap'
import { EventSource } from 'undici'
import type { FastifyInstance } from 'fastify'
import { defineEvents, text, type BacklogOptions, type Channel, type EventOf } from '../../lib/index.js'
import { createApp, listen } from '../support/app.js'
import { connect, rawConnect, type FrameClient } from '../support/client.js'
import { until } from '../support/sources.js'

const OPENING = ': sse-heartbeat: 15000\n\nretry: 3000\n\n'

const Orders = defineEvents({ created: Type.Object({ n: Type.Integer() }), note: text() })

interface Probe {
  app: FastifyInstance
  origin: string
  orders: Channel<EventOf<typeof Orders>>
  epoch: string
  /** Publishes the events of these numbers, one after the other, in this turn. */
  publish: (...numbers: number[]) => void
  /** The frames of these numbers. */
  frames: (...numbers: number[]) => string
  /** A client that has told this ID. */
  resume: (lastEventId: string) => Promise<FrameClient>
}

/** An application with a channel on `/`, and more routes if wanted. */
async function probe (t: Test, backlog: BacklogOptions = {}, addRoutes?: (probed: Probe) => void): Promise<Probe> {
  const { app } = await createApp(t)
  const orders = app.sse.channel('orders', Orders, { backlog })
  const epoch = orders.lastEventId.slice(0, -2)
  app.get('/', (_request, reply) => reply.sse(orders))
  app.get('/earliest', (_request, reply) => reply.sse(orders.subscribe({ from: 'earliest' })))
  const probed: Probe = {
    app,
    origin: '',
    orders,
    epoch,
    publish: (...numbers) => { for (const n of numbers) orders.publish({ event: 'created', data: { n } }) },
    frames: (...numbers) => numbers.map((n) => `event: created\ndata: {"n":${n}}\nid: ${epoch}.${n}\n\n`).join(''),
    resume: (lastEventId) => connect(t, probed.origin, { headers: { 'last-event-id': lastEventId } })
  }
  addRoutes?.(probed)
  probed.origin = (await listen(app)).origin
  return probed
}

/** The integers from `first` to `last`. */
function range (first: number, last: number): number[] {
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => first + index)
}

t.test('a first connection gets the opening, the ID of the place where it begins, and then what is published', async (t) => {
  const { origin, orders, epoch, publish, frames } = await probe(t)
  publish(1, 2, 3)
  const client = await connect(t, origin)
  await until(() => orders.subscribers === 1)
  publish(4, 5)
  await client.events(2)
  t.equal(client.text, OPENING + `id: ${epoch}.3\n\n` + frames(4, 5))
})

t.test('a client that breaks off before any event goes on from the place where it began', async (t) => {
  const { app, origin, epoch, publish, frames, resume } = await probe(t)
  publish(1, 2, 3)
  const client = await connect(t, origin)
  await until(() => client.text === OPENING + `id: ${epoch}.3\n\n`)
  client.rst()
  await until(() => app.sse.stats().open === 0)
  publish(4, 5)
  const back = await resume(`${epoch}.3`)
  await back.events(2)
  publish(6)
  await back.events(1)
  t.equal(back.text, OPENING + frames(4, 5, 6))
})

t.test('each ID of the backlog, and the one before it, resumes with exactly what came after it', async (t) => {
  // Not yet full, exactly full, and wrapped; a capacity of 1; and by bytes.
  const one = Buffer.byteLength('event: note\ndata: x\nid: 12345678.1\n\n')
  const cases: Array<[backlog: BacklogOptions, published: number, kept: number]> = [
    [{ events: 10 }, 0, 0],
    [{ events: 10 }, 1, 1],
    [{ events: 10 }, 9, 9],
    [{ events: 10 }, 10, 10],
    [{ events: 10 }, 11, 10],
    [{ events: 10 }, 25, 10],
    [{ events: 1 }, 1, 1],
    [{ events: 1 }, 5, 1],
    [{ events: 2 }, 5, 2],
    [{ bytes: 1024 }, 9, 9],
    [{ bytes: 1024 }, 99, Math.floor(1024 / (one + 1))]
  ]
  for (const [backlog, published, kept] of cases) {
    const { app, origin, orders, epoch } = await probe(t, backlog)
    const frame = (n: number): string => `event: note\ndata: x\nid: ${epoch}.${n}\n\n`
    const frames = (first: number, last: number): string => range(first, last).map(frame).join('')
    for (let n = 1; n <= published; n++) orders.publish({ event: 'note', data: 'x' })
    t.equal(orders.stats().events, kept)
    const ids = range(published - kept, published)
    const clients = await Promise.all(ids.map((id) => connect(t, origin, { headers: { 'last-event-id': `${epoch}.${id}` } })))
    const earliest = await connect(t, `${origin}/earliest`)
    await until(() => orders.subscribers === clients.length + 1)
    orders.publish({ event: 'note', data: 'x' })
    for (const [index, client] of clients.entries()) {
      const id = ids[index]!
      await client.events(published - id + 1)
      t.equal(client.text, OPENING + frames(id + 1, published + 1), `${JSON.stringify(backlog)}: ${id} of ${published}`)
    }
    await earliest.events(kept + 1)
    t.equal(earliest.text, OPENING + (kept === 0 ? `id: ${epoch}.0\n\n` : '') + frames(published - kept + 1, published + 1))
    t.strictSame(orders.stats().gaps, {})
    await app.close()
  }
})

t.test('a client that is up to date is replayed nothing, and told nothing', async (t) => {
  const { orders, epoch, publish, frames, resume } = await probe(t)
  publish(1, 2, 3)
  const client = await resume(`${epoch}.3`)
  await until(() => orders.subscribers === 1)
  publish(4)
  await client.events(1)
  t.equal(client.text, OPENING + frames(4))
})

t.test('what is published in the turn in which a subscriber resumes comes after what it missed, once', async (t) => {
  let hasJoined = false
  const { app, orders, epoch, publish, frames } = await probe(t, { events: 10 }, ({ app, orders, publish }) => {
    app.get('/race', (_request, reply) => {
      publish(11)
      const streamed = reply.sse(orders)
      hasJoined = orders.subscribers > 0
      publish(12)
      return streamed
    })
  })
  publish(...range(1, 10))
  const { port } = app.server.address() as { port: number }
  // Behind, and up to date.
  for (const [id, head] of [[8, 12], [12, 14]] as const) {
    const socket = await rawConnect(t, port, `GET /race HTTP/1.1\r\nHost: x\r\nLast-Event-ID: ${epoch}.${id}\r\n\r\n`)
    await socket.until(`id: ${epoch}.${head}\n\n\r\n`)
    t.equal(hasJoined, true)
    const chunks = socket.received().slice(socket.received().indexOf('\r\n\r\n') + 4)
    const frame = (offset: number): string => frames(offset).replace(/"n":\d+/, `"n":${offset > 12 ? offset - 2 : offset}`)
    t.equal(chunks.replace(/[\da-f]+\r\n([^\r]*)\r\n/g, '$1'), OPENING + range(id + 1, head).map(frame).join(''))
    socket.destroy()
    await until(() => orders.subscribers === 0)
  }
})

t.test('a subscriber that joins between two events of one turn gets the second one alone', async (t) => {
  const { origin, orders, epoch, frames } = await probe(t, {}, ({ app, orders, publish }) => {
    app.get('/race', (_request, reply) => {
      publish(1)
      const streamed = reply.sse(orders)
      publish(2)
      return streamed
    })
  })
  // Somebody who is there already: the channel has something to flush.
  const first = await connect(t, origin)
  await until(() => orders.subscribers === 1)
  const second = await connect(t, `${origin}/race`)
  await Promise.all([first.events(2), second.events(1)])
  t.equal(first.text, OPENING + `id: ${epoch}.0\n\n` + frames(1, 2))
  t.equal(second.text, OPENING + `id: ${epoch}.1\n\n` + frames(2))
})

t.test('from says where a client without an ID begins, and an ID goes before it', async (t) => {
  const { origin, orders, epoch, publish, frames, resume } = await probe(t, {}, ({ app, orders, epoch }) => {
    app.get('/now', (_request, reply) => reply.sse(orders.subscribe({ from: 'now' })))
    app.get('/two', (_request, reply) => reply.sse(orders.subscribe({ from: `${epoch}.2` })))
    app.get('/three', (_request, reply) => reply.sse(orders.subscribe({ from: `${epoch}.3` })))
  })
  publish(1, 2, 3)
  const expected: Array<[url: string, id: string | undefined, text: string]> = [
    ['/', undefined, `id: ${epoch}.3\n\n`],
    ['/', '', `id: ${epoch}.3\n\n`],
    ['/now', undefined, `id: ${epoch}.3\n\n`],
    ['/earliest', undefined, frames(1, 2, 3)],
    ['/earliest', '', frames(1, 2, 3)],
    ['/two', undefined, frames(3)],
    ['/three', undefined, `id: ${epoch}.3\n\n`],
    ['/now', `${epoch}.1`, frames(2, 3)],
    ['/earliest', `${epoch}.2`, frames(3)],
    ['/two', `${epoch}.0`, frames(1, 2, 3)],
    ['/three', `${epoch}.3`, '']
  ]
  const clients = await Promise.all(expected.map(([url, id]) => connect(t, origin + url, id === undefined ? {} : { headers: { 'last-event-id': id } })))
  await until(() => orders.subscribers === clients.length)
  publish(4)
  for (const [index, client] of clients.entries()) {
    const [url, id, text] = expected[index]!
    await until(() => client.text.endsWith(frames(4)))
    t.equal(client.text, OPENING + text + frames(4), `${url} with ${id}`)
  }
  const gone = await resume(`${epoch}.4`)
  await until(() => gone.text === OPENING)
})

t.test('the query parameter lastEventId is an ID too, however it is encoded, and the header goes before it', async (t) => {
  const { origin, orders, epoch, publish, frames } = await probe(t, {}, ({ app, orders }) => {
    // Ajv as Fastify sets it up takes from the query what the schema does not name.
    app.get('/strict', {
      schema: { querystring: { type: 'object', properties: { page: { type: 'integer' } }, additionalProperties: false } }
    }, (_request, reply) => reply.sse(orders))
  })
  publish(1, 2, 3)
  const encoded = [...`${epoch}.1`].map((character) => `%${character.charCodeAt(0).toString(16)}`).join('')
  const expected: Array<[url: string, headers: Record<string, string>, text: string]> = [
    [`/?lastEventId=${epoch}.1`, {}, frames(2, 3)],
    [`/?page=1&lastEventId=${epoch}.2&x=y`, {}, frames(3)],
    [`/?lastEventId=${encoded}`, {}, frames(2, 3)],
    [`/?lastEventId=${epoch}.3`, {}, ''],
    [`/strict?page=1&lastEventId=${encoded}`, {}, frames(2, 3)],
    [`/?lastEventId=${epoch}.1`, { 'last-event-id': `${epoch}.2` }, frames(3)],
    ['/?lastEventId=', {}, `id: ${epoch}.3\n\n`],
    ['/?lastEventId', {}, `id: ${epoch}.3\n\n`],
    [`/?LastEventId=${epoch}.1`, {}, `id: ${epoch}.3\n\n`],
    [`/?x=lastEventId=${epoch}.1`, {}, `id: ${epoch}.3\n\n`]
  ]
  const clients = await Promise.all(expected.map(([url, headers]) => connect(t, origin + url, { headers })))
  await until(() => orders.subscribers === clients.length)
  publish(4)
  for (const [index, client] of clients.entries()) {
    const [url, , text] = expected[index]!
    await until(() => client.text.endsWith(frames(4)))
    t.equal(client.text, OPENING + text + frames(4), url)
  }
})

t.test('a page that is rendered with lastEventId begins where it was rendered', async (t) => {
  const { origin, orders, epoch, publish, frames } = await probe(t)
  publish(1)
  const { lastEventId } = orders
  t.equal(lastEventId, `${epoch}.1`)
  publish(2)
  const client = await connect(t, `${origin}/?lastEventId=${encodeURIComponent(lastEventId)}`)
  await client.events(1)
  publish(3)
  await client.events(1)
  t.equal(client.text, OPENING + frames(2, 3))
})

t.test('a backlog of several megabytes is read page by page, also while more is published', async (t) => {
  const { app } = await createApp(t)
  const orders = app.sse.channel('orders', Orders, { backlog: { events: 10_000, bytes: 64 << 20 } })
  const epoch = orders.lastEventId.slice(0, -2)
  app.get('/', (_request, reply) => reply.sse(orders.subscribe({ from: 'earliest' })))
  const { origin } = await listen(app)
  const data = 'x'.repeat(10_000)
  const frame = (n: number): string => `event: note\ndata: ${data}\nid: ${epoch}.${n}\n\n`
  for (let n = 1; n <= 1000; n++) orders.publish({ event: 'note', data })
  const clients = await Promise.all([connect(t, origin), connect(t, origin), connect(t, origin, { headers: { 'last-event-id': `${epoch}.500` } })])
  let n = 1000
  await until(() => {
    orders.publish({ event: 'note', data })
    return ++n === 1200
  })
  const all = range(1, 1200).map(frame)
  for (const [index, client] of clients.entries()) {
    const expected = index === 2 ? all.slice(500) : all
    const received = await client.events(expected.length)
    t.ok(received.length === expected.length && received.every((each, at) => each === expected[at]), `client ${index}`)
  }
  t.equal(orders.stats().delivered, 1200 + 1200 + 700)
})

t.test('several routes read one channel, and each client resumes on any of them', async (t) => {
  let orders!: Channel<EventOf<typeof Orders>>
  const { origin, epoch, publish, frames } = await probe(t, {}, ({ app }) => {
    orders = app.sse.channel('more', Orders)
    app.get('/a', { schema: { events: Orders } }, (_request, reply) => reply.sse(orders))
    app.get('/b', { sse: { heartbeatMs: 0, reconnectionTimeMs: 10 } }, (_request, reply) => reply.sse(orders))
  })
  const a = await connect(t, `${origin}/a`)
  const b = await connect(t, `${origin}/b`)
  await until(() => orders.subscribers === 2)
  const { id } = await orders.publish({ event: 'note', data: 'x' })
  publish(1)
  const [other] = id.split('.')
  t.not(other, epoch)
  await Promise.all([a.events(1), b.events(1)])
  t.equal(a.text, OPENING.replace('\n', '\n: sse-text: note\n') + `id: ${other}.0\n\nevent: note\ndata: x\nid: ${other}.1\n\n`)
  t.equal(b.text, `: sse-heartbeat: 0\n\nretry: 10\n\nid: ${other}.0\n\nevent: note\ndata: x\nid: ${other}.1\n\n`)
  const moved = await connect(t, `${origin}/b`, { headers: { 'last-event-id': `${other}.0` } })
  t.strictSame(await moved.events(1), [`event: note\ndata: x\nid: ${other}.1\n\n`])
  const first = await connect(t, origin, { headers: { 'last-event-id': `${epoch}.0` } })
  t.strictSame(await first.events(1), [frames(1)])
})

t.test('a bare EventSource that is sent away again and again misses nothing', async (t) => {
  const { app } = await createApp(t, { reconnectionTimeMs: 10 })
  const orders = app.sse.channel('orders', Orders)
  const epoch = orders.lastEventId.slice(0, -2)
  app.get('/', (_request, reply) => reply.sse(orders))
  const { origin } = await listen(app)
  const source = new EventSource(origin)
  t.teardown(() => source.close())
  const received: Array<[number, string]> = []
  source.addEventListener('created', (event) => {
    const { data, lastEventId } = event as unknown as { data: string, lastEventId: string }
    received.push([JSON.parse(data).n, lastEventId])
  })
  await until(() => orders.subscribers === 1)
  let n = 0
  for (let round = 0; round < 5; round++) {
    orders.publish({ event: 'created', data: { n: ++n } })
    await until(() => received.length === n)
    t.equal(app.sse.evict(() => true), 1)
    await until(() => app.sse.stats().open === 0)
    orders.publish({ event: 'created', data: { n: ++n } })
    orders.publish({ event: 'created', data: { n: ++n } })
    await until(() => received.length === n)
  }
  t.strictSame(received, range(1, 15).map((n) => [n, `${epoch}.${n}`]))
})
