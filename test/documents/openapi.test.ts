/* eslint-disable no-template-curly-in-string -- programs, as they are written */
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { createClient } from '@hey-api/openapi-ts'
import { Validator } from '@seriousme/openapi-schema-validator'
import { Type } from '@sinclair/typebox'
import { Ajv } from 'ajv'
import { Ajv2020 } from 'ajv/dist/2020.js'
import fc from 'fast-check'
import openapiTS, { astToString } from 'openapi-typescript'
import t, { type Test } from 'tap'
import ts from 'typescript'
import { defineEvents, text } from '../../lib/index.js'
import { Lowering7 } from '../../lib/documents/asyncapi/schema.js'
import { Lowering30 } from '../../lib/documents/openapi/schema.js'
import { templatesOf } from '../../lib/documents/openapi/url.js'
import { toOpenAPI, type OpenAPIDocument } from '../../lib/documents/openapi/openapi.js'
import { Hoister } from '../../lib/schema/hoist.js'
import type { JSONSchema, Manifest, ManifestStream } from '../../lib/schema/manifest.js'
import { injectSSE } from '../../lib/testing.js'
import { createApp, listen } from '../support/app.js'
import { anyType, anyValue, pure, zoo as specimens } from '../schema/zoo.js'
import { zoo, zooCases } from './zoo.js'

// Compilers and generators run here.
t.setTimeout(180_000)
t.comment('timeout=180000')

type Json = any

const info = { title: 'Shop', version: '2' }
const CONTROL_EVENTS = {
  'sse.gap': { format: 'json', schema: { type: 'object' } }, 'sse.end': { format: 'json', schema: { type: 'null' } }, 'sse.fault': { format: 'json', schema: { type: 'object' } }
} as const

function manifestOf (...streams: Array<Partial<ManifestStream>>): Manifest {
  return { manifest: 1, streams: streams.map((stream) => ({ name: 's', method: 'GET', url: '/s', controlEvents: [], ...stream })), controlEvents: CONTROL_EVENTS }
}

