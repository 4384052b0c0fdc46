import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** A directory with a `package.json`, and what that says. */
export interface Package {
  readonly dir: string
  /** Its content; empty when it cannot be read as an object. */
  readonly json: Readonly<Record<string, unknown>>
}

/** The directory itself and all above it, from the inside to the outside. */
export function * upwards (dir: string): Generator<string> {
  for (let at = dir; ; at = dirname(at)) {
    yield at
    if (dirname(at) === at) return
  }
}

/** The nearest file of that name in the directory or above it. */
export function findUpwards (dir: string, name: string): string | undefined {
  for (const at of upwards(dir)) {
    if (existsSync(join(at, name))) return join(at, name)
  }
  return undefined
}

/** The package that the directory belongs to. */
export function findPackage (dir: string): Package | undefined {
  const file = findUpwards(dir, 'package.json')
  return file === undefined ? undefined : { dir: dirname(file), json: readPackage(file) }
}

/**
 * The directory that all files of a project lie in: that of the workspace when the package is one of several, else that of
 * the package, else the directory itself.
 */
export function findProjectRoot (dir: string): string {
  let root: string | undefined
  for (const at of upwards(dir)) {
    const file = join(at, 'package.json')
    if (!existsSync(file)) continue
    root ??= at
    // A contract is often a package beside the server's: changes there count too.
    if (readPackage(file)['workspaces'] !== undefined || existsSync(join(at, 'pnpm-workspace.yaml'))) return at
  }
  return root ?? dir
}

function readPackage (file: string): Readonly<Record<string, unknown>> {
  try {
    const json: unknown = JSON.parse(readFileSync(file, 'utf8'))
    return typeof json === 'object' && json !== null ? json as Record<string, unknown> : {}
  } catch {
    return {}
  }
}
