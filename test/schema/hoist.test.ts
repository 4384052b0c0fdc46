import { Type } from '@sinclair/typebox'
import { Ajv2019 } from 'ajv/dist/2019.js'
import { Ajv2020 } from 'ajv/dist/2020.js'
import formats, { type FormatsPlugin } from 'ajv-formats'
import fc from 'fast-check'
import t from 'tap'
import { compileEvents } from '../../lib/schema/compile.js'
import { Hoister } from '../../lib/schema/hoist.js'
import { anyType, anyValue, pure, zoo } from './zoo.js'

const DIALECT = { $schema: 'https://json-schema.org/draft/2020-12/schema' }
const addFormats = formats as unknown as FormatsPlugin
// One for all: to make one takes longer than to compile a schema.
const ajv2019 = addFormats(new Ajv2019({ strict: false, validateSchema: false, addUsedSchema: false }))
const ajv2020 = addFormats(new Ajv2020({ strict: false, addUsedSchema: false }))

/** What several schemas become together. */
function hoistAll (schemas: Record<string, unknown>, shared: Record<string, unknown> = {}): Record<string, unknown> {
  const hoister = new Hoister()
  const hoisted = Object.entries(schemas).map(([name, schema]) => [name, hoister.add(name, schema, name, shared)] as const)
  return Object.fromEntries(hoisted.map(([name, { write }]) => [name, JSON.parse(JSON.stringify(write()))]))
}

function hoist (schema: unknown, shared: Record<string, unknown> = {}): unknown {
  return hoistAll({ event: schema }, shared)['event']
}

t.test('a schema with an $id is moved to $defs under its name, wherever it stands', async (t) => {
  const Order = Type.Object({ id: Type.Integer() }, { $id: 'Order', description: 'What was ordered.' })
  const $defs = { Order: { description: 'What was ordered.', type: 'object', required: ['id'], properties: { id: { type: 'integer' } } } }
  t.strictSame(hoistAll({ created: Order, updated: Type.Object({ before: Order, after: Type.Ref('Order') }) }), {
    created: { ...DIALECT, $ref: '#/$defs/Order', $defs },
    updated: {
      ...DIALECT,
      type: 'object',
      required: ['before', 'after'],
      properties: { before: { $ref: '#/$defs/Order' }, after: { $ref: '#/$defs/Order' } },
      $defs
    }
  })
})

t.test('a schema that refers to what another instance, or another event, has otherwise is another schema there', async (t) => {
  const Order = Type.Object({ total: Type.Unsafe({ $ref: 'Money' }) }, { $id: 'Order' })
  const List = Type.Recursive((This) => Type.Object({ of: Type.Unsafe({ $ref: 'Money' }), next: Type.Optional(This) }), { title: 'List' })
  const hoister = new Hoister()
  const cents = { Money: { $id: 'Money', type: 'integer' } }
  const text = { Money: { $id: 'Money', type: 'string' } }
  const hoisted = [
    hoister.add('a', Order, 'a', cents), hoister.add('b', Order, 'b', text), hoister.add('c', Order, 'c', structuredClone(cents)),
    hoister.add('d', List, 'd', cents), hoister.add('e', List, 'e', text),
    hoister.add('f', Type.Object({ order: Order, tax: Type.Boolean({ $id: 'Money' }) }), 'f', {})
  ].map(({ write }) => (write() as { $defs: Record<string, { properties?: object }> }).$defs)
  const order = (money: string) => ({ type: 'object', required: ['total'], properties: { total: { $ref: `#/$defs/${money}` } } })
  const list = (money: string, name: string) =>
    ({ title: 'List', type: 'object', required: ['of'], properties: { of: { $ref: `#/$defs/${money}` }, next: { $ref: `#/$defs/${name}` } } })
  t.strictSame(JSON.parse(JSON.stringify(hoisted)), [
    { Money: { type: 'integer' }, Order: order('Money') },
    { Money2: { type: 'string' }, Order2: order('Money2') },
    { Money: { type: 'integer' }, Order: order('Money') },
    { List: list('Money', 'List'), Money: { type: 'integer' } },
    { List2: list('Money2', 'List2'), Money2: { type: 'string' } },
    { Money3: { type: 'boolean' }, Order3: order('Money3') }
  ])
})

