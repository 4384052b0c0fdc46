// What is known here of Fastify's insides, beyond what it documents. Each has a test that fails when Fastify changes it.
import type { FastifyRequest } from 'fastify'
import { isDelivered, type Exchange } from '../stream/peer.js'

/**
 * Fastify runs `onResponse` and logs «request completed» when a response is finished, and an HTTP/1 response that the
 * client leaves never is. Calls Fastify's listener, and no other one, so that metrics and logs see each end, once.
 */
export function completeResponse (exchange: Exchange): void {
  if (isDelivered(exchange)) return
  const { response } = exchange
  for (const listener of response.listeners('finish')) {
    if (listener.name === 'onResFinished') listener.call(response)
  }
}

/**
 * A stream may be silent for as long as it likes, and has its own measures of a client that is gone.
 *
 * Fastify's handler timeout bounds the time until there is an answer, and this is one; Fastify itself stops that timer for
 * `reply.hijack()` alone. The connection timeout is set anew by Node when the response is over.
 */
export function stopTimeouts (exchange: Exchange, request: FastifyRequest): void {
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
