import { once } from 'node:events'
import { createRequire } from 'node:module'
import type { Transform } from 'node:stream'
import t from 'tap'
import { createParser } from 'eventsource-parser'
import { createDecoder, type DecodedEvent } from '../../lib/wire/decode.js'
import { encodeComment, encodeEvent, encodeHead, encodeLineEvent, encodeRetry } from '../../lib/wire/encode.js'

const STREAMS = 4000
const EVENTS = 25

interface Stream {
  chunks: Uint8Array[]
  history: History
}

/** What a client reads. */
interface History {
  events: DecodedEvent[]
  /** Reconnection times, in the order they are read. */
  retries: number[]
}

type Parse = (chunks: Uint8Array[]) => History | Promise<History>

const seed = Number(process.env.WIRE_SEED ?? Date.now() % 2 ** 31)
t.comment(`WIRE_SEED=${seed}`)

let state = seed

// mulberry32: the same seed is the same events, whatever the machine.
function random (below: number): number {
  state = (state + 0x6d2b79f5) | 0
  let x = Math.imul(state ^ (state >>> 15), 1 | state)
  x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x
  return ((x ^ (x >>> 14)) >>> 0) % below
}

const PIECES = [
  'a', 'word', '7', ' ', '  ', ':', ': ', '\t', '"', '\\n', '{"n":1}', 'data', 'data: ', 'event: x', 'id', 'id: 1', 'retry: 9',
  'é', 'ÿ', '→', '日本', '\u2028', '\u0085', '\ufeff', '\ufffd', '\uffff', '😀', '𐀀', '\u{10ffff}', '\x01', '\x7f'
]
const LINE_ENDS = ['\n', '\r', '\r\n', '\n\n', '\r\r', '\n\r', '\r\n\r\n']

function textOf (extra: string[], most: number): string {
  let text = ''
  for (let n = random(most + 1); n > 0; n--) {
    text += extra.length && random(4) === 0 ? extra[random(extra.length)] : PIECES[random(PIECES.length)]
  }
  return text
}

function dataOf (): string {
  const text = textOf([...LINE_ENDS, '\0'], 12)
  return random(500) === 0 ? text.repeat(1 + random(2000)) : text
}

/** Random events among comments and reconnection times. */
function makeStream (): Stream {
  const history: History = { events: [], retries: [] }
  let text = ''
  let id = ''
  for (let n = 0; n < EVENTS; n++) {
    if (random(8) === 0) text += encodeComment(textOf([...LINE_ENDS, '\0'], 5))
    if (random(20) === 0) {
      const retry = random(2 ** 31)
      text += encodeRetry(retry)
      history.retries.push(retry)
    }
    const type = random(3) === 0 ? undefined : textOf(['\0'], 4) || 'x'
    const ownId = random(3) === 0 ? undefined : random(5) === 0 ? random(1000) - 500 : textOf([], 6)
    const retry = random(10) === 0 ? random(100) : undefined
    const data = dataOf()
    const encode = /[\r\n]/.test(data) || random(2) === 0 ? encodeEvent : encodeLineEvent
    text += encode(encodeHead(type), data, ownId, retry)
    if (ownId !== undefined) id = String(ownId)
    if (retry !== undefined) history.retries.push(retry)
    history.events.push({ event: type ?? 'message', data: data.replace(/\r\n?/g, '\n'), id })
  }
  return { chunks: cut(new TextEncoder().encode(text)), history }
}

function cut (bytes: Uint8Array): Uint8Array[] {
  const longest = [1, 7, 60, 1000, 100_000][random(5)]!
  const chunks: Uint8Array[] = []
  for (let at = 0; at < bytes.length;) {
    const next = at + 1 + random(longest)
    chunks.push(bytes.subarray(at, next))
    at = next
  }
  return chunks
}

const ours: Parse = (chunks) => {
  const history: History = { events: [], retries: [] }
  const decoder = createDecoder({
    onEvent: (event) => { history.events.push(event) },
    onRetry: (ms) => { history.retries.push(ms) }
  })
  for (const chunk of chunks) decoder.push(chunk)
  return history
}

// It takes text: the bytes go through TextDecoder, as its own stream does it. Our frames have no CR, so that the one it
// holds back at the end of a chunk does not matter. It gives each event its own ID alone: the last one is kept here.
const eventsourceParser: Parse = (chunks) => {
  const history: History = { events: [], retries: [] }
  let lastEventId = ''
  const parser = createParser({
    onEvent: ({ event = 'message', data, id }) => {
      lastEventId = id ?? lastEventId
      history.events.push({ event, data, id: lastEventId })
    },
    onRetry: (ms) => { history.retries.push(ms) },
    onError (error) { throw error }
  })
  const utf8 = new TextDecoder()
  for (const chunk of chunks) parser.feed(utf8.decode(chunk, { stream: true }))
  return history
}

interface UndiciEvent {
  type: string
  options: { data: string, lastEventId?: string }
}

interface UndiciSettings {
  lastEventId: string
  reconnectionTime: number
}

interface UndiciOptions {
  eventSourceSettings: UndiciSettings
  push: (event: UndiciEvent | null) => boolean
}

// The file is no entry of undici: its public EventSource opens a connection, and what is wanted here is the parser alone.
const { EventSourceStream } = createRequire(import.meta.url)('undici/lib/web/eventsource/eventsource-stream.js') as {
  EventSourceStream: new (options: UndiciOptions) => Transform
}

// What Node's own EventSource reads with. It keeps an event type that an empty `event` field should clear, and our frames
// have one `event` field at most. It does not call out for a reconnection time, but stores the last one in its settings.
const undici: Parse = async (chunks) => {
  const history: History = { events: [], retries: [] }
  const eventSourceSettings: UndiciSettings = {
    lastEventId: '',
    get reconnectionTime () { return history.retries.at(-1) ?? 0 },
    set reconnectionTime (ms) { history.retries.push(ms) }
  }
  const stream = new EventSourceStream({
    eventSourceSettings,
    push (event) {
      if (event) history.events.push({ event: event.type, data: event.options.data, id: event.options.lastEventId ?? '' })
      return true
    }
  })
  const finished = once(stream, 'finish')
  for (const chunk of chunks) stream.write(chunk)
  stream.end()
  await finished
  return history
}

const streams = Array.from({ length: STREAMS }, makeStream)

for (const [name, parse] of Object.entries({ 'our decoder': ours, 'eventsource-parser': eventsourceParser, undici })) {
  t.test(`${STREAMS * EVENTS} random events, cut anywhere, are read back by ${name}`, async (t) => {
    let events = 0
    for (const [run, { chunks, history }] of streams.entries()) {
      const found = await parse(chunks)
      events += found.events.length
      // Comparing the text of both is a hundred times faster than strictSame, which then shows where they differ.
      if (JSON.stringify(found) !== JSON.stringify(history)) {
        t.strictSame(found, history, `stream ${run} of WIRE_SEED=${seed}`)
        return
      }
    }
    t.equal(events, STREAMS * EVENTS)
  })
}
