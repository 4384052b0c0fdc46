// The two streams, for the server and for the page.
import { Type } from '@sinclair/typebox'
import { defineStream } from 'fastify-typed-sse/events'

export const Prices = defineStream({
  path: '/prices/:symbol',
  params: Type.Object({ symbol: Type.String() }),
  events: {
    price: Type.Object({ symbol: Type.String(), price: Type.Number() })
  }
})

export const Visitors = defineStream({
  path: '/visitors',
  events: {
    count: Type.Integer()
  }
})
