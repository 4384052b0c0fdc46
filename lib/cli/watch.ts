import { createHash } from 'node:crypto'
import { watch, type FSWatcher } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'

/** Editors write a file in several steps, and branches change many: what follows within this time is one change. */
const SETTLE_MS = 100

const SOURCES = /\.([cm]?[jt]sx?|json)$/

/** What `watchProject` watches for. */
export interface WatchOptions {
  /** Called once for each change, with one of the files that changed, when nothing has changed any more for 100 ms. */
  readonly onChange: (path: string) => void
  /** Files, as absolute paths, that do not count: what is generated. */
  readonly except: ReadonlySet<string>
  /** Ends the watching. */
  readonly signal: AbortSignal
  /**
   * Whether the system can watch a tree as one.
   *
   * @defaultValue `true` on macOS and Windows. Elsewhere Node would watch each file, `node_modules` included
   */
  readonly recursive?: boolean
}

/**
 * Watches the sources (JavaScript, TypeScript, JSON) below a directory, without `node_modules` and directories whose name
 * begins with a dot.
 *
 * A file that is written with the content that it had is no change, from the second time on: an application that writes a
 * file whenever it is loaded would be loaded for ever.
 *
 * @returns when the watching has begun
 */
export async function watchProject (root: string, options: WatchOptions): Promise<void> {
  const { signal, recursive = process.platform === 'darwin' || process.platform === 'win32' } = options
  const changes = new Changes(root, options)
  const watched = new Map<string, { watcher: FSWatcher, identity: string }>()
  signal.addEventListener('abort', () => {
    for (const { watcher } of watched.values()) watcher.close()
    changes.dispose()
  }, { once: true })

  function open (dir: string, identity: string, recursive: boolean): void {
    const watcher = watch(dir, { recursive })
    watched.set(dir, { watcher, identity })
    watcher.on('change', (_type, name) => {
      if (typeof name !== 'string') return
      changes.add(join(dir, name))
      if (!recursive) void openTree(join(dir, name), true).catch(() => {})
    })
    // The directory has been removed. That of its parent reports it.
    watcher.on('error', () => watcher.close())
  }

  /** Watches `path` and what is below it, when it is a directory that is not being watched. */
  async function openTree (path: string, isNew: boolean): Promise<void> {
    if (isIgnored(root, path)) return
    const stats = await stat(path)
    // One that has been removed and made again has the same name, and may have the same inode.
    const identity = `${stats.ino} ${stats.birthtimeMs}`
    if (!stats.isDirectory() || watched.get(path)?.identity === identity || signal.aborted) return
    watched.get(path)?.watcher.close()
    open(path, identity, false)
    for (const entry of await readdir(path, { withFileTypes: true })) {
      const below = join(path, entry.name)
      if (entry.isDirectory()) await openTree(below, isNew).catch(ignoreMissing)
      // Files that were there before their directory was watched have been reported by nobody.
      else if (isNew) changes.add(below)
    }
  }

  if (recursive) open(root, '', true)
  else await openTree(root, false)
}

/** A directory may go while its tree is being read. Everything else, as the system's limit of watchers, has to be told. */
function ignoreMissing (error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error
}

function isIgnored (root: string, path: string): boolean {
  return relative(root, path).split(sep).some((part) => part === 'node_modules' || part.startsWith('.'))
}

/** Events of the file system on one side, changes of sources on the other. */
class Changes {
  readonly #root: string
  readonly #options: WatchOptions
  /** Hash of what a file had in it when it was last reported. */
  readonly #known = new Map<string, string>()
  readonly #waiting = new Set<string>()
  #timer: NodeJS.Timeout | undefined

  constructor (root: string, options: WatchOptions) {
    this.#root = root
    this.#options = options
  }

  add (path: string): void {
    if (!SOURCES.test(path) || this.#options.except.has(path) || isIgnored(this.#root, path)) return
    this.#waiting.add(path)
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => { void this.#settle() }, SETTLE_MS)
  }

  dispose (): void {
    clearTimeout(this.#timer)
    this.#waiting.clear()
  }

  async #settle (): Promise<void> {
    const paths = [...this.#waiting]
    this.#waiting.clear()
    let changed: string | undefined
    for (const path of paths) {
      const hash = await hashOf(path)
      if (this.#known.get(path) === hash) continue
      this.#known.set(path, hash)
      changed ??= path
    }
    if (changed !== undefined && !this.#options.signal.aborted) this.#options.onChange(changed)
  }
}

async function hashOf (path: string): Promise<string> {
  try {
    return createHash('sha256').update(await readFile(path)).digest('base64')
  } catch {
    return 'gone'
  }
}
