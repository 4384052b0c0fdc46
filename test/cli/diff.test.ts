import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import t, { type Test } from 'tap'
import type { CommandIO } from '../../lib/cli/command.js'
import { diff } from '../../lib/cli/diff.js'
import type { JSONSchema, Manifest } from '../../lib/schema/manifest.js'

class Sink extends Writable {
  text = ''
  isTTY = false
  override _write (chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString()
    done()
  }
}

async function run (args: readonly string[], { cwd = '.', isTTY = false, env = {} }: { cwd?: string, isTTY?: boolean, env?: Record<string, string> } = {}): Promise<{ code: number, out: string, err: string }> {
  const stdout = new Sink()
  const stderr = new Sink()
  stdout.isTTY = isTTY
  const io: CommandIO = { stdout, stderr, cwd, env, signal: new AbortController().signal }
  const code = await diff.run(args, io)
  return { code, out: stdout.text, err: stderr.text }
}

const any = { format: 'json', schema: true } as const

/** A manifest with one stream that sends `tick`s. */
function manifest (tick: JSONSchema, more: Record<string, JSONSchema> = {}): string {
  const events = Object.fromEntries(Object.entries({ tick, ...more }).map(([type, schema]) => [type, { format: 'json' as const, schema }]))
  return JSON.stringify({
    manifest: 1,
    streams: [{ name: 'clock', method: 'GET', url: '/clock', events, controlEvents: [] }],
    controlEvents: { 'sse.gap': any, 'sse.end': any, 'sse.fault': any }
  } satisfies Manifest)
}

const one: JSONSchema = { type: 'object', required: ['n', 'at'], properties: { n: { type: 'integer' }, at: { type: 'string' } } }
const other: JSONSchema = { type: 'object', required: ['n'], properties: { n: { type: 'number' }, at: { type: 'string' }, zone: { type: 'string' } } }

function files (t: Test): string {
  return t.testdir({
    'old.json': manifest(one), 'new.json': manifest(other, { tock: true }), 'safe.json': manifest(one, { 'to\u001Bck': true }), 'text.json': 'x', 'empty.json': '', 'other.json': '{"openapi":"3.1.0"}', 'future.json': '{"manifest":2}', folder: {}
  })
}

t.test('the usage of the command is part of its contract', async (t) => {
  t.match(diff.help, /^Usage: fastify-typed-sse diff <old> <new>[^]*Options:[^]*Exit codes:\n {2}0 [^]*Examples:/)
  t.strictSame(diff.help.split('\n').filter((line) => line.length > 80), [])
})

t.test('what breaks clients is told first, with a summary, and fails the command', async (t) => {
  const cwd = files(t)
  t.strictSame(await run(['old.json', 'new.json'], { cwd }), {
    code: 1,
    out: `GET /clock
  breaking  events/tick/at may be missing now; clients expect it always
  breaking  events/tick/n may be a number now; clients expect an integer
  safe      events/tick/zone is new
  safe      events/tock is new: to clients it is an unknown event

2 breaking changes, 2 safe changes.
`,
    err: ''
  })
})

t.test('what breaks nobody is told, and is no failure', async (t) => {
  const cwd = files(t)
  t.strictSame(await run(['old.json', 'safe.json'], { cwd }), {
    code: 0, out: 'GET /clock\n  safe      events/to\\u001bck is new: to clients it is an unknown event\n\nNo breaking change, 1 safe change.\n', err: ''
  })
  t.strictSame(await run(['old.json', 'old.json'], { cwd }), { code: 0, out: 'No change that clients could notice.\n', err: '' })
})

