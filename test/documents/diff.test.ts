// A diff that calls a change safe must be right; one that calls it breaking should be.
import { Type } from '@sinclair/typebox'
import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import fc from 'fast-check'
import t from 'tap'
import { CHANGE_CODES, diffManifests, type Change } from '../../lib/documents/diff/diff.js'
import { compareSchemas } from '../../lib/documents/diff/subset.js'
import { compileEvents } from '../../lib/schema/compile.js'
import type { ControlEventType, JSONSchema, Manifest, ManifestStream } from '../../lib/schema/manifest.js'
import { anyType, anyValue } from '../schema/zoo.js'

// Some thousand schemas are compared and compiled. The comment is how tap's runner is told.
t.setTimeout(180_000)
t.comment('timeout=180000')

const any = { format: 'json', schema: true } as const
const ALL: ControlEventType[] = ['sse.gap', 'sse.end', 'sse.fault']

function manifest (...streams: Array<Partial<ManifestStream>>): Manifest {
  return {
    manifest: 1,
    streams: streams.map((stream) => ({ name: 'orders', method: 'GET', url: '/orders', controlEvents: ALL, ...stream })),
    controlEvents: { 'sse.gap': any, 'sse.end': any, 'sse.fault': any }
  }
}

function plain (schema: unknown): JSONSchema {
  return JSON.parse(JSON.stringify(schema))
}

/** The changes as text: level, code, stream, place. */
function changes (before: Manifest, after: Manifest): string[] {
  return diffManifests(before, after).map(({ level, code, stream, at }) => `${level} ${code} ${stream}${at === '' ? '' : ` ${at}`}`)
}

/** The changes of one event's data: level, code, place, message. */
function ofEvent (before: unknown, after: unknown): string[] {
  const of = (schema: unknown): Manifest => manifest({ events: { e: { format: 'json', schema: plain(schema) } } })
  return diffManifests(of(before), of(after)).map(({ level, code, at, message }) => `${level} ${code} ${at.replace(/^events\/e\/?/, '')}: ${message}`)
}

/** The same of what clients send. */
function ofRequest (part: 'params' | 'query' | 'headers' | 'body', before: unknown, after: unknown): string[] {
  const of = (schema: unknown): Manifest => manifest(schema === undefined ? {} : { [part]: plain(schema) })
  return diffManifests(of(before), of(after)).map(({ level, code, at, message }) => `${level} ${code} ${at}: ${message}`)
}

t.test('a stream that is gone, moved or has another method breaks clients, a new one does not', async (t) => {
  const a = { name: 'a', url: '/a' }
  const b = { name: 'b', url: '/b' }
  t.strictSame(changes(manifest(a, b), manifest(a)), ['breaking stream-removed GET /b'])
  t.strictSame(changes(manifest(a), manifest(a, b)), ['safe stream-added GET /b'])
  t.strictSame(changes(manifest(a), manifest({ ...a, method: 'POST' })), ['breaking method-changed GET /a'])
  t.strictSame(changes(manifest(a), manifest({ ...a, url: '/v2/a' })), ['breaking url-changed GET /a'])
  t.strictSame(changes(manifest(a), manifest({ ...a, name: 'c' })), ['breaking name-changed GET /a'])
})

t.test('a parameter of the URL that is renamed is the same URL, and another name in generated code', async (t) => {
  const integer: JSONSchema = { type: 'integer' }
  const of = (url: string, name: string): Manifest => manifest({ url, params: { type: 'object', required: [name], properties: { [name]: integer } } })
  t.strictSame(changes(of('/orders/:id', 'id'), of('/orders/:order', 'order')), ['breaking parameter-renamed GET /orders/:id params/id'])
  t.strictSame(changes(manifest({ url: '/a/:b-:c.json' }), manifest({ url: '/a/:b-:c.json' })), [])
  t.strictSame(changes(manifest({ url: '/a/:b(^\\d+$)' }), manifest({ url: '/a/:b' })), ['safe url-widened GET /a/:b(^\\d+$)'])
  t.strictSame(changes(manifest({ url: '/a/:b?' }), manifest({ url: '/a/:b' })), ['breaking url-narrowed GET /a/:b?'])
  t.strictSame(changes(manifest({ url: '/a::b' }), manifest({ url: '/a::c' })), ['breaking url-changed GET /a::b'])
})

