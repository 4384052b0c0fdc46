import { createRequire } from 'node:module'
import swagger from '@fastify/swagger'
import { Type } from '@sinclair/typebox'
import { Validator } from '@seriousme/openapi-schema-validator'
import fastifyPlugin from 'fastify-plugin'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import ssePlugin, { defineEvents, type SSEPluginOptions } from '../../lib/index.js'
import { createLogged } from '../support/app.js'

type Json = any

const info = { title: 'mine', version: '1' }
const Clock = defineEvents({ tick: Type.Object({ now: Type.String() }), closing: Type.Null() })
const stream = (_request: unknown, reply: any): Promise<void> => reply.sse([Clock.make.closing()])
const plain = <T>(json: T): T => JSON.parse(JSON.stringify(json))

const LAST_EVENT_ID = {
  name: 'Last-Event-ID',
  in: 'header',
  required: false,
  description: 'ID of the last event that the client has: the stream goes on after it. For clients that cannot set headers, the query parameter `lastEventId` does the same.',
  schema: { type: 'string' }
}
const END = { description: 'The stream is over: do not connect again.' }
const responses = (schema: object, headers = {}): object => ({
  200: {
    description: 'Event stream',
    headers: {
      'sse-heartbeat': {
        description: 'Milliseconds after which a silent stream sends a comment; 0 for never.',
        required: true,
        schema: { type: 'integer', minimum: 0 }
      },
      ...headers
    },
    content: { 'text/event-stream': schema }
  },
  204: END
})
const clock = (name = 'ClockEvent'): object => responses({ schema: { $ref: `#/components/schemas/${name}` } })

async function create (t: Test, openapi: SSEPluginOptions['openapi'] = {}): Promise<FastifyInstance> {
  const { app } = createLogged(t)
  await app.register(ssePlugin, { openapi })
  return app
}

async function documentOf (app: FastifyInstance, decorator = 'swagger'): Promise<Json> {
  await app.ready()
  return plain((app as Json)[decorator]())
}

t.test('a stream at the root of a prefix is found, whichever of its URLs the document has', async (t) => {
  const app = await create(t)
  await app.register(swagger, { openapi: { openapi: '3.1.0', info } })
  await app.register(async (child) => { child.get('/', { schema: { events: Clock } }, stream) }, { prefix: '/clock' })
  const { paths } = await documentOf(app)
  t.strictSame(Object.values<Json>(paths).map(({ get }) => get.responses), [clock()])
})

t.test('a stream stands in a document of each version, whole', async (t) => {
  for (const [openapi, dialect, key] of [['3.0.3', 'event', 'schema'], ['3.0.3', 'payload', 'schema'], ['3.1.0', 'event', 'schema'], ['3.2.0', 'event', 'itemSchema']] as const) {
    const app = await create(t, { dialect })
    await app.register(swagger, { openapi: { openapi, info } })
    app.get('/clock/:zone', { schema: { summary: 'Time', events: Clock } }, stream)
    const document = await documentOf(app)
    const name = dialect === 'event' ? 'ClockByZoneEvent' : 'ClockByZonePayload'
    t.strictSame(document.paths, {
      '/clock/{zone}': {
        get: {
          summary: 'Time',
          parameters: [{ schema: { type: 'string' }, in: 'path', name: 'zone', required: true }, LAST_EVENT_ID],
          responses: responses({ [key]: { $ref: `#/components/schemas/${name}` } })
        }
      }
    })
    t.strictSame(Object.keys(document.components.schemas), dialect === 'payload'
      ? ['ClockByZonePayload']
      : ['ClockByZoneClosingEvent', 'ClockByZoneEvent', 'ClockByZoneTickEvent', 'SseEndEvent', 'SseFaultEvent', 'SseGapEvent'])
    t.strictSame(await new Validator().validate(document), { valid: true })
    t.notMatch(JSON.stringify(document), 'x-fastify')
  }
})

