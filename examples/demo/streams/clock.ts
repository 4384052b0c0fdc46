import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { Clock } from '../events.js'

/** `GET /clock`: the time, each second. The smallest stream there is: a generator that waits with the stream's signal. */
export async function clock (app: FastifyInstance, { secondMs }: { secondMs: number }): Promise<void> {
  app.get('/clock', { schema: { events: Clock } }, (_request, reply) =>
    reply.sse(async function * ({ signal }) {
      while (true) {
        const now = Date.now()
        yield Clock.make.tick({ now: new Date(now).toISOString() })
        // On the full second, or just after it: timers may fire a millisecond early.
        await sleep(secondMs - now % secondMs + 2, undefined, { signal })
      }
    }))
}