t.test('an event type that is gone breaks clients, a new one does not; nor does text become JSON', async (t) => {
  const of = (events: ManifestStream['events']): Manifest => manifest(events === undefined ? {} : { events })
  const text = { format: 'text', schema: { type: 'string' } } as const
  t.strictSame(changes(of({ a: any, b: any }), of({ a: any })), ['breaking event-removed GET /orders events/b'])
  t.strictSame(changes(of({ a: any }), of({ a: any, 'b/c': any })), ['safe event-added GET /orders events/b~1c'])
  t.strictSame(changes(of({ a: any }), of({ a: text })), ['breaking format-changed GET /orders events/a'])
  t.strictSame(changes(of({ a: text }), of({ a: any })), ['breaking format-changed GET /orders events/a'])
  t.strictSame(changes(of({ a: any }), of(undefined)), ['breaking events-undeclared GET /orders events'])
  t.strictSame(changes(of(undefined), of({ a: any })), ['safe events-declared GET /orders events'])
})

t.test('control events that are switched off, another channel and a deprecation are told', async (t) => {
  t.strictSame(changes(manifest({}), manifest({ controlEvents: [] })), ALL.map((type) => `breaking control-event-removed GET /orders controlEvents/${type}`))
  t.strictSame(changes(manifest({ controlEvents: [] }), manifest({})), ALL.map((type) => `safe control-event-added GET /orders controlEvents/${type}`))
  t.strictSame(changes(manifest({ channel: 'a' }), manifest({ channel: 'b', deprecated: true })), ['safe channel-changed GET /orders', 'safe deprecated GET /orders'])
  const after = { ...manifest({}), controlEvents: { ...manifest().controlEvents, 'sse.end': { format: 'json' as const, schema: { type: 'null' } } } }
  t.strictSame(changes(manifest({}), after), ['safe narrowed * controlEvents/sse.end'])
  t.strictSame(changes(after, manifest({})), ['breaking type-added * controlEvents/sse.end'])
})

t.test('text for people, the order of keys and the names in $defs do not count', async (t) => {
  t.strictSame(ofEvent(
    { $defs: { Node: { type: 'object', required: ['kids', 'v'], properties: { kids: { type: 'array', items: { $ref: '#/$defs/Node' } }, v: { enum: [1, 2] } } } }, $ref: '#/$defs/Node' },
    { title: 'T', required: ['v', 'kids'], description: 'd', properties: { v: { enum: [2, 1], examples: [1] }, kids: { items: { $ref: '#/$defs/Other' }, type: 'array' } }, type: 'object', $defs: { Other: { $ref: '#' } } }
  ), [])
})

