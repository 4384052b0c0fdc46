import t from 'tap'
import { createDecoder, type Decoder, type DecoderOptions } from '../../lib/wire/decode.js'
import { cases, streams, type Read } from './cases.js'

interface Reading {
  read: Read[]
  decoder: Decoder
}

function start (options: Partial<DecoderOptions> = {}): Reading {
  const read: Read[] = []
  const decoder = createDecoder({
    onEvent: (event) => { read.push(event) },
    onComment: (comment) => { read.push({ comment }) },
    onRetry: (retry) => { read.push({ retry }) },
    ...options
  })
  return { read, decoder }
}

function readChunks (chunks: Uint8Array[], options?: Partial<DecoderOptions>): Reading {
  const reading = start(options)
  for (const chunk of chunks) reading.decoder.push(chunk)
  return reading
}

function bytesOf (text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

function * cutInTwo (bytes: Uint8Array): Generator<Uint8Array[]> {
  for (let i = 0; i <= bytes.length; i++) yield [bytes.subarray(0, i), bytes.subarray(i)]
  yield Array.from(bytes, (_, i) => bytes.subarray(i, i + 1))
}

t.test('a line over the limit is refused as it arrives, without its end', async (t) => {
  const { read, decoder } = start({ maxEventBytes: 100 })
  const chunk = bytesOf(`data: ${'a'.repeat(44)}`)
  decoder.push(chunk)
  decoder.push(chunk)
  t.throws(() => decoder.push(bytesOf('a')), new RangeError('An event is over 100 bytes: raise maxEventBytes'))
  decoder.push(bytesOf('\n\ndata: b\n\n'))
  t.strictSame(read, [])
})

t.test('an event over the limit is refused whatever the cuts', async (t) => {
  // The limit is in UTF-16 code units.
  const event = 'data: é\ndata: 😀\ndata: →\n\n'
  for (const chunks of cutInTwo(bytesOf(event))) {
    t.strictSame(readChunks(chunks, { maxEventBytes: event.length - 1 }).read,
      [{ event: 'message', data: 'é\n😀\n→', id: '' }])
    t.throws(() => readChunks(chunks, { maxEventBytes: event.length - 2 }), new RangeError(`An event is over ${event.length - 2} bytes: raise maxEventBytes`))
  }
})

t.test('a limit holds for each event and not for what stands between', async (t) => {
  const { read, decoder } = start({ maxEventBytes: 16, onComment: undefined })
  for (let i = 0; i < 100; i++) decoder.push(bytesOf(': heartbeat\nevent: type\nid: 1\ndata: 7\n\n: heartbeat\n'))
  t.strictSame(read, Array.from({ length: 100 }, () => ({ event: 'type', data: '7', id: '1' })))
  t.throws(() => decoder.push(bytesOf(': a longer comment\n')), new RangeError('An event is over 16 bytes: raise maxEventBytes'))
})

t.test('a stop inside a handler leaves the rest of the chunk unread', async (t) => {
  const chunk = bytesOf('id: 1\nretry: 5\n: a\ndata: b\n\nretry: 6\n: c\nid: 2\ndata: d\n\n')
  for (const name of ['onRetry', 'onComment', 'onId', 'onEvent'] as const) {
    const called: string[] = []
    const decoder = createDecoder({
      onEvent: () => note('onEvent'),
      onComment: () => note('onComment'),
      onRetry: () => note('onRetry'),
      onId: () => note('onId')
    })
    function note (handler: string): void {
      called.push(handler)
      if (handler === name) decoder.stop()
    }
    decoder.push(chunk)
    decoder.push(chunk)
    t.strictSame(called, ['onRetry', 'onComment', 'onId', 'onEvent'].slice(0, called.indexOf(name) + 1))
  }
})

t.test('what a handler throws comes out of push and closes the decoder', async (t) => {
  const fault = new Error('fault')
  const { read, decoder } = start({ onEvent () { throw fault } })
  t.throws(() => decoder.push(bytesOf('data: a\n\n: b\n')), fault)
  decoder.push(bytesOf(': c\n'))
  t.strictSame(read, [])
})

t.test('stop may be called twice', async (t) => {
  const { read, decoder } = start()
  decoder.stop()
  decoder.stop()
  decoder.push(bytesOf('data: a\n\n'))
  t.strictSame(read, [])
})

for (const { name, frame, read } of cases) {
  t.test(`the frame of ${name}, cut at any byte, is read the same`, async (t) => {
    for (const chunks of cutInTwo(bytesOf(frame))) t.strictSame(readChunks(chunks).read, read)
  })
}

for (const { name, stream, read, lastEventId } of streams) {
  t.test(`${name}, cut at any byte`, async (t) => {
    for (const chunks of cutInTwo(bytesOf(stream))) {
      const reading = readChunks(chunks)
      t.strictSame(reading.read, read)
      if (lastEventId !== undefined) t.equal(reading.decoder.lastEventId, lastEventId)
    }
  })
}

t.test('bytes that are not UTF-8 are U+FFFD, cut at any byte', async (t) => {
  const bytes = Uint8Array.from([
    ...bytesOf('data: '), 0xff, 0xc3, 0x28, 0xe2, 0x82,
    ...bytesOf('\ndata: '), 0xf0, 0x9f, 0x98,
    ...bytesOf('a\n\ndata: '), 0xed, 0xa0, 0x80,
    ...bytesOf('\n\n')
  ])
  for (const chunks of cutInTwo(bytes)) {
    t.strictSame(readChunks(chunks).read, [
      { event: 'message', data: '\ufffd\ufffd(\ufffd\n\ufffda', id: '' },
      { event: 'message', data: '\ufffd\ufffd\ufffd', id: '' }
    ])
  }
})

t.test('an event is delivered with the byte that completes it', async (t) => {
  for (const end of ['\n\n', '\r\r', '\r\n\r', '\n\r']) {
    const { read, decoder } = start()
    const bytes = bytesOf(`data: a${end}`)
    decoder.push(bytes.subarray(0, -1))
    t.strictSame(read, [])
    decoder.push(bytes.subarray(-1))
    t.strictSame(read, [{ event: 'message', data: 'a', id: '' }], JSON.stringify(end))
  }
})

t.test('the last event ID of the connection before is carried on', async (t) => {
  const { read, decoder } = start({ lastEventId: '7' })
  t.equal(decoder.lastEventId, '7')
  decoder.push(bytesOf('data: a\n\nid: 8\ndata: b\n\n'))
  t.strictSame(read, [{ event: 'message', data: 'a', id: '7' }, { event: 'message', data: 'b', id: '8' }])
})

t.test('each change of the last event ID is told before its event', async (t) => {
  const told: unknown[] = []
  const decoder = createDecoder({ onEvent: ({ data }) => { told.push({ data }) }, onId: (id) => { told.push({ id }) } })
  decoder.push(bytesOf('id: 1\n\nid: 1\ndata: a\n\nid: 2\nid: 3\ndata: b\n\nid\n\n'))
  t.strictSame(told, [{ id: '1' }, { data: 'a' }, { id: '3' }, { data: 'b' }, { id: '' }])
})

t.test('comments, reconnection times and IDs need no handler', async (t) => {
  const events: unknown[] = []
  const decoder = createDecoder({ onEvent: (event) => { events.push(event) } })
  decoder.push(bytesOf(': a\nretry: 5\nid: 1\ndata: b\n\n'))
  t.strictSame(events, [{ event: 'message', data: 'b', id: '1' }])
})

// Time that grows with the square of the length would be hours for each of these: the timeout tells.
t.test('a line of 16 MiB in chunks of 64 bytes takes linear time', async (t) => {
  const chunk = bytesOf('a'.repeat(64))
  const { read, decoder } = start({ maxEventBytes: 32 << 20 })
  decoder.push(bytesOf('data: '))
  for (let i = 0; i < 1 << 18; i++) decoder.push(chunk)
  decoder.push(bytesOf('\r\n\r\n'))
  t.ok(isSame(read, 'a'.repeat(16 << 20)))
})

t.test('data of 16 MiB in a million lines takes linear time, in one chunk and in many', async (t) => {
  const line = 'data: 123456789\n'
  const data = Array.from({ length: 1 << 20 }, () => '123456789').join('\n')
  const bytes = bytesOf(line.repeat(1 << 20) + '\n')
  const whole = readChunks([bytes])
  t.ok(isSame(whole.read, data))
  const { read, decoder } = start()
  for (let i = 0; i < bytes.length; i += 1000) decoder.push(bytes.subarray(i, i + 1000))
  t.ok(isSame(read, data))
})

t.test('a chunk with a single kind of line end, or fields without colons, takes linear time', async (t) => {
  for (const line of ['data\r', 'data\n', 'x\r', '\r', '\n']) {
    const { read, decoder } = start()
    decoder.push(bytesOf(line.repeat(1 << 20)))
    decoder.push(bytesOf(': end\n'))
    t.strictSame(read, [{ comment: 'end' }], JSON.stringify(line))
  }
})

// strictSame prints its values, and these are long.
function isSame (read: Read[], data: string): boolean {
  const [event] = read
  return read.length === 1 && event !== undefined && 'data' in event && event.data === data
}

/** The algorithm of the standard, line by line, over the whole stream at once. */
function readByTheLetter (bytes: Uint8Array): Read[] {
  const read: Read[] = []
  let data = ''
  let event = ''
  let id = ''
  const text = new TextDecoder('utf-8', { ignoreBOM: false }).decode(bytes)
  const lines = text.split(/\r\n|\r|\n/)
  lines.pop()
  for (const line of lines) {
    if (line === '') {
      if (data !== '') read.push({ event: event === '' ? 'message' : event, data: data.replace(/\n$/, ''), id })
      data = ''
      event = ''
      continue
    }
    const colon = line.indexOf(':')
    const field = colon === -1 ? line : line.slice(0, colon)
    const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '')
    if (colon === 0) read.push({ comment: value })
    if (field === 'event') event = value
    if (field === 'data') data += value + '\n'
    if (field === 'id' && !value.includes('\0')) id = value
    if (field === 'retry' && /^[0-9]+$/.test(value)) read.push({ retry: Number.parseInt(value, 10) })
  }
  return read
}

