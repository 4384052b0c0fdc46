import { Type } from '@sinclair/typebox'
import { createEventStore } from '../examples/react/event-store.js'
import { useEventStream } from '../examples/react/use-event-stream.js'
import { connect, type Gap, type ReceivedEvent, type StreamError, type StreamStatus, type UnknownEvent } from '../lib/client.js'
import { defineEvents, defineStream } from '../lib/events.js'
import { expect, type Equal } from './support.tst.js'

const Order = defineStream({
  path: '/orders/:id',
  params: Type.Object({ id: Type.Integer() }),
  events: { shipped: Type.Object({ at: Type.String() }), closed: Type.Null() }
})
const Clock = defineEvents({ tick: Type.Integer() })

type OfOrder = ReceivedEvent<'shipped', { at: string }> | ReceivedEvent<'closed', null> | ReceivedEvent<'sse.gap', Gap> | UnknownEvent

// The events of a definition, and of types alone, are those that `connect` gives.

const view = useEventStream(Order, {
  params: { id: 7 },
  onEvent (event) {
    expect<Equal<typeof event, OfOrder>>()
  }
})
expect<Equal<typeof view.status, StreamStatus>>()
expect<Equal<typeof view.error, StreamError | undefined>>()
view.reconnect()

useEventStream<typeof Clock>('/clock', {
  onEvent (event) {
    if (event.event === 'tick') expect<Equal<typeof event.data, number>>()
  }
})
useEventStream('/clock', { onEvent: ({ data }) => expect<Equal<typeof data, unknown>>() })

// No connection.
useEventStream(null, {})
useEventStream(Math.random() > 0.5 ? Order : null, { params: { id: 7 } })

// @ts-expect-error the stream has a parameter
useEventStream(Order, {})
// @ts-expect-error which is a number
useEventStream(Order, { params: { id: 'seven' } })
// @ts-expect-error and the events are not called so
useEventStream(Order, { params: { id: 7 }, onEvent: ({ event }) => event === 'sent' })

const useTicks = createEventStore((options) => connect<typeof Clock>('/clock', options), 0, (sum, event) => {
  if (event.event !== 'tick') return sum
  expect<Equal<typeof event.data, number>>()
  return sum + event.data
})
const ticks = useTicks()
expect<Equal<typeof ticks.value, number>>()