t.test('data that a server sends may become less, and not more', async (t) => {
  const object = (properties: Record<string, unknown>, required: string[] = Object.keys(properties), more: object = {}): object => ({ type: 'object', properties, required, ...more })
  const cases: Array<[narrow: unknown, wide: unknown, breaking: string, safe: string]> = [
    [Type.Integer(), Type.Number(), 'type-added : may be a number now; clients expect an integer', 'narrowed : is not a number any more, but an integer'],
    [Type.Null(), Type.Union([Type.Null(), Type.String()]), 'type-added : may be a string now; clients expect null', 'narrowed : is not a string any more, but null'],
    [{ enum: ['a'] }, { enum: ['a', 'b', 3] }, 'type-added : may be "b" or 3 now; clients expect "a"', 'narrowed : is not "b" or 3 any more, but "a"'],
    [{ const: 'a' }, { type: 'string' }, 'value-added : may be a string now; clients expect "a"', 'narrowed : is not a string any more, but "a"'],
    [{ type: 'number', minimum: 1 }, { type: 'number', exclusiveMinimum: 0 }, 'bound-lifted : may be a number above 0 now; clients expect a number from 1', 'narrowed : is a number from 1 now, and was a number above 0'],
    [{ type: 'integer', multipleOf: 4 }, { type: 'integer', multipleOf: 2 }, 'bound-lifted : may be an integer that is a multiple of 2 now; clients expect an integer that is a multiple of 4', 'narrowed : is an integer that is a multiple of 4 now, and was an integer that is a multiple of 2'],
    [{ type: 'string', maxLength: 3 }, { type: 'string' }, 'bound-lifted : may be a string now; clients expect a string of at most 3 characters', 'narrowed : is a string of at most 3 characters now, and was a string'],
    [{ type: 'string', format: 'date' }, { type: 'string' }, 'bound-lifted : may be a string now; clients expect a string of format date', 'narrowed : is a string of format date now, and was a string'],
    [{ type: 'array', items: { type: 'null' } }, { type: 'array', items: { type: ['null', 'boolean'] } }, 'type-added *: may be false or true now; clients expect null', 'narrowed *: is not false or true any more, but null'],
    [{ type: 'array', minItems: 1 }, { type: 'array' }, 'bound-lifted : may be an array now; clients expect an array of 1 or more items', 'narrowed : is an array of 1 or more items now, and was an array'],
    [object({ a: true }), object({ a: true }, []), 'property-optional a: may be missing now; clients expect it always', 'narrowed a: is always there now'],
    [object({ a: { type: 'string' } }), object({ a: { type: ['string', 'null'] } }), 'type-added a: may be null now; clients expect a string', 'narrowed a: is not null any more, but a string'],
    [Type.Record(Type.String(), Type.Integer()), Type.Record(Type.String(), Type.Number()), 'type-added {^(.*)$}: may be a number now; clients expect an integer', 'narrowed {^(.*)$}: is not a number any more, but an integer'],
    [object({}, [], { additionalProperties: { type: 'null' } }), object({}, [], { additionalProperties: true }), 'type-added *: may be false or true or a number or a string or an array or an object now; clients expect null', 'narrowed *: is not false or true or a number or a string or an array or an object any more, but null'],
    [Type.Recursive((This) => Type.Object({ kids: Type.Array(This), v: Type.Integer() }), { $id: '#' }), Type.Recursive((This) => Type.Object({ kids: Type.Array(This), v: Type.Number() }), { $id: '#' }), 'type-added v: may be a number now; clients expect an integer', 'narrowed v: is not a number any more, but an integer']
  ]
  for (const [narrow, wide, breaking, safe] of cases) {
    t.strictSame(ofEvent(narrow, wide), [`breaking ${breaking}`], JSON.stringify(wide))
    t.strictSame(ofEvent(wide, narrow), [`safe ${safe}`], JSON.stringify(narrow))
  }
})

t.test('a property that is new is safe, unless clients allow no other; one that might be missing may go, one that may not is missed', async (t) => {
  const a = Type.Object({ a: Type.String() })
  const ab = Type.Object({ a: Type.String(), b: Type.Number() })
  const open = Type.Object({ a: Type.String(), b: Type.Optional(Type.Number()) })
  t.strictSame(ofEvent(a, ab), ['safe property-added b: is new'])
  t.strictSame(ofEvent(ab, a), ['breaking property-optional b: is gone; clients expect it always'])
  t.strictSame(ofEvent(open, a), ['safe property-removed b: is not sent any more; clients have to be ready for that'])
  t.strictSame(ofEvent(Type.Object({ a: Type.String() }, { additionalProperties: false }), open), ['breaking property-forbidden b: may be there now; clients allow no such property'])
  t.strictSame(ofEvent(a, Type.Object({ a: Type.String() }, { additionalProperties: false })), [])
  t.strictSame(ofEvent(Type.Intersect([a, Type.Object({ b: Type.Number() })], { unevaluatedProperties: false }), Type.Composite([a, Type.Object({ b: Type.Number() })])), [])
})

