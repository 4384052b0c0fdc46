import { spawn } from 'node:child_process'
import { once, type EventEmitter } from 'node:events'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { Type } from '@sinclair/typebox'
import { QueryClient, type FetchQueryOptions } from '@tanstack/query-core'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import ts from 'typescript'
import type { Channel, ChannelFamily, ManifestStream } from '../lib/index.js'
import type { EventStream, Validator } from '../lib/client.js'
import { toTypeScript } from '../lib/documents/typescript/typescript.js'
import { createApp } from './support/app.js'
import { bareNode } from './support/bare-node.js'
import { connect } from './support/client.js'
import { until } from './support/sources.js'

// The compiler and several processes run here. The comment is how tap's runner is told.
t.setTimeout(180_000)
t.comment('timeout=180000')

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const snippetFolder = join(root, 'test', '.snippets')
const readme = readFileSync(join(root, 'README.md'), 'utf8')

const OPENING = ': sse-heartbeat: 15000\n\nretry: 3000\n\n'
const END = 'event: sse.end\ndata: null\nid: sse.end\n\n'

type Snippet = { app: FastifyInstance } & Record<string, unknown>

/** The application that the README generates a client of. */
let buildOrders: () => Promise<FastifyInstance>

/** What each TypeScript snippet of the README does, by the heading above it. */
const checks: Record<string, (t: Test, snippet: Snippet) => Promise<void>> = {
  'fastify-typed-sse': async (t, { app }) => {
    const { port } = app.server.address() as { port: number }
    const client = await connect(t, `http://127.0.0.1:${port}/clock`)
    t.match((await client.events(1))[0], /^event: tick\ndata: \{"now":"20\d\d-.*Z"\}\nid: 0\n\n$/)
  },
  'Send events': async (t, { app }) => {
    const done = 'event: done\ndata: null\n\n'
    const progress = (percent: number, id?: number): string => `event: progress\ndata: {"percent":${percent}}\n${id === undefined ? '' : `id: ${id}\n`}\n`
    t.equal((await app.inject('/array')).body, OPENING + progress(50) + done + END)
    t.equal((await app.inject('/generator')).body, OPENING + progress(0, 50) + progress(50, 100) + END)
    t.equal((await app.inject({ url: '/generator', headers: { 'last-event-id': '50' } })).body, OPENING + progress(50, 100) + END)
    t.equal((await app.inject('/readable')).body, OPENING + progress(100) + done + END)
    t.equal((await app.inject('/handle')).body, OPENING + progress(100) + ': clients do not show this\n\n' + END)
    t.equal((await app.inject({ method: 'POST', url: '/either', payload: { stream: true } })).body, OPENING + done + END)
    t.strictSame((await app.inject({ method: 'POST', url: '/either', payload: {} })).json(), { done: true })
  },
  'Send what an EventEmitter emits': async (t, { app, ticker }) => {
    const origin = await app.listen({ port: 0, host: '127.0.0.1' })
    const emitter = ticker as EventEmitter
    const connecting = connect(t, `${origin}/prices`)
    await until(() => emitter.listenerCount('price') === 1)
    emitter.emit('price', 'ACME', 12.5)
    const client = await connecting
    t.strictSame(await client.events(1), ['event: price\ndata: {"symbol":"ACME","price":12.5}\n\n'])
    client.fin()
    await until(() => emitter.listenerCount('price') === 0)
  },
  'Declare events': async (t, { event, same }) => {
    t.strictSame(event, { event: 'usage', data: { tokens: 42 }, id: 'u1' })
    t.strictSame(same, event)
  },
  'Stop the work when the client leaves': async (t, { app, steps }) => {
    const client = await connect(t, `${await app.listen({ port: 0, host: '127.0.0.1' })}/report`)
    await client.events(1)
    client.rst()
    await until(() => app.sse.stats().sources === 0)
    t.strictSame(steps, ['released the connection to the database'])
  },
  'Handle errors': async (t, { app }) => {
    const missing = await app.inject('/orders/0')
    t.equal(missing.statusCode, 404)
    t.strictSame(missing.json(), { statusCode: 404, error: 'Not Found', message: 'No such order' })
    t.equal((await app.inject('/orders/1')).body,
      OPENING + 'data: {"id":"1"}\n\nevent: sse.fault\ndata: {"code":"FST_SSE_SOURCE_FAILED","message":"Internal Server Error"}\n\n')
  },
  Channels: async (t, { app, orders }) => {
    const channel = orders as Channel<{ event: 'created' | 'shipped', data: { id: number, customer: string } }>
    const origin = await app.listen({ port: 0, host: '127.0.0.1' })
    const epoch = channel.lastEventId.split('.')[0]!
    const all = await connect(t, `${origin}/orders?lastEventId=${epoch}.0`)
    const ofBob = await connect(t, `${origin}/orders/bob`)
    await until(() => channel.subscribers === 2)
    await channel.publish({ event: 'shipped', data: { id: 1, customer: 'ann' } })
    await channel.publish({ event: 'created', data: { id: 2, customer: 'bob' } })
    const bobs = `event: created\ndata: {"id":2,"customer":"bob"}\nid: ${epoch}.3\n\n`
    t.strictSame(await all.events(3), [
      `event: created\ndata: {"id":1,"customer":"ann"}\nid: ${epoch}.1\n\n`,
      `event: shipped\ndata: {"id":1,"customer":"ann"}\nid: ${epoch}.2\n\n`,
      bobs
    ])
    t.strictSame(await ofBob.events(1), [bobs])
  },
  'Send the present state first': async (t, { app, setLevel }) => {
    const client = await connect(t, `${await app.listen({ port: 0, host: '127.0.0.1' })}/stock`)
    const level = (item: string, count: number): string => `event: level\ndata: {"item":"${item}","count":${count}}\n`
    t.strictSame(await client.events(2), [level('nuts', 3) + '\n', level('bolts', 5) + '\n'])
    const block = await client.frame()
    t.match(block, /^id: [\w-]{8}\.0\n\n$/)
    ;(setLevel as (item: string, count: number) => void)('nuts', 2)
    t.strictSame(await client.events(1), [level('nuts', 2) + block!.replace('.0', '.1')])
  },
  'Slow subscribers': async (t, { app, prices }) => {
    const client = await connect(t, `${await app.listen({ port: 0, host: '127.0.0.1' })}/prices`)
    const channel = prices as Channel<{ event: 'price', data: { symbol: string, price: number } }>
    await until(() => channel.subscribers === 1)
    const { id } = await channel.publish({ event: 'price', data: { symbol: 'ACME', price: 12.5 } })
    t.strictSame(await client.events(1), [`event: price\ndata: {"symbol":"ACME","price":12.5}\nid: ${id}\n\n`])
  },
  'Rooms, users, jobs': async (t, { app, rooms }) => {
    const family = rooms as ChannelFamily<{ event: 'message', data: { from: string, text: string } }>
    const client = await connect(t, `${await app.listen({ port: 0, host: '127.0.0.1' })}/two-rooms`)
    const [red] = await client.events(2)
    t.match(red, /^event: present\ndata: \{"count":1\}\nid: [\w-]+\.1,[\w-]+\.0\n\n$/)
    await family.for('blue').publish({ event: 'message', data: { from: 'ann', text: 'hello' } })
    t.match((await client.events(1))[0], /^event: message\ndata: \{"from":"ann","text":"hello"\}\nid: [\w-]+\.1,[\w-]+\.2\n\n$/)
  },
  'Read a channel in the server': async (t, { app, steps }) => {
    const channel = steps as Channel<{ event: 'step', data: number }>
    const connecting = connect(t, `${await app.listen({ port: 0, host: '127.0.0.1' })}/doubled`)
    await until(() => channel.subscribers === 1)
    const { id } = await channel.publish({ event: 'step', data: 21 })
    const client = await connecting
    t.strictSame(await client.events(1), [`event: step\ndata: 42\nid: ${id}\n\n`])
    client.fin()
    await until(() => channel.subscribers === 0)
  },
  'Connect with the typed client': async (t, { seen, show }) => {
    if (seen !== undefined) {
      t.strictSame(seen, ['50 %', 'done'])
      return
    }
    const { app } = await createApp(t)
    let authorization: string | undefined
    app.get('/clock', (request, reply) => {
      authorization = request.headers.authorization
      return reply.sse([{ event: 'tick', data: { now: 'noon' }, id: 7 }])
    })
    const lines: string[] = []
    const clock = (show as (url: string, write: (line: string) => void, token: () => Promise<string>) => EventStream)(
      `${await app.listen({ port: 0, host: '127.0.0.1' })}/clock`, (line) => lines.push(line), async () => 'secret')
    await clock.closed
    t.equal(authorization, 'Bearer secret')
    t.strictSame(lines, ['connecting', 'live', '7: noon', 'closed done'])
    t.equal(clock.lastEventId, '7')
  },
  'Declare a stream for both sides': async (t, { app, ask, askByType }) => {
    const origin = await app.listen({ port: 0, host: '127.0.0.1' })
    const eventsOf = async (stream: unknown): Promise<unknown[]> => {
      const events = []
      for await (const event of stream as EventStream) events.push(event)
      return events
    }
    const usage = { event: 'usage', data: { tokens: 3 } }
    t.strictSame(await eventsOf((ask as (url: string) => unknown)(origin)), [{ event: 'token', data: 'Why? small 7' }, usage])
    t.strictSame(await eventsOf((askByType as (url: string) => unknown)(origin)), [{ event: 'token', data: 'Why? undefined 7' }, usage])
  },
  'Check events on the client': async (t, { byTypeBox, byJSONSchema, byManifest }) => {
    const { app } = await createApp(t)
    const price = Type.Object({ symbol: Type.String(), price: Type.Number() }, { $id: 'Price' })
    app.get('/', { schema: { events: { price } } }, (_request, reply) => reply.sse([]))
    await app.ready()
    const ofManifest = (byManifest as (stream: ManifestStream | undefined) => Validator)(app.sse.manifest().streams[0])
    for (const validate of [byTypeBox, byJSONSchema, ofManifest] as Validator[]) {
      t.equal(validate({ event: 'price', data: { symbol: 'ACME', price: 1.5 } }), undefined)
      t.match(validate({ event: 'price', data: { symbol: 'ACME', price: '1.5' } }), 'price')
      t.equal(validate({ event: 'new', data: 1 }), undefined)
    }
  },
  'Use it in React, in a page, with TanStack Query': async (t, { stepsOf }) => {
    const { app } = await createApp(t)
    app.get('/jobs/:id/steps', (_request, reply) => reply.sse([{ event: 'step', data: { percent: 50 } }, { event: 'step', data: { percent: 100 } }]))
    const origin = await app.listen({ port: 0, host: '127.0.0.1' })
    const client = new QueryClient()
    t.strictSame(await client.fetchQuery((stepsOf as (id: number, baseUrl: string) => FetchQueryOptions)(7, origin)),
      [{ event: 'step', data: { percent: 50 } }, { event: 'step', data: { percent: 100 } }])
    client.clear()
  },
  'Generate clients': async (t, { default: buildApp, watch }) => {
    if (buildApp !== undefined) return
    const app = await buildOrders()
    t.teardown(() => app.close())
    let authorization: string | undefined
    app.addHook('onRequest', async (request) => { authorization = request.headers.authorization })
    const shown: unknown[] = []
    await (watch as (baseUrl: string, show: (order: unknown) => void, token: () => Promise<string>) => Promise<void>)(
      await app.listen({ port: 0, host: '127.0.0.1' }), (order) => shown.push(order), async () => 'secret')
    t.strictSame(shown, [{ id: 7, status: 'open' }])
    t.equal(authorization, 'Bearer secret')
  },
  'Limit and revoke': async (t, { app }) => {
    t.equal((await app.inject('/feed')).body, OPENING + 'data: "yours"\n\n' + END)
    t.strictSame((await app.inject({ method: 'POST', url: '/ban/ann' })).json(), { ended: 0 })
  },
  'Test your routes': async (t, { app, first, more }) => {
    const count = (n: number): object => ({ event: 'count', data: n, id: String(n) })
    t.strictSame([first, more], [count(42), [count(43), count(44)]])
    t.equal(app.sse.stats().open, 0)
  }
}

