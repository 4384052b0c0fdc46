import { Type } from '@sinclair/typebox'
import t, { type Test } from 'tap'
import type { FastifyInstance } from 'fastify'
import { defineEvents, type Channel, type ChannelOptions, type Disconnect, type EventOf, type GapContext } from '../../lib/index.js'
import { createApp, LEVEL, listen, streamLogs, type LogLine } from '../support/app.js'
import { connect, type FrameClient } from '../support/client.js'
import { deferred, until } from '../support/sources.js'

const OPENING = ': sse-heartbeat: 15000\n\nretry: 3000\n\n'
const END = 'event: sse.end\ndata: null\nid: sse.end\n\n'
const fault = (code: string): string => `event: sse.fault\ndata: {"code":"${code}","message":"Internal Server Error"}\n\n`

const Stock = defineEvents({ changed: Type.Object({ n: Type.Integer() }), state: Type.Object({ sum: Type.Integer() }) })
type StockEvent = EventOf<typeof Stock>

/** The frame of a gap; without an ID when something is to be sent before the client may go on from there. */
function gap (reason: string, requested: string, resumedAt: string, id: string | null = resumedAt): string {
  return `event: sse.gap\ndata: ${JSON.stringify({ reason, requested, resumedAt })}\n${id === null ? '' : `id: ${id}\n`}\n`
}

interface Probe {
  app: FastifyInstance
  logs: LogLine[]
  origin: string
  stock: Channel<StockEvent>
  epoch: string
  ends: Disconnect[]
  publish: (...numbers: number[]) => void
  frames: (...numbers: number[]) => string
  resume: (lastEventId: string, url?: string) => Promise<FrameClient>
}

/** An application whose channel keeps the last three of the five events that were published. */
async function probe (t: Test, options: ChannelOptions<StockEvent> = {}, addRoutes?: (probed: Probe) => void): Promise<Probe> {
  const { app, logs } = await createApp(t)
  const stock = app.sse.channel('stock', Stock, { backlog: { events: 3 }, ...options })
  const epoch = stock.lastEventId.slice(0, -2)
  const ends: Disconnect[] = []
  const onDisconnect = (_request: unknown, end: Disconnect): void => { ends.push(end) }
  app.get('/', { sse: { onDisconnect } }, (_request, reply) => reply.sse(stock))
  app.get('/silent', { sse: { onDisconnect, controlEvents: false } }, (_request, reply) => reply.sse(stock))
  const probed: Probe = {
    app,
    logs,
    origin: '',
    stock,
    epoch,
    ends,
    publish: (...numbers) => { for (const n of numbers) stock.publish({ event: 'changed', data: { n } }) },
    frames: (...numbers) => numbers.map((n) => `event: changed\ndata: {"n":${n}}\nid: ${epoch}.${n}\n\n`).join(''),
    resume: (lastEventId, url = '/') => connect(t, probed.origin + url, { headers: { 'last-event-id': lastEventId } })
  }
  addRoutes?.(probed)
  probed.origin = (await listen(app)).origin
  probed.publish(1, 2, 3, 4, 5)
  return probed
}

/** Waits until a client has received this, and nothing before or after it. */
async function received (t: Test, client: FrameClient, text: string, what?: string): Promise<void> {
  await until(() => client.text.length >= text.length || client.ended !== undefined)
  t.equal(client.text, text, what ?? 'what the client has received')
}

t.test('each gap is told with its reason, goes on where it says, and leaves the client with an ID that resumes', async (t) => {
  const { app, stock, epoch, publish, frames, resume } = await probe(t)
  const cases: Array<[reason: string, requested: string, resumedAt: number]> = [
    ['evicted', `${epoch}.0`, 2],
    ['evicted', `${epoch}.1`, 2],
    ['future', `${epoch}.6`, 5],
    ['future', `${epoch}.9007199254740991`, 5],
    ['epoch', 'AAAAAAAA.4', 2],
    ['epoch', 'AAAAAAAA.4,BBBBBBBB.5', 2],
    ['malformed', 'something else', 2]
  ]
  for (const [reason, requested, resumedAt] of cases) {
    const client = await resume(requested)
    const rest = [3, 4, 5].filter((n) => n > resumedAt)
    await received(t, client, OPENING + gap(reason, requested, `${epoch}.${resumedAt}`) + frames(...rest), requested)
    const back = await resume(/.*id: (\S+)\n\n$/s.exec(client.text)![1]!)
    await received(t, back, OPENING, 'and nothing when it comes back')
    client.fin()
    back.fin()
    await until(() => stock.subscribers === 0)
  }
  t.strictSame(stock.stats().gaps, { evicted: 2, future: 2, epoch: 2, malformed: 1 })
  const last = await resume(`${epoch}.2`)
  publish(6)
  await received(t, last, OPENING + frames(3, 4, 5, 6), 'the oldest ID that is no gap')
  t.strictSame(app.sse.stats().closed, { 'client-left': 14 })
})

