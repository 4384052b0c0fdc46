import { spawn, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'
import { EventSource as NpmEventSource } from 'eventsource'
import { createEventSource } from 'eventsource-client'
import { createParser } from 'eventsource-parser'
import type { Browser, Page } from 'playwright-core'
import type { Test } from 'tap'
import { EventSource as UndiciEventSource } from 'undici'
import { launchChromium } from '../support/browser.js'
import { requirePart } from '../support/parts.js'

/** The clients, none of them ours, in the order in which they are tried. */
export const NAMES = [
  'Chromium\'s EventSource', 'undici\'s EventSource', 'eventsource', 'eventsource-client', 'fetch-event-source', 'curl'
] as const
export type Name = typeof NAMES[number]

/** The types that an `EventSource` is told to listen to: it shows no event of another type. */
const TYPES = ['message', 'item', 'note', 'nothing', 'sse.gap', 'sse.fault', 'sse.end']

/** An event as the client gives it, whatever it gives where a field is absent. */
export interface SeenEvent {
  type: string | undefined
  data: string
  lastEventId: string | undefined
}

export interface OpenOptions {
  method?: string
  headers?: Record<string, string>
  body?: string
  /** For an EventSource in a page: whether cookies go to another origin. */
  withCredentials?: boolean
  /** For fetch-event-source: whether it gets the callbacks that its README gives as an example. */
  withRecipe?: boolean
  /** For clients in a page: the origin of the page, which is then a page of its own; that of the stream when it is left out. */
  pageOrigin?: string
  /** For curl: more arguments. */
  args?: string[]
}

export type Open = (t: Test, url: string, options?: OpenOptions) => Promise<ForeignClient>

/** Wakes up those who wait for a condition when what it looks at has changed. */
export class Changes {
  #waiting: Array<() => void> = []

  tell (): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  async until (condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => { this.#waiting.push(resolve) })
  }
}

/** One client that reads one URL, whichever it is. */
export class ForeignClient {
  /** Leaves. */
  readonly close: () => Promise<void>
  /** How it stopped by itself, in its own words; undefined while it goes on. */
  ended: string | undefined
  /** What it said each time that a connection ended, or failed. */
  readonly failures: string[] = []
  /** Blocks of the stream without an event that it showed as one. Only fetch-event-source does. */
  blanks = 0
  /** Only of curl: the head of the response, and the body so far. */
  head = ''
  body = ''
  readonly changes = new Changes()
  readonly #events: SeenEvent[] = []

  constructor (close: () => unknown) {
    this.close = async () => { await close() }
  }

  /** The next events, fewer when it stops before. */
  async take (count: number): Promise<SeenEvent[]> {
    await this.changes.until(() => this.#events.length >= count || this.ended !== undefined)
    return this.#events.splice(0, count)
  }

  /** Resolves when it has stopped by itself. */
  async stopped (): Promise<string> {
    await this.changes.until(() => this.ended !== undefined)
    return this.ended!
  }

  /** What it has seen and nobody has taken. */
  get untaken (): SeenEvent[] {
    return [...this.#events]
  }

  report (what: string, value: unknown): void {
    if (what === 'event') {
      const event = value as SeenEvent
      if (event.type === '' && event.data === '') this.blanks++
      else this.#events.push(event)
    } else if (what === 'failure') {
      this.failures.push(value as string)
    } else {
      this.ended ??= value as string
    }
    this.changes.tell()
  }
}

/** The clients that this machine has. What is missing is named in a skip. */
export async function foreignClients (t: Test): Promise<Map<Name, Open>> {
  const clients = new Map<Name, Open>()
  const browser = await launchChromium(t)
  if (browser !== null) clients.set('Chromium\'s EventSource', inChromium(browser, 'eventSource'))
  clients.set('undici\'s EventSource', openUndici)
  clients.set('eventsource', openNpmEventSource)
  clients.set('eventsource-client', openEventSourceClient)
  if (browser !== null) clients.set('fetch-event-source', inChromium(browser, 'fetchEventSource'))
  if (requirePart(t, 'curl', spawnSync('curl', ['--version']).status === 0)) clients.set('curl', openCurl)
  return clients
}

interface EventSourceLike {
  readyState: number
  close: () => void
  addEventListener: (type: string, listener: (event: any) => void) => void
}

function watchEventSource (t: Test, source: EventSourceLike): ForeignClient {
  const client = new ForeignClient(() => source.close())
  t.teardown(client.close)
  for (const type of TYPES) {
    source.addEventListener(type, ({ type, data, lastEventId }) => client.report('event', { type, data, lastEventId }))
  }
  source.addEventListener('error', ({ message = '' }) => {
    client.report('failure', message)
    if (source.readyState === 2) client.report('end', 'closed')
  })
  return client
}

async function openUndici (t: Test, url: string): Promise<ForeignClient> {
  return watchEventSource(t, new UndiciEventSource(url) as EventSourceLike)
}

async function openNpmEventSource (t: Test, url: string): Promise<ForeignClient> {
  return watchEventSource(t, new NpmEventSource(url))
}

async function openEventSourceClient (t: Test, url: string, { method, headers, body }: OpenOptions = {}): Promise<ForeignClient> {
  const client = new ForeignClient(() => source.close())
  const source = createEventSource({
    url,
    ...(method === undefined ? {} : { method, headers: headers!, body }),
    onMessage: ({ event, data, id }) => client.report('event', { type: event, data, lastEventId: id }),
    onScheduleReconnect: ({ delay }) => client.report('failure', `comes back in ${delay} ms`),
    // Called before it closes itself.
    onDisconnect: () => queueMicrotask(() => { if (source.readyState === 'closed') client.report('end', 'closed') })
  })
  t.teardown(client.close)
  return client
}

function inChromium (browser: Browser, which: 'eventSource' | 'fetchEventSource'): Open {
  const bundle = buildSync({
    entryPoints: [fileURLToPath(new URL('page.js', import.meta.url))], bundle: true, write: false, format: 'iife', target: 'es2022'
  }).outputFiles[0]!.text
  const openPage = async (): Promise<PageOfClients> => {
    const page = await browser.newPage()
    const opened: PageOfClients = { page, client: null, number: 0 }
    await page.exposeFunction('reportToTest', (number: number, reports: Array<[what: string, value: unknown]>) => {
      if (number !== opened.number) return
      for (const [what, value] of reports) opened.client!.report(what, value)
    })
    await page.addInitScript(bundle)
    return opened
  }
  // Going to another place ends what the page did, and takes less time than a new one.
  let shared: Promise<PageOfClients> | undefined
  return async (t, url, { pageOrigin, withRecipe = false, withCredentials = false, ...init } = {}) => {
    const isOwn = pageOrigin !== undefined
    const opened = await (isOwn ? openPage() : shared ??= openPage())
    const { page } = opened
    const client = new ForeignClient(() => page.evaluate('closeClient()'))
    opened.client = client
    opened.number++
    t.teardown(() => isOwn ? page.context().close() : page.goto('about:blank'))
    await page.goto(`${pageOrigin ?? new URL(url).origin}/page`)
    const args = [opened.number, url, ...(which === 'eventSource' ? [TYPES, { withCredentials }] : [withRecipe, init])]
    await page.evaluate(`clients.${which}(...${JSON.stringify(args)})`)
    pages.set(client, page)
    return client
  }
}

/** A page with the client that it runs now, and the number of this client among all that it has run. */
interface PageOfClients {
  page: Page
  client: ForeignClient | null
  number: number
}

const pages = new WeakMap<ForeignClient, Page>()

/** The page of a client that runs in one. */
export function pageOf (client: ForeignClient): Page {
  return pages.get(client)!
}

async function openCurl (t: Test, url: string, { method, headers = {}, body, args = ['-N'] }: OpenOptions = {}): Promise<ForeignClient> {
  const curl = spawn('curl', [
    '-si', ...args,
    ...(method === undefined ? [] : ['-X', method]),
    ...Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`]),
    ...(body === undefined ? [] : ['--data-raw', body]),
    url
  ], { stdio: ['ignore', 'pipe', 'ignore'] })
  const exited = new Promise<void>((resolve) => curl.once('close', () => resolve()))
  const client = new ForeignClient(() => {
    curl.kill()
    return exited
  })
  t.teardown(client.close)
  // It has no parser: the frames are those on the wire, and this one is not ours either.
  const parser = createParser({ onEvent: ({ event, data, id }) => client.report('event', { type: event, data, lastEventId: id }) })
  let received = ''
  curl.stdout.setEncoding('utf8').on('data', (text: string) => {
    received += text
    if (client.head === '') {
      const end = received.indexOf('\r\n\r\n')
      if (end === -1) return
      client.head = received.slice(0, end + 4)
      text = received.slice(end + 4)
    }
    client.body += text
    parser.feed(text)
    client.changes.tell()
  })
  curl.once('close', (code, signal) => client.report('end', signal ?? `exit ${code}`))
  return client
}