t.test('variants are compared with those of the same constant', async (t) => {
  const cat = (lives: object): unknown => Type.Object({ kind: Type.Literal('cat'), lives: lives as never })
  const dog = Type.Object({ kind: Type.Literal('dog') })
  const union = (...types: unknown[]): unknown => Type.Union(types as never)
  t.strictSame(ofEvent(union(cat(Type.Integer()), dog), union(dog, cat(Type.Integer()))), [])
  t.strictSame(ofEvent(union(cat(Type.Integer()), dog), union(cat(Type.Number()), dog)), ['breaking type-added lives: may be a number now; clients expect an integer'])
  t.strictSame(ofEvent(union(cat(Type.Integer()), dog), union(cat(Type.Integer()))), ['safe narrowed : is not an object with kind "dog" any more, but an object with kind "cat"'])
  t.strictSame(ofEvent({ oneOf: [plain(cat(Type.Integer())), plain(dog)] }, union(cat(Type.Integer()), dog)), [])
  t.strictSame(ofEvent(union(cat(Type.Integer()), dog), union(cat(Type.Integer()), dog, Type.Object({ kind: Type.Literal('fox') }))),
    ['breaking variant-added : may be an object with kind "fox" now, which is none of what clients know: an object with kind "cat" or an object with kind "dog"'])
  t.strictSame(ofEvent(union(Type.Object({ k: Type.Literal('a') }), Type.Object({ k: Type.Literal('b') })), { type: 'object', required: ['k'], properties: { k: { enum: ['a', 'b'] } } }), [], 'an enum is the cases of it')
})

t.test('a variant that holds something else under the same constant is told by what it holds', async (t) => {
  const variants = (x: object): object => ({ anyOf: [['a', x], ['b', { type: 'string' }]].map(([type, value]) => ({ type: 'object', properties: { type: { const: type }, value }, required: ['type', 'value'] })) })
  t.strictSame(ofEvent(variants({ type: 'number' }), variants({ type: 'string' })), ['breaking type-added value: may be a string now; clients expect a number'])
})

t.test('variants that hold each other and constants by the thousand are compared in seconds', async (t) => {
  const grammar = (location: string): object => {
    const kinds = Array.from({ length: 30 }, (_, index) => `n${index}`)
    const node = (kind: string): object => {
      const properties = { kind: { const: kind }, left: { $ref: '#/$defs/Node' }, right: { anyOf: [{ $ref: '#/$defs/Node' }, { type: 'null' }] }, location: { type: location } }
      return { type: 'object', properties, required: Object.keys(properties) }
    }
    return { $ref: '#/$defs/Node', $defs: { Node: { anyOf: kinds.map((kind) => ({ $ref: `#/$defs/${kind}` })) }, ...Object.fromEntries(kinds.map((kind) => [kind, node(kind)])) } }
  }
  const start = process.cpuUsage()
  t.strictSame(ofEvent(grammar('number'), grammar('string')), ['location', 'right/location'].map((at) => `breaking type-added ${at}: may be a string now; clients expect a number`))
  const symbols = Array.from({ length: 3000 }, (_, index) => `v${index}`)
  t.strictSame(ofEvent({ enum: [...symbols, 'x'] }, { enum: symbols }).map((change) => change.slice(0, 13)), ['safe narrowed'])
  t.ok(process.cpuUsage(start).user < 10_000_000)
})

