import { Type } from '@sinclair/typebox'
import t from 'tap'
import { defineEvents, text, type SSEError } from '../../lib/index.js'
import { createApp, LEVEL, listen, type LogLine } from '../support/app.js'
import { connect, rawConnect } from '../support/client.js'
import { until } from '../support/sources.js'

const OPENING = ': sse-heartbeat: 15000\n\nretry: 3000\n\n'

const Orders = defineEvents({
  created: Type.Object({ n: Type.Integer() }),
  note: text(),
  cleared: Type.Null()
})

/** What the log says at warn and above. */
function warnings (logs: LogLine[]): unknown[] {
  return logs.filter(({ level }) => level >= LEVEL.warn).map(({ level, msg, err }) => [level, msg, err?.code])
}

/** The code that a promise rejects with, and undefined when it does not. */
function codeOf (promise: Promise<unknown>): Promise<string | undefined> {
  return promise.then(() => undefined, (error: SSEError) => error.code)
}

t.test('an event is a frame whose ID is the epoch and a contiguous offset, and publish gives that ID', async (t) => {
  const { app } = await createApp(t)
  const orders = app.sse.channel('orders', Orders)
  const other = app.sse.channel('other', Orders)
  app.get('/', (_request, reply) => reply.sse(orders))
  const { origin } = await listen(app)
  t.match(orders.lastEventId, /^[\w-]{8}\.0$/)
  const epoch = orders.lastEventId.slice(0, -2)
  t.not(other.lastEventId, orders.lastEventId, 'each channel has an epoch of its own')
  const client = await connect(t, origin)
  await until(() => orders.subscribers === 1)
  t.strictSame(await orders.publish({ event: 'created', data: { n: 1 } }), { id: `${epoch}.1` })
  t.strictSame(await orders.publish({ event: 'cleared', data: null }), { id: `${epoch}.2` })
  t.equal(orders.lastEventId, `${epoch}.2`)
  t.strictSame(await orders.publish({ event: 'created', data: { n: 3 } }), { id: `${epoch}.3` })
  await client.events(3)
  t.equal(client.text, OPENING + `id: ${epoch}.0\n\n` +
    `event: created\ndata: {"n":1}\nid: ${epoch}.1\n\n` +
    `event: cleared\ndata: null\nid: ${epoch}.2\n\n` +
    `event: created\ndata: {"n":3}\nid: ${epoch}.3\n\n`)
})

t.test('text events are sent raw, line by line, and a reconnection time stands before the ID', async (t) => {
  const { app } = await createApp(t)
  const orders = app.sse.channel('orders', Orders)
  app.get('/', (_request, reply) => reply.sse(orders.subscribe({ from: 'earliest' })))
  const epoch = orders.lastEventId.slice(0, -2)
  for (const data of ['one', '', 'a\nb\r\nc\rd', 'id: x\n\nevent: y', '  led', '€ 𝄞 \u2028']) orders.publish({ event: 'note', data })
  orders.publish({ event: 'created', data: { n: 1 }, retry: 10 })
  const { origin } = await listen(app)
  const client = await connect(t, origin)
  t.strictSame(await client.events(7), [
    `event: note\ndata: one\nid: ${epoch}.1\n\n`,
    `event: note\ndata: \nid: ${epoch}.2\n\n`,
    `event: note\ndata: a\ndata: b\ndata: c\ndata: d\nid: ${epoch}.3\n\n`,
    `event: note\ndata: id: x\ndata: \ndata: event: y\nid: ${epoch}.4\n\n`,
    `event: note\ndata:   led\nid: ${epoch}.5\n\n`,
    `event: note\ndata: € 𝄞 \u2028\nid: ${epoch}.6\n\n`,
    `event: created\ndata: {"n":1}\nretry: 10\nid: ${epoch}.7\n\n`
  ])
})

t.test('undeclared properties are not sent, and the event that was published is not changed', async (t) => {
  const { app } = await createApp(t)
  const orders = app.sse.channel('orders', Orders)
  app.get('/', (_request, reply) => reply.sse(orders.subscribe({ from: 'earliest' })))
  const event = { event: 'created' as const, data: { n: 1, secret: 'hunter2' }, trace: 7 }
  const { id } = await orders.publish(event)
  t.strictSame(event, { event: 'created', data: { n: 1, secret: 'hunter2' }, trace: 7 })
  const { origin } = await listen(app)
  const client = await connect(t, origin)
  t.strictSame(await client.events(1), [`event: created\ndata: {"n":1}\nid: ${id}\n\n`])
})

