// Schemas of every sort, in applications whose manifests have them: what generators are tested with.
/* eslint-disable no-template-curly-in-string -- Type.TemplateLiteral takes them as text */
import { Type, type TSchema } from '@sinclair/typebox'
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import ssePlugin, { defineEvents, text } from '../../lib/index.js'

const Cat = Type.Object({ kind: Type.Literal('cat'), lives: Type.Optional(Type.Integer({ minimum: 0, maximum: 9 })) })
const Dog = Type.Object({ kind: Type.Literal('dog'), owner: Type.Object({ name: Type.String() }) })
const Named = Type.Object({ name: Type.String() })
const Dated = Type.Object({ at: Type.String({ format: 'date-time' }) })
const Flags = { None: 0, Read: 1, Write: 2, Label: 'label' } as const
const deep = Type.Object({ a: Type.Object({ b: Type.Array(Type.Object({ c: Type.Tuple([Type.Object({ d: Type.Union([Type.Object({ e: Type.Boolean() }), Type.Null()]) })]) })) }) })

/** Types of TypeBox that stand for themselves. */
export const shapes = {
  null: Type.Null(),
  boolean: Type.Boolean(),
  number: Type.Number(),
  integer: Type.Integer({ description: 'How many.', minimum: 1, exclusiveMaximum: 100, multipleOf: 3 }),
  string: Type.String({ minLength: 1, maxLength: 20, pattern: '^[a-z]+$' }),
  text: text(),
  any: Type.Any(),
  unknown: Type.Unknown(),
  never: Type.Never(),
  not: Type.Not(Type.String()),
  literal: Type.Literal("it's\n\u2028 \"x\" `y` \\ ${z}"),
  literals: Type.Tuple([Type.Literal(1), Type.Literal(-0.5), Type.Literal(true), Type.Literal(1e21)]),
  enum: Type.Enum(Flags),
  union: Type.Union([Type.String(), Type.Number(), Type.Null()]),
  'union-of-literals': Type.Union([Type.Literal('a'), Type.Literal('b'), Type.Literal(3), Type.Literal(false)]),
  'union-of-objects': Type.Union([Cat, Dog]),
  'nullable-object': Type.Union([Type.Object({ a: Type.String({ description: 'First.' }), b: Type.Array(Type.Union([Type.String(), Type.Integer()])) }), Type.Null()]),
  'nested-union': Type.Object({ pets: Type.Array(Type.Union([Cat, Dog])), best: Type.Union([Cat, Dog, Type.Null()]), kinds: Type.Record(Type.String(), Type.Union([Cat, Dog])) }),
  object: Type.Object({
    id: Type.Integer({ description: 'Unique.' }),
    note: Type.Optional(Type.String({ description: 'Ends no comment: */ nor\r\nis this a tag:\n@ts-ignore\n' })),
    at: Type.String({ format: 'date-time' }),
    old: Type.Optional(Type.Number({ deprecated: true, default: 3.5 })),
    'made-of': Type.Optional(Type.Array(Type.String(), { minItems: 1, maxItems: 10, uniqueItems: true })),
    readOnly: Type.Readonly(Type.String()),
    both: Type.ReadonlyOptional(Type.Boolean())
  }, { description: 'All sorts of properties.\n\nOver several lines.' }),
  'empty-object': Type.Object({}),
  'closed-object': Type.Object({ a: Type.String() }, { additionalProperties: false }),
  'open-object': Type.Object({ a: Type.String() }, { additionalProperties: true }),
  'typed-rest': Type.Object({ a: Type.String(), b: Type.Optional(Type.Boolean()) }, { additionalProperties: Type.Number() }),
  array: Type.Array(Type.Array(Type.Union([Type.String(), Type.Null()]))),
  'array-with-limits': Type.Array(Type.Number(), { minItems: 2, maxItems: 2 }),
  tuple: Type.Tuple([Type.String(), Type.Optional(Type.Union([Type.Number(), Type.Null()])), Dated]),
  'empty-tuple': Type.Tuple([]),
  record: Type.Record(Type.String(), Type.Number()),
  'record-by-number': Type.Record(Type.Number(), Type.Array(Named)),
  'record-by-literals': Type.Record(Type.Union([Type.Literal('a'), Type.Literal('b c')]), Type.Boolean()),
  'record-by-template': Type.Record(Type.TemplateLiteral('item-${string}'), Named),
  intersect: Type.Intersect([Named, Dated, Type.Partial(Dog)]),
  'closed-intersect': Type.Intersect([Named, Dated], { unevaluatedProperties: false }),
  'intersect-of-unions': Type.Intersect([Type.Union([Cat, Dog]), Type.Union([Named, Dated])]),
  composite: Type.Composite([Named, Dated]),
  partial: Type.Partial(Type.Composite([Named, Dated])),
  picked: Type.Pick(Type.Required(Cat), ['lives']),
  template: Type.TemplateLiteral('id-${number}'),
  'template-of-unions': Type.TemplateLiteral([Type.Union([Type.Literal('a.b'), Type.Literal('`${')]), Type.Literal('/'), Type.String(), Type.Boolean()]),
  'finite-template': Type.TemplateLiteral('${1|2}-${a|b}'),
  keyof: Type.KeyOf(Type.Composite([Named, Dated])),
  capitalized: Type.Capitalize(Type.Union([Type.Literal('one'), Type.Literal('two')])),
  formats: Type.Object({ id: Type.String({ format: 'uuid' }), mail: Type.String({ format: 'email', maxLength: 100 }), url: Type.Optional(Type.String({ format: 'uri' })), bytes: Type.String({ contentEncoding: 'base64' }) }),
  deep,
  unsafe: Type.Unsafe<'a' | 'b' | null>({ type: ['string', 'null'], enum: ['a', 'b', null] })
}