t.test('what a client sends may be asked for less, and not for more', async (t) => {
  const query = (properties: Record<string, unknown>, required: string[] = []): object => ({ type: 'object', properties, required })
  const text = { type: 'string' }
  const cases: Array<[part: 'params' | 'query' | 'headers' | 'body', before: unknown, after: unknown, changes: string[]]> = [
    ['query', query({}), query({ a: text }), ['safe parameter-added query/a: is new, and may be left out']],
    ['query', query({}), query({ a: text }, ['a']), ['breaking parameter-required query/a: is new and required; clients do not send it']],
    ['query', undefined, query({ a: text }, ['a']), ['breaking parameter-required query/a: is new and required; clients do not send it']],
    ['query', query({ a: text }), query({ a: text }, ['a']), ['breaking parameter-required query/a: is required now; clients may leave it out']],
    ['query', query({ a: text }, ['a']), query({ a: text }), ['safe widened query/a: may be left out now']],
    ['query', query({ a: text }), query({}), ['breaking parameter-removed query/a: is no longer declared: the server may ignore it']],
    ['query', query({ a: text }), undefined, ['breaking parameter-removed query/a: is no longer declared: the server may ignore it']],
    ['query', query({ a: text }), query({ a: { ...text, default: 'x' } }, ['a']), ['safe default-changed query/a: is "x" when it is left out, and was absent']],
    ['query', query({ a: { ...text, default: 'x' } }, ['a']), query({ a: text }, ['a']), ['breaking parameter-required query/a: is required now; clients may leave it out']],
    ['query', query({ a: { ...text, default: 'x' } }, ['a']), query({ a: text }), ['safe default-changed query/a: is absent when it is left out, and was "x"']],
    ['query', { allOf: [query({ a: { ...text, default: 'x' } }, ['a'])] }, { allOf: [query({ a: text }, ['a'])] }, ['breaking parameter-required query/a: is required now; clients may leave it out']],
    ['body', { $ref: '#/$defs/O', $defs: { O: query({}) } }, { $ref: '#/$defs/O', $defs: { O: query({ a: { ...text, default: 'x' } }, ['a']) } }, ['safe parameter-added body/a: is new, and may be left out']],
    ['query', query({ a: { enum: ['x', 'y'] } }), query({ a: { enum: ['x'] } }), ['breaking value-removed query/a: has to be "x" now; clients may send "y"']],
    ['query', query({ a: { enum: ['x'] } }), query({ a: { enum: ['x', 'y'] } }), ['safe widened query/a: may be "y" too, beside "x"']],
    ['query', query({ a: { type: 'integer' } }), query({ a: text }), ['safe widened query/a: may be a string too, beside an integer']],
    ['query', query({ a: text }), query({ a: { type: 'array', items: text } }), ['safe widened query/a: may be an array too, beside a string']],
    ['query', query({ a: { enum: ['x', 1] } }), query({ a: { type: 'array', items: { enum: ['x', '1', 'y'] } } }), ['safe widened query/a: may be an array too, beside "x" or 1']],
    ['query', query({ a: text }), query({ a: { type: 'array', items: { enum: ['x'] } } }), ['breaking type-removed query/a: has to be an array now; clients may send a string']],
    ['query', query({ a: text }), query({ a: { type: 'array', items: text, minItems: 2 } }), ['breaking type-removed query/a: has to be an array of 2 or more items now; clients may send a string']],
    ['query', query({ a: { type: 'array', items: text } }), query({ a: text }), ['breaking type-removed query/a: has to be a string now; clients may send an array']],
    ['body', query({ a: text }), query({ a: { type: 'array', items: text } }), ['breaking type-removed body/a: has to be an array now; clients may send a string']],
    ['body', query({ a: { type: 'integer' } }), query({ a: text }), ['breaking type-removed body/a: has to be a string now; clients may send an integer']],
    ['query', query({ a: { type: 'integer' } }), query({ a: { type: 'integer', maximum: 9 } }), ['breaking bound-tightened query/a: has to be an integer up to 9 now; clients may send an integer']],
    ['headers', query({ 'X-A': text }), query({ 'x-a': text }), []],
    ['body', query({ a: text }), { ...query({}), additionalProperties: false }, ['breaking parameter-forbidden body/a: must not be sent any more; clients may send it']],
    ['body', undefined, query({}), ['breaking parameter-required body: is new: a request without it is refused']],
    ['body', query({}), undefined, ['breaking parameter-removed body: is no longer declared: the server may ignore it']]
  ]
  for (const [part, before, after, expected] of cases) t.strictSame(ofRequest(part, before, after), expected, `${part} ${JSON.stringify(after)}`)
})

t.test('what cannot be compared is said to be so, and counts as breaking', async (t) => {
  const cases: Array<[before: unknown, after: unknown]> = [
    [{ not: { type: 'string', pattern: 'a' } }, { not: { type: 'string', pattern: 'b' } }],
    [{ oneOf: [{ minimum: 1 }, { maximum: 5 }] }, { oneOf: [{ minimum: 2 }, { maximum: 5 }] }],
    [{ type: 'array', contains: { const: 1 } }, { type: 'array', contains: { const: 2 } }],
    [{ type: 'object', propertyNames: { maxLength: 3 } }, { type: 'object', propertyNames: { maxLength: 4 }, additionalProperties: true }],
    [{ $ref: 'https://example.com/a' }, { $ref: 'https://example.com/b' }],
    [{ $dynamicRef: '#a' }, { $dynamicRef: '#b' }],
    [{ $ref: '#/$defs/A', $defs: { A: { anyOf: [{ $ref: '#/$defs/A' }, { type: 'null' }] } } }, { type: 'null' }],
    [{ allOf: Array.from({ length: 9 }, (_, n) => ({ anyOf: [{ type: 'object', required: [`a${n}`] }, { type: 'object', required: [`b${n}`] }] })) }, { type: 'object', required: ['a0'] }]
  ]
  for (const [before, after] of cases) {
    const found = ofEvent(before, after)
    t.match(found[0], /^breaking not-comparable .*: has changed, and cannot be compared: /, JSON.stringify(after))
    t.strictSame(ofEvent(before, before), [])
  }
})

