import { getEventListeners } from 'node:events'
import { Type } from '@sinclair/typebox'
import t, { type Test } from 'tap'
import { defineEvents, text, type Channel, type ChannelOptions, type EventOf, type SubscribedEvent } from '../../lib/index.js'
import { createApp, LEVEL, listen } from '../support/app.js'
import { connect } from '../support/client.js'
import { deferred, until } from '../support/sources.js'

const OPENING = ': sse-heartbeat: 15000\n\nretry: 3000\n\n'
const END = 'event: sse.end\ndata: null\nid: sse.end\n\n'

const Jobs = defineEvents({ step: Type.Object({ n: Type.Integer() }), log: text() })
type Job = EventOf<typeof Jobs>

async function probe (t: Test, options: ChannelOptions<Job> = {}) {
  const { app, logs } = await createApp(t)
  const jobs = app.sse.channel('jobs', Jobs, options)
  const epoch = jobs.lastEventId.slice(0, -2)
  const publish = (...numbers: number[]): void => { for (const n of numbers) jobs.publish({ event: 'step', data: { n } }) }
  const event = (n: number, offset = n): SubscribedEvent<Job> => ({ event: 'step', data: { n }, id: `${epoch}.${offset}` })
  return { app, logs, jobs, epoch, publish, event }
}

/** The next events of an iteration. */
async function take<E> (iterator: AsyncIterator<E>, count: number): Promise<E[]> {
  const taken: E[] = []
  while (taken.length < count) {
    const result = await iterator.next()
    if (result.done === true) break
    taken.push(result.value)
  }
  return taken
}

function begin (jobs: Channel<Job>, options: Parameters<Channel<Job>['subscribe']>[0] = {}): AsyncIterator<SubscribedEvent<Job>, undefined> {
  return jobs.subscribe(options)[Symbol.asyncIterator]()
}

t.test('an iteration gives the events that a client would read, each with its ID', async (t) => {
  const { jobs, epoch } = await probe(t)
  const iterator = begin(jobs)
  jobs.publish({ event: 'step', data: { n: 1, secret: 2 } as { n: number }, retry: 5 })
  jobs.publish({ event: 'log', data: 'a\r\nb' })
  t.strictSame(await take(iterator, 2), [
    { event: 'step', data: { n: 1 }, id: `${epoch}.1`, retry: 5 },
    { event: 'log', data: 'a\nb', id: `${epoch}.2` }
  ])
  await iterator.return?.()
})

t.test('from subscribe on nothing is lost, whenever the first event is asked for', async (t) => {
  const { jobs, publish, event } = await probe(t)
  publish(1)
  const subscription = jobs.subscribe()
  t.equal(jobs.subscribers, 0, 'a subscription does nothing until it is read')
  publish(2)
  await new Promise(setImmediate)
  publish(3)
  const iterator = subscription[Symbol.asyncIterator]()
  publish(4)
  const first = iterator.next()
  publish(5)
  t.strictSame([(await first).value, ...await take(iterator, 3)], [2, 3, 4, 5].map((n) => event(n)))
  t.equal(jobs.subscribers, 1)
  await iterator.return?.()
  t.equal(jobs.subscribers, 0)
})

t.test('a channel itself can be iterated', async (t) => {
  const { jobs, publish, event } = await probe(t)
  publish(1)
  const received: unknown[] = []
  setImmediate(() => publish(2, 3))
  for await (const each of jobs) {
    received.push(each)
    if (received.length === 2) break
  }
  t.strictSame(received, [event(2), event(3)])
  t.equal(jobs.subscribers, 0)
  t.strictSame(jobs.stats().left, { 'source-ended': 1 })
})

t.test('from says where an iteration begins', async (t) => {
  const { jobs, epoch, publish, event } = await probe(t, { backlog: { events: 3 } })
  publish(1, 2, 3, 4, 5)
  t.strictSame(await take(begin(jobs, { from: 'earliest' }), 3), [3, 4, 5].map((n) => event(n)))
  t.strictSame(await take(begin(jobs, { from: `${epoch}.4` }), 1), [event(5)])
  const gap = (reason: string, requested: string, resumedAt: string) => ({ event: 'sse.gap', data: { reason, requested, resumedAt }, id: resumedAt })
  t.strictSame(await take(begin(jobs, { from: `${epoch}.1` }), 2), [gap('evicted', `${epoch}.1`, `${epoch}.2`), event(3)])
  t.strictSame(await take(begin(jobs, { from: 'x' }), 2), [gap('malformed', 'x', `${epoch}.2`), event(3)])
  t.strictSame(await take(begin(jobs, { from: `${epoch}.9` }), 1), [gap('future', `${epoch}.9`, `${epoch}.5`)])
  t.strictSame(jobs.stats().gaps, { evicted: 1, malformed: 1, future: 1 })
})

