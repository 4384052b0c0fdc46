import { Readable } from 'node:stream'
import { Type } from '@sinclair/typebox'
import t from 'tap'
import ssePlugin from '../../lib/index.js'
import { createApp, createLogged, listen } from '../support/app.js'
import { connect } from '../support/client.js'
import { deferred, forever } from '../support/sources.js'

type Code = { code: string, message: string }

async function codeOf (work: () => unknown): Promise<Code> {
  try {
    await work()
  } catch (error) {
    return error as Code
  }
  return { code: 'none', message: '' }
}

t.test('an option that is unknown, out of range or contradictory is refused when the plugin is registered', async (t) => {
  const register = async (options: unknown): Promise<Code> => codeOf(async () => createLogged(t).app.register(ssePlugin, options as object))
  for (const [options, code, message] of [
    [{ heartBeatMs: 1 }, 'FST_SSE_OPTION_UNKNOWN', 'options has no option "heartBeatMs". Did you mean heartbeatMs?'],
    [{ heartbeatMs: 999 }, 'FST_SSE_OPTION_INVALID', 'options.heartbeatMs must be an integer from 1000 to 2147483647 (milliseconds), or 0 for no heartbeats, but is 999.'],
    [{ heartbeatMs: '5000' }, 'FST_SSE_OPTION_INVALID', 'options.heartbeatMs must be an integer from 1000 to 2147483647 (milliseconds), or 0 for no heartbeats, but is "5000".'],
    [{ reconnectionTimeMs: 0 }, 'FST_SSE_OPTION_INVALID', 'options.reconnectionTimeMs must be an integer from 10 to 2147483647 (milliseconds), but is 0.'],
    [{ stallTimeoutMs: Infinity }, 'FST_SSE_OPTION_INVALID', 'options.stallTimeoutMs must be an integer from 100 to 2147483647 (milliseconds), but is Infinity.'],
    [{ validation: 'strict' }, 'FST_SSE_OPTION_INVALID', 'options.validation must be one of "throw", "drop", "report", "off", but is "strict".'],
    [{ controlEvents: 'no' }, 'FST_SSE_OPTION_INVALID', 'options.controlEvents must be one of true, false, but is "no".'],
    [{ onDisconnect: 1 }, 'FST_SSE_OPTION_INVALID', 'options.onDisconnect must be a function, but is 1.'],
    [{ limits: 5 }, 'FST_SSE_OPTION_INVALID', 'options.limits must be an object of options, but is 5.'],
    [{ limits: { total: 0 } }, 'FST_SSE_OPTION_INVALID', 'options.limits.total must be an integer of 1 or more, but is 0.'],
    [{ limits: { perkey: 1 } }, 'FST_SSE_OPTION_UNKNOWN', 'options.limits has no option "perkey". Did you mean perKey?'],
    [{ openapi: { dialect: 'events' } }, 'FST_SSE_OPTION_INVALID', 'options.openapi.dialect must be one of "event", "payload", but is "events".'],
    [{ openapi: { decorator: [] } }, 'FST_SSE_OPTION_INVALID', 'options.openapi.decorator must be a name, or an array of names, but is [].'],
    [{ openapi: { dialekt: 'event' } }, 'FST_SSE_OPTION_UNKNOWN', 'options.openapi has no option "dialekt". Did you mean dialect?'],
    [{ drain: 'finish', drainTimeoutMs: 0 }, 'FST_SSE_OPTIONS_CONFLICT', 'options.drain ("finish") and options.drainTimeoutMs (0) contradict each other. No stream could finish in no time: raise drainTimeoutMs, or let clients reconnect.'],
    [{ maxAgeMs: 5000, heartbeatMs: 10000 }, 'FST_SSE_OPTIONS_CONFLICT', 'options.heartbeatMs (10000) and options.maxAgeMs (5000) contradict each other. No stream would live until its first heartbeat: lower heartbeatMs, set it to 0, or raise maxAgeMs.']
  ] as const) {
    const error = await register(options)
    t.strictSame({ code: error.code, message: error.message }, { code, message }, JSON.stringify(options))
  }
})

t.test('an option of a route is refused when the route is registered, and the route is named', async (t) => {
  const { app } = await createApp(t)
  const error = await codeOf(() => app.get('/clock', { sse: { heartbeat: 1000 } as object }, async () => {}))
  t.strictSame([error.code, error.message], ['FST_SSE_OPTION_UNKNOWN', 'GET /clock: sse has no option "heartbeat". Did you mean heartbeatMs?'])
  const wrong = await codeOf(() => app.get('/clock', { sse: 5 as unknown as object }, async () => {}))
  t.strictSame([wrong.code, wrong.message], ['FST_SSE_OPTION_INVALID', 'GET /clock: sse must be an object of options, but is 5.'])
})

