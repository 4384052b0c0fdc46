import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { stat } from 'node:fs/promises'
import t, { type Test } from 'tap'
import { createProject, type Project } from './fixtures/project.js'

t.setTimeout(180_000)

const project = await createProject(t)
const typescript = await createProject(t, ['tsx'])

const EVENTS = `import { Type } from '@sinclair/typebox'
import { defineEvents } from 'fastify-typed-sse/events'
export const Clock = defineEvents({ tick: Type.Object({ now: Type.String() }) })
`
const ROUTE = "app.get('/clock', { schema: { events: Clock } }, (request, reply) => reply.sse([]))"
const IMPORTS = `import Fastify from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import ssePlugin from 'fastify-typed-sse'
import { Clock } from './events.js'
`
const APP = `${IMPORTS}
const app = Fastify()
await app.register(ssePlugin)
${ROUTE}
`

await project.write({ 'events.js': EVENTS, 'app.js': `${APP}export default app\n` })

/** Names of the streams that the manifest on stdout has. */
async function streamsOf (of: Project, ...args: string[]): Promise<{ code: number | null, stderr: string, streams: string[] }> {
  const { code, stdout, stderr } = await of.run('generate', '--format', 'manifest', ...args)
  return { code, stderr, streams: stdout === '' ? [] : JSON.parse(stdout).streams.map(({ method, url }: { method: string, url: string }) => `${method} ${url}`) }
}

const CLOCK = { code: 0, stderr: '', streams: ['GET /clock'] }

t.test('an entry is a Fastify instance, a function that returns one, or a plugin, in any module format', async (t) => {
  const entries: Record<string, string> = {
    'instance.js': `${APP}export default app`,
    'promise.js': `${APP}export default Promise.resolve(app)`,
    'factory.js': `${IMPORTS}export default function () { const app = Fastify(); app.register(ssePlugin); app.after(() => { ${ROUTE} }); return app }`,
    'async-factory.js': `${IMPORTS}export default async function (options = {}) { const app = Fastify(options); await app.register(ssePlugin); ${ROUTE}; return app }`,
    'factory-with-options.js': `${IMPORTS}export default async function (options) { const app = Fastify({ trustProxy: options.trustProxy }); await app.register(ssePlugin); ${ROUTE}; return app }`,
    'plugin.js': `${IMPORTS}export default async function (app, options) { ${ROUTE} }`,
    'plugin-that-returns-its-instance.js': `${IMPORTS}export default async function (app, options) { ${ROUTE}; return app }`,
    'callback-plugin.js': `${IMPORTS}export default function (app, options, done) { ${ROUTE}; setImmediate(done) }`,
    'fastify-plugin.js': `${IMPORTS}export default fastifyPlugin(async (app) => { ${ROUTE} }, { name: 'clock', fastify: '5.x' })`,
    'fastify-plugin-of-rest.js': `${IMPORTS}export default fastifyPlugin(async (...args) => { const [app] = args; ${ROUTE} })`,
    'plugin-with-streams.js': `${IMPORTS}export default fastifyPlugin(async (app) => { await app.register(ssePlugin); ${ROUTE} })`,
    'plugin-with-streams-of-its-own.js': `${IMPORTS}export default async function (app) { await app.register(ssePlugin); ${ROUTE} }`,
    'commonjs.cjs': "const Fastify = require('fastify')\nmodule.exports = async () => { const { Clock } = await import('./events.js'); const app = Fastify(); await app.register(import('fastify-typed-sse')); " + `${ROUTE}; return app }`,
    'compiled.cjs': "Object.defineProperty(exports, '__esModule', { value: true })\nexports.default = async (app) => { const { Clock } = await import('./events.js'); " + `${ROUTE} }`
  }
  await project.write(entries)
  for (const entry of Object.keys(entries)) t.strictSame(await streamsOf(project, entry), CLOCK, entry)
})

