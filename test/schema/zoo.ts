import fc from 'fast-check'
import { Type, type TSchema } from '@sinclair/typebox'

/** A value with what its schema does not declare of it still to be strewn in. */
export type Tree = unknown

/** Part of a tree that takes nothing undeclared: its schema forbids it, or declares everything. */
export class Sealed {
  readonly value: unknown
  constructor (value: unknown) {
    this.value = value
  }
}

/** The declared value: what must arrive. */
export function pure (tree: Tree): unknown {
  if (tree instanceof Sealed) return tree.value
  if (Array.isArray(tree)) return tree.map(pure)
  if (typeof tree !== 'object' || tree === null) return tree
  return mapEntries(tree, pure)
}

/** The same value with undeclared properties in every object that may have them, in front and behind. */
export function strewn (tree: Tree): unknown {
  if (tree instanceof Sealed) return tree.value
  if (Array.isArray(tree)) return tree.map(strewn)
  if (typeof tree !== 'object' || tree === null) return tree
  const entries = Object.entries(mapEntries(tree, strewn))
  return fromEntries([
    ['undeclared', 'SECRET'],
    ['toJSON', () => 'SECRET'],
    ...entries,
    ['undeclared2', { nested: ['SECRET'] }],
    ['undeclared3', undefined]
  ])
}

function mapEntries (object: object, change: (value: unknown) => unknown): object {
  return fromEntries(Object.entries(object).map(([name, value]) => [name, change(value)]))
}

/** Unlike an assignment, makes a property of `__proto__` too. */
function fromEntries (entries: Array<[string, unknown]>): object {
  return Object.fromEntries(entries)
}

export const strings = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.string({ unit: 'grapheme', maxLength: 60 }),
  fc.constantFrom('', '"', '\\', 'a\nb', 'a\r\nb', '\u2028\u2029', '\ud800', '\udfff\ud800', '😀', '\u0000', '\u007f', '</script>', 'x'.repeat(6000), '"'.repeat(6000))
)
export const numbers = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.constantFrom(0, -0, 1e21, -1e21, 1e-7, 5e-324, Number.MAX_VALUE, Number.MAX_SAFE_INTEGER, 2 ** 53, 0.1, 1 / 3)
)
export const integers = fc.oneof(fc.integer(), fc.maxSafeInteger(), fc.constantFrom(-0, 1e21, 2 ** 60))
const anything = fc.jsonValue({ maxDepth: 2 }).map((value) => new Sealed(value))
const bools = fc.boolean()
const nil = fc.constant(null)

const object = (required: Record<string, fc.Arbitrary<Tree>>, optional: Record<string, fc.Arbitrary<Tree>> = {}): fc.Arbitrary<Tree> =>
  fc.record({ ...required, ...optional } as Record<string, fc.Arbitrary<Tree>>, { requiredKeys: Object.keys(required) })
const sealed = (arbitrary: fc.Arbitrary<Tree>): fc.Arbitrary<Tree> => arbitrary.map((tree) => new Sealed(pure(tree)))
const list = (arbitrary: fc.Arbitrary<Tree>): fc.Arbitrary<Tree[]> => fc.array(arbitrary, { maxLength: 4 })
const dictionary = (keys: fc.Arbitrary<string>, arbitrary: fc.Arbitrary<Tree>): fc.Arbitrary<Tree> =>
  fc.uniqueArray(fc.tuple(keys, arbitrary), { maxLength: 4, selector: ([key]) => key }).map((entries) => new Sealed(fromEntries(entries.map(([key, value]) => [key, pure(value)]))))
const tree = (depth: number): fc.Arbitrary<Tree> => object({ id: strings, kids: depth === 0 ? fc.constant([]) : list(tree(depth - 1)) })

export interface Specimen {
  name: string
  schema: object
  /** Valid values. Objects that are not {@link Sealed} are strewn with undeclared properties. */
  values: fc.Arbitrary<Tree>
  /** What `addSchema` has. */
  schemas?: Record<string, unknown>
}

