import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { MODEL_FILES, toModels, type ModelLanguage } from '../../lib/documents/models/models.js'
import type { JSONSchema, Manifest, ManifestEvent } from '../../lib/schema/manifest.js'
import { capture, type Frame, type Sample } from '../fixtures/models/frames.js'
import { Orders, sent, Shapes } from '../fixtures/models/streams.js'
import { pure, zoo } from '../schema/zoo.js'
import { requirePart } from '../support/parts.js'

// Compilers run here. The comment is how tap's runner is told.
t.setTimeout(180_000)
t.comment('timeout=180000')

const FIXTURES = fileURLToPath(new URL('../fixtures/models/', import.meta.url))
const LANGUAGES = Object.keys(MODEL_FILES) as ModelLanguage[]

/** One event as another language has read it. */
interface Told {
  /** Name of its type. */
  type: string
  event: string
  /** Its data, written again. */
  data: string
}

const samples: Sample[] = [
  { url: '/orders/:id', events: Orders, sent: sent.orders },
  { url: '/shapes', events: Shapes, sent: sent.shapes },
  {
    url: '/zoo',
    events: Object.fromEntries(zoo.map(({ name, schema }) => [name, schema])),
    sent: zoo.flatMap(({ name, values }) => fc.sample(values, { seed: 5, numRuns: 12 }).map((value) => [name, pure(value)] as const))
  }
]
const shared = Object.fromEntries(zoo.flatMap(({ schemas = {} }) => Object.entries(schemas)))

const PYTHON = process.platform === 'win32' ? 'python' : 'python3'

/** The Go program with a case for each stream. */
const goProgram = (streams: readonly string[]): string => readFileSync(join(FIXTURES, 'read.go.txt'), 'utf8')
  .replace('// cases', streams.map((stream) => `case "${stream}": return streams.Parse${stream}(eventType, data)`).join('\n'))

const isThere = (program: string, ...args: string[]): boolean => spawnSync(program, args).status === 0