t.test('an entry in TypeScript is read by tsx, with the paths of its own tsconfig.json', async (t) => {
  await typescript.write({
    'api/tsconfig.json': '{ "compilerOptions": { "paths": { "#contract": ["./events.ts"] } } }',
    'api/events.ts': EVENTS,
    'api/app.ts': `${APP.replace('./events.js', '#contract')}\nenum Unerasable { A }\nconst typed: number = Unerasable.A\nvoid typed\nexport default app`,
    'api/common.cts': "import Fastify = require('fastify')\nimport { Clock } from './contract.cjs'\nexport default async (app: any, options: object) => { " + `${ROUTE} }`,
    'api/contract.cts': "import { Type } from '@sinclair/typebox'\nexport const Clock = { tick: Type.Object({ now: Type.String() }) }"
  })
  t.strictSame(await streamsOf(typescript, 'api/app.ts'), CLOCK)
  t.strictSame(await streamsOf(typescript, 'api/common.cts'), CLOCK)
})

t.test('without tsx an entry in TypeScript is read by Node, or told what is missing', async (t) => {
  await project.write({ 'typed.ts': `${APP}const typed: number = 1\nvoid typed\nexport default app` })
  const isStripping = Boolean((process.features as { typescript?: unknown }).typescript)
  const run = await streamsOf(project, 'typed.ts')
  if (isStripping) {
    t.strictSame({ ...run, stderr: '' }, CLOCK)
  } else {
    t.strictSame(run, {
      code: 1,
      stderr: `typed.ts is TypeScript, which Node ${process.versions.node} does not read by itself.\n` +
        'Install tsx, and it is used: npm install --save-dev tsx\nOr give the file that your build makes of it.\n',
      streams: []
    })
  }
})

t.test('an ES module that its package makes CommonJS is told what to write into package.json', async (t) => {
  await typescript.write({
    'commonjs/package.json': '{ "type": "commonjs" }',
    'commonjs/app.ts': `${APP.replace('./events.js', '../events.js')}export default app`,
    'commonjs/app.js': "import Fastify from 'fastify'\nexport default Fastify()",
    'commonjs/await.js': 'await Promise.resolve()',
    'commonjs/module.mjs': 'function wait () { await Promise.resolve() }'
  })
  for (const entry of ['app.ts', 'app.js', 'await.js']) {
    const { code, stderr } = await typescript.run('generate', `commonjs/${entry}`)
    t.equal(code, 1, entry)
    t.match(stderr, /\n\nThe file is read as CommonJS, in which that cannot stand, since the package\.json nearest to it does not say that its modules are ES\.\nAdd "type": "module" there \(npm pkg set type=module\), or let the name of the file end in \.mts or \.mjs\.\n$/, entry)
  }
  t.notMatch((await typescript.run('generate', 'commonjs/module.mjs')).stderr, 'CommonJS', 'an ES module has other mistakes')
})

t.test('what the application prints goes to stderr, and its servers do not touch the ports and paths they name', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  t.teardown(() => taken.close())
  const { port } = taken.address() as AddressInfo
  const socket = join(project.dir, 'http.sock')
  await project.write({
    'listening.js': `${APP.replace('Fastify()', 'Fastify({ logger: { level: "info" } })')}
import { createServer } from 'node:http'
console.log('to stdout', process.env.FASTIFY_TYPED_SSE, process.argv.length)
await app.listen({ port: ${port}, host: '0.0.0.0' })
const other = createServer().listen(${JSON.stringify(socket)}, () => console.log('other', other.address().address))
await new Promise((resolve) => other.once('listening', resolve))
setInterval(() => {}, 1000)
export default app`
  })
  const { code, stdout, stderr } = await project.run('generate', 'listening.js', '--format', 'manifest')
  t.equal(code, 0)
  t.equal(JSON.parse(stdout).streams.length, 1)
  const lines = stderr.trimEnd().split('\n')
  t.strictSame(lines.filter((line) => !line.startsWith('{')), ['to stdout generate 2', 'other 127.0.0.1'])
  const listening = lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line).msg as string)
  t.equal(listening.length, 1)
  t.match(listening[0], /^Server listening at http:\/\/127\.0\.0\.1:\d+$/)
  t.not(listening[0], `Server listening at http://127.0.0.1:${port}`)
  await t.rejects(stat(socket), { code: 'ENOENT' })
})

