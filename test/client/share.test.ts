// `share: true` in real tabs: pages of one Chromium, and a server that they reach over HTTP/1.1.
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Type } from '@sinclair/typebox'
import { buildSync } from 'esbuild'
import type { FastifyInstance } from 'fastify'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { defineEvents, text, type Channel, type EventOf } from '../../lib/index.js'
import { createApp, listen } from '../support/app.js'
import { launchChromium } from '../support/browser.js'
import { seededRandom } from '../support/random.js'

const Ticks = defineEvents({ tick: Type.Object({ n: Type.Integer() }), note: text() })

// A browser takes its time when others use the machine too. The comment is how tap's runner is told.
t.setTimeout(120_000)
t.comment('timeout=120000')

/** The client as it is built: its parts are files, which a page loads when it needs them. */
const files = new Map(buildSync({
  entryPoints: [fileURLToPath(new URL('../../lib/client.ts', import.meta.url))],
  bundle: true,
  write: false,
  format: 'esm',
  splitting: true,
  target: 'es2022',
  outdir: '/client'
}).outputFiles.map(({ path, text }) => [`/client/${relative('/client', path)}`, text]))

/** A page that connects when it is told, and reports in one call what happened in one task. Each report has its number. */
const PAGE = `<!doctype html><link rel="icon" href="data:,"><script type="module">
  import { connect } from '/client/client.js'
  const all = globalThis.all = []
  let reported = 0
  const streams = {}
  function report (...what) {
    if (all.push([all.length, ...what]) > reported + 1) return
    setTimeout(() => {
      reportToTest(all.slice(reported))
      reported = all.length
    })
  }
  globalThis.streams = streams
  globalThis.open = (key, url, options) => {
    const stream = streams[key] = connect(url, {
      ...options,
      onStatus: (status, { reason }) => report(key, 'statuses', reason ? status + ': ' + reason : status),
      onError: ({ kind, message, status, body, willRetry }) => report(key, 'errors', { kind, message, status, body, willRetry })
    })
    if (options.onlyConnect) return
    stream.on('tick', ({ n }) => report(key, 'events', n))
    stream.on('sse.unknown', (data, { event }) => report(key, 'events', event + ' ' + JSON.stringify(data)))
  }
  addEventListener('pageshow', ({ persisted }) => { globalThis.isKept = persisted })
  addEventListener('pagehide', () => { globalThis.isKept = false })
  reportToTest([])
</script>`

/** Our locks of the origin, as an expression. */
const LOCKS = 'navigator.locks.query().then(({ held, pending }) => [...held.map(() => \'held\'), ...pending.map(() => \'pending\')])'

/** Wakes up those who wait for a condition when what it looks at has changed. */
class Changes {
  #waiting: Array<() => void> = []

  tell (): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  async until (condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => { this.#waiting.push(resolve) })
  }
}

/** What a page has told of one of its streams. */
interface Seen {
  events: unknown[]
  statuses: string[]
  errors: unknown[]
}

type Told = [key: string, what: keyof Seen, value: unknown]
type Report = [number: number, ...Told]

/** One page, and all that its streams have told. */
class Tab {
  readonly id: string
  readonly page: Page
  readonly #world: World
  #reports: Told[] = []
  /** What earlier documents of the page have told. */
  #past: Told[] = []
  isReady = false

  constructor (world: World, id: string, page: Page) {
    this.#world = world
    this.id = id
    this.page = page
  }

  report (reports: Report[]): void {
    this.isReady = true
    for (const [number, ...report] of reports) this.#reports[number] = report
    this.#world.changes.tell()
  }

