import t from 'tap'
import { FormatRegistry, Kind, Type } from '@sinclair/typebox'
import { SSEError } from '../../lib/errors.js'
import { registerFormats } from '../../lib/schema/formats.js'
import { assertJSONSchema } from '../../lib/schema/json-schema.js'

const refusal = (schema: unknown): { code: string, message: string, path: unknown, found: unknown, eventType: unknown } | undefined => {
  try {
    assertJSONSchema('tick', schema)
    return undefined
  } catch (err) {
    if (!(err instanceof SSEError)) throw err
    const { path, found, eventType } = err as unknown as Record<string, unknown>
    return { code: err.code, message: err.message, path, found, eventType }
  }
}

const say = (what: string, instead: string): string => `The schema of event "tick" ${what.includes(', at /') ? 'has' : 'is'} ${what}. ${instead}`

t.test('a type that JSON has no values for is refused with the type to use instead', async (t) => {
  const date = "Use Type.String({ format: 'date-time' }) and send date.toISOString()."
  t.strictSame(refusal(Type.Date()), {
    code: 'FST_SSE_SCHEMA_INVALID',
    message: say('Type.Date, which JSON has no values for', date),
    path: '',
    found: 'Date',
    eventType: 'tick'
  })
  const cases: Array<[unknown, string]> = [
    [Type.BigInt(), 'BigInt'], [Type.Undefined(), 'Undefined'], [Type.Void(), 'Void'], [Type.Uint8Array(), 'Uint8Array'],
    [Type.RegExp(/a/i), 'RegExp'], [Type.Symbol(), 'Symbol'], [Type.Function([], Type.Null()), 'Function'],
    [Type.Constructor([], Type.Null()), 'Constructor'], [Type.Promise(Type.Null()), 'Promise'],
    [Type.Iterator(Type.Null()), 'Iterator'], [Type.AsyncIterator(Type.Null()), 'AsyncIterator'], [Type.Argument(0), 'Argument']
  ]
  t.strictSame(cases.map(([schema]) => refusal(schema)?.found), cases.map(([, kind]) => kind))
})

t.test('a wrong part is found at any depth, and its path is a JSON pointer into the schema', async (t) => {
  const wrong = Type.Date()
  const schemas: Record<string, unknown> = {
    '/properties/a~1b/items': Type.Object({ 'a/b': Type.Array(wrong) }),
    '/anyOf/1': Type.Union([Type.Null(), wrong]),
    '/allOf/0/properties/at': Type.Intersect([Type.Object({ at: wrong }), Type.Object({})]),
    '/patternProperties/^(.*)$': Type.Record(Type.String(), wrong),
    '/items/0': Type.Tuple([wrong]),
    '/not': Type.Not(wrong),
    '/additionalProperties': Type.Object({}, { additionalProperties: wrong }),
    '/$defs/A/properties/at': Type.Module({ A: Type.Object({ at: wrong }) }).Import('A'),
    '/properties/at': Type.Recursive((This) => Type.Object({ next: Type.Optional(This), at: wrong })),
    '/definitions/a': { definitions: { a: wrong } },
    '/if': { if: wrong },
    '/dependencies/a': { dependencies: { b: ['c'], a: wrong } },
    '/prefixItems/0': { prefixItems: [wrong] },
    '/oneOf/0': { oneOf: [wrong] }
  }
  t.strictSame(Object.values(schemas).map((schema) => refusal(schema)?.path), Object.keys(schemas))
})

t.test('a type that is not one of the seven of JSON Schema is refused', async (t) => {
  t.equal(refusal({ type: 'strnig' })?.message, say('"strnig", which is not a type of JSON Schema, at /type', 'Did you mean "string"?'))
  t.equal(refusal({ type: ['null', 'bigint'] })?.message, say('"bigint", which is not a type of JSON Schema, at /type/1',
    'Use Type.String() and send value.toString(), or Type.Integer() up to Number.MAX_SAFE_INTEGER.'))
  t.equal(refusal({ type: [] })?.message, say('an empty list, at /type', 'Use one of string, number, integer, boolean, object, array, null.'))
  t.equal(refusal({ type: 'date' })?.path, '/type')
  t.equal(refusal({ type: 7 })?.found, 7)
})

t.test('a schema of another library is refused by its name', async (t) => {
  class ZodObject {
    '~standard' = { vendor: 'zod', version: 1 }
  }
  t.equal(refusal(new ZodObject())?.message, say('a schema of zod', 'Convert it to JSON Schema first, or use TypeBox.'))
  const arktype = Object.assign(() => {}, { '~standard': { vendor: 'arktype' } })
  t.equal(refusal({ properties: { a: arktype } })?.message, say('a schema of arktype, at /properties/a', 'Convert it to JSON Schema first, or use TypeBox.'))
})