interface Block {
  heading: string
  code: string
}

/** The fenced blocks of a language, each with the heading above it. */
function blocks (markdown: string, language: string): Block[] {
  const found: Block[] = []
  let heading = ''
  for (const [, title, name, code] of markdown.matchAll(/^#+ (.*)$|^```(\w*)\n([\s\S]*?)^```$/gm)) {
    if (title !== undefined) heading = title
    else if (name === language) found.push({ heading, code: code! })
  }
  return found
}

t.test('every snippet of the README compiles, and does what the README says', async (t) => {
  rmSync(snippetFolder, { recursive: true, force: true })
  mkdirSync(snippetFolder, { recursive: true })
  t.teardown(() => rmSync(snippetFolder, { recursive: true, force: true }))
  const snippets = blocks(readme, 'ts').map(({ heading, code }, index) => {
    const file = join(snippetFolder, `snippet-${index}.ts`)
    writeFileSync(file, code
      .replaceAll("'fastify-typed-sse'", "'../../lib/index.js'")
      .replaceAll("'fastify-typed-sse/client'", "'../../lib/client.js'")
      .replace(/'fastify-typed-sse\/client\/([\w-]+)'/g, "'../../lib/client/$1.js'")
      .replaceAll("'fastify-typed-sse/events'", "'../../lib/events.js'")
      .replaceAll("'fastify-typed-sse/testing'", "'../../lib/testing.js'")
      .replace('port: 3000', 'port: 0'))
    return { heading, file }
  })
  t.strictSame([...new Set(snippets.map(({ heading }) => heading))], Object.keys(checks))

  // What one snippet is generated from, and another imports.
  buildOrders = ((await import(pathToFileURL(snippets.find(({ heading }) => heading === 'Generate clients')!.file).href)) as { default: () => Promise<FastifyInstance> }).default
  const app = await buildOrders()
  await app.ready()
  mkdirSync(join(snippetFolder, 'api'))
  writeFileSync(join(snippetFolder, 'api', 'streams.ts'), toTypeScript(app.sse.manifest()))
  await app.close()

  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile)
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root)
  const program = ts.createProgram(snippets.map(({ file }) => file), options)
  const problems = ts.getPreEmitDiagnostics(program).map((problem) => ts.flattenDiagnosticMessageText(problem.messageText, '\n'))
  t.strictSame(problems, [])

  const { log } = console
  console.log = () => {}
  t.teardown(() => { console.log = log })
  for (const { heading, file } of snippets) {
    await t.test(heading, async (t) => {
      const snippet: Snippet = await import(pathToFileURL(file).href)
      t.teardown(() => snippet.app?.close())
      await checks[heading]!(t, snippet)
    })
  }
})

