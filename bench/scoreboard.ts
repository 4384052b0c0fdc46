import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Contender } from './contenders.js'
import { Remote } from './remote.js'

const CLIENTS = 200

/** How long `app.close()` is waited for. We give sources 5 s to return (`drainTimeoutMs`). */
const CLOSE_MS = 8000

/** One thing that can be seen from outside: its question, and the answer for a contender. */
interface Behaviour {
  readonly question: string
  answer (server: Remote): Promise<string>
}

const BEHAVIOURS: readonly Behaviour[] = [
  {
    question: `listeners of an emitter left, 1 s after ${CLIENTS} clients have gone`,
    answer: async (server) => {
      await leave(server)
      return `${await server.call<number>('listeners')}`
    }
  },
  {
    question: '… and after one more event',
    answer: async (server) => {
      await leave(server)
      await server.call('emit')
      await sleep(300)
      return `${await server.call<number>('listeners')}`
    }
  },
  {
    question: 'app.close() comes to its end with one open stream',
    answer: async (server) => {
      await open(server, '/emitted')
      return closing(server)
    }
  },
  {
    question: '… and when its source waits for something that never happens',
    answer: async (server) => {
      await open(server, '/open')
      return closing(server)
    }
  },
  {
    question: 'a cookie set by @fastify/cookie arrives',
    answer: async (server) => {
      const { text } = await open(server, '/open')
      return /^set-cookie: visit=1/im.test(text()) ? 'yes' : 'no'
    }
  },
  {
    question: 'a line end in an ID is kept from forging fields',
    answer: (server) => forging(server, '/id')
  },
  {
    question: 'a line end in an event type is kept from forging fields',
    answer: (server) => forging(server, '/event')
  },
  {
    question: 'the process survives a generator that throws',
    answer: async (server) => {
      const client = await open(server, '/throwing')
      await sleep(600)
      try {
        await server.call('ping')
      } catch {
        return 'no'
      }
      return `yes; the client sees ${client.isOver() ? client.text().includes('sse.fault') ? 'an event that says so' : 'the end' : 'nothing'}`
    }
  },
  {
    question: 'taken from a source of 1 KB events by a client that does not read, in 2 s',
    answer: async (server) => {
      const before = await server.call<number>('rss')
      const client = await open(server, '/endless', true)
      await sleep(2000)
      const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`
      const answer = `${mib(await server.call<number>('taken') * 1024)}, RSS +${mib(await server.call<number>('rss') - before)}`
      client.socket.destroy()
      return answer
    }
  }
]

/** Asks each contender, with a process of its own for each question. */
export async function measureScoreboard (contenders: readonly Contender[], env: Record<string, string>, progress: (text: string) => void): Promise<string[][]> {
  const rows: string[][] = []
  for (const { question, answer } of BEHAVIOURS) {
    const answers = await Promise.all(contenders.map(async ({ name }) => {
      progress(`${question}: ${name}`)
      const server = await Remote.start('servers/behaviour.mjs', { ...env, BENCH_CONTENDER: name }, { isQuiet: true })
      try {
        return await answer(server)
      } finally {
        server.stop()
      }
    }))
    rows.push([question, ...answers])
  }
  return rows
}

interface Client { socket: Socket, text: () => string, isOver: () => boolean }

/** Opens a stream and waits for its first bytes. */
async function open (server: Remote, path: string, isStalled = false): Promise<Client> {
  const socket = connect({ port: server.port, host: '127.0.0.1' })
  let text = ''
  let isOver = false
  socket.on('error', () => {})
  socket.write(`GET ${path} HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n`)
  await new Promise<void>((resolve) => {
    socket.on('data', (chunk) => {
      text += chunk
      // The last chunk of a response in chunks.
      if (text.endsWith('\r\n0\r\n\r\n')) isOver = true
      if (isStalled) socket.pause()
      if (text.includes('tick') || text.includes('sse.fault') || / [45]\d\d /.test(text)) resolve()
    })
    socket.on('close', () => {
      isOver = true
      resolve()
    })
    setTimeout(resolve, 1000).unref()
  })
  return { socket, text: () => text, isOver: () => isOver }
}

async function leave (server: Remote): Promise<void> {
  const clients = await Promise.all(Array.from({ length: CLIENTS }, () => open(server, '/emitted')))
  await sleep(100)
  for (const { socket } of clients) socket.destroy()
  await sleep(1000)
}

async function closing (server: Remote): Promise<string> {
  const ms = await server.call<number | null>('close', CLOSE_MS)
  return ms === null ? `no, not in ${CLOSE_MS / 1000} s` : `yes, in ${(ms / 1000).toFixed(1)} s`
}

async function forging (server: Remote, path: string): Promise<string> {
  const { text } = await open(server, path)
  await sleep(200)
  return /^data: ?forged/m.test(text()) ? 'no' : 'yes'
}
