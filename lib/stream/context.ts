import type { FastifyRequest } from 'fastify'
import type { StreamContext } from './types.js'

/** What a source function is called with; its signal is made when it is asked for. */
export class Context implements StreamContext {
  readonly #stream: { readonly signal: AbortSignal }
  readonly lastEventId: string | undefined
  readonly request: FastifyRequest

  constructor (stream: { readonly signal: AbortSignal }, { lastEventId, request }: Omit<StreamContext, 'signal'>) {
    this.#stream = stream
    this.lastEventId = lastEventId
    this.request = request
  }

  get signal (): AbortSignal {
    return this.#stream.signal
  }
}
