import type { FastifyInstance } from 'fastify'
import { Log } from '../events.js'
import { followFile } from '../follow-file.js'

/**
 * `GET /log`: follows a file as it grows, here the demo's own log of requests.
 *
 * It begins with the last lines. An ID says which file and how many of its bytes the client has seen, so a client that
 * comes back gets each line once.
 */
export async function log (app: FastifyInstance, { path }: { path: string }): Promise<void> {
  app.get('/log', { schema: { events: Log } }, (_request, reply) =>
    reply.sse(async function * ({ signal, lastEventId }) {
      for await (const found of followFile(path, { signal, after: lastEventId, lastLines: 20 })) {
        if (found === 'replaced') yield Log.make.replaced()
        else yield Log.make.line(found.text, { id: found.position })
      }
    }))
}