t.test('what is no plain object is refused where a schema is expected', async (t) => {
  const instead = 'Use a TypeBox type or a JSON Schema object.'
  t.equal(refusal(undefined)?.message, say('undefined', instead))
  t.equal(refusal(null)?.message, say('null', instead))
  t.equal(refusal('string')?.message, say('the string "string"', instead))
  t.equal(refusal(function tick () {})?.message, say('the function tick', instead))
  t.equal(refusal({ items: [Type.Null(), new Date(0)] })?.message, say('an instance of Date, at /items/1', instead))
  t.equal(refusal({ properties: { a: 'string' } })?.message, say('the string "string", at /properties/a', instead))
  t.equal(refusal({ anyOf: {} })?.message, say('an object that is not plain, at /anyOf', 'Use an array of schemas.'))
  t.equal(refusal({ const: 1n })?.message, say('the bigint 1, at /const', 'Use a JSON value.'))
  t.equal(refusal({ enum: [1, { a: () => {} }] })?.path, '/enum/1/a')
  t.equal(refusal({ minimum: NaN })?.message, say('NaN, at /minimum', 'Use a finite number.'))
})

t.test('an object that contains itself is refused', async (t) => {
  const list: Record<string, unknown> = { type: 'object', properties: {} }
  list['properties'] = { next: list }
  t.equal(refusal(list)?.message, say('a reference back to an object that contains it, at /properties/next', 'Use $ref, or Type.Recursive().'))
  const value: unknown[] = []
  value.push(value)
  t.equal(refusal({ enum: value })?.path, '/enum/0')
})

t.test('the format that switches escaping off is refused', async (t) => {
  t.equal(refusal(Type.String({ format: 'unsafe' }))?.message,
    say('the format "unsafe", with which strings are written without escaping, at /format', 'Leave out the format.'))
  FormatRegistry.Set('unsafe', () => true)
  t.teardown(() => FormatRegistry.Delete('unsafe'))
  t.equal(refusal(Type.String({ format: 'unsafe' }))?.path, '/format')
})

t.test('an unknown format is refused with the nearest known one', async (t) => {
  t.equal(refusal(Type.String({ format: 'datetime' }))?.message, say('the unknown format "datetime", at /format',
    'Did you mean "date-time"? Register your own with TypeBox\'s FormatRegistry.Set() before the route.'))
  t.equal(refusal({ type: 'string', format: 7 })?.found, 7)
})

t.test('a pattern that does not compile is refused', async (t) => {
  t.equal(refusal(Type.String({ pattern: '(' }))?.path, '/pattern')
  t.equal(refusal({ patternProperties: { '[': {} } })?.path, '/patternProperties/[')
  t.equal(refusal({ pattern: /a/ })?.path, '/pattern')
})

t.test('a misspelt keyword of plain JSON Schema is refused', async (t) => {
  t.equal(refusal({ type: 'object', requird: ['a'] })?.message,
    say('the unknown keyword "requird", at /requird', 'Did you mean "required"? Start keywords of your own with "x-".'))
  t.equal(refusal({ minlength: 1 })?.path, '/minlength')
  t.equal(refusal({ $dynamicRef: '#a' })?.message, say('a dynamic reference, at /$dynamicRef', 'Use $ref.'))
})

t.test('every format of ajv-formats is known', async (t) => {
  for (const format of ['date-time', 'date', 'time', 'email', 'uri', 'uuid', 'ipv6', 'byte', 'int32', 'double', 'binary', 'json-pointer']) {
    t.equal(refusal({ format }), undefined, format)
  }
})

t.test("a format of TypeBox's registry is known, and stays the application's own", async (t) => {
  FormatRegistry.Set('sku', (value) => value.startsWith('SKU'))
  FormatRegistry.Set('uuid', (value) => value === 'mine')
  t.teardown(() => {
    FormatRegistry.Delete('sku')
    FormatRegistry.Delete('uuid')
  })
  t.equal(refusal(Type.String({ format: 'sku' })), undefined)
  registerFormats()
  t.equal(FormatRegistry.Get('uuid')!('mine'), true)
  t.equal(FormatRegistry.Get('email')!('a@b.example'), true)
})

t.test('what JSON Schema, OpenAPI and TypeBox have is accepted', async (t) => {
  const shared = Type.Object({ id: Type.String() })
  const schemas: unknown[] = [
    Type.Any(), Type.Unknown(), Type.Never(), Type.Null(), Type.Literal('a'), Type.Enum({ A: 'a' }), Type.TemplateLiteral('a${string}'), // eslint-disable-line no-template-curly-in-string
    Type.Record(Type.String(), Type.Integer()), Type.Tuple([]), Type.Object({ a: shared, b: shared }), Type.Partial(shared),
    Type.Recursive((This) => Type.Object({ next: Type.Optional(This) })), Type.Unsafe<string>({ type: 'string', enum: ['a'] }),
    Type.Transform(Type.String()).Decode((value) => value).Encode((value) => value),
    Type.String({ anything: () => {}, errorMessage: 'x' }),
    { [Kind]: 'StringEnum', type: 'string', enum: ['a'] },
    {}, { 'x-sse-data': 'text', type: 'string' }, { type: 'string', nullable: true, example: 'a', 'x-internal': new Date() },
    { oneOf: [{ type: 'null' }], discriminator: { propertyName: 'type' } }, { additionalProperties: false, items: true },
    { type: 'object', properties: { type: { type: 'string' }, format: {}, $ref: {} } }, { default: { a: [1, null] } }, { fluent: 1, type: undefined },
    Object.assign(Object.create(null), { type: 'null' }), { type: 'array', items: [{}], additionalItems: false }
  ]
  for (const schema of schemas) t.equal(refusal(schema), undefined, JSON.stringify(schema))
})