t.test('an ID that no channel has given is a gap, whatever it is, and never an error', async (t) => {
  const { origin, stock, epoch, frames, resume } = await probe(t)
  const ids = [
    '5', 'x', epoch, `${epoch}.`, '.5', `${epoch}.-1`, `${epoch}.05`, `${epoch}.5x`, `${epoch}.5.5`, `${epoch}.1e3`, `${epoch}.٥`,
    `${epoch}.9007199254740992`, `${epoch}.99999999999999999999`, `${'a'.repeat(65)}.5`, ',', `${epoch}.5,`, `,${epoch}.5`, `${epoch}.5, ${epoch}.5`,
    'sse.gap', 'now', 'earliest', '__proto__.5', '"\\', 'é€', '{"reason":"evicted"}', 'x'.repeat(6000), `${epoch}.5,`.repeat(300)
  ]
  for (const id of ids) {
    const client = await connect(t, origin, { headers: { 'last-event-id': Buffer.from(id).toString('latin1') } })
    t.equal(client.status, 200)
    await received(t, client, OPENING + gap(id === '__proto__.5' ? 'epoch' : 'malformed', id.slice(0, 128), `${epoch}.2`) + frames(3, 4, 5), id.slice(0, 40))
    client.fin()
  }
  // What no header can hold, a query can.
  for (const id of ['a\nb', '\r\n\r\n', 'data: x\n\nevent: y', '\0', '\u2028', '𝄞'.repeat(80)]) {
    const client = await connect(t, `${origin}/?lastEventId=${encodeURIComponent(id)}`)
    await received(t, client, OPENING + gap('malformed', id.slice(0, 128), `${epoch}.2`) + frames(3, 4, 5), encodeURIComponent(id).slice(0, 40))
    client.fin()
  }
  await until(() => stock.subscribers === 0)
  const enormous = await resume('x'.repeat(6000), '/silent')
  await received(t, enormous, OPENING + `id: ${epoch}.2\n\n` + frames(3, 4, 5))
})

t.test('an enormous ID is refused for a function, which is not run: it may be no channel that it gives', async (t) => {
  const { resume } = await probe(t, {}, ({ app, stock }) => {
    app.get('/function', (_request, reply) => reply.sse(() => stock))
  })
  const client = await resume('x'.repeat(6000), '/function')
  t.equal(client.status, 400)
  t.match(JSON.parse(await client.rest()), { code: 'FST_SSE_LAST_EVENT_ID_TOO_LONG' })
})

t.test('an ID that was given by a merge resumes one of its channels', async (t) => {
  const { epoch, frames, resume } = await probe(t)
  const client = await resume(`AAAAAAAA.9,${epoch}.4`)
  await received(t, client, OPENING + frames(5))
})

t.test('without control events a gap is an ID and nothing else', async (t) => {
  const { epoch, publish, frames, resume } = await probe(t)
  const expected: Array<[requested: string, text: string]> = [
    [`${epoch}.0`, `id: ${epoch}.2\n\n` + frames(3, 4, 5)],
    [`${epoch}.7`, `id: ${epoch}.5\n\n`],
    ['x', `id: ${epoch}.2\n\n` + frames(3, 4, 5)]
  ]
  const clients = await Promise.all(expected.map(([requested]) => resume(requested, '/silent')))
  for (const [index, client] of clients.entries()) await received(t, client, OPENING + expected[index]![1])
  publish(6)
  for (const [index, client] of clients.entries()) await received(t, client, OPENING + expected[index]![1] + frames(6))
})

