import { fileURLToPath } from 'node:url'
import { TypeBoxValidatorCompiler, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import { build } from 'esbuild'
import t, { type Test } from 'tap'
import { connect } from '../../lib/client.js'
import { SSEError } from '../../lib/errors.js'
import { defineEvents, defineStream } from '../../lib/events.js'
import { createApp, listen } from '../support/app.js'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

const events = { tick: Type.Integer() }

const refusal = (declaration: unknown): SSEError => {
  try {
    defineStream(declaration as Parameters<typeof defineStream>[0])
  } catch (error) {
    if (error instanceof SSEError) return error
    throw error
  }
  throw new Error('it is accepted')
}

t.test('a definition has what Fastify takes, and nothing that was not declared', async (t) => {
  const Clock = defineEvents(events)
  const params = Type.Object({ id: Type.Integer() })
  const querystring = Type.Object({ since: Type.String() })
  const body = Type.Object({ question: Type.String() })
  t.strictSame({ ...defineStream({ path: '/clock', events: Clock }) }, { method: 'GET', path: '/clock', events: Clock, schema: { events: Clock } })
  const Full = defineStream({ method: 'QUERY', path: '/a/:id', params, querystring, body, events: Clock })
  t.strictSame({ ...Full }, { method: 'QUERY', path: '/a/:id', events: Clock, schema: { events: Clock, params, querystring, body } })
  t.equal(Full.schema.params, params, 'schemas are handed on as they are')
  t.ok(Object.isFrozen(Full))
})

t.test('with a body it is POST by itself', async (t) => {
  t.equal(defineStream({ path: '/', body: Type.Object({}), events }).method, 'POST')
  t.equal(defineStream({ path: '/', events }).method, 'GET')
  t.equal(defineStream({ method: 'PUT', path: '/', body: Type.Object({}), events }).method, 'PUT')
})

t.test('a bare map of events becomes a contract', async (t) => {
  const { events: contract } = defineStream({ path: '/', events })
  t.strictSame(contract.make.tick(1, { id: 2 }), { event: 'tick', data: 1, id: 2 })
  t.equal(contract.schemas.tick, events.tick)
})

t.test('a member that a stream does not have is refused, with the one that was meant', async (t) => {
  const error = refusal({ path: '/', events, queryString: Type.Object({}) })
  t.equal(error.code, 'FST_SSE_OPTION_UNKNOWN')
  t.equal(error.message, 'A stream has no "queryString". Did you mean querystring?')
  t.equal(refusal({ path: '/', events, handler: () => {} }).message, 'A stream has no "handler". It has method, path, params, querystring, body, events.')
})

t.test('a member of the wrong sort is refused, with what it must be', async (t) => {
  const cases: Array<[declaration: object, message: string]> = [
    [{ events }, 'The path of a stream must be the URL of a route, and begin with a slash, but is undefined.'],
    [{ path: 'clock', events }, 'The path of a stream must be the URL of a route, and begin with a slash, but is "clock".'],
    [{ path: 7, events }, 'The path of a stream must be the URL of a route, and begin with a slash, but is 7.'],
    [{ path: '/', method: 'get', events }, 'The method of a stream must be an HTTP method in capitals, but is "get".'],
    [{ path: '/', method: ['GET', 'POST'], events }, 'The method of a stream must be an HTTP method in capitals, but is ["GET","POST"].'],
    [{ path: '/', params: 'id', events }, 'The params of a stream must be a schema, but is "id".'],
    [{ path: '/', querystring: null, events }, 'The querystring of a stream must be a schema, but is null.'],
    [{ path: '/', body: 7, events }, 'The body of a stream must be a schema, but is 7.']
  ]
  for (const [declaration, message] of cases) {
    const error = refusal(declaration)
    t.equal(error.code, 'FST_SSE_OPTION_INVALID')
    t.equal(error.message, message)
  }
})

t.test('events are refused as defineEvents refuses them', async (t) => {
  t.equal(refusal({ path: '/' }).code, 'FST_SSE_SCHEMA_INVALID')
  t.equal(refusal({ path: '/', events: Type.Integer() }).code, 'FST_SSE_SCHEMA_INVALID')
  t.equal(refusal({ path: '/', events: { 'sse.gap': Type.Null() } }).code, 'FST_SSE_EVENT_TYPE_RESERVED')
  t.equal(refusal({ path: '/', events: { '': Type.Null() } }).code, 'FST_SSE_EVENT_TYPE_INVALID')
})

const Order = defineStream({
  path: '/shops/:shop/orders/:id',
  params: Type.Object({ shop: Type.String({ maxLength: 20 }), id: Type.Integer({ minimum: 1 }) }),
  querystring: Type.Object({ since: Type.Optional(Type.Integer()), tag: Type.Optional(Type.Array(Type.String())) }),
  events: { asked: Type.Object({ shop: Type.String(), id: Type.Integer(), since: Type.Optional(Type.Integer()), tag: Type.Optional(Type.Array(Type.String())) }) }
})
const Ask = defineStream({
  path: '/ask',
  body: Type.Object({ question: Type.String({ minLength: 1 }) }),
  events: { token: Type.String(), done: Type.Null() }
})

/** A server of both, below a prefix. */
async function serve (t: Test): Promise<string> {
  const { app } = await createApp(t)
  await app.register(async (child) => {
    const typed = child.withTypeProvider<TypeBoxTypeProvider>()
    typed.get(Order.path, { schema: Order.schema }, (request, reply) =>
      reply.sse([Order.events.make.asked({ ...request.params, ...request.query })]))
    typed.route({
      method: Ask.method,
      url: Ask.path,
      schema: Ask.schema,
      handler: (request, reply) => reply.sse(function * () {
        for (const word of request.body.question.split(' ')) yield Ask.events.make.token(word)
        yield Ask.events.make.done()
      })
    })
  }, { prefix: '/api' })
  return `${(await listen(app)).origin}/api`
}

t.test('a route and a client of one definition: parameters, query and body arrive, and the events come back', async (t) => {
  const baseUrl = await serve(t)
  const asked: unknown[] = []
  for await (const event of connect(Order, { baseUrl, params: { shop: 'a/b é', id: 7 }, query: { since: 3, tag: ['x&y', 'z'] } })) asked.push(event)
  t.strictSame(asked, [{ event: 'asked', data: { shop: 'a/b é', id: 7, since: 3, tag: ['x&y', 'z'] } }])
  const told: unknown[] = []
  for await (const { event, data } of connect(Ask, { baseUrl, body: { question: 'why not' } })) told.push([event, data])
  t.strictSame(told, [['token', 'why'], ['token', 'not'], ['done', null]])
})

t.test('the same by the type of the definition alone', async (t) => {
  const origin = await serve(t)
  const asked: unknown[] = []
  for await (const { data } of connect<typeof Order>(`${origin}/shops/:shop/orders/:id`, { params: { shop: 'tea', id: 7 }, query: { since: 3 } })) asked.push(data)
  t.strictSame(asked, [{ shop: 'tea', id: 7, since: 3 }])
  const told: unknown[] = []
  for await (const { event } of connect<typeof Ask>(`${origin}/ask`, { body: { question: 'why' } })) told.push(event)
  t.strictSame(told, ['token', 'done'])
})

t.test('the server refuses what the schemas do not accept, and the client says with what', async (t) => {
  const baseUrl = await serve(t)
  const refusals = [
    [connect(Order, { baseUrl, params: { shop: 'tea', id: 0 } }), 'params/id must be >= 1'],
    [connect(Order, { baseUrl, params: { shop: 'tea', id: 7 }, query: { since: 0.5 } }), 'querystring/since must be integer'],
    [connect(Ask, { baseUrl, body: { question: '' } }), 'body/question must NOT have fewer than 1 characters']
  ] as const
  for (const [stream, message] of refusals) {
    const { error } = await stream.closed
    t.equal(error?.status, 400)
    t.equal(JSON.parse(error?.body ?? '').message, message)
  }
})

t.test("a definition works with TypeBox's own validator compiler as well", async (t) => {
  const { app } = await createApp(t)
  const typed = app.setValidatorCompiler(TypeBoxValidatorCompiler).withTypeProvider<TypeBoxTypeProvider>()
  typed.post(Ask.path, { schema: Ask.schema }, (request, reply) => reply.sse([Ask.events.make.token(request.body.question)]))
  t.equal((await app.inject({ method: 'POST', url: '/ask', payload: { question: 7 } })).statusCode, 400)
  t.match((await app.inject({ method: 'POST', url: '/ask', payload: { question: 'why' } })).body, 'event: token\ndata: "why"\n')
})

t.test('one definition serves two applications', async (t) => {
  for (const prefix of ['/one', '/two']) {
    const { app } = await createApp(t)
    await app.register(async (child) => child.get(Order.path, { schema: Order.schema }, (_request, reply) =>
      reply.sse([Order.events.make.asked({ shop: prefix, id: 1 })])), { prefix })
    t.match((await app.inject(`${prefix}/shops/tea/orders/7`)).body, `"shop":"${prefix}"`)
  }
})

/** What esbuild makes of a page's script, with the files that went into it. */
async function bundle (source: string): Promise<{ text: string, inputs: string[], imports: string[] }> {
  const { outputFiles, metafile } = await build({
    stdin: { contents: source, resolveDir: ROOT, loader: 'ts', sourcefile: 'page.ts' },
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'neutral',
    minify: true,
    outdir: '/out',
    write: false,
    metafile: true,
    logLevel: 'silent',
    absWorkingDir: ROOT,
    // Platform neutral: what only Node has cannot be resolved, and fails.
    alias: {
      'fastify-typed-sse/client': './lib/client.ts',
      'fastify-typed-sse/events': './lib/events.ts'
    }
  })
  return {
    text: outputFiles.map(({ text }) => text).join('\n'),
    inputs: Object.keys(metafile.inputs).sort(),
    imports: Object.values(metafile.inputs).flatMap(({ imports }) => imports.map(({ path }) => path))
  }
}

t.test('a definition that is imported as a type ships nothing of it, and the client has no dependency', async (t) => {
  const { text, inputs, imports } = await bundle(`
    import type { Order } from './test/fixtures/order.js'
    import { connect } from 'fastify-typed-sse/client'
    connect<typeof Order>('/orders/:id', { params: { id: 7 } }).on('shipped', ({ at }) => console.log(at))
  `)
  const others = inputs.filter((path) => path !== 'page.ts' && !/^lib\/(client\/|client\.ts$|wire\/)/.test(path))
  t.strictSame(others, [], 'nothing but the client and the decoder')
  t.strictSame(imports.filter((path) => !path.startsWith('lib/')), [])
  t.notMatch(text, /TypeBox|integer|node:|require\(/)
})

t.test('a definition that is imported as a value brings its schemas along', async (t) => {
  const { text, inputs } = await bundle(`
    import { Order } from './test/fixtures/order.js'
    import { connect } from 'fastify-typed-sse/client'
    connect(Order, { params: { id: 7 } }).on('shipped', ({ at }) => console.log(at))
  `)
  t.ok(inputs.some((path) => path.includes('@sinclair/typebox')))
  t.match(text, '/orders/:id')
  t.notMatch(inputs.join('\n'), /fastify\/|ajv/)
})
