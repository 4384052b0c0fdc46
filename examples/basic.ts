// A clock that ticks once a second: one declaration of events, one route.
//
//   node --import tsx examples/basic.ts
//   curl -N http://127.0.0.1:3000/clock
//
// In a browser: new EventSource('/clock').addEventListener('tick', (event) => console.log(JSON.parse(event.data)))
import { setTimeout as sleep } from 'node:timers/promises'
import { Type } from '@sinclair/typebox'
import Fastify from 'fastify'
import ssePlugin, { defineEvents } from 'fastify-typed-sse'

// Event type -> schema of its data. The compiler and the server both hold the handler to it: an event that is not
// declared, or whose data does not match, does not compile, and if it gets past the compiler it is not sent.
const Clock = defineEvents({
  zone: Type.String(),
  tick: Type.Object({ now: Type.String({ format: 'date-time' }) })
})

const app = Fastify({ logger: { level: 'warn' } })

// Await it: routes registered before the plugin is loaded cannot have `sse` options.
await app.register(ssePlugin)

app.get('/clock', { schema: { events: Clock } }, (_request, reply) =>
  // The source is a generator. It is asked for the next event only while the client takes them.
  reply.sse(async function * ({ signal, lastEventId }) {
    yield { event: 'zone', data: Intl.DateTimeFormat().resolvedOptions().timeZone }

    // A client whose connection broke comes back by itself and says which ID it has seen last.
    const seen = Number(lastEventId)
    for (let n = Number.isInteger(seen) ? seen + 1 : 0; ; n++) {
      yield { event: 'tick', data: { now: new Date().toISOString() }, id: n }
      // The signal aborts when the client leaves or the server closes. Hand it to whatever waits, and nothing is left
      // behind: the sleep rejects, the generator ends, and that is no error.
      await sleep(1000, undefined, { signal })
    }
  }))

// Closing the app ends the open streams too; then nothing keeps the process alive.
process.once('SIGINT', () => app.close())
process.once('SIGTERM', () => app.close())

const url = await app.listen({ port: Number(process.env['PORT'] ?? 3000), host: '127.0.0.1' })
console.log(`Listening on ${url}. Try:\n\n  curl -N ${url}/clock\n`)
