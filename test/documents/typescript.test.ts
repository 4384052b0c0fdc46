/* eslint-disable no-template-curly-in-string -- types, as they are written */
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Type } from '@sinclair/typebox'
import { transform } from 'esbuild'
import t, { type Test } from 'tap'
import { connect } from '../../lib/client.js'
import { toTypeScript } from '../../lib/documents/typescript/typescript.js'
import type { JSONSchema, Manifest, ManifestStream } from '../../lib/schema/manifest.js'
import { createStreams } from '../fixtures/golden/shop/streams.js'
import { createApp, listen } from '../support/app.js'
import { bareNode } from '../support/bare-node.js'
import { zoo, zooCases } from './zoo.js'

// Compilers run here.
t.setTimeout(180_000)

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const GOLDEN = join(ROOT, 'test/fixtures/golden')
/** UPDATE_GOLDEN=1 node --import tsx test/documents/typescript.test.ts */
const isUpdate = process.env['UPDATE_GOLDEN'] === '1'

const CONTROL_EVENTS = {
  'sse.gap': { format: 'json', schema: true }, 'sse.end': { format: 'json', schema: true }, 'sse.fault': { format: 'json', schema: true }
} as const

/** A manifest of one stream, called `s`. */
function manifestOf (stream: Partial<ManifestStream>): Manifest {
  return { manifest: 1, streams: [{ name: 's', method: 'GET', url: '/s', controlEvents: [], ...stream }], controlEvents: CONTROL_EVENTS }
}

/** The type that is generated for the data of an event. */
function typeOf (schema: JSONSchema): string {
  return declared(toTypeScript(manifestOf({ events: { e: { format: 'json', schema } } })), 'SE')
}

/** What a name stands for in a generated file. */
function declared (source: string, name: string): string {
  const [, type] = new RegExp(`\\nexport (?:type ${name} =|interface ${name})([^]*?)\\n\\n`).exec(source)!
  return type!.trim()
}

for (const name of zooCases) {
  t.test(`the definitions of ${name} are the golden ones`, async (t) => {
    const app = await zoo(name)
    t.teardown(() => app.close())
    await app.ready()
    const manifest = JSON.stringify(app.sse.manifest(), null, 2) + '\n'
    const source = toTypeScript(app.sse.manifest())
    const folder = join(GOLDEN, name)
    if (isUpdate) {
      mkdirSync(folder, { recursive: true })
      writeFileSync(join(folder, 'manifest.json'), manifest)
      writeFileSync(join(folder, 'streams.ts'), source)
    }
    const hint = 'after a change that is meant, run this test with UPDATE_GOLDEN=1, and read the difference'
    t.equal(manifest, read(join(folder, 'manifest.json')), hint)
    t.equal(source, read(join(folder, 'streams.ts')), hint)
    t.equal(toTypeScript(JSON.parse(manifest)), source, 'a manifest that was read from a file gives the same')
  })
}

function read (path: string): string {
  // Git may have checked it out with line ends of the platform.
  return existsSync(path) ? readFileSync(path, 'utf8').replaceAll('\r\n', '\n') : ''
}

for (const [compiler, modules] of [['typescript', 'nodenext'], ['typescript', 'bundler'], ['typescript-7', 'nodenext'], ['typescript-7', 'bundler']] as const) {
  const folder = join(ROOT, 'node_modules', compiler)
  const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))

  t.test(`the golden files compile with TypeScript ${version} and ${modules}, under every strict option, without DOM and Node`, { timeout: 120_000 }, async (t) => {
    const files = zooCases.map((name) => join(GOLDEN, name, 'streams.ts'))
    const project = join(t.testdir({
      'package.json': '{ "type": "module" }',
      'tsconfig.json': JSON.stringify({
        files,
        compilerOptions: {
          strict: true,
          exactOptionalPropertyTypes: true,
          noUncheckedIndexedAccess: true,
          noPropertyAccessFromIndexSignature: true,
          noImplicitOverride: true,
          noImplicitReturns: true,
          noFallthroughCasesInSwitch: true,
          noUnusedLocals: true,
          noUnusedParameters: true,
          verbatimModuleSyntax: true,
          isolatedModules: true,
          erasableSyntaxOnly: true,
          target: 'es2022',
          lib: ['es2022'],
          types: [],
          noEmit: true,
          ...modules === 'bundler' ? { module: 'esnext', moduleResolution: 'bundler' } : { module: 'nodenext' }
        }
      })
    }), 'tsconfig.json')
    t.equal(await compile(folder, project), '')
  })
}

