// As little as response.write() allows for subscribers that share encoded frames, lose nothing and take no memory of their own.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { BACKLOG, serve } from './harness.mjs'

/** Frames for those who are blocked and for those who come back. */
const ring = new Array(BACKLOG)
/** Offset of the next frame, and of the first one of this turn. */
let next = 0
let turn = 0
const subscribers = new Set()

function publish ({ event, data, id }) {
  if (next === turn) setImmediate(endTurn)
  ring[next++ % BACKLOG] = Buffer.from(`event: ${event}\ndata: ${JSON.stringify(data)}\nid: ${id}\n\n`)
}

/** Frames from one offset to another, as one buffer. */
function frames (from, to) {
  const list = []
  for (let offset = from; offset < to; offset++) list.push(ring[offset % BACKLOG])
  return list.length === 1 ? list[0] : Buffer.concat(list)
}

function endTurn () {
  const bytes = frames(turn, next)
  turn = next
  for (const subscriber of subscribers) {
    if (!subscriber.isBlocked) write(subscriber, bytes)
  }
}

function write (subscriber, bytes) {
  subscriber.offset = turn
  subscriber.isBlocked = !subscriber.response.write(bytes)
}

/** Gives a subscriber what has been published since its offset, or cuts it off when that is no longer there. */
function catchUp (subscriber) {
  if (next - subscriber.offset > BACKLOG) subscriber.response.destroy()
  else if (subscriber.offset < turn) write(subscriber, frames(subscriber.offset, turn))
}

const server = createServer((request, response) => {
  // An ID is the number of an event from 1 on, which is the offset of the one after it.
  const subscriber = { response, offset: Number(request.headers['last-event-id'] ?? turn), isBlocked: false }
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' })
  response.flushHeaders()
  response.on('drain', () => {
    subscriber.isBlocked = false
    catchUp(subscriber)
  })
  response.on('close', () => subscribers.delete(subscriber))
  subscribers.add(subscriber)
  catchUp(subscriber)
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')

await serve({
  server,
  publish,
  subscribers: () => subscribers.size,
  lastEventId: () => String(next),
  close () {
    for (const { response } of subscribers) response.end()
    return new Promise((resolve) => server.close(resolve))
  }
})
