// How to test routes that stream, with Node's own test runner and without a port.
//
//   node --import tsx --test examples/testing.ts
import assert from 'node:assert/strict'
import { test } from 'node:test'
// As a whole, not `{ setTimeout }`: so the test can fake it.
import timers from 'node:timers/promises'
import { Type } from '@sinclair/typebox'
import Fastify, { type FastifyInstance } from 'fastify'
import ssePlugin, { defineEvents } from 'fastify-typed-sse'
import { injectSSE } from 'fastify-typed-sse/testing'

// What is tested. In your project it is a file of its own, which builds the application and does not listen.

const Countdown = defineEvents({ count: Type.Integer(), liftoff: Type.Null() })
const Clock = defineEvents({ tick: Type.Object({ now: Type.String({ format: 'date-time' }) }) })

async function build (): Promise<FastifyInstance> {
  const app = Fastify()
  await app.register(ssePlugin)

  app.get('/countdown', { schema: { events: Countdown } }, (_request, reply) =>
    reply.sse(function * () {
      for (let n = 3; n > 0; n--) yield { event: 'count', data: n }
      yield { event: 'liftoff', data: null }
    }))

  app.get('/clock', { schema: { events: Clock } }, (_request, reply) =>
    reply.sse(async function * ({ signal, lastEventId = '0' }) {
      for (let n = Number(lastEventId) + 1; ; n++) {
        yield { event: 'tick', data: { now: new Date().toISOString() }, id: n }
        await timers.setTimeout(1000, undefined, { signal })
      }
    }))

  return app
}

// 1. Of a stream that ends, take all.

test('the countdown ends with the lift-off', async (t) => {
  const app = await build()
  t.after(() => app.close())

  const stream = await injectSSE<typeof Countdown>(app, { url: '/countdown' })
  assert.deepEqual(await stream.take(Infinity), [
    { event: 'count', data: 3 },
    { event: 'count', data: 2 },
    { event: 'count', data: 1 },
    { event: 'liftoff', data: null }
  ])
  assert.equal(stream.ended, 'source-ended')
})

// 2. Of a stream without an end, read what you need, and leave. The clock is the test's own: nothing here waits a second.

test('the clock goes on after the tick that was seen last, ticks every second, and stops when the client leaves', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'] })
  const app = await build()
  t.after(() => app.close())

  const stream = await injectSSE<typeof Clock>(app, { url: '/clock', lastEventId: '41' })
  assert.deepEqual(await stream.next(), { event: 'tick', data: { now: '1970-01-01T00:00:00.000Z' }, id: '42' })

  const next = stream.next()
  t.mock.timers.tick(1000)
  assert.deepEqual(await next, { event: 'tick', data: { now: '1970-01-01T00:00:01.000Z' }, id: '43' })

  await stream.close()
  assert.equal(app.sse.stats().open, 0)
})