t.test('in 3.2 an item is an event as its fields are on the wire, and its data text that holds JSON', (t) => {
  const { paths, ...document } = toOpenAPI(manifestOf({
    name: 'orders',
    url: '/orders/:id',
    summary: 'Orders',
    tags: ['live'],
    deprecated: true,
    params: { type: 'object', properties: { id: { type: 'integer', description: 'Which.' } } },
    query: { type: 'object', required: ['from'], properties: { from: { $ref: '#/$defs/Größe' }, all: { type: 'boolean', deprecated: true } }, $defs: { Größe: { type: 'string' } } },
    headers: { type: 'object', properties: { 'x-tenant': { type: 'string' }, Authorization: { type: 'string' } } },
    events: {
      created: { format: 'json', schema: { $schema: 'https://json-schema.org/draft/2020-12/schema', $ref: '#/$defs/Order', $defs: { Order: { type: 'object', properties: { next: { $ref: '#/$defs/Order' } } } } } },
      'line/1': { format: 'text', schema: { type: 'string', maxLength: 80, description: 'A line.' } }
    },
    controlEvents: ['sse.end']
  }), { info, servers: [{ url: 'https://example.com' }] })
  t.strictSame(document, {
    openapi: '3.2.0',
    info,
    servers: [{ url: 'https://example.com' }],
    components: {
      schemas: {
        Gr_e: { type: 'string' },
        Order: { type: 'object', properties: { next: { $ref: '#/components/schemas/Order' } } },
        OrdersCreatedEvent: {
          type: 'object',
          required: ['event', 'data'],
          properties: {
            event: { type: 'string', const: 'created' },
            data: { type: 'string', contentMediaType: 'application/json', contentSchema: { $ref: '#/components/schemas/Order' } },
            id: { type: 'string' },
            retry: { type: 'integer', minimum: 0 }
          }
        },
        OrdersEvent: {
          oneOf: [
            { $ref: '#/components/schemas/OrdersCreatedEvent' }, { $ref: '#/components/schemas/OrdersLine1Event' }, { $ref: '#/components/schemas/SseEndEvent' }
          ],
          discriminator: {
            propertyName: 'event',
            mapping: {
              created: '#/components/schemas/OrdersCreatedEvent', 'line/1': '#/components/schemas/OrdersLine1Event', 'sse.end': '#/components/schemas/SseEndEvent'
            }
          }
        },
        OrdersLine1Event: {
          description: 'A line.',
          type: 'object',
          required: ['event', 'data'],
          properties: { event: { type: 'string', const: 'line/1' }, data: { type: 'string', maxLength: 80 }, id: { type: 'string' }, retry: { type: 'integer', minimum: 0 } }
        },
        SseEndEvent: {
          type: 'object',
          required: ['event', 'data'],
          properties: {
            event: { type: 'string', const: 'sse.end' },
            data: { type: 'string', contentMediaType: 'application/json', contentSchema: { type: 'null' } },
            id: { type: 'string' },
            retry: { type: 'integer', minimum: 0 }
          }
        }
      }
    }
  })
  const { parameters, responses, ...operation } = (paths['/orders/{id}'] as Json).get
  t.strictSame(operation, { operationId: 'orders', summary: 'Orders', tags: ['live'], deprecated: true })
  t.strictSame(parameters.slice(0, -1), [
    { name: 'id', in: 'path', required: true, description: 'Which.', schema: { type: 'integer' } },
    { name: 'from', in: 'query', required: true, schema: { $ref: '#/components/schemas/Gr_e' } },
    { name: 'all', in: 'query', required: false, deprecated: true, schema: { type: 'boolean' } },
    { name: 'x-tenant', in: 'header', required: false, schema: { type: 'string' } }
  ])
  t.equal(parameters.at(-1).name, 'Last-Event-ID')
  t.strictSame(Object.keys(responses), ['200', '204', 'default'])
  t.strictSame(responses[200].content, { 'text/event-stream': { itemSchema: { $ref: '#/components/schemas/OrdersEvent' } } })
  t.end()
})

t.test('in 3.0 and 3.1 the schema is that of an event, parsed, or of its data', (t) => {
  const manifest = manifestOf({ events: { a: { format: 'json', schema: { type: ['integer', 'null'] } }, b: { format: 'text', schema: { type: 'string' } }, c: { format: 'json', schema: { type: 'string' } } } })
  const schemaOf = (version: '3.0' | '3.1', dialect: 'event' | 'payload'): Json => {
    const { paths, components } = toOpenAPI(manifest, { version, dialect, info })
    const { $ref } = (paths['/s'] as Json).get.responses[200].content['text/event-stream'].schema
    return { ref: $ref, ...components.schemas }
  }
  t.strictSame(schemaOf('3.1', 'payload'), { ref: '#/components/schemas/SPayload', SPayload: { anyOf: [{ type: ['integer', 'null'] }, { type: 'string' }] } })
  t.strictSame(schemaOf('3.0', 'payload'), { ref: '#/components/schemas/SPayload', SPayload: { anyOf: [{ type: 'integer', nullable: true }, { type: 'string' }] } })
  t.strictSame(schemaOf('3.1', 'event').SAEvent, {
    type: 'object', required: ['event', 'data'], properties: { event: { type: 'string', const: 'a' }, data: { type: ['integer', 'null'] }, id: { type: 'string' } }
  })
  t.strictSame(schemaOf('3.0', 'event').SAEvent, {
    type: 'object', required: ['event', 'data'], properties: { event: { type: 'string', enum: ['a'] }, data: { type: 'integer', nullable: true }, id: { type: 'string' } }
  })
  t.end()
})

