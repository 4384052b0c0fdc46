import net, { type Socket } from 'node:net'
import type { Test } from 'tap'
import FakeTimers from '@sinonjs/fake-timers'
import { connect, type ConnectOptions, type EventStream, type ReceivedEvent, type StreamError, type StreamState } from '../../lib/client.js'
import { until } from '../support/sources.js'

type Bytes = string | Uint8Array

/** A request as it stood on the wire, and the socket that it came over. */
export class RawRequest {
  readonly method: string
  readonly url: string
  /** By name in small letters. A character of a value is one byte. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
  readonly socket: Socket
  /** Resolves when the socket is closed. */
  readonly closed: Promise<void>
  isClosed = false
  /** Whether a whole response was sent. */
  isAnswered = false

  constructor (head: string, body: Buffer, socket: Socket) {
    const [first = '', ...lines] = head.split('\r\n')
    const [method = '', url = ''] = first.split(' ')
    this.method = method
    this.url = url
    this.headers = Object.fromEntries(lines.map((line) => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, '')]
    }))
    this.body = body
    this.socket = socket
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.isClosed = true
        resolve()
      })
    })
  }

  /** The last event ID as text, undefined when there is none. */
  get lastEventId (): string | undefined {
    const sent = this.headers['last-event-id']
    return sent === undefined ? undefined : Buffer.from(sent, 'latin1').toString()
  }

  /** Sends bytes as they are. */
  raw (...bytes: Bytes[]): void {
    for (const each of bytes) this.socket.write(each)
  }

  /** Sends the head of an event stream, and these chunks: each is one of the chunked encoding, and one that a reader gets. */
  open (...chunks: Bytes[]): void {
    this.openWith({}, ...chunks)
  }

  openWith (headers: Record<string, string>, ...chunks: Bytes[]): void {
    this.head(200, { 'content-type': 'text/event-stream', 'transfer-encoding': 'chunked', ...headers })
    this.chunks(...chunks)
  }

  head (status: number, headers: Record<string, string>): void {
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
    this.socket.write(`HTTP/1.1 ${status} Status\r\n${lines.join('')}\r\n`)
  }

  chunks (...chunks: Bytes[]): void {
    for (const chunk of chunks) {
      const bytes = Buffer.from(chunk as string)
      if (bytes.length === 0) continue
      this.socket.write(Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]))
    }
  }

  /** Ends an event stream in order: the response, that is, and the connection stays. */
  end (): void {
    this.isAnswered = true
    this.socket.write('0\r\n\r\n')
  }

  /** Answers with a whole response. */
  respond (status: number, headers: Record<string, string> = {}, body = ''): void {
    this.isAnswered = true
    this.head(status, status === 204 ? headers : { 'content-length': String(Buffer.byteLength(body)), ...headers })
    this.socket.write(body)
  }

  /** Breaks the connection off. */
  reset (): void {
    this.socket.resetAndDestroy()
  }
}

/** A server of bare sockets that reads requests, and answers with whatever bytes the test tells it. */
export class RawServer {
  readonly origin: string
  readonly port: number
  readonly requests: RawRequest[] = []
  readonly sockets = new Set<Socket>()
  #given = 0

  constructor (port: number) {
    this.port = port
    this.origin = `http://127.0.0.1:${port}`
  }

  /** The next request that was not given yet. */
  async next (): Promise<RawRequest> {
    const index = this.#given++
    await until(() => index < this.requests.length)
    return this.requests[index]!
  }
}

/** Starts a {@link RawServer} on a free loopback port, or on this one. `answer` is called for each request. */
export async function serveRaw (t: Test, answer?: (request: RawRequest, server: RawServer) => void, port = 0): Promise<RawServer> {
  const listener = net.createServer((socket) => {
    server.sockets.add(socket)
    socket.on('close', () => server.sockets.delete(socket))
    socket.on('error', () => {})
    socket.setNoDelay(true)
    socket.setMaxListeners(0)
    readRequests(socket, (request) => {
      server.requests.push(request)
      answer?.(request, server)
    })
  })
  await new Promise<void>((resolve) => { listener.listen(port, '127.0.0.1', resolve) })
  const server = new RawServer((listener.address() as net.AddressInfo).port)
  t.teardown(async () => {
    for (const socket of server.sockets) socket.destroy()
    await new Promise((resolve) => { listener.close(resolve) })
  })
  return server
}

function readRequests (socket: Socket, onRequest: (request: RawRequest) => void): void {
  let unread = Buffer.alloc(0)
  socket.on('data', (chunk) => {
    unread = Buffer.concat([unread, chunk])
    for (;;) {
      const end = unread.indexOf('\r\n\r\n')
      if (end === -1) return
      const head = unread.toString('latin1', 0, end)
      const after = unread.subarray(end + 4)
      const [, length = '0'] = /^content-length: *(\d+)/im.exec(head) ?? []
      const body = /^transfer-encoding: *chunked/im.test(head) ? readChunked(after) : after.length < +length ? undefined : { bytes: after.subarray(0, +length), size: +length }
      if (!body) return
      unread = after.subarray(body.size)
      onRequest(new RawRequest(head, body.bytes, socket))
    }
  })
}

