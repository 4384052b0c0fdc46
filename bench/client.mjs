// The load: bare sockets that only count, so that the server is what is measured.
import { deepStrictEqual } from 'node:assert'
import { connect } from 'node:net'
import { createParser } from 'eventsource-parser'
import { tick } from './workload.mjs'

const MARK = Buffer.from('tick\n')

/** Counts `tick` events, whatever chunks they come in. */
class Counter {
  count = 0
  #tail = Buffer.alloc(0)

  add (chunk) {
    if (this.#tail.length > 0) this.count += marks(Buffer.concat([this.#tail, chunk.subarray(0, MARK.length - 1)]))
    this.count += marks(chunk)
    this.#tail = Buffer.from(chunk.subarray(Math.max(0, chunk.length - MARK.length + 1)))
  }
}

function marks (buffer) {
  let count = 0
  for (let at = buffer.indexOf(MARK); at !== -1; at = buffer.indexOf(MARK, at + MARK.length)) count++
  return count
}

function request (port, path) {
  const socket = connect({ port, host: '127.0.0.1' })
  socket.on('error', () => {})
  socket.write(`GET ${path} HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n`)
  return socket
}

let sockets = []

const commands = {
  /** Opens streams; the result of `counted` is there when each has brought all its events. */
  open ({ port, path, streams, events }) {
    let bytes = 0
    const all = Array.from({ length: streams }, () => new Promise((resolve, reject) => {
      const socket = request(port, path)
      const counter = new Counter()
      let isComplete = false
      socket.on('data', (chunk) => {
        bytes += chunk.length
        counter.add(chunk)
        if (!isComplete && counter.count >= events) {
          isComplete = true
          resolve()
        }
      })
      socket.on('close', () => {
        if (!isComplete) reject(new Error(`a stream of ${events} events ended after ${counter.count}`))
      })
      sockets.push(socket)
    }))
    counted = Promise.all(all).then(() => ({ bytes }))
    counted.catch(() => {})
    return {}
  },
  counted: () => counted,
  /** Opens streams that stay; done when each has brought something. */
  async idle ({ port, path, streams }) {
    // Not all at once: the queue of connections that wait to be accepted is short.
    for (let at = 0; at < streams; at += 50) {
      await Promise.all(Array.from({ length: Math.min(50, streams - at) }, () => {
        const socket = request(port, path)
        sockets.push(socket)
        let text = ''
        return new Promise((resolve, reject) => {
          socket.on('data', (chunk) => {
            text += chunk
            if (text.includes('hello')) resolve()
          })
          socket.on('close', () => reject(new Error(`an idle stream ended: ${text}`)))
        })
      }))
    }
    return {}
  },
  close () {
    for (const socket of sockets) socket.destroy()
    sockets = []
    return {}
  },
  /** Reads one stream as a client would, and compares each event with what was meant. */
  async verify ({ port, path, events }) {
    const received = []
    const parser = createParser({ onEvent: (event) => { if (event.event === 'tick') received.push(event) } })
    const aborter = new AbortController()
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { accept: 'text/event-stream' }, signal: aborter.signal })
    for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
      parser.feed(text)
      if (received.length >= events) break
    }
    aborter.abort()
    deepStrictEqual(received.map(({ event, data, id }) => ({ event, data: JSON.parse(data), id })),
      Array.from({ length: events }, (_, index) => tick(index + 1)))
    return { contentType: response.headers.get('content-type') }
  }
}

let counted

process.on('message', async ({ call, name, argument }) => {
  try {
    process.send({ call, result: await commands[name](argument) })
  } catch (error) {
    process.send({ call, failure: error.message })
  }
})
process.on('disconnect', () => process.exit())
process.send({ port: 0 })