t.test('the frame is made when publish is called: what happens to the data afterwards is not sent', async (t) => {
  const { app } = await createApp(t)
  const orders = app.sse.channel('orders', Orders)
  app.get('/', (_request, reply) => reply.sse(orders))
  const { origin } = await listen(app)
  const client = await connect(t, origin)
  await until(() => orders.subscribers === 1)
  const data = { n: 1 }
  const published = orders.publish({ event: 'created', data })
  data.n = 2
  const { id } = await published
  t.strictSame(await client.events(1), [`event: created\ndata: {"n":1}\nid: ${id}\n\n`])
})

t.test('an event that is refused rejects with its code, is counted, and is logged once', async (t) => {
  const { app, logs } = await createApp(t)
  const orders = app.sse.channel('orders', Orders, { backlog: { bytes: 1024 } })
  const cyclic: Record<string, unknown> = {}
  cyclic['self'] = cyclic
  const any = app.sse.channel('any', { any: Type.Unknown() })
  // What the data may take of 1,024 bytes.
  const room = 1024 - `event: note\ndata: \nid: ${orders.lastEventId}\n\n`.length
  const cases: Array<[event: unknown, code: string]> = [
    [{ event: 'deleted', data: { n: 1 } }, 'FST_SSE_EVENT_UNDECLARED'],
    [{ data: { n: 1 } }, 'FST_SSE_EVENT_MALFORMED'],
    [{ event: 'sse.end', data: null }, 'FST_SSE_EVENT_UNDECLARED'],
    [{ event: '__proto__', data: null }, 'FST_SSE_EVENT_UNDECLARED'],
    [{ event: 'created', data: { n: '1' } }, 'FST_SSE_EVENT_INVALID'],
    [{ event: 'created' }, 'FST_SSE_EVENT_INVALID'],
    [{ event: 'note', data: 5 }, 'FST_SSE_EVENT_INVALID'],
    [{ event: 'created', data: { n: 1 }, id: 'mine' }, 'FST_SSE_FIELD_FORBIDDEN'],
    [{ event: 'created', data: { n: 1 }, id: 0 }, 'FST_SSE_FIELD_FORBIDDEN'],
    [{ event: 'created', data: { n: 1 }, id: '' }, 'FST_SSE_FIELD_FORBIDDEN'],
    [{ event: 'created', data: { n: 1 }, retry: 1.5 }, 'FST_SSE_FIELD_FORBIDDEN'],
    [{ event: 'created', data: { n: 1 }, retry: -1 }, 'FST_SSE_FIELD_FORBIDDEN'],
    [{ event: 'note', data: 'x'.repeat(room + 1) }, 'FST_SSE_FRAME_TOO_LARGE'],
    [undefined, 'FST_SSE_EVENT_MALFORMED'],
    [null, 'FST_SSE_EVENT_MALFORMED'],
    [{ event: 7, data: null }, 'FST_SSE_EVENT_MALFORMED'],
    ['created', 'FST_SSE_EVENT_MALFORMED']
  ]
  for (const [event, code] of cases) {
    t.equal(await codeOf(orders.publish(event as { event: 'cleared', data: null })), code, JSON.stringify(event)?.slice(0, 60))
  }
  t.equal(await codeOf(any.publish({ event: 'any', data: cyclic })), 'FST_SSE_SERIALIZATION_FAILED')
  t.strictSame(warnings(logs), [
    ...cases.map(([, code]) => [LEVEL.warn, 'an event was not published to channel "orders"', code]),
    [LEVEL.warn, 'an event was not published to channel "any"', 'FST_SSE_SERIALIZATION_FAILED']
  ])
  const { published, refused, events } = orders.stats()
  t.strictSame({ published, refused, events }, { published: 0, refused: cases.length, events: 0 })
  const { id } = await orders.publish({ event: 'note', data: 'x'.repeat(room) })
  t.match(id, /\.1$/, 'what is refused takes no offset, and an event may fill the backlog to the last byte')
  t.equal(orders.stats().bytes, 1024)
})

