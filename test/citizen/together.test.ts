import compress from '@fastify/compress'
import cookie from '@fastify/cookie'
import cors from '@fastify/cors'
import etag from '@fastify/etag'
import helmet from '@fastify/helmet'
import jwt from '@fastify/jwt'
import rateLimit from '@fastify/rate-limit'
import requestContext from '@fastify/request-context'
import session from '@fastify/session'
import swagger from '@fastify/swagger'
import underPressure from '@fastify/under-pressure'
import websocket from '@fastify/websocket'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import ssePlugin from '../../lib/index.js'
import { createLogged, LEVEL, listen } from '../support/app.js'
import { connect } from '../support/client.js'
import { createProducer, END, frame, nothingLeft, OPENING } from './producer.js'

const plugins: Array<(app: FastifyInstance) => PromiseLike<unknown>> = [
  (app) => app.register(cookie),
  (app) => app.register(session, { secret: 's'.repeat(32), cookie: { secure: false } }),
  (app) => app.register(cors, { origin: true }),
  (app) => app.register(helmet),
  (app) => app.register(rateLimit, { max: 100 }),
  (app) => app.register(compress, { customTypes: /./, threshold: 0 }),
  (app) => app.register(jwt, { secret: 'a secret' }),
  (app) => app.register(underPressure, { maxEventLoopDelay: 60_000 }),
  (app) => app.register(etag),
  (app) => app.register(requestContext),
  (app) => app.register(websocket),
  (app) => app.register(swagger, { openapi: {} })
]

for (const place of ['first', 'last'] as const) {
  t.test(`with all these plugins at once, and this one registered ${place}, a stream is a stream`, async (t) => {
    const { app, logs } = createLogged(t)
    const all = place === 'first' ? [(app: FastifyInstance) => app.register(ssePlugin), ...plugins] : [...plugins, (app: FastifyInstance) => app.register(ssePlugin)]
    for (const register of all) await register(app)
    const producers = { ends: createProducer(1), leaves: createProducer(1), shutdown: createProducer(1) }
    app.route<{ Params: { name: keyof typeof producers } }>({
      method: ['GET', 'POST'],
      url: '/:name',
      schema: { events: { message: { type: 'integer' } } },
      handler: (request, reply) => {
        reply.setCookie('mine', '1')
        return reply.sse(async function * (ctx) {
          for await (const { data } of producers[request.params.name].source(ctx)) yield { event: 'message', data: data as never }
        })
      }
    })
    const { origin } = await listen(app)
    const headers = { origin: 'https://page.example', 'accept-encoding': 'gzip, br' }
    const ends = await connect(t, `${origin}/ends`, { headers })
    const leaves = await connect(t, `${origin}/leaves`, { headers, method: 'POST', body: {} })
    const shutdown = await connect(t, `${origin}/shutdown`, { headers })
    t.equal(ends.headers['content-type'], 'text/event-stream')
    t.equal(ends.headers['content-encoding'], undefined)
    t.equal(ends.headers['access-control-allow-origin'], 'https://page.example')
    t.equal(ends.headers['x-content-type-options'], 'nosniff')
    t.equal(ends.headers['x-ratelimit-limit'], '100')
    t.equal(ends.headers['etag'], undefined)
    t.strictSame(ends.headers['set-cookie']?.map((value) => value.split('=')[0]), ['mine', 'sessionId'])
    const one = 'event: message\n' + frame(1)
    for (const client of [ends, leaves, shutdown]) t.strictSame(await client.events(1), [one])
    producers.ends.finish()
    t.equal(await ends.rest(), END)
    t.equal(ends.text, OPENING + one + END)
    leaves.rst()
    await app.close()
    t.match(await shutdown.rest(), /^retry: \d+\n\n$/)
    await nothingLeft(app)
    t.strictSame(Object.values(producers).map(({ returned }) => returned), [1, 1, 1])
    t.strictSame(logs.filter(({ level }) => level > LEVEL.info), [])
  })
}