const Tree = Type.Recursive((This) => Type.Object({ value: Type.String(), kids: Type.Array(This), twin: Type.Optional(This) }), { $id: 'Tree', description: 'A node and all below it.' })
const JSONValue = Type.Recursive((This) => Type.Union([Type.String(), Type.Number(), Type.Null(), Type.Array(This), Type.Record(Type.String(), This)]))
const Address = Type.Object({ street: Type.String(), city: Type.Optional(Type.String()) }, { $id: 'postal-address', description: 'Where somebody lives.' })
const Graph = Type.Module({
  Node: Type.Object({ name: Type.String(), edges: Type.Array(Type.Ref('Edge')) }),
  Edge: Type.Object({ to: Type.Ref('Node'), weight: Type.Number() }),
  Both: Type.Intersect([Type.Ref('Node'), Type.Ref('Edge')])
})

/** Types of TypeBox with names: they become one type each. */
export const references = {
  tree: Tree,
  'tree-twice': Type.Object({ left: Tree, right: Type.Union([Tree, Type.Null()]) }),
  json: JSONValue,
  address: Address,
  moved: Type.Object({ from: Address, to: Address, through: Type.Array(Address) }),
  node: Graph.Import('Node'),
  both: Graph.Import('Both')
}

const nothing = Type.Null()

/** Names that are no identifiers, that mean something, or that are alike. */
export const names = {
  'a-b': Type.Literal(1),
  a_b: Type.Literal(2),
  'a.b': Type.Literal(3),
  AB2: Type.Literal(4),
  ORDER_CREATED: nothing,
  event: nothing,
  options: nothing,
  class: nothing,
  default: nothing,
  constructor: nothing,
  ['__proto__']: nothing,
  toString: nothing,
  '1st': nothing,
  größe: nothing,
  注文: nothing,
  '🎉': nothing,
  "it's": nothing,
  'two words': nothing,
  message: Type.Object({
    class: Type.String(),
    'not-one': Type.String(),
    1: Type.String(),
    größe: Type.String(),
    "'\"\n": Type.String(),
    ['__proto__']: Type.String(),
    constructor: Type.Optional(Type.String()),
    '': Type.Boolean(),
    $ok_1: Type.Boolean()
  })
}

