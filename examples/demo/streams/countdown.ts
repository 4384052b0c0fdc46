import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { Countdown } from '../events.js'

const FROM = 10

/**
 * `GET /countdown`: 10 to 0, and then the source has no more.
 *
 * The stream closes with `sse.end`, and the browser's attempt to come back is answered with 204: that is how a bare
 * `EventSource` learns to stop. A connection that is lost on the way goes on where it was, because each event has an ID.
 */
export async function countdown (app: FastifyInstance, { secondMs }: { secondMs: number }): Promise<void> {
  app.get('/countdown', { schema: { events: Countdown } }, (_request, reply) =>
    reply.sse(async function * ({ signal, lastEventId }) {
      for (let left = firstLeft(lastEventId); left >= 0; left--) {
        yield Countdown.make.left(left, { id: left })
        if (left > 0) await sleep(secondMs, undefined, { signal })
      }
    }))
}

/** The ID comes from outside: anything may stand in it. */
function firstLeft (lastEventId: string | undefined): number {
  return lastEventId !== undefined && /^(?:\d|10)$/.test(lastEventId) ? Number(lastEventId) - 1 : FROM
}
