// TanStack Query reads a stream as it is: `streamedQuery` takes any async iterable.
import { QueryClient, QueryObserver, experimental_streamedQuery as streamedQuery } from '@tanstack/query-core'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { connect, StreamError } from '../../lib/client.js'
import { defineStream } from '../../lib/events.js'
import { createApp, listen } from '../support/app.js'
import { deferred, forever, until } from '../support/sources.js'

const Steps = defineStream({
  path: '/jobs/:id/steps',
  params: Type.Object({ id: Type.Integer() }),
  events: { step: Type.Object({ percent: Type.Integer() }) }
})

const step = (percent: number): { event: 'step', data: { percent: number } } => ({ event: 'step', data: { percent } })

/** A server with a job that makes two steps, the second when it is asked to; after them the stream ends, or stays open. And a query client, whose data is gone with the test. */
async function setUp (t: Test, { ends = true, isAsked }: { ends?: boolean, isAsked?: Promise<void> } = {}): Promise<{ app: FastifyInstance, queryClient: QueryClient, baseUrl: string }> {
  const { app } = await createApp(t)
  app.get(Steps.path, { schema: Steps.schema }, (_request, reply) => reply.sse(async function * ({ signal }) {
    yield step(50)
    await isAsked
    yield step(100)
    if (!ends) await forever(signal)
  }))
  const queryClient = new QueryClient({ defaultOptions: { queries: { retry: false } } })
  t.teardown(() => queryClient.clear())
  return { app, queryClient, baseUrl: (await listen(app)).origin }
}

/** An observed query whose stream has made its two steps, and is open. */
async function observed (queryClient: QueryClient, baseUrl: string) {
  const observer = new QueryObserver(queryClient, {
    queryKey: ['steps'],
    queryFn: streamedQuery({ streamFn: ({ signal }) => connect(Steps, { baseUrl, params: { id: 7 }, signal }) })
  })
  const stop = observer.subscribe(() => {})
  await until(() => observer.getCurrentResult().data?.length === 2)
  return { observer, stop }
}

t.test('the data of a query are the events of a stream, as they come', async (t) => {
  const { promise: isAsked, resolve: goOn } = deferred()
  const { app, queryClient, baseUrl } = await setUp(t, { isAsked })
  const observer = new QueryObserver(queryClient, {
    queryKey: ['steps', 7],
    queryFn: streamedQuery({ streamFn: ({ signal }) => connect(Steps, { baseUrl, params: { id: 7 }, signal }) })
  })
  const stop = observer.subscribe(() => {})
  await until(() => observer.getCurrentResult().data?.length === 1)
  // While the stream is open the query has data, and is being fetched.
  t.match(observer.getCurrentResult(), { status: 'success', fetchStatus: 'fetching', data: [step(50)] })
  t.equal(app.sse.stats().open, 1)
  goOn()
  await until(() => observer.getCurrentResult().fetchStatus === 'idle')
  stop()
  t.match(observer.getCurrentResult(), { status: 'success', data: [step(50), step(100)] })
  await until(() => app.sse.stats().open === 0)
  t.equal(app.sse.stats().opened, 1)
})

t.test('a reducer makes what is shown of the events, which are typed', async (t) => {
  const { queryClient, baseUrl } = await setUp(t)
  const percent = await queryClient.fetchQuery({
    queryKey: ['percent'],
    queryFn: streamedQuery({
      streamFn: ({ signal }) => connect(Steps, { baseUrl, params: { id: 7 }, signal }),
      reducer: (percent: number, event) => event.event === 'step' ? event.data.percent : percent,
      initialValue: 0
    })
  })
  t.equal(percent, 100)
})

t.test('cancelling the query closes the stream, and what has come stays', async (t) => {
  const { app, queryClient, baseUrl } = await setUp(t, { ends: false })
  const { observer, stop } = await observed(queryClient, baseUrl)
  t.equal(app.sse.stats().open, 1)
  await queryClient.cancelQueries({ queryKey: ['steps'] })
  await until(() => app.sse.stats().open === 0)
  t.match(observer.getCurrentResult(), { fetchStatus: 'idle', data: [step(50), step(100)] })
  stop()
})

t.test('a query that nobody observes any more closes its stream', async (t) => {
  const { app, queryClient, baseUrl } = await setUp(t, { ends: false })
  const { stop } = await observed(queryClient, baseUrl)
  stop()
  await until(() => app.sse.stats().open === 0)
  t.match(app.sse.stats(), { opened: 1, closed: { 'client-left': 1 } })
})

type Events = ReadonlyArray<{ data: unknown }>
const numbersOf = (events: Events = []): number[] => events.map(({ data }) => (data as { percent: number }).percent / 50)

// What is shown when each of the two events of the second request comes, and at the end.
for (const [refetchMode, shown, after] of [
  ['reset', [[], [1]], [1, 2]],
  ['append', [[1, 2], [1, 2, 1]], [1, 2, 1, 2]],
  ['replace', [[1, 2], [1, 2]], [1, 2]]
] as const) {
  t.test(`refetching with '${refetchMode}' connects anew`, async (t) => {
    const { app, queryClient, baseUrl } = await setUp(t)
    const seen: number[][] = []
    const observer = new QueryObserver(queryClient, {
      queryKey: ['steps'],
      queryFn: streamedQuery({
        refetchMode,
        streamFn: ({ signal }) => connect(Steps, { baseUrl, params: { id: 7 }, signal }),
        initialValue: [] as Events,
        reducer (events, event) {
          seen.push(numbersOf(queryClient.getQueryData(['steps'])))
          return [...events, event]
        }
      })
    })
    t.teardown(observer.subscribe(() => {}))
    await until(() => observer.getCurrentResult().fetchStatus === 'idle')
    t.strictSame(numbersOf(observer.getCurrentResult().data), [1, 2])
    await observer.refetch()
    t.strictSame(seen.slice(2), shown)
    t.strictSame(numbersOf(observer.getCurrentResult().data), after)
    t.equal(app.sse.stats().opened, 2)
  })
}

t.test('what ends the stream is the error of the query, with its kind', async (t) => {
  const { queryClient, baseUrl } = await setUp(t)
  const failing = queryClient.fetchQuery({
    queryKey: ['missing'],
    queryFn: streamedQuery({ streamFn: ({ signal }) => connect(`${baseUrl}/missing`, { signal }) })
  })
  await t.rejects(failing, { name: 'StreamError', kind: 'status', status: 404 })
  t.ok(queryClient.getQueryState(['missing'])?.error instanceof StreamError)
})
