import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import ts from 'typescript'

const root = resolve(import.meta.dirname, '..')

/**
 * Compiles `lib/` into JavaScript as the package ships it, in a folder of its own.
 *
 * Not run through tsx: that wraps each function it meets, at run time, and would be measured too.
 *
 * @param from the folder that holds `lib/` and `types/`; the repository, or another one to compare with
 * @returns the URL of the package's main module, and a function that takes the folder away
 */
export function buildLib (from: string = root): { url: string, remove: () => void } {
  // Below node_modules, so that imports are found and no other tool looks.
  const cache = join(root, 'node_modules', '.cache')
  mkdirSync(cache, { recursive: true })
  const target = mkdtempSync(join(cache, 'bench-'))
  writeFileSync(join(target, 'package.json'), '{"type":"module"}')
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile)
  // Files are compiled one by one, without the package.json that would say that they are modules.
  const { options } = ts.convertCompilerOptionsFromJson(
    { ...config.compilerOptions, module: 'ESNext', moduleResolution: 'Bundler', sourceMap: false, declaration: false }, root)
  for (const folder of ['lib', 'types']) {
    for (const name of readdirSync(join(from, folder), { recursive: true, encoding: 'utf8' })) {
      const input = join(from, folder, name)
      const output = join(target, folder, name)
      if (/\.(d|tst)\.ts$/.test(name)) continue
      if (name.endsWith('.ts')) {
        mkdirSync(dirname(output), { recursive: true })
        const { outputText } = ts.transpileModule(readFileSync(input, 'utf8'), { compilerOptions: options, fileName: input })
        writeFileSync(output.replace(/\.ts$/, '.js'), outputText)
      } else if (/\.(js|json)$/.test(name)) {
        mkdirSync(dirname(output), { recursive: true })
        cpSync(input, output)
      }
    }
  }
  return {
    url: pathToFileURL(join(target, 'lib', 'index.js')).href,
    remove: () => rmSync(target, { recursive: true, force: true })
  }
}
