// A generated file is a client's own: its types are those of the client, and of the schemas that they are made of.
import { createEventStore } from '../examples/react/event-store.js'
import * as client from '../lib/client.js'
import { connect, type StreamEvent } from '../lib/client.js'
import { defineEvents } from '../lib/events.js'
import type { EventMap, StaticOf } from '../lib/schema/events.js'
import type { references, shapes } from '../test/documents/zoo.js'
import * as generated from '../test/fixtures/golden/inputs/streams.js'
import { createStreams } from '../test/fixtures/golden/inputs/streams.js'
import type { ReferencesEvent } from '../test/fixtures/golden/references/streams.js'
import type { ShapesEvent } from '../test/fixtures/golden/shapes/streams.js'
import { expect, typed, type Equal } from './support.tst.js'

/** True for types of which each can stand for the other. */
type Mutual<A, B> = [A] extends [B] ? [B] extends [A] ? true : false : false

// The data of each event is what its TypeBox schema says.

type DataOf<E extends { event: string, data: unknown }, Name> = E extends { event: Name } ? E['data'] : never

type Unlike<E extends { event: string, data: unknown }, Map extends EventMap> = {
  [Name in keyof Map]: Mutual<DataOf<E, Name>, StaticOf<Map[Name]>> extends true ? never : Name
}[keyof Map]

expect<Equal<Unlike<ShapesEvent, typeof shapes>, never>>()
expect<Equal<Unlike<ReferencesEvent, typeof references>, never>>()
// The comparison finds what differs.
expect<Equal<Unlike<{ event: 'null', data: 7 }, { null: typeof shapes.null }>, 'null'>>()

// The types at the end of the file are those of the client.

expect<Mutual<generated.EventStream, client.EventStream>>()
expect<Mutual<generated.ReceivedEvent<'a', 1>, client.ReceivedEvent<'a', 1>>>()
expect<Mutual<generated.UnknownEvent, client.UnknownEvent>>()
expect<Mutual<generated.Gap, client.Gap>>()
expect<Mutual<generated.GapReason, client.GapReason>>()
expect<Mutual<generated.StreamError, client.StreamError>>()
expect<Mutual<generated.StreamErrorKind, client.StreamErrorKind>>()
expect<Mutual<generated.StreamState, client.StreamState>>()
expect<Mutual<generated.StreamStatus, client.StreamStatus>>()
expect<Mutual<generated.Fetch, client.Fetch>>()
expect<Mutual<generated.FetchResponse, client.FetchResponse>>()
expect<Mutual<generated.Validator, client.Validator>>()
expect<Mutual<generated.PerAttempt<string>, client.PerAttempt<string>>>()
// With `data` and `method` aside, what a stream's call decides by itself.
expect<Mutual<Required<Omit<generated.ConnectOptions, 'baseUrl'>>, Required<Omit<client.ConnectOptions, 'data' | 'method'>>>>()
expect<Equal<keyof Omit<generated.ConnectOptions, 'baseUrl'>, keyof Omit<client.ConnectOptions, 'data' | 'method'>>>()

// `connect` is what `createStreams` takes, as it is.

const streams = createStreams(connect, { baseUrl: 'https://example.test/api', headers: async () => ({ authorization: 'x' }), onError: ({ kind }) => kind })
createStreams(connect)
createStreams(connect, { baseUrl: async () => new URL('https://example.test'), fetch })
// @ts-expect-error something opens the streams
createStreams()
// @ts-expect-error the option is unknown
createStreams(connect, { header: {} })
// @ts-expect-error where to go on is said for one stream
createStreams(connect, { initialLastEventId: '1' })

// A stream gives what the client's own would.

const Orders = defineEvents({ accepted: typed<typeof import('../test/documents/zoo.js').Order>(), line: typed<typeof import('../test/documents/zoo.js').Line>(), closing: typed<typeof shapes.null>() })
const orders = streams.postOrders({ body: { lines: [] } })
expect<Mutual<generated.PostOrdersEvent, StreamEvent<typeof Orders>>>()
orders satisfies client.EventStream<StreamEvent<typeof Orders>>
connect<typeof Orders>('/orders') satisfies typeof orders