t.test('an event type or a schema that cannot be is refused when the route is registered', async (t) => {
  const { app } = await createApp(t)
  let n = 0
  const declare = async (events: unknown): Promise<string> =>
    (await codeOf(() => app.get(`/${n++}`, { schema: { events } }, async () => {}))).code
  t.equal(await declare({ '': Type.Null() }), 'FST_SSE_EVENT_TYPE_INVALID')
  t.equal(await declare({ 'a\nb': Type.Null() }), 'FST_SSE_EVENT_TYPE_INVALID')
  t.equal(await declare({ error: Type.Null() }), 'FST_SSE_EVENT_TYPE_RESERVED')
  t.equal(await declare({ open: Type.Null() }), 'FST_SSE_EVENT_TYPE_RESERVED')
  t.equal(await declare({ 'sse.mine': Type.Null() }), 'FST_SSE_EVENT_TYPE_RESERVED')
  t.equal(await declare({ when: Type.Date() }), 'FST_SSE_SCHEMA_INVALID')
  t.equal(await declare({ when: Type.Object({ at: Type.Array(Type.BigInt()) }) }), 'FST_SSE_SCHEMA_INVALID')
  t.equal(await declare({ when: 'string' }), 'FST_SSE_SCHEMA_INVALID')
  t.equal(await declare(5), 'FST_SSE_SCHEMA_INVALID')
})

t.test('a $ref that leads nowhere is refused when the application gets ready', async (t) => {
  const { app } = await createApp(t)
  app.get('/', { schema: { events: { order: { $ref: 'Order#' } } } }, async () => {})
  const error = await codeOf(() => app.ready())
  t.equal(error.code, 'FST_SSE_SCHEMA_INVALID')
})

t.test('a second registration is refused', async (t) => {
  const { app } = await createApp(t)
  t.equal((await codeOf(async () => app.register(ssePlugin))).code, 'FST_SSE_ALREADY_REGISTERED')
})

t.test('a source that is not one gets an error response that says what was found', async (t) => {
  const { app } = await createApp(t)
  const sources: Array<[unknown, RegExp]> = [
    [5, /it is 5\. Hand over an async iterable/],
    ['text', /it is "text"\. To send one text, hand over \[\{ data: text \}\]/],
    [null, /it is null/],
    [undefined, /it is undefined\. Does the function return its source\?/],
    [() => undefined, /it is undefined\. Does the function return its source\?/],
    [{ data: 1 }, /To send one event, hand over an array/],
    [new (await import('node:events')).EventEmitter(), /app\.sse\.on\(emitter, name, \{ signal \}\)/],
    [Readable.from([Buffer.from('x')], { objectMode: false }), /stream of bytes/]
  ]
  for (const [index, [source]] of sources.entries()) app.get(`/${index}`, (_request, reply) => reply.sse(source as Iterable<never>))
  for (const [index, [, message]] of sources.entries()) {
    const response = await app.inject(`/${index}`)
    t.equal(response.statusCode, 500)
    t.equal(response.json().code, 'FST_SSE_SOURCE_INVALID')
    t.match(response.json().message, message)
  }
  t.strictSame(app.sse.stats().open, 0)
})

t.test('reply.sse called twice throws, and the first stream goes on', async (t) => {
  const { app } = await createApp(t)
  let error: Code | undefined
  app.get('/', async (_request, reply) => {
    const first = reply.sse([{ data: 1 }])
    error = await codeOf(() => reply.sse([{ data: 2 }]))
    return first
  })
  t.match((await app.inject('/')).body, /^data: 1\n\nevent: sse\.end/m)
  t.equal(error?.code, 'FST_SSE_STREAM_EXISTS')
})

t.test('reply.sse called after the reply was sent throws, and the reply stays', async (t) => {
  const { app } = await createApp(t)
  let error: Code | undefined
  app.get('/', async (_request, reply) => {
    reply.send('sent')
    error = await codeOf(() => reply.sse([{ data: 2 }]))
    return reply
  })
  t.equal((await app.inject('/')).body, 'sent')
  t.equal(error?.code, 'FST_SSE_REPLY_SENT')
})

t.test('a value that is sent or returned beside a stream is ignored and reported', async (t) => {
  const { app, logs } = await createApp(t)
  app.get('/', async (_request, reply) => {
    reply.sse([{ data: 1 }])
    return { json: true }
  })
  t.match((await app.inject('/')).body, /^data: 1\n\nevent: sse\.end/m)
  t.match(logs.find((line) => line.level === 40)?.msg, /reply\.send\(\{"json":true\}\) was called although reply\.sse\(\) is answering/)
})