t.test('--json gives the changes to programs', async (t) => {
  const cwd = files(t)
  const { code, out } = await run(['new.json', 'safe.json', '--json'], { cwd })
  t.equal(code, 1)
  t.strictSame(JSON.parse(out), {
    breaking: 1,
    safe: 4,
    changes: [
      { level: 'breaking', code: 'event-removed', stream: 'GET /clock', at: 'events/tock', message: 'is not sent any more, and clients may wait for it' },
      { level: 'safe', code: 'property-removed', stream: 'GET /clock', at: 'events/tick/zone', message: 'is not sent any more; clients have to be ready for that' },
      { level: 'safe', code: 'narrowed', stream: 'GET /clock', at: 'events/tick/at', message: 'is always there now' },
      { level: 'safe', code: 'narrowed', stream: 'GET /clock', at: 'events/tick/n', message: 'is not a number any more, but an integer' },
      { level: 'safe', code: 'event-added', stream: 'GET /clock', at: 'events/to\u001Bck', message: 'is new: to clients it is an unknown event' }
    ]
  })
})

t.test('colours are used on a terminal alone', async (t) => {
  const cwd = files(t)
  const line = async (options: { isTTY?: boolean, env?: Record<string, string> }): Promise<string> => (await run(['old.json', 'new.json'], { cwd, ...options })).out.split('\n')[1]!
  t.equal(await line({ isTTY: true }), '  \u001B[31mbreaking\u001B[39m  \u001B[1mevents/tick/at\u001B[22m may be missing now; clients expect it always')
  t.equal(await line({ isTTY: true, env: { NO_COLOR: '1' } }), '  breaking  events/tick/at may be missing now; clients expect it always')
})

t.test('a manifest that a shell has written as UTF-16, or with a byte order mark, is read', async (t) => {
  const cwd = t.testdir({
    'old.json': Buffer.concat([Buffer.from([0xFF, 0xFE]), Buffer.from(manifest(one), 'utf16le')]), 'new.json': `\uFEFF${manifest(one)}`
  })
  t.equal((await run(['old.json', 'new.json'], { cwd })).code, 0)
})

t.test('what is no manifest is refused, with what it is and how to write one', async (t) => {
  const cwd = files(t)
  const write = 'Write it with: fastify-typed-sse generate <entry> --format manifest'
  const cases: Array<[file: string, message: string | RegExp]> = [
    ['none.json', 'There is no file none.json'],
    ['folder', 'This is a directory and no file: folder'],
    ['empty.json', 'empty.json is empty. Write a manifest with: fastify-typed-sse generate <entry> --format manifest'],
    ['text.json', /^text\.json is not JSON: .*\. Write a manifest with: fastify-typed-sse generate <entry> --format manifest$/],
    ['other.json', `other.json is not a manifest. ${write}`],
    ['future.json', /^future\.json has version 2, and this release reads version 1/]
  ]
  for (const [file, message] of cases) await t.rejects(run([file, 'new.json'], { cwd }), { name: 'UserError', message, exitCode: 1 }, file)
})

t.test('a command line that cannot be understood is refused', async (t) => {
  const help = '\nSee: fastify-typed-sse diff --help'
  for (const [args, message] of [
    [[], 'diff takes two manifests, the old one and the new one, but was given 0.'],
    [['a.json'], 'diff takes two manifests, the old one and the new one, but was given 1.'],
    [['a', 'b', 'c'], 'diff takes two manifests, the old one and the new one, but was given 3.'],
    [['-', '-'], 'Standard input is one file: give the name of the other one.'],
    [['a', 'b', '--jsn'], 'diff has no option --jsn. Did you mean --json?']
  ] as const) await t.rejects(run(args), { name: 'UserError', message: message + help, exitCode: 2 }, args.join(' '))
})

t.test('one of the manifests may come from standard input', async (t) => {
  const cwd = files(t)
  const script = `import { diff } from ${JSON.stringify(new URL('../../lib/cli/diff.ts', import.meta.url).href)}
    const { stdout, stderr } = process
    process.exitCode = await diff.run(['-', ${JSON.stringify(join(cwd, 'new.json'))}], { stdout, stderr, env: {}, cwd: '.', signal: new AbortController().signal })`
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], { stdio: ['pipe', 'pipe', 'inherit'] })
  t.teardown(() => child.kill())
  let out = ''
  child.stdout.on('data', (chunk) => { out += String(chunk) })
  child.stdin.end(manifest(one))
  t.strictSame(await once(child, 'close'), [1, null])
  t.match(out, /2 breaking changes, 2 safe changes\.\n$/)
})
