// The package as it is shipped: packed, put into a folder of its own with nothing beside it but what it declares.
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { createContext, runInContext } from 'node:vm'
import { build } from 'esbuild'
import { publint } from 'publint'
import t from 'tap'
import { bareNode } from './support/bare-node.js'

// Packing builds the package, and three compilers run here.
t.setTimeout(300_000)

const ROOT = fileURLToPath(new URL('../', import.meta.url))
const NAME = 'fastify-typed-sse'

const STREAM = ': sse-heartbeat: 15000\n\nretry: 3000\n\n' +
  'event: tick\ndata: {"n":1}\nid: 1\n\n' +
  'event: sse.end\ndata: null\nid: sse.end\n\n'

/** Runs a program outside tap's instrumentation. Rejects, with all it printed, when it exits with another code than 0. */
async function run (command: string, args: string[], cwd: string): Promise<{ stdout: string, stderr: string }> {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(NODE_|_?TAP)/.test(name)))
  try {
    const [program, ...first] = command === process.execPath ? bareNode : [command]
    return await promisify(execFile)(program, [...first, ...args], { cwd, env, shell: process.platform === 'win32', maxBuffer: 1 << 26 })
  } catch (error) {
    const { message, stdout } = error as Error & { stdout: string }
    throw new Error(`${message}\n${stdout}`)
  }
}

