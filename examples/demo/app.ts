import Fastify, { type FastifyInstance } from 'fastify'
import ssePlugin from '../../lib/index.js'          // in your project: from 'fastify-typed-sse'
import { RequestLog } from './request-log.js'
import { servePage } from './page.js'
import { clock } from './streams/clock.js'
import { countdown } from './streams/countdown.js'
import { host } from './streams/host.js'
import { log } from './streams/log.js'
import { search } from './streams/search.js'

export interface DemoOptions {
  /**
   * How long a second is: between ticks, samples and steps of the countdown, in milliseconds. Tests are in a hurry.
   *
   * @defaultValue `1_000`
   */
  secondMs?: number | undefined
  /**
   * How long a client waits before it connects again, in milliseconds.
   *
   * @defaultValue `1_000`, so that a restart of the demo is seen soon; the plugin's own default is 3 s
   */
  reconnectionTimeMs?: number | undefined
}

/** The demo's application, ready to listen or to be injected into. */
export async function createDemo ({ secondMs = 1_000, reconnectionTimeMs = 1_000 }: DemoOptions = {}): Promise<FastifyInstance> {
  const requests = await RequestLog.create()
  const app = Fastify({
    logger: { level: 'warn', stream: process.stderr }
  }) as unknown as FastifyInstance
  app.addHook('onClose', () => requests.close())
  app.addHook('onSend', async (request, reply) => {
    requests.write(`${request.method} ${request.url} ${reply.statusCode}`)
  })

  await app.register(ssePlugin, {
    reconnectionTimeMs,
    onDisconnect (request, { reason, events, durationMs }) {
      requests.write(`${request.method} ${request.url} over after ${(durationMs / 1000).toFixed(1)} s and ${events} events: ${reason}`)
    }
  })

  await app.register(servePage)
  await app.register(clock, { secondMs })
  await app.register(host, { secondMs })
  await app.register(log, { path: requests.path })
  await app.register(countdown, { secondMs })
  await app.register(search)
  // Something to ask for, so that the log has a line to show.
  app.get('/ping', async () => ({ pong: new Date().toISOString() }))
  return app
}