t.test('the command lines of the README do what it says', async (t) => {
  const dir = join(root, 'test', '.snippets', 'commands')
  mkdirSync(dir, { recursive: true })
  t.teardown(() => rmSync(snippetFolder, { recursive: true, force: true }))
  const code = blocks(readme, 'ts').find(({ heading }) => heading === 'Generate clients')!.code.replaceAll("'fastify-typed-sse'", "'../../../lib/index.js'")
  writeFileSync(join(dir, 'app.ts'), code)
  const app = await buildOrders()
  t.teardown(() => app.close())
  const origin = await app.listen({ port: 0, host: '127.0.0.1' })

  /** What stands behind `npx fastify-typed-sse`, run. */
  const run = async (line: string, input = ''): Promise<{ code: unknown, stdout: string, stderr: string }> => {
    const [command, ...first] = bareNode
    const child = spawn(command, [...first, '--import', 'tsx', join(root, 'lib/cli/main.ts'), ...line.replace('localhost:3000', origin).split(' ').slice(2)], { cwd: dir, stdio: 'pipe' })
    t.teardown(() => child.kill('SIGKILL'))
    const output = { stdout: '', stderr: '' }
    for (const name of ['stdout', 'stderr'] as const) child[name].setEncoding('utf8').on('data', (chunk: string) => { output[name] += chunk })
    child.stdin.end(input)
    const [code] = await once(child, 'close')
    return { code, ...output }
  }
  const read = (name: string): string => readFileSync(join(dir, 'api', name), 'utf8')

  const [generate, both, check, diff, openapi, asyncapi, tail, ...others] = blocks(readme, 'sh').flatMap(({ code }) => code.split('\n').filter((line) => line.includes('npx fastify-typed-sse')))
  t.strictSame(others, [])
  t.strictSame(await run(generate!), { code: 0, stdout: '', stderr: `written ${join('api', 'streams.ts')}\n` })
  t.equal(read('streams.ts'), toTypeScript(app.sse.manifest()))
  t.strictSame(await run(both!), { code: 0, stdout: '', stderr: `unchanged ${join('api', 'streams.ts')}\nwritten ${join('api', 'streams.manifest.json')}\n` })
  t.strictSame(JSON.parse(read('streams.manifest.json')), JSON.parse(JSON.stringify(app.sse.manifest())))
  t.match(await run(check!), { code: 0 })

  const released = read('streams.manifest.json')
  const [git, ours] = diff!.split(' | ')
  t.equal(git, 'git show main:api/streams.manifest.json')
  t.match(await run(ours!, released), { code: 0, stdout: 'No change that clients could notice.\n' })
  writeFileSync(join(dir, 'app.ts'), code.replace('changed: Order, ', '').replace("Type.Literal('shipped')", "Type.Literal('shipped'), Type.Literal('lost')"))
  t.match(await run(check!), { code: 1 })
  t.match(await run(both!), { code: 0 })
  t.strictSame(await run(ours!, released), { code: 1, stdout: blocks(readme, 'text').find(({ heading }) => heading.startsWith('Check in CI'))!.code, stderr: '' })

  t.match(await run(openapi!), { code: 0 })
  t.match(JSON.parse(read('streams.openapi.json')), { openapi: /^3\.1\./ })
  t.match(await run(asyncapi!), { code: 0 })
  t.match(JSON.parse(read('streams.asyncapi.json')), { asyncapi: '3.0.0' })
  writeFileSync(join(dir, 'api', 'streams.manifest.json'), released)
  const tailed = await run(tail!)
  t.equal(tailed.code, 0, tailed.stderr)
  t.match(tailed.stdout, /created +\S*1 .*\{"id":7,"status":"open"\}\n.*note .*That is all\.\n/)
})

