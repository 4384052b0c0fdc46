import { appendFile, mkdtemp, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** The file is put aside when it is larger than this, as logs in service are. In bytes. */
const MAX_BYTES = 256 * 1024

const MAX_LINE = 300

/** A log in a folder of its own, deleted when it closes: what `GET /log` follows. */
export class RequestLog {
  readonly path: string
  readonly #folder: string
  #pending = ''
  #bytes = 0
  #writing: Promise<void> | null = null
  #isClosed = false

  static async create (): Promise<RequestLog> {
    const log = new RequestLog(await mkdtemp(join(tmpdir(), 'fastify-typed-sse-demo-')))
    log.write('the demo has started')
    await log.#writing
    return log
  }

  private constructor (folder: string) {
    this.#folder = folder
    this.path = join(folder, 'requests.log')
  }

  /** Adds a line, with the time before it. Does nothing after `close()`. */
  write (text: string): void {
    if (this.#isClosed) return
    this.#pending += `${new Date().toISOString()} ${text.slice(0, MAX_LINE).replace(/[\r\n]/g, ' ')}\n`
    this.#writing ??= this.#write()
  }

  async close (): Promise<void> {
    this.#isClosed = true
    await this.#writing
    await rm(this.#folder, { recursive: true, force: true })
  }

  async #write (): Promise<void> {
    while (this.#pending !== '') {
      const text = this.#pending
      this.#pending = ''
      try {
        await appendFile(this.path, text)
        this.#bytes += Buffer.byteLength(text)
        if (this.#bytes > MAX_BYTES) {
          await rename(this.path, `${this.path}.1`)
          this.#bytes = 0
        }
      } catch (error) {
        // A full disk must not end the demo.
        process.emitWarning(error as Error)
      }
    }
    this.#writing = null
  }
}