t.test('an ID in from that is gone is a gap as well', async (t) => {
  const { origin, epoch, frames } = await probe(t, {}, ({ app, stock, epoch }) => {
    app.get('/from', (_request, reply) => reply.sse(stock.subscribe({ from: `${epoch}.1` })))
  })
  await received(t, await connect(t, `${origin}/from`), OPENING + gap('evicted', `${epoch}.1`, `${epoch}.2`) + frames(3, 4, 5))
})

// onGap

t.test('onGap is told what happened, and nothing is a gap that was none', async (t) => {
  const gaps: Array<[Omit<GapContext, 'request'>, string]> = []
  const { app, origin, epoch, frames, resume } = await probe(t, {
    onGap: ({ request, ...gap }) => { gaps.push([gap, request!.url]) }
  })
  await received(t, await resume(`${epoch}.0`, '/?a=1'), OPENING + gap('evicted', `${epoch}.0`, `${epoch}.2`) + frames(3, 4, 5))
  await received(t, await resume(`${epoch}.2`), OPENING + frames(3, 4, 5))
  await received(t, await connect(t, origin), OPENING + `id: ${epoch}.5\n\n`)
  t.strictSame(gaps, [[{ reason: 'evicted', requested: `${epoch}.0`, resumedAt: `${epoch}.2`, channel: 'stock', key: undefined }, '/?a=1']])
  t.equal(app.sse.stats().open, 3)
})

const answers: Array<[name: string, answer: unknown, expected: 'earliest' | 'now']> = [
  ['nothing', undefined, 'earliest'],
  ['"earliest"', 'earliest', 'earliest'],
  ['"now"', 'now', 'now']
]

for (const [name, answer, expected] of answers) {
  for (const isAsync of [false, true]) {
    t.test(`onGap that gives ${name}${isAsync ? ' by a promise' : ''} goes on with ${expected === 'now' ? 'the next event' : 'the oldest event kept'}`, async (t) => {
      const { epoch, publish, frames, resume, stock } = await probe(t, {
        onGap: () => (isAsync ? Promise.resolve(answer) : answer) as undefined
      })
      const client = await resume(`${epoch}.0`)
      const first = OPENING + (expected === 'now'
        ? gap('evicted', `${epoch}.0`, `${epoch}.5`)
        : gap('evicted', `${epoch}.0`, `${epoch}.2`) + frames(3, 4, 5))
      await received(t, client, first)
      publish(6)
      await received(t, client, first + frames(6))
      t.strictSame(stock.stats().gaps, { evicted: 1 })
    })
  }
}

t.test('onGap that gives nothing after a while goes on with the oldest event that is kept then', async (t) => {
  const answer = deferred()
  const { epoch, publish, frames, resume, stock } = await probe(t, { onGap: () => answer.promise })
  const client = await resume(`${epoch}.0`)
  await until(() => stock.subscribers === 1)
  publish(6, 7)
  answer.resolve()
  await received(t, client, OPENING + gap('evicted', `${epoch}.0`, `${epoch}.4`) + frames(5, 6, 7))
})

t.test('onGap that gives "now" after a while goes on with what is published after the answer', async (t) => {
  const answer = deferred<'now'>()
  const { epoch, publish, frames, resume, stock } = await probe(t, { onGap: () => answer.promise })
  const client = await resume(`${epoch}.0`)
  await until(() => stock.subscribers === 1)
  publish(6)
  answer.resolve('now')
  await received(t, client, OPENING + gap('evicted', `${epoch}.0`, `${epoch}.6`))
  publish(7)
  await received(t, client, OPENING + gap('evicted', `${epoch}.0`, `${epoch}.6`) + frames(7))
})

const state = (sum: number): StockEvent => ({ event: 'state', data: { sum } })
const stateFrame = (sum: number): string => `event: state\ndata: {"sum":${sum}}\n\n`

const snapshots: Record<string, () => unknown> = {
  'an array': () => [state(1), state(2)],
  'a generator': function * () { yield state(1); yield state(2) },
  'an async generator': async function * () { yield state(1); yield state(2) },
  'a promise of an array': async () => [state(1), state(2)],
  'an array of promises': () => [Promise.resolve(state(1)), state(2)]
}