t.test('a stream that declares nothing may send anything', (t) => {
  const manifest = manifestOf({ controlEvents: ['sse.end'] })
  const anyEvent = (version: '3.1' | '3.2', dialect: 'event' | 'payload' = 'event'): unknown => toOpenAPI(manifest, { version, dialect, info }).components.schemas
  t.strictSame(anyEvent('3.1'), { SEvent: { type: 'object', required: ['event', 'data'], properties: { event: { type: 'string' }, data: true, id: { type: 'string' } } } })
  t.strictSame(anyEvent('3.1', 'payload'), { SPayload: true })
  t.strictSame(anyEvent('3.2'), {
    SEvent: {
      type: 'object',
      required: ['data'],
      properties: { event: { type: 'string' }, data: { type: 'string', contentMediaType: 'application/json' }, id: { type: 'string' }, retry: { type: 'integer', minimum: 0 } }
    }
  })
  t.end()
})

t.test('URLs become templates as find-my-way reads them', (t) => {
  for (const [url, ...expected] of [
    ['/', '/'], ['/a/:id', '/a/{id}'], ['/a/:id(^\\d+$)', '/a/{id}'], ['/a/:x(a(b|\\)))-:y.json', '/a/{x}-{y}.json'], ['/at/:h(^\\d{2})h:m(^\\d{2})m', '/at/{h}h{m}m'],
    ['/a::b', '/a:b'], ['/files/*', '/files/{*}'], ['*', '/{*}'], ['/a/:id?', '/a/{id}', '/a'], ['/:id?', '/{id}', '/'], ['/a/:b?/c', '/a/{b}/c', '/a/c'], ['/a/:b?/', '/a/{b}/', '/a/'],
    // No part with a pattern may be left out, and of a part with several parameters all go.
    ['/d/:id(\\d+)?', '/d/{id}?'], ['/a/:b-:c?', '/a/{b}-{c}', '/a'], ['/e/:name-lit?', '/e/{name}-lit', '/e'], ['/{x}', '/%7Bx%7D']
  ] as const) t.strictSame(templatesOf(url).map(({ path }) => path), expected, url)
  t.strictSame(templatesOf('/a/:id(^\\d+$)')[0].parameters, [{ name: 'id', pattern: '^(\\d+)$' }])
  t.end()
})

t.test('an optional parameter makes two paths, with one schema', (t) => {
  const { paths, components } = toOpenAPI(manifestOf({ name: 'orders', url: '/orders/:id?', events: { a: { format: 'json', schema: true } } }), { info })
  t.strictSame(Object.entries(paths).map(([path, { get }]: Json) => [path, get.operationId, get.parameters.map(({ name }: Json) => name)]), [
    ['/orders/{id}', 'orders', ['id', 'Last-Event-ID']], ['/orders', 'ordersWithoutId', ['Last-Event-ID']]
  ])
  t.strictSame(Object.keys(components.schemas), ['OrdersAEvent', 'OrdersEvent'])
  t.end()
})

t.test('streams of one path and method are one operation that may send what any of them may', (t) => {
  const event = (schema: JSONSchema): Json => ({ a: { format: 'json', schema } })
  const { paths, components } = toOpenAPI(manifestOf(
    { name: 'one', url: '/s/:n(\\d+)', query: { type: 'object', required: ['q'], properties: { q: { type: 'string' } } }, events: event({ type: 'string' }) },
    { name: 'two', url: '/s/:name', query: { type: 'object', required: ['q'], properties: { q: { type: 'integer' } } }, events: event({ type: 'integer' }) },
    { name: 'three', url: '/s/:other', method: 'PUT', body: { type: 'string' }, events: {} }
  ), { info, version: '3.1' })
  t.strictSame(Object.keys(paths), ['/s/{n}'])
  const { get, put } = paths['/s/{n}'] as Json
  t.strictSame([get.operationId, ...get.parameters.slice(0, 2)], [
    'one',
    { name: 'n', in: 'path', required: true, schema: { anyOf: [{ type: 'string', pattern: '^(\\d+)$' }, { type: 'string' }] } },
    { name: 'q', in: 'query', required: true, schema: { anyOf: [{ type: 'string' }, { type: 'integer' }] } }
  ])
  t.strictSame(components.schemas['OneEvent'], { anyOf: [{ $ref: '#/components/schemas/OneAEvent' }, { $ref: '#/components/schemas/TwoAEvent' }] })
  t.strictSame([put.parameters[0].name, put.requestBody], ['n', { required: true, content: { 'application/json': { schema: { type: 'string' } } } }])
  t.end()
})