/** A body in chunked encoding, and how long it was; undefined while it is not all there. */
function readChunked (from: Buffer): { bytes: Buffer, size: number } | undefined {
  const parts: Buffer[] = []
  for (let at = 0; ;) {
    const end = from.indexOf('\r\n', at)
    if (end === -1) return undefined
    const length = parseInt(from.toString('latin1', at, end), 16)
    const next = end + 2 + length + 2
    if (from.length < next) return undefined
    if (length === 0) return { bytes: Buffer.concat(parts), size: next }
    parts.push(from.subarray(end + 2, end + 2 + length))
    at = next
  }
}

/** A TCP proxy that can stop to pass anything on without closing anything: what is behind it looks alive, and is not. */
export class Proxy {
  readonly origin: string
  readonly port: number
  /** Connections that are open, as pairs of sockets. */
  readonly pairs = new Set<[client: Socket, server: Socket]>()
  isFrozen = false
  #listener: net.Server

  constructor (listener: net.Server) {
    this.#listener = listener
    this.port = (listener.address() as net.AddressInfo).port
    this.origin = `http://127.0.0.1:${this.port}`
  }

  /** From now on no byte passes, in either direction, and no end: on the connections that are open, and on new ones. */
  freeze (): void {
    this.isFrozen = true
    for (const pair of this.pairs) {
      for (const socket of pair) socket.pause()
    }
  }

  /** Bytes pass again, those held back first. */
  thaw (): void {
    this.isFrozen = false
    for (const pair of this.pairs) {
      for (const socket of pair) socket.resume()
    }
  }

  /** Breaks off all connections. */
  cut (): void {
    for (const pair of this.pairs) {
      for (const socket of pair) socket.resetAndDestroy()
    }
  }

  close (): void {
    this.cut()
    this.#listener.close()
  }
}

export async function proxyTo (t: Test, port: number): Promise<Proxy> {
  const listener = net.createServer((client) => {
    const server = net.connect(port, '127.0.0.1')
    const pair: [Socket, Socket] = [client, server]
    proxy.pairs.add(pair)
    for (const [from, to] of [pair, [server, client]] as const) {
      from.setNoDelay(true)
      from.on('data', (chunk) => to.write(chunk))
      from.on('end', () => { if (!proxy.isFrozen) to.end() })
      from.on('close', () => {
        if (!proxy.isFrozen) to.destroy()
        if (client.destroyed && server.destroyed) proxy.pairs.delete(pair)
      })
      from.on('error', () => {})
      if (proxy.isFrozen) from.pause()
    }
  })
  await new Promise<void>((resolve) => { listener.listen(0, '127.0.0.1', resolve) })
  const proxy = new Proxy(listener)
  t.teardown(() => proxy.close())
  return proxy
}

/** A stream, and all that it tells. */
export class Observed {
  stream!: EventStream<ReceivedEvent<any, any>>
  readonly states: StreamState[] = []
  readonly errors: StreamError[] = []
  readonly comments: string[] = []
  /** All of it in order, as text. */
  readonly history: string[] = []

  /** The states as text: `live`, `reconnecting: ended`. */
  get statuses (): string[] {
    return this.states.map(({ status, reason }) => reason === undefined ? status : `${status}: ${reason}`)
  }

  /** The state when it has this status, for the `count`th time. */
  async reached (status: StreamState['status'], count = 1): Promise<StreamState> {
    const found = (): StreamState | undefined => this.states.filter((state) => state.status === status)[count - 1]
    await until(() => found() !== undefined)
    return found()!
  }
}

export interface ObserveOptions extends ConnectOptions {
  /**
   * Whether a handler takes all events.
   *
   * @defaultValue `true`
   */
  handle?: boolean
}

/** Connects, and keeps what the stream tells. Closed at the end of the test. */
export function observe (t: Test, url: Parameters<typeof connect>[0], { handle = true, ...options }: ObserveOptions = {}): Observed {
  const observed = new Observed()
  const { states, errors, comments, history } = observed
  const stream = connect(url as string, {
    ...options,
    onStatus (status, state) {
      states.push(state)
      history.push(state.reason === undefined ? status : `${status}: ${state.reason}`)
      options.onStatus?.(status, state)
    },
    onError (error) {
      errors.push(error)
      history.push(`error: ${error.kind}`)
      options.onError?.(error)
    },
    onComment (text) {
      comments.push(text)
      history.push(`comment: ${text}`)
      options.onComment?.(text)
    }
  } as ConnectOptions) as EventStream<ReceivedEvent>
  observed.stream = stream
  if (handle) {
    stream.on('sse.unknown', (data, { event, id }) => {
      history.push(`${event}: ${JSON.stringify(data)}${id === undefined ? '' : ` (${id})`}`)
    })
  }
  t.teardown(() => stream.close())
  return observed
}

/** Timers and the clock stand still until the test ticks. Sockets do not. */
export function stopTime (t: Test): ReturnType<typeof FakeTimers.install> {
  const clock = FakeTimers.install({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date'], now: Date.now(), shouldClearNativeTimers: true })
  t.teardown(() => clock.uninstall())
  return clock
}

/** `Math.random` gives this. */
export function pinRandom (t: Test, value: number): void {
  const { random } = Math
  Math.random = () => value
  t.teardown(() => { Math.random = random })
}

/** Lets all that is under way come to its end: promises, and what sockets of this process have to say to each other. */
export async function settle (): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await new Promise<void>((resolve) => { setImmediate(resolve) })
}
