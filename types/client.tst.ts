import { Type } from '@sinclair/typebox'
import { connect, StreamError, type ConnectOptions, type EventStream, type Gap, type ReceivedEvent, type StreamEvent, type UnknownEvent, type Validator } from '../lib/client.js'
import { jsonSchemaValidator } from '../lib/client/json-schema.js'
import { typeboxValidator } from '../lib/client/typebox.js'
import type { Fetch, StreamErrorKind, StreamState, StreamStatus } from '../lib/client.js'
import { defineEvents, defineStream, text } from '../lib/events.js'
import { expect, typed, type Equal } from './support.tst.js'

const Clock = defineEvents({
  tick: Type.Object({ now: Type.String(), zone: Type.Optional(Type.String()) }),
  note: text(),
  message: Type.Integer(),
  closing: Type.Null()
})
const Stream = defineStream({ path: '/clock', events: Clock })

type Tick = { now: string, zone?: string }
type Declared = ReceivedEvent<'tick', Tick> | ReceivedEvent<'note', string> | ReceivedEvent<'message', number> | ReceivedEvent<'closing', null>
type Received = Declared | ReceivedEvent<'sse.gap', Gap> | UnknownEvent

/** The event that a stream gives. */
type Given<S> = S extends EventStream<infer E> ? E : never

const clock = connect<typeof Clock>('/clock')

// Every way to say what a stream sends gives the same events: what is declared, a gap, and what is not declared.

expect<Equal<Given<typeof clock>, Received>>()
const ofMap = connect<typeof Clock.schemas>('/clock')
expect<Equal<Given<typeof ofMap>, Received>>()
const ofUnion = connect<
  { event: 'tick', data: Tick } | { event: 'note', data: string } | { event: 'message', data: number } | { event: 'closing', data: null }
>('/clock')
expect<Equal<Given<typeof ofUnion>, Received>>()
const ofStreamType = connect<typeof Stream>('/clock')
expect<Equal<Given<typeof ofStreamType>, Received>>()
const ofStream = connect(Stream)
expect<Equal<Given<typeof ofStream>, Received>>()
const ofStreamWithOptions = connect(Stream, { headers: {}, baseUrl: 'https://example.test' })
expect<Equal<Given<typeof ofStreamWithOptions>, Received>>()

// Without a declaration data is unknown, or text where it is asked for.

const any = connect('/clock')
expect<Equal<Given<typeof any>, ReceivedEvent<string, unknown>>>()
const json = connect('/clock', { data: 'json' })
expect<Equal<Given<typeof json>, ReceivedEvent<string, unknown>>>()
const either = connect('/clock', typed<ConnectOptions>())
expect<Equal<Given<typeof either>, ReceivedEvent<string, unknown>>>()
const raw = connect('/clock', { data: 'text' })
expect<Equal<Given<typeof raw>, ReceivedEvent<string, string>>>()
const rawOfPost = connect(() => '/ask', { method: 'POST', body: { q: 'x' }, data: 'text' })
expect<Equal<Given<typeof rawOfPost>, ReceivedEvent<string, string>>>()

// @ts-expect-error data that is text is of no declared type
connect<typeof Clock>('/clock', { data: 'text' })
// @ts-expect-error data that is text is of no declared type
connect(Stream, { data: 'text' })
// @ts-expect-error a contract has no URL
connect(Clock)
// @ts-expect-error nor has a bare map
connect(Clock.schemas)
// @ts-expect-error there is something to connect to
connect<typeof Clock>()
// @ts-expect-error a URL is text, or has some
connect<typeof Clock>(7)
// @ts-expect-error a contract is a type there: typeof Clock
export type Wrong = typeof connect<Clock>

// A URL is text, an object that has some, or a function that gives either.

connect<typeof Clock>(new URL('https://example.test/clock'))
connect<typeof Clock>({ href: 'https://example.test/clock' })
connect<typeof Clock>(() => '/clock')
connect<typeof Clock>(async () => new URL('https://example.test/clock'))
// @ts-expect-error a function gives a URL
connect<typeof Clock>(async () => 7)

// A wrapper that knows no events takes what connect takes.

export function open<D> (...args: Parameters<typeof connect<D>>) {
  return connect<D>(...args)
}
const opened = open<typeof Clock>('/clock', { headers: {} })
expect<Equal<Given<typeof opened>, Received>>()
// @ts-expect-error the option is unknown
open<typeof Clock>('/clock', { header: {} })

// A switch that has a case for each declared event, and for a gap, compiles.

export function exhaustive (event: StreamEvent<typeof Clock>): string | undefined {
  switch (event.event) {
    case 'tick':
      expect<Equal<typeof event.data, Tick>>()
      return event.data.zone
    case 'note':
      expect<Equal<typeof event.data, string>>()
      return event.data
    case 'message':
      expect<Equal<typeof event.data, number>>()
      return String(event.data)
    case 'closing':
      expect<Equal<typeof event.data, null>>()
      return undefined
    case 'sse.gap':
      expect<Equal<typeof event.data, Gap>>()
      expect<Equal<typeof event.data.reason, 'malformed' | 'epoch' | 'future' | 'evicted' | 'overrun'>>()
      return event.data.resumedAt
    default:
      event satisfies UnknownEvent
      // Its type is text like any other, and nothing is known of its data.
      event.event satisfies string
      expect<Equal<typeof event.data, unknown>>()
      return event.id
  }
}