t.test('methods that a version has no place for are left out, and stand in 3.2', (t) => {
  const manifest = manifestOf({ name: 'a', method: 'QUERY' }, { name: 'b', method: 'COPY' })
  t.strictSame(toOpenAPI(manifest, { version: '3.1', info }).paths, {})
  const item = toOpenAPI(manifest, { info }).paths['/s'] as Json
  t.strictSame([Object.keys(item), Object.keys(item.additionalOperations)], [['query', 'additionalOperations'], ['COPY']])
  t.end()
})

t.test('options that are none are refused with what they may be', (t) => {
  t.throws(() => toOpenAPI(manifestOf(), { info, version: '2.0' as Json }), { code: 'FST_SSE_OPTION_INVALID', message: 'version must be one of "3.0", "3.1", "3.2", but is "2.0".' })
  t.throws(() => toOpenAPI(manifestOf(), { info, dialect: 'x' as Json }), { code: 'FST_SSE_OPTION_INVALID', message: 'dialect must be one of "event", "payload", but is "x".' })
  t.throws(() => toOpenAPI(manifestOf(), { info: { title: 'a' } as Json }), { code: 'FST_SSE_OPTION_INVALID', message: 'info.version must be text, but is undefined.' })
  t.throws(() => toOpenAPI(manifestOf({ body: { $ref: '#/$defs/None' } }), { info }), { code: 'FST_SSE_MANIFEST_INVALID' })
  t.end()
})

for (const name of zooCases) {
  t.test(`documents of ${name} are valid in each version, the same each time, and leave the manifest as it was`, async (t) => {
    const app = await zoo(name)
    t.teardown(() => app.close())
    await app.ready()
    const manifest = app.sse.manifest()
    const before = JSON.stringify(manifest)
    for (const version of ['3.0', '3.1', '3.2'] as const) {
      for (const dialect of ['event', 'payload'] as const) {
        const document = toOpenAPI(manifest, { version, dialect, info })
        // As text: a property may be called `__proto__`.
        t.equal(JSON.stringify(toOpenAPI(JSON.parse(before), { version, dialect, info })), JSON.stringify(document))
        t.strictSame(await new Validator().validate(structuredClone(document) as Json), { valid: true }, `${version} ${dialect}`)
      }
    }
    t.equal(JSON.stringify(manifest), before)
  })
}

/** A schema of 3.0 as JSON Schema, to be run. */
function from30 (schema: Json): Json {
  if (Array.isArray(schema)) return schema.map(from30)
  if (typeof schema !== 'object' || schema === null) return schema
  const { nullable, exclusiveMinimum, exclusiveMaximum, minimum, maximum, type, enum: values, ...rest } = schema
  return {
    ...Object.fromEntries(Object.entries(rest).map(([keyword, value]) => [keyword, ['example', 'default'].includes(keyword) ? value : from30(value)])),
    ...(type !== undefined && { type: typeof type !== 'string' ? from30(type) : nullable ? [type, 'null'] : type }),
    ...(values !== undefined && { enum: values }),
    ...(minimum !== undefined && { [exclusiveMinimum === true ? 'exclusiveMinimum' : 'minimum']: minimum }),
    ...(maximum !== undefined && { [exclusiveMaximum === true ? 'exclusiveMaximum' : 'maximum']: maximum })
  }
}