export function exhaustive (event: generated.PostOrdersEvent): string | undefined {
  switch (event.event) {
    case 'accepted':
      return event.data.lines[0]?.sku
    case 'line':
      expect<Equal<typeof event.data, generated.Line>>()
      return event.data.sku
    case 'closing':
      expect<Equal<typeof event.data, null>>()
      return undefined
    case 'sse.gap':
      return event.data.resumedAt
    default:
      event satisfies generated.UnknownEvent
      event satisfies client.UnknownEvent
      expect<Equal<typeof event.data, unknown>>()
      return event.id
  }
}

export async function read (): Promise<string | undefined> {
  for await (const event of orders) expect<Equal<typeof event, generated.PostOrdersEvent>>()
  // @ts-expect-error no event is of that type
  orders.on('acceptd', () => {})
  orders.on('accepted', ({ lines }, { id }) => id ?? lines.length)
  orders.on('sse.gap', ({ reason }) => reason)
  orders.on('sse.unknown', (_data, event) => event satisfies client.UnknownEvent)
  return (await orders.closed).error?.message
}

export function missingCase (event: generated.PostOrdersEvent): void {
  switch (event.event) {
    case 'accepted': case 'line': case 'sse.gap':
      return
    default:
      // @ts-expect-error there is no case for closing
      event satisfies generated.UnknownEvent
  }
}

export function withoutControlEvents (event: generated.QuietEvent): void {
  switch (event.event) {
    case 'closing':
      return
    // @ts-expect-error the stream says no gaps
    case 'sse.gap':
      return
    default:
      event satisfies generated.UnknownEvent
  }
}

// Of a stream that declares no events any event comes.

streams.any().on('whatever', (data) => expect<Equal<typeof data, unknown>>())
expect<Equal<generated.AnyEvent, generated.ReceivedEvent>>()

// Code that was written against the client's types takes it.

createEventStore(() => streams.postOrders({ body: { lines: [] } }), 0, (count, event) => event.event === 'accepted' ? count + event.data.lines.length : count)
createEventStore((options) => streams.ordersById({ params: { id: 7 }, ...options }), 0, (count) => count + 1)

// Parameters of the path

streams.ordersById({ params: { id: 7 }, query: { any: ['a', 1, true, null], other: undefined }, signal: new AbortController().signal, initialLastEventId: '1' })
streams.untypedByShopAndId({ params: { shop: 'a', id: 7 } })
streams.partlyByShopAndId({ params: { shop: 'a', id: 7 } })
streams.referredByNameAndOther({ params: { name: 'a', other: 1 } })
streams.recordByAAndB({ params: { a: 1, b: 2 } })
streams.optionalById()
streams.optionalById({ params: {} })
streams.optionalById({ params: { id: 7 } })
streams.optionalUntypedById({ params: { id: undefined } })
streams.filesByPath({ params: { '*': 'a/b' } })
streams.patternByAtHAndFileAndExt({ params: { at: '12', file: 'a', ext: 'txt' } })
streams.colonVerbById({ params: { id: 1 } })
// @ts-expect-error there are parameters to give
streams.ordersById()
// @ts-expect-error there are parameters to give
streams.ordersById({})
// @ts-expect-error a parameter is missing
streams.ordersById({ params: {} })
// @ts-expect-error a parameter has another type
streams.ordersById({ params: { id: '7' } })
// @ts-expect-error a parameter that the path does not have
streams.ordersById({ params: { id: 7, line: 1 } })
// @ts-expect-error the path has no parameters
streams.plain({ params: { id: 7 } })
// @ts-expect-error what the path needs is required, whatever its schema says
streams.partlyByShopAndId({ params: { shop: 'a' } })
// @ts-expect-error and so is what no schema describes
streams.partlyByShopAndId({ params: { id: 7 } })
// @ts-expect-error the same where the schema has a name
streams.referredByNameAndOther({ params: { name: 'a' } })
// @ts-expect-error the same in a record
streams.recordByAAndB({ params: { a: 1 } })
// @ts-expect-error a part of the path is no object
streams.untypedByShopAndId({ params: { shop: {}, id: 7 } })
// @ts-expect-error a wildcard is a parameter
streams.filesByPath({ params: {} })
// @ts-expect-error a double colon is none
streams.colonVerbById({ params: { id: 1, verb: 2 } })

