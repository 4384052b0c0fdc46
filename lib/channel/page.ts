/** Most bytes that are handed to a stream in one write, unless one frame alone is longer. */
export const MAX_PAGE_BYTES = 64 * 1024

/** Some frames in a row, which many streams write. */
export class Page {
  readonly frames: Buffer
  /** Offset of the last one. */
  readonly last: number
  /** How many there are. */
  readonly events: number
  #chunk: Buffer | null = null

  constructor (frames: Buffer, last: number, events: number) {
    this.frames = frames
    this.last = last
    this.events = events
  }

  /** The frames as one chunk of an HTTP/1.1 response (RFC 9112, 7.1): made once for all who write it. */
  get chunk (): Buffer {
    if (this.#chunk === null) {
      const head = `${this.frames.length.toString(16)}\r\n`
      const chunk = Buffer.allocUnsafe(head.length + this.frames.length + 2)
      chunk.write(head, 'latin1')
      this.frames.copy(chunk, head.length)
      chunk.write('\r\n', head.length + this.frames.length, 'latin1')
      this.#chunk = chunk
    }
    return this.#chunk
  }
}
