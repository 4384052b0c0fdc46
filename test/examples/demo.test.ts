import { spawn } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { appendFile, readFile, rename, truncate, writeFile } from 'node:fs/promises'
import net from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { FastifyInstance } from 'fastify'
import type { Browser, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { createDemo, type DemoOptions } from '../../examples/demo/app.js'
import type { HostSample } from '../../examples/demo/events.js'
import { followFile } from '../../examples/demo/follow-file.js'
import { HostSampler } from '../../examples/demo/host-sampler.js'
import { listen } from '../support/app.js'
import { launchChromium } from '../support/browser.js'
import { connect } from '../support/client.js'
import { until } from '../support/sources.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const END = 'event: sse.end\ndata: null\nid: sse.end\n\n'

async function openDemo (t: Test, options: DemoOptions = {}): Promise<{ app: FastifyInstance, origin: string, port: number }> {
  const app = await createDemo({ secondMs: 50, reconnectionTimeMs: 200, ...options })
  t.teardown(() => app.close())
  return { app, ...await listen(app) }
}

function fieldOf (frame: string, name: string): string {
  return new RegExp(`^${name}: (.*)$`, 'm').exec(frame)?.[1] ?? ''
}

function left (n: number): string {
  return `event: left\ndata: ${n}\nid: ${n}\n\n`
}

// Processes and a browser take their time when others use the machine too. The comment is how tap's runner is told.
t.setTimeout(120_000)
t.comment('timeout=120000')

// Over sockets

t.test('the clock ticks each second with the time', async (t) => {
  const { origin } = await openDemo(t)
  const client = await connect(t, `${origin}/clock`)
  const frames = await client.events(3)
  const times = frames.map((frame) => (JSON.parse(fieldOf(frame, 'data')) as { now: string }).now)
  t.strictSame(frames, times.map((now) => `event: tick\ndata: {"now":"${now}"}\n\n`))
  t.strictSame(times, [...new Set(times)].sort())
})

t.test('the host stream describes the machine, and then how busy it is', async (t) => {
  const { origin } = await openDemo(t)
  const client = await connect(t, `${origin}/host`)
  const [machine, ...samples] = await client.events(3)
  t.equal(fieldOf(machine!, 'event'), 'machine')
  for (const frame of samples) {
    t.equal(fieldOf(frame, 'event'), 'sample')
    const sample = JSON.parse(fieldOf(frame, 'data')) as HostSample
    t.equal(fieldOf(frame, 'id'), sample.at)
    t.ok(sample.memory.usedBytes > 0 && sample.memory.usedBytes <= sample.memory.totalBytes)
    t.equal(sample.streams.open, 1)
  }
})

t.test('a client that comes back to the host stream first gets the samples it has missed', async (t) => {
  const { origin } = await openDemo(t)
  const client = await connect(t, `${origin}/host`)
  const [, first, ...missed] = await client.events(5)
  client.fin()
  const again = await connect(t, `${origin}/host`, { headers: { 'last-event-id': fieldOf(first!, 'id') } })
  t.strictSame((await again.events(4)).slice(1), missed)
})

t.test('the host is sampled only while somebody listens, once for all', async (t) => {
  const sampler = new HostSampler(5, () => ({ open: 2, events: 0 }))
  t.equal(sampler.isRunning, false)
  const seen: HostSample[][] = [[], []]
  const listeners = seen.map((samples) => (sample: HostSample) => { samples.push(sample) })
  for (const listener of listeners) sampler.on('sample', listener)
  t.equal(sampler.isRunning, true)
  await until(() => seen[0]!.length >= 2)
  t.strictSame(seen[0], seen[1])
  sampler.off('sample', listeners[0]!)
  t.equal(sampler.isRunning, true)
  sampler.off('sample', listeners[1]!)
  t.equal(sampler.isRunning, false)
})

t.test('the log has one line for each request, and one when a stream is over', async (t) => {
  const { app, origin } = await openDemo(t)
  const client = await connect(t, `${origin}/log`)
  t.match(await client.events(2), [/ the demo has started$/m, / GET \/log 200$/m])
  await fetch(`${origin}/ping`)
  t.match(await client.events(1), [/ GET \/ping 200$/m])
  const clock = await connect(t, `${origin}/clock`)
  t.match(await client.events(1), [/ GET \/clock 200$/m])
  clock.fin()
  await until(() => app.sse.stats().open === 1)
  t.match(await client.events(1), [/ GET \/clock over after \d+\.\d s and \d+ events: client-left$/m])
})

t.test('a client that comes back to the log gets each line once, from where it was', async (t) => {
  const { origin } = await openDemo(t)
  for (let n = 0; n < 30; n++) await fetch(`${origin}/ping?${n}`)
  const client = await connect(t, `${origin}/log`)
  const frames = await client.events(20)
  t.match(frames.at(0), / GET \/ping\?\d+ 200$/m)
  client.fin()
  const again = await connect(t, `${origin}/log`, { headers: { 'last-event-id': fieldOf(frames[9]!, 'id') } })
  t.strictSame(await again.events(10), frames.slice(10))
})

t.test('a file is followed when it is truncated, put aside, or not there yet', async (t) => {
  const path = join(t.testdir({}), 'a.log')
  const controller = new AbortController()
  const follow = (after?: string): AsyncGenerator<{ text: string, position: string } | 'replaced', void, void> =>
    followFile(path, { signal: controller.signal, after, lastLines: 2, pollMs: 5 })
  const lines = follow()
  const next = async (): Promise<string | undefined> => {
    const { value } = await lines.next()
    return typeof value === 'object' ? value.text : value as string | undefined
  }
  const first = next()
  await writeFile(path, 'one\ntwo\r\nthrée\nfo')
  t.strictSame([await first, await next()], ['two\r', 'thrée'])
  await appendFile(path, 'ur\n')
  t.equal(await next(), 'four')
  await appendFile(path, 'five\n')
  await rename(path, `${path}.1`)
  await writeFile(path, 'six\n')
  t.strictSame([await next(), await next(), await next()], ['five', 'replaced', 'six'])
  await truncate(path)
  await writeFile(path, 'seven, longer than before\n')
  t.strictSame([await next(), await next()], ['replaced', 'seven, longer than before'])

  const elsewhere = follow('000000000000.4')
  t.equal((await elsewhere.next()).value, 'replaced')
  t.match((await elsewhere.next()).value, { text: 'seven, longer than before' })
  await elsewhere.return()
  controller.abort()
  await t.rejects(next(), { name: 'AbortError' })
})

t.test('the countdown comes to its end, and a client that comes back is answered with 204', async (t) => {
  const { origin } = await openDemo(t, { secondMs: 5 })
  const client = await connect(t, `${origin}/countdown`)
  t.equal(await client.rest(), ': sse-heartbeat: 15000\n\nretry: 200\n\n' + [10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0].map(left).join('') + END)
  t.equal(client.ended, 'end')
  const again = await connect(t, `${origin}/countdown`, { headers: { 'last-event-id': 'sse.end' } })
  t.equal(again.status, 204)
})

t.test('a countdown that was cut off goes on where it was', async (t) => {
  const { origin } = await openDemo(t, { secondMs: 5 })
  const rest = async (lastEventId: string): Promise<string[]> =>
    (await connect(t, `${origin}/countdown`, { headers: { 'last-event-id': lastEventId } })).events(20)
  t.strictSame(await rest('3'), [left(2), left(1), left(0), END])
  t.strictSame(await rest('0'), [END])
  t.equal((await rest('-1e9')).length, 12)
})

t.test('a search sends each line that has the text, and what it has looked through', async (t) => {
  const { origin } = await openDemo(t)
  const file = 'examples/demo/streams/search.ts'
  const text = 'const MAX_MATCHES = 200'
  const line = (await readFile(join(ROOT, file), 'utf8')).split('\n').indexOf(text) + 1
  const client = await connect(t, `${origin}/search`, { method: 'POST', body: { text: text.toUpperCase(), ignoreCase: true } })
  const frames = await client.events(10)
  t.strictSame(frames.filter((frame) => fieldOf(frame, 'event') === 'match'),
    [`event: match\ndata: ${JSON.stringify({ file, line, text })}\n\n`])
  t.match(JSON.parse(fieldOf(frames.at(-2)!, 'data')), { files: Number, matches: 1, ms: Number, isComplete: true })
  t.equal(frames.at(-1), END)
})

t.test('a client that leaves stops its search', async (t) => {
  const { app, origin } = await openDemo(t)
  const client = await connect(t, `${origin}/search`, { method: 'POST', body: { text: 'no such text', where: 'dependencies' } })
  t.match(await client.events(1), [/^event: progress\n/])
  client.fin()
  await until(() => app.sse.stats().sources === 0)
  t.strictSame(app.sse.stats().closed, { 'client-left': 1 })
})

t.test('a wrong body is answered with 400 that names what is wrong', async (t) => {
  const app = await createDemo()
  t.teardown(() => app.close())
  for (const [payload, message] of [
    [{}, "body must have required property 'text'"],
    [{ text: 'x' }, 'body/text must NOT have fewer than 2 characters'],
    [{ text: 'some', where: '/etc' }, 'body/where must be equal to one of the allowed values'],
    [{ text: 'some', ignoreCase: 'perhaps' }, 'body/ignoreCase must be boolean']
  ] as const) {
    const response = await app.inject({ method: 'POST', url: '/search', payload })
    t.strictSame([response.statusCode, response.json().message], [400, message])
  }
})

t.test('HEAD answers with the headers of each stream and starts nothing', async (t) => {
  const { app, origin } = await openDemo(t)
  for (const path of ['/clock', '/host', '/log', '/countdown']) {
    const response = await fetch(origin + path, { method: 'HEAD' })
    t.strictSame([response.status, response.headers.get('content-type')], [200, 'text/event-stream'])
  }
  t.equal(app.sse.stats().opened, 0)
})

t.test('the page loads only what the demo serves, and has nothing inline', async (t) => {
  const app = await createDemo()
  t.teardown(() => app.close())
  const page = await app.inject('/')
  t.match(page.headers['content-security-policy'], /^default-src 'none'; script-src 'self'; style-src 'self';/)
  t.notMatch(page.body, /<style|<script(?![^>]* src=)| style=| on\w+=/)
  for (const [, url] of page.body.matchAll(/(?:src|href)="([^"]*)"/g)) {
    t.equal((await app.inject(url!)).statusCode, 200, url!)
  }
})

