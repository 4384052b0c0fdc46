import swagger from '@fastify/swagger'
import { Type } from '@sinclair/typebox'
import t from 'tap'
import { defineEvents } from '../../lib/index.js'
import { createApp } from '../support/app.js'
import { END, nothingLeft, OPENING } from './producer.js'

const Clock = defineEvents({ tick: Type.Object({ now: Type.String() }) })
const userFrame = (data: object): string => `event: user\ndata: ${JSON.stringify(data)}\n\n`
const REFUSED = { statusCode: 500, code: 'FST_SSE_EVENT_INVALID' }

const LAST_EVENT_ID = {
  name: 'Last-Event-ID',
  in: 'header',
  required: false,
  description: 'ID of the last event that the client has: the stream goes on after it. For clients that cannot set headers, the query parameter `lastEventId` does the same.',
  schema: { type: 'string' }
}
const HEADERS = {
  'sse-heartbeat': { description: 'Milliseconds after which a silent stream sends a comment; 0 for never.', required: true, schema: { type: 'integer', minimum: 0 } }
}
const OVER = { description: 'The stream is over: do not connect again.' }

t.test('@fastify/swagger: routes that stream stand in the document, and their events do not break it', async (t) => {
  const { app } = await createApp(t)
  await app.register(swagger, { openapi: { info: { title: 'mine', version: '1' } } })
  app.get('/clock', { schema: { summary: 'Time', tags: ['live'], events: Clock } }, (_request, reply) =>
    reply.sse([Clock.make.tick({ now: 'now' })]))
  app.post('/map', {
    schema: {
      events: { count: Type.Integer() },
      body: Type.Object({ n: Type.Integer() }),
      response: { 200: { description: 'numbers', content: { 'text/event-stream': { schema: Type.String() } } } }
    }
  }, (request, reply) => reply.sse([{ event: 'count', data: (request.body as { n: number }).n }]))
  await app.ready()
  const document = app.swagger()
  t.strictSame(JSON.parse(JSON.stringify(document)).paths, {
    '/clock': {
      get: {
        summary: 'Time',
        tags: ['live'],
        parameters: [LAST_EVENT_ID],
        responses: {
          200: { description: 'Event stream', headers: HEADERS, content: { 'text/event-stream': { schema: { $ref: '#/components/schemas/ClockEvent' } } } },
          204: OVER
        }
      }
    },
    '/map': {
      post: {
        requestBody: {
          required: true,
          content: { 'application/json': { schema: { type: 'object', required: ['n'], properties: { n: { type: 'integer' } } } } }
        },
        // What the application says of its stream stands.
        parameters: [LAST_EVENT_ID],
        responses: { 200: { description: 'numbers', content: { 'text/event-stream': { schema: { type: 'string' } } } }, 204: OVER }
      }
    }
  })
  t.equal((await app.inject('/clock')).body, OPENING + 'event: tick\ndata: {"now":"now"}\n\n' + END)
  t.equal((await app.inject({ method: 'POST', url: '/map', payload: { n: 3 } })).body, OPENING + 'event: count\ndata: 3\n\n' + END)
})

t.test('@fastify/swagger: Swagger 2 and a transform see the schema as it was given', async (t) => {
  const { app } = await createApp(t)
  const seen: unknown[] = []
  await app.register(swagger, {
    swagger: {},
    transform: ({ schema, url }) => {
      seen.push((schema as { events?: unknown }).events)
      return { schema, url }
    }
  })
  app.get('/clock', { schema: { events: Clock } }, (_request, reply) => reply.sse([Clock.make.tick({ now: 'now' })]))
  await app.ready()
  t.strictSame(JSON.parse(JSON.stringify(app.swagger())).paths, {
    '/clock': {
      get: {
        produces: ['text/event-stream'],
        parameters: [{ name: LAST_EVENT_ID.name, in: 'header', description: LAST_EVENT_ID.description, type: 'string' }],
        responses: { 200: { description: 'Event stream' }, 204: OVER }
      }
    }
  })
  t.ok(seen.length > 0 && seen.every((events) => events === Clock))
})

t.test('events may refer to schemas that the application has added, before the route or after it', async (t) => {
  const { app } = await createApp(t)
  app.get('/', { schema: { events: { user: { $ref: 'user#' } } } } as object, (_request, reply) => reply.sse([
    { event: 'user', data: { name: 'Ann', home: { city: 'Rome', code: 'x' }, password: 'secret' } },
    { event: 'user', data: { name: 1 } }
  ]))
  app.addSchema({ $id: 'user', type: 'object', required: ['name'], properties: { name: { type: 'string' }, home: { $ref: 'home#' } } })
  app.addSchema({ $id: 'home', type: 'object', properties: { city: { type: 'string' } } })
  t.equal((await app.inject('/')).body, OPENING + userFrame({ name: 'Ann', home: { city: 'Rome' } }) +
    'event: sse.fault\ndata: {"code":"FST_SSE_EVENT_INVALID","message":"Internal Server Error"}\n\n')
  await nothingLeft(app)
})