/** Runs an entry that is to fail, and gives what the command says. */
async function failure (t: Test, name: string, text: string, ...args: string[]): Promise<string> {
  await project.write({ [name]: text })
  const { code, stdout, stderr } = await project.run('generate', name, '--format', 'manifest', ...args)
  t.strictSame({ code, stdout }, { code: 1, stdout: '' }, name)
  return stderr
}

t.test('a module that exports no application is told what it exports instead', async (t) => {
  t.equal(await failure(t, 'named.js', `${APP}export { app, Clock }`),
    'named.js has no default export. It exports `Clock`, `app`: add `export default app`.\n')
  t.equal(await failure(t, 'nothing.js', APP),
    'nothing.js exports nothing: add `export default app`, where `app` is a Fastify instance, a function that returns one, or a plugin.\n')
  t.equal(await failure(t, 'named.cjs', "exports.build = () => require('fastify')()\n"),
    'named.cjs has no default export. It exports `build`: add `module.exports = build`.\n')
  t.equal(await failure(t, 'number.js', 'export default 42'),
    'The default export of number.js is number: 42.\nExport a Fastify instance, a function that returns one, or a Fastify plugin.\n')
  t.equal(await failure(t, 'options.js', 'export default { port: 3000 }'),
    'The default export of options.js is an object that is no Fastify instance: {"port":3000}.\nExport a Fastify instance, a function that returns one, or a Fastify plugin.\n')
  t.equal(await failure(t, 'forgets.js', `${IMPORTS}export default () => { Fastify() }`),
    'The function that forgets.js exports returned undefined and no Fastify instance.\n' +
    'Without parameters it is taken for one that makes an application: return that. If it is a plugin, name its parameter: (app) => …\n')
  t.equal(await failure(t, 'plain.js', `${IMPORTS}export default Fastify()`),
    'The application of plain.js has no fastify-typed-sse. Register it before the routes: await app.register(ssePlugin)\n')
  t.equal(await failure(t, 'twice.js', `${IMPORTS}const app = Fastify()\nfor (const prefix of ['/a', '/b']) app.register(async (app) => { await app.register(ssePlugin); ${ROUTE} }, { prefix })\nexport default app`),
    'The application of twice.js registers fastify-typed-sse 2 times, in plugins apart from each other.\n' +
    'Register it once, at the root, or generate from each of these plugins as an entry of its own.\n')
})

