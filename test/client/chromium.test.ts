import type { Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import cors from '@fastify/cors'
import { Type } from '@sinclair/typebox'
import { buildSync } from 'esbuild'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Browser, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { defineEvents, type StreamContext } from '../../lib/index.js'
import type { ConnectOptions } from '../../lib/client.js'
import { createApp, listen } from '../support/app.js'
import { launchChromium } from '../support/browser.js'
import { forever, until } from '../support/sources.js'

const Orders = defineEvents({ created: Type.Object({ n: Type.Integer() }) })

/** The client as a browser loads it, in a global. */
const bundle = buildSync({
  entryPoints: [fileURLToPath(new URL('../../lib/client.ts', import.meta.url))],
  bundle: true,
  format: 'iife',
  globalName: 'client',
  target: 'es2022',
  write: false
}).outputFiles[0]!.text

/** What the page has besides. As text: what compiles the tests would put its own helpers into it. */
const PAGE = `
  function connectTo (url, options) {
    told = []
    stream = client.connect(url, { ...options, onStatus: (status, { reason }) => told.push(reason === undefined ? status : status + ': ' + reason) })
    stream.on('sse.unknown', (data, { event, id }) => told.push(event + ': ' + JSON.stringify(data) + (id === undefined ? '' : ' (' + id + ')')))
  }
  async function take (url, count) {
    stream = client.connect(url)
    const events = []
    for await (const event of stream) if (events.push(event) === count) break
    return events
  }
  var told, stream
`

/** A stream in a page, and what it has told. */
class PageStream {
  readonly page: Page

  constructor (page: Page) {
    this.page = page
  }

  /** What was told so far: statuses with their reason, and events. */
  history (): Promise<string[]> {
    return this.page.evaluate('told')
  }

  /** Resolves when this was told so many times. */
  async told (line: string, count = 1): Promise<void> {
    await this.page.waitForFunction(`told.filter((each) => each === ${JSON.stringify(line)}).length >= ${count}`, undefined, { polling: 10 })
  }

  evaluate<T> (expression: string): Promise<T> {
    return this.page.evaluate(expression)
  }
}

let browser: Browser | null = null

/** A page of this origin that has the client. */
async function openPage (t: Test, origin: string): Promise<Page> {
  const context = await browser!.newContext()
  t.teardown(() => context.close())
  const page = await context.newPage()
  await page.goto(`${origin}/page`)
  await page.addScriptTag({ content: bundle + PAGE })
  return page
}

/** Connects in a page, to a URL as the page sees it. */
async function connectIn (page: Page, url: string, options: Pick<ConnectOptions, 'credentials' | 'reconnectionTimeMs' | 'initialLastEventId' | 'body'> = {}): Promise<PageStream> {
  await page.evaluate(`connectTo(${JSON.stringify(url)}, ${JSON.stringify(options)})`)
  return new PageStream(page)
}

/** An application that serves an empty page, and a stream at `/stream` which `source` makes. `cut` breaks off the connections of streams. */
async function serve (
  t: Test, source: (context: StreamContext, request: FastifyRequest) => AsyncIterable<any>, before?: (app: FastifyInstance) => Promise<unknown>
): Promise<{ app: FastifyInstance, origin: string, cut: () => void }> {
  const sockets = new Set<Socket>()
  const { app } = await createApp(t, { reconnectionTimeMs: 100, heartbeatMs: 1_000 })
  await before?.(app)
  app.get('/page', (_request, reply) => reply.type('text/html').send('<!doctype html>'))
  app.route({ method: ['GET', 'POST'], url: '/stream', schema: { events: Orders }, handler: (request, reply) => reply.sse((context) => source(context, request)) })
  app.addHook('preHandler', async (request) => { if (request.url === '/stream') sockets.add(request.raw.socket) })
  const { origin } = await listen(app)
  return {
    app,
    origin,
    cut () {
      for (const socket of sockets) socket.resetAndDestroy()
      sockets.clear()
    }
  }
}

/** Three events from the last event ID on. */
async function * three ({ lastEventId, signal }: StreamContext): AsyncGenerator<unknown> {
  const first = Number(/\d+$/.exec(lastEventId ?? '')?.[0] ?? 0) + 1
  for (let n = first; n < first + 3; n++) yield { event: 'created', data: { n }, id: `größe 😀 ${n}` }
  yield * wait(signal)
}

/** Cuts the connection once the page has been given what was sent: before, Chromium itself would send the request again. */
async function cutAfter (page: Page, cut: () => void, ...lastEventIds: string[]): Promise<void> {
  for (const id of lastEventIds) {
    await page.waitForFunction(`stream?.lastEventId === ${JSON.stringify(id)}`, undefined, { polling: 10 })
    cut()
  }
}

async function * wait (signal: AbortSignal): AsyncGenerator<never> {
  await forever(signal)
}

t.test('in Chromium', async (t) => {
  browser = await launchChromium(t)
  if (!browser) return

  await t.test('an iteration gives events, over cuts of the connection, each once, with IDs outside ASCII', async (t) => {
    const lastEventIds: unknown[] = []
    const { app, origin, cut } = await serve(t, (context) => {
      lastEventIds.push(context.lastEventId)
      return three(context)
    })
    const page = await openPage(t, origin)
    const taken = page.evaluate('take("/stream", 9)')
    await cutAfter(page, cut, 'größe 😀 3', 'größe 😀 6')
    t.strictSame(await taken, Array.from({ length: 9 }, (_, index) => ({ event: 'created', data: { n: index + 1 }, id: `größe 😀 ${index + 1}` })))
    t.strictSame(await page.evaluate('[stream.status, stream.lastEventId]'), ['closed', 'größe 😀 9'])
    t.strictSame(lastEventIds.map((id) => id ?? ''), ['', 'größe 😀 3', 'größe 😀 6'])
    await until(() => app.sse.stats().open === 0)
  })

  await t.test('the states are those that were gone through', async (t) => {
    const { origin, cut } = await serve(t, async function * ({ lastEventId, signal }) {
      yield { event: 'created', data: { n: 1 }, id: '1' }
      if (!lastEventId) yield * wait(signal)
    })
    const stream = await connectIn(await openPage(t, origin), '/stream')
    await stream.told('created: {"n":1} (1)')
    t.equal(await stream.evaluate('stream.status'), 'live')
    cut()
    t.match(await stream.evaluate('stream.closed'), { status: 'closed', reason: 'done' })
    t.strictSame(await stream.history(), [
      'connecting', 'live', 'created: {"n":1} (1)', 'reconnecting: network', 'live', 'created: {"n":1} (1)', 'closed: done'
    ])
  })

  await t.test('from another origin it resumes too, and with cookies', async (t) => {
    const cookies: unknown[] = []
    const { origin, app, cut } = await serve(t, (context, request) => {
      cookies.push(request.headers.cookie)
      return three(context)
    }, async (app) => {
      await app.register(cors, { origin: true, credentials: true, allowedHeaders: ['last-event-id'] })
      app.get('/login', (_request, reply) => reply.header('set-cookie', 'who=me; path=/').type('text/html').send('<!doctype html>'))
    })
    const other = await serve(t, three)
    const page = await openPage(t, other.origin)
    const login = await page.context().newPage()
    await login.goto(`${origin}/login`)
    const stream = await connectIn(page, `${origin}/stream`, { credentials: 'include' })
    await cutAfter(page, cut, 'größe 😀 3', 'größe 😀 6')
    await stream.told('created: {"n":9} (größe 😀 9)')
    t.strictSame((await stream.history()).filter((line) => line.startsWith('created')), Array.from({ length: 9 }, (_, index) => `created: {"n":${index + 1}} (größe 😀 ${index + 1})`))
    t.strictSame(cookies, ['who=me', 'who=me', 'who=me'])
    await stream.evaluate('stream.close()')
    await until(() => app.sse.stats().open === 0)
  })

  await t.test('a response of another origin that may not be read is a network error', async (t) => {
    const { origin } = await serve(t, three)
    const other = await serve(t, three)
    const stream = await connectIn(await openPage(t, other.origin), `${origin}/stream`)
    await stream.told('reconnecting: network')
    t.strictSame((await stream.history()).slice(0, 2), ['connecting', 'reconnecting: network'])
    await stream.evaluate('stream.close()')
  })

  await t.test('offline it tries again, and online it goes on where it was', async (t) => {
    const lastEventIds: unknown[] = []
    const { app, origin } = await serve(t, async function * ({ lastEventId, signal }) {
      lastEventIds.push(lastEventId ?? '')
      const n = lastEventIds.length
      yield { event: 'created', data: { n }, id: String(n) }
      yield * wait(signal)
    })
    const page = await openPage(t, origin)
    const stream = await connectIn(page, '/stream', { reconnectionTimeMs: 100 })
    await stream.told('created: {"n":1} (1)')
    await page.context().setOffline(true)
    // A stream that is open may outlive the network in Chromium: what the watchdog and `online` are for.
    await stream.evaluate('stream.reconnect()')
    await stream.told('reconnecting: network', 2)
    await until(() => app.sse.stats().open === 0)
    t.equal(lastEventIds.length, 1)
    await page.context().setOffline(false)
    await stream.told('created: {"n":2} (2)')
    t.strictSame(lastEventIds, ['', '1'])
    await stream.evaluate('stream.close()')
  })

  await t.test('at online a stream that waits connects at once', async (t) => {
    const { origin } = await serve(t, ({ signal }) => wait(signal))
    const page = await openPage(t, origin)
    await page.context().setOffline(true)
    // The server is not there, and the wait is long.
    await page.evaluate('Math.random = () => 1')
    const waiting = await connectIn(page, '/stream', { reconnectionTimeMs: 100 })
    for (let failed = 1; failed <= 6; failed++) {
      await waiting.told('reconnecting: network', failed)
      if (failed < 6) await waiting.evaluate('stream.reconnect()')
    }
    t.equal(await waiting.evaluate('stream.state.delayMs'), 3_225)
    const before = await waiting.evaluate<number>('performance.now()')
    await page.context().setOffline(false)
    await waiting.told('live')
    t.ok(await waiting.evaluate<number>('performance.now()') - before < 3_000, 'sooner than it would have')
    await waiting.evaluate('stream.close()')
  })

  await t.test('a body goes by POST, and once', async (t) => {
    const bodies: unknown[] = []
    const { origin, cut } = await serve(t, async function * ({ signal }, request) {
      bodies.push(request.body)
      yield { event: 'created', data: { n: 1 } }
      yield * wait(signal)
    })
    const stream = await connectIn(await openPage(t, origin), '/stream', { body: { a: 'größe' } })
    await stream.told('created: {"n":1}')
    cut()
    await stream.evaluate('stream.closed')
    t.strictSame(await stream.history(), ['connecting', 'live', 'created: {"n":1}', 'closed: network'])
    t.strictSame(bodies, [{ a: 'größe' }])
  })

  await t.test('close(), leaving the page and closing it leave nothing at the server', async (t) => {
    const { app, origin } = await serve(t, ({ signal }) => wait(signal))
    const leave: Array<[name: string, leave: (page: Page) => Promise<unknown>]> = [
      ['close()', (page) => page.evaluate('stream.close()')],
      ['going to another page', (page) => page.goto(`${origin}/page?other`)],
      ['closing the page', (page) => page.close()]
    ]
    for (const [name, left] of leave) {
      const page = await openPage(t, origin)
      const stream = await connectIn(page, '/stream')
      await stream.told('live')
      t.equal(app.sse.stats().open, 1, name)
      await left(page)
      await until(() => app.sse.stats().open === 0)
    }
  })
})
