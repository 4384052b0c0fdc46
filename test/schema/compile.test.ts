import t from 'tap'
import Fastify from 'fastify'
import { FormatRegistry, Kind, Type, TypeRegistry, type TSchema } from '@sinclair/typebox'
import { TypeSystemPolicy } from '@sinclair/typebox/system'
import { SSEError } from '../../lib/errors.js'
import { compileEvents, type CompiledEvent, type CompileOptions, type EventIssue } from '../../lib/schema/compile.js'
import { text } from '../../lib/schema/events.js'

const compile = (schema: unknown, options?: CompileOptions): CompiledEvent => compileEvents({ tick: schema }, options).get('tick')!

const plain = (schema: object): object => JSON.parse(JSON.stringify(schema)) as object

/** What a schema says to data: `true`, or the issues. */
const verdict = (schema: unknown, data: unknown, options?: CompileOptions): true | EventIssue[] => {
  const event = compile(schema, options)
  return event.check(data) || event.explain(data)
}

const refusal = (schema: unknown, options?: CompileOptions): SSEError => {
  try {
    compile(schema, options)
  } catch (err) {
    if (err instanceof SSEError) return err
    throw err
  }
  throw new Error('it compiles')
}

t.test('a reference to nothing is refused with the nearest schema there is', async (t) => {
  const schemas = { User: { $id: 'User', type: 'object', properties: { name: { type: 'string' } } } }
  const error = refusal({ $ref: 'Usr#' }, { schemas })
  t.equal(error.code, 'FST_SSE_SCHEMA_INVALID')
  t.equal(error.message, 'The schema of event "tick" refers to "Usr#", which does not exist. Did you mean "User"?')
  t.equal(refusal({ $ref: 'User#/properties/nmae' }, { schemas }).message,
    'The schema of event "tick" refers to "User#/properties/nmae", which does not exist. The schema "User" has nothing at "#/properties/nmae".')
  t.equal(refusal(Type.Ref('Elsewhere')).message,
    'The schema of event "tick" refers to "Elsewhere", which does not exist. Add the schema to the instance with addSchema() before the route, or take a TypeBox type from its module with module.Import().')
  t.equal(refusal({ properties: { a: { $ref: '#/$defs/b' } } }).code, 'FST_SSE_SCHEMA_INVALID')
})

t.test('a shared schema that is not JSON Schema is refused where it is referred to', async (t) => {
  const schemas = { At: { $id: 'At', properties: { at: Type.Date() } } }
  t.equal(refusal({ $ref: 'At' }, { schemas }).code, 'FST_SSE_SCHEMA_INVALID')
  t.equal(verdict(Type.Null(), null, { schemas }), true)
})

t.test('two different schemas of one $id in one event are refused', async (t) => {
  const schema = Type.Object({ a: Type.String({ $id: 'X' }), b: Type.Number({ $id: 'X' }) })
  t.equal(refusal(schema).message, 'Two different schemas in event "tick" have the $id "X". Rename one of them.')
})

t.test('a schema that does not compile is refused with the cause', async (t) => {
  const error = refusal({ type: 'string', minLength: '5' })
  t.equal(error.code, 'FST_SSE_SCHEMA_INVALID')
  t.match(error.message, /^The schema of event "tick" does not compile: .*minLength.*\. Correct it\.$/)
  t.ok(error.cause instanceof Error)
  t.equal(refusal(Type.String({ minLength: '5' as unknown as number })).code, 'FST_SSE_SCHEMA_INVALID')
})