const Tree = Type.Recursive((This) => Type.Object({ id: Type.String(), kids: Type.Array(This) }))
const Module = Type.Module({
  Node: Type.Object({ edge: Type.Optional(Type.Ref('Edge')), name: Type.String() }),
  Edge: Type.Object({ to: Type.Ref('Node'), weight: Type.Number() })
})
const node = (depth: number): fc.Arbitrary<Tree> => object({ name: strings }, depth === 0 ? {} : { edge: object({ to: node(depth - 1), weight: numbers }) })
const Cat = Type.Object({ kind: Type.Literal('cat'), name: Type.String(), lives: Type.Optional(Type.Integer()) })
const Dog = Type.Object({ kind: Type.Literal('dog'), name: Type.String(), owner: Type.Object({ name: Type.String() }) })
const cat = object({ kind: fc.constant('cat'), name: strings }, { lives: integers })
const dog = object({ kind: fc.constant('dog'), name: strings, owner: object({ name: strings }) })
const User = { $id: 'User', type: 'object', required: ['name'], properties: { name: { type: 'string' }, tag: { $ref: '#/definitions/tag' }, friend: { $ref: 'User#' } }, definitions: { tag: { type: 'integer' } } }
const user = (depth: number): fc.Arbitrary<Tree> => object({ name: strings }, { tag: integers, ...(depth === 0 ? {} : { friend: user(depth - 1) }) })
const deep = (depth: number): [TSchema, fc.Arbitrary<Tree>] => {
  if (depth === 0) return [Type.Boolean(), bools]
  const [schema, values] = deep(depth - 1)
  return [Type.Object({ in: Type.Array(schema) }), object({ in: fc.array(values, { maxLength: 1 }) })]
}
const withId = Type.Object({ a: Type.Number() }, { $id: 'Shared' })

