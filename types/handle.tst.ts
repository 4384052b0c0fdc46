import type { StreamHandle, UntypedEvent } from '../lib/stream/types.js'
import { Orders, app, created, expect, type Equal, type Order } from './support.tst.js'

app.get('/', { schema: { events: Orders } }, async (_request, reply) => {
  const stream = reply.sse()
  expect<Equal<Parameters<typeof stream.send>, [event: Order]>>()
  expect<Equal<ReturnType<typeof stream.send>, Promise<boolean>>>()
  expect<Equal<typeof stream.signal, AbortSignal>>()
  expect<Equal<typeof stream.closed, Promise<void>>>()
  const sent: boolean = await stream.send({ event: 'created', data: { id: 1, kind: 'shop', lines: [] }, id: 0, retry: 10 })
  if (sent) await stream.send(Orders.make.closing())
  stream.comment()
  stream.comment('a comment')
  stream.close()

  // @ts-expect-error the event type is not declared
  await stream.send({ event: 'moved', data: null })
  // @ts-expect-error the wrong data
  await stream.send({ event: 'removed', data: { id: '1' } })
  // @ts-expect-error the data of another event
  await stream.send({ event: 'count', data: { id: 1 } })
  // @ts-expect-error a property is missing
  await stream.send({ event: 'removed', data: {} })
  // @ts-expect-error an event carries data
  await stream.send({ event: 'closing' })
  // @ts-expect-error a property is not declared
  await stream.send({ event: 'removed', data: { id: 1, reason: 'x' } })
  // @ts-expect-error a property inside is not declared
  await stream.send({ event: 'created', data: { ...created, lines: [{ sku: 'a', count: 1, price: 2 }] } })
  // @ts-expect-error the field is not one of an event
  await stream.send({ event: 'count', data: 1, comment: 'x' })
  // @ts-expect-error an ID is a string or a number
  await stream.send({ event: 'count', data: 1, id: true })
  // @ts-expect-error a comment is text
  stream.comment(1)
  // @ts-expect-error the signal is given
  stream.signal = new AbortController().signal
  return stream.closed
})

app.get('/untyped', (_request, reply) => {
  const stream = reply.sse()
  expect<Equal<typeof stream, StreamHandle<UntypedEvent>>>()
  stream.send({ data: { any: 1 } })
  stream.send({ event: 'x', data: 1, id: '' })
  // @ts-expect-error an event carries data
  stream.send({ event: 'x' })
  // @ts-expect-error the field is not one of an event
  stream.send({ evnet: 'x', data: 1 })
  return stream.closed
})

// A producer that knows what it sends takes the handle of a route that may send it.

declare function produce (stream: StreamHandle<Order>): void
app.get('/handed', { schema: { events: Orders } }, (_request, reply) => {
  const stream = reply.sse()
  produce(stream)
  return stream.closed
})
