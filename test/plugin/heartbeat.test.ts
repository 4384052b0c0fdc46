import { mock } from 'node:test'
import t from 'tap'
import type { StreamHandle } from '../../lib/index.js'
import { createApp, listen } from '../support/app.js'
import { connect, type FrameClient } from '../support/client.js'

const BIG = 'x'.repeat(20_000)

t.beforeEach(() => { mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 0 }) })
t.afterEach(() => { mock.timers.reset() })

/** A stream that has been opened, with its handle. */
async function opened (t: Parameters<typeof createApp>[0], heartbeatMs: number): Promise<{ client: FrameClient, stream: StreamHandle<any>, app: Awaited<ReturnType<typeof createApp>>['app'] }> {
  const { app } = await createApp(t, { heartbeatMs })
  let stream!: StreamHandle<any>
  app.get('/', (_request, reply) => {
    stream = reply.sse()
    return stream.closed
  })
  const { origin } = await listen(app)
  const client = await connect(t, origin)
  await client.frame()
  await client.frame()
  return { client, stream, app }
}

t.test('a stream that is silent for the heartbeat time carries an empty comment, again and again', async (t) => {
  const { client } = await opened(t, 1000)
  mock.timers.tick(1000)
  t.equal(await client.frame(), ':\n\n')
  mock.timers.tick(1000)
  t.equal(await client.frame(), ':\n\n')
})

t.test('each frame restarts the wait', async (t) => {
  const { client, stream } = await opened(t, 1000)
  for (let n = 0; n < 5; n++) {
    mock.timers.tick(900)
    stream.send({ data: n })
    t.equal(await client.frame(), `data: ${n}\n\n`)
  }
  mock.timers.tick(1000)
  t.equal(await client.frame(), ':\n\n')
})

t.test('heartbeats can be switched off', async (t) => {
  const { client, stream } = await opened(t, 0)
  mock.timers.tick(1_000_000)
  stream.send({ data: 1 })
  t.equal(await client.frame(), 'data: 1\n\n')
})

t.test('a stream that is blocked gets no heartbeat', async (t) => {
  const { client, stream, app } = await opened(t, 1000)
  client.stall()
  let sent = 0
  let isBlocked = false
  while (!isBlocked) {
    let taken = false
    const sending = stream.send({ data: BIG }).then(() => { taken = true })
    sent++
    for (let turn = 0; turn < 100 && !taken; turn++) await new Promise((resolve) => setImmediate(resolve))
    isBlocked = !taken
    sending.catch(() => {})
  }
  for (let n = 0; n < 20; n++) mock.timers.tick(1000)
  client.response.resume()
  t.strictSame(await client.events(sent), Array(sent).fill(`data: "${BIG}"\n\n`))
  t.notOk(client.text.includes('\n\n:\n\n'))
  t.equal(app.sse.stats().open, 1)
})

t.test('the heartbeats of all streams stand on one timer that does not keep the process alive', async (t) => {
  mock.timers.reset()
  const { app } = await createApp(t)
  app.get('/', (_request, reply) => reply.sse(async function * ({ signal }) {
    yield { data: 1 }
    await new Promise((resolve) => signal.addEventListener('abort', resolve))
  }))
  const { origin } = await listen(app)
  const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
  const before = timers()
  const clients = await Promise.all(Array.from({ length: 20 }, () => connect(t, origin)))
  await Promise.all(clients.map((client) => client.events(1)))
  t.ok(timers() <= before, `${timers()} timers, ${before} before`)
})
