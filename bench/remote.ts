import { fork, spawnSync, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'

/** Longest time that one call may take, in milliseconds. Past it the run fails rather than hang. */
const CALL_MS = 60_000

/** How a process is started. */
interface Start {
  /** What it prints is of no interest, since it is meant to fail. */
  readonly isQuiet?: boolean
  /** Open files that it asks for; it gets as many as the system lets it have. */
  readonly openFiles?: number
}

interface Answer { port?: number, call?: number, result?: unknown, failure?: string }

/** A process that answers calls: a server that is measured, or the client that is its load. */
export class Remote {
  readonly port: number
  readonly #child: ChildProcess
  readonly #calls = new Map<number, { resolve: (result: any) => void, reject: (error: Error) => void }>()
  #last = 0

  private constructor (child: ChildProcess, port: number) {
    this.port = port
    this.#child = child
    child.on('message', ({ call, result, failure }: Answer) => {
      const waiting = this.#calls.get(call!)
      this.#calls.delete(call!)
      if (failure === undefined) waiting?.resolve(result)
      else waiting?.reject(new Error(failure))
    })
    child.on('exit', () => {
      for (const { reject } of this.#calls.values()) reject(new Error(`${child.spawnargs.at(-1)} has died`))
    })
  }

  /**
   * Starts a module of this folder, with `gc()` at hand.
   *
   * @param file relative to this folder
   */
  static async start (file: string, env: Record<string, string> = {}, { isQuiet = false, openFiles }: Start = {}): Promise<Remote> {
    const child = fork(join(import.meta.dirname, file), {
      ...openFiles === undefined ? { execArgv: ['--expose-gc'] } : limited(openFiles),
      env: { ...process.env, ...env },
      stdio: ['ignore', 'inherit', isQuiet ? 'ignore' : 'inherit', 'ipc']
    })
    const port = await new Promise<number>((resolve, reject) => {
      child.once('message', ({ port }: Answer) => resolve(port!))
      child.once('exit', (code) => reject(new Error(`${file} ended with ${code}`)))
    })
    return new Remote(child, port)
  }

  /** @param ms longest time that it may take */
  async call<T> (name: string, argument: unknown = null, ms = CALL_MS): Promise<T> {
    const call = ++this.#last
    if (!this.#child.connected) throw new Error(`${this.#child.spawnargs.at(-1)} has died`)
    let timer
    try {
      return await new Promise<T>((resolve, reject) => {
        this.#calls.set(call, { resolve, reject })
        timer = setTimeout(() => reject(new Error(`«${name}» took longer than ${ms} ms`)), ms)
        this.#child.send({ call, name, argument })
      })
    } finally {
      clearTimeout(timer)
    }
  }

  stop (): void {
    this.#child.kill('SIGKILL')
  }
}

/** Raises the limit of open files, as far as the system allows. */
function raise (openFiles: number): string {
  return `ulimit -n ${openFiles} 2>/dev/null || ulimit -n "$(ulimit -H -n)"`
}

/** Starts Node through a shell that raises its limit first: Node has no call for it. */
function limited (openFiles: number): { execPath: string, execArgv: string[] } {
  return { execPath: '/bin/sh', execArgv: ['-c', `${raise(openFiles)}; exec "${process.execPath}" --expose-gc "$0"`] }
}

/** Open files that a process gets which asks for so many. */
export function grantedOpenFiles (wanted: number): number {
  const limit = spawnSync('/bin/sh', ['-c', `${raise(wanted)}; ulimit -n`], { encoding: 'utf8' }).stdout.trim()
  return limit === 'unlimited' ? wanted : Math.min(wanted, Number(limit))
}
