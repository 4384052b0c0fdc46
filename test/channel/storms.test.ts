// Many clients that come, go, break off and come back while events are published. What each has received is complete, in order and without a
// repeat, and in the end nothing is left.
import http from 'node:http'
import { setImmediate as turn } from 'node:timers/promises'
import { Type } from '@sinclair/typebox'
import t, { type Test } from 'tap'
import type { FastifyInstance } from 'fastify'
import { defineEvents, type Channel, type EventOf } from '../../lib/index.js'
import { createDecoder } from '../../lib/wire/decode.js'
import { createApp, listen, LEVEL } from '../support/app.js'
import { seededRandom } from '../support/random.js'
import { until } from '../support/sources.js'

t.setTimeout(120_000)

const Ticks = defineEvents({ tick: Type.Object({ n: Type.Integer(), fill: Type.String() }) })
type Tick = EventOf<typeof Ticks>

interface Setup {
  app: FastifyInstance
  port: number
  ticks: Channel<Tick>
  /** Warnings and errors in the log. */
  complaints: () => unknown[]
}

async function setUp (t: Test, events: number): Promise<Setup> {
  const { app, logs } = await createApp(t)
  const ticks = app.sse.channel('ticks', Ticks, { backlog: { events } })
  app.get('/ticks', { schema: { events: Ticks } }, (_request, reply) => reply.sse(ticks))
  const { port } = await listen(app)
  return { app, port, ticks, complaints: () => logs.filter(({ level }) => level >= LEVEL.warn) }
}

/** A client that comes back with its last event ID each time that it has been cut off. */
class Follower {
  readonly received: number[] = []
  gaps = 0
  connections = 0
  lastEventId = ''
  /** Breaks the connection off when so many bytes of it have arrived. */
  budget = Infinity
  #request: http.ClientRequest | null = null
  #isOver = false

  constructor (port: number, lastEventId: string, how: 'FIN' | 'RST' | 'destroy') {
    this.lastEventId = lastEventId
    this.#follow(port, how).catch(() => {})
  }

  async #follow (port: number, how: 'FIN' | 'RST' | 'destroy'): Promise<void> {
    while (!this.#isOver) {
      this.connections++
      await new Promise<void>((resolve) => {
        const decoder = createDecoder({
          lastEventId: this.lastEventId,
          onEvent: ({ event, data }) => {
            if (event === 'tick') this.received.push((JSON.parse(data) as { n: number }).n)
            else this.gaps++
          }
        })
        const headers: Record<string, string> = this.lastEventId === '' ? {} : { 'last-event-id': this.lastEventId }
        const request = http.get({ port, host: '127.0.0.1', path: '/ticks', agent: false, headers }, (response) => {
          let left = this.budget
          response.on('data', (chunk: Buffer) => {
            decoder.push(chunk.subarray(0, left))
            this.lastEventId = decoder.lastEventId
            left -= chunk.length
            if (left > 0) return
            left = 0
            if (how === 'RST') response.socket.resetAndDestroy()
            else if (how === 'FIN') response.socket.end()
            else response.destroy()
          })
          response.on('error', () => {})
        })
        request.on('error', () => {})
        this.#request = request
        request.on('close', resolve)
      })
    }
  }

  leave (): void {
    this.#isOver = true
    this.#request?.destroy()
  }
}

async function nothingIsLeft (t: Test, { app, ticks, complaints }: Setup): Promise<void> {
  await until(() => app.sse.stats().open === 0 && ticks.subscribers === 0 && app.sse.stats().sources === 0)
  const { left } = ticks.stats()
  t.equal(Object.values(left).reduce((sum, count) => sum + count, 0), app.sse.stats().opened)
  t.strictSame(complaints(), [])
}