t.test('the order in which the plugins are registered does not matter, nor where', async (t) => {
  for (const order of ['swagger first', 'sse first', 'wrapped', 'encapsulated']) {
    const { app } = createLogged(t)
    const options = { openapi: { info } }
    const routes = async (child: FastifyInstance): Promise<void> => {
      child.get('/clock', { schema: { events: Clock } }, stream)
    }
    if (order === 'swagger first') await app.register(swagger, options)
    await app.register(ssePlugin)
    if (order === 'sse first') await app.register(swagger, options)
    if (order === 'wrapped') await app.register(fastifyPlugin(async (inner) => { await inner.register(swagger, options) }))
    let holder = app
    if (order === 'encapsulated') {
      await app.register(async (child) => {
        holder = child
        await child.register(swagger, options)
        await child.register(routes, { prefix: '/api' })
      })
    } else await app.register(routes, { prefix: '/api' })
    await app.ready()
    t.strictSame(plain(holder.swagger()).paths as Json, { '/api/clock': { get: { parameters: [LAST_EVENT_ID], responses: clock('ApiClockEvent') } } }, order)
  }
})

t.test('whatever a transform makes of URL and schema, the stream is found', async (t) => {
  const transforms: Record<string, (given: Json) => Json> = {
    'another URL': ({ schema, url }) => ({ schema, url: `/v2${url}` }),
    'another schema': ({ url }) => ({ schema: { summary: 'changed' }, url }),
    both: ({ schema, url }) => ({ schema: { ...schema, summary: 'changed' }, url: `/v2${url}` })
  }
  for (const [title, transform] of Object.entries(transforms)) {
    const app = await create(t)
    const seen: unknown[] = []
    await app.register(swagger, {
      openapi: { info },
      transform: (given) => {
        seen.push((given.schema as Json).events)
        return transform(given)
      }
    })
    app.get('/clock', { schema: { events: Clock } }, stream)
    const { paths } = await documentOf(app)
    t.strictSame(paths, {
      [title === 'another schema' ? '/clock' : '/v2/clock']: {
        get: { ...(title !== 'another URL' && { summary: 'changed' }), parameters: [LAST_EVENT_ID], responses: clock() }
      }
    }, title)
    t.strictSame(seen, [Clock])
  }
})

t.test('a transform of the whole document comes first, and what it does stays', async (t) => {
  const app = await create(t)
  await app.register(swagger, {
    openapi: { info },
    transformObject: (given) => {
      const document = (given as Json).openapiObject
      return { ...document, paths: { '/moved': document.paths['/clock'] }, 'x-mine': true }
    }
  })
  app.get('/clock', { schema: { events: Clock } }, stream)
  const document = await documentOf(app)
  t.strictSame(document.paths, { '/moved': { get: { parameters: [LAST_EVENT_ID], responses: clock() } } })
  t.equal(document['x-mine'], true)
})

t.test('a route that is hidden stays hidden', async (t) => {
  const app = await create(t)
  await app.register(swagger, { openapi: { info }, hideUntagged: true, transform: ({ schema, url }) => ({ schema: url === '/dropped' ? { hide: true } : schema, url }) as Json })
  app.get('/hidden', { schema: { hide: true, tags: ['a'], events: Clock } as object }, stream)
  app.get('/tagged', { schema: { tags: ['X-HIDDEN'], events: Clock } }, stream)
  app.get('/untagged', { schema: { events: Clock } }, stream)
  app.get('/dropped', { schema: { tags: ['a'], events: Clock } }, stream)
  app.get('/shown', { schema: { tags: ['a'], events: Clock } }, stream)
  const { paths, components } = await documentOf(app)
  t.strictSame(paths, { '/shown': { get: { tags: ['a'], parameters: [LAST_EVENT_ID], responses: clock('ShownEvent') } } })
  t.notMatch(Object.keys(components.schemas).join(), /Hidden|Untagged|Dropped|Tagged/)
})

t.test('the path of a server is left out of that of a stream, with the mark and without', async (t) => {
  for (const transform of [null, ({ url }: { url: string }) => ({ schema: {}, url })]) {
    const app = await create(t)
    await app.register(swagger, { openapi: { info, servers: [{ url: 'https://example.com/api' }] }, ...(transform !== null && { transform: transform as Json }) })
    app.get('/api/clock', { schema: { events: Clock } }, stream)
    t.strictSame((await documentOf(app)).paths, { '/clock': { get: { parameters: [LAST_EVENT_ID], responses: clock('ApiClockEvent') } } })
  }
})