t.test('a recursive type has the name of its title, else of where it is first met: its own number depends on what was made before', async (t) => {
  Type.Recursive((This) => Type.Object({ next: This }))
  const Tree = Type.Recursive((This) => Type.Object({ kids: Type.Array(This) }))
  const Link = Type.Recursive((This) => Type.Object({ next: Type.Optional(This) }, { title: 'Link' }))
  const tree = { type: 'object', required: ['kids'], properties: { kids: { type: 'array', items: { $ref: '#/$defs/rootLeft' } } } }
  const link = { title: 'Link', type: 'object', properties: { next: { $ref: '#/$defs/Link' } } }
  t.strictSame(hoistAll({ root: Type.Object({ left: Tree, right: Tree }), again: Tree, link: Link }), {
    root: {
      ...DIALECT,
      type: 'object',
      required: ['left', 'right'],
      properties: { left: { $ref: '#/$defs/rootLeft' }, right: { $ref: '#/$defs/rootLeft' } },
      $defs: { rootLeft: tree }
    },
    again: { ...DIALECT, $ref: '#/$defs/rootLeft', $defs: { rootLeft: tree } },
    link: { ...DIALECT, $ref: '#/$defs/Link', $defs: { Link: link } }
  })
})

t.test('members of a module keep their names; of another module that are not the same, with a number', async (t) => {
  const One = Type.Module({ Node: Type.Object({ edge: Type.Optional(Type.Ref('Edge')) }), Edge: Type.Object({ to: Type.Ref('Node') }) })
  const Two = Type.Module({ Node: Type.Array(Type.Ref('Edge')), Edge: Type.String() })
  const Node = { type: 'object', properties: { edge: { $ref: '#/$defs/Edge' } } }
  const Edge = { type: 'object', required: ['to'], properties: { to: { $ref: '#/$defs/Node' } } }
  t.strictSame(hoistAll({ a: One.Import('Node'), b: One.Import('Edge'), c: Two.Import('Node') }), {
    a: { ...DIALECT, $ref: '#/$defs/Node', $defs: { Edge, Node } },
    b: { ...DIALECT, $ref: '#/$defs/Edge', $defs: { Edge, Node } },
    c: { ...DIALECT, $ref: '#/$defs/Node2', $defs: { Edge2: { type: 'string' }, Node2: { type: 'array', items: { $ref: '#/$defs/Edge2' } } } }
  })
})

t.test('what addSchema has, pointers into it and anchors are followed, and have the name that stands in the reference', async (t) => {
  const shared = {
    'http://sse.test/money.json': {
      $id: 'http://sse.test/money.json',
      type: 'object',
      properties: { currency: { $ref: '#/definitions/currency' }, unit: { $ref: '#unit' } },
      definitions: { currency: { type: 'string', enum: ['EUR'] }, unit: { $anchor: 'unit', type: 'integer' } }
    }
  }
  t.strictSame(hoist({ type: 'array', items: { $ref: 'http://sse.test/money.json#' } }, shared), {
    ...DIALECT,
    type: 'array',
    items: { $ref: '#/$defs/money' },
    $defs: {
      currency: { type: 'string', enum: ['EUR'] },
      money: { type: 'object', properties: { currency: { $ref: '#/$defs/currency' }, unit: { $ref: '#/$defs/unit' } } },
      unit: { type: 'integer' }
    }
  })
})

t.test('a name that a pointer or a URI cannot hold as it is is escaped in the reference', async (t) => {
  t.strictSame(hoist({ $defs: { 'a/b~c d': { type: 'null' } }, $ref: '#/$defs/a~1b~0c%20d' }), {
    ...DIALECT, $ref: '#/$defs/a~1b~0c%20d', $defs: { 'a/b~c d': { type: 'null' } }
  })
})