/** What a compiler says. TypeScript 7 does not start with the loaders of a test runner. */
async function compile (folder: string, project: string): Promise<string> {
  const [command, ...first] = bareNode
  return new Promise((resolve) => {
    execFile(command, [...first, join(folder, 'bin/tsc'), '-p', project, '--pretty', 'false'], { cwd: ROOT },
      (error, stdout, stderr) => resolve(error === null ? stdout : `${stdout}${stderr}${error.message}`))
  })
}

t.test('a generated file imports nothing, and is JavaScript once its types are taken away', async (t) => {
  for (const name of zooCases) {
    const source = read(join(GOLDEN, name, 'streams.ts'))
    t.notMatch(source, /^(import|export .* from)\b|\b(import|require) ?\(/m)
    const { code } = await transform(source, { loader: 'ts', target: 'es2022' })
    const { createStreams } = await import(`data:text/javascript,${encodeURIComponent(code)}`)
    t.strictSame(Object.keys(createStreams(connect)), JSON.parse(read(join(GOLDEN, name, 'manifest.json'))).streams.map(({ name }: ManifestStream) => name))
  }
})

// The file of the shop, with the server that it was generated from.

/** The shop behind a proxy that has it under a prefix. */
async function shop (t: Test): Promise<{ origin: string, baseUrl: string }> {
  const app = await zoo('shop')
  t.teardown(() => app.close())
  const { origin } = await listen(app)
  // What comes before the path is no pattern.
  return { origin, baseUrl: `${origin}/gateway:v1*` }
}

t.test('the streams of a generated file give the events of the server, typed', async (t) => {
  const { baseUrl } = await shop(t)
  const streams = createStreams(connect, { baseUrl })
  const events: unknown[] = []
  for await (const event of streams.ordersByIdByPath({
    params: { id: 'a/b ?&#%é', '*': 'x y/ü' },
    query: { tag: ['a&b', 'c d'], exact: true },
    headers: { 'x-tenant': 't' }
  })) {
    if (event.event === 'shipped') events.push(event.data.parcels[0]![1].toUpperCase())
    events.push(event)
  }
  t.strictSame(events, [
    {
      event: 'asked',
      data: { params: { id: 'a/b ?&#%é', '*': 'x y/ü' }, query: { tag: ['a&b', 'c d'], exact: true, limit: 20 }, body: null, headers: { 'x-tenant': 't' } }
    },
    'A',
    { event: 'shipped', data: { at: '2024-02-29T12:00:00Z', parcels: [[1, 'a']] }, id: '7' },
    // Text, and not the number.
    { event: 'note', data: '42', id: '7' },
    { event: 'closing', data: null, id: '7' }
  ])
})

t.test('a body is sent as JSON, text as well, and may be a function', async (t) => {
  const { baseUrl } = await shop(t)
  const streams = createStreams(connect, { baseUrl: async () => new URL(baseUrl) })
  const asked: unknown[] = []
  const open = [
    streams.postOrders({ body: { lines: [{ sku: 'a' }], note: undefined } }),
    streams.postOrders({ body: async () => ({ lines: [{ sku: 'ü', count: 2 }] }) }),
    streams.putNotes({ body: '{"not":"an object"}' })
  ]
  for (const stream of open) {
    stream.on('asked', ({ body, headers }) => asked.push([body, headers['content-type']]))
    t.equal((await stream.closed).reason, 'done')
  }
  t.strictSame(asked, [
    [{ lines: [{ sku: 'a', count: 1 }] }, 'application/json'],
    [{ lines: [{ sku: 'ü', count: 2 }] }, 'application/json'],
    ['{"not":"an object"}', 'application/json']
  ])
})

t.test('headers of defaults and of a call are joined, whatever form they have; those of the call win', async (t) => {
  const { baseUrl } = await shop(t)
  const forms = (headers: Record<string, string>) => [headers, Object.entries(headers), new Headers(headers), () => headers, async () => new Headers(headers)]
  const ofCall = forms({ 'x-tenant': 't', 'x-both': 'call', 'x-limit': '3' })
  for (const [index, defaults] of forms({ Authorization: 'default', 'X-Both': 'default' }).entries()) {
    // Each form with itself, and with the next one.
    for (const headers of [ofCall[index]!, ofCall[(index + 1) % ofCall.length]!]) {
      const stream = createStreams(connect, { baseUrl, headers: defaults }).ordersByIdByPath({ params: { id: '1', '*': '' }, query: { tag: ['a', 'b'] }, headers })
      const [asked] = await take(stream, 1)
      t.strictSame((asked as { data: { headers: unknown } }).data.headers, { authorization: 'default', 'x-both': 'call', 'x-limit': 3, 'x-tenant': 't' })
    }
  }
  const stream = createStreams(connect, { baseUrl, headers: { 'x-tenant': 'default' } })
    .ordersByIdByPath({ params: { id: '1', '*': '' }, query: { tag: ['a', 'b'] }, headers: { 'x-tenant': undefined, 'x-limit': 3 } as { 'x-limit': number } })
  const [asked] = await take(stream, 1)
  t.strictSame((asked as { data: { headers: unknown } }).data.headers, { 'x-tenant': 'default', 'x-limit': 3 })
})

async function take (stream: AsyncIterable<unknown>, count: number): Promise<unknown[]> {
  const taken: unknown[] = []
  for await (const event of stream) if (taken.push(event) === count) break
  return taken
}

t.test('functions among the headers are called for every attempt', async (t) => {
  const { baseUrl } = await shop(t)
  let calls = 0
  const stream = createStreams(connect, { baseUrl, headers: () => ({ 'x-default': String(++calls) }), reconnectionTimeMs: 100 })
    .busy({ headers: async () => ({ 'x-call': String(calls) }), onError: ({ status }) => t.equal(status, 503) })
  const [asked] = await take(stream, 1)
  t.strictSame((asked as { data: { headers: unknown } }).data.headers, { 'x-default': '2', 'x-call': '2' })
})

t.test('an option of the call wins over the default, and one that is undefined leaves it', async (t) => {
  const { baseUrl } = await shop(t)
  const seen: string[] = []
  const streams = createStreams(connect, { baseUrl, onStatus: (status) => seen.push(`default ${status}`) })
  const own = streams.anything({ onStatus: (status) => seen.push(`call ${status}`) })
  t.strictSame(await take(own, 1), [{ event: 'whatever', data: { n: 1 } }])
  await own.closed
  const { closed } = streams.anything({ baseUrl: undefined, onStatus: undefined, signal: AbortSignal.abort() })
  await closed
  t.strictSame(seen, ['call connecting', 'call live', 'call closed', 'default closed'])
})

t.test('what the server refuses ends the stream with its answer', async (t) => {
  const { baseUrl } = await shop(t)
  const { error } = await createStreams(connect, { baseUrl, onError () {} }).ordersByIdByPath({ params: { id: '1', '*': '' }, query: { tag: ['a', 'b'] } }).closed
  t.equal(error?.status, 400)
  t.match(error?.body, /x-tenant/)
})

// Single types

t.test('patterns that TypeBox makes of template literals are template literals, and all others any string', (t) => {
  for (const [pattern, type] of [
    ['^id-(0|[1-9][0-9]*)$', '`id-${number}`'],
    ['^(.*)$', 'string'],
    ['^(.*)/(.*)$', '`${string}/${string}`'],
    ['^(true|false)$', "'true' | 'false'"],
    ['^abc$', "'abc'"],
    ['^$', "''"],
    ['^a\\.b\\\\$', "'a.b\\\\'"],
    ['^((a|b)-(.*)|c)$', "`${'a' | 'b'}-${string}` | 'c'"],
    ['^`\\$\\{(.*)$', '`\\`\\${${string}`'],
    ['^[a-z]+$', 'string'],
    ['^a|b$', 'string'],
    ['^(a|b$', 'string'],
    ['^(?:a|b)$', 'string'],
    ['^\\d(.*)$', 'string'],
    ['^a.b$', 'string'],
    ['^a$b$', 'string'],
    ['^a)$', 'string'],
    ['^(.*)\\$', 'string'],
    ['abc', 'string'],
    ['^(0|1|2|3|4|5|6|7|8|9)(0|1|2|3|4|5|6|7|8|9)(0|1|2|3|4|5|6|7|8|9)(0|1|2|3|4|5|6|7|8|9)$', 'string']
  ] as const) t.equal(typeOf({ type: 'string', pattern }), type, pattern)
  t.end()
})

t.test('unions and intersections are as short as they can be', (t) => {
  for (const [schema, type] of [
    [{ anyOf: [{ type: 'string' }, true] }, 'unknown'],
    [{ anyOf: [{ type: 'string' }, false] }, 'string'],
    [{ anyOf: [] }, 'never'],
    [{ anyOf: [{ const: true }, { type: 'string' }, { const: false }] }, 'boolean | string'],
    [{ anyOf: [{ anyOf: [{ const: 1 }, { const: 2 }] }, { const: 2 }] }, '1 | 2'],
    [{ allOf: [{}, { type: 'string' }, true] }, 'string'],
    [{ allOf: [{ type: 'string' }, false] }, 'never'],
    [{ type: 'object', allOf: [{ type: 'object', properties: { a: true } }] }, '{ a?: unknown }'],
    [{ type: 'number', enum: ['a'] }, 'never'],
    [{ type: 'object', nullable: true, properties: {} }, '{} | null'],
    [{ type: 'array', items: { anyOf: [{ type: 'string' }, { allOf: [{ $ref: '#/$defs/A' }, { $ref: '#/$defs/B' }] }] }, $defs: { A: { type: 'object' }, B: { type: 'object' } } },
      'Array<string | (A & B)>']
  ] as Array<[JSONSchema, string]>) t.equal(typeOf(schema).replace(/^\{\n\s+(.*)\n\}$/, '{ $1 }'), type, JSON.stringify(schema))
  t.end()
})

t.test('a text of the schema ends no comment, hides nothing and is no directive', (t) => {
  const source = toTypeScript(manifestOf({
    url: '/s\n*/ throw 1 //',
    summary: '*/ throw 1 /*',
    description: '@ts-expect-error\r\n\u202e*/\u2028 @ts-nocheck',
    events: { "*/'\n": { format: 'json', schema: { type: 'object', description: '@ts-ignore', properties: { '*/': { title: '*//', default: '*/`' } } } } }
  }))
  t.match(source, '// GET /s *\\/ throw 1 //\n')
  t.match(source, `  /**
   * *\\/ throw 1 /*
   *
   * \\@ts-expect-error
   * *\\/
   *  \\@ts-nocheck
   *
   * \`GET /s
   * *\\/ throw 1 //\`
   */
`)
  t.match(source, "/** \\@ts-ignore */\nexport type SU2AU2FU27UA = {\n  /**\n   * *\\//\n   *\n   * @defaultValue \"*\\/`\"\n   */\n  '*/'?: unknown\n}\n")
  t.match(source, "  | { event: '*/\\'\\n', data: SU2AU2FU27UA, id?: string }\n")
  t.end()
})

t.test('what the server fills in may be left out where it does so, and nowhere else', (t) => {
  const Line = { type: 'object', required: ['n'], properties: { n: { type: 'integer', default: 1 } } }
  const source = toTypeScript(manifestOf({
    method: 'POST',
    body: {
      type: 'object',
      required: ['here', 'list', 'either', 'named'],
      properties: { here: Line, list: { type: 'array', items: Line }, either: { anyOf: [Line, { $ref: '#/$defs/Line' }, { type: 'null' }] }, named: { $ref: '#/$defs/Line' } },
      $defs: { Line }
    },
    events: { e: { format: 'json', schema: Line } }
  }))
  t.equal(declared(source, 'SBody'), `{
  here: {
    /** @defaultValue \`1\` */
    n?: number | undefined
  }
  list: {
    /** @defaultValue \`1\` */
    n?: number | undefined
  }[]
  either:
    | {
        /** @defaultValue \`1\` */
        n: number
      }
    | Line
    | null
  named: LineInput
}`)
  t.equal(declared(source, 'Line'), '{\n  /** @defaultValue `1` */\n  n: number\n}')
  t.equal(declared(source, 'LineInput'), '{\n  /** @defaultValue `1` */\n  n?: number | undefined\n}')
  t.equal(declared(source, 'SE'), '{\n  /** @defaultValue `1` */\n  n: number\n}')
  t.end()
})

t.test('a name has no characters that do not show', (t) => {
  const events = Object.fromEntries(['❤️', '👩‍👧', '\u3164', 'a\u200db', 'می‌خواهم'].map((event) => [event, { format: 'json', schema: true } as const]))
  const names = [...toTypeScript(manifestOf({ events })).matchAll(/^export type (S\S*) = unknown/gmu)].map(([, name]) => name)
  t.strictSame(names, ['SU2764UFE0F', 'SU1F469U200DU1F467', 'SU3164', 'SAB', 'Sمیخواهم'])
  t.end()
})

t.test('parameters of the path are named as the router names them', (t) => {
  for (const [url, params] of [
    ['/:größe', '{\n  \'größe\': string | number\n}'],
    ['/:$id/:user@host', "{\n  $id: string | number\n  'user@host': string | number\n}"],
    ['/:from-:to', '{\n  from: string | number\n  to: string | number\n}'],
    ['/:id?/', '{\n  id?: string | number | undefined\n}'],
    ['/a::b/:n(^\\d+$).:type', '{\n  n: string | number\n  type: string | number\n}']
  ] as const) {
    t.equal(declared(toTypeScript(manifestOf({ url })), 'SParams'), params, url)
  }
  t.end()
})

t.test('a schema of the parameters that may be left out altogether makes them optional, whatever it is made of', (t) => {
  const filled = { type: 'object', required: ['n'], properties: { n: { type: 'integer', default: 1 } } }
  for (const [query, isOptional] of [
    [true, true],
    [{ type: 'object' }, true],
    [filled, true],
    [{ ...filled, minProperties: 1 }, true],
    [{ allOf: [filled, { type: 'object', properties: { a: { type: 'string' } } }] }, true],
    [{ $ref: '#/$defs/Filled', $defs: { Filled: filled } }, true],
    [{ anyOf: [{ type: 'object', required: ['a'] }, { type: 'object', required: [] }] }, true],
    [{ type: 'object', if: { required: ['a'] }, then: { required: ['b'] }, else: {} }, true],
    [false, false],
    [{ type: 'array' }, false],
    [{ type: 'object', required: ['n'] }, false],
    [{ type: 'object', minProperties: 1 }, false],
    [{ anyOf: [filled] }, false],
    [{ not: {} }, false],
    [{ allOf: [filled, { type: 'object', required: ['a'] }] }, false],
    [{ $ref: '#/$defs/Needed', $defs: { Needed: { type: 'object', required: ['a'] } } }, false],
    [{ type: 'object', if: { required: ['a'] }, else: { required: ['b'] } }, false]
  ] as Array<[JSONSchema, boolean]>) {
    const source = toTypeScript(manifestOf({ query }))
    t.match(declared(source, 'SOptions'), isOptional ? '  query?: SQuery | undefined\n' : '  query: SQuery\n', JSON.stringify(query))
    t.match(source, isOptional ? '  s: (options?: SOptions) => EventStream<SEvent>\n' : '  s: (options: SOptions) => EventStream<SEvent>\n', JSON.stringify(query))
  }
  t.end()
})

t.test('names of streams that mean something to the language are methods like others', async (t) => {
  const names = ['new', 'get', 'constructor', '__proto__', 'default', 'async']
  const source = toTypeScript({
    manifest: 1, streams: names.map((name) => ({ name, method: 'GET', url: `/${name}`, controlEvents: [] })), controlEvents: CONTROL_EVENTS
  })
  const { code } = await transform(source, { loader: 'ts' })
  const { createStreams } = await import(`data:text/javascript,${encodeURIComponent(code)}`)
  const paths: string[] = []
  const streams = createStreams(({ path }: { path: string }) => { paths.push(path) })
  for (const name of Object.keys(streams)) streams[name]()
  t.strictSame(paths, names.map((name) => `/${name}`))
})

t.test('a manifest without streams gives a client without streams', (t) => {
  const source = toTypeScript({ manifest: 1, streams: [], controlEvents: CONTROL_EVENTS })
  t.match(source, 'export interface Streams {}\n')
  t.match(source, '  return {}\n')
  t.end()
})

t.test('a schema hundreds of levels deep is written out', (t) => {
  let schema: JSONSchema = { type: 'boolean' }
  for (let n = 0; n < 300; n++) schema = { type: 'object', required: ['in'], properties: { in: schema } }
  t.equal(typeOf(schema).match(/in:/g)?.length, 300)
  t.end()
})

t.test('what is no schema is refused, with its place', (t) => {
  const refusal = (schema: unknown) => { typeOf(schema as JSONSchema) }
  const where = "event 'e' of s"
  for (const [schema, message] of [
    [{ $ref: '#/$defs/Nothing' }, 'a reference to "#/$defs/Nothing", which does not exist. References lead to the $defs of their schema.'],
    [{ $ref: 'other.json' }, 'a reference to "other.json", which does not exist. References lead to the $defs of their schema.'],
    [{ $ref: '#' }, 'a schema that refers to itself with no property or item in between. Leave out the reference.'],
    [{ $ref: '#/$defs/A', $defs: { A: { anyOf: [{ type: 'null' }, { $ref: '#/$defs/A' }] } } },
      'a schema that refers to itself with no property or item in between. Leave out the reference.'],
    [{ type: 'object', properties: { a: 7 } }, '7. A schema is an object, true or false.'],
    [{ type: 'object', properties: [] }, 'properties: []. Give properties an object of schemas.'],
    [{ anyOf: {} }, 'anyOf: {}. Give anyOf a list of schemas.'],
    [{ type: 'text' }, 'the type "text". Use a type of JSON Schema.'],
    [null, 'null. A schema is an object, true or false.']
  ] as const) t.throws(() => refusal(schema), { code: 'FST_SSE_MANIFEST_INVALID', message: `The schema of ${where} has ${message}`, where }, JSON.stringify(schema))
  t.throws(() => toTypeScript(manifestOf({
    events: {
      a: { format: 'json', schema: { $ref: '#/$defs/A', $defs: { A: { type: 'string' } } } },
      b: { format: 'json', schema: { $ref: '#/$defs/A', $defs: { A: { type: 'number' } } } }
    }
  })), { code: 'FST_SSE_MANIFEST_INVALID', message: "The schema of event 'b' of s has 'A' in $defs, which is another schema elsewhere. Give each schema a name of its own." })
  t.end()
})

t.test('a reference into a schema, and one to the whole of it, is followed', (t) => {
  t.equal(typeOf({ type: 'object', properties: { a: { type: 'string' }, b: { $ref: '#/properties/a' }, c: { $ref: '#' } } }), '{\n  a?: string\n  b?: string\n  c?: SE\n}')
  t.throws(() => typeOf({ type: 'object', properties: { a: { type: 'array', items: { $ref: '#/properties/a' } } } }),
    { message: "The schema of event 'e' of s has the reference \"#/properties/a\", which contains itself. Put the schema into $defs." })
  t.end()
})

t.test('the order of events, and what is alike, decides which names have a number', async (t) => {
  const { app } = await createApp(t)
  app.get('/a', { schema: { events: { x_y: Type.Null(), 'x-y': Type.Null(), XY2: Type.Null() } } }, (_request, reply) => reply.sse([]))
  await app.ready()
  t.strictSame(toTypeScript(app.sse.manifest()).match(/ event: .*, data: \w+/g)?.slice(0, 3), [
    " event: 'x_y', data: AXY", " event: 'x-y', data: AXY3", " event: 'XY2', data: AXY2"
  ])
})
