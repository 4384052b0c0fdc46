import { createRequire } from 'node:module'
import { extname } from 'node:path'
import { pathToFileURL } from 'node:url'
import { UserError } from '../command.js'

/** How Node is made to read an entry. */
export interface EntryLoader {
  /** `tsx`, Node itself with its types stripped, or just Node. */
  readonly kind: 'tsx' | 'strip' | 'plain'
  /** What stands on Node's command line for that. */
  readonly flags: readonly string[]
}

const TYPESCRIPT = ['.ts', '.mts', '.cts', '.tsx']

/** Extensions of files that can be an entry. */
export const ENTRY_EXTENSIONS: readonly string[] = [...TYPESCRIPT, '.js', '.mjs', '.cjs', '.jsx']

/**
 * How the entry at `path` is loaded: TypeScript by `tsx`, found from the entry or from this package, else by Node's own type
 * stripping where this Node has that.
 *
 * @param shown the entry as its user named it
 * @throws UserError when nothing here reads TypeScript
 */
export function chooseLoader (path: string, shown: string): EntryLoader {
  const isTypeScript = TYPESCRIPT.includes(extname(path)) || extname(path) === '.jsx'
  // As a checkout and not as a package, the command is TypeScript itself.
  const isSource = extname(import.meta.url) === '.ts'
  if (!isTypeScript && !isSource) return { kind: 'plain', flags: [] }
  const tsx = (isTypeScript ? resolveFrom(path, 'tsx') : undefined) ?? resolveFrom(import.meta.url, 'tsx')
  if (tsx !== undefined) return { kind: 'tsx', flags: ['--import', pathToFileURL(tsx).href] }
  const { typescript } = process.features as { typescript?: unknown }
  if (typescript && !extname(path).endsWith('x')) return { kind: 'strip', flags: [] }
  throw new UserError(`${shown} is ${extname(path).endsWith('x') ? 'JSX' : 'TypeScript'}, which Node ${process.versions.node} does not read by itself.\n` +
    'Install tsx, and it is used: npm install --save-dev tsx\nOr give the file that your build makes of it.')
}

function resolveFrom (from: string, name: string): string | undefined {
  try {
    return createRequire(from).resolve(name)
  } catch {
    return undefined
  }
}