t.test('the README names the two commands as they are run', async (t) => {
  t.match(readme, 'npm ci && npm start')
  t.match(readme, 'npm ci && npm test')
})

t.test('the README lists every option with its default, and no other', async (t) => {
  const { DEFAULTS } = await import('../lib/plugin/options.js')
  const types = readFileSync(join(root, 'lib/plugin/types.ts'), 'utf8')
  const [, section] = /export interface RouteStreamOptions \{([\s\S]*?)\n\}/.exec(types)!
  const declared = new Map<string, string | undefined>()
  for (const [, comment, option] of section!.matchAll(/\/\*\*([\s\S]*?)\*\/\s+(\w+)\?:/g)) {
    declared.set(option!, /@defaultValue `([^`]*)`/.exec(comment!)?.[1]?.replaceAll('_', ''))
  }
  const table = new Map([...readme.split('\n## Options')[1]!.split('\n## ')[0]!.matchAll(/^\| `(\w+)` \|[^\n]*?\| ([^|]*) \| [^|]* \|$/gm)]
    .map(([, option, value]) => [option!, value!.replaceAll('`', '')]))
  table.delete('limits')
  table.delete('openapi')
  t.strictSame([...table.keys()], [...declared.keys()])
  for (const [option, value] of declared) {
    if (value === undefined) continue
    t.equal(table.get(option), value, option)
    t.equal(String(DEFAULTS[option as keyof typeof DEFAULTS]), value.replaceAll("'", ''), option)
  }
})