t.test('data that does not match is told of by path and by what was found, and never by its content', async (t) => {
  const schema = Type.Object({ at: Type.String({ format: 'date-time' }), list: Type.Array(Type.Object({ n: Type.Integer({ minimum: 1 }) })) })
  const data = { at: new Date(0), list: [{ n: 1 }, { n: 'secret' }, { n: 0 }] }
  t.strictSame(verdict(schema, data), [
    { path: '/at', message: 'Expected string, found a Date: send its toISOString()' },
    { path: '/list/1/n', message: 'Expected integer, found a string' },
    { path: '/list/2/n', message: 'Expected integer to be greater or equal to 1' }
  ])
  t.strictSame(verdict(plain(schema), data), [{ path: '/at', message: 'must be string, found a Date: send its toISOString()' }])
  t.strictSame(verdict(schema, { list: [] }), [{ path: '/at', message: 'Expected required property' }])
  t.strictSame(verdict(plain(schema), undefined), [{ path: '', message: 'must be object, found undefined' }])
})

t.test('at most five issues are told of', async (t) => {
  t.equal((verdict(Type.Array(Type.String()), Array.from({ length: 100 }, () => 1)) as EventIssue[]).length, 5)
})

t.test('in a union, what is wrong with the branch that was meant is told', async (t) => {
  const schema = Type.Union([
    Type.Object({ kind: Type.Literal('a'), n: Type.Number() }),
    Type.Object({ kind: Type.Literal('b'), s: Type.String() }),
    Type.Null()
  ])
  t.strictSame(verdict(schema, { kind: 'b', s: 1 }), [{ path: '/s', message: 'Expected string, found a number' }])
  t.strictSame(verdict(schema, { kind: 'c' }), [{ path: '', message: 'Expected union value, found an object' }])
})

t.test('nothing is coerced, filled in or changed', async (t) => {
  for (const schema of [Type.Object({ n: Type.Number({ default: 7 }), s: Type.Optional(Type.String({ default: 'x' })) }), { type: 'object', required: ['n'], properties: { n: { type: 'number', default: 7 }, s: { type: 'string', default: 'x' } } }]) {
    t.not(verdict(schema, { n: '7' }), true)
    t.not(verdict(schema, {}), true)
    const data = Object.freeze({ n: 7, extra: Object.freeze({}) })
    t.equal(verdict(schema, data), true)
    t.equal(compile(schema).stringify(data), '{"n":7}')
  }
})

t.test('both engines say the same of what JSON does not have', async (t) => {
  class Point { get x (): number { return 1 } }
  const revoked = Proxy.revocable({}, {})
  revoked.revoke()
  const cycle: unknown[] = []
  cycle.push(cycle)
  const throwing = { get x (): number { throw new Error('no') } }
  const X = Type.Object({ x: Type.Number() })
  const Tree = Type.Recursive((This) => Type.Array(This))
  const sparse: unknown[] = []
  sparse.length = 1
  const cases: Array<[title: string, schema: TSchema, data: unknown, passes: boolean]> = [
    ['NaN is no number', Type.Number(), NaN, false],
    ['nor is Infinity', Type.Number(), -Infinity, false],
    ['nor NaN null', Type.Union([Type.Number(), Type.Null()]), NaN, false],
    ['nor NaN in place of an object', Type.Union([Type.Object({ x: Type.Any() }), Type.Null()]), NaN, false],
    ['minus zero is zero', Type.Literal(0), -0, true],
    ['a fraction is no integer', Type.Integer(), 1.5, false],
    ['a boxed string is no string', Type.String(), Object('a'), false],
    ['a Date is no string', Type.String(), new Date(0), false],
    ['a Date is anything', Type.Any(), new Date(0), true],
    ['an array is no object', Type.Object({}), [], false],
    ['an object is no array', Type.Array(Type.Any()), { length: 0 }, false],
    ['undefined is nothing', Type.Any(), undefined, false],
    ['a function is nothing', Type.Unknown(), () => {}, false],
    ['undefined in an array is nothing', Type.Array(Type.Any()), [undefined], false],
    ['nor is a hole', Type.Array(Type.Unknown()), sparse, false],
    ['an undefined optional property is absent', Type.Object({ x: Type.Optional(Type.Number()) }), { x: undefined }, true],
    ['an undefined required property is absent', Type.Object({ x: Type.Any() }), { x: undefined }, false],
    ['an undefined entry of a record is absent', Type.Record(Type.String(), Type.Number()), { x: undefined }, true],
    ['a property may be a getter of a class', X, new Point(), true],
    ['an object may have no prototype', X, Object.assign(Object.create(null), { x: 1 }), true],
    ['what toJSON would give does not count', X, { x: 1, toJSON: () => 'x' }, true],
    ['a getter that throws does not match', X, throwing, false],
    ['a revoked proxy does not match', X, revoked.proxy, false],
    ['an array that contains itself does not match', Tree, cycle, false],
    ['an inherited name is no property', Type.Object({ constructor: Type.Optional(Type.String()) }), {}, true],
    ['a closed object has no more', Type.Object({ x: Type.Number() }, { additionalProperties: false }), { x: 1, y: 2 }, false],
    ['undeclared properties do not count', Type.Object({ x: Type.Number() }, { minProperties: 2 }), { x: 1, y: 2 }, false],
    ['nor do those that make items differ', Type.Array(X, { uniqueItems: true }), [{ x: 1, y: 1 }, { x: 1, y: 2 }], false],
    ['lengths count characters', Type.String({ minLength: 2 }), '😀', false],
    ['patterns read characters', Type.String({ pattern: '^.$' }), '😀', true],
    ['a pattern for code units is read so', Type.String({ pattern: '^\\-$' }), '-', true],
    ['a number is a multiple of a fraction', Type.Number({ multipleOf: 0.5 }), 1.5, true]
  ]
  for (const [title, schema, data, passes] of cases) {
    t.equal(compile(schema).check(data), passes, title)
    t.equal(compile(plain(schema)).check(data), passes, `${title}, as plain JSON Schema`)
    if (!passes) t.ok(compile(schema).explain(data).length > 0 && compile(plain(schema)).explain(data).length > 0, `${title}: it is told why`)
  }
})