// As a process

interface Demo {
  output: () => string
  errors: () => string
  until: (pattern: RegExp) => Promise<RegExpExecArray>
  interrupt: () => void
  exited: Promise<number | null>
}

/** What `npm start` runs. */
async function start (t: Test, env: Record<string, string | undefined>): Promise<Demo> {
  const { scripts } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'))
  const [, ...args] = scripts.start.split(' ')
  const child = spawn(process.execPath, args, { cwd: ROOT, env: { ...process.env, ...env } as NodeJS.ProcessEnv, stdio: ['ignore', 'pipe', 'pipe'] })
  t.teardown(() => child.kill('SIGKILL'))
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve))
  let output = ''
  let errors = ''
  const changed = new EventEmitter()
  child.stdout.on('data', (chunk) => {
    output += chunk
    changed.emit('change')
  })
  child.stderr.on('data', (chunk) => { errors += chunk })
  exited.then(() => changed.emit('change'))
  return {
    output: () => output,
    errors: () => errors,
    async until (pattern) {
      while (true) {
        const match = pattern.exec(output)
        if (match !== null) return match
        if (child.exitCode !== null) throw new Error(`The demo ended with code ${child.exitCode}: ${output}${errors}`)
        await once(changed, 'change')
      }
    },
    interrupt: () => { child.kill('SIGINT') },
    exited
  }
}