t.test('the README lists every option of a channel with its default, and no other', async (t) => {
  const types = readFileSync(join(root, 'lib/channel/types.ts'), 'utf8')
  const declared = new Map<string, string | undefined>()
  for (const [name, prefix] of [['BacklogOptions', 'backlog.'], ['ChannelOptions<E = unknown>', ''], ['FamilyOptions<E = unknown> extends ChannelOptions<E>', '']] as const) {
    const [, section] = types.split(`export interface ${name} {`)
    for (const [, comment, option] of section!.split('\n}')[0]!.matchAll(/\/\*\*([\s\S]*?)\*\/\s+(\w+)\?:/g)) {
      declared.set(prefix + option!, /@defaultValue `([^`]*)`/.exec(comment!)?.[1]?.replaceAll('_', ''))
    }
  }
  declared.delete('backlog')
  const table = new Map([...readme.split('### What channels guarantee')[1]!.split('\n## ')[0]!.matchAll(/^\| (`[\w.`, ]+`) \|[^\n]*?\| ([^|]*) \| [^|]* \|$/gm)]
    .flatMap(([, options, value]) => options!.replaceAll('`', '').split(', ').map((option) => [option, value!.replaceAll('`', '')] as const)))
  t.strictSame([...table.keys()].sort(), [...declared.keys()].sort())
  for (const [option, value] of declared) {
    if (value !== undefined) t.equal(table.get(option), value.split(' ')[0], option)
  }
})