/** Says a schema in a dialect and gives a check of both. */
function compareWith (Dialect: typeof Lowering30 | typeof Lowering7, given: unknown, shared: Record<string, unknown> = {}): { isExact: boolean, before: (value: unknown) => boolean, after: (value: unknown) => boolean } {
  const schema = new Hoister().add('e', given, 'e', shared)
  // Ajv compares constants by their prototypes too.
  const root = JSON.parse(JSON.stringify(schema.write()))
  const defs: Record<string, Json> = root.$defs ?? {}
  const inexact = new Set<string>()
  const refTo = (name: string): string => `#/definitions/${name.replace(/[^A-Za-z0-9]/g, (char) => `_${char.codePointAt(0)}`)}`
  const lower = (part: JSONSchema): { schema: Json, isExact: boolean } => new Dialect({ refTo, isExact: (name) => !inexact.has(name) }).lower(part)
  for (let found = -1; found < inexact.size;) {
    found = inexact.size
    for (const [name, def] of Object.entries(defs)) if (!lower(def).isExact) inexact.add(name)
  }
  const { schema: lowered, isExact } = lower(root)
  const toRun = Dialect === Lowering30 ? from30 : (part: Json) => part
  const definitions = Object.fromEntries(Object.entries(defs).map(([name, def]) => [refTo(name).slice('#/definitions/'.length), toRun(lower(def).schema)]))
  const options = { strict: false, validateFormats: false, unicodeRegExp: true } as const
  return {
    isExact,
    before: new Ajv2020(options).compile(root) as never,
    after: new Ajv(options).compile({ allOf: [toRun(lowered)], definitions }) as never
  }
}

for (const [title, Dialect] of [['OpenAPI 3.0', Lowering30], ['draft 7', Lowering7]] as const) {
  t.test(`what a schema takes, it takes in the words of ${title}`, (t) => {
    let exact = 0
    for (const { name, schema, values, schemas } of specimens) {
      const { isExact, after } = compareWith(Dialect, schema, schemas)
      if (isExact) exact++
      fc.assert(fc.property(values, (value) => after(JSON.parse(JSON.stringify(pure(value))))), { numRuns: 30 })
      t.pass(name)
    }
    t.ok(exact > specimens.length / 2)
    t.end()
  })

  t.test(`a schema that is said in ${title} without loss takes the very same values`, (t) => {
    fc.assert(fc.property(anyType, fc.array(anyValue, { minLength: 20, maxLength: 20 }), (schema, values) => {
      const { isExact, before, after } = compareWith(Dialect, schema)
      for (const given of values) {
        const value = JSON.parse(JSON.stringify(given) ?? 'null')
        const [was, is] = [before(value), after(value)]
        if ((was && !is) || (isExact && was !== is)) return false
      }
      return true
    }), { numRuns: 150 })
    t.pass()
    t.end()
  })
}