export function missingCase (event: StreamEvent<typeof Clock>): void {
  switch (event.event) {
    case 'tick': case 'note': case 'message': case 'sse.gap':
      return
    default:
      // @ts-expect-error there is no case for closing
      event satisfies UnknownEvent
  }
}

export function missingGap (event: StreamEvent<typeof Clock>): void {
  switch (event.event) {
    case 'tick': case 'note': case 'message': case 'closing':
      return
    default:
      // @ts-expect-error there is no case for a gap
      event satisfies UnknownEvent
  }
}

export function wrongCase (event: StreamEvent<typeof Clock>): void {
  switch (event.event) {
    // @ts-expect-error the event type is misspelt
    case 'tik':
      return
    case 'tick':
      // @ts-expect-error the data of another event
      event.data.length satisfies number
  }
  // @ts-expect-error no declared event has that type
  if (event.event === 'tock') return
  // @ts-expect-error not all of the events have that data
  event.data.now satisfies string
}

/** Ifs narrow as well, and so does what was taken apart. */
export function narrowed (received: StreamEvent<typeof Clock>): void {
  const { event, data, id } = received
  expect<Equal<typeof id, string | undefined>>()
  if (event === 'tick') expect<Equal<typeof data, Tick>>()
  else if (event === 'closing') expect<Equal<typeof data, null>>()
  // @ts-expect-error it may be any event
  else data.now satisfies string
  if (received.event !== 'note') return
  received.data.toUpperCase() satisfies string
}

// Reading

export async function read (): Promise<void> {
  for await (const event of clock) expect<Equal<typeof event, Received>>()
  for await (const { event, data } of connect<typeof Clock>('/clock')) {
    if (event === 'message') expect<Equal<typeof data, number>>()
  }
  for await (const { event, data } of connect('/clock')) {
    expect<Equal<typeof event, string>>()
    expect<Equal<typeof data, unknown>>()
  }
  for await (const { data } of raw) expect<Equal<typeof data, string>>()
  const state = await clock.closed
  expect<Equal<typeof state, StreamState>>()
}

// Handlers get the data of their event, and the event.

const off = clock.on('tick', (data, event) => {
  expect<Equal<typeof data, Tick>>()
  expect<Equal<typeof event, ReceivedEvent<'tick', Tick>>>()
})
expect<Equal<typeof off, () => void>>()
clock.on('message', (data, { id }) => {
  expect<Equal<typeof data, number>>()
  expect<Equal<typeof id, string | undefined>>()
})
clock.on('closing', async (data) => expect<Equal<typeof data, null>>())
clock.on('note', (data) => expect<Equal<typeof data, string>>())
clock.on('sse.gap', (data) => expect<Equal<typeof data, Gap>>())
clock.on('sse.unknown', (data, event) => {
  expect<Equal<typeof data, unknown>>()
  expect<Equal<typeof event, UnknownEvent>>()
  event.event satisfies string
})
clock.on('closing', () => {})
ofStream.on('tick', ({ now }) => now satisfies string)
clock.on(typed<'tick' | 'note'>(), (data) => expect<Equal<typeof data, Tick | string>>())

// @ts-expect-error the event type is not declared
clock.on('tock', () => {})
// @ts-expect-error what only this package sends is not the application's to see
clock.on('sse.end', () => {})
// @ts-expect-error the data is of another type
clock.on('tick', (data: string) => data)
// @ts-expect-error a property is not declared
clock.on('tick', ({ then }) => then)
// @ts-expect-error a handler is a function
clock.on('tick', {})
// @ts-expect-error no unnamed event is declared
connect<{ event: 'tick', data: Tick }>('/clock').on('message', () => {})

any.on('anything', (data, event) => {
  expect<Equal<typeof data, unknown>>()
  expect<Equal<typeof event, ReceivedEvent<'anything', unknown>>>()
})
any.on('sse.gap', (data) => expect<Equal<typeof data, Gap>>())
any.on('sse.unknown', (data, event) => expect<Equal<typeof event, ReceivedEvent>>())
raw.on('message', (data) => expect<Equal<typeof data, string>>())
raw.on('sse.gap', (data) => expect<Equal<typeof data, string>>())
raw.on('sse.unknown', (data) => expect<Equal<typeof data, string>>())

// The rest of a stream

expect<Equal<typeof clock.status, StreamStatus>>()
expect<Equal<StreamStatus, 'connecting' | 'live' | 'stale' | 'reconnecting' | 'closed'>>()
expect<Equal<typeof clock.state, StreamState>>()
expect<Equal<typeof clock.lastEventId, string>>()
expect<Equal<typeof clock.closed, Promise<StreamState>>>()
expect<Equal<typeof clock.state.error, StreamError | undefined>>()
expect<Equal<ReturnType<typeof clock.close>, void>>()
expect<Equal<ReturnType<typeof clock.reconnect>, void>>()
// @ts-expect-error where a stream stands is told, not set
clock.status = 'closed'
// @ts-expect-error it is told by the events
clock.lastEventId = '7'