t.test('bytes of the backlog are those on the wire, not characters', async (t) => {
  const { app } = await createApp(t)
  const orders = app.sse.channel('orders', Orders, { backlog: { bytes: 1024 } })
  t.equal(await codeOf(orders.publish({ event: 'note', data: '€'.repeat(400) })), 'FST_SSE_FRAME_TOO_LARGE')
  const { id } = await orders.publish({ event: 'note', data: '€'.repeat(300) })
  t.equal(orders.stats().bytes, Buffer.byteLength(`event: note\ndata: ${'€'.repeat(300)}\nid: ${id}\n\n`))
})

t.test('a refused event that nobody looks at is no unhandled rejection', async (t) => {
  const { app } = await createApp(t)
  const unhandled: unknown[] = []
  const note = (error: unknown): void => { unhandled.push(error) }
  process.on('unhandledRejection', note)
  t.teardown(() => process.off('unhandledRejection', note))
  const orders = app.sse.channel('orders', Orders, { backlog: { bytes: 1024 } })
  orders.publish({ event: 'created', data: { n: '1' as unknown as number } })
  orders.publish({ event: 'deleted' as 'cleared', data: null })
  orders.publish({ event: 'note', data: 'x'.repeat(2000) })
  await orders.close()
  orders.publish({ event: 'cleared', data: null })
  t.equal(orders.stats().refused, 4)
  // A rejection is reported at the end of the turn in which nobody had handled it.
  let turns = 0
  await until(() => ++turns > 10)
  t.strictSame(unhandled, [])
})

t.test('an invalid event ends no stream, and takes no offset', async (t) => {
  const { app } = await createApp(t)
  const orders = app.sse.channel('orders', Orders)
  app.get('/', { schema: { events: Orders } }, (_request, reply) => reply.sse(orders))
  const { origin } = await listen(app)
  const client = await connect(t, origin)
  await until(() => orders.subscribers === 1)
  const first = await orders.publish({ event: 'created', data: { n: 1 } })
  orders.publish({ event: 'created', data: { n: 'two' as unknown as number } })
  orders.publish({ event: 'deleted' as 'cleared', data: null })
  const second = await orders.publish({ event: 'created', data: { n: 3 } })
  t.strictSame(await client.events(2), [
    `event: created\ndata: {"n":1}\nid: ${first.id}\n\n`,
    `event: created\ndata: {"n":3}\nid: ${second.id}\n\n`
  ])
  const epoch = orders.lastEventId.split('.')[0]
  t.strictSame([first.id, second.id], [`${epoch}.1`, `${epoch}.2`])
  t.equal(app.sse.stats().open, 1)
})

t.test('publish after close rejects, also with an event that is invalid', async (t) => {
  const { app, logs } = await createApp(t)
  const orders = app.sse.channel('orders', Orders)
  await orders.publish({ event: 'cleared', data: null })
  await orders.close()
  await t.rejects(orders.publish({ event: 'cleared', data: null }), { code: 'FST_SSE_LOG_CLOSED', channel: 'orders', statusCode: 503 })
  await t.rejects(orders.publish({ event: 'nothing' as 'cleared', data: null }), { code: 'FST_SSE_LOG_CLOSED' })
  t.strictSame(warnings(logs), [
    [LEVEL.warn, 'an event was not published to channel "orders"', 'FST_SSE_LOG_CLOSED'],
    [LEVEL.warn, 'an event was not published to channel "orders"', 'FST_SSE_LOG_CLOSED']
  ])
  const { published, refused } = orders.stats()
  t.strictSame({ published, refused }, { published: 1, refused: 2 })
})

