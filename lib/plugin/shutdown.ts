import type { IncomingMessage, ServerResponse, Server } from 'node:http'
import { constants, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2'
import type { FastifyInstance } from 'fastify'
import type { EventStream } from '../stream/event-stream.js'
import type { StreamHub } from '../stream/hub.js'
import { realTimers } from '../time/real-timers.js'
import { encodeRetry } from '../wire/encode.js'
import { MAX_RETRY_MS } from '../wire/frame.js'
import { acceptsEventStream, MEDIA_TYPE } from './accept.js'
import type { Http2Sessions } from './http2-sessions.js'
import type { StreamRoute } from './route.js'

/** How long a client may take to receive the end of its stream before it is cut off. */
const END_GRACE_MS = 1_000

/** Widest window over which clients are sent back, in milliseconds, and how much of it each stream adds. */
const MAX_SPREAD_MS = 30_000
const SPREAD_PER_STREAM_MS = 2

/**
 * Ends all streams of a server that is closing. Run in `preClose`: while it is under way Fastify waits with closing the
 * server, so that each client receives its end, and with `onClose`, so that sources can still use what those hooks close.
 *
 * @param before what is still to be written: done once reconnects are turned away, and before the first stream ends
 */
export async function drain (app: FastifyInstance, hub: StreamHub, sessions: Http2Sessions, before: () => Promise<void>): Promise<void> {
  turnAwayReconnects(app, [...hub.streams])
  await before()
  const streams = [...hub.streams]
  const spreadMs = Math.min(MAX_SPREAD_MS, streams.length * SPREAD_PER_STREAM_MS)
  // A handler that was waiting when the server began to close can still open a stream.
  hub.onOpened = (stream) => { void endOne(stream, 0, spreadMs) }
  await Promise.all(streams.map((stream) => {
    const { drain, drainTimeoutMs } = (stream.settings as StreamRoute).options
    return endOne(stream, drain === 'finish' ? drainTimeoutMs : 0, spreadMs)
  }))
  // Also of streams that ended before: what they use is closed next.
  await Promise.all([...hub.unsettled].map(awaitSource))
  sessions.close(END_GRACE_MS)
}

async function endOne (stream: EventStream, finishMs: number, spreadMs: number): Promise<void> {
  const { reconnectionTimeMs } = (stream.settings as StreamRoute).options
  const { socket, httpVersionMajor } = stream.request.raw
  if (finishMs > 0) await within(finishMs, stream.closed)
  const retryMs = reconnectionTimeMs + Math.floor(Math.random() * Math.max(reconnectionTimeMs, spreadMs))
  stream.end('shutdown', encodeRetry(Math.min(retryMs, MAX_RETRY_MS)))
  if (!await within(END_GRACE_MS, stream.closed)) stream.cut('shutdown')
  // Over a connection that is kept the client would send its reconnect before the server is gone (see below).
  if (httpVersionMajor < 2) socket?.destroySoon?.()
}

async function awaitSource (stream: EventStream): Promise<void> {
  const { drainTimeoutMs } = (stream.settings as StreamRoute).options
  if (await within(drainTimeoutMs, stream.settled())) return
  stream.request.log.warn(`the source of an event stream has not returned ${drainTimeoutMs} ms after the server began to close: ` +
    'let it stop when its signal aborts')
}

/** @returns whether `work` was done in time */
async function within (ms: number, work: Promise<void>): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined
  // A server has to close also in a test whose clock stands still.
  const late = new Promise<boolean>((resolve) => { timer = realTimers.setTimeout(() => resolve(false), ms) })
  try {
    return await Promise.race([work.then(() => true), late])
  } finally {
    realTimers.clearTimeout(timer)
  }
}

/**
 * While streams are ending, Fastify answers new requests with 503 before any plugin sees them. To an `EventSource` that is
 * final. Requests that ask for an event stream get no answer instead: their connection is reset, and they try again.
 */
function turnAwayReconnects (app: FastifyInstance, streams: EventStream[]): void {
  // `listen({ host: 'localhost' })` binds a second server that Fastify does not show; its sockets know it.
  const servers = new Set<Server>([app.server])
  for (const stream of streams) {
    const { server } = stream.request.raw.socket as { server?: Server }
    if (typeof server?.prependListener === 'function') servers.add(server)
  }
  // Never removed: a server does not take requests again once it has closed.
  for (const server of servers) server.prependListener('request', turnAway)
}

function turnAway (request: IncomingMessage | Http2ServerRequest, response: ServerResponse | Http2ServerResponse): void {
  const { accept } = request.headers
  if (accept === undefined || !accept.includes(MEDIA_TYPE) || !acceptsEventStream(accept)) return
  // Fastify goes on to write its answer, into nothing.
  response.on('error', () => {})
  if ('stream' in response) response.stream.close(constants.NGHTTP2_REFUSED_STREAM)
  else request.socket.destroy()
}