t.test('any bytes, cut anywhere, are read as the standard reads them', async (t) => {
  const seed = Number(process.env.WIRE_SEED ?? Date.now() % 2 ** 31)
  t.comment(`WIRE_SEED=${seed}`)
  let state = seed
  // mulberry32
  const random = (below: number): number => {
    state = (state + 0x6d2b79f5) | 0
    let x = Math.imul(state ^ (state >>> 15), 1 | state)
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x
    return ((x ^ (x >>> 14)) >>> 0) % below
  }
  const pieces = [
    'data', 'event', 'id', 'retry', 'data', ':', ':', ': ', ' ', 'a', '7', 'é', '→', '😀', '\0', '\ufeff',
    '\n', '\n', '\n', '\r', '\r\n', '\n\n'
  ].map(bytesOf)
  pieces.push(...[0xff, 0x80, 0xc3, 0xe2, 0xf0, 0x9f, 0xed, 0xa0, 0xef, 0xbb].map((byte) => Uint8Array.of(byte)))
  for (let run = 0; run < 20_000; run++) {
    const bytes = Buffer.concat(Array.from({ length: random(40) }, () => pieces[random(pieces.length)]!))
    const chunks: Uint8Array[] = []
    for (let at = 0; at < bytes.length;) {
      const next = Math.min(bytes.length, at + random(12))
      chunks.push(bytes.subarray(at, next))
      at = next
    }
    const found = JSON.stringify(readChunks(chunks).read)
    const wanted = JSON.stringify(readByTheLetter(bytes))
    if (found !== wanted) {
      t.equal(found, wanted, `run ${run}: ${chunks.map((chunk) => Buffer.from(chunk).toString('hex')).join(' ')}`)
      return
    }
  }
})
