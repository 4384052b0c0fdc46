import { Type } from '@sinclair/typebox'
import Fastify, { type FastifyInstance } from 'fastify'
import type { GapEvent } from '../lib/schema/control-events.js'
import { defineEvents, text } from '../lib/schema/events.js'
import type { ReceivedEvent, StreamEvent } from '../lib/schema/received.js'
import { injectSSE, StreamFaultError, type InjectedStream, type InjectedStreamEnd } from '../lib/testing.js'
import { app, expect, typed, type Equal, type TypeBoxTypeProvider } from './support.tst.js'

const Clock = defineEvents({ tick: Type.Object({ now: Type.String() }), note: text() })

// What is read is what the contract declares, a gap, or an event that it does not declare.

const stream = await injectSSE<typeof Clock>(app, { url: '/clock' })
expect<Equal<typeof stream, InjectedStream<typeof Clock>>>()
const first = await stream.next()
expect<Equal<typeof first, StreamEvent<typeof Clock> | undefined>>()
if (first?.event === 'tick') expect<Equal<typeof first.data, { now: string }>>()
if (first?.event === 'note') expect<Equal<typeof first.data, string>>()
if (first?.event === 'sse.gap') expect<Equal<typeof first.data, GapEvent['data']>>()
expect<Equal<NonNullable<typeof first>['id'], string | undefined>>()

const [a, b] = await stream.take(2, { timeoutMs: 10 })
expect<Equal<typeof a, StreamEvent<typeof Clock> | undefined>>()
expect<Equal<typeof b, typeof a>>()

for await (const event of stream) {
  expect<Equal<typeof event, StreamEvent<typeof Clock>>>()
}

await using disposed = await injectSSE<typeof Clock>(app, '/clock')
expect<Equal<typeof disposed.lastEventId, string>>()
expect<Equal<typeof stream.ended, InjectedStreamEnd | undefined>>()
expect<Equal<typeof stream.reconnectionTimeMs, number | undefined>>()
expect<Equal<typeof stream.comments, readonly string[]>>()

// @ts-expect-error it may be over
export const now = (await stream.next()).data
// @ts-expect-error it may be another event
export const unknown: { now: string } = (await stream.next())!.data
// @ts-expect-error it may be shorter
export const data = b.data
// @ts-expect-error a number of events
await stream.take('2')
// @ts-expect-error the option is not one of a read
await stream.next({ timeout: 10 })
// @ts-expect-error what came is not changed
stream.comments.push('')

// A bare map, the definition of a stream and a union of events say the same.

const bare = await injectSSE<typeof Clock.schemas>(app, '/clock')
expect<Equal<Awaited<ReturnType<typeof bare.next>>, typeof first>>()
const defined = await injectSSE<{ path: '/clock', events: typeof Clock }>(app, '/clock')
expect<Equal<Awaited<ReturnType<typeof defined.next>>, typeof first>>()
const union = await injectSSE<{ event: 'tick', data: { now: string } } | { event: 'note', data: string }>(app, '/clock')
expect<Equal<Awaited<ReturnType<typeof union.next>>, typeof first>>()

// Without a type argument it is any event, whose data has to be looked at.

const any = await (await injectSSE(app, '/clock')).next()
expect<Equal<typeof any, ReceivedEvent | undefined>>()
// @ts-expect-error the data is unknown
export const length = any?.data.length

// The request is what `inject` takes, and what `fetch` takes of it.

await injectSSE(app, {
  url: { pathname: '/clock', query: { zone: 'UTC' } },
  method: 'POST',
  headers: { authorization: 'Bearer x' },
  payload: { a: 1 },
  query: { zone: 'UTC' },
  cookies: { session: 'x' },
  authority: 'example.test',
  remoteAddress: '10.0.0.1',
  lastEventId: 7,
  signal: AbortSignal.timeout(1000),
  timeoutMs: 0
})
await injectSSE(app, { url: '/clock', lastEventId: typed<string | undefined>(), signal: typed<AbortSignal | undefined>(), timeoutMs: undefined })
// @ts-expect-error the option is not one of a request
await injectSSE(app, { url: '/clock', lastEventID: '7' })
// @ts-expect-error it is always a stream
await injectSSE(app, { url: '/clock', payloadAsStream: false })
// @ts-expect-error an ID is a string or a number
await injectSSE(app, { url: '/clock', lastEventId: true })
// @ts-expect-error it reads from an application
await injectSSE('http://localhost', { url: '/clock' })

// Whichever server, logger and type provider the application has.

await injectSSE(app.withTypeProvider<TypeBoxTypeProvider>(), '/clock')
await injectSSE(Fastify({ http2: true }), '/clock')
await injectSSE(Fastify({ https: {} }), '/clock')
await injectSSE(Fastify({ http2: true, https: {} }), '/clock')
await injectSSE(typed<FastifyInstance<any, any, any, any, any>>(), '/clock')

const fault = typed<unknown>()
if (fault instanceof StreamFaultError) expect<Equal<typeof fault.code, string>>()