t.test('a filter and latestBy work as for a stream', async (t) => {
  const { jobs, publish, event } = await probe(t)
  publish(1, 2, 3, 4, 5, 6)
  const isEven = ({ data }: Job): boolean => typeof data === 'object' && data.n % 2 === 0
  t.strictSame(await take(begin(jobs, { from: 'earliest', filter: isEven }), 3), [2, 4, 6].map((n) => event(n)))
  const byRest = ({ data }: Job): unknown => typeof data === 'object' && data.n % 3
  t.strictSame(await take(begin(jobs, { from: 'earliest', latestBy: byRest }), 3), [4, 5, 6].map((n) => event(n)))
  const failing = begin(jobs, { from: 'earliest', filter: () => { throw new Error('my filter') } })
  await t.rejects(failing.next(), { message: 'my filter' })
  t.strictSame(await failing.next(), { done: true, value: undefined })
  await t.rejects(begin(jobs, { from: 'earliest', filter: (async () => true) as unknown as () => boolean }).next(), { code: 'FST_SSE_OPTION_INVALID' })
})

t.test('an iteration that is too slow throws, or is told, as overrun says', async (t) => {
  for (const overrun of ['disconnect', 'skip', 'latest'] as const) {
    const { jobs, epoch, publish, event } = await probe(t, { backlog: { events: 2 } })
    const iterator = begin(jobs, { overrun })
    publish(1)
    t.strictSame(await take(iterator, 1), [event(1)])
    for (const n of [2, 3, 4, 5, 6]) {
      publish(n)
      await new Promise(setImmediate)
    }
    if (overrun === 'disconnect') {
      await t.rejects(iterator.next(), { code: 'FST_SSE_SUBSCRIBER_OVERRUN', channel: 'jobs' })
      t.strictSame(await iterator.next(), { done: true, value: undefined }, 'and it is over then')
      t.strictSame(jobs.stats().left, { 'slow-subscriber': 1 })
    } else {
      const at = `${epoch}.${overrun === 'skip' ? 4 : 5}`
      const expected = [{ event: 'sse.gap', data: { reason: 'overrun', requested: `${epoch}.1`, resumedAt: at }, id: at }, event(5), event(6)]
      t.strictSame(await take(iterator, overrun === 'skip' ? 3 : 2), overrun === 'skip' ? expected : [expected[0], expected[2]])
    }
    t.strictSame(jobs.stats().overruns, { [overrun]: 1 })
  }
})

t.test('onGap and snapshot send their events first', async (t) => {
  const { jobs, epoch, publish, event } = await probe(t)
  publish(1, 2, 3)
  const snapshot = async function * (): AsyncGenerator<Job> {
    yield { event: 'step', data: { n: 0 } }
    publish(4)
  }
  t.strictSame(await take(begin(jobs, { snapshot }), 2), [{ event: 'step', data: { n: 0 } }, event(4)])
  const [gap, ...rest] = await take(begin(jobs, { from: 'other.1', onGap: () => [{ event: 'step', data: { n: 9 } }] }), 2)
  t.strictSame([gap!.event, gap!.data], ['sse.gap', { reason: 'epoch', requested: 'other.1', resumedAt: `${epoch}.4` }])
  t.strictSame(rest, [{ event: 'step', data: { n: 9 } }])
  await t.rejects(begin(jobs, { snapshot: () => { throw new Error('mine') } }).next(), { message: 'mine' })
  await t.rejects(begin(jobs, { snapshot: () => 5 as unknown as [] }).next(), { code: 'FST_SSE_SOURCE_INVALID' })
})

t.test('a snapshot is returned when the iteration is', async (t) => {
  const { jobs } = await probe(t)
  let returned = 0
  const iterator = begin(jobs, {
    snapshot: function * (): Generator<Job> {
      try {
        while (true) yield { event: 'step', data: { n: 0 } }
      } finally {
        returned++
      }
    }
  })
  await take(iterator, 3)
  await iterator.return?.()
  t.equal(returned, 1)
  t.equal(jobs.subscribers, 0)
})