t.test('older ways to write a schema are those of draft 2020-12 afterwards', async (t) => {
  t.strictSame(hoist({
    type: 'object',
    properties: {
      tuple: { type: 'array', items: [{ type: 'string' }], additionalItems: { type: 'number' } },
      name: { type: 'string', nullable: true },
      any: { $ref: '#/definitions/x', nullable: true, description: 'x or nothing' }
    },
    definitions: { x: { type: 'integer' } },
    dependencies: { name: ['any'], any: { required: ['tuple'] } }
  }), {
    ...DIALECT,
    type: 'object',
    properties: {
      tuple: { type: 'array', prefixItems: [{ type: 'string' }], items: { type: 'number' } },
      name: { type: ['string', 'null'] },
      any: { description: 'x or nothing', anyOf: [{ $ref: '#/$defs/x' }, { type: 'null' }] }
    },
    dependentRequired: { name: ['any'] },
    dependentSchemas: { any: { required: ['tuple'] } },
    $defs: { x: { type: 'integer' } }
  })
})

t.test('bare literals are one enum; literals that are described stay apart', async (t) => {
  t.strictSame(hoistAll({
    letters: Type.Union([Type.Literal('a'), Type.Literal('b')], { description: 'a or b' }),
    mixed: Type.Enum({ A: 'a', One: 1 }),
    described: Type.Union([Type.Literal('a', { description: 'first' }), Type.Literal('b')])
  }), {
    letters: { ...DIALECT, description: 'a or b', type: 'string', enum: ['a', 'b'] },
    mixed: { ...DIALECT, enum: ['a', 1] },
    described: { ...DIALECT, anyOf: [{ description: 'first', type: 'string', const: 'a' }, { type: 'string', const: 'b' }] }
  })
})

t.test('a definition is left out that nothing leads to', async (t) => {
  t.strictSame(hoist({ $defs: { unused: { type: 'null' } }, type: 'string' }), { ...DIALECT, type: 'string' })
})

t.test('of keywords that are not of JSON Schema, what is JSON is kept', async (t) => {
  const itself: Record<string, unknown> = {}
  itself['itself'] = itself
  const described = Type.String({ itself, check: () => true, big: 1n, none: undefined, nan: NaN, when: new Date(0), hint: { of: ['x', { toString () {} }] } })
  const schema = new Hoister().add('event', described, 'event', {}).write()
  t.strictSame(structuredClone(schema), { ...DIALECT, type: 'string', when: '1970-01-01T00:00:00.000Z', hint: { of: ['x', {}] } })
})

t.test('a boolean is a schema', async (t) => {
  t.strictSame(hoistAll({ all: true, none: false }), { all: true, none: false })
})

t.test('properties may be called as what every object has', async (t) => {
  const schema = { type: 'object', properties: JSON.parse('{"__proto__":{"type":"string"},"$ref":{"type":"null"}}') as object }
  t.equal(JSON.stringify(hoist(schema)), JSON.stringify({ ...DIALECT, ...schema }))
})

t.test('a reference to nothing is refused as when events are compiled', async (t) => {
  t.throws(() => hoist({ $ref: 'Ordr' }, { Order: { $id: 'Order' } }), {
    code: 'FST_SSE_SCHEMA_INVALID',
    message: 'The schema of event "event" refers to "Ordr", which does not exist. Did you mean "Order"?'
  })
})

for (const { name, schema, schemas = {}, values } of zoo) {
  t.test(`${name}: what a server sends is valid by the hoisted schema`, async (t) => {
    const validate = ajv2020.compile(hoist(schema, schemas) as object)
    const event = compileEvents({ event: schema }, { schemas }).get('event')!
    fc.assert(fc.property(values, (tree) => {
      const data: unknown = JSON.parse(event.stringify(pure(tree)))
      if (!validate(data)) throw new Error(ajv2020.errorsText(validate.errors))
    }), { numRuns: 30 })
    t.pass()
  })
}

t.test('a hoisted schema accepts what the schema accepts, and nothing else', async (t) => {
  fc.assert(fc.property(anyType, fc.array(anyValue, { minLength: 20, maxLength: 20 }), (schema, values) => {
    const before = ajv2019.compile(JSON.parse(JSON.stringify(schema)) as object)
    const after = ajv2020.compile(hoist(schema) as object)
    for (const value of values) {
      const text = JSON.stringify(value) as string | undefined
      if (text === undefined) continue
      const data: unknown = JSON.parse(text)
      if (before(data) !== after(data)) throw new Error(`${text} is ${after(data) ? 'accepted' : 'refused'}`)
    }
  }), { numRuns: 250 })
  t.pass()
})