t.test('in the words of 3.0', (t) => {
  const table: Array<[JSONSchema, object | boolean]> = [
    [true, {}],
    [false, { not: {} }],
    [{ const: 'a' }, { type: 'string', enum: ['a'] }],
    [{ const: null }, { type: 'object', nullable: true, enum: [null] }],
    [{ enum: ['a', null] }, { type: 'string', nullable: true, enum: ['a', null] }],
    [{ type: ['string', 'integer', 'null'] }, { anyOf: [{ type: 'string' }, { type: 'integer' }, { type: 'object', nullable: true, enum: [null] }] }],
    [{ anyOf: [{ type: 'string', minLength: 1 }, { type: 'null' }], description: 'x' }, { description: 'x', type: 'string', minLength: 1, nullable: true }],
    [{ type: 'number', exclusiveMinimum: 1, minimum: 0, maximum: 5, exclusiveMaximum: 7 }, { type: 'number', minimum: 1, exclusiveMinimum: true, maximum: 5 }],
    [{ type: 'array', prefixItems: [{ type: 'string' }, { type: 'number' }], items: false, minItems: 2 }, { type: 'array', minItems: 2, maxItems: 2, items: { anyOf: [{ type: 'string' }, { type: 'number' }] } }],
    [{ type: 'array' }, { type: 'array', items: {} }],
    [{ type: 'object', patternProperties: { '^(.*)$': { type: 'number' } } }, { type: 'object', additionalProperties: { type: 'number' } }],
    [{ type: 'object', patternProperties: { '^x-': { type: 'number' } }, properties: { 'x-a': { minimum: 1 }, b: true }, additionalProperties: false },
      { type: 'object', properties: { 'x-a': { allOf: [{ minimum: 1 }, { type: 'number' }] }, b: {} }, additionalProperties: { type: 'number' } }],
    // Less under `not` would be more.
    [{ type: 'object', not: { patternProperties: { '^x-': { type: 'number' } } } }, { type: 'object' }],
    [{ oneOf: [{ prefixItems: [{ type: 'string' }, { type: 'number' }] }, { type: 'string' }] }, { anyOf: [{ items: { anyOf: [{ type: 'string' }, { type: 'number' }, {}] } }, { type: 'string' }] }],
    [{ if: { required: ['a'] }, then: { required: ['b'] } }, { anyOf: [{ allOf: [{ required: ['a'] }, { required: ['b'] }] }, { not: { required: ['a'] } }] }],
    [{ dependentRequired: { a: ['b'] } }, { anyOf: [{ not: { type: 'object', required: ['a'] } }, { required: ['b'] }] }],
    [{ type: 'string', contentEncoding: 'base64', examples: ['YQ=='], $comment: 'x' }, { type: 'string', example: 'YQ==', format: 'byte' }],
    [{ type: 'object', required: [], unevaluatedProperties: false }, { type: 'object', additionalProperties: false }]
  ]
  const lowering = new Lowering30({ refTo: (name) => `#/${name}`, isExact: () => true })
  for (const [schema, expected] of table) t.strictSame(JSON.parse(JSON.stringify(lowering.lower(schema).schema)), expected, JSON.stringify(schema))
  t.strictSame(lowering.lower({ $ref: '#/$defs/A', description: 'x' }).schema, { description: 'x', allOf: [{ $ref: '#/A' }] })
  t.strictSame(lowering.lower({ $ref: '#/$defs/A' }).schema, { $ref: '#/A' })
  t.end()
})

// Generators, run for real

const Order = Type.Object({
  id: Type.Integer(),
  note: Type.Union([Type.String(), Type.Null()]),
  tags: Type.Record(Type.String(), Type.Number()),
  size: Type.Tuple([Type.Number(), Type.Literal('cm')])
}, { $id: 'Order' })
const Orders = defineEvents({ created: Order, line: text(), closing: Type.Null() })
const ORDER = { id: 1, note: null, tags: { a: 1 }, size: [2, 'cm'] as [number, 'cm'] }

async function createOrders (t: Test): Promise<{ app: Awaited<ReturnType<typeof createApp>>['app'], document: (dialect: 'event' | 'payload') => OpenAPIDocument }> {
  const { app } = await createApp(t)
  app.post('/orders/:shop', {
    schema: { params: Type.Object({ shop: Type.String() }), querystring: Type.Object({ all: Type.Optional(Type.Boolean()) }), body: Type.Object({ ids: Type.Array(Type.Integer()) }), events: Orders }
  }, (_request, reply) => reply.sse([Orders.make.created(ORDER, { id: 7 }), Orders.make.line('a\nb'), Orders.make.closing()]))
  await app.ready()
  return { app, document: (dialect) => toOpenAPI(app.sse.manifest(), { version: '3.1', dialect, info }) }
}