// Who takes a stream needs only the events that it knows.

export function follow (stream: EventStream<StreamEvent<typeof Clock>>): void {
  stream.on('tick', ({ now }) => now)
}
follow(clock)
follow(ofStream)
// @ts-expect-error it has other events
follow(connect<{ event: 'other', data: null }>('/clock'))

// Options

connect<typeof Clock>('/clock', {
  method: 'GET',
  headers: { authorization: 'Bearer x' },
  credentials: 'include',
  fetch,
  signal: AbortSignal.timeout(1000),
  initialLastEventId: '7',
  reconnectionTimeMs: 1000,
  stallTimeoutMs: 0,
  maxEventBytes: 1 << 20,
  shouldRetry (error, attempt) {
    expect<Equal<typeof error, StreamError>>()
    expect<Equal<typeof error.kind, StreamErrorKind>>()
    expect<Equal<typeof attempt, number>>()
    return error.kind === 'network' ? undefined : false
  },
  onUnauthorized: async (error) => error.status === 401,
  onStatus (status, state) {
    expect<Equal<typeof status, StreamStatus>>()
    expect<Equal<typeof state, StreamState>>()
  },
  onComment: (text) => expect<Equal<typeof text, string>>(),
  onError: (error) => expect<Equal<typeof error, StreamError>>(),
  share: true,
  validate: typeboxValidator(Clock),
  invalid (error, raw) {
    expect<Equal<typeof error, StreamError>>()
    expect<Equal<typeof raw.data, string>>()
  }
})
connect<typeof Clock>('/clock', {})
connect<typeof Clock>('/clock', { signal: undefined, headers: undefined, share: undefined, validate: undefined })
connect('/clock/:zone', { params: { zone: 'UTC' }, query: { at: 7, tag: ['a', 'b'], none: undefined } })

// What may change is a value, or a function that is called for every attempt.

connect('/clock', { headers: () => ({ authorization: 'x' }) })
connect('/clock', { headers: async () => new Headers() })
connect('/clock', { headers: [['authorization', 'x']] })
connect('/clock', { body: async () => ({ q: 'x' }), headers: async () => undefined })

// @ts-expect-error the option is unknown
connect('/clock', { header: {} })
// @ts-expect-error the option is unknown
connect<typeof Clock>('/clock', { lastEventId: '7' })
// @ts-expect-error the option is unknown
connect(Stream, { withCredentials: true })
// @ts-expect-error a header is text
connect<typeof Clock>('/clock', { headers: { 'x-n': 7 } })
// @ts-expect-error a header is text, also where a function gives it
connect<typeof Clock>('/clock', { headers: async () => ({ 'x-n': 7 }) })
// @ts-expect-error the option is a number
connect<typeof Clock>('/clock', { stallTimeoutMs: '1s' })
// @ts-expect-error a signal is not its controller
connect<typeof Clock>('/clock', { signal: new AbortController() })
// @ts-expect-error the option has other values
connect<typeof Clock>('/clock', { credentials: 'all' })
// @ts-expect-error the option has other values
connect<typeof Clock>('/clock', { invalid: 'ignore' })
// @ts-expect-error there is no such kind of error
connect<typeof Clock>('/clock', { onError: ({ kind }) => kind === 'closed' })
// @ts-expect-error whether to go on is said at once
connect<typeof Clock>('/clock', { shouldRetry: async () => true })
// @ts-expect-error what is not in a URL cannot be in its query
connect('/clock', { query: { at: new Date() } })
// @ts-expect-error where the URL comes from is no option
connect('/clock', { baseUrl: '/api' })

// A fetch of one's own.

export const myFetch: Fetch = async (url, init) => fetch(url, { ...init, keepalive: true })
connect('/clock', { fetch: myFetch })
// @ts-expect-error it gives a response
connect('/clock', { fetch: async () => 'text' })

// Validators

expect<Equal<ReturnType<typeof typeboxValidator>, Validator>>()
expect<Equal<ReturnType<typeof jsonSchemaValidator>, Validator>>()
typeboxValidator(Clock)
typeboxValidator(Clock.schemas)
typeboxValidator(Stream)
typeboxValidator({ tick: Type.Integer() })
jsonSchemaValidator({ tick: { type: 'integer' }, closing: true })
jsonSchemaValidator(Clock.schemas)
connect('/clock', { validate: ({ event, data }) => event === 'tick' && typeof data !== 'number' ? 'expected a number' : undefined })

// @ts-expect-error plain JSON Schema is not TypeBox
typeboxValidator({ tick: { type: 'integer' } })
// @ts-expect-error there is something to check by
jsonSchemaValidator()
// @ts-expect-error it says what is wrong
connect('/clock', { validate: ({ data }) => data !== null })