t.test('an application that fails is shown by its own message and its own frames', async (t) => {
  t.equal(await failure(t, 'throws.js', "function connect (url) {\n  throw new Error('no ' + url, { cause: new TypeError('bad\\nurl') })\n}\nconnect('db')\n"),
    'throws.js fails while it is loaded:\n\n' +
    '  Error: no db\n      at connect (throws.js:2:9)\n      at throws.js:4:1\n' +
    '  Caused by: TypeError: bad\n  url\n      at connect (throws.js:2:41)\n      at throws.js:4:1\n')
  t.equal(await failure(t, 'syntax.js', 'export default = 3\n'),
    "syntax.js fails while it is loaded:\n\n  SyntaxError: Unexpected token '='\n\n  syntax.js:1\n  export default = 3\n                 ^\n")
  t.match(await failure(t, 'syntax.cjs', 'module.exports = = 3\n'),
    /^syntax\.cjs fails while it is loaded:\n\n {2}SyntaxError: Unexpected token '='\n\n {2}syntax\.cjs:1\n {2}module\.exports = = 3\n +\^\n$/)
  t.equal(await failure(t, 'value.js', "export default async () => { throw 'nothing' }"), 'The function that value.js exports fails:\n\n  "nothing" (thrown as it is, so nothing says where)\n')
  t.equal(await failure(t, 'unready.js', `${APP}app.addHook('onReady', async function connect () {\n  throw Object.assign(new Error('refused'), { code: 'E_DB' })\n})\nexport default app`),
    'The application of unready.js does not get ready:\n\n  Error [E_DB]: refused\n      at Object.connect (unready.js:10:23)\n')
  t.equal(await failure(t, 'exits.js', "console.error('DATABASE_URL is missing')\nprocess.exit(3)"),
    'DATABASE_URL is missing\n' +
    'The process that loads exits.js ended itself with exit code 3 before its application was ready. What it printed stands above.\n' +
    'Does the entry call process.exit(), or end when something is missing? An application can tell that it is loaded for its streams\n' +
    'alone by the environment variable FASTIFY_TYPED_SSE, which is `generate` then.\n')
})

t.test('an application that never gets ready is waited for until the time limit, or not at all when nothing can come', async (t) => {
  t.equal(await failure(t, 'hangs.js', `${APP}app.addHook('onReady', () => new Promise((resolve) => setInterval(() => {}, 1000)))\nexport default app`, '--timeout', '6'),
    'ready() of hangs.js has not settled after 6 seconds.\n' +
    'Does it wait for a database or a service that is not there? An application can leave that out when the environment variable\n' +
    'FASTIFY_TYPED_SSE is `generate`. If it needs longer: --timeout SECONDS\n')
  t.equal(await failure(t, 'spins.js', 'for (;;);', '--timeout', '0.5'),
    'spins.js is still being loaded after 0.5 seconds.\n' +
    'Does it wait for a database or a service that is not there? An application can leave that out when the environment variable\n' +
    'FASTIFY_TYPED_SSE is `generate`. If it needs longer: --timeout SECONDS\n')
  t.equal(await failure(t, 'waits.js', 'await new Promise(() => {})\n'),
    'waits.js never ends to load: it awaits something at its top level that cannot come any more.\n')
})