/** All files below a directory, as relative paths with slashes, in order. */
async function filesBelow (dir: string): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile())
    .map((entry) => relative(dir, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .sort()
}

/**
 * Packs a copy of the checkout, which has no build output: so the package is that of the present sources, and neither
 * stale files nor other tests that build can get in its way. The copy finds `node_modules` in a directory above it.
 */
async function pack (): Promise<string> {
  const dir = t.testdir({ tarball: {} })
  const isCopied = (path: string): boolean => !/^(\.(?!gitignore$|npmignore$)|node_modules$|dist$|coverage$)/.test(basename(path))
  for (const entry of await readdir(ROOT)) {
    if (isCopied(entry)) await cp(join(ROOT, entry), join(dir, 'package', entry), { recursive: true, filter: isCopied })
  }
  await run('npm', ['pack', '--pack-destination', join(dir, 'tarball')], join(dir, 'package'))
  const [tarball] = await readdir(join(dir, 'tarball'))
  return join(dir, 'tarball', tarball!)
}

/** An empty project into which the package, its dependencies and its peers are installed, and nothing else. */
async function install (tarball: string): Promise<{ project: string, installed: string }> {
  const project = await realpath(await mkdtemp(join(tmpdir(), `${NAME}-`)))
  t.teardown(() => rm(project, { recursive: true, force: true }))
  const installed = join(project, 'node_modules', NAME)
  await mkdir(installed, { recursive: true })
  await run('tar', ['-xzf', tarball, '--strip-components=1', '-C', installed], project)
  const { dependencies, peerDependencies } = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8'))
  for (const name of Object.keys({ ...dependencies, ...peerDependencies, '@types/node': '' })) {
    const link = join(project, 'node_modules', name)
    await mkdir(dirname(link), { recursive: true })
    await symlink(join(ROOT, 'node_modules', name), link, 'junction')
  }
  return { project, installed }
}

const tarball = await pack()
const { project, installed } = await install(tarball)

/** Runs a file of the project, and gives what it prints as JSON. A warning fails. */
async function runScript (name: string, source: string): Promise<unknown> {
  await writeFile(join(project, name), source)
  const { stdout, stderr } = await run(process.execPath, [name], project)
  if (stderr !== '') throw new Error(stderr)
  return JSON.parse(stdout)
}

t.test('it contains what was built, its documents, and nothing else', async (t) => {
  // The client is bundled over what was compiled of it: under the same names, and no others.
  const sources = [...(await filesBelow(join(ROOT, 'lib'))).map((path) => `lib/${path}`), ...(await filesBelow(join(ROOT, 'types'))).map((path) => `types/${path}`)]
  const built = sources.filter((path) => !/\.tst\.[cm]?ts$/.test(path))
    .flatMap((path) => ['.d.ts', '.js'].map((extension) => `dist/${path.replace(/\.ts$/, extension)}`))
  t.strictSame(await filesBelow(installed),
    ['ARCHITECTURE.md', 'CHANGELOG.md', 'ERRORS.md', 'LICENSE', 'README.md', 'package.json', ...built].sort())
})

t.test('every entry can be imported and required, and both give the same', async (t) => {
  const entries = ['.', './events', './client', './client/typebox', './client/json-schema', './testing', './package.json']
  t.strictSame(Object.keys(JSON.parse(await readFile(join(installed, 'package.json'), 'utf8')).exports), entries)
  const names = await runScript('entries.mjs', `
    import { createRequire } from 'node:module'
    const require = createRequire(import.meta.url)
    const found = {}
    for (const entry of ${JSON.stringify(entries.slice(0, -1).map((entry) => NAME + entry.slice(1)))}) {
      const imported = await import(entry)
      found[entry] = { names: Object.keys(imported), isSame: Object.entries(imported).every(([name, value]) => require(entry)[name] === value) }
    }
    const manifest = (await import('${NAME}/package.json', { with: { type: 'json' } })).default
    found['package.json'] = [manifest.name, require('${NAME}/package.json').name]
    console.log(JSON.stringify(found))
  `)
  t.strictSame(names, {
    [NAME]: { names: ['SSEError', 'default', 'defineEvents', 'defineStream', 'isText', 'ssePlugin', 'text'], isSame: true },
    [`${NAME}/events`]: { names: ['defineEvents', 'defineStream', 'isText', 'text'], isSame: true },
    [`${NAME}/client`]: { names: ['StreamError', 'connect'], isSame: true },
    [`${NAME}/client/typebox`]: { names: ['typeboxValidator'], isSame: true },
    [`${NAME}/client/json-schema`]: { names: ['jsonSchemaValidator'], isSame: true },
    [`${NAME}/testing`]: { names: ['StreamFaultError', 'injectSSE'], isSame: true },
    'package.json': [NAME, NAME]
  })
})

const SERVER = `
  const app = Fastify()
  app.register(plugin)
  app.after(() => {
    app.get('/', { schema: { events: defineEvents({ tick: Type.Object({ n: Type.Integer() }) }) } }, (_request, reply) =>
      reply.sse(function * () { yield { event: 'tick', data: { n: 1, undeclared: 1 }, id: 1 } }))
  })
  async function answer () {
    const response = await fetch(await app.listen({ port: 0, host: '127.0.0.1' }))
    const text = await response.text()
    await app.close()
    return text
  }
`

t.test('a server can be written as an ECMAScript module', async (t) => {
  t.equal(await runScript('server.mjs', `
    import Fastify from 'fastify'
    import { Type } from '@sinclair/typebox'
    import plugin, { defineEvents } from '${NAME}'
    ${SERVER}
    console.log(JSON.stringify(await answer()))
  `), STREAM)
})

t.test('a server can be written with require, whichever export is registered', async (t) => {
  for (const plugin of [`require('${NAME}')`, `require('${NAME}').default`, `require('${NAME}').ssePlugin`]) {
    t.equal(await runScript('server.cjs', `
      const Fastify = require('fastify')
      const { Type } = require('@sinclair/typebox')
      const { defineEvents } = require('${NAME}/events')
      const plugin = ${plugin}
      ${SERVER}
      answer().then((text) => console.log(JSON.stringify(text)))
    `), STREAM, plugin)
  }
})

t.test('a test can be written as an ECMAScript module, and with require', async (t) => {
  const body = `
    ${SERVER}
    async function read () {
      const stream = await injectSSE(app, '/')
      return [await stream.take(2), stream.ended]
    }
    read().then((given) => console.log(JSON.stringify(given)))
  `
  for (const [file, imports] of [
    ['test.mjs', `
      import Fastify from 'fastify'
      import { Type } from '@sinclair/typebox'
      import plugin, { defineEvents } from '${NAME}'
      import { injectSSE } from '${NAME}/testing'
    `],
    ['test.cjs', `
      const Fastify = require('fastify')
      const { Type } = require('@sinclair/typebox')
      const { default: plugin, defineEvents } = require('${NAME}')
      const { injectSSE } = require('${NAME}/testing')
    `]
  ] as const) {
    t.strictSame(await runScript(file, imports + body), [[{ event: 'tick', data: { n: 1 }, id: '1' }], 'source-ended'], file)
  }
})

t.test('a client can be written as an ECMAScript module, and with require', async (t) => {
  const body = `
    const Clock = defineStream({ path: '/:zone', params: Type.Object({ zone: Type.String() }), events: { tick: Type.Object({ n: Type.Integer() }) } })
    const app = Fastify()
    app.register(plugin)
    app.after(() => app.get(Clock.path, { schema: Clock.schema, sse: { validation: 'off' } }, (request, reply) =>
      reply.sse([{ event: 'tick', data: { n: 1 }, id: request.params.zone }, { event: 'tick', data: { n: 'x' } }])))
    async function read () {
      const baseUrl = await app.listen({ port: 0, host: '127.0.0.1' })
      const given = []
      for (const validate of [undefined, typeboxValidator(Clock), jsonSchemaValidator(Clock.events.schemas)]) {
        try {
          for await (const event of connect(Clock, { baseUrl, params: { zone: 'utc' }, validate })) given.push(event)
        } catch (error) {
          given.push([error instanceof StreamError, error.kind])
        }
      }
      await app.close()
      return given
    }
    read().then((given) => console.log(JSON.stringify(given)))
  `
  for (const [file, imports] of [
    ['client.mjs', `
      import Fastify from 'fastify'
      import { Type } from '@sinclair/typebox'
      import plugin from '${NAME}'
      import { defineStream } from '${NAME}/events'
      import { connect, StreamError } from '${NAME}/client'
      import { typeboxValidator } from '${NAME}/client/typebox'
      import { jsonSchemaValidator } from '${NAME}/client/json-schema'
    `],
    ['client.cjs', `
      const Fastify = require('fastify')
      const { Type } = require('@sinclair/typebox')
      const { default: plugin } = require('${NAME}')
      const { defineStream } = require('${NAME}/events')
      const { connect, StreamError } = require('${NAME}/client')
      const { typeboxValidator } = require('${NAME}/client/typebox')
      const { jsonSchemaValidator } = require('${NAME}/client/json-schema')
    `]
  ] as const) {
    const first = { event: 'tick', data: { n: 1 }, id: 'utc' }
    t.strictSame(await runScript(file, imports + body),
      [first, { event: 'tick', data: { n: 'x' }, id: 'utc' }, first, [true, 'invalid'], first, [true, 'invalid']], file)
  }
})

t.test('the client runs in a browser: it loads nothing but itself, and needs nothing of Node', async (t) => {
  await writeFile(join(project, 'page.mjs'), `
    import { connect } from '${NAME}/client'
    connect('/clock').on('tick', () => {})
  `)
  // For a browser, esbuild fails at an import of a module of Node.
  const { metafile } = await build({
    entryPoints: [join(project, 'page.mjs')],
    absWorkingDir: project,
    bundle: true,
    splitting: true,
    platform: 'browser',
    format: 'esm',
    outdir: join(project, 'page'),
    write: false,
    metafile: true,
    logLevel: 'silent'
  })
  const inputs = Object.keys(metafile.inputs).filter((path) => path !== 'page.mjs').map((path) => path.split(`node_modules/${NAME}/`)[1])
  t.ok(inputs.includes('dist/lib/client.js'))
  t.strictSame(inputs.filter((path) => !/^dist\/lib\/client(\/[a-z-]+)?\.js$/.test(path!)), [])
  const [main] = Object.entries(metafile.outputs).filter(([path]) => path.endsWith('page/page.js')).map(([, output]) => output)
  t.strictSame(Object.keys(main!.inputs).sort(), [`node_modules/${NAME}/dist/lib/client.js`, 'page.mjs'].sort(), 'in one file, but for what is loaded when it is needed')
})

t.test('the contract runs in a browser: it loads TypeBox alone, and needs nothing of Node', async (t) => {
  await writeFile(join(project, 'browser.mjs'), `
    import { Type } from '@sinclair/typebox'
    import { defineEvents } from '${NAME}/events'
    globalThis.made = defineEvents({ tick: Type.Integer() }).make.tick(1, { id: 2 })
  `)
  // For a browser, esbuild fails at an import of a module of Node.
  const { outputFiles, metafile } = await build({
    entryPoints: [join(project, 'browser.mjs')],
    absWorkingDir: project,
    bundle: true,
    platform: 'browser',
    format: 'iife',
    write: false,
    metafile: true,
    logLevel: 'silent'
  })
  const packages = Object.keys(metafile.inputs).map((path) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? path)
  t.strictSame([...new Set(packages)].sort(), ['@sinclair/typebox', 'browser.mjs', NAME])
  // A context has what the language defines, and neither `process` nor `Buffer`.
  const globals = createContext({ made: undefined })
  runInContext(outputFiles[0]!.text, globals)
  t.equal(JSON.stringify(globals['made']), '{"event":"tick","data":1,"id":2}')
})

const CONSUMER = `
  const Clock = defineEvents({ tick: Type.Object({ n: Type.Integer() }), closing: Type.Null() })

  // One contract serves a server and, from the entry without Fastify, everybody else.
  const event: EventOf<typeof Clock> = Contract.defineEvents(Clock.schemas).make.tick({ n: 1 })
  event satisfies { event: 'tick', data: { n: number } } | { event: 'closing', data: null }

  const app = Fastify()
  app.register(ssePlugin, { heartbeatMs: 1000, onDisconnect: (request, { reason }) => { request.log.info(reason satisfies CloseReason) } })
  // @ts-expect-error an option of the plugin that does not exist
  app.register(ssePlugin, { hartbeatMs: 1000 })

  app.get('/right', { schema: { events: Clock }, sse: { maxAgeMs: 1000 } }, (_request, reply) =>
    reply.sse(async function * ({ signal, lastEventId }) {
      while (!signal.aborted) yield { event: 'tick', data: { n: Number(lastEventId) } }
      yield { event: 'closing', data: null }
    }))
  app.get('/pushed', { schema: { events: Clock } }, async (_request, reply) => {
    const stream = reply.sse()
    await stream.send({ event: 'tick', data: { n: 1 } })
    // @ts-expect-error the wrong data
    await stream.send({ event: 'tick', data: { n: '1' } })
    return stream.closed
  })
  // @ts-expect-error an option of the route that does not exist
  app.get('/option', { schema: { events: Clock }, sse: { maxAge: 1000 } }, (_request, reply) => reply.sse([]))
  app.get('/wrong', { schema: { events: Clock } }, (_request, reply) => {
    // @ts-expect-error the wrong data
    reply.sse([{ event: 'tick', data: { n: '1' } }])
    // @ts-expect-error the wrong data, in a generator
    reply.sse(async function * () { yield { event: 'tick', data: {} } })
    // @ts-expect-error an event that is not declared
    reply.sse([{ event: 'tock', data: { n: 1 } }])
  })
  app.sse.stats().open satisfies number

  export async function test () {
    const stream = await injectSSE<typeof Clock>(app, { url: '/right' })
    for await (const event of stream) if (event.event === 'tick') event.data.n satisfies number
    // @ts-expect-error an option of a request that does not exist
    await injectSSE<typeof Clock>(app, { uri: '/right' })
  }
`

const IMPORTS = `
  import Fastify from 'fastify'
  import { Type } from '@sinclair/typebox'
  import ssePlugin, { defineEvents, type CloseReason, type EventOf } from '${NAME}'
  import * as Contract from '${NAME}/events'
  import { injectSSE } from '${NAME}/testing'
`

const REQUIRES = `
  import Fastify = require('fastify')
  import Typebox = require('@sinclair/typebox')
  import sse = require('${NAME}')
  import Contract = require('${NAME}/events')
  import Testing = require('${NAME}/testing')
  const { Type } = Typebox
  const { injectSSE } = Testing
  const { ssePlugin, defineEvents } = sse
  type CloseReason = sse.CloseReason
  type EventOf<C> = Contract.EventOf<C>
`

/** What the compiler says about a program, with the declarations of all packages checked too. */
async function compile (files: Record<string, string>, compilerOptions: object): Promise<string> {
  const dir = await mkdtemp(join(project, 'compile-'))
  for (const [file, source] of Object.entries(files)) await writeFile(join(dir, file), source)
  await writeFile(join(dir, 'tsconfig.json'), JSON.stringify({
    compilerOptions: {
      target: 'ES2022',
      strict: true,
      exactOptionalPropertyTypes: true,
      noEmit: true,
      skipLibCheck: false,
      types: ['node'],
      ...compilerOptions
    },
    files: Object.keys(files)
  }))
  try {
    return (await run(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', '.', '--pretty', 'false'], dir)).stdout
  } catch (error) {
    return (error as Error).message
  }
}

t.test('the shipped types compile, without skipLibCheck, and refuse what is wrong', async (t) => {
  const [node, bundler] = await Promise.all([
    compile({ 'module.mts': IMPORTS + CONSUMER, 'common.cts': REQUIRES + CONSUMER }, { module: 'NodeNext' }),
    compile({ 'bundled.ts': IMPORTS + CONSUMER }, { module: 'ESNext', moduleResolution: 'Bundler' })
  ])
  t.equal(node, '', 'for Node, as ECMAScript module and as CommonJS')
  t.equal(bundler, '', 'for a bundler')
})

const READER = `
  import { Type } from '@sinclair/typebox'
  import { defineStream } from '${NAME}/events'
  import { connect, StreamError, type ConnectOptions, type EventStream, type StreamEvent, type UnknownEvent } from '${NAME}/client'
  import { typeboxValidator } from '${NAME}/client/typebox'
  import { jsonSchemaValidator } from '${NAME}/client/json-schema'

  const Order = defineStream({ path: '/orders/:id', params: Type.Object({ id: Type.Integer() }), events: { shipped: Type.Object({ at: Type.String() }) } })
  const options: ConnectOptions = { fetch, signal: new AbortController().signal, headers: () => new Headers(), validate: typeboxValidator(Order) }
  const stream = connect(Order, { params: { id: 7 }, fetch: (url, init) => fetch(url, init), validate: jsonSchemaValidator(Order.events.schemas) })
  const same: EventStream<StreamEvent<typeof Order>> = connect<typeof Order>('/orders/:id', { params: { id: 7 } })
  // @ts-expect-error a parameter is missing
  connect(Order, { params: {} })
  // @ts-expect-error an event that is not declared
  stream.on('lost', () => {})

  export async function read (): Promise<string | undefined> {
    same.on('shipped', ({ at }) => at satisfies string)
    connect(new URL('https://example.test'), options).on('anything', (data) => data satisfies unknown)
    try {
      for await (const event of stream) {
        switch (event.event) {
          case 'shipped': return event.data.at
          case 'sse.gap': return event.data.resumedAt
          default: event satisfies UnknownEvent
        }
      }
    } catch (error) {
      if (error instanceof StreamError) return error.kind
    }
    return (await stream.closed).reason
  }
`

t.test('the types of the client compile for a page without those of Node, and for Node without those of a page', async (t) => {
  const modules = { module: 'ESNext', moduleResolution: 'Bundler' }
  const [page, node] = await Promise.all([
    compile({ 'page.ts': READER }, { ...modules, lib: ['ES2022', 'DOM', 'DOM.Iterable', 'DOM.AsyncIterable'], types: [] }),
    compile({ 'module.mts': READER, 'common.cts': READER }, { module: 'NodeNext', lib: ['ES2022'] })
  ])
  t.equal(page, '', 'for a page')
  t.equal(node, '', 'for Node')
})

t.test('the command generates a client that compiles beside the shipped types, and reads a stream', async (t) => {
  const main = join(installed, 'dist/lib/cli/main.js')
  const { bin, version } = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8'))
  t.strictSame(bin, { [NAME]: './dist/lib/cli/main.js' })
  t.ok((await readFile(main, 'utf8')).startsWith('#!/usr/bin/env node\n'))
  t.strictSame(await run(process.execPath, [main, '--version'], project), { stdout: `${version}\n`, stderr: '' })

  await writeFile(join(project, 'routes.mjs'), `
    import { Type } from '@sinclair/typebox'
    export default async (app) => {
      app.get('/ticks/:zone', { schema: { params: Type.Object({ zone: Type.String() }), events: { tick: Type.Object({ n: Type.Integer() }) } } }, (request, reply) =>
        reply.sse([{ event: 'tick', data: { n: 1 }, id: request.params.zone }]))
    }
  `)
  const { stdout: streams } = await run(process.execPath, [main, 'generate', 'routes.mjs'], project)
  const use = `
    import { connect } from '${NAME}/client'
    import { createStreams } from './streams.js'
    const streams = createStreams(connect)
    streams.ticksByZone({ params: { zone: 'utc' } }).on('tick', ({ n }) => n satisfies number)
    // @ts-expect-error a parameter is missing
    streams.ticksByZone({ params: {} })
  `
  t.equal(await compile({ 'streams.ts': streams, 'use.ts': use }, { module: 'ESNext', moduleResolution: 'Bundler' }), '')

  const models = await run(process.execPath, [main, 'generate', 'routes.mjs', '--format', 'python', '--format', 'openapi', '--out', 'gen'], project)
  t.strictSame(models, { stdout: '', stderr: `written ${join('gen', 'streams.py')}\nwritten ${join('gen', 'streams.openapi.json')}\n` })

  const given = await runScript('tail.mjs', `
    import { execFile } from 'node:child_process'
    import { promisify } from 'node:util'
    import Fastify from 'fastify'
    import plugin from '${NAME}'
    import routes from './routes.mjs'
    const app = Fastify()
    await app.register(plugin)
    await app.register(routes)
    const origin = await app.listen({ port: 0, host: '127.0.0.1' })
    const { stdout } = await promisify(execFile)(process.execPath, [${JSON.stringify(main)}, 'tail', origin + '/ticks/utc', '--json'])
    const { time, ...event } = JSON.parse(stdout.split('\\n')[0])
    console.log(JSON.stringify(event))
    await app.close()
  `)
  t.strictSame(given, { event: 'tick', id: 'utc', data: { n: 1 } })
})

t.test('publint has nothing to say', async (t) => {
  const { messages } = await publint({ pkgDir: installed, pack: false, strict: true })
  t.strictSame(messages, [])
})

t.test('arethetypeswrong finds its types right', async (t) => {
  // It knows no require() of an ECMAScript module; what TypeScript makes of one is compiled above.
  await t.resolves(run(process.execPath, [
    join(ROOT, 'node_modules/@arethetypeswrong/cli/dist/index.js'), tarball, '--profile', 'esm-only', '--no-definitely-typed', '--no-color'
  ], project))
})