/** JSON Schema that TypeBox does not make. */
export const jsonSchema = {
  'one-of': { oneOf: [{ type: 'object', required: ['a'], properties: { a: { type: 'string' } } }, { type: 'object', required: ['b'], properties: { b: { type: 'integer' } } }] },
  'any-of-with-siblings': { type: 'object', properties: { a: { type: 'string' }, b: { type: 'number' }, c: { type: 'boolean' } }, required: ['c'], anyOf: [{ required: ['a'] }, { required: ['b'] }] },
  'choices-that-are-described': { type: 'string', oneOf: [{ const: 'low', description: 'Can wait.' }, { const: 'high', title: 'Cannot wait.' }] },
  'all-of-with-siblings': { type: 'object', properties: { id: { type: 'integer' } }, required: ['id', 'name'], allOf: [{ $ref: 'Shared#' }, { required: ['tag'] }] },
  'ref-with-siblings': { type: 'object', required: ['a', 'b'], properties: { a: { $ref: 'Shared#', description: 'Described where it stands.' }, b: { $ref: 'Shared#', required: ['tag'] } } },
  'if-then-else': {
    type: 'object',
    required: ['kind'],
    properties: { kind: { enum: ['a', 'b'] } },
    if: { properties: { kind: { const: 'a' } } },
    then: { properties: { a: { type: 'string' } }, required: ['a'] },
    else: { properties: { b: { type: 'number' } } }
  },
  'then-alone': { type: 'object', properties: { a: { type: 'string' } }, if: { required: ['a'] }, then: { minProperties: 2 } },
  'not-something': { type: 'string', not: { const: 'x' } },
  'not-anything': { not: {} },
  everything: {},
  booleans: { type: 'object', properties: { yes: true, no: false }, required: ['yes'] },
  'several-types': { type: ['string', 'integer', 'object', 'array', 'null'], properties: { a: { type: 'null' } }, items: { type: 'boolean' } },
  nullable: { type: 'object', properties: { a: { type: 'string', nullable: true }, b: { $ref: 'Shared#', nullable: true } } },
  'enum-of-everything': { enum: ['a', 1, true, null, [1, 'x', []], { a: { b: null }, 'c-d': 1 }] },
  'enum-of-a-type': { type: ['integer', 'null'], enum: [1, 2.5, 'x', null] },
  constant: { const: { version: 1, tags: ['a'] } },
  'types-that-are-implied': { properties: { list: { items: { type: 'string' } } } },
  tuples: {
    type: 'object',
    required: ['open', 'closed', 'optional', 'rest', 'more', 'cut'],
    properties: {
      open: { type: 'array', prefixItems: [{ type: 'string' }], minItems: 1 },
      closed: { type: 'array', prefixItems: [{ type: 'string' }, { type: 'number' }], items: false, minItems: 2 },
      optional: { type: 'array', prefixItems: [{ type: 'string' }, { type: ['number', 'null'] }], items: false, minItems: 1 },
      rest: { type: 'array', prefixItems: [{ type: 'string' }], items: { type: ['number', 'null'] }, minItems: 1 },
      more: { type: 'array', prefixItems: [{ type: 'string' }], items: { type: 'number' }, minItems: 3 },
      cut: { type: 'array', prefixItems: [{ type: 'string' }, { type: 'number' }], maxItems: 1 }
    }
  },
  records: {
    type: 'object',
    required: ['patterns', 'names', 'few', 'mixed'],
    properties: {
      patterns: { type: 'object', properties: { id: { type: 'string' } }, required: ['id'], patternProperties: { '^n_': { type: 'number' }, '^(a|b)$': { type: 'boolean' }, '[0-9]$': { type: 'null' } } },
      names: { type: 'object', propertyNames: { pattern: '^x-' }, additionalProperties: { type: 'string' } },
      few: { type: 'object', propertyNames: { enum: ['one', 'two'] }, additionalProperties: { type: 'string' }, required: ['one'] },
      mixed: { type: 'object', patternProperties: { '^n_': { type: 'number' } }, additionalProperties: { type: 'string' } }
    }
  },
  'read-only': { type: 'object', required: ['id'], properties: { id: { type: 'integer', readOnly: true }, name: { type: 'string', writeOnly: true } } },
  'required-and-undeclared': { type: 'object', required: ['a'], additionalProperties: { type: 'integer' } }
} satisfies Record<string, object>