function run (program: string, args: string[], options: { cwd: string, input?: string, env?: NodeJS.ProcessEnv }): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8', maxBuffer: 1 << 26, ...options, env: { ...process.env, ...options.env } })
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} has failed: ${stderr} ${String(error)}`)
  return stdout
}

/** Has Python read frames. */
function inPython (t: Test, models: string, frames: ReadonlyArray<Pick<Frame, 'stream' | 'event' | 'data' | 'id'>>, ...options: string[]): Told[] {
  const cwd = t.testdir({ 'streams.py': models, 'read.py': readFileSync(join(FIXTURES, 'read.py'), 'utf8') })
  const input = JSON.stringify(frames.map(({ stream, ...frame }) => ({ ...frame, parse: `parse_${stream.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}_event` })))
  return JSON.parse(run(PYTHON, [...options, 'read.py'], { cwd, input, env: { PYTHONIOENCODING: 'utf-8', PYTHONDONTWRITEBYTECODE: '1', PYTHONWARNINGS: 'error' } }))
}

/** The data of frames, parsed as their events declare it. */
function valueOf (manifest: Manifest, { stream, event }: Frame, data: string): unknown {
  const { format } = manifest.streams.find(({ name }) => name === stream)!.events?.[event] ?? manifest.controlEvents[event as 'sse.end']
  return format === 'text' ? data : JSON.parse(data)
}

/** Without what some languages cannot tell from what is not there. */
function without (value: unknown, isAbsent: (value: unknown) => boolean): unknown {
  if (Array.isArray(value)) return value.map((item) => without(item, isAbsent))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, property]) => [name, without(property, isAbsent)]).filter(([, property]) => !isAbsent(property)))
}

const isNull = (value: unknown): boolean => value === null
const isEmpty = (value: unknown): boolean => value === null || (typeof value === 'object' && Object.keys(value).length === 0)

const event = (schema: JSONSchema, format: 'json' | 'text' = 'json'): ManifestEvent => ({ format, schema })
const noControls: Manifest['controlEvents'] = { 'sse.gap': event({ type: 'object' }), 'sse.end': event({ type: 'null' }), 'sse.fault': event({ type: 'object' }) }
const manifestOf = (streams: Record<string, Record<string, ManifestEvent> | undefined>, controlEvents = noControls): Manifest => ({
  manifest: 1,
  streams: Object.entries(streams).map(([name, events]) => ({ name, method: 'GET', url: `/${name}`, controlEvents: [], ...(events && { events }) })),
  controlEvents
})

/** Streams and events whose names come together when they are put in another language's way. */
const tick = event({ type: 'object', properties: { at: { type: 'integer' } }, required: ['at'] })
const alike = manifestOf({
  orders: { created: tick, 'created.unknown': tick, CREATED: tick, '!': tick },
  ordersCreated: { unknown: tick, event: tick, None: tick },
  parseOrders: { tick },
  class: {
    list: event({
      type: 'object',
      properties: { list: { $ref: '#/$defs/List' } },
      $defs: { List: { type: 'object', properties: { T: { type: 'string' } } } }
    })
  }
})

t.test('Python reads what a live application sends, and keeps its values', { timeout: 120_000 }, async (t) => {
  if (!requirePart(t, 'Python 3', isThere(PYTHON, '--version'))) return
  const { manifest, frames } = await capture(t, samples, shared)
  const models = await toModels(manifest, 'python')
  const told = inPython(t, models, frames)
  t.strictSame(told.map(({ event }) => event), frames.map(({ event }) => event))
  for (const [index, frame] of frames.entries()) {
    const [found, wanted] = [told[index]!.data, frame.data].map((data) => valueOf(manifest, frame, data))
    const keep = (value: unknown): unknown => frame.stream === 'zoo' ? without(value, isNull) : value
    t.strictSame(keep(found), keep(wanted), `${frame.stream}: ${frame.event}`)
  }
  t.strictSame(told.slice(0, 4).map(({ type }) => type), ['OrdersByIdCreatedEvent', 'OrdersByIdCreatedEvent', 'OrdersByIdCreatedEvent', 'OrdersByIdPricedEvent'])
  t.strictSame(inPython(t, models, frames, '-O'), told, 'without assertions too')
})

t.test('Go reads what a live application sends, and keeps its values', { timeout: 300_000 }, async (t) => {
  if (!requirePart(t, 'Go', isThere('go', 'version'))) return
  const { manifest, frames: all } = await capture(t, samples, shared)
  const models = await toModels(manifest, 'go')
  const names = manifest.streams.map(({ name }) => `${name[0]!.toUpperCase()}${name.slice(1)}Event`)
  const cwd = t.testdir({ 'go.mod': 'module example\n\ngo 1.19\n', 'main.go': goProgram(names), streams: { 'streams.go': models }, alike: { 'streams.go': await toModels(alike, 'go') } })
  // Go's own default is outside of the test's folder, and kept between runs: compiling its library takes half a minute.
  const cache = join(process.cwd(), '.tap', 'go')
  mkdirSync(cache, { recursive: true })
  const env = { GOFLAGS: '-mod=mod', GOPROXY: 'off', GOTOOLCHAIN: 'local', GOCACHE: join(cache, 'cache'), GOPATH: join(cache, 'path') }
  run('go', ['vet', './...'], { cwd, env })
  t.equal(run('gofmt', ['-l', 'streams', 'alike'], { cwd, env }), '', 'it is formatted as Go is')
  const frames = all.filter(({ data, stream }) => stream !== 'zoo' || !data.includes('1e+21'))
  const unknown = { stream: 'shapes', event: 'newer', data: '{', id: '' }
  const unfit = { stream: 'shapes', event: 'mixed', data: '1.5', id: '' }
  const input = JSON.stringify([...frames, unknown, unfit].map(({ stream, ...frame }) => ({ ...frame, stream: `${stream[0]!.toUpperCase()}${stream.slice(1)}Event` })))
  const told = JSON.parse(run('go', ['run', '.'], { cwd, env, input })) as Told[]
  t.strictSame(told.splice(-2), [
    { type: 'ShapesUnknownEvent', event: 'newer', data: JSON.stringify(Buffer.from('{').toString('base64')) },
    { type: 'error', event: 'mixed', data: 'event "mixed": json: cannot unmarshal number 1.5 into Go value of type int64' }
  ])
  t.strictSame(told.map(({ event }) => event), frames.map(({ event }) => event))
  for (const [index, frame] of frames.entries()) {
    const [found, wanted] = [told[index]!.data, frame.data].map((data) => valueOf(manifest, frame, data))
    // Optional lists and maps are left out when they are empty, and half a surrogate pair has no UTF-8.
    const keep = (value: unknown): unknown => frame.stream === 'zoo' ? JSON.parse(new TextDecoder().decode(new TextEncoder().encode(unescape(JSON.stringify(without(value, isEmpty)))))) : value
    t.strictSame(keep(found), keep(wanted), `${frame.stream}: ${frame.event}`)
  }

  function unescape (json: string): string {
    return json.replace(/(?<!\\)((?:\\\\)*)\\u(d[89a-f]..)/g, (_, before: string) => `${before}\ufffd`)
  }
})

// The compilers of Kotlin and Swift are nowhere near: their models are read with care when they change. WRITE_FIXTURES=1 writes them anew.
t.test('what the models look like changes only on purpose', async (t) => {
  const { manifest } = await capture(t, samples.slice(0, 2))
  for (const language of LANGUAGES) {
    const path = join(FIXTURES, MODEL_FILES[language])
    const models = await toModels(manifest, language)
    if (process.env['WRITE_FIXTURES'] === '1') writeFileSync(path, models)
    t.equal(models, readFileSync(path, 'utf8'), language)
    t.equal(await toModels(JSON.parse(JSON.stringify(manifest)), language), models, `${language}: a manifest that was a file gives the same`)
  }
})

t.test('an event that is not declared is given with its raw data', async (t) => {
  if (!requirePart(t, 'Python 3', isThere(PYTHON, '--version'))) return
  const models = await toModels(manifestOf({ clock: { tick: event({ type: 'integer' }) }, free: undefined }), 'python')
  t.strictSame(inPython(t, models, [{ stream: 'clock', event: 'newer', data: 'not JSON', id: '7' }, { stream: 'free', event: '', data: '', id: '' }]), [
    { type: 'ClockUnknownEvent', event: 'newer', data: 'not JSON' },
    { type: 'FreeUnknownEvent', event: 'message', data: '' }
  ])
})

t.test('data that does not fit is an error that says what was found', async (t) => {
  if (!requirePart(t, 'Python 3', isThere(PYTHON, '--version'))) return
  const models = await toModels(manifestOf({
    clock: {
      tick: event({ type: 'integer' }),
      done: event({ type: 'null' }),
      at: event({ type: 'object', properties: { zone: { enum: ['a', 'b'] }, note: { type: ['string', 'null'] } }, required: ['zone', 'note'] })
    }
  }), 'python')
  const cases: Array<[event: string, data: string, message: string]> = [
    ['tick', '"x"', "event 'tick': expected an integer, found 'x'"],
    ['tick', 'true', "event 'tick': expected an integer, found True"],
    ['tick', '{', "event 'tick': Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"],
    ['done', '0', "event 'done': expected null, found 0"],
    ['at', '[]', "event 'at': expected an object, found []"],
    ['at', '{"zone":"c"}', "event 'at': 'c' is not a valid AtZone"],
    ['at', '{"zone":"a","note":1}', "event 'at': expected null, found 1, or expected a string, found 1"]
  ]
  const cwd = t.testdir({
    'streams.py': models,
    'read.py': `
