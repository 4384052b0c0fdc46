import fastifySwagger from '@fastify/swagger'
import { Type } from '@sinclair/typebox'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import ssePlugin, { defineEvents, text, type Manifest, type ManifestStream } from '../../lib/index.js'
import { CONTROL_EVENTS } from '../../lib/schema/manifest.js'
import { toTypeScript } from '../../lib/documents/typescript/typescript.js'
import { readManifest } from '../../lib/documents/read-manifest.js'
import { createApp } from '../support/app.js'

const DIALECT = { $schema: 'https://json-schema.org/draft/2020-12/schema' }
const CONTROL = ['sse.gap', 'sse.end', 'sse.fault']
const NOTHING = { closing: { format: 'json', schema: { ...DIALECT, type: 'null' } } }
const Closing = defineEvents({ closing: Type.Null() })

/** As a file has it: plain JSON. */
async function manifestOf (app: { ready: () => PromiseLike<unknown>, sse: { manifest: () => Manifest } }): Promise<Manifest> {
  await app.ready()
  return JSON.parse(JSON.stringify(app.sse.manifest())) as Manifest
}

async function namesOf (t: Test, routes: string[]): Promise<string[]> {
  const { app } = await createApp(t)
  for (const route of routes) {
    const [method = '', url = ''] = route.split(' ')
    if (!app.supportedMethods.includes(method)) app.addHttpMethod(method)
    app.route({ method, url, schema: { events: Closing }, handler: (_request, reply) => reply.sse([]) })
  }
  const { streams } = await manifestOf(app)
  const names = new Map(streams.map(({ method, url, name }) => [`${method} ${url}`, name]))
  return routes.map((route) => names.get(route)!)
}

t.test('a stream at the root of a prefix has the URL without a slash at its end', async (t) => {
  const { app } = await createApp(t)
  await app.register(async (child) => { child.get('/', { schema: { events: Closing } }, (_request, reply) => reply.sse([])) }, { prefix: '/p' })
  const { streams } = await manifestOf(app)
  t.strictSame(streams.map(({ name, url }) => [name, url]), [['p', '/p']])
})

t.test('a manifest has all that a client needs to know of a stream', async (t) => {
  const { app } = await createApp(t)
  const Orders = defineEvents({
    created: Type.Object({ id: Type.Integer() }, { $id: 'Order', description: 'What was ordered.' }),
    note: text({ maxLength: 100 })
  })
  app.sse.channel('orders', Orders)
  app.get('/orders/:shop', {
    schema: {
      summary: 'Orders of a shop',
      description: 'As they come in.',
      tags: ['orders'],
      deprecated: true,
      params: Type.Object({ shop: Type.String() }),
      querystring: Type.Object({ since: Type.Optional(Type.Integer()) }),
      headers: Type.Object({ 'X-Tenant': Type.String() }),
      events: Orders
    } as object
  }, (_request, reply) => reply.sse([]))
  t.strictSame(await manifestOf(app), {
    manifest: 1,
    streams: [{
      name: 'ordersByShop',
      method: 'GET',
      url: '/orders/:shop',
      summary: 'Orders of a shop',
      description: 'As they come in.',
      deprecated: true,
      tags: ['orders'],
      params: { ...DIALECT, type: 'object', required: ['shop'], properties: { shop: { type: 'string' } } },
      query: { ...DIALECT, type: 'object', properties: { since: { type: 'integer' } } },
      headers: { ...DIALECT, type: 'object', required: ['X-Tenant'], properties: { 'X-Tenant': { type: 'string' } } },
      events: {
        created: {
          format: 'json',
          schema: {
            ...DIALECT,
            $ref: '#/$defs/Order',
            $defs: { Order: { description: 'What was ordered.', type: 'object', required: ['id'], properties: { id: { type: 'integer' } } } }
          }
        },
        note: { format: 'text', schema: { ...DIALECT, maxLength: 100, type: 'string' } }
      },
      controlEvents: CONTROL,
      channel: 'orders'
    }],
    controlEvents: CONTROL_EVENTS
  })
})

