import { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { show, SSEError, StreamClosedError } from '../errors.js'
import { EventStream } from '../stream/event-stream.js'
import type { FrameFeed } from '../stream/feed.js'
import type { StreamEnd, StreamHost } from '../stream/host.js'
import { hasLeft, type Exchange } from '../stream/peer.js'
import { discardSource, holdErrors, isThenable } from '../stream/source.js'
import type { StreamHandle } from '../stream/types.js'
import { realTimers } from '../time/real-timers.js'
import { END_ID, MAX_ID_BYTES } from '../wire/frame.js'
import { acceptsEventStream, MEDIA_TYPE } from './accept.js'
import { completeResponse, stopTimeouts } from './fastify-internals.js'
import { isChannelSource, openChannels } from './frame-source.js'
import type { Http2Sessions } from './http2-sessions.js'
import type { StreamLimits } from './limits.js'
import type { StreamRoute, StreamRoutes } from './route.js'

const kStream = Symbol('sse.stream')

/** What has been handed out. Weakly held: a handle that nobody keeps takes a kilobyte. */
const handles = new WeakSet<object>()

/** Times before this, in March 1973, are taken for seconds since the epoch. */
const SECONDS_BELOW = 1e11

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
  /** Whether the answer is an error response, and nothing of a stream has been sent. */
  isRefused = false

  constructor (reply: StreamingReply, { routes, limits, sessions }: ReplyContext) {
    // An error handler may answer with a stream what became an error response.
    if (reply[kStream]?.isRefused === false) {
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
    const stream = this.#open(isChannelSource(source))
    // What is handed over of a channel holds nothing open.
    const discard = (): void => {
      if (!isChannelSource(source)) discardSource(source)
    }
    if (stream === null || stream.isOver) {
      discard()
      return stream === null ? this.#responseClosed() : stream.closed
    }
    const start = (): void => stream.isOver ? discard() : stream.feed(source)
    const expiry = this.#limitAge(stream)
    if (expiry === null) {
      start()
    } else {
      if (!isChannelSource(source)) holdErrors(source)
      void expiry.then(start)
    }
    return stream.closed
  }

  /** The form without one. */
  openHandle (): StreamHandle<unknown> {
    const stream = this.#open(false)
    if (stream === null) return closedHandle(this.#responseClosed())
    const expiry = this.#limitAge(stream)
    // Nothing is sent before it is known that there is a right to it.
    const allowed = (work: () => void): void => {
      if (expiry === null) work()
      else void expiry.then(work)
    }
    const handle: StreamHandle<unknown> = {
      send: (event) => expiry === null ? stream.send(event) : expiry.then(() => stream.send(event)),
      comment: (text = '') => allowed(() => stream.comment(String(text))),
      close: () => allowed(() => stream.end('source-ended')),
      get signal () { return stream.signal },
      closed: stream.closed
    }
    handles.add(handle)
    return handle
  }

  /**
   * @param takesAnyId whether a last event ID that nobody has given is to be told as a gap
   * @returns null when the request is answered in another way, or its client is gone
   */
  #open (takesAnyId: boolean): EventStream | null {
    const { options } = this.#route
    if (hasLeft(this.exchange)) return null
    const { statusCode } = this.#reply
    if (statusCode < 200 || statusCode === 204 || statusCode === 205 || statusCode === 304) {
      // Or the error would have no body either.
      this.#reply.code(500)
      this.refuse(new SSEError('FST_SSE_STATUS_INVALID',
        `The status is ${statusCode}, and a response with that status has no body. Leave it at 200, or answer with reply.send().`, { status: statusCode }))
      return null
    }
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
    const idBytes = takesAnyId || this.lastEventId === undefined ? 0 : Buffer.byteLength(this.lastEventId)
    if (idBytes > MAX_ID_BYTES) {
      const place = this.request.headers['last-event-id'] === undefined ? 'query parameter lastEventId' : 'Last-Event-ID header'
      this.refuse(new SSEError('FST_SSE_LAST_EVENT_ID_TOO_LONG',
        `The ${place} has ${idBytes} bytes, and no ID of a stream is longer than ${MAX_ID_BYTES}. Send an ID that the stream gave.`,
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
      key = this.#limitKey()
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

  /**
   * Lets the stream end when the right to it does.
   *
   * @returns a promise when that has to be waited for before anything is sent; it never rejects
   */
  #limitAge (stream: EventStream): Promise<void> | null {
    const { expiresAt } = this.#route.options
    if (expiresAt === undefined) return null
    const apply = (at: unknown): void => {
      if (at === undefined) return
      const ms = at instanceof Date || typeof at === 'number' ? Number(at) - Date.now() : NaN
      if (Number.isNaN(ms) || Number(at) < SECONDS_BELOW) {
        throw new SSEError('FST_SSE_OPTION_INVALID',
          `expiresAt gave ${show(at)}. Give a valid Date, milliseconds (not seconds) since the epoch, or undefined for no end.`,
          { option: 'expiresAt', value: at })
      }
      if (ms <= 0) stream.end('expired')
      else stream.endAfter(ms, 'expired')
    }
    try {
      const at = expiresAt(this.request)
      if (isThenable(at)) return Promise.resolve(at).then(apply).catch((error: unknown) => stream.fail(error))
      apply(at)
    } catch (error) {
      stream.fail(error)
    }
    return null
  }

  #limitKey (): string | undefined {
    const key: unknown = this.#route.options.limitKey?.(this.request)
    if (key === undefined || typeof key === 'string') return key
    if (isThenable(key)) Promise.resolve(key).catch(() => {})
    throw new SSEError('FST_SSE_OPTION_INVALID',
      `limitKey gave ${isThenable(key) ? 'a promise' : show(key)}. Give a string, or undefined for nobody; what has to be waited for belongs in a hook.`,
      { option: 'limitKey', value: key })
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

  open (source: unknown, stream: EventStream): { feed: FrameFeed } | { events: unknown } {
    if (!isChannelSource(source)) return { events: source }
    const route = this.#route
    return { feed: openChannels(source, stream, ({ schemas }) => route.sends(schemas), (event) => route.encode(event, this)) }
  }

  commit (body: Readable): void {
    const { headers } = this.request
    this.#setHeaders()
    // The one way to keep @fastify/compress off, whatever its customTypes say: events would sit in its buffer.
    if (headers['x-no-compression'] === undefined) headers['x-no-compression'] = 'true'
    this.#send.call(this.#reply, body)
  }

  refuse (error: Error): void {
    this.isRefused = true
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
    const { reason, events, durationMs } = end
    const { log } = this.#reply
    this.#limits.release(this.#stream?.key)
    try {
      this.#report(end)
    } catch (failure) {
      // A logger that cannot make text of somebody's error must not keep the stream from ending.
      log.error({ sse: { reason, events, durationMs } }, `the end of an event stream could not be reported: ${show(String(failure))}`)
    }
    // When something else is sent, Fastify does this by itself.
    if (reason !== 'response-replaced' || this.exchange.response.destroyed) completeResponse(this.exchange)
  }

  #report (end: StreamEnd): void {
    const { reason, error, events, durationMs } = end
    const { log } = this.#reply
    const details = { reason, events, durationMs }
    // Fastify has logged an error that became a response.
    if (end.isRefused) log.debug({ sse: details }, 'event stream refused')
    else if (reason === 'source-failed' || reason === 'event-invalid') log.error({ err: error, sse: details }, 'event stream failed')
    else if (reason === 'client-stalled' || reason === 'response-replaced') log.info({ sse: details }, 'event stream ended')
    else log.debug({ sse: details }, 'event stream ended')
    try {
      const done: unknown = this.#route.options.onDisconnect?.(this.request, { reason, error, events, durationMs })
      if (isThenable(done)) Promise.resolve(done).catch((failure: unknown) => this.warn(failure, 'onDisconnect failed'))
    } catch (failure) {
      this.warn(failure, 'onDisconnect failed')
    }
  }

  warn (error: unknown, message: string): void {
    if (error === null) this.#reply.log.warn(message)
    else this.#reply.log.warn({ err: error }, message)
  }

  #setHeaders (): void {
    const reply = this.#reply
    // Exactly this, without a charset: proxies compare it as a whole to tell a stream from other responses.
    reply.header('content-type', MEDIA_TYPE)
    if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-cache, no-transform')
    if (!reply.hasHeader('x-accel-buffering')) reply.header('x-accel-buffering', 'no')
    if (!reply.hasHeader('sse-heartbeat')) reply.header('sse-heartbeat', String(this.#route.heartbeatMs))
  }

  /** Something called `reply.send` although there is a stream. */
  sendInstead (payload: unknown): void {
    const stream = this.#stream
    // What Fastify does for an async handler that returns nothing: the stream is the answer.
    if (payload === undefined || handles.has(payload as object) || stream === null) return
    const isUnderway = stream.isDirect || this.#reply.raw.headersSent
    if (stream.isCommitted && !isUnderway && (payload instanceof Error || this.#reply.statusCode >= 400)) {
      // An onSend hook, or what it put in between, has failed and the error handler answers; or the handler has failed while
      // such a hook is waiting.
      this.#reply.send = this.#send
      stream.replace()
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
 * What the client has seen last: the `Last-Event-ID` header, else the query parameter `lastEventId`, by which a page that was
 * rendered on the server begins. Read from the URL itself: a schema may take from the query what it does not name.
 */
function lastEventIdOf (request: FastifyRequest): string | undefined {
  const header = request.headers['last-event-id']
  const value = Array.isArray(header) ? header[0] : header
  if (value === undefined) {
    const { url = '' } = request.raw
    return url.includes('lastEventId=') ? new URLSearchParams(url.slice(url.indexOf('?') + 1)).get('lastEventId') ?? undefined : undefined
  }
  // Header values arrive as Latin-1, and an ID was sent as UTF-8.
  // eslint-disable-next-line no-control-regex
  if (/^[\x00-\x7f]*$/.test(value)) return value
  const decoded = Buffer.from(value, 'latin1').toString('utf8')
  return decoded.includes('\ufffd') ? value : decoded
}

function appendVary (vary: number | string | string[] | undefined): string {
  if (vary === undefined || vary === '') return 'accept'
  const fields = String(vary)
  return /(^|,)\s*(accept|\*)\s*(,|$)/i.test(fields) ? fields : `${fields}, accept`
}

function closedHandle (closed: Promise<void>): StreamHandle<unknown> {
  // Aborted a turn later, so that who listens to it now is told.
  const controller = new AbortController()
  realTimers.setImmediate(() => controller.abort(new StreamClosedError('client-left')))
  return {
    send: () => Promise.resolve(false),
    comment () {},
    close () {},
    signal: controller.signal,
    closed
  }
}
