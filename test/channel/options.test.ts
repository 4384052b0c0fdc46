import { Type } from '@sinclair/typebox'
import t, { type Test } from 'tap'
import type { FastifyInstance } from 'fastify'
import { createApp } from '../support/app.js'

const Events = { tick: Type.Integer() }

interface Refusal {
  code: string
  message: string
}

/** What the call throws, at once. */
function refusal (t: Test, call: () => unknown): Refusal {
  try {
    call()
  } catch (error) {
    return error as Refusal
  }
  t.fail('nothing was thrown')
  return { code: '', message: '' }
}

type Sse = FastifyInstance['sse'] & Record<'channel' | 'channels', (name: unknown, events: unknown, options?: unknown) => any>

async function api (t: Test): Promise<Sse> {
  const { app } = await createApp(t)
  return app.sse as unknown as Sse
}

const wrong: Array<[options: unknown, code: string, message: string]> = [
  [5, 'FST_SSE_OPTION_INVALID', 'channel "c" must be an object of options, but is 5.'],
  [{ backlogg: {} }, 'FST_SSE_OPTION_UNKNOWN', 'channel "c" has no option "backlogg". Did you mean backlog?'],
  [{ backlog: 10 }, 'FST_SSE_OPTION_INVALID', 'channel "c".backlog must be an object of options, but is 10.'],
  [{ backlog: { event: 1 } }, 'FST_SSE_OPTION_UNKNOWN', 'channel "c".backlog has no option "event". Did you mean events?'],
  [{ backlog: { events: 0 } }, 'FST_SSE_OPTION_INVALID', 'channel "c".backlog.events must be an integer of 1 or more, but is 0.'],
  [{ backlog: { events: 1.5 } }, 'FST_SSE_OPTION_INVALID', 'channel "c".backlog.events must be an integer of 1 or more, but is 1.5.'],
  [{ backlog: { events: Infinity } }, 'FST_SSE_OPTION_INVALID', 'channel "c".backlog.events must be an integer of 1 or more, but is Infinity.'],
  [{ backlog: { bytes: 1023 } }, 'FST_SSE_OPTION_INVALID', 'channel "c".backlog.bytes must be an integer of 1024 or more, but is 1023.'],
  [{ backlog: { ageMs: 99 } }, 'FST_SSE_OPTION_INVALID', 'channel "c".backlog.ageMs must be an integer from 100 to 2147483647 (milliseconds), or 0 for no limit, but is 99.'],
  [{ overrun: 'drop' }, 'FST_SSE_OPTION_INVALID', 'channel "c".overrun must be one of "disconnect", "skip", "latest", but is "drop".'],
  [{ flushMs: -1 }, 'FST_SSE_OPTION_INVALID', 'channel "c".flushMs must be an integer from 0 to 60000, but is -1.'],
  [{ flushMs: 60_001 }, 'FST_SSE_OPTION_INVALID', 'channel "c".flushMs must be an integer from 0 to 60000, but is 60001.'],
  [{ validation: 'drop' }, 'FST_SSE_OPTION_INVALID', 'channel "c".validation must be one of "throw", "report", "off", but is "drop".'],
  [{ onGap: 'now' }, 'FST_SSE_OPTION_INVALID', 'channel "c".onGap must be a function, but is "now".'],
  [{ onJoin: 1 }, 'FST_SSE_OPTION_INVALID', 'channel "c".onJoin must be a function, but is 1.'],
  [{ onLeave: {} }, 'FST_SSE_OPTION_INVALID', 'channel "c".onLeave must be a function, but is {}.']
]

t.test('a wrong option of a channel is refused when the channel is declared, and the message says the range', async (t) => {
  const sse = await api(t)
  for (const [options, code, message] of wrong) {
    for (const declare of ['channel', 'channels'] as const) {
      const { code: found, message: said } = refusal(t, () => sse[declare]('c', Events, options))
      t.strictSame([found, said], [code, message])
    }
  }
  t.strictSame(sse.stats().channels, {}, 'nothing of them stays')
})

t.test('idleMs is an option of families alone', async (t) => {
  const sse = await api(t)
  t.equal(refusal(t, () => sse.channel('c', Events, { idleMs: 1000 })).code, 'FST_SSE_OPTION_UNKNOWN')
  t.equal(refusal(t, () => sse.channels('c', Events, { idleMs: 99 })).message, 'channel "c".idleMs must be an integer from 100 to 2147483647 (milliseconds), but is 99.')
  sse.channels('c', Events, { idleMs: 100 })
})