t.test('the README lists every option of the client with its default, and no other', async (t) => {
  const types = readFileSync(join(root, 'lib/client/types.ts'), 'utf8')
  const declared = new Map<string, string | undefined>()
  for (const [section] of types.matchAll(/^(?:export )?interface (?:Common|Connect|Declared)Options\b[\s\S]*?\n\}/gm)) {
    for (const [, comment, option] of section.matchAll(/\/\*\*([\s\S]*?)\*\/\s+(\w+)\?:/g)) {
      declared.set(option!, /@defaultValue `([^`]*)`\n/.exec(comment!)?.[1]?.replaceAll('_', ''))
    }
  }
  const table = new Map([...readme.split('### Options of the client')[1]!.split('\n## ')[0]!.matchAll(/^\| (`[\w.`, ]+`) \|[^\n]*?\| ([^|]*) \| [^|]* \|$/gm)]
    .flatMap(([, options, value]) => options!.replaceAll('`', '').split(', ').map((option) => [option, value!.replaceAll('`', '')] as const)))
  t.strictSame([...table.keys()].sort(), [...declared.keys()].sort())
  for (const [option, value] of declared) {
    if (value !== undefined) t.equal(table.get(option), value, option)
  }
})

t.test('the README lists every kind of error of the client, and no other', async (t) => {
  const [, union] = /export type StreamErrorKind =\n(.*)/.exec(readFileSync(join(root, 'lib/client/error.ts'), 'utf8'))!
  const table = readme.split('| `error.kind` |')[1]!.split('\n\n')[0]!
  t.strictSame([...new Set([...table.matchAll(/^\| [^|]* \| `([\w-]+)` \|/gm)].map(([, kind]) => kind))].sort(), [...union!.matchAll(/'([\w-]+)'/g)].map(([, kind]) => kind).sort())
})

t.test('the README lists every reason of a gap, and no other', async (t) => {
  const [, union] = /export type GapReason = (.*)/.exec(readFileSync(join(root, 'lib/schema/control-events.ts'), 'utf8'))!
  const table = readme.split('| `reason` |')[1]!.split('\n\n')[0]!
  t.strictSame([...table.matchAll(/^\| `(\w+)` \|/gm)].map(([, reason]) => reason).sort(), [...union!.matchAll(/'(\w+)'/g)].map(([, reason]) => reason).sort())
})

t.test('the README lists every reason why a stream ends, and no other', async (t) => {
  const types = readFileSync(join(root, 'lib/close-reason.ts'), 'utf8')
  const [, union] = /export type CloseReason =([\s\S]*)/.exec(types)!
  const declared = [...union!.matchAll(/'([\w-]+)'/g)].map(([, reason]) => reason)
  const table = readme.split('| Reason |')[1]!.split('\n\n')[0]!
  t.strictSame([...table.matchAll(/`([\w-]+)`(?=[,\s].*\|)/g)].map(([, reason]) => reason).filter((reason) => declared.includes(reason)), declared)
})

t.test('every link of the documents leads to a file, or to a heading', async (t) => {
  for (const name of ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'ERRORS.md', 'CHANGELOG.md', 'bench/README.md', 'examples/README.md']) {
    const text = readFileSync(join(root, name), 'utf8')
    const anchors = [...text.matchAll(/^#+ (.*)$/gm)].map(([, title]) => '#' + title!.toLowerCase().replace(/[^\w\- ]/g, '').replaceAll(' ', '-'))
    for (const [, target] of text.matchAll(/\]\(([^)]+)\)/g)) {
      if (/^https?:/.test(target!)) continue
      if (target!.startsWith('#')) t.ok(anchors.includes(target!), `${name}: ${target}`)
      else t.ok(existsSync(join(root, dirname(name), target!.split('#')[0]!)), `${name}: ${target}`)
    }
  }
})
