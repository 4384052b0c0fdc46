// How to test routes that stream, with Node's own test runner and without a port.
//
//   node --import tsx --test examples/testing.ts
import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Type } from '@sinclair/typebox'
import Fastify, { type FastifyInstance } from 'fastify'
import ssePlugin, { defineEvents, type EventOf, type SSEPluginOptions } from 'fastify-typed-sse'

// What is tested. In your project it is a file of its own, which builds the application and does not listen.

const Countdown = defineEvents({
  count: Type.Integer(),
  liftoff: Type.Null()
})

const Clock = defineEvents({
  tick: Type.Object({ now: Type.String({ format: 'date-time' }) })
})

async function build (options: SSEPluginOptions = {}): Promise<FastifyInstance> {
  const app = Fastify()
  await app.register(ssePlugin, options)

  app.get('/countdown', { schema: { events: Countdown } }, (_request, reply) =>
    reply.sse(function * () {
      for (let n = 3; n > 0; n--) yield { event: 'count', data: n }
      yield { event: 'liftoff', data: null }
    }))

  app.get('/clock', { schema: { events: Clock } }, (_request, reply) =>
    reply.sse(async function * ({ signal, lastEventId = '0' }) {
      for (let n = Number(lastEventId) + 1; ; n++) {
        yield { event: 'tick', data: { now: new Date().toISOString() }, id: n }
        await sleep(10, undefined, { signal })
      }
    }))

  return app
}

// 1. A stream that ends is a response like any other: inject() resolves when it is over.

test('the countdown ends with the lift-off', async (t) => {
  const app = await build()
  t.after(() => app.close())

  const response = await app.inject('/countdown')

  assert.equal(response.statusCode, 200)
  assert.equal(response.headers['content-type'], 'text/event-stream')
  assert.deepEqual(await take<typeof Countdown>([response.body], Infinity), [
    { event: 'count', data: 3 },
    { event: 'count', data: 2 },
    { event: 'count', data: 1 },
    { event: 'liftoff', data: null },
    // The plugin's own: the source had no more events, and the client need not come back.
    { event: 'sse.end', data: null, id: 'sse.end' }
  ])
})

// 2. Of a stream without an end, take the response as a stream, read as many events as you need, and leave. Leaving is
// aborting the signal; so this is also how to test that your source stops when a client leaves.

test('the clock goes on after the tick that was seen last, and stops when the client leaves', async (t) => {
  const ended = new EventEmitter()
  const app = await build({ onDisconnect: (_request, { reason }) => ended.emit('reason', reason) })
  t.after(() => app.close())
  const client = new AbortController()

  const response = await app.inject({
    url: '/clock',
    headers: { 'last-event-id': '41' },
    payloadAsStream: true,
    signal: client.signal
  })
  const ticks = await take<typeof Clock>(response.stream().setEncoding('utf8'), 2)
  assert.deepEqual(ticks.map(({ id }) => id), ['42', '43'])

  const left = once(ended, 'reason')
  client.abort()
  assert.deepEqual(await left, ['client-left'])
  assert.equal(app.sse.stats().open, 0)
})

/**
 * The first events of a response, or all of them when there are fewer.
 *
 * A frame ends with a blank line, and one without data (a comment, `retry`) is no event. This is enough for events whose
 * data is JSON, which is one line; the package eventsource-parser reads all that the standard allows.
 */
async function take<Contract> (chunks: AsyncIterable<string> | Iterable<string>, count: number): Promise<Array<EventOf<Contract>>> {
  const events = []
  let rest = ''
  for await (const chunk of chunks) {
    const frames = (rest + chunk).split('\n\n')
    rest = frames.pop() ?? ''
    for (const frame of frames) {
      const fields = Object.fromEntries(frame.split('\n').map((line) => line.split(/: (.*)/)))
      if (fields.data !== undefined) events.push({ ...fields, data: JSON.parse(fields.data) })
      if (events.length === count) return events
    }
  }
  return events
}
