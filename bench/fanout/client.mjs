// The subscribers: bare sockets that only count. Thousands of them share one buffer to read into, and a chunk is searched where it lies.
import { once } from 'node:events'
import { connect } from 'node:net'
import { MARK, now } from './event.mjs'
import { verify } from './verify.mjs'

/** Subscribers of a process whose latencies are noted, at least; all of them would make the client the bottleneck. */
const SAMPLED = 200

/**
 * Connections that come from one address. It has some 28,000 ports, those of connections that were closed a minute ago among them, and
 * to look for a free one takes long when many are taken.
 */
const PER_ADDRESS = 1000

const HOST = '127.0.0.1'
const MARK_BYTE = MARK.charCodeAt(0)

/** What all sockets read into. The byte after it takes a mark, so that a search for one ends there. */
const memory = Buffer.alloc(65_537)
const buffer = memory.subarray(0, 65_536)

function marks (bytes) {
  memory[bytes] = MARK_BYTE
  let count = 0
  for (let at = memory.indexOf(MARK_BYTE); at < bytes; at = memory.indexOf(MARK_BYTE, at + 1)) count++
  return count
}

let connections = 0

/** The next address to connect from: each process has some of its own. */
function localAddress () {
  // Elsewhere the loopback interface has one address.
  if (process.platform !== 'linux') return undefined
  const n = 1 + Math.floor(connections++ / PER_ADDRESS)
  return `127.${1 + process.pid % 250}.${n >> 8}.${n & 255}`
}

/**
 * Opens a stream.
 *
 * @param {{ port: number, path: string, lastEventId?: string }} to
 * @param {(bytes: number) => boolean} onChunk so many bytes are in the buffer; whether to go on reading
 * @returns {Promise<import('node:net').Socket>} resolves when the head of a response with status 200 is there
 */
function subscribe ({ port, path, lastEventId }, onChunk) {
  return new Promise((resolve, reject) => {
    let isOpen = false
    const callback = (bytes) => {
      if (!isOpen) {
        isOpen = true
        const status = buffer.latin1Slice(0, 12)
        if (!status.endsWith(' 200')) reject(new Error(`a subscriber was answered ${status}`))
        resolve(socket)
      }
      return onChunk(bytes)
    }
    const socket = connect({ port, host: HOST, localAddress: localAddress(), onread: { buffer, callback } })
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('a subscriber was not let in')))
    const resume = lastEventId === undefined ? '' : `Last-Event-ID: ${lastEventId}\r\n`
    socket.write(`GET ${path} HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n${resume}\r\n`)
  })
}

/** Calls `begin` so many times, with at most `window` of its promises open. */
async function inTurns (count, window, begin) {
  let next = 0
  await Promise.all(Array.from({ length: Math.min(window, count) }, async () => {
    while (next < count) await begin(next++)
  }))
}

class Subscriber {
  count = 0
  socket
  isStalled
  isSampled

  constructor (isStalled, isSampled) {
    this.isStalled = isStalled
    this.isSampled = isSampled
  }
}

let subscribers = []
/** Those that read. */
let active = 0
let control
let isLeaving = false
let run = { perTurn: 0, total: 0, due: Infinity, bytes: 0, latencies: [] }

function received (subscriber, bytes) {
  const count = marks(bytes)
  if (count === 0) return true
  if (subscriber.isStalled) return false
  if (subscriber.isSampled) sample(bytes)
  subscriber.count += count
  run.bytes += bytes
  run.total += count
  while (run.total >= run.due) {
    run.due += run.perTurn * active
    control.write('.')
  }
  return true
}

function sample (bytes) {
  const at = now()
  for (const [, sent] of buffer.latin1Slice(0, bytes).matchAll(/"at":"(\d{24})"/g)) run.latencies.push(at - Number(sent))
}

const commands = {
  /**
   * Opens streams, beside those that are open; done when each has the head of its response.
   *
   * @param {object} options
   * @param {number} options.control port that the ends of turns are written to
   * @param {number} options.streams
   * @param {number} options.window connections that may be under way at the same time
   * @param {number} [options.stalled] how many of the streams read no further than their first event
   */
  async open ({ port, path, control: controlPort, streams, window, stalled = 0 }) {
    if (control === undefined) {
      isLeaving = false
      control = connect({ port: controlPort, host: HOST, noDelay: true })
      control.on('error', () => {})
      await once(control, 'connect')
    }
    const step = Math.floor(streams / stalled)
    await inTurns(streams, window, async (index) => {
      const isStalled = stalled > 0 && index % step === step - 1
      const subscriber = new Subscriber(isStalled, !isStalled && index % Math.ceil(streams / SAMPLED) === 0)
      subscriber.socket = await subscribe({ port, path }, (bytes) => received(subscriber, bytes))
      subscribers.push(subscriber)
      if (isStalled) return
      active++
      subscriber.socket.on('close', () => {
        if (!isLeaving) control.write('x')
      })
    })
    return {}
  },
  /** Counts from here on, and says so when each turn's events have come to all who read. */
  watch ({ perTurn }) {
    for (const subscriber of subscribers) subscriber.count = 0
    run = { perTurn, total: 0, due: perTurn * active, bytes: 0, latencies: [] }
    return {}
  },
  /** What has come since `watch`; an error when it is not what each should have. */
  counted ({ events }) {
    const reading = subscribers.filter(({ isStalled }) => !isStalled)
    const wrong = reading.filter(({ count }) => count !== events)
    if (wrong.length > 0) throw new Error(`${wrong.length} of ${reading.length} subscribers got other than ${events} events; one ${wrong[0].count}`)
    return { bytes: run.bytes, latencies: run.latencies }
  },
  /** Leaves, and waits until all sockets are closed. */
  async close () {
    isLeaving = true
    await Promise.all(subscribers.map(({ socket }) => socket.closed || new Promise((resolve) => {
      socket.on('close', resolve)
      socket.destroy()
    })))
    control?.destroy()
    control = undefined
    subscribers = []
    active = 0
    return {}
  },
  /** Comes with a last event ID, and leaves when all streams have brought so many events; milliseconds for all. */
  async resume ({ port, path, streams, window, events, lastEventId }) {
    const counts = new Uint32Array(streams)
    const sockets = []
    const start = performance.now()
    await inTurns(streams, window, (index) => new Promise((resolve, reject) => {
      subscribe({ port, path, lastEventId }, (bytes) => {
        counts[index] += marks(bytes)
        if (counts[index] >= events) resolve()
        return true
      }).then((socket) => {
        sockets.push(socket)
        socket.on('close', () => reject(new Error(`a subscriber was cut off after ${counts[index]} of ${events} events`)))
      }).catch(reject)
    }))
    const ms = performance.now() - start
    // What is sent twice comes now.
    await new Promise((resolve) => setTimeout(resolve, 100))
    for (const socket of sockets) socket.destroy()
    const wrong = counts.filter((count) => count !== events)
    if (wrong.length > 0) throw new Error(`${wrong.length} of ${streams} subscribers got other than ${events} events; one ${wrong[0]}`)
    return ms
  },
  verify
}

process.on('message', async ({ call, name, argument }) => {
  try {
    process.send({ call, result: await commands[name](argument) })
  } catch (error) {
    process.send({ call, failure: error.message })
  }
})
process.on('disconnect', () => process.exit())
process.send({ port: 0 })