t.test('what else stands in an operation is kept', async (t) => {
  const app = await create(t)
  await app.register(swagger, {
    openapi: { openapi: '3.1.0', info, components: { securitySchemes: { key: { type: 'apiKey', name: 'x-key', in: 'header' } }, schemas: { ClockEvent: { type: 'string' } } } }
  })
  app.get('/clock', {
    schema: {
      description: 'Time or times',
      operationId: 'clock',
      security: [{ key: [] }],
      headers: Type.Object({ 'last-event-id': Type.Optional(Type.String()) }),
      response: { 200: { description: 'Times', ...Type.Array(Type.String()) }, 404: { description: 'No clock', type: 'null' } },
      events: Clock
    } as object
  }, stream)
  app.post('/own', {
    schema: { events: Clock, response: { 200: { description: 'mine', content: { 'text/event-stream': { schema: Type.String() } } } } }
  } as object, stream)
  app.get('/all', { schema: { events: Clock, response: { '2xx': { description: 'Any', ...Type.String() } } } as object, sse: { controlEvents: false } }, stream)
  const { paths, components } = await documentOf(app)
  const { headers } = (clock() as Json)[200]
  t.strictSame(paths, {
    '/clock': {
      get: {
        operationId: 'clock',
        description: 'Time or times',
        parameters: [{ schema: { type: 'string' }, in: 'header', name: 'last-event-id', required: false }],
        security: [{ key: [] }],
        responses: {
          200: {
            description: 'Times',
            headers,
            content: {
              'application/json': { schema: { description: 'Times', type: 'array', items: { type: 'string' } } },
              'text/event-stream': { schema: { $ref: '#/components/schemas/ClockEvent2' } }
            }
          },
          204: END,
          404: { description: 'No clock' }
        }
      }
    },
    '/own': {
      post: { parameters: [LAST_EVENT_ID], responses: { 200: { description: 'mine', content: { 'text/event-stream': { schema: { type: 'string' } } } }, 204: END } }
    },
    '/all': {
      get: {
        parameters: [LAST_EVENT_ID],
        responses: {
          '2XX': {
            description: 'Any',
            headers,
            content: {
              'application/json': { schema: { description: 'Any', type: 'string' } },
              'text/event-stream': { schema: { $ref: '#/components/schemas/AllEvent' } }
            }
          }
        }
      }
    }
  })
  t.strictSame(components.schemas.ClockEvent, { type: 'string' })
})

t.test('routes without streams are as they would be without the plugin', async (t) => {
  const app = await create(t)
  await app.register(swagger, { openapi: { info } })
  app.get('/clock', { schema: { events: Clock } }, stream)
  app.get('/plain', { schema: { response: { 200: Type.String() } } }, async () => 'plain')
  const { paths } = await documentOf(app)
  t.strictSame(paths['/plain'], { get: { responses: { 200: { description: 'Default Response', content: { 'application/json': { schema: { type: 'string' } } } } } } })
})

t.test('each of several methods and constraints has its own stream', async (t) => {
  const app = await create(t)
  await app.register(swagger, { openapi: { openapi: '3.2.0', info }, exposeHeadRoutes: true })
  app.route({ method: ['GET', 'PUT'], url: '/clock', schema: { events: Clock }, handler: stream })
  app.route({ method: 'QUERY', url: '/clock', schema: { events: Clock }, handler: stream } as Json)
  const { paths } = await documentOf(app)
  const of = (name: string): object => ({ parameters: [LAST_EVENT_ID], responses: responses({ itemSchema: { $ref: `#/components/schemas/${name}` } }) })
  t.strictSame(paths, {
    '/clock': {
      get: of('ClockEvent'),
      put: of('PutClockEvent'),
      head: { responses: { 200: { description: 'Default Response' } } },
      query: of('QueryClockEvent')
    }
  })
})