t.test('changes are grouped by stream, and of each what breaks comes first', async (t) => {
  const levels = diffManifests(
    manifest({ name: 'a', url: '/a', events: { x: any } }, { name: 'b', url: '/b', events: { x: any } }),
    manifest({ name: 'a', url: '/a', events: { y: any }, channel: 'c' }, { name: 'b', url: '/b', events: { y: any } }, { name: 'c', url: '/c' })
  ).map(({ stream, level }: Change) => `${stream} ${level}`)
  t.strictSame(levels, ['GET /a breaking', 'GET /a safe', 'GET /a safe', 'GET /b breaking', 'GET /b safe', 'GET /c safe'])
})

t.test('each code has its explanation', async (t) => {
  t.ok(Object.values(CHANGE_CODES).every((text) => /^[a-z].*[^.]$/.test(text)))
})

// Ajv forgets which properties are evaluated when one is called like a member that every object has.
const tame = (json: string): string => json.replaceAll('constructor', 'd').replaceAll('__proto__', 'e')

/** A TypeBox type as draft 2020-12: its tuples are prefixItems. */
function toSchema (type: unknown): Record<string, unknown> {
  return JSON.parse(tame(JSON.stringify(type)), (_key, value: unknown) => {
    const { items, additionalItems, ...rest } = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>
    return Array.isArray(items) ? { ...rest, prefixItems: items, ...(additionalItems === undefined ? {} : { items: additionalItems }) } : value
  })
}

type Node = Record<string, unknown>
type Place = { node: Node, set: (schema: unknown) => void }

function placesOf (schema: unknown, set: (schema: unknown) => void, places: Place[] = []): Place[] {
  if (typeof schema !== 'object' || schema === null) return places
  const node = schema as Node
  places.push({ node, set })
  for (const [keyword, value] of Object.entries(node)) {
    const children = ['properties', 'patternProperties', 'anyOf', 'oneOf', 'allOf', 'prefixItems'].includes(keyword) ? value as Node : undefined
    if (children !== undefined) for (const name of Object.keys(children)) placesOf(children[name], (child) => { children[name] = child }, places)
    else if (['items', 'not', 'if', 'then', 'else', 'contains', 'additionalProperties'].includes(keyword)) placesOf(value, (child) => { node[keyword] = child }, places)
  }
  return places
}

/** Small changes of a schema at one of its places. */
const mutations: ReadonlyArray<(place: Place, other: Node) => void> = [
  ({ set }, other) => set(other),
  ({ set, node }, other) => set({ anyOf: [node, other] }),
  ({ set, node }, other) => set({ allOf: [node, other] }),
  ({ set, node }, other) => set({ oneOf: [node, other] }),
  ({ set, node }) => set({ not: { not: node } }),
  ({ set, node }) => set({ allOf: [node], unevaluatedProperties: false }),
  ({ set, node }, other) => set({ anyOf: [node, { properties: { kind: other } }], unevaluatedProperties: other }),
  ({ node }) => { node['required'] = Object.keys(node['properties'] ?? {}) },
  ({ node }) => { delete node['required'] },
  ({ node }, other) => { node['properties'] = { ...node['properties'] as object, z: other } },
  ({ node }) => { node['properties'] = Object.fromEntries(Object.entries(node['properties'] ?? {}).slice(1)) },
  ({ node }) => { node['additionalProperties'] = false },
  ({ node }, other) => { node['additionalProperties'] = other },
  ({ node }, other) => { node['patternProperties'] = { '^a': other, b$: true } },
  ({ node }, other) => { Object.assign(node, { dependentRequired: { a: ['b'] }, dependentSchemas: { kind: other } }) },
  ({ node }) => { Object.assign(node, { minimum: 0, exclusiveMaximum: 2, minLength: 1, minItems: 1 }) },
  ({ node }) => { for (const keyword of ['minLength', 'exclusiveMinimum', 'minimum', 'minItems', 'maxProperties', 'minProperties']) delete node[keyword] },
  ({ node }) => { if (Array.isArray(node['anyOf'])) node['anyOf'].splice(0, 1, false) },
  ({ set, node }, other) => set({ anyOf: [node, { type: 'array', items: other }, { type: 'object', required: ['a'], properties: { a: { $ref: '#' } } }] })
]