t.test('npm start prints the URL and a curl line, and Ctrl-C ends open streams in order and exits with 0', async (t) => {
  const demo = await start(t, { PORT: '0', HOST: undefined })
  const [, url, curl] = await demo.until(/ Open {3}(\S+)\n {2}Try {4}curl -N (\S+)\n[^]*Ctrl-C/)
  t.match(url, /^http:\/\/127\.0\.0\.1:\d+$/)
  t.equal(curl, `${url}/clock`)
  const stream = await connect(t, curl!)
  await stream.events(1)
  // A connection that asks for nothing, as browsers open them, does not keep the process.
  const idle = net.connect(Number(new URL(url!).port), '127.0.0.1')
  t.teardown(() => idle.destroy())
  await new Promise((resolve) => idle.once('connect', resolve))
  const interruptedAt = performance.now()
  demo.interrupt()
  t.equal(await demo.exited, 0)
  t.ok(performance.now() - interruptedAt < 5_000)
  t.match(await stream.rest(), /retry: \d+\n\n$/)
  t.equal(stream.ended, 'end')
  t.match(demo.output(), /Ending 1 stream … done\.\n/)
  t.equal(demo.errors(), '')
})

t.test('a port that is taken is named: one that was asked for is refused, otherwise the next one is used', async (t) => {
  const taken = net.createServer()
  t.teardown(() => taken.close())
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
  const { port } = taken.address() as net.AddressInfo
  // When somebody else has this port already, so much the better.
  const usual = net.createServer().on('error', () => {})
  t.teardown(() => usual.close())
  await new Promise<void>((resolve) => usual.once('error', resolve).listen(3000, '127.0.0.1', resolve))

  const [refused, moved, wrong] = await Promise.all([
    start(t, { PORT: String(port), HOST: undefined }),
    start(t, { PORT: undefined, HOST: undefined }),
    start(t, { PORT: 'http', HOST: undefined })
  ])
  t.equal(await refused.exited, 1)
  t.match(refused.errors(), `Port ${port} is taken.`)
  t.match(refused.errors(), /as in PORT=\d+ npm start\./)
  t.equal(await wrong.exited, 1)
  t.match(wrong.errors(), 'PORT is «http». Give a number from 0 to 65535')
  const [, next] = await moved.until(/Port 3000 is taken: this is the next one that is free\.[^]* Open {3}http:\/\/127\.0\.0\.1:(\d+)\n/)
  t.ok(Number(next) > 3000)
  moved.interrupt()
  t.equal(await moved.exited, 0)
})

