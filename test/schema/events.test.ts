import { Type } from '@sinclair/typebox'
import t from 'tap'
import { SSEError } from '../../lib/errors.js'
import { TEXT_KEYWORD, defineEvents, isEventContract, isText, resolveEvents, text } from '../../lib/schema/events.js'

const tick = Type.Object({ now: Type.String() })
const closing = Type.Null()

/** What is thrown, as its code and its message. */
function refusal (action: () => unknown): [code: string, message: string] | undefined {
  try {
    action()
  } catch (error) {
    if (!(error instanceof SSEError)) throw error
    return [error.code, error.message]
  }
  return undefined
}

t.test('what is not a declaration of events is refused, with what was found and what to do', async (t) => {
  const contract = defineEvents({ tick })
  const cases: Array<[declaration: unknown, code: string, message: string]> = [
    [undefined, 'FST_SSE_SCHEMA_INVALID', 'The events are undefined. Declare an object: event type → schema of its data.'],
    [null, 'FST_SSE_SCHEMA_INVALID', 'The events are null. Declare an object: event type → schema of its data.'],
    [['tick'], 'FST_SSE_SCHEMA_INVALID', 'The events are ["tick"]. Declare an object: event type → schema of its data.'],
    ['tick', 'FST_SSE_SCHEMA_INVALID', 'The events are "tick". Declare an object: event type → schema of its data.'],
    [tick, 'FST_SSE_SCHEMA_INVALID', 'The events are one schema. Declare an object: event type → schema of its data.'],
    [Type.Any(), 'FST_SSE_SCHEMA_INVALID', 'The events are one schema. Declare an object: event type → schema of its data.'],
    [{ $ref: 'tick#' }, 'FST_SSE_SCHEMA_INVALID', 'The events are one schema. Declare an object: event type → schema of its data.'],
    [{ '~standard': {} }, 'FST_SSE_SCHEMA_INVALID', 'The events are one schema. Declare an object: event type → schema of its data.'],
    [{ tick: 'string' }, 'FST_SSE_SCHEMA_INVALID',
      'The schema of event "tick" is "string". Give it a TypeBox schema, Type.Null() for an event without data.'],
    [{ tick: true }, 'FST_SSE_SCHEMA_INVALID',
      'The schema of event "tick" is true. Give it a TypeBox schema, Type.Null() for an event without data.'],
    [{ tick: null }, 'FST_SSE_SCHEMA_INVALID',
      'The schema of event "tick" is null. Give it a TypeBox schema, Type.Null() for an event without data.'],
    [{ tick: undefined }, 'FST_SSE_SCHEMA_INVALID',
      'The schema of event "tick" is undefined. Give it a TypeBox schema, Type.Null() for an event without data.'],
    [{ tick: [] }, 'FST_SSE_SCHEMA_INVALID',
      'The schema of event "tick" is []. Give it a TypeBox schema, Type.Null() for an event without data.'],
    [{ clock: contract }, 'FST_SSE_SCHEMA_INVALID',
      'The schema of event "clock" is a contract. To compose contracts, spread their schemas: defineEvents({ ...contract.schemas }).'],
    [{ '': tick }, 'FST_SSE_EVENT_TYPE_INVALID', 'An event type is empty. Give it a name; a client receives an event without one as "message".'],
    [{ 'a\nb': tick }, 'FST_SSE_EVENT_TYPE_INVALID',
      'The event type "a\\nb" contains a line end, which would end its field on the wire. Use one line.'],
    [{ 'a\r': tick }, 'FST_SSE_EVENT_TYPE_INVALID',
      'The event type "a\\r" contains a line end, which would end its field on the wire. Use one line.'],
    [{ error: tick }, 'FST_SSE_EVENT_TYPE_RESERVED',
      'The event type "error" is reserved: an EventSource dispatches its own. Choose another name.'],
    [{ open: tick }, 'FST_SSE_EVENT_TYPE_RESERVED',
      'The event type "open" is reserved: an EventSource dispatches its own. Choose another name.'],
    [{ 'sse.': tick }, 'FST_SSE_EVENT_TYPE_RESERVED',
      'The event type "sse." is reserved: names that start with "sse." belong to fastify-typed-sse. Choose another name.'],
    [{ 'sse.gap': tick }, 'FST_SSE_EVENT_TYPE_RESERVED',
      'The event type "sse.gap" is reserved: names that start with "sse." belong to fastify-typed-sse. Choose another name.']
  ]
  for (const [declaration, code, message] of cases) {
    t.strictSame(refusal(() => defineEvents(declaration as never)), [code, message])
    t.strictSame(refusal(() => resolveEvents(declaration)), [code, message], 'a bare map of a route is checked alike')
  }
})

t.test('names that are only like reserved ones may be declared', async (t) => {
  const names = ['Error', 'errors', 'opened', 'sse', 'ssex', 'message', ' ', 'Ärger', 'a:b', 'data']
  t.strictSame(Object.keys(defineEvents(Object.fromEntries(names.map((name) => [name, tick]))).schemas), names)
})

