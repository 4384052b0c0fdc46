// The same application on each library, as its README would have it. BENCH_CONTENDER says which.
import { EventEmitter, on } from 'node:events'
import cookie from '@fastify/cookie'
import Fastify from 'fastify'

/** How each library is registered, and how a stream is made of a generator function. */
const LIBRARIES = {
  'fastify-typed-sse': async (app) => {
    const { default: ssePlugin } = await import(process.env.BENCH_LIB)
    await app.register(ssePlugin)
    return { stream: (_request, reply, source) => reply.sse(source), listen: (name, { signal }) => app.sse.on(emitter, name, { signal }) }
  },
  '@fastify/sse': async (app) => {
    await app.register(await import('@fastify/sse'))
    return { route: { sse: 'only' }, stream: async (_request, reply, source) => { await reply.sse.send(source()) } }
  },
  'fastify-sse-v2': async (app) => {
    const { FastifySSEPlugin } = await import('fastify-sse-v2')
    await app.register(FastifySSEPlugin)
    async function * stringified (source) {
      for await (const event of source()) yield { ...event, data: JSON.stringify(event.data) }
    }
    return { stream: (_request, reply, source) => { reply.sse(stringified(source)) } }
  },
  'better-sse': async (app) => {
    const { createSession } = await import('better-sse')
    return {
      stream: async (request, reply, source) => {
        reply.hijack()
        const session = await createSession(request.raw, reply.raw)
        for await (const { data, event, id } of source()) session.push(data, event, id)
      }
    }
  }
}

const emitter = new EventEmitter().setMaxListeners(0)
let taken = 0

const app = Fastify()
await app.register(cookie)
const { route = {}, stream, listen = (name) => on(emitter, name) } = await LIBRARIES[process.env.BENCH_CONTENDER](app)

const SOURCES = {
  /** What an emitter emits. */
  async * emitted (context) {
    yield { event: 'tick', data: 0, id: '1' }
    for await (const [n] of listen('value', context ?? {})) yield { event: 'tick', data: n, id: String(n) }
  },
  /** One event, then nothing for a long time. */
  async * open () {
    yield { event: 'tick', data: 0, id: '1' }
    await new Promise(() => {})
  },
  async * id () {
    yield { event: 'tick', data: 0, id: '1\ndata: forged' }
  },
  async * event () {
    yield { event: 'tick\ndata: forged', data: 0, id: '1' }
  },
  async * throwing () {
    yield { event: 'tick', data: 0, id: '1' }
    await new Promise((resolve) => setTimeout(resolve, 100))
    throw new Error('on purpose')
  },
  /** Twenty events in each turn of the event loop, without an end. */
  async * endless () {
    while (true) {
      if (++taken % 20 === 0) await new Promise(nextTurn)
      yield { event: 'tick', data: 'x'.repeat(1000), id: String(taken) }
    }
  }
}

function nextTurn (resolve) {
  setImmediate(resolve)
}

for (const [name, source] of Object.entries(SOURCES)) {
  app.get(`/${name}`, route, (request, reply) => {
    reply.setCookie('visit', '1')
    return stream(request, reply, source)
  })
}

const COMMANDS = {
  ping: () => ({}),
  listeners: () => emitter.listenerCount('value'),
  emit: () => emitter.emit('value', 1),
  taken: () => taken,
  rss: () => process.memoryUsage().rss,
  close: async (ms) => {
    const started = Date.now()
    const isClosed = await Promise.race([app.close().then(() => true), new Promise((resolve) => setTimeout(resolve, ms, false))])
    return isClosed ? Date.now() - started : null
  }
}

process.on('message', async ({ call, name, argument }) => {
  process.send({ call, result: await COMMANDS[name](argument) })
})
process.on('disconnect', () => process.exit())

await app.listen({ port: 0, host: '127.0.0.1' })
process.send({ port: app.server.address().port })
