import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { diff } from '../../lib/cli/diff.js'
import { generate } from '../../lib/cli/generate.js'
import { tail } from '../../lib/cli/tail/tail.js'
import { createProject } from './fixtures/project.js'

t.setTimeout(120_000)

const project = await createProject(t)

t.test('--help lists the commands on stdout, and so does a command line without a command, as an error', async (t) => {
  const help = await project.run('--help')
  t.strictSame({ ...help, stdout: '' }, { code: 0, stdout: '', stderr: '' })
  for (const { name, summary } of [generate, diff, tail]) t.ok(help.stdout.includes(`\n  ${name.padEnd(8)}  ${summary}\n`), name)
  t.strictSame(await project.run('help'), help)
  t.strictSame(await project.run(), { code: 2, stdout: '', stderr: help.stdout })
})

t.test('a command with --help prints all about it, whatever else is asked of it', async (t) => {
  t.strictSame(await project.run('generate', '--out', '--help', '--unknown'), { code: 0, stdout: generate.help, stderr: '' })
  t.strictSame(await project.run('help', 'diff'), { code: 0, stdout: diff.help, stderr: '' })
  t.strictSame(await project.run('tail', '-h'), { code: 0, stdout: tail.help, stderr: '' })
})

t.test('no line of a help text is wider than a terminal', async (t) => {
  const { stdout } = await project.run('--help')
  t.strictSame([stdout, generate.help].flatMap((text) => text.split('\n')).filter((line) => line.length > 80), [])
})

t.test('the help of generate names each option once', async (t) => {
  const named = [...generate.help.matchAll(/^ {2}(--[a-z-]+)/gm)].map(([, name]) => name)
  t.strictSame(named, ['--out', '--format', '--check', '--watch', '--openapi', '--dialect', '--title', '--api-version', '--timeout', '--help'])
})

t.test('--version is that of the package', async (t) => {
  const { version } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
  t.strictSame(await project.run('--version'), { code: 0, stdout: `${version}\n`, stderr: '' })
})

t.test('a command or an option that does not exist is answered with the nearest one', async (t) => {
  t.strictSame(await project.run('genrate', 'app.js'), { code: 2, stdout: '', stderr: 'There is no command genrate. Did you mean generate?\nSee: fastify-typed-sse --help\n' })
  t.strictSame(await project.run('--versoin'), { code: 2, stdout: '', stderr: 'There is no option --versoin. Did you mean --version?\nSee: fastify-typed-sse --help\n' })
  t.strictSame(await project.run('constructor'), { code: 2, stdout: '', stderr: 'There is no command constructor.\nSee: fastify-typed-sse --help\n' })
})

t.test('a reader that leaves ends the command quietly, and not as a success', { skip: process.platform === 'win32' && 'pipes end otherwise' }, async (t) => {
  // More than a pipe holds, so that the command is still writing when its reader has gone.
  await project.write({
    'app.js': `import { Type } from '@sinclair/typebox'
export default async function (app, options) {
  const description = 'x'.repeat(1 << 20)
  app.get('/', { schema: { description, events: { tick: Type.Null() } } }, (request, reply) => reply.sse([]))
}
`
  })
  const main = join(project.dir, 'node_modules/fastify-typed-sse/dist/lib/cli/main.js')
  const child = spawn(process.execPath, [main, 'generate', 'app.js', '--format', 'manifest'], { cwd: project.dir, stdio: ['ignore', 'pipe', 'pipe'] })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => { stderr += text })
  child.stdout.once('data', () => child.stdout.destroy())
  const [code] = await once(child, 'close') as [number]
  t.strictSame({ code, stderr }, { code: 141, stderr: '' })
  const whole = await project.run('generate', 'app.js', '--format', 'manifest')
  t.equal(JSON.parse(whole.stdout).streams[0].description.length, 1 << 20, 'one that stays gets all of it')
})

t.test('a fault of the command itself is shown with its stack, and asks for a report', async (t) => {
  await project.write({ 'node_modules/fastify-typed-sse/dist/lib/cli/generate.js': "export const generate = { run () { throw new TypeError('x is not a function') } }\n" })
  const { code, stdout, stderr } = await project.run('generate', 'app.js')
  t.strictSame({ code, stdout }, { code: 1, stdout: '' })
  t.match(stderr, /^This is a fault of fastify-typed-sse \d+\.\d+\.\d+, on Node [\d.]+\. Please report it, with what follows\.\n\nTypeError: x is not a function\n {4}at Object\.run \(file:/)
})