t.test('an ID that cannot stand on the wire ends the stream with a fault of its own code', async (t) => {
  const { app, logs } = await createApp(t)
  const ids = ['a\rb', 'a\nb', 'a\0b', 'sse.end', 'x'.repeat(5000), Number.NaN, {}, null]
  app.get('/:index', (request, reply) =>
    reply.sse([{ data: 1 }, { data: 2, id: ids[Number((request.params as { index: string }).index)] as string }]))
  for (const [index, id] of ids.entries()) {
    t.match((await app.inject(`/${index}`)).body, /^data: 1\n\nevent: sse\.fault\ndata: \{"code":"FST_SSE_FIELD_FORBIDDEN"/m, JSON.stringify(id))
  }
  t.equal(logs.filter((line) => line.level === 50).length, 8)
})

t.test('a route without events refuses reserved event types, and what is not an event', async (t) => {
  const { app } = await createApp(t)
  const events = [
    [{ event: 'sse.end', data: 1 }, 'FST_SSE_EVENT_TYPE_RESERVED'],
    [{ event: 'error', data: 1 }, 'FST_SSE_EVENT_TYPE_RESERVED'],
    [{ event: '', data: 1 }, 'FST_SSE_FIELD_FORBIDDEN'],
    [{ event: 5, data: 1 }, 'FST_SSE_EVENT_MALFORMED'],
    [{ event: 'x' }, 'FST_SSE_EVENT_MALFORMED'],
    [{ foo: 1 }, 'FST_SSE_EVENT_MALFORMED'],
    [{ data: () => {} }, 'FST_SSE_EVENT_MALFORMED'],
    ['text', 'FST_SSE_EVENT_MALFORMED'],
    [undefined, 'FST_SSE_EVENT_MALFORMED'],
    [{ data: 1, retry: 1.5 }, 'FST_SSE_FIELD_FORBIDDEN'],
    [{ data: 1, retry: -1 }, 'FST_SSE_FIELD_FORBIDDEN']
  ] as const
  app.get('/:index', (request, reply) =>
    reply.sse([events[Number((request.params as { index: string }).index)]![0] as { data: unknown }]))
  for (const [index, [event, code]] of events.entries()) {
    const response = await app.inject(`/${index}`)
    t.equal(response.statusCode, 500)
    t.equal(response.json().code, code, JSON.stringify(event))
  }
})

t.test('an event type that is nearly a declared one is told which', async (t) => {
  const { app } = await createApp(t)
  app.get('/', { schema: { events: { created: Type.Null(), deleted: Type.Null() } } }, (_request, reply) =>
    reply.sse([{ event: 'craeted', data: null } as never]))
  const body = (await app.inject('/')).json()
  t.equal(body.code, 'FST_SSE_EVENT_UNDECLARED')
  t.equal(body.message, 'The event type "craeted" is not declared. Did you mean "created"? Else declare it in defineEvents.')
})

t.test('an enormous last event ID is a 400 that says the limit', async (t) => {
  const { app } = await createApp(t)
  let runs = 0
  app.get('/', (_request, reply) => reply.sse(() => { runs++; return [] }))
  const { origin } = await listen(app)
  const client = await connect(t, origin, { headers: { 'last-event-id': 'x'.repeat(4097) } })
  t.equal(client.status, 400)
  const body = JSON.parse(await client.rest())
  t.equal(body.code, 'FST_SSE_LAST_EVENT_ID_TOO_LONG')
  t.equal(body.message, 'The Last-Event-ID header has 4097 bytes, and no ID of a stream is longer than 4096. Send an ID that the stream gave.')
  t.equal(runs, 0)
})

t.test('app.sse.on and app.sse.abortable without a signal are refused', async (t) => {
  const { app } = await createApp(t)
  const { EventEmitter } = await import('node:events')
  t.equal((await codeOf(() => app.sse.on(new EventEmitter(), 'x', {} as never))).code, 'FST_SSE_OPTION_INVALID')
  t.equal((await codeOf(() => app.sse.abortable([], undefined as never))).code, 'FST_SSE_OPTION_INVALID')
  t.equal((await codeOf(() => app.sse.abortable(5 as never, AbortSignal.abort()))).code, 'FST_SSE_SOURCE_INVALID')
})

t.test('a handler that sends an answer while its handle has not sent anything keeps the stream', async (t) => {
  const { app } = await createApp(t)
  const sent = deferred()
  app.get('/', (_request, reply) => {
    const stream = reply.sse()
    reply.send({ json: true })
    sent.promise.then(() => stream.close())
    forever(stream.signal).catch(() => {})
    return stream.closed
  })
  const response = app.inject('/')
  sent.resolve()
  t.match((await response).body, /event: sse\.end/)
})
