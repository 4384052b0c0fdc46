import t, { type Test } from 'tap'
import { connect, type ConnectOptions } from '../../lib/client.js'
import { until } from '../support/sources.js'
import { cases, streams, type Read } from '../wire/cases.js'
import { observe, pinRandom, serveRaw, settle, type Observed, type RawRequest } from './servers.js'

type Bytes = string | Uint8Array

/** What the client tells of a stream, and what it takes with it into the next request. */
interface Told {
  read: Read[]
  delayMs: number | undefined
  lastEventId: string | undefined
}

/** Serves these chunks, then the end, and gives all that a client tells of it. */
async function tell (t: Test, chunks: Bytes[], options: ConnectOptions = {}): Promise<Told> {
  const server = await serveRaw(t, (request, { requests }) => {
    if (requests.length > 1) return request.respond(204)
    request.open(...chunks)
    request.end()
  })
  const read: Read[] = []
  const stream = connect(server.origin, {
    data: 'text',
    ...options,
    onComment: (comment) => read.push({ comment }),
    onStatus (status, { reason }) { if (status === 'reconnecting' && reason === 'ended') queueMicrotask(() => { delayMs = stream.state.delayMs; stream.reconnect() }) }
  } as ConnectOptions & { data: 'text' })
  let delayMs: number | undefined
  stream.on('sse.unknown' as string, (data, { event, id = '' }) => read.push({ event, data, id }))
  t.match(await stream.closed, { status: 'closed', reason: 'done' })
  return { read, delayMs, lastEventId: server.requests[1]!.lastEventId }
}

/** What of a case a client tells: a reconnection time is seen in how long it waits. */
function expected (read: Read[], lastEventId = read.reduce((last, each) => 'id' in each ? each.id : last, '')): Told {
  const retries = read.flatMap((each) => 'retry' in each ? [each.retry] : [])
  return {
    read: read.filter((each) => !('retry' in each)),
    delayMs: Math.min(Math.max(retries.at(-1) ?? 1_000, 100), 2 ** 31 - 1),
    // White space around a value is no part of a header.
    lastEventId: lastEventId === '' ? undefined : lastEventId.trim()
  }
}

/** The bytes, one by one. */
function single (text: string): Uint8Array[] {
  return [...Buffer.from(text)].map((byte) => Buffer.of(byte))
}

t.test('what we send is read as it was sent, whole and byte by byte', async (t) => {
  pinRandom(t, 0)
  for (const { name, frame, read } of cases) {
    t.strictSame(await tell(t, [frame]), expected(read), name)
    t.strictSame(await tell(t, single(frame)), expected(read), `${name}: byte by byte`)
  }
})

t.test('what others send is read as the standard says, whole and byte by byte', async (t) => {
  pinRandom(t, 0)
  for (const { name, stream, read, lastEventId } of streams) {
    t.strictSame(await tell(t, [stream]), expected(read, lastEventId), name)
    t.strictSame(await tell(t, single(stream)), expected(read, lastEventId), `${name}: byte by byte`)
  }
})

t.test('all cases in one stream are read in order, wherever it is cut', async (t) => {
  pinRandom(t, 0)
  const bytes = Buffer.from(cases.map(({ frame }) => frame).join(''))
  const whole = await tell(t, [bytes])
  t.ok(whole.read.length > cases.length)
  for (const size of [2, 3, 5, 7, 64]) {
    const chunks: Uint8Array[] = []
    for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size))
    t.strictSame(await tell(t, chunks), whole, `${size} bytes at a time`)
  }
})

t.test('CR and LF that are cut apart end one line', async (t) => {
  const read = async (...chunks: Bytes[]): Promise<Read[]> => (await tell(t, chunks)).read
  t.strictSame(await read('data: a\r', '\ndata: b\r', '\n\r', '\ndata: c\r', '\r'), [
    { event: 'message', data: 'a\nb', id: '' }, { event: 'message', data: 'c', id: '' }
  ])
  t.strictSame(await read('data: a\r\r', '\n', 'data: b\r', '\r', '\n'), [
    { event: 'message', data: 'a', id: '' }, { event: 'message', data: 'b', id: '' }
  ])
})

t.test('an event is given with the CR that completes it, and does not wait for what comes after', async (t) => {
  const server = await serveRaw(t, (request) => request.open('data: 1\r\r'))
  const { history } = observe(t, server.origin)
  await until(() => history.includes('message: 1'))
  t.pass('and no byte more was sent')
})