for (const [name, snapshot] of Object.entries(snapshots)) {
  t.test(`onGap that gives ${name} of events sends them first, without IDs, and then the ID after which it goes on`, async (t) => {
    const { epoch, publish, frames, resume } = await probe(t, { onGap: snapshot as () => StockEvent[] })
    const client = await resume(`${epoch}.0`)
    const first = OPENING + gap('evicted', `${epoch}.0`, `${epoch}.5`, null) + stateFrame(1) + stateFrame(2) + `id: ${epoch}.5\n\n`
    await received(t, client, first)
    publish(6)
    await received(t, client, first + frames(6))
    const silent = await resume(`${epoch}.0`, '/silent')
    await received(t, silent, OPENING + stateFrame(1) + stateFrame(2) + `id: ${epoch}.6\n\n`)
  })

  t.test(`snapshot that gives ${name} of events is sent first to who begins, and after a gap`, async (t) => {
    const gaps: unknown[] = []
    const { origin, epoch, publish, frames, resume } = await probe(t, {}, ({ app, stock }) => {
      app.get('/snapshot', (_request, reply) => reply.sse(stock.subscribe({
        snapshot: ({ gap, request }) => {
          gaps.push([gap?.reason ?? null, gap?.requested, request?.url])
          return snapshot() as StockEvent[]
        }
      })))
    })
    const fresh = await connect(t, `${origin}/snapshot`)
    const behind = await resume(`${epoch}.0`, '/snapshot')
    const current = await resume(`${epoch}.4`, '/snapshot')
    await received(t, fresh, OPENING + stateFrame(1) + stateFrame(2) + `id: ${epoch}.5\n\n`)
    await received(t, behind, OPENING + gap('evicted', `${epoch}.0`, `${epoch}.5`, null) + stateFrame(1) + stateFrame(2) + `id: ${epoch}.5\n\n`)
    await received(t, current, OPENING + frames(5))
    publish(6)
    for (const client of [fresh, behind, current]) await until(() => client.text.endsWith(frames(6)))
    t.strictSame(gaps, [[null, undefined, '/snapshot'], ['evicted', `${epoch}.0`, '/snapshot']])
  })
}

t.test('what is published while a snapshot is being sent comes after it, once', async (t) => {
  for (const kind of ['first', 'gap'] as const) {
    const middle = deferred()
    const { origin, epoch, publish, frames, resume } = await probe(t, {}, ({ app, stock }) => {
      app.get('/snapshot', (_request, reply) => reply.sse(stock.subscribe({
        snapshot: async function * () {
          yield state(1)
          await middle.promise
          yield state(2)
        }
      })))
    })
    const client = kind === 'first' ? await connect(t, `${origin}/snapshot`) : await resume(`${epoch}.0`, '/snapshot')
    const first = OPENING + (kind === 'first' ? '' : gap('evicted', `${epoch}.0`, `${epoch}.5`, null)) + stateFrame(1)
    await received(t, client, first)
    publish(6)
    publish(7)
    middle.resolve()
    await received(t, client, first + stateFrame(2) + `id: ${epoch}.5\n\n` + frames(6, 7))
    publish(8)
    await received(t, client, first + stateFrame(2) + `id: ${epoch}.5\n\n` + frames(6, 7, 8))
  }
})

t.test('what is published in the turn in which a snapshot is asked for is in the snapshot or comes after it', async (t) => {
  let sum = 0
  const { app, origin, stock, epoch } = await probe(t, {}, ({ app, stock }) => {
    app.get('/snapshot', (_request, reply) => {
      add()
      const streamed = reply.sse(stock.subscribe({ snapshot: () => [state(sum)] }))
      add()
      return streamed
    })
  })
  function add (): void {
    stock.publish({ event: 'changed', data: { n: ++sum } })
  }
  const client = await connect(t, `${origin}/snapshot`)
  await received(t, client, OPENING + stateFrame(1) + `id: ${epoch}.6\n\n` + `event: changed\ndata: {"n":2}\nid: ${epoch}.7\n\n`)
  t.equal(app.sse.stats().open, 1)
})