t.test('a signal ends an iteration, also one that waits, and leaves no listener', async (t) => {
  const { jobs, publish, event } = await probe(t)
  const controller = new AbortController()
  const { signal } = controller
  const iterator = begin(jobs, { signal })
  const first = iterator.next()
  t.equal(getEventListeners(signal, 'abort').length, 1)
  publish(1)
  t.strictSame((await first).value, event(1))
  const waiting = iterator.next()
  controller.abort()
  t.strictSame(await waiting, { done: true, value: undefined })
  t.strictSame(await iterator.next(), { done: true, value: undefined })
  t.equal(getEventListeners(signal, 'abort').length, 0)
  t.strictSame(await begin(jobs, { signal }).next(), { done: true, value: undefined }, 'one that has aborted before')
  t.equal(jobs.subscribers, 0)
  t.strictSame(jobs.stats().left, { 'client-left': 1 })
})

t.test('return ends an iteration that waits, or has not begun', async (t) => {
  const { jobs, publish } = await probe(t)
  const iterator = begin(jobs)
  const waiting = iterator.next()
  await new Promise(setImmediate)
  t.strictSame(await iterator.return?.(), { done: true, value: undefined })
  t.strictSame(await waiting, { done: true, value: undefined })
  publish(1)
  t.strictSame(await iterator.next(), { done: true, value: undefined })
  const unbegun = begin(jobs)
  await unbegun.return?.()
  t.strictSame(await unbegun.next(), { done: true, value: undefined })
  t.equal(jobs.subscribers, 0)
  t.strictSame(jobs.stats().left, { 'source-ended': 1 })
})

t.test('the end of the channel, and of the application, ends an iteration after everything was given', async (t) => {
  for (const end of ['channel', 'app'] as const) {
    const { app, jobs, publish, event } = await probe(t)
    const iterator = begin(jobs)
    const received: unknown[] = []
    const done = (async () => {
      for (let result = await iterator.next(); result.done !== true; result = await iterator.next()) received.push(result.value)
    })()
    await until(() => jobs.subscribers === 1)
    publish(1, 2)
    await (end === 'app' ? app.close() : jobs.close())
    await done
    t.strictSame(received, [event(1), event(2)])
    t.equal(jobs.subscribers, 0)
    t.strictSame(await take(begin(jobs, { from: 'earliest' }), 9), [event(1), event(2)], 'one that comes later is given the backlog')
  }
})

t.test('an event that comes while next is being answered is given, whoever else begins to read then', async (t) => {
  const { jobs, publish, event } = await probe(t)
  const iterator = begin(jobs)
  const other = begin(jobs)
  // Nothing is there; before that has been answered, there is something, and it is written out at once for another reader.
  const first = iterator.next()
  publish(1)
  const second = other.next()
  t.strictSame((await second).value, event(1))
  let turns = 0
  const result = await Promise.race([first, until(() => ++turns === 20)])
  t.strictSame(result, { done: false, value: event(1) })
  await iterator.return?.()
  await other.return?.()
})

t.test('next may be called again before it was answered: answers come in order', async (t) => {
  const { jobs, publish, event } = await probe(t)
  const iterator = begin(jobs)
  const answers: unknown[] = []
  const nexts = [1, 2, 3].map((n) => iterator.next().then(({ value }) => { answers.push([n, value]) }))
  await new Promise(setImmediate)
  publish(1)
  await new Promise(setImmediate)
  publish(2, 3)
  let turns = 0
  await Promise.race([Promise.all(nexts), until(() => ++turns === 20)])
  t.strictSame(answers, [[1, event(1)], [2, event(2)], [3, event(3)]])
  await iterator.return?.()
})

t.test('several next that wait all end when the iteration does', async (t) => {
  const { jobs } = await probe(t)
  const iterator = begin(jobs)
  let ended = 0
  const nexts = [1, 2, 3].map(() => iterator.next().then(({ done }) => { if (done === true) ended++ }))
  await new Promise(setImmediate)
  await iterator.return?.()
  let turns = 0
  await Promise.race([Promise.all(nexts), until(() => ++turns === 20)])
  t.equal(ended, 3)
})

t.test('two readers of one subscription get their own copies of each event', async (t) => {
  const { jobs, publish, event } = await probe(t)
  const subscription = jobs.subscribe()
  const [one, two] = [subscription[Symbol.asyncIterator](), subscription[Symbol.asyncIterator]()]
  publish(1)
  const first = (await one.next()).value as { data: { n: number } }
  first.data.n = 99
  t.strictSame((await two.next()).value, event(1))
  await one.return?.()
  await two.return?.()
})