/** Schemas of every sort, each with its valid values. */
export const zoo: Specimen[] = [
  { name: 'null', schema: Type.Null(), values: nil },
  { name: 'a string', schema: Type.String(), values: strings },
  { name: 'a number', schema: Type.Number(), values: numbers },
  { name: 'an integer', schema: Type.Integer(), values: integers },
  { name: 'a boolean', schema: Type.Boolean(), values: bools },
  { name: 'anything', schema: Type.Any(), values: anything },
  { name: 'unknown in an object', schema: Type.Object({ a: Type.Unknown(), b: Type.Optional(Type.Any()) }), values: object({ a: anything }, { b: anything }) },
  { name: 'an array of anything', schema: Type.Array(Type.Unknown()), values: list(anything) },
  { name: 'literals', schema: Type.Object({ a: Type.Literal('a"\n'), b: Type.Literal(-0), c: Type.Literal(true) }), values: object({ a: fc.constant('a"\n'), b: fc.constantFrom(0, -0), c: fc.constant(true) }) },
  { name: 'an enum', schema: Type.Enum({ A: 'a', B: 2, C: 'c' }), values: fc.constantFrom('a', 2, 'c') },
  { name: 'a long enum', schema: Type.Union('abcdefghijkl'.split('').map((letter) => Type.Literal(letter))), values: fc.constantFrom(...'abcdefghijkl') },
  { name: 'const and enum with objects', schema: { type: 'object', required: ['a', 'b'], properties: { a: { const: { x: [1] } }, b: { enum: [{ y: null }, [2], 'z'] } } }, values: object({ a: sealed(fc.constant({ x: [1] })), b: sealed(fc.constantFrom({ y: null }, [2], 'z')) }) },
  { name: 'a date-time', schema: Type.Object({ at: Type.String({ format: 'date-time' }) }), values: object({ at: fc.date({ noInvalidDate: true, min: new Date(0), max: new Date(4e12) }).map((date) => date.toISOString()) }) },
  { name: 'a date and a time', schema: Type.Object({ date: Type.String({ format: 'date' }), time: Type.String({ format: 'time' }) }), values: object({ date: fc.constantFrom('2024-02-29', '1999-12-31'), time: fc.constantFrom('12:00:00Z', '23:59:60+00:00') }) },
  { name: 'an empty object', schema: Type.Object({}), values: object({}) },
  { name: 'optional properties alone', schema: Type.Object({ a: Type.Optional(Type.String()), b: Type.Optional(Type.Number()) }), values: object({}, { a: strings, b: numbers }) },
  { name: 'an optional property first', schema: Type.Object({ a: Type.Optional(Type.String()), b: Type.Number(), c: Type.Optional(Type.Null()) }), values: object({ b: numbers }, { a: strings, c: nil }) },
  { name: 'optional properties that are undefined', schema: Type.Object({ a: Type.Optional(Type.String()), b: Type.Optional(Type.Union([Type.Object({}), Type.Null()])) }), values: object({ a: fc.option(strings, { nil: undefined }), b: fc.constant(undefined) }) },
  { name: 'a closed object', schema: Type.Object({ a: Type.Optional(Type.String()), b: Type.Object({ c: Type.Number() }, { additionalProperties: false }) }, { additionalProperties: false }), values: sealed(object({ b: object({ c: numbers }) }, { a: strings })) },
  { name: 'an open object', schema: Type.Object({ a: Type.String() }, { additionalProperties: true }), values: fc.tuple(strings, fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 1 }), { maxKeys: 3 })).map(([a, rest]) => new Sealed({ ...rest, a })) },
  { name: 'additional properties of one type', schema: Type.Object({ a: Type.String() }, { additionalProperties: Type.Object({ n: Type.Number() }) }), values: fc.record({ a: strings, x: object({ n: numbers }), y: object({ n: numbers }) }).map((value) => new Sealed(pure(value))) },
  { name: 'a record', schema: Type.Record(Type.String(), Type.Number()), values: dictionary(fc.string({ unit: 'grapheme-ascii' }), numbers) },
  { name: 'a record with prototype names', schema: Type.Record(Type.String(), Type.Integer()), values: dictionary(fc.constantFrom('__proto__', 'constructor', 'toString', 'hasOwnProperty'), integers) },
  { name: 'pattern properties', schema: { type: 'object', properties: { id: { type: 'string' } }, required: ['id'], patternProperties: { '^n_': { type: 'number' }, '^o_': { type: 'object', properties: { p: { type: 'null' } } } } }, values: object({ id: strings }, { n_a: numbers, o_b: object({}, { p: nil }) }) },
  { name: 'arrays of arrays', schema: Type.Array(Type.Array(Type.Union([Type.String(), Type.Number()]))), values: list(list(fc.oneof(strings, numbers))) },
  { name: 'a long array of strings', schema: Type.Array(Type.String()), values: fc.array(strings, { maxLength: 40 }) },
  { name: 'a tuple', schema: Type.Tuple([Type.String(), Type.Object({ a: Type.Number() }), Type.Null()]), values: fc.tuple(strings, object({ a: numbers }), nil) },
  { name: 'an empty tuple', schema: Type.Tuple([]), values: fc.constant([]) },
  { name: 'a tuple and more', schema: { type: 'array', items: [{ type: 'string' }], additionalItems: { type: 'object', properties: { a: { type: 'number' } } } }, values: fc.tuple(strings, object({}, { a: numbers })) },
  { name: 'prefixItems', schema: { type: 'array', prefixItems: [{ type: 'string' }], items: { type: 'object', properties: { a: { type: 'number' } } } }, values: fc.tuple(strings, object({}, { a: numbers })) },
  { name: 'a template literal', schema: Type.Object({ id: Type.TemplateLiteral([Type.Literal('id-'), Type.Integer()]) }), values: object({ id: fc.nat().map((n) => `id-${n}`) }) },
  { name: 'a union of values', schema: Type.Object({ a: Type.Union([Type.String(), Type.Number(), Type.Boolean(), Type.Null()]) }), values: object({ a: fc.oneof(strings, numbers, bools, nil) }) },
  { name: 'an object or null', schema: Type.Union([Type.Object({ a: Type.String() }), Type.Null()]), values: fc.oneof(object({ a: strings }), nil) },
  { name: 'an object, an array or a string', schema: Type.Union([Type.Object({ a: Type.String() }), Type.Array(Type.Object({ b: Type.Number() })), Type.String()]), values: fc.oneof(object({ a: strings }), list(object({ b: numbers })), strings) },
  { name: 'a union told apart by a constant', schema: Type.Union([Cat, Dog]), values: fc.oneof(cat, dog) },
  { name: 'a list of a union told apart', schema: Type.Object({ pets: Type.Array(Type.Union([Cat, Dog, Type.Null()])) }), values: object({ pets: list(fc.oneof(cat, dog, nil)) }) },
  { name: 'a union of objects that share properties', schema: Type.Union([Type.Object({ a: Type.String() }), Type.Object({ a: Type.String(), b: Type.Number() }), Type.Object({ b: Type.Number(), c: Type.Null() })]), values: fc.oneof(object({ a: strings }), object({ a: strings, b: numbers }), object({ b: numbers, c: nil })) },
  { name: 'a union with different depths', schema: Type.Union([Type.Object({ a: Type.Object({ x: Type.Number() }) }), Type.Object({ a: Type.Object({ y: Type.String() }) })]), values: fc.oneof(object({ a: object({ x: numbers }) }), object({ a: object({ y: strings }) })) },
  { name: 'oneOf', schema: { oneOf: [{ type: 'object', required: ['a'], properties: { a: { type: 'string' } } }, { type: 'object', required: ['b'], properties: { b: { type: 'string' } } }] }, values: fc.oneof(object({ a: strings }), object({ b: strings })) },
  { name: 'anyOf beside properties', schema: { type: 'object', properties: { a: { type: 'string' }, b: { type: 'number' } }, anyOf: [{ required: ['a'] }, { required: ['b'] }] }, values: fc.oneof(object({ a: strings }, { b: numbers }), object({ b: numbers })) },
  { name: 'if, then, else', schema: { type: 'object', required: ['kind'], properties: { kind: { enum: ['a', 'b'] } }, if: { properties: { kind: { const: 'a' } } }, then: { properties: { a: { type: 'string' } } }, else: { properties: { b: { type: 'number' } } } }, values: fc.oneof(object({ kind: fc.constant('a') }, { a: strings }), object({ kind: fc.constant('b') }, { b: numbers })) },
  { name: 'an intersection', schema: Type.Intersect([Type.Object({ a: Type.String() }), Type.Object({ b: Type.Optional(Type.Number()) })]), values: object({ a: strings }, { b: numbers }) },
  { name: 'an intersection that shares a property', schema: Type.Intersect([Type.Object({ a: Type.Object({ x: Type.String() }) }), Type.Object({ a: Type.Object({ y: Type.Number() }) })]), values: object({ a: object({ x: strings, y: numbers }) }) },
  { name: 'a closed intersection', schema: Type.Intersect([Type.Object({ a: Type.String() }), Type.Object({ b: Type.Number() })], { unevaluatedProperties: false }), values: sealed(object({ a: strings, b: numbers })) },
  { name: 'an intersection with unknown', schema: Type.Intersect([Type.Object({ a: Type.String() }), Type.Unknown()]), values: object({ a: strings }) },
  { name: 'a composite', schema: Type.Composite([Type.Object({ a: Type.String() }), Type.Object({ b: Type.Array(Type.Null()) })]), values: object({ a: strings, b: list(nil) }) },
  { name: 'a recursive type', schema: Tree, values: tree(3) },
  { name: 'a recursive type twice', schema: Type.Object({ left: Tree, right: Type.Optional(Tree) }), values: object({ left: tree(2) }, { right: tree(1) }) },
  { name: 'a module', schema: Module.Import('Node'), values: node(3) },
  { name: 'a shared schema', schema: { $ref: 'User#' }, values: user(2), schemas: { User } },
  { name: 'a part of a shared schema', schema: Type.Object({ a: Type.Unsafe({ $ref: 'User#/properties/tag' }) }), values: object({ a: integers }), schemas: { User } },
  { name: 'a $id that is shared too', schema: Type.Object({ x: withId, y: Type.Optional(withId) }), values: object({ x: object({ a: numbers }) }, { y: object({ a: numbers }) }), schemas: { Shared: withId } },
  { name: 'nullable', schema: { type: 'object', properties: { a: { type: 'string', nullable: true }, b: { type: 'object', nullable: true, properties: { c: { type: 'integer' } } }, d: { type: 'array', nullable: true, items: { type: 'string' } } } }, values: object({}, { a: fc.oneof(strings, nil), b: fc.oneof(object({}, { c: integers }), nil), d: fc.oneof(list(strings), nil) }) },
  { name: 'several types', schema: { type: 'object', properties: { a: { type: ['string', 'integer', 'null'] }, b: { type: ['object', 'array'], properties: { c: { type: 'null' } }, items: { type: 'number' } } } }, values: object({}, { a: fc.oneof(strings, integers, nil), b: fc.oneof(object({}, { c: nil }), list(numbers)) }) },
  { name: 'required without properties', schema: { type: 'object', required: ['id'] }, values: object({ id: anything }) },
  { name: 'names that are not identifiers', schema: Type.Object({ 'a"b': Type.String(), 'a\\b': Type.Number(), "'": Type.Null(), '\u2028': Type.Null(), '${x}': Type.Null(), 0: Type.Boolean(), '😀': Type.String() }), values: object({ 'a"b': strings, 'a\\b': numbers, "'": nil, '\u2028': nil, '${x}': nil, 0: bools, '😀': strings }) }, // eslint-disable-line no-template-curly-in-string
  { name: 'names that every object has', schema: { type: 'object', properties: JSON.parse('{"__proto__":{"type":"string"},"constructor":{"type":"number"},"toString":{"type":"null"}}') }, values: fc.tuple(strings, numbers).map(([a, b]) => fromEntries([['__proto__', a], ['constructor', b], ['toString', null]])) },
  { name: 'dependencies', schema: { type: 'object', properties: { a: { type: 'string' } }, dependencies: { a: { properties: { b: { type: 'number' } } } } }, values: object({ a: strings }, { b: numbers }) },
  { name: 'deep nesting', schema: deep(12)[0], values: deep(12)[1] },
  { name: 'a string enum kind', schema: Type.Object({ a: Type.Unsafe<'x' | 'y'>({ type: 'string', enum: ['x', 'y'] }) }), values: object({ a: fc.constantFrom('x', 'y') }) },
  { name: 'lengths and patterns', schema: Type.Object({ a: Type.String({ minLength: 2, maxLength: 4 }), b: Type.String({ pattern: '^\\p{L}$' }) }), values: object({ a: fc.constantFrom('ab', '😀😀', 'abcd'), b: fc.constantFrom('a', 'ж', '𝒳') }) }
]