t.test('constraints that TypeBox does not look at hold all the same', async (t) => {
  t.not(verdict(Type.String({ enum: ['a'] }), 'b'), true)
  t.not(verdict(Type.Number({ format: 'int32' }), 2 ** 40), true)
  t.not(verdict(Type.Object({ a: Type.Optional(Type.String()) }, { dependentRequired: { a: ['b'] } }), { a: 'x' }), true)
  t.not(verdict(Type.Array(Type.Number(), { contains: Type.Literal(1) }), [2]), true)
  t.equal(verdict(Type.Array(Type.Number(), { contains: Type.Literal(1), minContains: 0 }), [2]), true)
})

t.test("TypeBox's policies cannot make the check looser", async (t) => {
  TypeSystemPolicy.AllowNaN = true
  t.teardown(() => { TypeSystemPolicy.AllowNaN = false })
  const event = compile(Type.Object({ n: Type.Number({ description: 'policy' }) }))
  t.equal(event.check({ n: NaN }), false)
  t.strictSame(event.explain({ n: NaN }), [{ path: '', message: 'does not match the schema' }])
  t.equal(TypeSystemPolicy.AllowNaN, true)
})

t.test("kinds of the application's own are checked by TypeBox's registry, beside Ajv too", async (t) => {
  TypeRegistry.Set<TSchema & { enum: string[] }>('Even', (_, value) => typeof value === 'number' && value % 2 === 0)
  t.teardown(() => TypeRegistry.Delete('Even'))
  const Even = { [Kind]: 'Even', type: 'number' } as unknown as TSchema
  t.equal(compile(Type.Object({ n: Even })).check({ n: 1 }), false)
  t.equal(compile(Type.Object({ n: Even, s: Type.String({ pattern: 'x' }) })).check({ n: 1, s: 'x' }), false)
  t.equal(compile(Type.Record(Type.String(), Even)).check({ n: 1 }), false)
  t.equal(compile(Type.Record(Type.String(), Even)).stringify({ n: 2 }), '{"n":2}')
})

t.test("a format of the application's own is used by both engines", async (t) => {
  FormatRegistry.Set('hostname', (value) => value === 'here')
  t.teardown(() => FormatRegistry.Delete('hostname'))
  const schema = Type.String({ format: 'hostname' })
  t.strictSame([schema, plain(schema)].map((each) => [compile(each).check('here'), compile(each).check('example.com')]), [[true, false], [true, false]])
})