t.test('an option that is undefined takes its default', async (t) => {
  const sse = await api(t)
  const channel = sse.channel('c', Events, { backlog: { events: undefined }, overrun: undefined, flushMs: undefined, onGap: undefined })
  t.match(await channel.publish({ event: 'tick', data: 1 }), { id: /\.1$/ })
})

t.test('a name that is no name is refused', async (t) => {
  const sse = await api(t)
  for (const name of ['', undefined, null, 7, {}]) {
    t.equal(refusal(t, () => sse.channel(name, Events)).code, 'FST_SSE_OPTION_INVALID', String(name))
    t.equal(refusal(t, () => sse.channels(name, Events)).code, 'FST_SSE_OPTION_INVALID', String(name))
  }
})

t.test('events that are no events are refused as defineEvents refuses them', async (t) => {
  const sse = await api(t)
  const cases: Array<[events: unknown, code: string]> = [
    [undefined, 'FST_SSE_SCHEMA_INVALID'],
    [Type.Integer(), 'FST_SSE_SCHEMA_INVALID'],
    [{ tick: 'integer' }, 'FST_SSE_SCHEMA_INVALID'],
    [{ tick: Type.Date() }, 'FST_SSE_SCHEMA_INVALID'],
    [{ '': Type.Null() }, 'FST_SSE_EVENT_TYPE_INVALID'],
    [{ 'sse.gap': Type.Null() }, 'FST_SSE_EVENT_TYPE_RESERVED']
  ]
  for (const [events, code] of cases) t.equal(refusal(t, () => sse.channel('c', events)).code, code)
})

t.test('a name is declared once, and again after its channel was closed', async (t) => {
  const sse = await api(t)
  const first = sse.channel('c', Events)
  for (const declare of ['channel', 'channels'] as const) {
    const { code, message } = refusal(t, () => sse[declare]('c', Events))
    t.equal(code, 'FST_SSE_CHANNEL_EXISTS')
    t.match(message, 'There is a channel "c" already.')
  }
  await first.close()
  const second = sse.channel('c', Events)
  t.not(second.lastEventId.split('.')[0], first.lastEventId.split('.')[0])
  t.match(await second.publish({ event: 'tick', data: 1 }), { id: /\.1$/ })
  await t.rejects(first.publish({ event: 'tick', data: 1 }), { code: 'FST_SSE_LOG_CLOSED', statusCode: 503, channel: 'c' })
})

t.test('a wrong option of a subscription is refused when it is made', async (t) => {
  const sse = await api(t)
  const channel = sse.channel('c', Events)
  const cases: Array<[options: unknown, code: string, message: string]> = [
    [null, 'FST_SSE_OPTION_INVALID', 'subscribe must be an object of options, but is null.'],
    [{ form: 'now' }, 'FST_SSE_OPTION_UNKNOWN', 'subscribe has no option "form". The options are from, filter, latestBy, overrun, onGap, snapshot, signal.'],
    [{ from: 7 }, 'FST_SSE_OPTION_INVALID', "subscribe.from must be 'now', 'earliest' or an ID that the channel gave, but is 7."],
    [{ filter: true }, 'FST_SSE_OPTION_INVALID', 'subscribe.filter must be a function, but is true.'],
    [{ latestBy: 'symbol' }, 'FST_SSE_OPTION_INVALID', 'subscribe.latestBy must be a function, but is "symbol".'],
    [{ overrun: 'never' }, 'FST_SSE_OPTION_INVALID', 'subscribe.overrun must be one of "disconnect", "skip", "latest", but is "never".'],
    [{ snapshot: [] }, 'FST_SSE_OPTION_INVALID', 'subscribe.snapshot must be a function, but is [].'],
    [{ signal: new AbortController() }, 'FST_SSE_OPTION_INVALID', 'subscribe.signal must be an AbortSignal, but is {}.']
  ]
  for (const [options, code, message] of cases) {
    const { code: found, message: said } = refusal(t, () => channel.subscribe(options as never))
    t.strictSame([found, said], [code, message])
  }
})

t.test('merge takes channels and subscriptions, from one to 64, and nothing else', async (t) => {
  const sse = await api(t)
  const merge = sse.merge as (...sources: unknown[]) => unknown
  const channel = sse.channel('c', Events)
  for (const sources of [[], [undefined], [[channel]], [channel, [{ event: 'tick', data: 1 }]], [channel, merge(channel)], Array(65).fill(channel)]) {
    t.equal(refusal(t, () => merge(...sources)).code, 'FST_SSE_SOURCE_INVALID')
  }
  t.ok(merge(...Array(64).fill(channel)))
})