t.test('streams are sorted by URL and method, in whatever order they were registered; HEAD and OPTIONS are none of them', async (t) => {
  const routes: Array<(app: Awaited<ReturnType<typeof createApp>>['app']) => unknown> = [
    (app) => app.post('/b', { schema: { events: Closing } }, (_request, reply) => reply.sse([])),
    (app) => app.route({ method: ['PUT', 'GET', 'HEAD', 'OPTIONS'], url: '/b', schema: { events: Closing }, handler: (_request, reply) => reply.sse([]) }),
    (app) => app.register(async (app) => { app.get('/a', { schema: { events: Closing } }, (_request, reply) => reply.sse([])) }, { prefix: '/v1' }),
    (app) => app.get('/json', async () => ({ not: 'a stream' }))
  ]
  const texts: string[] = []
  for (const order of [routes, [...routes].reverse()]) {
    const { app } = await createApp(t)
    for (const register of order) register(app)
    const manifest = await manifestOf(app)
    t.strictSame(manifest.streams.map(({ name, method, url }) => [name, method, url]), [
      ['b', 'GET', '/b'], ['postB', 'POST', '/b'], ['putB', 'PUT', '/b'], ['v1A', 'GET', '/v1/a']
    ])
    texts.push(JSON.stringify(manifest))
  }
  t.equal(texts[0], texts[1])
})

t.test('streams of one method and URL are sorted by their constraints, and @fastify/swagger describes each as it is', async (t) => {
  const manifests = []
  for (const versions of [['2.0.0', undefined, '1.0.0'], ['1.0.0', '2.0.0', undefined]]) {
    const { app } = await createApp(t)
    await app.register(fastifySwagger, { openapi: { openapi: '3.1.0' }, transform: ({ schema, url, route }) => ({ schema, url: `${url}/${route.constraints?.['version'] ?? 'none'}` }) })
    for (const version of versions) {
      app.get('/prices', {
        ...version !== undefined && { constraints: { version } },
        schema: { summary: `version ${version}`, events: { [`price-${version}`]: Type.Null() } }
      }, (_request, reply) => reply.sse([]))
    }
    manifests.push(await manifestOf(app))
    for (const [path, name] of [['none', 'Prices'], ['1.0.0', 'Prices2'], ['2.0.0', 'Prices3']]) {
      t.match(JSON.stringify(app.swagger().paths![`/prices/${path}`]), `"$ref":"#/components/schemas/${name}Event"`)
    }
  }
  t.strictSame(manifests[0]!.streams.map(({ name, summary }) => [name, summary]), [
    ['prices', 'version undefined'], ['prices2', 'version 1.0.0'], ['prices3', 'version 2.0.0']
  ])
  t.strictSame(manifests[1], manifests[0])
})

t.test('a route without events, and one without control events, say so', async (t) => {
  const { app } = await createApp(t)
  app.get('/any', { sse: { heartbeatMs: 0 } }, (_request, reply) => reply.sse([]))
  app.get('/bare', { schema: { events: Closing }, sse: { controlEvents: false } }, (_request, reply) => reply.sse([]))
  t.strictSame((await manifestOf(app)).streams, [
    { name: 'any', method: 'GET', url: '/any', controlEvents: CONTROL },
    { name: 'bare', method: 'GET', url: '/bare', events: NOTHING, controlEvents: [] }
  ])
})

t.test('a name is made of method and URL', async (t) => {
  const routes = {
    'GET /orders': 'orders',
    'GET /orders/:id': 'ordersById',
    'GET /orders/:id/items/:itemId': 'ordersByIdItemsByItemId',
    'GET /:a/:b': 'byAAndB',
    'GET /files/:name(^\\d+).png': 'filesByNamePng',
    'GET /near/:lat-:lng': 'nearByLatAndLng',
    'GET /maybe/:id?': 'maybeById',
    'GET /static/*': 'staticByPath',
    'GET /api/v1/job-progress': 'apiV1JobProgress',
    'GET /EUR': 'eur',
    'GET /': 'root',
    'GET *': 'any',
    'GET /2024': 'stream2024',
    'GET /then': 'thenStream',
    'GET /constructor': 'constructorStream',
    'GET /a::b': 'aB',
    'GET /заказы': 'заказы',
    'GET /like/❤️': 'like',
    'POST /chat': 'postChat',
    'M-SEARCH /chat': 'mSearchChat',
    'DELETE /chat': 'deleteChat'
  }
  t.strictSame(await namesOf(t, Object.keys(routes)), Object.values(routes))
})

t.test("a route's operationId is its name, made an identifier; equal names get numbers", async (t) => {
  const { app } = await createApp(t)
  for (const [url, operationId] of [['/1', 'watch-orders'], ['/2', 'watchOrders'], ['/3', '!'], ['/watch/orders', undefined]] as const) {
    app.get(url, { schema: { operationId, events: Closing } as object }, (_request, reply) => reply.sse([]))
  }
  t.strictSame((await manifestOf(app)).streams.map(({ name }) => name), ['watchOrders', 'watchOrders2', 'stream3', 'watchOrders3'])
})