const shared = { $id: 'Shared', type: 'object', required: ['name'], properties: { name: { type: 'string' }, tag: { type: 'integer', title: 'A number for it' }, friend: { $ref: 'Shared#' } } }

const Paging = Type.Object({ limit: Type.Integer({ default: 20, minimum: 1 }), after: Type.Optional(Type.String()) }, { $id: 'Paging' })
export const Line = Type.Object({ sku: Type.String(), count: Type.Integer({ default: 1 }) }, { $id: 'Line', description: 'One line of an order.' })
export const Order = Type.Object({ lines: Type.Array(Line), note: Type.Optional(Type.String()) }, { $id: 'Order' })

/** What the streams of {@link zoo}'s `inputs` take, by URL. */
const routes: Array<{ method?: string, url: string, schema: Record<string, unknown> }> = [
  { url: '/plain', schema: {} },
  { url: '/any', schema: { undeclared: true } },
  { url: '/orders/:id', schema: { params: Type.Object({ id: Type.Integer() }), summary: 'Follow one order', description: 'Ends when it has been delivered.', deprecated: true } },
  { url: '/untyped/:shop/:id', schema: {} },
  { url: '/partly/:shop/:id', schema: { params: { type: 'object', properties: { id: { type: 'integer', description: 'The order.', default: 7 } } } } },
  { url: '/referred/:name/:other', schema: { params: { $ref: 'Shared#' } } },
  { url: '/record/:a/:b', schema: { params: Type.Record(Type.String(), Type.Number()) } },
  { url: '/optional/:id?', schema: { params: Type.Object({ id: Type.Integer({ default: 1 }) }) } },
  { url: '/optional-untyped/:id?', schema: {} },
  { url: '/files/*', schema: {} },
  { url: '/pattern/:at(^\\d{2}(?:h|m)$)h/:file.:ext', schema: {} },
  { url: '/colon::verb/:id', schema: {} },
  { url: '/query', schema: { querystring: Type.Object({ since: Type.String({ format: 'date-time' }), tag: Type.Optional(Type.Array(Type.String())), limit: Type.Integer({ default: 20 }) }) } },
  { url: '/paged', schema: { querystring: Paging } },
  { url: '/empty-query', schema: { querystring: Type.Object({}) } },
  { url: '/open-query', schema: { querystring: Type.Object({ a: Type.Optional(Type.String()) }, { additionalProperties: true }) } },
  { url: '/headers', schema: { headers: Type.Object({ 'x-tenant': Type.String({ description: 'Whose.' }), 'x-limit': Type.Optional(Type.Integer()), 'x-mode': Type.Union([Type.Literal('a'), Type.Literal('b')], { default: 'a' }) }) } },
  { method: 'POST', url: '/orders', schema: { body: Order, events: { accepted: Order, line: Line, closing: nothing } } },
  { method: 'PUT', url: '/text', schema: { body: Type.String() } },
  { method: 'POST', url: '/either', schema: { body: Type.Union([Type.Object({ a: Type.Integer() }), Type.Array(Type.String()), Type.Null()]) } },
  { url: '/quiet', schema: { quiet: true } },
  { url: '/await', schema: { operationId: 'new' } }
]

export const zooCases = ['shapes', 'references', 'names', 'json-schema', 'inputs', 'shop'] as const