for (const how of ['FIN', 'RST', 'destroy'] as const) {
  t.test(`a client that is cut off at 500 random points (${how}) gets every event once, in order`, async (t) => {
    const setup = await setUp(t, 100_000)
    const { port, ticks } = setup
    const seed = Math.floor(Math.random() * 2 ** 31)
    t.comment(`seed ${seed}`)
    const random = seededRandom(seed)
    const follower = new Follower(port, ticks.lastEventId, how)
    let n = 0
    while (follower.connections <= 500) {
      // Between nothing and some events: in the head, the opening, an event, between two.
      follower.budget = random.below(random.pick([40, 400, 4000]))
      for (let burst = random.below(4); burst > 0; burst--) await ticks.publish({ event: 'tick', data: { n: ++n, fill: 'x'.repeat(random.below(200)) } })
      await turn()
    }
    follower.budget = Infinity
    await until(() => follower.received.length === n)
    t.strictSame(follower.received, Array.from({ length: n }, (_, index) => index + 1), `seed ${seed}`)
    t.equal(follower.gaps, 0)
    follower.leave()
    await nothingIsLeft(t, setup)
  })
}

t.test('a client that is cut off and misses more than is kept is told each gap, and what it gets is in order', async (t) => {
  const setup = await setUp(t, 5)
  const { port, ticks } = setup
  const seed = Math.floor(Math.random() * 2 ** 31)
  t.comment(`seed ${seed}`)
  const random = seededRandom(seed)
  const follower = new Follower(port, ticks.lastEventId, 'RST')
  let n = 0
  while (follower.connections <= 200) {
    follower.budget = random.below(2000)
    for (let burst = random.below(12); burst > 0; burst--) await ticks.publish({ event: 'tick', data: { n: ++n, fill: '' } })
    await turn()
  }
  follower.budget = Infinity
  await until(() => follower.received.at(-1) === n)
  const { received } = follower
  t.strictSame(received, [...new Set(received)].sort((a, b) => a - b), `seed ${seed}`)
  const holes = received.filter((value, index) => index > 0 && value !== received[index - 1]! + 1).length
  t.ok(holes > 0)
  t.ok(follower.gaps >= holes, `${holes} holes, ${follower.gaps} gaps`)
  follower.leave()
  await nothingIsLeft(t, setup)
})

t.test('a storm of publishing against a storm of clients that come and go leaves all counts at zero', async (t) => {
  const setup = await setUp(t, 50)
  const { app, port, ticks } = setup
  const seed = Math.floor(Math.random() * 2 ** 31)
  t.comment(`seed ${seed}`)
  const random = seededRandom(seed)
  const open = new Set<Follower>()
  let n = 0
  for (let round = 0; round < 600; round++) {
    for (let burst = random.below(5); burst > 0; burst--) ticks.publish({ event: 'tick', data: { n: ++n, fill: 'y'.repeat(random.below(3000)) } })
    if (open.size < 60) {
      const follower = new Follower(port, '', random.pick(['FIN', 'RST', 'destroy']))
      follower.budget = random.pick([1, 300, 5000, Infinity])
      open.add(follower)
    }
    for (const follower of open) {
      if (random.below(20) > 0) continue
      follower.leave()
      open.delete(follower)
    }
    await turn()
  }
  t.ok(app.sse.stats().opened > 100)
  for (const follower of open) follower.leave()
  await nothingIsLeft(t, setup)
  for (const { received } of open) t.strictSame(received, [...received].sort((a, b) => a - b), `seed ${seed}`)
})

t.test('the memory of a burst is given back when it has grown old', async (t) => {
  const { app } = await createApp(t)
  const ticks = app.sse.channel('ticks', Ticks, { backlog: { ageMs: 2000 } })
  for (let n = 0; n < 1000; n++) ticks.publish({ event: 'tick', data: { n, fill: 'z'.repeat(4000) } })
  t.equal(ticks.stats().events, 1000)
  t.ok(ticks.stats().bytes > 4_000_000)
  await until(() => ticks.stats().events === 0)
  t.strictSame([ticks.stats().bytes, ticks.stats().channels], [0, 1])
})