t.test('a timestamp that does not exist is refused', async (t) => {
  const event = compile(Type.String({ format: 'date-time' }))
  const accepted = ['2024-02-29T23:59:59.999Z', '2024-01-31T00:00:00Z', '2024-01-01T00:00:00+02:00', '2016-12-31T23:59:60Z', '2024-01-01t00:00:00z']
  const refused = ['2023-02-29T00:00:00Z', '2024-13-01T00:00:00Z', '2024-01-01T24:00:00Z', '2024-01-01', '2024-01-01T00:00:00', '2024-01-01T00:00:00Z\n', '2024-00-10T00:00:00Z']
  t.strictSame(accepted.filter((value) => !event.check(value)), [])
  t.strictSame(refused.filter((value) => event.check(value)), [])
})

t.test('references are followed as they are meant', async (t) => {
  const Module = Type.Module({ A: Type.Object({ b: Type.Optional(Type.Ref('B')) }), B: Type.Object({ a: Type.Ref('A') }) })
  const Other = Type.Module({ A: Type.Object({ n: Type.Number() }) })
  const both = Type.Object({ one: Module.Import('A'), other: Other.Import('A') })
  t.equal(verdict(both, { one: { b: { a: {} } }, other: { n: 1 } }), true)
  t.not(verdict(both, { one: {}, other: {} }), true)

  const schemas = {
    'https://example.com/order.json': {
      $id: 'https://example.com/order.json', type: 'object', required: ['item'], properties: { item: { $ref: 'item.json' }, next: { $ref: '#' } }
    },
    'https://example.com/item.json': { $id: 'https://example.com/item.json', type: 'object', required: ['id'], properties: { id: { $ref: '#id' } }, definitions: { id: { $id: '#id', type: 'integer' } } },
    Nest: { $id: 'Nest', definitions: { inner: { $id: 'Inner', type: 'boolean' } } }
  }
  const order = { $ref: 'https://example.com/order.json#' }
  t.equal(verdict(order, { item: { id: 1 }, next: { item: { id: 2 } } }, { schemas }), true)
  t.strictSame(verdict(order, { item: { id: 1 }, next: { item: { id: 'x' } } }, { schemas }), [{ path: '/next/item/id', message: 'must be integer, found a string' }])
  t.equal(verdict({ $ref: 'Inner' }, true, { schemas }), true)
  t.equal(verdict({ properties: { 'a/b': { $ref: '#/$defs/c~1d%25' } }, $defs: { 'c/d%': { type: 'null' } } }, { 'a/b': null }), true)
  t.equal(verdict({ $defs: { a: { $anchor: 'here', type: 'null' } }, $ref: '#here' }, null), true)
})

t.test('a contract means on each instance what the schemas there say', async (t) => {
  const Contract = Type.Unsafe({ $ref: 'Id' })
  const strings = { Id: { $id: 'Id', type: 'string' } }
  const numbers = { Id: { $id: 'Id', type: 'number' } }
  t.strictSame([strings, numbers].map((schemas) => [compile(Contract, { schemas }).check('a'), compile(Contract, { schemas }).check(1)]), [[true, false], [false, true]])
})

t.test('events may share a schema that has an $id, and one that is shared by addSchema', async (t) => {
  const Shared = Type.Object({ a: Type.Number() }, { $id: 'Shared' })
  const events = compileEvents({ one: Shared, two: Type.Array(Shared), three: plain(Shared), four: { $ref: 'Shared' } }, { schemas: { Shared } })
  t.strictSame([...events].map(([type, event]) => [type, event.type, event.check({ a: 1 }), event.check([{ a: 1 }])]), [
    ['one', 'one', true, false], ['two', 'two', false, true], ['three', 'three', true, false], ['four', 'four', true, false]
  ])
})

