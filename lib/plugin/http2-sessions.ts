import type { ServerHttp2Session } from 'node:http2'
import type { FastifyRequest } from 'fastify'

/**
 * The HTTP/2 sessions that have carried a stream and are still there.
 *
 * A server that closes waits for each of them, before Node 24 even for idle ones, and a client between two reconnects
 * holds an idle one.
 */
export class Http2Sessions {
  /** Each with its socket's `destroySoon`: a session that is destroyed no longer gives its socket, and may still wait for its client. */
  readonly #open = new Map<ServerHttp2Session, () => void>()

  /** Remembers the session of a request until it closes; does nothing for HTTP/1. */
  remember (request: FastifyRequest): void {
    const { session } = (request.raw as unknown as { stream?: { session?: ServerHttp2Session } }).stream ?? {}
    if (session === undefined || session.destroyed || this.#open.has(session)) return
    this.#open.set(session, (session.socket as unknown as { destroySoon: () => void }).destroySoon)
    session.once('close', () => this.#open.delete(session))
  }

  /** Closes each session once its requests are answered, and after `graceMs` also that of a client that takes no notice. */
  close (graceMs: number): void {
    for (const [session, destroySoon] of this.#open) {
      // A session that is destroyed only ends its socket, and waits for the client to do the same.
      const insist = (): void => {
        if (session.destroyed) destroySoon()
        else timer = setTimeout(insist, graceMs)
      }
      let timer = setTimeout(insist, graceMs)
      session.once('close', () => clearTimeout(timer))
      if (!session.closed) session.close()
    }
  }
}