t.test('an application that does not close, or closes with an error, gets its streams written and a warning', async (t) => {
  await project.write({
    'clings.js': `${APP}app.addHook('onClose', () => new Promise((resolve) => setInterval(() => {}, 1000)))\nexport default app`,
    'breaks.js': `${APP}app.addHook('onClose', async function end () { throw new Error('not connected') })\nexport default app`
  })
  t.strictSame(await streamsOf(project, 'clings.js'), {
    ...CLOCK, stderr: 'Warning: close() of the application of clings.js has not settled after 2 seconds. Its process has been ended.\n'
  })
  t.match(await streamsOf(project, 'breaks.js'), {
    ...CLOCK, stderr: /^Warning: the application of breaks\.js fails while it closes.*:\n {2}Error: not connected\n {6}at .*end \(breaks\.js:9:/
  })
})

t.test('an application without declared events is a warning', async (t) => {
  await project.write({
    'empty.js': `${IMPORTS}const app = Fastify()\nawait app.register(ssePlugin)\nexport default app`
  })
  t.strictSame(await streamsOf(project, 'empty.js'), {
    code: 0,
    stderr: 'Warning: the application of empty.js has no routes that stream: give them `schema: { events }`, and register them after fastify-typed-sse.\n',
    streams: []
  })
})

t.test('a route that the manifest lacks, since it was registered before the plugin had loaded, is named in a warning', async (t) => {
  const late = "app.register(async (app) => { app.get('/late', { schema: { events: Clock } }, (request, reply) => reply.sse([])) })"
  const other = "app.post('/other', { sse: { heartbeatMs: 0 } }, (request, reply) => reply.sse([]))"
  await project.write({
    'early.js': `${IMPORTS}const app = Fastify()\napp.register(ssePlugin)\n${ROUTE}\n${late}\nexport default app`,
    'all-early.js': `${IMPORTS}const app = Fastify()\napp.register(ssePlugin)\n${ROUTE}\n${other}\nexport default app`,
    'early-plugin.js': `${IMPORTS}export default async function (app) { app.register(ssePlugin)\n${ROUTE}\n${late} }`
  })
  const why = 'left out: fastify-typed-sse does not see routes that are registered before it has loaded.\n' +
    'Await app.register(ssePlugin) before them, or put them into a plugin that is registered after it.\n'
  t.strictSame(await streamsOf(project, 'early.js'), {
    code: 0,
    stderr: `Warning: GET /clock of early.js streams, but is ${why}`,
    streams: ['GET /late']
  })
  t.strictSame(await streamsOf(project, 'all-early.js'), {
    code: 0,
    stderr: `Warning: GET /clock, POST /other of all-early.js stream, but are ${why}`,
    streams: []
  })
  t.strictSame(await streamsOf(project, 'early-plugin.js'), {
    code: 0,
    stderr: `Warning: GET /clock of early-plugin.js streams, but is ${why}`,
    streams: ['GET /late']
  })
})

t.test('an entry that is not there is answered with the nearest one that is', async (t) => {
  const run = async (entry: string): Promise<string> => (await project.run('generate', entry)).stderr
  t.equal(await run('ap.js'), 'There is no file ap.js. Did you mean app.js?\n')
  t.equal(await run('app.ts'), 'There is no file app.ts. Did you mean app.js?\n')
  t.equal(await run('src/app.js'), 'There is no file src/app.js.\n')
  t.equal(await run('.'), '. is a directory. Give the module whose default export is the application. Did you mean app.js?\n')
  t.equal(await run('package.json'), 'package.json is no module: its name ends with none of .ts, .mts, .cts, .tsx, .js, .mjs, .cjs, .jsx.\n')
})

t.test('files are written into a directory that is made, and only when they differ', async (t) => {
  const formats = ['typescript', 'manifest', 'openapi', 'asyncapi', 'go', 'kotlin', 'swift', 'python']
  const args = ['generate', 'app.js', '--out', 'gen/all', ...formats.flatMap((format) => ['--format', format])]
  const names = ['streams.ts', 'streams.manifest.json', 'streams.openapi.json', 'streams.asyncapi.json', 'streams.go', 'Streams.kt', 'Streams.swift', 'streams.py']
  const told = (word: string): string => names.map((name) => `${word} ${join('gen/all', name)}\n`).join('')
  t.strictSame(await project.run(...args), { code: 0, stdout: '', stderr: told('written') })
  t.strictSame(await project.run(...args), { code: 0, stdout: '', stderr: told('unchanged') })
  t.strictSame(JSON.parse(await project.read('gen/all/streams.openapi.json')).info, { title: 'shop', version: '1.2.3' })
  t.strictSame(JSON.parse(await project.read('gen/all/streams.asyncapi.json')).info, { title: 'shop', version: '1.2.3' })

  const older = await project.run('generate', 'app.js', '--format', 'openapi', '--openapi', '3.0', '--dialect', 'payload', '--title', 'The shop', '--api-version', 'v2')
  t.strictSame({ code: older.code, stderr: older.stderr }, { code: 0, stderr: '' })
  const { openapi, info } = JSON.parse(older.stdout)
  t.match(openapi, /^3\.0\./)
  t.strictSame(info, { title: 'The shop', version: 'v2' })
  t.equal((await project.run('generate', 'app.js')).stdout, await project.read('gen/all/streams.ts'))
})

t.test('a file that cannot be written is an error of one message', async (t) => {
  await project.write({ blocked: 'a file' })
  const { code, stdout, stderr } = await project.run('generate', 'app.js', '--out', 'blocked/gen')
  t.strictSame({ code, stdout }, { code: 1, stdout: '' })
  t.match(stderr, /^blocked.gen.streams\.ts cannot be written: E[A-Z]+: [^\n]+\n$/)
})

t.test('--check tells fresh, stale and missing files, and writes nothing', async (t) => {
  const args = ['generate', 'app.js', '--out', 'checked', '--format', 'manifest', '--format', 'typescript']
  const [json, ts] = [join('checked', 'streams.manifest.json'), join('checked', 'streams.ts')]
  const renew = 'Renew with: npx fastify-typed-sse generate app.js --out checked --format manifest --format typescript\n'
  t.strictSame(await project.run(...args, '--check'), { code: 1, stdout: '', stderr: `missing: ${json}\nmissing: ${ts}\n${renew}` })
  await t.rejects(stat(join(project.dir, 'checked')), { code: 'ENOENT' })

  await project.run(...args)
  const fresh = await project.read('checked/streams.manifest.json')
  t.strictSame(await project.run(...args, '--check'), { code: 0, stdout: '', stderr: `up to date: ${json}\nup to date: ${ts}\n` })

  await project.write({ 'checked/streams.manifest.json': fresh.replaceAll('\n', '\r\n') })
  t.equal((await project.run(...args, '--check')).code, 0, 'line ends of a checkout on Windows do not count')

  const stale = fresh.replace('"url": "/clock"', '"url": "/time"')
  await project.write({ 'checked/streams.manifest.json': stale })
  t.strictSame(await project.run(...args, '--check'), {
    code: 1,
    stdout: '',
    stderr: `stale: ${json}\n  line 7:\n  -       "url": "/time",\n  +       "url": "/clock",\nup to date: ${ts}\n${renew}`
  })
  t.equal(await project.read('checked/streams.manifest.json'), stale)
})

t.test('--watch writes again when a source changes, outlives errors of the entry, and ends with Ctrl-C', async (t) => {
  const write = (text: string): Promise<void> => project.write({ 'watched/app.js': text })
  const app = `${APP.replace('./events.js', '../events.js')}`
  await project.write({ 'watched/package.json': '{ "type": "module" }' })
  await write(`${app}export default app`)
  const command = project.start('generate', 'watched/app.js', '--out', 'watched/gen', '--format', 'manifest', '--watch')
  const file = join('watched', 'gen', 'streams.manifest.json')
  t.equal(await command.stderr(/^[^]*Ctrl-C ends it\.\n/), `written ${file}\nWatching watched for changes. Ctrl-C ends it.\n`)

  await write(`${app.replaceAll('/clock', '/time')}export default app`)
  t.equal(await command.stderr(/^[^]*Ctrl-C ends it\.\n/), `\nChanged: ${join('watched', 'app.js')}\nwritten ${file}\nWatching watched for changes. Ctrl-C ends it.\n`)
  t.equal(JSON.parse(await project.read('watched/gen/streams.manifest.json')).streams[0].url, '/time')

  await write("throw new Error('half done')")
  t.equal(await command.stderr(/^[^]*Ctrl-C ends it\.\n/),
    `\nChanged: ${join('watched', 'app.js')}\nwatched/app.js fails while it is loaded:\n\n  Error: half done\n      at ${join('watched', 'app.js')}:1:7\n` +
    'Watching watched for changes. Ctrl-C ends it.\n')

  // A module in a directory that is made while the command watches, and one that hangs until it is changed.
  await project.write({ 'watched/lib/route.js': 'export const url = "/new"\n' })
  await command.stderr(/Changed: [^]*Ctrl-C ends it\.\n/)
  await write('import { url } from "./lib/route.js"\nsetInterval(() => {}, 1000)\nconsole.log("hangs", url)\nawait new Promise(() => {})\n')
  await command.stderr(/hangs \/new\n/)
  await project.write({ 'watched/node_modules/x/index.js': '', 'watched/.cache/x.js': '', 'watched/notes.md': '' })
  await write(`import { url } from './lib/route.js'\n${app.replace("'/clock'", 'url')}export default app`)
  t.equal(await command.stderr(/^[^]*Ctrl-C ends it\.\n/), `\nChanged: ${join('watched', 'app.js')}\nwritten ${file}\nWatching watched for changes. Ctrl-C ends it.\n`)
  await project.write({ 'watched/lib/route.js': 'export const url = "/newer"\n' })
  t.equal(await command.stderr(/^[^]*Ctrl-C ends it\.\n/), `\nChanged: ${join('watched', 'lib', 'route.js')}\nwritten ${file}\nWatching watched for changes. Ctrl-C ends it.\n`)

  command.child.kill('SIGINT')
  t.match(await command.ended, { code: process.platform === 'win32' ? null : 0, stdout: '' })
})

t.test('Ctrl-C ends the command and the process of the entry', { skip: process.platform === 'win32' && 'no signals' }, async (t) => {
  await project.write({ 'stubborn.js': "process.on('SIGINT', () => {})\nprocess.on('SIGTERM', () => {})\nsetInterval(() => {}, 1000)\nconsole.log('pid', process.pid)\nawait new Promise(() => {})\n" })
  const command = project.start('generate', 'stubborn.js')
  const pid = Number((await command.stderr(/pid \d+\n/)).slice(4))
  command.child.kill('SIGINT')
  t.strictSame(await command.ended, { code: 130, stdout: '', stderr: `pid ${pid}\n` })
  t.throws(() => process.kill(pid, 0), { code: 'ESRCH' })
})

t.test('options that contradict each other are refused before anything is loaded', async (t) => {
  const help = 'See: fastify-typed-sse generate --help\n'
  const cases: [string[], string][] = [
    [[], `generate needs an entry: the module whose default export is the application.\n${help}`],
    [['a.js', 'b c.js'], `generate takes one entry, but was given 2: a.js "b c.js".\n${help}`],
    [['app.js', '--formt', 'go'], `generate has no option --formt. Did you mean --format?\n${help}`],
    [['app.js', '--format', 'pyton'], 'There is no format "pyton". Did you mean python? The formats are typescript, manifest, openapi, asyncapi, go, kotlin, swift, python.\n'],
    [['app.js', '--out', '--check'], `--out needs a value. One that begins with a dash is written --out=-…\n${help}`],
    [['app.js', '--check=yes'], `--check takes no value, but was given "yes".\n${help}`],
    [['app.js', '--check'], `--check compares with files: say where they are with --out DIR.\n${help}`],
    [['app.js', '--watch'], `--watch writes files: say where with --out DIR.\n${help}`],
    [['app.js', '--out', 'x', '--watch', '--check'], `--check writes nothing and --watch writes whenever something changes: give one of them.\n${help}`],
    [['app.js', '--format', 'go', '--format', 'python'], `2 formats do not fit into one output: write them to files with --out DIR.\n${help}`],
    [['app.js', '--openapi', '3.1'], `--openapi is the version for --format openapi, which is not asked for.\n${help}`],
    [['app.js', '--format', 'openapi', '--openapi', '4'], '--openapi is 3.2, 3.1 or 3.0, but was given "4".\n'],
    [['app.js', '--format', 'openapi', '--dialect', 'event'], `--dialect is for --format openapi with --openapi 3.1 or 3.0: 3.2 describes events as they are.\n${help}`],
    [['app.js', '--timeout', 'soon'], '--timeout is a number of seconds, more than 0 and at most 86400, but was given "soon".\n']
  ]
  for (const [args, stderr] of cases) t.strictSame(await project.run('generate', ...args), { code: 2, stdout: '', stderr }, args.join(' '))
})
