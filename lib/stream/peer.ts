import { ServerResponse, type IncomingMessage } from 'node:http'
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2'
import { Socket } from 'node:net'
import type { Readable } from 'node:stream'

/** The request and the response of an event stream, over HTTP/1 or HTTP/2. */
export interface Exchange {
  readonly request: IncomingMessage | Http2ServerRequest
  readonly response: ServerResponse | Http2ServerResponse
}

/** Wants to know when the client at the other end of a socket is gone. */
export interface PeerWatcher {
  peerLeft (): void
}

const kWatchers = Symbol('sse.watchers')
type WatchedSocket = Socket & { [kWatchers]?: PeerWatcher[] }

/**
 * Calls `watcher.peerLeft()` when the client closes the connection of an HTTP/1 request.
 *
 * The response alone does not tell in time: a client's FIN reaches a blocked response as the socket's `end` and nothing
 * else, and a pipelined response that waits behind another one hears nothing at all before Node 24.
 * One pair of listeners serves all responses of a connection, so pipelining does not pile them up.
 */
export function watchPeer ({ request, response }: Exchange, watcher: PeerWatcher): void {
  // `inject` with `payloadAsStream` has no connection: its client leaves by destroying the stream that it reads.
  injectedPayload(response)?.once('close', () => watcher.peerLeft())
  const socket = http1Socket(request)
  if (socket === null) return
  if (socket[kWatchers] === undefined) {
    socket[kWatchers] = [watcher]
    socket.on('end', onGone)
    socket.on('close', onGone)
  } else {
    socket[kWatchers].push(watcher)
  }
}

/** Ends what {@link watchPeer} began. */
export function unwatchPeer ({ request }: Exchange, watcher: PeerWatcher): void {
  const socket = http1Socket(request)
  const watchers = socket?.[kWatchers]
  if (socket === null || watchers === undefined) return
  const index = watchers.indexOf(watcher)
  if (index !== -1) watchers.splice(index, 1)
  if (watchers.length === 0) {
    delete socket[kWatchers]
    socket.off('end', onGone)
    socket.off('close', onGone)
  }
}

function onGone (this: WatchedSocket): void {
  for (const watcher of [...this[kWatchers] ?? []]) watcher.peerLeft()
}

function injectedPayload (response: Exchange['response']): Readable | undefined {
  return (response as { _lightMyRequest?: { stream?: Readable } })._lightMyRequest?.stream
}

function http1Socket (request: Exchange['request']): WatchedSocket | null {
  // The socket of an HTTP/2 request belongs to many streams; there the response's own `close` is enough.
  if (request.httpVersionMajor >= 2) return null
  const { socket } = request
  return typeof socket?.on === 'function' ? socket : null
}

/**
 * Whether the client is gone already: Fastify runs a handler also when the client left during a slow hook.
 */
export function hasLeft ({ request, response }: Exchange): boolean {
  return response.destroyed || (request as IncomingMessage).aborted || request.socket?.destroyed === true
}

/**
 * A number that changes when a blocked peer takes some bytes, though not yet all that wait for it.
 *
 * Node tells how much the kernel has not taken only by its internal handle. Where that is absent the number is that of
 * the bytes that Node itself holds, which moves when a whole write is through.
 */
export function unsentBytes ({ request, response }: Exchange): number {
  const queued = (request.socket as { _handle?: { writeQueueSize?: number } } | undefined)?._handle?.writeQueueSize ?? 0
  const held = 'stream' in response ? response.stream?.writableLength : response.writableLength
  return queued + (held ?? 0)
}

/** Whether all of the response has been handed to the system. */
export function isDelivered ({ response }: Exchange): boolean {
  // The writable side of an HTTP/2 stream is finished too when the client has reset it: somebody must have ended the response.
  return response.writableEnded && ('stream' in response ? response.stream?.writableFinished === true : response.writableFinished)
}

/**
 * Whether an HTTP/1 response waits behind another one of its connection: nothing of it can be sent yet, whatever the
 * client does.
 */
export function isQueued ({ request, response }: Exchange): boolean {
  return request.httpVersionMajor < 2 && response.socket === null && !response.writableFinished && !response.destroyed
}

/** Cuts a response off: the connection of an HTTP/1 response, the one stream of HTTP/2. */
export function cutOff ({ request, response }: Exchange): void {
  response.destroy()
  // A pipelined response has no socket of its own yet, and then `destroy` reaches nobody.
  if (request.httpVersionMajor < 2 && response.socket === null) request.socket?.destroy()
}

/**
 * The socket that chunks of a response can be written to directly, or null.
 *
 * That is how Node itself sends the body of an HTTP/1.1 response without a length, except that Node takes three pieces and a tick
 * for each: head and end of a chunk are made anew for each client, and all is held back until the tick is over. Not for a
 * response that waits behind another, that has sent no head yet, or whose `write` somebody has replaced.
 */
export function chunkSocket ({ response }: Exchange): Socket | null {
  if (!(response instanceof ServerResponse) || response.write !== write) return null
  const { socket, chunkedEncoding, outputData } = response as ServerResponse & { outputData?: unknown[] }
  return socket instanceof Socket && chunkedEncoding && response.headersSent && outputData?.length === 0 && !response.writableEnded ? socket : null
}

const { write } = ServerResponse.prototype