/** Applications with the schemas in their streams. They are not started. */
export async function zoo (name: typeof zooCases[number]): Promise<FastifyInstance> {
  // As a proxy does that has the server under a prefix of its own.
  const app = Fastify({ rewriteUrl: ({ url = '' }) => url.replace(/^\/gateway:v1\*(?=\/)/, '') }) as unknown as FastifyInstance
  await app.register(ssePlugin)
  app.addSchema(shared)
  const add = (url: string, events: Record<string, unknown>): void => {
    app.get(url, { schema: { events: events as Record<string, TSchema> } }, (_request, reply) => reply.sse([]))
  }
  if (name === 'shapes') add('/shapes', shapes)
  if (name === 'references') {
    add('/references', references)
    add('/again', { tree: references.tree, line: Line, order: Order })
  }
  if (name === 'names') {
    add('/names', names)
    // The types of one have the names that those of the other would have.
    add('/stream', { status: nothing, options: nothing })
    add('/names/by', { 'id-created': nothing })
    add('/names/by/id', { created: Type.Object({ 'a-b': Type.Unsafe({ $ref: 'Shared#' }) }, { $id: 'names by id' }) })
    add('/odd', {
      clash: Type.Object({ a: Type.Integer() }, { $id: 'EventStream' }),
      error2: Type.Object({ b: Type.Integer() }, { $id: 'Error' }),
      digit: Type.Object({ c: Type.Integer() }, { $id: '2nd' }),
      slash: Type.Object({ d: Type.Integer() }, { $id: 'a~b%c' })
    })
  }
  if (name === 'json-schema') add('/json-schema', jsonSchema)
  if (name === 'shop') addShop(app)
  if (name === 'inputs') {
    for (const { method = 'GET', url, schema: { quiet, undeclared, ...schema } } of routes) {
      app.route({
        method,
        url,
        schema: { ...undeclared !== true && { events: { closing: nothing } }, ...schema } as object,
        sse: quiet === true ? { controlEvents: false } : {},
        handler: (_request, reply) => reply.sse([])
      })
    }
  }
  return app
}

const Asked = Type.Object({
  params: Type.Record(Type.String(), Type.Unknown()),
  query: Type.Record(Type.String(), Type.Unknown()),
  body: Type.Unknown(),
  headers: Type.Record(Type.String(), Type.Union([Type.String(), Type.Number()]))
}, { $id: 'Asked', description: 'What the server has made of the request.' })

const Shop = defineEvents({
  asked: Asked,
  shipped: Type.Object({ at: Type.String({ format: 'date-time' }), parcels: Type.Array(Type.Tuple([Type.Integer(), Type.String()])) }, { description: 'The order has left.' }),
  note: text({ description: 'From the driver.' }),
  closing: Type.Null()
})

/** Streams that tell what they were asked, and then end. */
function addShop (app: FastifyInstance): void {
  async function * tell ({ params, query, body, headers }: FastifyRequest) {
    const own = Object.entries(headers).filter(([name]) => /^(x-.*|authorization|content-type)$/.test(name)) as Array<[string, string | number]>
    yield Shop.make.asked({ params, query, body: body ?? null, headers: Object.fromEntries(own) } as never)
    yield Shop.make.shipped({ at: '2024-02-29T12:00:00Z', parcels: [[1, 'a']] }, { id: 7 })
    yield Shop.make.note('42')
    yield Shop.make.closing()
  }
  app.get('/orders/:id/*', {
    schema: {
      summary: 'Follow an order',
      params: Type.Object({ id: Type.String({ description: 'Of the order.' }) }),
      querystring: Type.Object({ tag: Type.Array(Type.String()), limit: Type.Integer({ default: 20 }), exact: Type.Optional(Type.Boolean()) }),
      headers: Type.Object({ 'x-tenant': Type.String(), 'x-limit': Type.Optional(Type.Integer()) }),
      events: Shop
    }
  }, (request, reply) => reply.sse(tell(request)))
  app.post('/orders', { schema: { body: Order, events: Shop } }, (request, reply) => reply.sse(tell(request)))
  app.put('/notes', { schema: { body: Type.String(), events: Shop } }, (request, reply) => reply.sse(tell(request)))
  let attempts = 0
  app.get('/busy', { schema: { events: Shop } }, (request, reply) => ++attempts % 2 === 1 ? reply.code(503).send() : reply.sse(tell(request)))
  app.get('/anything', { sse: {} }, (_request, reply) => reply.sse([{ event: 'whatever', data: { n: 1 } }]))
}