  seen (key = 'a'): Seen {
    const seen: Seen = { events: [], statuses: [], errors: [] }
    for (const [of, what, value] of [...this.#past, ...this.#reports.filter(Boolean)]) if (of === key) (seen[what] as unknown[]).push(value)
    return seen
  }

  /** Connects. The server is told which tab it is that asks. */
  async connect (key = 'a', options: object = {}, url = '/ticks'): Promise<void> {
    await this.page.evaluate(`open(${JSON.stringify(key)}, ${JSON.stringify(url)}, ${JSON.stringify({ share: true, headers: { 'x-tab': this.id }, ...options })})`)
  }

  async close (key = 'a'): Promise<void> {
    await this.page.evaluate(`streams.${key}.close()`)
  }

  async lastEventId (key = 'a'): Promise<string> {
    return await this.page.evaluate(`streams.${key}.lastEventId`)
  }

  async reload (): Promise<void> {
    await this.page.reload()
    this.#past = [...this.#past, ...this.#reports.splice(0)]
  }

  /** Goes to another page, and keeps this one for «back». */
  async leave (): Promise<void> {
    await this.page.goto(`${this.#world.site.origin}/elsewhere`)
  }

  /** Goes back to the page as it was left: it is not loaded. */
  async comeBack (): Promise<void> {
    await this.page.goBack({ waitUntil: 'commit' })
    await this.page.waitForFunction('globalThis.isKept')
    // What a page reports while it is being left does not arrive.
    this.report(await this.page.evaluate('all'))
  }

  /** Does what makes another tab join, and waits until this one, which leads, has answered it. */
  async isAsked (join: () => Promise<void>): Promise<void> {
    const name = JSON.stringify(`fastify-typed-sse/1 GET ${this.#world.site.origin}/ticks`)
    await this.page.evaluate(`globalThis.answered = new Promise((resolve) => {
      const channel = new BroadcastChannel(${name})
      channel.onmessage = ({ data }) => {
        if (data.type !== 'lead') return
        channel.close()
        resolve()
      }
    }); null`)
    await join()
    await this.page.evaluate('answered')
  }

  async crash (): Promise<void> {
    const crashed = this.page.waitForEvent('crash')
    const session = await this.page.context().newCDPSession(this.page)
    session.send('Page.crash').catch(() => {})
    await crashed
    await this.page.close()
  }
}

/** A server, and pages of its origin. Pages are used again: a new one takes longer than all that most tests do. */
class Site {
  readonly app: FastifyInstance
  readonly context: BrowserContext
  readonly idle: Page[] = []
  origin = ''
  /** The test that is run. */
  world!: World
  opened = 0
  worlds = 0

  constructor (app: FastifyInstance, context: BrowserContext) {
    this.app = app
    this.context = context
    app.addHook('onRequest', async (_request, reply) => { reply.header('access-control-allow-origin', '*') })
    app.addHook('onResponse', async () => this.world.changes.tell())
    app.get('/elsewhere', async (_request, reply) => reply.type('text/html').send('<!doctype html><link rel="icon" href="data:,">'))
    app.get('/', async (_request, reply) => reply.type('text/html').send(PAGE))
    for (const [path, content] of files) app.get(path, async (_request, reply) => reply.type('text/javascript').send(content))
    app.get('/ticks', { schema: { events: Ticks } }, (request, reply) => {
      const { world } = this
      const tab = request.headers['x-tab'] as string
      // The last pages of the test before may still have been taking over from each other.
      if (world.has(tab)) world.visits.push({ tab, key: request.headers['x-key'], at: performance.now() })
      world.changes.tell()
      if (world.isRefusing) throw Object.assign(new Error('not yours'), { statusCode: 403 })
      return reply.sse(world.ticks)
    })
  }

  static async open (t: Test, browser: Browser): Promise<Site> {
    // A browser opens connections ahead of need, and they would hold the end up.
    const { app } = await createApp(t, { reconnectionTimeMs: 100 }, { forceCloseConnections: true })
    const context = await browser.newContext()
    const site = new Site(app, context)
    await context.exposeBinding('reportToTest', ({ page }, reports) => site.world.report(page, reports))
    site.origin = (await listen(app)).origin
    return site
  }
}

/** What one test sees of the site. */
class World {
  readonly site: Site
  readonly ticks: Channel<EventOf<typeof Ticks>>
  readonly changes = new Changes()
  /** Requests for a stream: which tab made them, and when. */
  readonly visits: Array<{ tab: string, key: unknown, at: number }> = []
  /** Whether requests for a stream are answered with 403. */
  isRefusing = false
  readonly #tabs = new Map<Page, Tab>()
  #published = 0

  constructor (t: Test, site: Site) {
    this.site = site
    site.world = this
    this.ticks = site.app.sse.channel(`ticks ${++site.worlds}`, Ticks)
    t.teardown(async () => {
      const pages = [...this.#tabs.keys()].filter((page) => !page.isClosed())
      await Promise.all(pages.map((page) => page.goto('about:blank')))
      // Chromium may keep a response that nobody reads for 5 seconds more.
      this.cut()
      await this.changes.until(() => this.open === 0)
      site.idle.push(...pages)
    })
  }

  /** How many streams are open. */
  get open (): number {
    return this.site.app.sse.stats().open
  }

  /** Ends all streams as if connections broke. */
  cut (): void {
    this.site.app.sse.evict(() => true)
  }

  /** A new page for this test alone, with a script that runs before others. */
  async addPage (script: string): Promise<void> {
    const page = await this.site.context.newPage()
    await page.addInitScript(script)
    this.site.idle.push(page)
  }

  async openTab (): Promise<Tab> {
    const id = `tab ${++this.site.opened}`
    const page = this.site.idle.pop() ?? await this.site.context.newPage()
    const tab = new Tab(this, id, page)
    this.#tabs.set(page, tab)
    await page.goto(this.site.origin)
    await this.changes.until(() => tab.isReady)
    return tab
  }

  async openTabs (count: number): Promise<Tab[]> {
    return await Promise.all(Array.from({ length: count }, () => this.openTab()))
  }

  has (id: string): boolean {
    return [...this.#tabs.values()].some((tab) => tab.id === id)
  }

  report (page: Page, reports: Report[]): void {
    this.#tabs.get(page)?.report(reports)
  }

  /** The tab that made the last request. */
  get leader (): string {
    return this.visits.at(-1)!.tab
  }

  publish (count = 1): void {
    while (count-- > 0) this.ticks.publish({ event: 'tick', data: { n: ++this.#published } })
  }

  get published (): number {
    return this.#published
  }

  /** Publishes all the time while something happens. */
  async publishDuring (what: () => Promise<unknown>): Promise<void> {
    const timer = setInterval(() => this.publish(), 4)
    await what().finally(() => clearInterval(timer))
  }

  /** Waits until all tabs are connected, for the `count`th time. */
  async isLive (tabs: Tab[], key = 'a', count = 1): Promise<void> {
    await this.changes.until(() => tabs.every((tab) => {
      const { statuses } = tab.seen(key)
      return statuses.at(-1) === 'live' && statuses.filter((status) => status === 'live').length >= count
    }))
  }

  /** Waits until all tabs have the newest event. */
  async isAtEnd (tabs: Tab[], key = 'a'): Promise<void> {
    await this.changes.until(() => tabs.every((tab) => tab.seen(key).events.at(-1) === this.#published))
  }
}

function range (from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, index) => from + index)
}

/** What follows the first event without hole or repeat, unless a gap says between what: as many as there are. */
function runOf (events: unknown[]): unknown[] {
  const run: unknown[] = []
  let n: number | undefined
  for (const event of events) {
    const [, data] = /^sse\.gap (.*)/.exec(String(event)) ?? []
    if (data === undefined) {
      run.push(n = n === undefined ? event as number : n + 1)
    } else {
      const { requested, resumedAt } = JSON.parse(data) as { requested: string, resumedAt: string }
      run.push(`sse.gap ${JSON.stringify({ reason: 'evicted', requested: n === undefined ? requested : requested.replace(/\d+$/, String(n)), resumedAt })}`)
      n = Number(resumedAt.split('.')[1])
    }
  }
  return run
}

// Pages that are left are kept for «back», as they are for people.
const browser = await launchChromium(t, { ignoreDefaultArgs: ['--disable-back-forward-cache'] })
if (browser !== null) {
  const site = await Site.open(t, browser)

  t.test('twelve pages of an origin have one stream over HTTP/1.1, and each gets all events in order', async (t) => {
    const world = new World(t, site)
    const tabs = await world.openTabs(12)
    await Promise.all(tabs.map((tab) => tab.connect()))
    await world.isLive(tabs)
    t.equal(world.open, 1)
    world.publish(500)
    await world.isAtEnd(tabs)
    for (const tab of tabs) t.strictSame(tab.seen(), { events: range(1, 500), statuses: ['connecting', 'live'], errors: [] }, tab.id)
    t.equal(world.visits.length, 1)
  })

  t.test('another page takes over when the leader is gone, however it went, and no page misses an event or gets one twice', async (t) => {
    const world = new World(t, site)
    let tabs = await world.openTabs(12)
    await Promise.all(tabs.map((tab) => tab.connect()))
    await world.isLive(tabs)
    const ways = {
      'closing the page': (tab: Tab) => tab.page.close(),
      'a crash': (tab: Tab) => tab.crash(),
      'going to another place': (tab: Tab) => tab.page.goto('about:blank'),
      'closing the stream': (tab: Tab) => tab.close()
    }
    const takeovers: string[] = []
    await world.publishDuring(async () => {
      for (const [how, leave] of Object.entries(ways)) {
        const leader = tabs.find((tab) => tab.id === world.leader)!
        tabs = tabs.filter((tab) => tab !== leader)
        const { length } = world.visits
        const leftAt = performance.now()
        await leave(leader)
        await world.changes.until(() => world.visits.length > length)
        takeovers.push(`${how}: ${Math.round(world.visits.at(-1)!.at - leftAt)} ms`)
        t.ok(tabs.some((tab) => tab.id === world.leader))
        await world.isLive(tabs, 'a', takeovers.length + 1)
      }
    })
    await world.isAtEnd(tabs)
    for (const tab of tabs) t.strictSame(tab.seen().events, range(1, world.published), tab.id)
    t.equal(world.visits.length, 5)
    await world.changes.until(() => world.open === 1)
    t.comment(`Taken over after ${takeovers.join(', ')}`)
  })

  t.test('followers are told how the stream of the leader stands, and what has failed', async (t) => {
    const world = new World(t, site)
    const tabs = await world.openTabs(3)
    for (const tab of tabs) {
      await tab.connect()
      await world.isLive([tab])
    }
    t.equal(world.leader, tabs[0]!.id)
    world.cut()
    await world.isLive(tabs, 'a', 2)
    await tabs[0]!.close()
    await world.isLive(tabs.slice(1), 'a', 3)
    t.equal(world.visits.length, 3)
    for (const tab of tabs.slice(1)) {
      t.strictSame(tab.seen(), {
        events: [],
        statuses: ['connecting', 'live', 'reconnecting: ended', 'live', 'reconnecting', 'live'],
        errors: [{ kind: 'ended', message: 'The response ended early', status: undefined, body: undefined, willRetry: true }]
      })
    }
  })

  t.test('streams of one page are one tab: each gets all, one that closes leaves the others, and the last ends the stream and leaves nothing', async (t) => {
    const world = new World(t, site)
    const tab = await world.openTab()
    for (const key of ['a', 'b', 'c']) {
      await tab.connect(key, { headers: { 'x-tab': tab.id, 'x-key': key } })
      await world.isLive([tab], key)
    }
    world.publish(3)
    for (const key of ['a', 'b', 'c']) await world.isAtEnd([tab], key)
    await tab.close('a')
    t.equal(world.open, 1)
    world.publish(3)
    await world.isAtEnd([tab], 'b')
    // What it asks with next is that of a stream that is still there.
    world.cut()
    await world.changes.until(() => world.visits.length === 2)
    world.publish(3)
    for (const key of ['b', 'c']) {
      await world.isAtEnd([tab], key)
      t.strictSame(tab.seen(key).events, range(1, 9))
    }
    t.strictSame(tab.seen('a').events, range(1, 3))
    t.strictSame(world.visits.map(({ key }) => key), ['a', 'b'])
    await tab.close('b')
    t.equal(world.open, 1)
    await tab.close('c')
    await world.changes.until(() => world.open === 0)
    t.strictSame(await tab.page.evaluate(LOCKS), [])
    await tab.connect('d')
    await world.isLive([tab], 'd')
    t.equal(world.visits.length, 3)
  })

  t.test('a page that closes its streams while it waits for the lock leaves no request for it', async (t) => {
    const world = new World(t, site)
    const [leader, follower] = await world.openTabs(2) as [Tab, Tab]
    await leader.connect()
    await world.isLive([leader])
    await follower.connect()
    await world.isLive([follower])
    t.strictSame(await leader.page.evaluate(LOCKS), ['held', 'pending'])
    await follower.close()
    await follower.page.evaluate(LOCKS)
    t.strictSame(await leader.page.evaluate(LOCKS), ['held'])
    t.equal(world.open, 1)
  })

  t.test('the end of the stream is the end for all, and who connects after it opens a new one', async (t) => {
    const world = new World(t, site)
    const tabs = await world.openTabs(4)
    await Promise.all(tabs.map((tab) => tab.connect()))
    await world.isLive(tabs)
    world.publish(2)
    world.ticks.close()
    await world.changes.until(() => tabs.every((tab) => tab.seen().statuses.at(-1)!.startsWith('closed')))
    for (const tab of tabs) t.strictSame(tab.seen(), { events: [1, 2], statuses: ['connecting', 'live', 'closed: done'], errors: [] })
    t.equal(world.open, 0)
    t.equal(world.visits.length, 1)
    t.strictSame(await tabs[0]!.page.evaluate(LOCKS), [])
  })

  t.test('an error that ends the stream ends it for all, with all that is known about it', async (t) => {
    const world = new World(t, site)
    const tabs = await world.openTabs(3)
    world.isRefusing = true
    await Promise.all(tabs.map((tab) => tab.connect()))
    const isClosed = (tab: Tab): boolean => tab.seen().statuses.at(-1)?.startsWith('closed') ?? false
    await world.changes.until(() => tabs.every(isClosed))
    // Pages that are late to ask are refused themselves.
    for (const tab of tabs) {
      const [{ kind, status, willRetry }] = tab.seen().errors as [{ kind: string, status: number, willRetry: boolean }]
      t.strictSame([tab.seen().statuses.at(-1), kind, status, willRetry], ['closed: status', 'status', 403, false])
    }
    world.isRefusing = false
    for (const tab of tabs) await tab.connect('b')
    for (const tab of tabs) await world.isLive([tab], 'b')
    world.isRefusing = true
    const { length } = world.visits
    world.cut()
    await world.changes.until(() => tabs.every((tab) => tab.seen('b').statuses.at(-1) === 'closed: status'))
    t.equal(world.visits.length, length + 1)
    for (const tab of tabs) t.match(tab.seen('b').errors.at(-1), { kind: 'status', status: 403, body: /not yours/, willRetry: false })
  })

  t.test('a page that comes late gets what is published from then on, and its place at once', async (t) => {
    const world = new World(t, site)
    const [leader, late] = await world.openTabs(2) as [Tab, Tab]
    await leader.connect()
    await world.isLive([leader])
    world.publish(5)
    await world.isAtEnd([leader])
    await late.connect()
    await world.isLive([late])
    t.equal(await late.lastEventId(), world.ticks.lastEventId)
    await late.connect('b')
    t.equal(await late.lastEventId('b'), world.ticks.lastEventId)
    world.publish(2)
    await world.isAtEnd([leader, late])
    t.strictSame(late.seen(), { events: [6, 7], statuses: ['connecting', 'live'], errors: [] })
    t.strictSame(late.seen('b'), { events: [6, 7], statuses: ['live'], errors: [] })
    t.strictSame(leader.seen().events, range(1, 7))
    t.equal(world.visits.length, 1)
  })

  t.test('who comes late with an ID of its own is told that what came after it is missing', async (t) => {
    const world = new World(t, site)
    const [leader, late] = await world.openTabs(2) as [Tab, Tab]
    await leader.connect()
    await world.isLive([leader])
    const initialLastEventId = world.ticks.lastEventId
    world.publish(5)
    await world.isAtEnd([leader])
    await late.connect('a', { initialLastEventId })
    await world.isLive([late])
    const gap = { reason: 'evicted', requested: initialLastEventId, resumedAt: world.ticks.lastEventId }
    world.publish()
    await world.isAtEnd([late])
    t.strictSame(late.seen().events, [`sse.gap ${JSON.stringify(gap)}`, 6])
  })

  t.test('a page that is kept for «back» leaves the lead to another one, and takes part again when it is back', async (t) => {
    const world = new World(t, site)
    const [first, second] = await world.openTabs(2) as [Tab, Tab]
    for (const tab of [first, second]) {
      await tab.connect()
      await world.isLive([tab])
    }
    world.publish(2)
    await world.isAtEnd([first, second])
    await first.leave()
    await world.changes.until(() => world.visits.length === 2)
    t.equal(world.leader, second.id)
    // What it has is all that there is.
    await second.isAsked(() => first.comeBack())
    world.publish()
    await world.isAtEnd([first, second])
    t.strictSame(first.seen(), { events: [1, 2, 3], statuses: ['connecting', 'live'], errors: [] })
    // Now it misses something.
    const requested = world.ticks.lastEventId
    await first.leave()
    world.publish(2)
    await world.isAtEnd([second])
    await second.isAsked(() => first.comeBack())
    const gap = { reason: 'evicted', requested, resumedAt: world.ticks.lastEventId }
    world.publish()
    await world.isAtEnd([first, second])
    t.strictSame(first.seen().events, [1, 2, 3, `sse.gap ${JSON.stringify(gap)}`, 6])
    t.strictSame(second.seen().events, [1, 2, 3, 4, 5, 6])
    await first.close()
    await second.close()
    t.strictSame(await second.page.evaluate(LOCKS), [])
  })

  t.test('the only page goes on where it was when it comes «back»', async (t) => {
    const world = new World(t, site)
    const tab = await world.openTab()
    await tab.connect()
    await world.isLive([tab])
    world.publish(2)
    await world.isAtEnd([tab])
    await tab.leave()
    await world.changes.until(() => world.open === 0)
    world.publish(2)
    await tab.comeBack()
    await world.isAtEnd([tab])
    t.strictSame(tab.seen(), { events: [1, 2, 3, 4], statuses: ['connecting', 'live', 'reconnecting', 'live'], errors: [] })
  })

  t.test('reconnect() in any page reconnects the one stream', async (t) => {
    const world = new World(t, site)
    const tabs = await world.openTabs(2)
    for (const tab of tabs) {
      await tab.connect()
      await world.isLive([tab])
    }
    for (const [index, tab] of tabs.entries()) {
      world.publish(2)
      await tab.page.evaluate('streams.a.reconnect()')
      await world.changes.until(() => world.visits.length === index + 2)
      world.publish(2)
    }
    await world.isAtEnd(tabs)
    for (const tab of tabs) t.strictSame(tab.seen().events, range(1, 8))
    t.strictSame(world.visits.map(({ tab }) => tab), Array(3).fill(tabs[0]!.id))
    await world.changes.until(() => world.open === 1)
  })

  t.test('streams of one name are one, whatever their URLs; those of two names are two', async (t) => {
    const world = new World(t, site)
    const tabs = await world.openTabs(2)
    await tabs[0]!.connect('a', { share: 'anna' }, '/ticks?anna')
    await tabs[0]!.connect('b', { share: 'ben' })
    await tabs[1]!.connect('a', { share: 'anna' }, './ticks')
    await tabs[1]!.connect('b', { share: 'ben' }, '/ticks?ben')
    await world.isLive(tabs, 'a')
    await world.isLive(tabs, 'b')
    t.equal(world.open, 2)
    // Without a name it is the URL that a page would ask for.
    await tabs[0]!.connect('c', {}, 'ticks?c')
    await tabs[1]!.connect('c', {}, `${site.origin}/ticks?c`)
    await world.isLive(tabs, 'c')
    t.equal(world.open, 3)
  })

  for (const missing of ['navigator.locks', 'BroadcastChannel']) {
    t.test(`without ${missing} each page has a stream of its own`, async (t) => {
      const world = new World(t, site)
      const [object, name] = missing === 'navigator.locks' ? ['Navigator.prototype', 'locks'] : ['globalThis', 'BroadcastChannel']
      for (let n = 0; n < 3; n++) await world.addPage(`Object.defineProperty(${object}, '${name}', { value: undefined })`)
      const tabs = await world.openTabs(3)
      await Promise.all(tabs.map((tab) => tab.connect()))
      await world.isLive(tabs)
      t.equal(world.open, 3)
      await Promise.all(tabs.map((tab) => tab.page.close()))
    })
  }

  t.test('a sandboxed frame, for which there are no locks, has a stream of its own', async (t) => {
    const world = new World(t, site)
    const [tab, framed] = await world.openTabs(2) as [Tab, Tab]
    await tab.connect()
    await framed.page.setContent(`<iframe sandbox="allow-scripts" src="${site.origin}"></iframe>`)
    const frame = framed.page.frames().at(-1)!
    await frame.waitForFunction('globalThis.streams')
    await frame.evaluate(`open('a', '${site.origin}/ticks', { share: true })`)
    await world.isLive([tab, framed])
    t.equal(world.open, 2)
    world.publish(3)
    await world.isAtEnd([tab, framed])
    t.strictSame(framed.seen(), { events: [1, 2, 3], statuses: ['connecting', 'live'], errors: [] })
  })

  for (const seed of process.env['SEED'] === undefined ? [1, 2] : [Number(process.env['SEED'])]) {
    t.test(`pages that come, go and crash in any order see runs without hole or repeat (seed ${seed})`, async (t) => {
      const world = new World(t, site)
      const random = seededRandom(seed)
      const all: Array<{ tab: Tab, key: string }> = []
      let alive: typeof all = []
      let keys = 0
      const join = async (tab: Tab): Promise<void> => {
        const stream = { tab, key: `s${++keys}` }
        all.push(stream)
        alive.push(stream)
        await tab.connect(stream.key)
      }
      const lose = (tab: Tab): void => { alive = alive.filter((stream) => stream.tab !== tab) }
      const steps: Record<string, (stream: typeof all[number]) => Promise<void>> = {
        open: async () => join(await world.openTab()),
        again: async ({ tab }) => join(tab),
        async close ({ tab, key }) {
          alive = alive.filter((stream) => stream.key !== key)
          await tab.close(key)
        },
        async leave ({ tab }) {
          lose(tab)
          await tab.page.close()
        },
        async crash ({ tab }) {
          lose(tab)
          await tab.crash()
        },
        async reload ({ tab }) {
          lose(tab)
          await tab.reload()
          await join(tab)
        },
        async back ({ tab }) {
          await tab.leave()
          await tab.comeBack()
        },
        async cut () {
          world.cut()
        }
      }
      const names = Object.keys(steps)
      await world.publishDuring(async () => {
        await Promise.all(Array.from({ length: 5 }, () => steps['open']!(all[0]!)))
        for (let round = 0; round < 8; round++) {
          // Two at a time, of two pages: what one does meets the other half done.
          const [one, other] = alive.filter(({ tab }, index) => index === alive.findIndex((stream) => stream.tab === tab)).sort(() => random.below(3) - 1)
          await Promise.all([one, other].map((stream) => steps[alive.length < 4 || !stream ? 'open' : random.pick(names)]!(stream!)))
        }
        for (const { tab, key } of alive) await world.isLive([tab], key)
      })
      world.publish()
      for (const { tab, key } of alive) await world.isAtEnd([tab], key)
      for (const { tab, key } of all) {
        const { events } = tab.seen(key)
        t.strictSame(events, runOf(events), `${tab.id} ${key}: ${events.length}`)
      }
      await world.changes.until(() => world.open === 1)
    })
  }
}