t.test('the document as YAML is the document', async (t) => {
  const app = await create(t)
  await app.register(swagger, { openapi: { info } })
  app.get('/clock/:id?', { schema: { description: 'a: b\n# c', events: Clock } }, stream)
  const document = await documentOf(app)
  const require = createRequire(createRequire(import.meta.url).resolve('@fastify/swagger'))
  const yaml = app.swagger({ yaml: true })
  t.strictSame(require('yaml').parse(yaml), document)
  t.equal(app.swagger({ yaml: true }), yaml)
  t.equal(app.swagger(), app.swagger())
  t.match(yaml, /^openapi: "3\.0\.3"\ninfo:\n {2}title: mine\n {2}version: "1"\n/)
})

t.test('the schema of the route is as it was, once the document is made and when a transform throws', async (t) => {
  const app = await create(t)
  let fails = true
  const routes: Json[] = []
  app.addHook('onRoute', (route) => { routes.push(route) })
  await app.register(swagger, {
    openapi: { info },
    transform: (given) => {
      if (fails) throw new Error('not now')
      return given as Json
    }
  })
  app.get('/clock', { schema: { events: Clock } }, stream)
  app.get('/bare', { sse: {} }, stream)
  const before = routes.map((route) => Object.entries(route))
  await app.ready()
  t.throws(() => app.swagger(), { message: 'not now' })
  t.strictSame(routes.map((route) => Object.entries(route)), before)
  fails = false
  t.strictSame(Object.keys(app.swagger().paths!), ['/clock', '/bare'])
  t.strictSame(routes.map((route) => Object.entries(route)), before)
})

t.test('a document of Swagger 2 says that there is a stream, and no schema of it', async (t) => {
  const app = await create(t)
  await app.register(swagger, { swagger: { info } })
  app.get('/clock', { schema: { events: Clock } }, stream)
  app.get('/both', { schema: { events: Clock, response: { 200: Type.String() } } }, stream)
  const { schema, ...parameter } = LAST_EVENT_ID
  const { required, ...lastEventId } = { ...parameter, type: schema.type }
  const document = await documentOf(app)
  t.strictSame(document.paths, {
    '/clock': { get: { produces: ['text/event-stream'], parameters: [lastEventId], responses: { 200: { description: 'Event stream' }, 204: END } } },
    '/both': {
      get: {
        produces: ['application/json', 'text/event-stream'],
        parameters: [lastEventId],
        responses: { 200: { description: 'Default Response', schema: { type: 'string' } }, 204: END }
      }
    }
  })
  t.strictSame(await new Validator().validate(document), { valid: true })
})

t.test('a document that was written by hand is left alone', async (t) => {
  const app = await create(t)
  const document = { openapi: '3.1.0', info, paths: { '/clock': { get: { responses: { 200: { description: 'mine' } } } } } }
  await app.register(swagger, { mode: 'static', specification: { document } } as Json)
  app.get('/clock', { schema: { events: Clock } }, stream)
  t.strictSame(await documentOf(app), document)
  t.match(app.swagger({ yaml: true }), 'openapi: 3.1.0')
})

t.test('documents under other names have streams when the plugin is told the names', async (t) => {
  const app = await create(t, { decorator: ['inner', 'outer'] })
  await app.register(swagger, { openapi: { info }, decorator: 'inner' } as Json)
  await app.register(swagger, { openapi: { openapi: '3.2.0', info }, decorator: 'outer' } as Json)
  app.get('/clock', { schema: { events: Clock } }, stream)
  t.strictSame((await documentOf(app, 'inner')).paths['/clock'].get.responses, clock())
  t.strictSame((await documentOf(app, 'outer')).paths['/clock'].get.responses, responses({ itemSchema: { $ref: '#/components/schemas/ClockEvent' } }))
})

t.test('a function of that name that is not of @fastify/swagger is left alone', async (t) => {
  const app = await create(t)
  const mine = (): string => 'mine'
  app.decorate('swagger', mine as Json)
  app.get('/clock', { schema: { events: Clock } }, stream)
  await app.ready()
  t.equal(app.swagger, mine)
})