t.test('a client that breaks off amid a snapshot has the gap and the snapshot before it again', async (t) => {
  const middle = deferred()
  let runs = 0
  let returned = 0
  const { app, epoch, frames, publish, resume } = await probe(t, {
    onGap: async function * () {
      runs++
      try {
        yield state(1)
        await middle.promise
        yield state(2)
      } finally {
        returned++
      }
    }
  })
  const client = await resume(`${epoch}.1`)
  await received(t, client, OPENING + gap('evicted', `${epoch}.1`, `${epoch}.5`, null) + stateFrame(1))
  publish(6)
  client.rst()
  await until(() => app.sse.stats().open === 0)
  middle.resolve()
  await until(() => returned === 1 && app.sse.stats().sources === 0)
  // It has been told no ID: an EventSource comes back with the one it had.
  const back = await resume(`${epoch}.1`)
  await received(t, back, OPENING + gap('evicted', `${epoch}.1`, `${epoch}.6`, null) + stateFrame(1) + stateFrame(2) + `id: ${epoch}.6\n\n`)
  publish(7)
  await back.events(4)
  t.ok(back.text.endsWith(frames(7)))
  t.equal(runs, 2)
})

t.test('a client that breaks off amid a snapshot has it before it again also where the route has other schemas', async (t) => {
  const Twins = defineEvents({ changed: Type.Object({ n: Type.Integer() }), state: Type.Object({ sum: Type.Integer() }) })
  const middle = deferred()
  const { epoch, resume } = await probe(t, {}, ({ app, stock }) => {
    app.get('/twins', { schema: { events: Twins } }, (_request, reply) => reply.sse(stock.subscribe({
      onGap: async function * () {
        yield state(1)
        await middle.promise
        yield state(2)
      }
    })))
  })
  const client = await resume(`${epoch}.1`, '/twins')
  await received(t, client, OPENING + gap('evicted', `${epoch}.1`, `${epoch}.5`, null) + stateFrame(1))
  middle.resolve()
})

t.test('onGap goes before snapshot, of a subscription before that of the channel, and snapshot before where resumedAt says', async (t) => {
  const { origin, epoch, frames, resume } = await probe(t, { onGap: () => [state(9)] }, ({ app, stock }) => {
    app.get('/own', (_request, reply) => reply.sse(stock.subscribe({ onGap: () => [state(1)], snapshot: () => [state(2)] })))
    app.get('/earliest', (_request, reply) => reply.sse(stock.subscribe({ onGap: () => 'earliest', snapshot: () => [state(2)] })))
    app.get('/nothing', (_request, reply) => reply.sse(stock.subscribe({ onGap: async () => {}, snapshot: () => [state(2)] })))
    app.get('/from', (_request, reply) => reply.sse(stock.subscribe({ from: 'earliest', snapshot: () => [state(2)] })))
  })
  const told = OPENING + gap('evicted', `${epoch}.0`, `${epoch}.5`, null)
  await received(t, await resume(`${epoch}.0`), told + stateFrame(9) + `id: ${epoch}.5\n\n`)
  await received(t, await resume(`${epoch}.0`, '/own'), told + stateFrame(1) + `id: ${epoch}.5\n\n`)
  await received(t, await resume(`${epoch}.0`, '/earliest'), OPENING + gap('evicted', `${epoch}.0`, `${epoch}.2`) + frames(3, 4, 5))
  await received(t, await resume(`${epoch}.0`, '/nothing'), told + stateFrame(2) + `id: ${epoch}.5\n\n`)
  // Who begins with the oldest event is not given the present state.
  await received(t, await connect(t, `${origin}/from`), OPENING + frames(3, 4, 5))
})

t.test('an empty snapshot is one too', async (t) => {
  const { origin, epoch, resume } = await probe(t, { onGap: () => [] }, ({ app, stock }) => {
    app.get('/snapshot', (_request, reply) => reply.sse(stock.subscribe({ snapshot: () => [] })))
  })
  await received(t, await resume(`${epoch}.0`), OPENING + gap('evicted', `${epoch}.0`, `${epoch}.5`, null) + `id: ${epoch}.5\n\n`)
  await received(t, await connect(t, `${origin}/snapshot`), OPENING + `id: ${epoch}.5\n\n`)
})

