import { fork, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'

/** Longest time that one call may take, in milliseconds. Past it the run fails rather than hang. */
const CALL_MS = 60_000

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
   * @param isQuiet whether what it prints is of no interest, since it is meant to fail
   */
  static async start (file: string, env: Record<string, string> = {}, isQuiet = false): Promise<Remote> {
    const child = fork(join(import.meta.dirname, file),
      { execArgv: ['--expose-gc'], env: { ...process.env, ...env }, stdio: ['ignore', 'inherit', isQuiet ? 'ignore' : 'inherit', 'ipc'] })
    const port = await new Promise<number>((resolve, reject) => {
      child.once('message', ({ port }: Answer) => resolve(port!))
      child.once('exit', (code) => reject(new Error(`${file} ended with ${code}`)))
    })
    return new Remote(child, port)
  }

  async call<T> (name: string, argument: unknown = null): Promise<T> {
    const call = ++this.#last
    if (!this.#child.connected) throw new Error(`${this.#child.spawnargs.at(-1)} has died`)
    let timer
    try {
      return await new Promise<T>((resolve, reject) => {
        this.#calls.set(call, { resolve, reject })
        timer = setTimeout(() => reject(new Error(`«${name}» took longer than ${CALL_MS} ms`)), CALL_MS)
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
