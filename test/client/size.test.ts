import { execFile } from 'node:child_process'
import { readFile, readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import t from 'tap'

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..')

/** Most that a file of the client may take, as shipped and gzipped, in bytes. */
const LIMITS: Record<string, number> = {
  'client.js': 4_096,
  'client/declared.js': 1_024,
  'client/event-source-link.js': 2_560,
  'client/shared-link.js': 3_072
}

t.test('the core of the client is under 4 kB gzipped, and what it loads when needed is small', async (t) => {
  const dir = t.testdir({})
  const { scripts } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { scripts: Record<string, string> }
  for (const command of scripts['build:client']!.split(' && ')) {
    const [program, ...args] = command.replaceAll('dist/lib', dir).replaceAll('"', '').split(' ')
    await promisify(execFile)(join(ROOT, 'node_modules', '.bin', program!), args, { cwd: ROOT, shell: process.platform === 'win32', env: { PATH: process.env['PATH'] } })
  }
  const files = (await readdir(dir, { recursive: true })).filter((path) => path.endsWith('.js')).map((path) => path.replaceAll('\\', '/'))
  t.strictSame(files.sort(), Object.keys(LIMITS).sort())
  for (const file of files) {
    const { length } = gzipSync(await readFile(join(dir, file)), { level: 9 })
    t.ok(length <= LIMITS[file]!, `${file}: ${length} of ${LIMITS[file]} bytes`)
  }
})
