/**
 * What the check and the serialization of one event cost, beside the usual ways: `node --import tsx bench/check.ts`
 *
 * All contenders take turns in every round, so that a slow moment of the machine slows all of them; the median round
 * counts, in CPU time of the process, collection of garbage included. What is serialized is measured until its bytes are known, as a socket needs them: without that, a
 * serializer that concatenates would be let off the joining of its pieces.
 */
import SerializerSelector from '@fastify/fast-json-stringify-compiler'
import { Type } from '@sinclair/typebox'
import { Ajv } from 'ajv'
import addFormats from 'ajv-formats'
import { compileEvents } from '../lib/schema/compile.js'

const ROUNDS = 41
const CALLS = 4000

const Order = Type.Object({
  id: Type.String(),
  customer: Type.String(),
  email: Type.String(),
  price: Type.Number(),
  quantity: Type.Integer({ minimum: 0 }),
  isPaid: Type.Boolean(),
  status: Type.Union([Type.Literal('open'), Type.Literal('paid'), Type.Literal('sent')]),
  at: Type.String({ format: 'date-time' }),
  note: Type.Optional(Type.String()),
  reference: Type.Union([Type.String(), Type.Null()])
})

const orders = Array.from({ length: 64 }, (_, n) => ({
  id: `order-${100_000 + n}`,
  customer: `Ada Lovelace ${n}`,
  email: `ada${n}@example.com`,
  price: 19.99 + n,
  quantity: n,
  isPaid: n % 2 === 0,
  status: ['open', 'paid', 'sent'][n % 3],
  at: new Date(1.7e12 + n * 1e6).toISOString(),
  note: `Ring twice, and wait at the door of number ${n}`,
  reference: n % 2 === 0 ? null : `R-${n}`
}))

const json = JSON.parse(JSON.stringify(Order)) as object
const events = compileEvents({
  order: Order,
  plain: json,
  closed: Type.Object({ ...Order.properties, id: Type.String({ maxLength: 40 }) }),
  patient: Type.Object(Order.properties, { minProperties: 1 }),
  either: Type.Union([Type.Object({ id: Type.String(), isGone: Type.Literal(true) }), Order]),
  record: Type.Record(Type.String(), Type.Union([Type.String(), Type.Number(), Type.Boolean(), Type.Null()]))
})
const { order, plain, closed, patient, either, record } = Object.fromEntries(events) as Record<string, NonNullable<ReturnType<typeof events.get>>>
const both = (event: NonNullable<typeof order>) => (data: unknown): string => event.check(data) ? event.stringify(data) : ''

const ajv = new Ajv()
addFormats.default(ajv)
const validate = ajv.compile(json)
const serialize = SerializerSelector()({}, {})({ schema: json, method: 'GET', url: '/', httpStatus: '200' })

const contenders: Record<string, (data: unknown) => unknown> = {
  'JSON.stringify': (data) => JSON.stringify(data),
  'fast-json-stringify': serialize,
  'Ajv, then fast-json-stringify': (data) => validate(data) ? serialize(data) : '',
  check: order!.check,
  stringify: order!.stringify,
  'check, then stringify': both(order!),
  '… of plain JSON Schema': both(plain!),
  '… with a maxLength': both(closed!),
  '… of a schema that is not plain': both(patient!),
  '… of a union not told apart': both(either!),
  '… of a record': both(record!)
}

let bytes = 0
const times = new Map<string, number[]>(Object.keys(contenders).map((name) => [name, []]))
for (let round = 0; round < ROUNDS; round++) {
  for (const [name, run] of Object.entries(contenders)) {
    const start = process.cpuUsage()
    for (let call = 0; call < CALLS; call++) {
      const result = run(orders[call % orders.length])
      if (typeof result === 'string') bytes += Buffer.byteLength(result)
    }
    const { user, system } = process.cpuUsage(start)
    times.get(name)!.push((user + system) * 1000 / CALLS)
  }
}

const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1]!
const base = median(times.get('JSON.stringify')!)
console.log(`An event of ten fields, ${JSON.stringify(orders[1]).length} bytes; Node ${process.version}, median of ${ROUNDS} rounds of ${CALLS} calls (${bytes} bytes in all)`)
console.log('ns/op'.padStart(8), 'ratio'.padStart(7))
for (const [name, values] of times) {
  console.log(median(values).toFixed(0).padStart(8), (median(values) / base).toFixed(2).padStart(7), name)
}