t.test('a schema that was added to one encapsulated plugin is that of its streams alone', async (t) => {
  const { app } = await createApp(t)
  for (const [prefix, type, data] of [['/text', 'string', 'a'], ['/number', 'integer', 1]] as const) {
    await app.register(async (child) => {
      child.addSchema({ $id: 'value', type })
      child.get('/right', { schema: { events: { user: { $ref: 'value#' } } } } as object, (_request, reply) => reply.sse([{ event: 'user', data }]))
      child.get('/wrong', { schema: { events: { user: { $ref: 'value#' } } } } as object, (_request, reply) =>
        reply.sse([{ event: 'user', data: data === 1 ? 'a' : 1 }]))
    }, { prefix })
  }
  t.equal((await app.inject('/text/right')).body, OPENING + 'event: user\ndata: "a"\n\n' + END)
  t.equal((await app.inject('/number/right')).body, OPENING + 'event: user\ndata: 1\n\n' + END)
  t.match((await app.inject('/text/wrong')).json(), REFUSED)
  t.match((await app.inject('/number/wrong')).json(), REFUSED)
})

const user = { type: 'object', properties: { name: { type: 'string' } } }
const ann = (): object[] => [{ event: 'user', data: { name: 'Ann', password: 'secret' } }]

t.test('a serializer compiler of the route serializes its events, and nobody else\'s', async (t) => {
  const { app } = await createApp(t)
  const asked: unknown[] = []
  app.get('/own', {
    schema: { events: { user } },
    serializerCompiler: ({ schema, method, url }: { schema: unknown, method: string, url: string }) => {
      asked.push([schema === user, method, url])
      return (data: unknown) => JSON.stringify({ mine: data }, null, 2)
    }
  } as object, (_request, reply) => reply.sse(ann() as never))
  app.get('/other', { schema: { events: { user } } } as object, (_request, reply) => reply.sse(ann() as never))
  t.equal((await app.inject('/own')).body, OPENING + 'event: user\ndata: {  "mine": {    "name": "Ann"  }}\n\n' + END, 'on one line, and only what is declared')
  t.equal((await app.inject('/other')).body, OPENING + userFrame({ name: 'Ann' }) + END)
  t.ok(asked.some((one) => JSON.stringify(one) === '[true,"GET","/own"]'))
})

t.test('setSerializerCompiler holds for the events of its encapsulated plugin', async (t) => {
  const { app } = await createApp(t)
  await app.register(async (child) => {
    child.setSerializerCompiler(() => (data) => JSON.stringify([data]))
    child.get('/child', { schema: { events: { user } } } as object, (_request, reply) => reply.sse(ann() as never))
  })
  app.get('/', { schema: { events: { user } } } as object, (_request, reply) => reply.sse(ann() as never))
  t.equal((await app.inject('/child')).body, OPENING + 'event: user\ndata: [{"name":"Ann"}]\n\n' + END)
  t.equal((await app.inject('/')).body, OPENING + userFrame({ name: 'Ann' }) + END)
})

t.test('reply.serializer is for answers that are not streams', async (t) => {
  const { app } = await createApp(t)
  app.get('/', { schema: { events: { user } } } as object, (_request, reply) => {
    reply.serializer(() => 'never')
    return reply.sse(ann() as never)
  })
  t.equal((await app.inject('/')).body, OPENING + userFrame({ name: 'Ann' }) + END)
})

t.test('a validator compiler that coerces is not asked about events', async (t) => {
  const { app } = await createApp(t)
  app.setValidatorCompiler(() => () => true)
  app.post('/', { schema: { body: Type.Object({ n: Type.Integer() }), events: { user } } } as object, (_request, reply) =>
    reply.sse([{ event: 'user', data: { name: 7 } }] as never))
  const response = await app.inject({ method: 'POST', url: '/', payload: { n: 'anything' } })
  t.match(response.json(), REFUSED)
  await nothingLeft(app)
})

t.test('a route with response schemas and events answers with either', async (t) => {
  const { app } = await createApp(t)
  app.get<{ Querystring: { stream?: string } }>('/', {
    schema: { events: { user }, response: { 200: { type: 'object', properties: { name: { type: 'string' } } } } }
  } as object, (request, reply) => request.query.stream === undefined
    ? reply.send({ name: 'Ann', password: 'secret' })
    : reply.sse(ann() as never))
  t.equal((await app.inject('/')).body, '{"name":"Ann"}')
  t.equal((await app.inject('/?stream')).body, OPENING + userFrame({ name: 'Ann' }) + END)
})

t.test('with attachValidation the handler decides whether a wrong request gets a stream', async (t) => {
  const { app } = await createApp(t)
  app.post('/', { attachValidation: true, schema: { body: Type.Object({ n: Type.Integer() }) } }, (request, reply) =>
    reply.sse([{ data: request.validationError?.message ?? 'right' }]))
  t.equal((await app.inject({ method: 'POST', url: '/', payload: { n: 'x' } })).body, OPENING + 'data: "body/n must be integer"\n\n' + END)
  t.equal((await app.inject({ method: 'POST', url: '/', payload: { n: 1 } })).body, OPENING + 'data: "right"\n\n' + END)
})