t.test('bytes that are not UTF-8 are replaced, and what is around them is not', async (t) => {
  const bytes = Buffer.concat([Buffer.from('data: a'), Buffer.of(0xff, 0xc3, 0x28, 0xed, 0xa0, 0x80), Buffer.from('b\nid: '), Buffer.of(0xe2, 0x82), Buffer.from('\n\ndata: '), Buffer.of(0xf0, 0x9f), Buffer.from('\n\n')])
  const read: Read[] = [{ event: 'message', data: 'a\ufffd\ufffd(\ufffd\ufffd\ufffdb', id: '\ufffd' }, { event: 'message', data: '\ufffd', id: '\ufffd' }]
  t.strictSame((await tell(t, [bytes])).read, read)
  t.strictSame((await tell(t, [...bytes].map((byte) => Buffer.of(byte)))).read, read)
})

t.test('an ID goes back as its UTF-8 bytes', async (t) => {
  for (const id of ['1', 'größe', '日本😀', 'a b', '"', ',;=', '\u00a0', '\u0080', 'x'.repeat(4096), '\ufffd']) {
    t.equal((await tell(t, [`id: ${id}\ndata: 1\n\n`])).lastEventId, id)
    t.equal((await tell(t, [':\n\n'], { initialLastEventId: id })).lastEventId, id)
  }
})

t.test('an ID that Node puts into no header is told as what keeps the stream from coming back', async (t) => {
  const server = await serveRaw(t, (request) => {
    request.open('id: a\u0001b\ndata: 1\n\n')
    request.end()
  })
  const seen: Observed = observe(t, server.origin, { onStatus: (_status, { reason }) => { if (reason === 'ended') queueMicrotask(() => seen.stream.reconnect()) } })
  await until(() => seen.states.some(({ reason }) => reason === 'network'))
  t.match(seen.errors.at(-1), { kind: 'network', willRetry: true, cause: { cause: { message: /last-event-id/ } } })
  t.equal(server.requests.length, 1)
})

t.test('Last-Event-ID is not sent while there is none, and once the server has cleared it', async (t) => {
  const server = await serveRaw(t, (request, { requests }) => {
    const answers = [':\n\n', 'id: 1\n\n', 'data: 1\n\n', 'id\ndata: 1\n\n']
    const answer = answers[requests.length - 1]
    if (answer === undefined) return request.respond(204)
    request.open(answer)
    request.end()
  })
  const seen: Observed = observe(t, server.origin, { onStatus: (_status, { reason }) => { if (reason === 'ended') queueMicrotask(() => seen.stream.reconnect()) } })
  await seen.stream.closed
  t.strictSame(server.requests.map(({ headers }) => headers['last-event-id']), [undefined, undefined, '1', '1', undefined])
})

t.test('an event over the limit ends the stream, whatever part of it is too large, and the events before it are given', async (t) => {
  const over: Array<[name: string, ...chunks: string[]]> = [
    ['a line of data', `data: ${'x'.repeat(1000)}\n\n`],
    ['many lines of data', 'data: x\n'.repeat(200)],
    ['a line that does not end', ...Array<string>(20).fill('data: x'.repeat(20))],
    ['a comment', `:${'x'.repeat(1000)}`],
    ['an unknown field', 'x'.repeat(1001)],
    ['characters that are not ASCII', `data: ${'→'.repeat(1000)}\n\n`]
  ]
  for (const [name, ...chunks] of over) {
    const server = await serveRaw(t, (request) => request.open('id: 1\ndata: 1\n\n', ...chunks))
    const { stream, history } = observe(t, server.origin, { maxEventBytes: 1000 })
    t.match(await stream.closed, { reason: 'too-large', error: { kind: 'too-large', willRetry: false, cause: { message: /1000 bytes/ } } }, name)
    t.strictSame(history, ['connecting', 'live', 'message: 1 (1)', 'error: too-large', 'closed: too-large'])
    await server.requests[0]!.closed
  }
})

t.test('a line of 10 MB is read, and not at all with a limit of 1 MB', async (t) => {
  const piece = 'x'.repeat(65_536)
  const pour = (request: RawRequest): void => {
    request.openWith({})
    request.chunks('data: "', ...Array<string>(160).fill(piece), '"\n\n')
  }
  const read = await serveRaw(t, pour)
  let length = 0
  const { stream } = observe(t, read.origin, { handle: false })
  for await (const { data } of stream) {
    length = data.length
    break
  }
  t.equal(length, 160 * 65_536)

  const refused = await serveRaw(t, pour)
  t.equal((await observe(t, refused.origin, { maxEventBytes: 1 << 20 }).stream.closed).reason, 'too-large')
  await refused.requests[0]!.closed
})

