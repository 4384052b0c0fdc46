import type { EventEmitter } from 'node:events'
import type { FastifyRequest } from 'fastify'
import type { CloseReason } from '../stream/types.js'

/** The `sse` member of a route's options, and the defaults of all routes in the plugin's options. */
export interface RouteStreamOptions {
  heartbeatMs?: number | undefined
  reconnectionTimeMs?: number | undefined
  stallTimeoutMs?: number | undefined
  maxAgeMs?: number | undefined
  drain?: 'reconnect' | 'finish' | undefined
  drainTimeoutMs?: number | undefined
  validation?: 'throw' | 'drop' | 'report' | 'off' | undefined
  accept?: 'any' | 'strict' | undefined
  controlEvents?: boolean | undefined
  expiresAt?: ((request: FastifyRequest) => Date | number | undefined | Promise<Date | number | undefined>) | undefined
  limitKey?: ((request: FastifyRequest) => string | undefined) | undefined
  onDisconnect?: ((request: FastifyRequest, reason: CloseReason) => void) | undefined
}

/** Options of the plugin. */
export interface SSEPluginOptions extends RouteStreamOptions {
  limits?: { total?: number | undefined, perKey?: number | undefined } | undefined
}

/** One open stream, as `evict` and `stats` see it. */
export interface OpenStream {
  readonly request: FastifyRequest
  readonly key: string | undefined
  readonly openedAt: number
}

/** `app.sse` */
export interface SSEApi {
  on (emitter: EventEmitter, name: string | symbol, options?: { signal?: AbortSignal | undefined }): AsyncIterableIterator<unknown[]>
  abortable<T> (iterable: AsyncIterable<T> | Iterable<T>, signal: AbortSignal): AsyncIterableIterator<T>
  evict (filter: (stream: OpenStream) => boolean): number
  stats (): { open: number }
}