t.test('a name that a stream has by itself is not given to another, and that of an operationId is nobody else\'s', async (t) => {
  const { app } = await createApp(t)
  const routes = [['/a', 'x'], ['/b', 'x'], ['/c', 'x2'], ['/orders', undefined], ['/shops/:shop/orders', 'orders'], ['/orders2', '🎉']] as const
  for (const [url, operationId] of routes) {
    app.get(url, { schema: { operationId, events: Closing } as object }, (_request, reply) => reply.sse([]))
  }
  t.strictSame(Object.fromEntries((await manifestOf(app)).streams.map(({ url, name }) => [url, name])), {
    '/a': 'x', '/b': 'x3', '/c': 'x2', '/orders': 'orders3', '/orders2': 'orders2', '/shops/:shop/orders': 'orders'
  })
})

t.test('a channel is named when one alone declares the same events', async (t) => {
  const { app } = await createApp(t)
  const Room = { said: text() }
  const Price = { price: Type.Object({ euro: Type.Number() }) }
  app.sse.channels('rooms', Room)
  app.sse.channel('prices', Price)
  app.sse.channel('prices of yesterday', Price)
  app.get('/prices', { schema: { events: Price } }, (_request, reply) => reply.sse([]))
  app.get('/rooms/:name', { schema: { events: defineEvents(Room) } }, (_request, reply) => reply.sse([]))
  app.get('/other', { schema: { events: { ...Room, left: Type.Null() } } }, (_request, reply) => reply.sse([]))
  t.strictSame((await manifestOf(app)).streams.map(({ url, channel }) => [url, channel]), [['/other', undefined], ['/prices', undefined], ['/rooms/:name', 'rooms']])
})

t.test('of a body with several content types that of JSON counts', async (t) => {
  const { app } = await createApp(t)
  const json = { type: 'object', properties: { prompt: { type: 'string' } } }
  const bodies = {
    '/both': { content: { 'text/plain': { schema: { type: 'string' } }, 'application/json': { schema: json } } },
    '/vendor': { content: { 'application/vnd.chat+json; charset=utf-8': { schema: json } } },
    '/text': { content: { 'text/plain': { schema: { type: 'string' } } } }
  }
  for (const [url, body] of Object.entries(bodies)) app.post(url, { schema: { body, events: Closing } }, (_request, reply) => reply.sse([]))
  t.strictSame((await manifestOf(app)).streams.map(({ url, body }) => [url, body]), [['/both', { ...DIALECT, ...json }], ['/text', undefined], ['/vendor', { ...DIALECT, ...json }]])
})

t.test('a request may have formats and keywords that the validator of the application knows', async (t) => {
  const { app } = await createApp(t, {}, { ajv: { customOptions: { formats: { money: /^\d+$/ }, keywords: ['propertys'] } } })
  const body = { type: 'object', properties: { amount: { type: 'string', format: 'money' } }, propertys: 1 }
  app.post('/orders', { schema: { body, events: Closing } }, (_request, reply) => reply.sse([]))
  const [stream] = (await manifestOf(app)).streams as [ManifestStream]
  t.strictSame(stream.body, { ...DIALECT, ...body })
})

t.test('a body that a validator of its own understands is any body, so that clients can send one', async (t) => {
  const { app } = await createApp(t)
  app.setValidatorCompiler(() => () => true)
  class Shape { shape = {} }
  app.post('/orders', { schema: { body: new Shape(), events: Closing } }, (_request, reply) => reply.sse([]))
  const manifest = await manifestOf(app)
  t.equal(manifest.streams[0]!.body, true)
  t.match(toTypeScript(manifest), /body: PerAttempt<PostOrdersBody>/)
  t.match(toTypeScript(manifest), /type PostOrdersBody = unknown/)
})

t.test('what a validator of its own understands is left out', async (t) => {
  const { app } = await createApp(t)
  app.setValidatorCompiler(() => () => true)
  class Shape { shape = {} }
  app.get('/orders/:id', { schema: { params: new Shape(), querystring: Type.Object({}), events: Closing } }, (_request, reply) => reply.sse([]))
  const [{ params, query }] = (await manifestOf(app)).streams as [ManifestStream]
  t.strictSame([params, query], [undefined, { ...DIALECT, type: 'object', properties: {} }])
})

