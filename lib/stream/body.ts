import { Readable } from 'node:stream'

/** What Fastify, through `stream.finished`, listens to on a response. */
const WATCHED = ['end', 'finish', 'close', 'error', 'aborted']

function ignore (): void {}

/** What a {@link StreamBody} carries, seen from the body. */
export interface BodyOwner {
  /** The response that may be written to without a pipe in between. */
  readonly response: NodeJS.WritableStream
  /**
   * The body was piped straight to the response: write there from now on. `endsResponse` is false when trailers follow.
   *
   * @returns false when the body has been read in another way already
   */
  attachResponse (endsResponse: boolean): boolean
  /** Something else reads the body: push into it from now on, until `push` answers false; then wait for the next call. */
  attachBody (): void
  /** Nobody listens to the body any more: it may be forgotten. */
  bodyDone (): void
  /** Whoever read the body gave it up. */
  bodyDestroyed (): void
}

/**
 * The payload that Fastify sends: a `Readable` for everybody, and for the response itself no more than a door.
 *
 * Fastify sets the headers, runs the hooks and at last calls `payload.pipe(response)`. When that destination is the
 * raw response, frames are written to it directly, without the copies and ticks of a pipe; this is what makes a stream
 * fast. When a hook has put something in between (compression, a counter), it reads an ordinary `Readable`.
 */
export class StreamBody extends Readable {
  readonly #owner: BodyOwner
  #isDirect = false
  #listenersBefore: Array<[event: string, count: number]> | null = null

  constructor (owner: BodyOwner) {
    // Without `close` of its own, the end of the body is a single event that can be given at once (see `finish`).
    super({ autoDestroy: false, emitClose: false })
    this.#owner = owner
  }

  override pipe<T extends NodeJS.WritableStream> (destination: T, options?: { end?: boolean }): T {
    if (destination as NodeJS.WritableStream === this.#owner.response && !this.#isDirect) {
      const endsResponse = options?.end !== false
      this.#isDirect = this.#owner.attachResponse(endsResponse)
      if (this.#isDirect) {
        if (endsResponse && this.listenerCount('end') === 1 && this.#listenersBefore !== null) this.#leave(this.#listenersBefore)
        return destination
      }
    }
    return super.pipe(destination, options)
  }

  /**
   * Without trailers Fastify only wants to hear whether the payload ended before the response closed. It hears that now,
   * and what it listens with, 3 KB for each stream with the body itself, can go. (Somebody else who listens for the end
   * is told when it comes.)
   */
  #leave (listenersBefore: ReadonlyArray<[event: string, count: number]>): void {
    this.emit('end')
    this.removeAllListeners()
    // Fastify's watch over the response does nothing from now on, and keeps the body alive: its listeners came last.
    const { response } = this.#owner
    for (const [event, count] of listenersBefore) {
      for (const listener of response.listeners(event).slice(count)) response.off(event, listener as () => void)
    }
    // It also took the response's errors, which have no other listener. The end of the stream is told by `close`.
    if (response.listenerCount('error') === 0) response.on('error', ignore)
    this.#owner.bodyDone()
  }

  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- as Readable has it
  override on (event: string | symbol, listener: (...args: any[]) => void): this {
    // Fastify watches the body, then the response, then pipes, all in one call: what the response has now is not of that
    // watch, and what it has more when the pipe is asked for is. A hook may have listened to the body before; Fastify comes last.
    if (event === 'close') {
      this.#listenersBefore = WATCHED.map((name) => [name, this.#owner.response.listenerCount(name)])
    }
    return super.on(event, listener)
  }

  override _read (): void {
    if (!this.#isDirect) this.#owner.attachBody()
  }

  override _destroy (error: Error | null, callback: (error?: Error | null) => void): void {
    this.#owner.bodyDestroyed()
    callback(error)
  }

  /**
   * There will be no more frames.
   *
   * For a direct body this tells Fastify at once that the payload has ended: it then sends trailers if there are any,
   * and a response that closes afterwards is not logged as cut off.
   */
  finish (): void {
    if (this.#isDirect) this.emit('end')
    else if (!this.readableEnded && !this.destroyed) this.push(null)
  }
}
