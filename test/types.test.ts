import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const root = fileURLToPath(new URL('..', import.meta.url))

// A type test holds what infers, which must compile, and what must not: `@ts-expect-error` is an error where none is.
for (const name of ['typescript', 'typescript-7']) {
  const folder = join(root, 'node_modules', name)
  const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))

  t.test(`the type tests hold with TypeScript ${version}`, { timeout: 120_000 }, async (t) => {
    const project = join(t.testdir({
      'tsconfig.json': JSON.stringify({
        extends: join(root, 'tsconfig.json'),
        include: [join(root, 'types')],
        compilerOptions: { typeRoots: [join(root, 'node_modules/@types')] }
      })
    }), 'tsconfig.json')
    // tap puts its loaders into the options of every child; TypeScript 7 does not start with them.
    const compiler = [process.execPath, join(folder, 'bin/tsc'), '-p', project, '--noEmit', '--noErrorTruncation', '--pretty', 'false']
    const output = await new Promise<string>((resolve) => {
      execFile('env', ['-u', 'NODE_OPTIONS', ...compiler], { cwd: root },
        (error, stdout, stderr) => resolve(error === null ? stdout : `${stdout}${stderr}${error.message}`))
    })
    t.equal(output, '')
  })
}