// The query

streams.plain()
streams.plain({ query: { anything: 1 } })
streams.query({ query: { since: 'today', tag: ['a'] } })
streams.query({ query: { since: 'today', tag: undefined, limit: 3 } })
streams.paged()
streams.paged({ query: { limit: 3 } })
streams.emptyQuery({ query: {} })
streams.openQuery({ query: { a: 'x', b: 1 } })
// @ts-expect-error a parameter of the query is required
streams.query()
// @ts-expect-error a parameter of the query is missing
streams.query({ query: { limit: 3 } })
// @ts-expect-error a parameter of the query has another type
streams.query({ query: { since: 'today', limit: '3' } })
// @ts-expect-error a parameter that the query does not have
streams.query({ query: { since: 'today', until: 'now' } })
// @ts-expect-error the query takes nothing
streams.emptyQuery({ query: { a: 1 } })
// @ts-expect-error of an open one, too, what is declared is as declared
streams.openQuery({ query: { a: 1 } })
// @ts-expect-error no query can carry an object
streams.plain({ query: { anything: {} } })

// Headers

streams.plain({ headers: { anything: 'x' } })
streams.plain({ headers: async () => new Headers() })
streams.headers()
streams.headers({ headers: { 'x-tenant': 'a', 'x-limit': 3, 'x-mode': 'b', other: 'x', another: undefined } })
streams.headers({ headers: async () => ({ 'x-mode': 'a' }) })
streams.headers({ headers: new Headers() })
streams.headers({ headers: [['x-tenant', 'a']] })
// @ts-expect-error a header has another type
streams.headers({ headers: { 'x-tenant': 7 } })
// @ts-expect-error a header has another value
streams.headers({ headers: { 'x-mode': 'c' } })
// @ts-expect-error the same from a function
streams.headers({ headers: async () => ({ 'x-mode': 'c' }) })
// @ts-expect-error no header can carry an object
streams.plain({ headers: { anything: {} } })

// The body

streams.postOrders({ body: { lines: [{ sku: 'a' }, { sku: 'b', count: 2 }], note: undefined } })
streams.postOrders({ body: async () => ({ lines: [] }) })
streams.putText({ body: 'text' })
streams.postEither({ body: null })
streams.postEither({ body: ['a'] })
// @ts-expect-error there is a body to send
streams.postOrders()
// @ts-expect-error there is a body to send
streams.postOrders({ query: {} })
// @ts-expect-error a property is missing
streams.postOrders({ body: {} })
// @ts-expect-error a property has another type
streams.postOrders({ body: { lines: [{ sku: 7 }] } })
// @ts-expect-error a property that the body does not have
streams.postOrders({ body: { lines: [], node: 'x' } })
// @ts-expect-error the same from a function
streams.postOrders({ body: () => ({ lines: [{}] }) })
// @ts-expect-error nothing takes a body
streams.plain({ body: {} })
// @ts-expect-error the body is null, or is there
streams.postEither({ body: undefined })

// Options

streams.plain({ onStatus: (status, state) => status === state.status, share: true, shouldRetry: (error, attempt) => error.status === 503 && attempt < 3 })
// @ts-expect-error the method is the stream's
streams.plain({ method: 'POST' })
// @ts-expect-error and so is what data is
streams.plain({ data: 'text' })
// @ts-expect-error the option is unknown
streams.plain({ header: {} })
// @ts-expect-error there is no such stream
streams.nothing()