t.test('what onGap or snapshot throws before anything was sent is an error response with its status', async (t) => {
  const refusal = Object.assign(new Error('too much is gone'), { statusCode: 410 })
  const throwers: Record<string, () => never[]> = {
    'by a throw': () => { throw refusal },
    'by a rejection': (() => Promise.reject(refusal)) as unknown as () => never[],
    'at the first event': (function * () { throw refusal }) as unknown as () => never[],
    'at the first event, later': (async function * () { throw refusal }) as unknown as () => never[]
  }
  for (const [how, thrower] of Object.entries(throwers)) {
    const { app, origin, logs, stock, epoch, resume } = await probe(t, how.startsWith('at') ? {} : { onGap: thrower }, ({ app, stock }) => {
      app.get('/snapshot', (_request, reply) => reply.sse(stock.subscribe({ snapshot: thrower })))
    })
    const clients = [await connect(t, `${origin}/snapshot`)]
    if (!how.startsWith('at')) clients.push(await resume(`${epoch}.0`))
    for (const client of clients) {
      t.equal(client.status, 410, how)
      t.strictSame(JSON.parse(await client.rest()), { statusCode: 410, error: 'Gone', message: 'too much is gone' })
    }
    await until(() => app.sse.stats().open === 0 && app.sse.stats().sources === 0)
    t.equal(stock.subscribers, 0)
    t.strictSame(stock.stats().left, { 'source-failed': clients.length })
    t.strictSame(logs.filter(({ level }) => level >= LEVEL.warn), [])
  }
})

t.test('what onGap throws later is a fault, and logged once', async (t) => {
  const late = deferred<never>()
  const { logs, ends, stock, epoch, resume } = await probe(t, { onGap: () => late.promise })
  const client = await resume(`${epoch}.0`)
  await received(t, client, OPENING)
  late.reject(new Error('late'))
  await client.rest()
  t.equal(client.text, OPENING + fault('FST_SSE_SOURCE_FAILED'))
  t.strictSame(ends.map(({ reason }) => reason), ['source-failed'])
  t.strictSame(streamLogs(logs).map(({ level, err }) => [level, err?.message]), [[LEVEL.error, 'late']])
  t.equal(stock.subscribers, 0)
})

t.test('a snapshot that throws midway is a fault that leaves the client with the ID it had', async (t) => {
  const { epoch, resume } = await probe(t, {
    onGap: function * () {
      yield state(1)
      throw new Error('midway')
    }
  })
  const client = await resume(`${epoch}.0`)
  await client.rest()
  t.equal(client.text, OPENING + gap('evicted', `${epoch}.0`, `${epoch}.5`, null) + stateFrame(1) + fault('FST_SSE_SOURCE_FAILED'))
})

t.test('events of a snapshot are checked by the channel, and have no ID of their own', async (t) => {
  const cases: Array<[event: unknown, code: string]> = [
    [{ event: 'state', data: { sum: '1' } }, 'FST_SSE_EVENT_INVALID'],
    [{ event: 'other', data: null }, 'FST_SSE_EVENT_UNDECLARED'],
    [{ event: 'state', data: { sum: 1 }, id: 'mine' }, 'FST_SSE_FIELD_FORBIDDEN']
  ]
  for (const [event, code] of cases) {
    const { ends, epoch, resume } = await probe(t, { onGap: () => [state(1), event as StockEvent] })
    const client = await resume(`${epoch}.0`)
    await client.rest()
    t.equal(client.text, OPENING + gap('evicted', `${epoch}.0`, `${epoch}.5`, null) + stateFrame(1) + fault(code))
    t.strictSame(ends.map(({ reason }) => reason), ['event-invalid'])
  }
  const { epoch, resume } = await probe(t, { onGap: () => [{ event: 'state', data: { sum: 1, secret: 2 }, retry: 5 } as StockEvent] })
  await received(t, await resume(`${epoch}.0`),
    OPENING + gap('evicted', `${epoch}.0`, `${epoch}.5`, null) + 'event: state\ndata: {"sum":1}\nretry: 5\n\n' + `id: ${epoch}.5\n\n`)
})