t.test('the default limit is 16 MiB', async (t) => {
  const piece = 'x'.repeat(1 << 20)
  const server = await serveRaw(t, (request) => {
    request.open()
    request.chunks('data: ', ...Array<string>(16).fill(piece), '\n\n')
  })
  t.equal((await observe(t, server.origin, { data: 'text' }).stream.closed).reason, 'too-large')
})

t.test('what is no HTTP is a network error, and the client goes on', async (t) => {
  const hostile: Array<[name: string, answer: (request: RawRequest) => void]> = [
    ['a head that never ends', (request) => {
      request.raw('HTTP/1.1 200 OK\r\n')
      const pour = (): void => {
        if (request.isClosed) return
        request.raw(`x-${'y'.repeat(1000)}: z\r\n`)
        setImmediate(pour)
      }
      pour()
    }],
    ['garbage in place of a chunk size', (request) => {
      request.open('data: 1\n\n')
      request.raw('zz\r\ndata: 2\n\n\r\n')
    }],
    ['a chunk that is longer than it says', (request) => {
      request.open('data: 1\n\n')
      request.raw('3\r\ndata: 2\n\n\r\n')
    }],
    ['a chunk of more bytes than there are', (request) => {
      request.open('data: 1\n\n')
      request.raw('ffffffffffffffffffff\r\ndata: 2\n\n\r\n')
    }],
    ['content-length and transfer-encoding', (request) => {
      request.raw('HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n')
    }],
    ['NUL in the head', (request) => request.raw('HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\0\r\n\r\ndata: 1\n\n')],
    ['text', (request) => { request.raw('data: 1\n\n'); request.socket.end() }]
  ]
  for (const [name, answer] of hostile) {
    await t.test(name, async (t) => {
      const server = await serveRaw(t, answer)
      const seen = observe(t, server.origin)
      const { error } = await seen.reached('reconnecting')
      t.match(error, { kind: 'network', willRetry: true })
      t.notOk(seen.history.includes('message: 2'))
      await server.requests[0]!.closed
    })
  }
})

t.test('what stands behind the end of a response is no part of it', async (t) => {
  const second = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 2\n\n'
  for (const garbage of [second, 'data: 2\n\n', '\0\0\0\0']) {
    const server = await serveRaw(t, (request) => {
      request.openWith({ connection: 'close' }, 'data: 1\n\n')
      request.raw(`0\r\n\r\n${garbage}`)
    })
    const seen = observe(t, server.origin)
    await seen.reached('reconnecting')
    await settle()
    t.notOk(seen.history.includes('message: 2'))
    t.ok(seen.history.includes('message: 1'))
    t.match(seen.errors[0]?.kind, /^(ended|network)$/)
  }
})

t.test('a response without a length is read until the connection ends', async (t) => {
  const server = await serveRaw(t, (request) => {
    request.raw('HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\ndata: 2')
    request.socket.end()
  })
  const seen = observe(t, server.origin)
  t.match(await seen.reached('reconnecting'), { reason: 'ended' })
  t.strictSame(seen.history, ['connecting', 'live', 'message: 1', 'error: ended', 'reconnecting: ended'])
})

t.test('a comment that looks like ours and is not does no harm', async (t) => {
  const comments = ['sse-text: %', 'sse-text: %E0%A4%A', 'sse-text: ', 'sse-heartbeat: ', 'sse-heartbeat: x', 'sse-heartbeat: -1', 'sse-heartbeat: 1e999', 'sse-texts: message']
  for (const comment of comments) {
    const { read } = await tell(t, [`: ${comment}\n\ndata: 1\n\n`], { data: 'json' })
    t.strictSame(read, [{ comment }, { event: 'message', data: 1, id: '' }], comment)
  }
})

t.test('a redirect is followed, to a stream', async (t) => {
  const server = await serveRaw(t, (request, { requests }) => {
    if (request.url === '/') request.respond(307, { location: '/there' })
    else if (requests.length === 2) request.open('data: 1\n\n')
  })
  const seen = observe(t, server.origin)
  await until(() => seen.history.includes('message: 1'))
  t.strictSame(server.requests.map(({ url }) => url), ['/', '/there'])
})