// In Chromium

/** Waits until a stream's card shows a state. */
async function untilState (page: Page, state: string, ...streams: string[]): Promise<void> {
  for (const stream of streams) await page.locator(`[data-stream="${stream}"][data-state="${state}"]`).waitFor()
}

/** Waits until the clock of the page shows another second. */
async function untilTick (page: Page): Promise<void> {
  const time = page.locator('.clock time')
  await page.locator('.clock time', { hasNotText: await time.innerText() }).waitFor()
}

async function openPage (t: Test, browser: Browser, url: string, options: Parameters<Browser['newContext']>[0] = {}): Promise<{ page: Page, errors: string[] }> {
  const context = await browser.newContext(options)
  t.teardown(() => context.close())
  const page = await context.newPage()
  page.setDefaultTimeout(20_000)
  const errors: string[] = []
  page.on('pageerror', (error) => errors.push(String(error)))
  page.on('console', (message) => { if (message.type() === 'error') errors.push(message.text()) })
  await page.goto(url)
  return { page, errors }
}

t.test('in Chromium', async (t) => {
  const browser = await launchChromium(t)
  if (browser === null) return

  t.test('events arrive in the page', async (t) => {
    const { app, origin } = await openDemo(t, { secondMs: 100 })
    const { page, errors } = await openPage(t, browser, origin)
    await untilState(page, 'open', 'clock', 'host', 'log')
    await untilTick(page)

    const line = page.locator('.line.cpu[d*="C"]')
    await line.waitFor({ state: 'attached' })
    const before = await line.getAttribute('d')
    await page.locator(`.line.cpu:not([d="${before}"])`).waitFor({ state: 'attached' })
    const after = await page.locator('.line.cpu').getAttribute('d')
    t.ok(after!.split('C').length > before!.split('C').length, 'the chart gets points')

    await page.locator('[data-action="ping"]').click()
    await page.locator('.lines-of-log li', { hasText: 'GET /ping 200' }).waitFor()

    await page.locator('.search input[type="search"]').fill('const MAX_MATCHES = 200')
    await page.locator('.search button[type="submit"]').click()
    await untilState(page, 'ended', 'search')
    t.strictSame(await page.locator('.matches mark').allInnerTexts(), ['const MAX_MATCHES = 200'])

    await page.locator('.search input[type="search"]').fill('no such text')
    await page.locator('.search select').selectOption('dependencies')
    await page.locator('.search button[type="submit"]').click()
    await page.locator('.summary', { hasText: 'so far' }).waitFor()
    await page.locator('[data-action="stop"]').click()
    await untilState(page, 'stopped', 'search')
    await until(() => app.sse.stats().closed['client-left'] === 1)
    t.strictSame(errors, [])
  })

  t.test('the page goes on by itself when the server restarts', async (t) => {
    const first = await createDemo({ secondMs: 100, reconnectionTimeMs: 200 })
    t.teardown(() => first.close())
    const { origin, port } = await listen(first)
    const { page } = await openPage(t, browser, origin)
    await untilState(page, 'open', 'clock', 'host', 'log')
    await page.locator('.lines-of-log li', { hasText: 'GET /log 200' }).waitFor()
    await first.close()
    await untilState(page, 'reconnecting', 'clock', 'host', 'log')

    const second = await createDemo({ secondMs: 100, reconnectionTimeMs: 200 })
    t.teardown(() => second.close())
    await second.listen({ port, host: '127.0.0.1' })
    await untilState(page, 'open', 'clock', 'host', 'log')
    await untilTick(page)
    await page.locator('.lines-of-log .replaced + li', { hasText: 'the demo has started' }).waitFor()
    t.equal(await page.locator('.lines-of-log .replaced').count(), 1)
  })

  t.test('the finite stream stops without a reconnect loop', async (t) => {
    const { app, origin } = await openDemo(t, { secondMs: 20 })
    const requests: Array<string | string[] | undefined> = []
    app.server.on('request', ({ url, headers }) => { if (url === '/countdown') requests.push(headers['last-event-id']) })
    const { page, errors } = await openPage(t, browser, origin)
    const stopped = page.locator('.trace li', { hasText: 'answered with 204' })
    await stopped.waitFor()
    await untilState(page, 'ended', 'countdown')
    t.equal(await page.locator('.ring .left').innerText(), '0')
    // Longer than the reconnection time.
    await untilTick(page)
    await untilTick(page)
    t.strictSame(requests, [undefined, 'sse.end'])

    await page.locator('[data-action="restart"]').click()
    await page.locator('[data-action="restart"]:enabled').waitFor()
    await stopped.waitFor()
    t.strictSame(requests, [undefined, 'sse.end', undefined, 'sse.end'])
    t.strictSame(errors, [])
  })

  t.test('the page is light or dark like the system, and fits a small screen', async (t) => {
    const { origin } = await openDemo(t)
    for (const [colorScheme, background] of [['light', 'rgb(244, 241, 234)'], ['dark', 'rgb(19, 21, 23)']] as const) {
      const { page } = await openPage(t, browser, origin, { colorScheme, viewport: { width: 360, height: 700 } })
      await untilState(page, 'open', 'clock', 'host', 'log')
      t.equal(await page.evaluate('getComputedStyle(document.body).backgroundColor'), background)
      t.equal(await page.evaluate('document.documentElement.scrollWidth'), 360)
      await page.close()
    }
  })
})