/** Compiles files, and gives what the compiler has to say and where the results are. */
function compile (folder: string, files: string[]): { problems: string[], out: string } {
  const out = join(folder, 'out')
  const program = ts.createProgram(files.map((file) => join(folder, file)), {
    strict: true,
    noUncheckedIndexedAccess: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    lib: ['lib.es2022.d.ts', 'lib.dom.d.ts', 'lib.dom.iterable.d.ts'],
    types: [],
    outDir: out,
    rootDir: folder,
    skipLibCheck: false
  })
  const { diagnostics } = program.emit()
  return { problems: [...ts.getPreEmitDiagnostics(program), ...diagnostics].map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n')), out }
}

t.test('what openapi-typescript makes of it are the types of the events that a stream sends', async (t) => {
  const { app, document } = await createOrders(t)
  const folder = t.testdir()
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
  writeFileSync(join(folder, 'api.ts'), astToString(await openapiTS(document('event') as Json)))
  const lines = [
    "import type { operations } from './api.js'",
    "type Event = operations['postOrdersByShop']['responses'][200]['content']['text/event-stream']",
    'export function read (event: Event): string {',
    '  switch (event.event) {',
    "    case 'created': { const [size, unit]: [number, 'cm'] = event.data.size; const note: string | null = event.data.note; return `${event.id} ${event.data.id + size}${unit} ${note} ${event.data.tags['a']}` }",
    "    case 'line': return event.data.toUpperCase()",
    "    case 'closing': case 'sse.end': { const none: null = event.data; return String(none) }",
    "    case 'sse.gap': return event.data.resumedAt",
    "    case 'sse.fault': return event.data.code",
    '    default: return event satisfies never',
    '  }',
    '}'
  ]
  writeFileSync(join(folder, 'consumer.ts'), lines.join('\n'))
  writeFileSync(join(folder, 'wrong.ts'), "import type { read } from './consumer.js'\nexport const wrong: Parameters<typeof read>[0] = { event: 'line', data: 1 }\n")
  t.match(compile(folder, ['wrong.ts']).problems, [/number.* is not assignable to type/s])
  const { problems, out } = compile(folder, ['consumer.ts'])
  t.strictSame(problems, [])
  const { read } = await import(pathToFileURL(join(out, 'consumer.js')).href)
  const stream = await injectSSE(app, { method: 'POST', url: '/orders/a', payload: { ids: [1] } })
  t.strictSame((await stream.take(3)).map(read), ['7 3cm null 1', 'A\nB', 'null'])
  await stream.close()
})

t.test('what @hey-api/openapi-ts makes of it is a client that reads the stream', async (t) => {
  const { app, document } = await createOrders(t)
  const { origin } = await listen(app)
  const folder = t.testdir()
  await createClient({
    input: document('payload') as Json,
    output: { path: join(folder, 'api'), module: { extension: '.js' } } as Json,
    logs: { level: 'silent', file: false } as Json,
    plugins: ['@hey-api/client-fetch', '@hey-api/typescript', '@hey-api/sdk']
  })
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
  writeFileSync(join(folder, 'consumer.ts'), [
    "import { postOrdersByShop } from './api/sdk.gen.js'",
    "import type { Order, PostOrdersByShopPayload, PostOrdersByShopData } from './api/types.gen.js'",
    'export async function read (baseUrl: string): Promise<PostOrdersByShopPayload[]> {',
    "  const options: Pick<PostOrdersByShopData, 'path' | 'body' | 'query'> = { path: { shop: 'a' }, body: { ids: [1] }, query: { all: true } }",
    '  const { stream } = await postOrdersByShop({ baseUrl, ...options })',
    '  const all: PostOrdersByShopPayload[] = []',
    '  for await (const data of stream) {',
    '    if (data === undefined) continue',
    '    all.push(data)',
    '  }',
    '  return all',
    '}',
    "export const order: Order = { id: 1, note: null, tags: {}, size: [1, 'cm'] }"
  ].join('\n'))
  const { problems, out } = compile(folder, ['consumer.ts'])
  t.strictSame(problems, [])
  t.ok(readdirSync(out).includes('consumer.js'))
  const { read } = await import(pathToFileURL(join(out, 'consumer.js')).href)
  t.strictSame(await read(origin), [ORDER, 'a\nb', null, null])
})