const names = ['a', 'b', 'kind', 'constructor']

/** Types of all sorts, small, over few names, so that values of {@link anyValue} match them often. */
export const anyType: fc.Arbitrary<TSchema> = fc.letrec<{ type: TSchema, leaf: TSchema }>((tie) => {
  const type = tie('type')
  const properties = fc.dictionary(fc.constantFrom(...names), fc.tuple(type, bools), { maxKeys: 3 }).map((map) =>
    Object.fromEntries(Object.entries(map).map(([name, [schema, isOptional]]) => [name, isOptional ? Type.Optional(schema) : schema])))
  return {
    leaf: fc.constantFrom<TSchema[]>(
      Type.String(), Type.Number(), Type.Integer({ minimum: 0 }), Type.Boolean(), Type.Null(), Type.Literal('a'), Type.Literal(1), Type.Any(), Type.Unknown(),
      Type.String({ minLength: 1 }), Type.String({ maxLength: 1 }), Type.Number({ exclusiveMinimum: 0 }), Type.Integer({ multipleOf: 2 }), Type.Never(), Type.Object({}),
      Type.String({ format: 'date-time' }), Type.Enum({ A: 'a', B: 1 }), Type.Array(Type.Any()), Type.Unsafe({ type: ['string', 'null'] }), Type.Unsafe({ enum: ['a', null, [1]] }), Type.Tuple([])
    ),
    type: fc.oneof({ maxDepth: 3, withCrossShrink: true },
      { arbitrary: tie('leaf'), weight: 4 },
      { arbitrary: fc.tuple(properties, fc.constantFrom({}, {}, { additionalProperties: false }, { additionalProperties: true }, { minProperties: 1 }, { additionalProperties: Type.Number() }, { maxProperties: 1 })).map(([map, options]) => Type.Object(map, options)), weight: 6 },
      { arbitrary: fc.tuple(type, fc.constantFrom({}, {}, { uniqueItems: true }, { minItems: 1 }, { contains: Type.Literal('a') })).map(([items, options]) => Type.Array(items, options)), weight: 2 },
      { arbitrary: fc.array(type, { minLength: 1, maxLength: 3 }).map((types) => Type.Union(types)), weight: 3 },
      { arbitrary: fc.tuple(properties, properties).map(([a, b]) => Type.Intersect([Type.Object(a), Type.Object(b)])), weight: 2 },
      { arbitrary: fc.array(type, { minLength: 2, maxLength: 2 }).map((types) => Type.Intersect(types)), weight: 1 },
      { arbitrary: type.map((value) => Type.Record(Type.String(), value)), weight: 1 },
      { arbitrary: fc.tuple(type, type).map((types) => Type.Tuple(types)), weight: 1 },
      { arbitrary: type.map((schema) => Type.Not(schema)), weight: 1 },
      { arbitrary: fc.tuple(type, type).map((types) => Type.Unsafe({ oneOf: types })), weight: 1 },
      { arbitrary: fc.tuple(type, type, type).map(([a, b, c]) => Type.Unsafe({ if: a, then: b, else: c })), weight: 1 }
    )
  }
}).type