import json, sys, streams
def message(event, data):
    try:
        return repr(streams.parse_clock_event(event, data))
    except ValueError as error:
        return str(error)
json.dump([message(*frame) for frame in json.load(sys.stdin)], sys.stdout)
`
  })
  const told = JSON.parse(run(PYTHON, ['read.py'], { cwd, input: JSON.stringify(cases.map(([event, data]) => [event, data])) })) as string[]
  t.strictSame(told, cases.map(([, , message]) => message.replace('AtZone', 'ClockAtZone')))
})

t.test('an application without streams, and streams without events, give files that stand for themselves', async (t) => {
  for (const language of LANGUAGES) {
    const nothing = await toModels(manifestOf({}), language)
    t.match(nothing, /^(?:\/\/|#) Code generated by fastify-typed-sse[;.] (?:DO NOT EDIT|Do not edit)\.\n/, language)
    if (language === 'python' && isThere(PYTHON, '--version')) {
      t.strictSame(inPython(t, nothing, []), [])
      t.strictSame(inPython(t, await toModels(manifestOf({ free: undefined }), language), [{ stream: 'free', event: 'a', data: 'b', id: '' }]), [{ type: 'FreeUnknownEvent', event: 'a', data: 'b' }])
    }
  }
})

t.test('names are given once, whatever streams and events are called', async (t) => {
  const models = await toModels(alike, 'python')
  t.strictSame([...models.matchAll(/^class (\w+)/gm)].map(([, name]) => name), [
    'OrdersCreated', 'OrdersCreatedUnknown', 'OrdersCREATED2', 'OrdersU21', 'OrdersCreatedUnknown2', 'OrdersCreatedEvent2', 'OrdersCreatedNone', 'ParseOrdersTick', 'List2', 'ClassList',
    'OrdersCreated2Event', 'OrdersCreatedUnknownEvent', 'OrdersCREATED3Event', 'OrdersU21Event', 'OrdersUnknownEvent',
    'OrdersCreatedUnknown3Event', 'OrdersCreatedEventEvent', 'OrdersCreatedNoneEvent', 'OrdersCreatedUnknown2Event', 'ParseOrdersTickEvent', 'ParseOrdersUnknownEvent', 'ClassListEvent', 'ClassUnknownEvent'
  ])
  if (isThere(PYTHON, '--version')) t.strictSame(inPython(t, models, [{ stream: 'class', event: 'list', data: '{"list":{"T":"x"}}', id: '' }]), [{ type: 'ClassListEvent', event: 'list', data: '{"list":{"T":"x"}}' }])
  for (const language of ['go', 'kotlin', 'swift'] as const) {
    const names = [...(await toModels(alike, language)).matchAll(/^(?:public )?(?:type|(?:(?:data|enum|final|sealed) )*(?:class|struct|interface|enum)) (\w+)/gm)].map(([, name]) => name!.toLowerCase())
    t.strictSame(names.filter((name, index) => names.indexOf(name) !== index), [], language)
  }
})

t.test('a type in $defs comes once, with its name, wherever it is used', async (t) => {
  const defs = { Money: { type: 'object', properties: { amount: { type: 'number' } }, required: ['amount'] }, Kind: { enum: ['a', 'b'] } }
  const price = event({ type: 'object', properties: { net: { $ref: '#/$defs/Money' }, gross: { anyOf: [{ $ref: '#/$defs/Money' }, { type: 'null' }] }, kind: { $ref: '#/$defs/Kind' } }, required: ['net'], $defs: defs })
  const models = await toModels(manifestOf({ a: { price }, b: { price, money: event({ $ref: '#/$defs/Money', $defs: defs }), kinds: event({ type: 'array', items: { $ref: '#/$defs/Kind' }, $defs: defs }) } }), 'go')
  t.strictSame([...models.matchAll(/^type (\w+) (?:struct|string)/gm)].map(([, name]) => name).filter((name) => !name!.endsWith('Event')), ['APrice', 'Money', 'Kind', 'BPrice'])
  t.match(models, 'Net   Money  `json:"net"`')
  t.match(models, 'Gross *Money `json:"gross,omitempty"`')
  t.match(models, 'Data []Kind')
})

t.test('an integer of more than 64 bits is an integer in Python', async (t) => {
  if (!requirePart(t, 'Python 3', isThere(PYTHON, '--version'))) return
  const models = await toModels(manifestOf({ clock: { tick: event({ type: 'integer' }) } }), 'python')
  const cases = ['1e+21', '-1.5e+300', '9223372036854775808', '-0']
  const told = inPython(t, models, cases.map((data) => ({ stream: 'clock', event: 'tick', data, id: '' })))
  t.strictSame(told.map(({ data }) => Number(data)), [1e21, -1.5e300, 2 ** 63, 0])
})

t.test('a language that there are no models in is refused, with those that there are', async (t) => {
  await t.rejects(toModels(manifestOf({}), 'rust' as ModelLanguage), new TypeError('There are no models in the language "rust". Use go, kotlin, swift, python.'))
})

t.test('without quicktype the error says what to install', async (t) => {
  const cause = new Error('Cannot find package')
  await t.rejects(toModels(manifestOf({}), 'go', async () => { throw cause }), {
    name: 'MissingPackageError',
    packageName: 'quicktype-core',
    message: 'Writing models for go needs the package quicktype-core, which cannot be loaded. Install it beside fastify-typed-sse: npm install --save-dev quicktype-core',
    cause
  })
})