t.test('schemas of an instance are those of its routes', async (t) => {
  const { app } = await createApp(t)
  for (const [prefix, type] of [['/a', 'string'], ['/b', 'integer']]) {
    await app.register(async (app) => {
      app.addSchema({ $id: 'Id', type })
      app.get('/', { schema: { events: { id: Type.Unsafe({ $ref: 'Id#' }) } } }, (_request, reply) => reply.sse([]))
    }, { prefix: prefix! })
  }
  t.strictSame((await manifestOf(app)).streams.map(({ url, events }) => [url, events!['id']!.schema]), [
    ['/a', { ...DIALECT, $ref: '#/$defs/Id', $defs: { Id: { type: 'string' } } }],
    ['/b', { ...DIALECT, $ref: '#/$defs/Id2', $defs: { Id2: { type: 'integer' } } }]
  ])
})

t.test('a manifest is there once the application is ready, for its other plugins too', async (t) => {
  const { app } = await createApp(t)
  t.throws(() => app.sse.manifest(), {
    code: 'FST_SSE_NOT_READY',
    message: 'app.sse.manifest() was called before the application is ready: routes and schemas may still be added. Await app.ready() first.'
  })
  let inHook: Manifest | undefined
  app.addHook('onReady', async () => { inHook = app.sse.manifest() })
  app.get('/', { schema: { events: Closing } }, (_request, reply) => reply.sse([]))
  t.strictSame(JSON.parse(JSON.stringify(inHook ?? await manifestOf(app).then(() => inHook))), await manifestOf(app))
})

t.test('each manifest is one of its own: whoever changes it changes no other', async (t) => {
  const { app } = await createApp(t)
  app.get('/', { schema: { events: Closing } }, (_request, reply) => reply.sse([]))
  const before = await manifestOf(app)
  const given = app.sse.manifest() as unknown as { streams: unknown[], controlEvents: Record<string, { format: string }> }
  given.streams.length = 0
  given.controlEvents['sse.gap']!.format = 'text'
  t.strictSame(await manifestOf(app), before)
})

t.test('a manifest is the same with @fastify/swagger beside it', async (t) => {
  const build = async (hasSwagger: boolean): Promise<Manifest> => {
    const app = Fastify()
    t.teardown(() => app.close())
    if (hasSwagger) await app.register(fastifySwagger, { openapi: { openapi: '3.1.0' } })
    await app.register(ssePlugin)
    const Node = Type.Recursive((This) => Type.Object({ next: Type.Optional(This) }), { $id: 'Node' })
    app.get('/', { schema: { querystring: Type.Object({ n: Type.Integer() }), events: { node: Node } } }, (_request, reply) => reply.sse([]))
    await app.ready()
    if (hasSwagger) app.swagger()
    return await manifestOf(app)
  }
  t.strictSame(await build(true), await build(false))
})

t.test('a manifest is read from JSON, and what is none is refused with where it differs', async (t) => {
  const { app } = await createApp(t)
  app.get('/', { schema: { events: Closing } }, (_request, reply) => reply.sse([]))
  const manifest = await manifestOf(app)
  t.equal(readManifest(manifest, 'a.json'), manifest)
  const hint = 'Write it with: fastify-typed-sse generate <entry> --format manifest'
  const [stream] = manifest.streams
  const cases: Array<[unknown, string]> = [
    [null, 'a.json is not a manifest. '],
    [{ openapi: '3.1.0' }, 'a.json is not a manifest. '],
    [{ ...manifest, manifest: 2 }, 'a.json has version 2, and this release reads version 1. Use the release that wrote it, or write it again. '],
    [{ ...manifest, streams: [{ ...stream, method: 'get' }] }, 'a.json is not a manifest: /streams/0/method must match pattern "^[A-Z-]+$". '],
    [{ ...manifest, streams: [{ ...stream, events: { a: {} } }] }, "a.json is not a manifest: /streams/0/events/a must have required property 'format'. "],
    [{ manifest: 1 }, "a.json is not a manifest: it must have required property 'streams'. "]
  ]
  for (const [json, message] of cases) t.throws(() => readManifest(json, 'a.json'), { code: 'FST_SSE_MANIFEST_INVALID', message: message + hint })
  t.equal(readManifest({ ...manifest, later: true }, 'a.json').streams.length, 1)
})