t.test('a schema that refers to nothing outside is compiled once for all routes', async (t) => {
  const schema = Type.Object({ a: Type.Number() })
  const [one, two] = [compile(schema), compileEvents({ other: schema }, { schemas: {} }).get('other')!]
  t.equal(one.check, two.check)
  t.equal(one.stringify, two.stringify)
  t.strictSame([one.type, two.type], ['tick', 'other'])
})

t.test('text is checked by its schema and leaves as it is', async (t) => {
  const event = compile(text({ minLength: 2 }))
  t.strictSame([event.isText, event.check('a'), event.check('ab'), event.check(7)], [true, false, true, false])
  t.equal(event.stringify('a\r\n"b"'), 'a\r\n"b"')
  t.equal(compile(Type.String()).isText, false)
})

t.test("the application's serializer gets what the schema declares, and its lines are joined", async (t) => {
  const asked: unknown[] = []
  const schema = Type.Object({ a: Type.Number(), b: Type.Array(Type.String()) })
  const event = compile(schema, {
    method: 'POST',
    url: '/x',
    serializerCompiler: (route) => {
      asked.push(route)
      return (data) => JSON.stringify(data, null, '\r\n')
    }
  })
  t.strictSame(asked, [{ schema, method: 'POST', url: '/x', httpStatus: '200' }])
  t.equal(event.stringify({ secret: 1, b: ['x\r\ny'], a: 1 }), '{"a": 1,"b": ["x\\r\\ny"]}')
  t.throws(() => compile(schema, { serializerCompiler: () => () => undefined as unknown as string }).stringify({ a: 1, b: [] }), TypeError)
})

t.test("an application's serializer that refuses a schema is named", async (t) => {
  const cause = new Error('zod only')
  const error = refusal(Type.Null(), { serializerCompiler: () => { throw cause } })
  t.equal(error.message, 'The serializer compiler refuses the schema of event "tick": zod only. Set one for the route that takes JSON Schema.')
  t.equal(error.cause, cause)
})

t.test("Fastify's default serializer, which nobody chose, is not used", async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.get('/', { schema: { response: { 200: { type: 'null' } } } }, async () => null)
  await app.ready()
  const { serializerCompiler } = app as unknown as { serializerCompiler: NonNullable<CompileOptions['serializerCompiler']> }
  const schema = Type.Union([Type.Object({ a: Type.String() }), Type.Object({ a: Type.String(), b: Type.Number() })])
  t.equal(serializerCompiler({ schema, method: 'GET', url: '/', httpStatus: '200' })({ a: 'x', b: 1 }), '{"a":"x"}')
  t.equal(compile(schema, { serializerCompiler }).stringify({ a: 'x', b: 1 }), '{"a":"x","b":1}')
})

t.test('data that was not checked leaves with what its schema names, and what JSON cannot hold throws', async (t) => {
  const event = compile(Type.Object({ at: Type.String({ format: 'date-time' }), n: Type.Number(), o: Type.Object({ a: Type.Null() }), l: Type.Array(Type.String()) }))
  t.equal(event.stringify({ at: new Date(0), n: NaN, o: { secret: 1 }, l: [1, { secret: 1 }, undefined], secret: 1 }),
    '{"at":"1970-01-01T00:00:00.000Z","n":null,"o":{},"l":[1,{},null]}')
  t.equal(event.stringify({ at: { secret: 1 }, n: 'x', o: ['secret'], l: 'y' }), '{"at":{},"n":"x","o":[],"l":"y"}')
  t.equal(event.stringify({}), '{}')
  t.throws(() => event.stringify({ n: 1n }), TypeError)
  t.throws(() => event.stringify(undefined), { message: 'The data has no JSON: the serializer returned undefined' })
  const cycle: Record<string, unknown> = {}
  cycle['a'] = cycle
  t.throws(() => compile(Type.Any()).stringify(cycle), TypeError)
  t.equal(compile(Type.Any()).check({ toJSON: () => undefined }), true)
  t.throws(() => compile(Type.Any()).stringify({ toJSON: () => undefined }), TypeError)
})