t.test('with validation "report" what is wrong is sent and logged; with "off" it is sent', async (t) => {
  for (const validation of ['report', 'off'] as const) {
    const { app, logs } = await createApp(t)
    const orders = app.sse.channel('orders', Orders, { validation })
    app.get('/', (_request, reply) => reply.sse(orders.subscribe({ from: 'earliest' })))
    const epoch = orders.lastEventId.slice(0, -2)
    await orders.publish({ event: 'created', data: { n: 'x' as unknown as number } })
    await orders.publish({ event: 'deleted' as 'cleared', data: null })
    const { origin } = await listen(app)
    const client = await connect(t, origin)
    t.strictSame(await client.events(2), [
      `event: created\ndata: {"n":"x"}\nid: ${epoch}.1\n\n`,
      `event: deleted\ndata: null\nid: ${epoch}.2\n\n`
    ], validation)
    t.strictSame(warnings(logs), validation === 'off'
      ? []
      : [
          [LEVEL.warn, 'an invalid event was published to channel "orders"', 'FST_SSE_EVENT_INVALID'],
          [LEVEL.warn, 'an invalid event was published to channel "orders"', 'FST_SSE_EVENT_UNDECLARED']
        ], validation)
    const { published, refused } = orders.stats()
    t.strictSame({ published, refused }, { published: 2, refused: 0 })
  }
})

t.test('whatever the validation, nobody can send an event type that is ours or none at all, and it is logged once', async (t) => {
  for (const validation of ['throw', 'off', 'report'] as const) {
    const { app, logs } = await createApp(t)
    const orders = app.sse.channel('orders', Orders, { validation })
    const codes = [
      await codeOf(orders.publish({ event: 'sse.end' as 'cleared', data: null })),
      await codeOf(orders.publish({ event: 'a\nb' as 'cleared', data: null }))
    ]
    t.strictSame(codes, validation === 'throw'
      ? ['FST_SSE_EVENT_UNDECLARED', 'FST_SSE_EVENT_UNDECLARED']
      : ['FST_SSE_EVENT_TYPE_RESERVED', 'FST_SSE_FIELD_FORBIDDEN'])
    t.strictSame(warnings(logs), codes.map((code) => [LEVEL.warn, 'an event was not published to channel "orders"', code]), validation)
    const { published, refused } = orders.stats()
    t.strictSame({ published, refused }, { published: 0, refused: 2 })
  }
})

t.test('a plugin with validation "drop" has channels that refuse, for the publisher is there to be told', async (t) => {
  const { app } = await createApp(t, { validation: 'drop' })
  const orders = app.sse.channel('orders', Orders)
  await t.rejects(orders.publish({ event: 'created', data: { n: 'x' as unknown as number } }), { code: 'FST_SSE_EVENT_INVALID' })
})

t.test('a channel may be declared and published to before the application is ready, with schemas that are shared by $ref', async (t) => {
  const { app } = await createApp(t)
  app.addSchema({ $id: 'money', type: 'object', required: ['cents'], properties: { cents: { type: 'integer' } } })
  const paid = app.sse.channel('paid', { paid: Type.Unsafe<{ cents: number }>({ $ref: 'money#' }) })
  const { id } = await paid.publish({ event: 'paid', data: { cents: 5 } })
  await t.rejects(paid.publish({ event: 'paid', data: { cents: 0.5 } }), { code: 'FST_SSE_EVENT_INVALID' })
  app.get('/', (_request, reply) => reply.sse(paid.subscribe({ from: 'earliest' })))
  const { origin } = await listen(app)
  t.strictSame(await (await connect(t, origin)).events(1), [`event: paid\ndata: {"cents":5}\nid: ${id}\n\n`])
  const late = app.sse.channel('late', { paid: Type.Unsafe<{ cents: number }>({ $ref: 'money#' }) })
  t.match((await late.publish({ event: 'paid', data: { cents: 5 } })).id, /\.1$/, 'and after it')
})