class Point {
  a = 1
  get b (): string { return 'a' }
}

const sparse = (): unknown[] => {
  const array: unknown[] = ['a']
  array.length = 2
  return array
}

/** Values of all sorts, also those that JSON does not have. */
export const anyValue: fc.Arbitrary<unknown> = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof({ maxDepth: 3, withCrossShrink: true },
    { arbitrary: fc.constantFrom<unknown[]>('a', '', 'ab', '😀', 1, 0, -0, -1, 1.5, 2, true, false, null, '2024-02-29T00:00:00.000Z'), weight: 12 },
    { arbitrary: fc.constantFrom<unknown[]>(undefined, NaN, Infinity, new Date(0), new Date(NaN), new Map([['a', 1]]), () => {}, Symbol('a'), Object('a'), Object(1), new Point(), new Uint8Array(1)), weight: 2 },
    { arbitrary: fc.constant(null).map(sparse), weight: 1 },
    { arbitrary: fc.dictionary(fc.constantFrom(...names, 'undeclared', '__proto__'), tie('value'), { maxKeys: 4, noNullPrototype: false }), weight: 12 },
    { arbitrary: fc.array(tie('value'), { maxLength: 3 }), weight: 4 },
    { arbitrary: tie('value').map((value) => ({ a: 1, toJSON: () => value })), weight: 1 }
  )
})).value
