import { once } from 'node:events'
import { createServer } from 'node:net'
import { timedTick } from '../../fanout/event.mjs'
import { memory } from '../harness.mjs'

/** Events that are kept for those who are behind and those who come back. */
export const BACKLOG = Number(process.env.BENCH_BACKLOG ?? 1024)

/** How long the subscribers may take to receive one turn's events. Past it the contender has failed. */
const TURN_MS = 15_000

/** What a client process writes on its control connection. */
const RECEIVED = '.'.charCodeAt(0)

/**
 * Tells the parent where the server listens, and publishes and measures when told to.
 *
 * @param {object} contender
 * @param {import('node:http').Server} contender.server listens already
 * @param {(event: { event: string, data: object, id: string }) => unknown} contender.publish
 * @param {() => number} contender.subscribers how many there are
 * @param {() => Promise<unknown>} contender.close ends the server as its users do
 * @param {() => string} [contender.lastEventId] ID of the newest event, where streams can be resumed
 */
export async function serve ({ server, publish, subscribers, close, lastEventId }) {
  let sequence = 0
  let received = 0
  let failure
  let wake
  // A connection of its own, so that a contender's server sees subscribers only.
  const control = createServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', (bytes) => {
      for (const byte of bytes) {
        if (byte === RECEIVED) received++
        else failure = 'a subscriber was cut off'
      }
      wake?.()
    })
  })
  control.listen(0, '127.0.0.1')
  await once(control, 'listening')

  /** Resolves when the client processes have said so often that all subscribers have all of a turn. */
  async function allReceived (times) {
    if (received >= times) return
    const timer = setTimeout(() => {
      failure = `not all subscribers had all events in ${TURN_MS / 1000} s`
      wake()
    }, TURN_MS)
    while (received < times && failure === undefined) await new Promise((resolve) => { wake = resolve })
    clearTimeout(timer)
    if (failure !== undefined) throw new Error(failure)
  }

  let before
  const commands = {
    control: () => control.address().port,
    subscribers,
    /** Resolves when there are so many subscribers. */
    async subscribed ({ count, ms }) {
      const end = Date.now() + ms
      while (subscribers() !== count) {
        if (Date.now() > end) throw new Error(`${subscribers()} subscribers where ${count} are expected`)
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
      return {}
    },
    /**
     * Publishes `perTurn` events in each of `turns` turns of the event loop. The next turn begins when all subscribers have what this one
     * has brought; `clients` processes say so. With 0 of them nobody is waited for.
     */
    async publish ({ turns, perTurn, padding, clients }) {
      received = 0
      failure = undefined
      const turnMs = []
      const start = process.cpuUsage()
      for (let turn = 1; turn <= turns; turn++) {
        const startMs = performance.now()
        for (let n = 0; n < perTurn; n++) publish(timedTick(++sequence, padding))
        await nextTurn()
        await allReceived(turn * clients)
        turnMs.push(performance.now() - startMs)
      }
      const { user, system } = process.cpuUsage(start)
      return { cpuMicros: user + system, turnMs, rss: process.memoryUsage.rss(), maxRssBytes: process.resourceUsage().maxRSS * 1024 }
    },
    /** Publishes to nobody, and gives the ID that has `behind` events after it. */
    async fill ({ events, behind }) {
      let id
      for (let n = 1; n <= events; n++) {
        await publish(timedTick(++sequence, 0))
        await nextTurn()
        if (n === events - behind) id = lastEventId()
      }
      return id
    },
    startCpu: () => {
      before = process.cpuUsage()
      return {}
    },
    stopCpu: () => {
      const { user, system } = process.cpuUsage(before)
      return user + system
    },
    memory,
    /** Milliseconds that the server takes to close, `null` for more than those given. */
    async close (ms) {
      const start = performance.now()
      const isClosed = await Promise.race([close().then(() => true), new Promise((resolve) => setTimeout(resolve, ms, false))])
      return isClosed ? performance.now() - start : null
    }
  }
  process.on('message', async ({ call, name, argument }) => {
    try {
      process.send({ call, result: await commands[name](argument) })
    } catch (error) {
      process.send({ call, failure: error.message })
    }
  })
  process.on('disconnect', () => process.exit())
  process.send({ port: server.address().port })
}

function nextTurn () {
  return new Promise((resolve) => { setImmediate(resolve) })
}