t.test('onGap that gives something else is an error that says what it may give', async (t) => {
  for (const answer of [null, 5, true, 'latest', {}, () => {}]) {
    const { epoch, resume } = await probe(t, { onGap: () => answer as unknown as undefined })
    const client = await resume(`${epoch}.0`)
    t.equal(client.status, 500)
    const { code, message } = JSON.parse(await client.rest())
    t.equal(code, 'FST_SSE_OPTION_INVALID')
    t.match(message, /^onGap of channel "stock" gave .*Give nothing, 'earliest', 'now', or an iterable of events to send first\.$/)
  }
  const { origin } = await probe(t, {}, ({ app, stock }) => {
    app.get('/snapshot', (_request, reply) => reply.sse(stock.subscribe({ snapshot: () => undefined as unknown as [] })))
  })
  const client = await connect(t, `${origin}/snapshot`)
  t.equal(client.status, 500)
  t.equal(JSON.parse(await client.rest()).code, 'FST_SSE_SOURCE_INVALID')
})

t.test('a client that leaves while onGap is being waited for leaves nothing behind', async (t) => {
  const answer = deferred<'now'>()
  const { app, logs, stock, epoch, resume } = await probe(t, { onGap: () => answer.promise })
  const client = await resume(`${epoch}.0`)
  await until(() => stock.subscribers === 1)
  client.rst()
  await until(() => stock.subscribers === 0)
  t.equal(app.sse.stats().sources, 1)
  answer.resolve('now')
  await until(() => app.sse.stats().sources === 0)
  t.strictSame(stock.stats().left, { 'client-left': 1 })
  t.strictSame(logs.filter(({ level }) => level >= LEVEL.warn), [])
})

t.test('a channel that is closed while a snapshot is being sent ends the stream after it', async (t) => {
  const middle = deferred()
  const { epoch, publish, frames, resume, stock } = await probe(t, {
    onGap: async function * () {
      yield state(1)
      await middle.promise
      yield state(2)
    }
  })
  const client = await resume(`${epoch}.0`)
  await received(t, client, OPENING + gap('evicted', `${epoch}.0`, `${epoch}.5`, null) + stateFrame(1))
  publish(6)
  await stock.close()
  middle.resolve()
  await client.rest()
  t.equal(client.text, OPENING + gap('evicted', `${epoch}.0`, `${epoch}.5`, null) + stateFrame(1) + stateFrame(2) + `id: ${epoch}.5\n\n` + frames(6) + END)
})

t.test('more than the backlog published amid a snapshot is an overrun after it', async (t) => {
  const middle = deferred()
  let runs = 0
  const { ends, epoch, publish, resume, stock } = await probe(t, {
    onGap: async function * () {
      runs++
      yield state(1)
      await middle.promise
    }
  })
  const client = await resume(`${epoch}.0`)
  const first = OPENING + gap('evicted', `${epoch}.0`, `${epoch}.5`, null) + stateFrame(1)
  await received(t, client, first)
  publish(6, 7, 8, 9)
  middle.resolve()
  await client.rest()
  // With this ID it comes back to a gap, and to a snapshot.
  t.equal(client.text, first + `id: ${epoch}.5\n\n`)
  t.strictSame(ends.map(({ reason }) => reason), ['slow-subscriber'])
  await received(t, await resume(`${epoch}.5`), OPENING + gap('evicted', `${epoch}.5`, `${epoch}.9`, null) + stateFrame(1) + `id: ${epoch}.9\n\n`)
  t.equal(runs, 2)
  t.strictSame(stock.stats().overruns, { disconnect: 1 })
})

// Age

t.test('an event that is too old is given to nobody, and its absence is told', async (t) => {
  const { origin, stock, epoch, publish, frames, resume } = await probe(t, { backlog: { ageMs: 100 } }, ({ app, stock }) => {
    app.get('/earliest', (_request, reply) => reply.sse(stock.subscribe({ from: 'earliest' })))
  })
  t.equal(stock.stats().events, 5)
  await until(() => stock.stats().events === 0)
  t.equal(stock.stats().bytes, 0)
  const behind = await resume(`${epoch}.4`)
  const current = await resume(`${epoch}.5`)
  const earliest = await connect(t, `${origin}/earliest`)
  await received(t, behind, OPENING + gap('evicted', `${epoch}.4`, `${epoch}.5`))
  await until(() => stock.subscribers === 3)
  publish(6)
  await received(t, behind, OPENING + gap('evicted', `${epoch}.4`, `${epoch}.5`) + frames(6))
  await received(t, current, OPENING + frames(6))
  await received(t, earliest, OPENING + `id: ${epoch}.5\n\n` + frames(6))
})
