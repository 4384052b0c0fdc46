import { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { SSEError, show } from '../errors.js'
import { EventStream, type StreamEnd, type StreamHost } from '../stream/event-stream.js'
import { hasLeft, isDelivered, type Exchange } from '../stream/peer.js'
import type { StreamHandle } from '../stream/types.js'
import { END_ID, MAX_ID_BYTES } from '../wire/frame.js'
import { acceptsEventStream, MEDIA_TYPE } from './accept.js'
import type { Http2Sessions } from './http2-sessions.js'
import type { StreamLimits } from './limits.js'
import type { StreamRoute, StreamRoutes } from './route.js'

const kStream = Symbol('sse.stream')

type StreamingReply = FastifyReply & { [kStream]?: ReplyStream }

/** What all replies of one plugin share. */
export interface ReplyContext {
  readonly routes: StreamRoutes
  readonly limits: StreamLimits
  readonly sessions: Http2Sessions
}

/** Makes the method that `reply.sse` is. */
export function createReplyMethod (context: ReplyContext) {
  return function sse (this: FastifyReply, ...args: unknown[]): Promise<void> | StreamHandle<unknown> {
    const stream = new ReplyStream(this, context)
    return args.length === 0 ? stream.openHandle() : stream.openSource(args[0])
  }
}

/**
 * One call of `reply.sse`: decides whether there is a stream, and stands between it and Fastify.
 */
class ReplyStream implements StreamHost {
  readonly exchange: Exchange
  readonly request: FastifyRequest
  lastEventId: string | undefined

  readonly #reply: StreamingReply
  readonly #route: StreamRoute
  readonly #limits: StreamLimits
  readonly #send: FastifyReply['send']
  #stream: EventStream | null = null

  constructor (reply: StreamingReply, { routes, limits, sessions }: ReplyContext) {
    if (reply[kStream] !== undefined) {
      throw new SSEError('FST_SSE_STREAM_EXISTS',
        'reply.sse() was called a second time for one reply. Make one source of both, for instance by a generator with two yield* in it.')
    }
    if (reply.sent || reply.raw.headersSent) {
      throw new SSEError('FST_SSE_REPLY_SENT',
        'reply.sse() was called after the reply had been sent. Call either reply.send() or reply.sse(), and return what it returns.')
    }
    this.#reply = reply
    this.#send = reply.send
    this.#limits = limits
    this.request = reply.request
    this.exchange = { request: reply.request.raw, response: reply.raw }
    this.#route = routes.of(reply.request)
    sessions.remember(reply.request)
    reply[kStream] = this
  }

  /** The form with a source. */
  openSource (source: unknown): Promise<void> {
    const stream = this.#open()
    if (stream === null) return this.#responseClosed()
    const { expiresAt } = this.#route.options
    if (stream.isOver) return stream.closed
    if (expiresAt === undefined) stream.feed(source)
    else void this.#feedUntil(stream, source, expiresAt)
    return stream.closed
  }

  /** The form without one. */
  openHandle (): StreamHandle<unknown> {
    const stream = this.#open()
    if (stream === null) return closedHandle(this.#responseClosed())
    const { expiresAt } = this.#route.options
    if (expiresAt !== undefined) void this.#feedUntil(stream, undefined, expiresAt)
    return {
      send: (event) => stream.send(event),
      comment: (text = '') => stream.comment(text),
      close: () => stream.end('source-ended'),
      get signal () { return stream.signal },
      closed: stream.closed
    }
  }

  /** @returns null when the request is answered in another way, or its client is gone */
  #open (): EventStream | null {
    const { options } = this.#route
    if (hasLeft(this.exchange)) return null
    if (options.accept === 'strict') {
      this.#reply.header('vary', appendVary(this.#reply.getHeader('vary')))
      if (!acceptsEventStream(this.request.headers.accept)) {
        this.refuse(new SSEError('FST_SSE_NOT_ACCEPTABLE',
          `This is an event stream, and the request accepts ${show(this.request.headers.accept)}. Send Accept: ${MEDIA_TYPE}.`,
          { accept: this.request.headers.accept }))
        return null
      }
    }
    this.lastEventId = lastEventIdOf(this.request)
    const idBytes = this.lastEventId === undefined ? 0 : Buffer.byteLength(this.lastEventId)
    if (idBytes > MAX_ID_BYTES) {
      this.refuse(new SSEError('FST_SSE_LAST_EVENT_ID_TOO_LONG',
        `The Last-Event-ID header has ${idBytes} bytes, and no ID of a stream is longer than ${MAX_ID_BYTES}. Send an ID that the stream gave.`,
        { bytes: idBytes, limit: MAX_ID_BYTES }))
      return null
    }
    // The stream had come to its end: 204 is how a bare EventSource is told not to come back.
    if (options.controlEvents && this.lastEventId === END_ID) {
      this.#reply.code(204).header('cache-control', 'no-cache')
      this.#send.call(this.#reply, undefined)
      return null
    }
    if (this.request.method === 'HEAD') {
      this.#setHeaders()
      this.#send.call(this.#reply, Readable.from([]))
      return null
    }
    let key: string | undefined
    try {
      key = options.limitKey?.(this.request)
      this.#limits.admit(key)
    } catch (error) {
      if (error instanceof SSEError && error.code === 'FST_SSE_LIMIT_REACHED') {
        this.#reply.header('retry-after', String(Math.max(1, Math.ceil(options.reconnectionTimeMs / 1000))))
      }
      this.refuse(error as Error)
      return null
    }
    const stream = new EventStream(this.#route, this.#limits.hub, this, key)
    this.#stream = stream
    this.#reply.send = guardedSend
    stopTimeouts(this.exchange, this.request)
    this.#limits.hub.onOpened?.(stream)
    return stream
  }

  async #feedUntil (stream: EventStream, source: unknown, expiresAt: NonNullable<StreamRoute['options']['expiresAt']>): Promise<void> {
    try {
      const end = await expiresAt(this.request)
      if (end !== undefined) {
        const ms = Number(end) - Date.now()
        if (Number.isNaN(ms)) {
          throw new SSEError('FST_SSE_OPTION_INVALID', `expiresAt gave ${show(end)}. Give a valid Date, or milliseconds since the epoch.`, { option: 'expiresAt', value: end })
        }
        stream.endAfter(Math.max(0, ms), 'expired')
      }
    } catch (error) {
      stream.fail(error)
      return
    }
    if (source !== undefined) stream.feed(source)
  }

  /** Resolves when a response that is not a stream is over. */
  #responseClosed (): Promise<void> {
    const { response } = this.exchange
    if (hasLeft(this.exchange)) return Promise.resolve()
    return new Promise((resolve) => {
      response.once('close', () => resolve())
      response.once('finish', () => resolve())
    })
  }

  // What a stream asks of Fastify

  commit (body: Readable): void {
    const { headers } = this.request
    this.#setHeaders()
    // The one way to keep @fastify/compress off, whatever its customTypes say: events would sit in its buffer.
    if (headers['x-no-compression'] === undefined) headers['x-no-compression'] = 'true'
    this.#send.call(this.#reply, body)
  }

  refuse (error: Error): void {
    // Error handlers answer through reply.send.
    this.#reply.send = this.#send
    try {
      this.#send.call(this.#reply, error)
    } catch (cause) {
      this.warn(cause, 'the error response of an event stream failed')
      this.exchange.response.destroy()
    }
  }

  closed (end: StreamEnd): void {
    const { reason, error, events, durationMs } = end
    const { log } = this.#reply
    this.#limits.release(this.#stream?.key)
    const details = { reason, events, durationMs }
    // Fastify has logged an error that became a response.
    if (end.isRefused) log.debug({ sse: details }, 'event stream refused')
    else if (reason === 'source-failed' || reason === 'event-invalid') log.error({ err: error, sse: details }, 'event stream failed')
    else if (reason === 'client-stalled' || reason === 'response-replaced') log.info({ sse: details }, 'event stream ended')
    else log.debug({ sse: details }, 'event stream ended')
    try {
      this.#route.options.onDisconnect?.(this.request, { reason, error, events, durationMs })
    } catch (failure) {
      this.warn(failure, 'onDisconnect failed')
    }
    completeResponse(this.exchange)
  }

  warn (error: unknown, message: string): void {
    if (error === null) this.#reply.log.warn(message)
    else this.#reply.log.warn({ err: error }, message)
  }

  #setHeaders (): void {
    const reply = this.#reply
    // Exactly this, without a charset: proxies compare it as a whole to tell a stream from other responses.
    if (!reply.hasHeader('content-type')) reply.header('content-type', MEDIA_TYPE)
    if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-cache, no-transform')
    if (!reply.hasHeader('x-accel-buffering')) reply.header('x-accel-buffering', 'no')
    if (!reply.hasHeader('sse-heartbeat')) reply.header('sse-heartbeat', String(this.#route.heartbeatMs))
  }

  /** Something called `reply.send` although there is a stream. */
  sendInstead (payload: unknown): void {
    const stream = this.#stream
    // What Fastify does for an async handler that returns nothing: the stream is the answer.
    if (payload === undefined || stream === null) return
    if (stream.isCommitted && !stream.isAttached) {
      // An onSend hook has failed, and the error handler answers.
      this.#reply.send = this.#send
      this.#send.call(this.#reply, payload)
      return
    }
    if (payload instanceof Error) {
      // A handler that throws after it called reply.sse(): before the first event this is an error response.
      stream.fail(payload)
      return
    }
    this.warn(null, `reply.send(${show(payload)}) was called although reply.sse() is answering: it is ignored. ` +
      'Return what reply.sse() returns.')
  }
}

/** Stands in for `reply.send` while a stream answers. */
function guardedSend (this: StreamingReply, payload?: unknown): StreamingReply {
  this[kStream]?.sendInstead(payload)
  return this
}

/**
 * Fastify runs `onResponse` and logs «request completed» when a response is finished, and an HTTP/1 response that the
 * client leaves never is. Calls Fastify's listener, and no other one, so that metrics and logs see each end, once.
 */
function completeResponse (exchange: Exchange): void {
  if (isDelivered(exchange)) return
  const { response } = exchange
  for (const listener of response.listeners('finish')) {
    if (listener.name === 'onResFinished') listener.call(response)
  }
}

/** What the client has seen last. Header values arrive as Latin-1, and an ID was sent as UTF-8. */
function lastEventIdOf (request: FastifyRequest): string | undefined {
  const header = request.headers['last-event-id']
  const value = Array.isArray(header) ? header[0] : header
  // eslint-disable-next-line no-control-regex
  if (value === undefined || /^[\x00-\x7f]*$/.test(value)) return value
  const decoded = Buffer.from(value, 'latin1').toString('utf8')
  return decoded.includes('\ufffd') ? value : decoded
}

function appendVary (vary: number | string | string[] | undefined): string {
  if (vary === undefined || vary === '') return 'accept'
  const fields = String(vary)
  return /(^|,)\s*(accept|\*)\s*(,|$)/i.test(fields) ? fields : `${fields}, accept`
}

function closedHandle (closed: Promise<void>): StreamHandle<unknown> {
  return {
    send: () => Promise.resolve(false),
    comment () {},
    close () {},
    get signal () { return AbortSignal.abort() },
    closed
  }
}

/**
 * A stream may be silent for as long as it likes, and has its own measures of a client that is gone.
 *
 * Fastify's handler timeout bounds the time until there is an answer, and this is one; Fastify itself stops that timer for
 * `reply.hijack()` alone. The connection timeout is set anew by Node when the response is over.
 */
function stopTimeouts (exchange: Exchange, request: FastifyRequest): void {
  for (const symbol of Object.getOwnPropertySymbols(request)) {
    if (symbol.description !== 'fastify.request.timeoutTimer') continue
    const timers = request as unknown as Record<symbol, ReturnType<typeof setTimeout> | null>
    clearTimeout(timers[symbol] ?? undefined)
    timers[symbol] = null
  }
  const { socket, httpVersionMajor } = exchange.request
  // `inject` has no real socket.
  if (httpVersionMajor < 2 && typeof socket.setTimeout === 'function') socket.setTimeout(0)
}