t.test('events of one turn leave in one chunk of each response', async (t) => {
  const { app } = await createApp(t)
  const orders = app.sse.channel('orders', Orders)
  app.get('/', (_request, reply) => reply.sse(orders))
  const { port } = await listen(app)
  const epoch = orders.lastEventId.slice(0, -2)
  const sockets = await Promise.all([1, 2, 3].map(async () => {
    const socket = await rawConnect(t, port, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    await socket.until(`id: ${epoch}.0\n\n\r\n`)
    return socket
  }))
  const before = sockets.map((socket) => socket.received().length)
  const chunk = (frames: string): string => `${Buffer.byteLength(frames).toString(16)}\r\n${frames}\r\n`
  const created = (n: number): string => `event: created\ndata: {"n":${n}}\nid: ${epoch}.${n}\n\n`
  for (let n = 1; n <= 10; n++) orders.publish({ event: 'created', data: { n } })
  const first = chunk([1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map(created).join(''))
  for (const [index, socket] of sockets.entries()) {
    await socket.until(created(10) + '\r\n')
    t.equal(socket.received().slice(before[index]), first)
  }
  orders.publish({ event: 'created', data: { n: 11 } })
  for (const [index, socket] of sockets.entries()) {
    await socket.until(created(11) + '\r\n')
    t.equal(socket.received().slice(before[index]), first + chunk(created(11)))
  }
})

t.test('events of one turn leave in one chunk also when publish is awaited each time', async (t) => {
  const { app } = await createApp(t)
  const orders = app.sse.channel('orders', Orders)
  app.get('/', (_request, reply) => reply.sse(orders))
  const { port } = await listen(app)
  const epoch = orders.lastEventId.slice(0, -2)
  const socket = await rawConnect(t, port, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  await socket.until(`id: ${epoch}.0\n\n\r\n`)
  const before = socket.received().length
  let frames = ''
  for (let n = 1; n <= 10; n++) {
    const { id } = await orders.publish({ event: 'created', data: { n } })
    frames += `event: created\ndata: {"n":${n}}\nid: ${id}\n\n`
  }
  await socket.until(`id: ${epoch}.10\n\n\r\n`)
  t.equal(socket.received().slice(before), `${frames.length.toString(16)}\r\n${frames}\r\n`)
})

t.test('with flushMs, events of several turns leave in one chunk', async (t) => {
  const { app } = await createApp(t)
  const orders = app.sse.channel('orders', Orders, { flushMs: 100 })
  app.get('/', (_request, reply) => reply.sse(orders))
  const { port } = await listen(app)
  const epoch = orders.lastEventId.slice(0, -2)
  const socket = await rawConnect(t, port, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  await socket.until(`id: ${epoch}.0\n\n\r\n`)
  const before = socket.received().length
  let frames = ''
  let n = 0
  await until(() => {
    n++
    orders.publish({ event: 'created', data: { n } })
    frames += `event: created\ndata: {"n":${n}}\nid: ${epoch}.${n}\n\n`
    return n === 5
  })
  await socket.until(`id: ${epoch}.5\n\n\r\n`)
  t.equal(socket.received().slice(before), `${frames.length.toString(16)}\r\n${frames}\r\n`)
})

t.test('with flushMs, a full batch does not wait, and neither do events before somebody who joins', async (t) => {
  const { app } = await createApp(t)
  const orders = app.sse.channel('orders', Orders, { flushMs: 60_000 })
  app.get('/', (_request, reply) => reply.sse(orders))
  const { origin } = await listen(app)
  const epoch = orders.lastEventId.slice(0, -2)
  const client = await connect(t, origin)
  await until(() => orders.subscribers === 1)
  const big = 'x'.repeat(30_000)
  for (let n = 0; n < 3; n++) orders.publish({ event: 'note', data: big })
  t.strictSame(await client.events(3), [1, 2, 3].map((n) => `event: note\ndata: ${big}\nid: ${epoch}.${n}\n\n`))
  orders.publish({ event: 'cleared', data: null })
  const late = await connect(t, origin)
  t.strictSame(await client.events(1), [`event: cleared\ndata: null\nid: ${epoch}.4\n\n`])
  await until(() => late.text.length > OPENING.length)
  t.equal(late.text, OPENING + `id: ${epoch}.4\n\n`)
})

t.test('an event larger than a batch arrives whole, among others', async (t) => {
  const { app } = await createApp(t)
  const orders = app.sse.channel('orders', Orders)
  app.get('/', (_request, reply) => reply.sse(orders))
  const { origin } = await listen(app)
  const epoch = orders.lastEventId.slice(0, -2)
  const clients = await Promise.all([connect(t, origin), connect(t, origin)])
  await until(() => orders.subscribers === 2)
  const sizes = [10, 1_000_000, 10, 70_000, 65_536, 10]
  for (const size of sizes) orders.publish({ event: 'note', data: 'x'.repeat(size) })
  for (const client of clients) {
    t.strictSame(await client.events(6), sizes.map((size, index) => `event: note\ndata: ${'x'.repeat(size)}\nid: ${epoch}.${index + 1}\n\n`))
  }
})