t.test('a generator source may read a subscription, whose signal stops it', async (t) => {
  const { app, logs, jobs, epoch, publish } = await probe(t, { backlog: { events: 3 } })
  app.get('/', (_request, reply) => reply.sse(async function * ({ signal }) {
    yield { event: 'hello', data: null }
    yield * jobs.subscribe({ signal })
  }))
  app.get('/map', (_request, reply) => reply.sse(async function * ({ signal, lastEventId = 'now' }) {
    for await (const { event, data, id } of jobs.subscribe({ signal, from: lastEventId })) yield { event: event === 'sse.gap' ? 'gap' : event, data, id: id! }
  }))
  app.get('/resume', (_request, reply) => reply.sse(async function * ({ signal, lastEventId = 'now' }) {
    yield * jobs.subscribe({ signal, from: lastEventId })
  }))
  const { origin } = await listen(app)
  const client = await connect(t, origin)
  await client.events(1)
  publish(1)
  await until(() => jobs.subscribers === 1)
  publish(2)
  await client.events(2)
  const step = (n: number): string => `event: step\ndata: {"n":${n}}\nid: ${epoch}.${n}\n\n`
  t.equal(client.text, OPENING + 'event: hello\ndata: null\n\n' + step(1) + step(2))
  const mapped = await connect(t, `${origin}/map`, { headers: { 'last-event-id': `${epoch}.1` } })
  await mapped.events(1)
  t.equal(mapped.text, OPENING + step(2))
  publish(3, 4, 5)
  await until(() => client.text.endsWith(step(5)) && mapped.text.endsWith(step(5)))
  const gapped = await connect(t, `${origin}/resume`, { headers: { 'last-event-id': `${epoch}.1` } })
  await gapped.events(4)
  t.equal(gapped.text, OPENING + `event: sse.gap\ndata: {"reason":"evicted","requested":"${epoch}.1","resumedAt":"${epoch}.2"}\nid: ${epoch}.2\n\n` +
    step(3) + step(4) + step(5))
  client.rst()
  mapped.fin()
  await until(() => jobs.subscribers === 1)
  await jobs.close()
  t.equal(await gapped.rest(), END)
  await until(() => app.sse.stats().open === 0 && app.sse.stats().sources === 0)
  t.equal(jobs.subscribers, 0)
  t.strictSame(logs.filter(({ level }) => level >= LEVEL.warn), [])
})

t.test('a client that breaks off amid the snapshot of a subscription that a generator reads has it before it again', async (t) => {
  const { app, jobs, epoch, publish } = await probe(t, { backlog: { events: 2 } })
  const middle = deferred()
  publish(1, 2, 3, 4)
  app.get('/', (_request, reply) => reply.sse(async function * ({ signal, lastEventId = 'now' }) {
    yield * jobs.subscribe({
      signal,
      from: lastEventId,
      snapshot: async function * () {
        yield { event: 'step', data: { n: 100 } } as Job
        await middle.promise
        yield { event: 'step', data: { n: 101 } } as Job
      }
    })
  }))
  const { origin } = await listen(app)
  const client = await connect(t, origin, { headers: { 'last-event-id': `${epoch}.1` } })
  await client.events(2)
  client.rst()
  await until(() => app.sse.stats().open === 0)
  middle.resolve()
  // An EventSource comes back with the last ID that it was told, or else with the one that it had.
  const id = /^id: (.*)$/m.exec(client.text)?.[1] ?? `${epoch}.1`
  const back = await connect(t, origin, { headers: { 'last-event-id': id } })
  await until(() => jobs.subscribers === 1)
  publish(5)
  await until(() => back.text.includes('"n":5}'))
  t.strictSame([...back.text.matchAll(/"n":(\d+)/g)].map(([, n]) => Number(n)), [100, 101, 5])
})

t.test('a gap event that was not made by a channel is refused as any reserved one', async (t) => {
  const { app } = await probe(t)
  app.get('/', (_request, reply) => reply.sse([{ event: 'sse.gap', data: { reason: 'evicted', requested: '', resumedAt: '' }, id: 'x' }]))
  t.equal((await app.inject('/')).json().code, 'FST_SSE_EVENT_TYPE_RESERVED')
})

t.test('a reader that waits for something else meanwhile loses nothing that the backlog holds', async (t) => {
  const { jobs, publish, event } = await probe(t)
  const gate = deferred()
  const received: unknown[] = []
  const subscription = jobs.subscribe()
  const done = (async () => {
    for await (const each of subscription) {
      received.push(each)
      await gate.promise
      if (received.length === 500) break
    }
  })()
  for (let n = 1; n <= 500; n++) {
    publish(n)
    if (n % 50 === 0) await new Promise(setImmediate)
  }
  gate.resolve()
  await done
  t.strictSame(received, Array.from({ length: 500 }, (_, index) => event(index + 1)))
  t.equal(jobs.subscribers, 0)
})