t.test('make gives an event with the fields that were given, and no others', async (t) => {
  const { make } = defineEvents({ tick, closing })
  const cases: Array<[made: unknown, event: unknown]> = [
    [make.tick({ now: 'x' }), { event: 'tick', data: { now: 'x' } }],
    [make.tick({ now: 'x' }, {}), { event: 'tick', data: { now: 'x' } }],
    [make.tick({ now: 'x' }, { id: 'a', retry: 10 }), { event: 'tick', data: { now: 'x' }, id: 'a', retry: 10 }],
    [make.tick({ now: 'x' }, { id: 0, retry: 0 }), { event: 'tick', data: { now: 'x' }, id: 0, retry: 0 }],
    [make.tick({ now: 'x' }, { id: '' }), { event: 'tick', data: { now: 'x' }, id: '' }],
    [make.tick({ now: 'x' }, { id: undefined, retry: undefined }), { event: 'tick', data: { now: 'x' } }],
    [make.closing(), { event: 'closing', data: null }],
    [make.closing(undefined, { id: 1 }), { event: 'closing', data: null, id: 1 }],
    [make.closing(null), { event: 'closing', data: null }]
  ]
  for (const [made, event] of cases) t.strictSame(made, event)
})

t.test('data is handed on as it is', async (t) => {
  const data = { now: 'x' }
  t.equal(defineEvents({ tick }).make.tick(data).data, data)
})

t.test('an event may be called like something that every object has', async (t) => {
  const Odd = defineEvents({ constructor: tick, ['__proto__']: closing, toString: tick, hasOwnProperty: tick, make: tick, schemas: tick })
  const names = ['constructor', '__proto__', 'toString', 'hasOwnProperty', 'make', 'schemas']
  t.strictSame(Object.keys(Odd.schemas), names)
  t.strictSame(Object.keys(Odd.make), names)
  t.strictSame(Odd.make.constructor({ now: 'x' }), { event: 'constructor', data: { now: 'x' } })
  t.strictSame(Reflect.get(Odd.make, '__proto__')(), { event: '__proto__', data: null })
})

t.test('what is not declared is not found, whatever every object has', async (t) => {
  const { schemas, make } = defineEvents({ tick })
  for (const name of ['constructor', '__proto__', 'toString']) {
    t.equal(Reflect.get(schemas, name), undefined)
    t.equal(Reflect.get(make, name), undefined)
    t.equal(Reflect.get(resolveEvents({ tick }), name), undefined)
  }
})

t.test('a contract does not change with the map it was made of, and cannot be changed', async (t) => {
  const map: Record<string, typeof tick> = { tick }
  const contract = defineEvents(map)
  map['tock'] = tick
  t.strictSame(Object.keys(contract.schemas), ['tick'])
  t.ok(Object.isFrozen(contract))
  t.ok(Object.isFrozen(contract.schemas))
  t.ok(Object.isFrozen(contract.make))
})

t.test('a contract keeps the very schemas it was given', async (t) => {
  const { schemas } = defineEvents({ tick, closing })
  t.equal(schemas.tick, tick)
  t.equal(schemas.closing, closing)
})

t.test('contracts are composed of their schemas', async (t) => {
  const both = defineEvents({ ...defineEvents({ tick }).schemas, ...defineEvents({ closing }).schemas })
  t.strictSame(Object.keys(both.make), ['tick', 'closing'])
})

t.test('the events of a contract are resolved once', async (t) => {
  const contract = defineEvents({ tick })
  t.equal(resolveEvents(contract), contract.schemas)
})

t.test('a bare map is resolved to its schemas', async (t) => {
  const resolved = resolveEvents({ tick, closing })
  t.strictSame(Object.keys(resolved), ['tick', 'closing'])
  t.equal(resolved['tick'], tick)
  t.ok(Object.isFrozen(resolved))
})

t.test('a bare map with events called schemas and make is not taken for a contract', async (t) => {
  const map = { schemas: tick, make: closing }
  t.notOk(isEventContract(map))
  t.strictSame(Object.keys(resolveEvents(map)), ['schemas', 'make'])
})

t.test('a contract made by another copy of the package is a contract', async (t) => {
  const other = { [Symbol.for('fastify-typed-sse.events')]: true, schemas: { tick }, make: {} }
  t.ok(isEventContract(other))
  t.equal(resolveEvents(other), other.schemas)
})

t.test('schemas that are not of TypeBox are taken as they are', async (t) => {
  const resolved = resolveEvents({ tick: { type: 'object' }, tock: { $ref: 'tock#' } })
  t.strictSame({ ...resolved }, { tick: { type: 'object' }, tock: { $ref: 'tock#' } })
})

t.test('text is a string schema with a mark, and keeps its options', async (t) => {
  t.strictSame(JSON.parse(JSON.stringify(text({ maxLength: 10, description: 'a line' }))),
    { maxLength: 10, description: 'a line', [TEXT_KEYWORD]: 'text', type: 'string' })
  t.strictSame(JSON.parse(JSON.stringify(text())), { 'x-sse-data': 'text', type: 'string' })
})

t.test('text is recognised by its mark alone, also after JSON', async (t) => {
  const cases: Array<[schema: unknown, is: boolean]> = [
    [text(), true],
    [JSON.parse(JSON.stringify(text())), true],
    [Type.String(), false],
    [{ [TEXT_KEYWORD]: 'json' }, false],
    [null, false],
    ['text', false],
    [undefined, false]
  ]
  for (const [schema, is] of cases) t.equal(isText(schema), is)
})
