import http from 'node:http'
import http2 from 'node:http2'
import type { AddressInfo, Socket } from 'node:net'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { chunkSocket, type Exchange } from '../../lib/stream/peer.js'
import { rawConnect } from '../support/client.js'

/** What an HTTP/1 server's handler finds, for a request sent as it stands. */
async function ask (t: Test, text: string, look: (exchange: Exchange & { response: http.ServerResponse }) => unknown): Promise<{ found: unknown, received: string }> {
  let found: unknown
  const server = http.createServer((request, response) => {
    found = look({ request, response })
    if (!response.writableEnded) response.end()
  })
  t.teardown(() => { server.close() })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const socket = await rawConnect(t, (server.address() as AddressInfo).port, text)
  await new Promise((resolve) => socket.once('end', resolve))
  socket.end()
  return { found, received: socket.received() }
}

const GET = 'GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n'

t.test('a chunked response whose head is out takes chunks on its socket, in order with what is written to it', async (t) => {
  const { found, received } = await ask(t, GET, (exchange) => {
    const { response, request } = exchange
    response.write('one')
    const socket = chunkSocket(exchange)
    socket!.write('3\r\ntwo\r\n')
    response.write('three')
    response.end()
    return socket === request.socket
  })
  t.equal(found, true)
  t.equal(received.slice(received.indexOf('\r\n\r\n') + 4), '3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n')
})

const refusals: Record<string, [text: string, look: (exchange: Exchange & { response: http.ServerResponse }) => unknown]> = {
  'before its head is out': [GET, (exchange) => chunkSocket(exchange)],
  'with a length': [GET, (exchange) => {
    exchange.response.setHeader('content-length', 3)
    exchange.response.write('one')
    return chunkSocket(exchange)
  }],
  'of HTTP/1.0': ['GET / HTTP/1.0\r\n\r\n', (exchange) => {
    exchange.response.write('one')
    return chunkSocket(exchange)
  }],
  'whose write somebody has replaced': [GET, (exchange) => {
    exchange.response.write('one')
    const { write } = exchange.response
    exchange.response.write = ((...args: Parameters<typeof write>) => write.apply(exchange.response, args)) as typeof write
    return chunkSocket(exchange)
  }],
  'that has ended': [GET, (exchange) => {
    exchange.response.write('one')
    exchange.response.end()
    return chunkSocket(exchange)
  }]
}

for (const [name, [text, look]] of Object.entries(refusals)) {
  t.test(`a response ${name} does not`, async (t) => {
    const { found } = await ask(t, text, look)
    t.equal(found, null)
  })
}

t.test('a response that waits behind another one does not', async (t) => {
  const sockets: Array<Socket | null> = []
  let first: http.ServerResponse | undefined
  const server = http.createServer((request, response) => {
    response.write('one')
    sockets.push(chunkSocket({ request, response }))
    if (first === undefined) first = response
    else {
      response.end()
      first.end()
    }
  })
  t.teardown(() => { server.close() })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const socket = await rawConnect(t, (server.address() as AddressInfo).port, 'GET / HTTP/1.1\r\nhost: x\r\n\r\n' + GET)
  await new Promise((resolve) => socket.once('end', resolve))
  socket.end()
  t.strictSame(sockets.map((found) => found !== null), [true, false])
})

t.test('a response of HTTP/2 does not', async (t) => {
  let found: unknown
  const server = http2.createServer((request, response) => {
    response.write('one')
    found = chunkSocket({ request, response })
    response.end()
  })
  t.teardown(() => { server.close() })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const session = http2.connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  const stream = session.request({ ':path': '/' })
  stream.resume()
  await new Promise((resolve) => stream.once('close', resolve))
  session.close()
  t.equal(found, null)
})

t.test('an injected response does not', async (t) => {
  let found: unknown
  const app = Fastify()
  app.get('/', (request, reply) => {
    reply.hijack()
    reply.raw.write('one')
    found = chunkSocket({ request: request.raw, response: reply.raw })
    reply.raw.end()
  })
  await app.inject('/')
  t.equal(found, null)
})