const schemas = anyType.map(toSchema)
const pairs = fc.tuple(schemas, fc.array(fc.tuple(fc.nat(mutations.length - 1), fc.nat(20), schemas), { minLength: 1, maxLength: 3 }), fc.boolean())
  .map(([schema, steps, isTurned]) => {
    const box = { schema: structuredClone(schema) as unknown }
    for (const [mutation, index, other] of steps) {
      const places = placesOf(box.schema, (changed) => { box.schema = changed })
      if (places.length > 0) mutations[mutation]!(places[index % places.length]!, structuredClone(other))
    }
    return isTurned ? [box.schema as JSONSchema, schema] as const : [schema, box.schema as JSONSchema] as const
  })

const values = fc.array(anyValue.map((value) => JSON.stringify(value)).filter((text) => text !== undefined).map((text): unknown => JSON.parse(tame(text))), { minLength: 20, maxLength: 40 })

/** What a server sends of a value; undefined when it refuses to. */
function serializer (schema: JSONSchema): ((value: unknown) => unknown) | undefined {
  if (typeof schema === 'boolean') return undefined
  const event = compileEvents({ e: schema }).get('e')!
  return (value) => event.check(value) ? JSON.parse(event.stringify(value)) : undefined
}

/** The validator of a schema; undefined where Ajv's own code fails, as it does for some uses of unevaluatedProperties. */
function compiler (): (schema: JSONSchema) => (value: unknown) => boolean | undefined {
  const ajv = new Ajv2020({ strict: false, validateSchema: false, logger: false, ownProperties: true })
  addFormats.default(ajv)
  return (schema) => {
    const validate = ajv.compile(schema)
    return (value) => {
      try {
        return validate(value)
      } catch {
        return undefined
      }
    }
  }
}

t.test('when a schema is said to be within another, every value of it is valid under the other', async (t) => {
  const compile = compiler()
  let count = 0
  fc.assert(fc.property(pairs, values, ([sent, expected], samples) => {
    if (compareSchemas(sent, expected).problems.length > 0) return true
    count++
    const isSent = compile(sent)
    const isExpected = compile(expected)
    return samples.every((value) => isSent(value) !== true || isExpected(value) !== false)
  }), { numRuns: 500 })
  t.ok(count > 50, `${count} pairs`)
})

t.test('a schema that says the same in another order, with other text and other names, has not changed', async (t) => {
  const reordered = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(reordered)
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(Object.entries(value).reverse().map(([name, each]) => [name, reordered(each)]))
  }
  fc.assert(fc.property(schemas, (schema) => {
    const after = { description: 'd', $ref: '#/$defs/Named', $defs: { Named: reordered(schema) } }
    return ofEvent({ $ref: '#/$defs/A', $defs: { A: schema } }, after).length === 0
  }), { numRuns: 300 })
})

t.test('when a new payload is said to be safe, what a server sends of it is valid under the old one', async (t) => {
  const compile = compiler()
  let count = 0
  fc.assert(fc.property(pairs, values, ([after, before], samples) => {
    if (compareSchemas(after, before, { isDeclaredOnly: true }).problems.length > 0) return true
    const serialize = serializer(after)
    if (serialize === undefined) return true
    count++
    const isNew = compile(after)
    const isOld = compile(before)
    return samples.every((value) => {
      const sent = isNew(value) ? serialize(value) : undefined
      return sent === undefined || isNew(sent) !== true || isOld(sent) !== false
    })
  }), { numRuns: 400 })
  t.ok(count > 50, `${count} pairs`)
})
