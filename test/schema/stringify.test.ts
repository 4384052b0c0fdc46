import t from 'tap'
import fc from 'fast-check'
import { Ajv2019 } from 'ajv/dist/2019.js'
import addFormats from 'ajv-formats'
import { compileEvents, type CompiledEvent } from '../../lib/schema/compile.js'
import { anyType, anyValue, pure, strewn, zoo, type Specimen } from './zoo.js'

const compile = ({ schema, schemas }: Pick<Specimen, 'schema' | 'schemas'>): CompiledEvent =>
  compileEvents({ tick: schema }, schemas === undefined ? {} : { schemas }).get('tick')!

const json = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

const runs = { numRuns: 60 }

/** An Ajv set up here, and used on what has left. */
const judge = (schema: object): (value: unknown) => boolean => {
  const ajv = new Ajv2019({ strict: false, meta: false, validateSchema: false, ownProperties: true })
  addFormats.default(ajv)
  const validate = ajv.compile(json(schema) as object)
  return (value) => validate(value) as boolean
}

/** What leaves of a value; undefined when it is refused, or when no JSON can be made of it. */
const leave = (event: CompiledEvent, value: unknown): string | undefined => {
  if (!event.check(value)) return undefined
  try {
    return event.stringify(value)
  } catch (err) {
    if (err instanceof TypeError) return undefined
    throw err
  }
}

t.test('whatever leaves is JSON that its schema accepts', async (t) => {
  let left = 0
  fc.assert(fc.property(anyType, fc.array(anyValue, { minLength: 20, maxLength: 20 }), (schema, values) => {
    const event = compile({ schema })
    const accepts = judge(schema)
    for (const value of values) {
      const text = leave(event, value)
      if (text === undefined) continue
      left++
      if (!accepts(JSON.parse(text))) throw new Error(text)
    }
  }), { numRuns: 250 })
  t.ok(left > 250, `${left} values left`)
})

t.test('a type of TypeBox and the same schema as plain JSON decide alike', async () => {
  fc.assert(fc.property(anyType, fc.array(anyValue, { minLength: 20, maxLength: 20 }), (schema, values) => {
    const [ours, plain] = [compile({ schema }), compile({ schema: json(schema) as object })]
    for (const value of values) {
      const [one, other] = [leave(ours, value), leave(plain, value)]
      if (one !== other) throw new Error(`TypeBox: ${String(one)}, plain: ${String(other)}`)
    }
  }), { numRuns: 250 })
})

t.test('of data that does not match, nothing but what its schema names leaves, as valid JSON on one line', async () => {
  fc.assert(fc.property(anyType, fc.array(anyValue, { minLength: 20, maxLength: 20 }), (schema, values) => {
    const event = compile({ schema })
    for (const value of values) {
      try {
        const text = event.stringify(value)
        JSON.parse(text)
        if (/[\r\n]/.test(text)) throw new Error(text)
      } catch (err) {
        if (!(err instanceof TypeError)) throw err
      }
    }
  }), { numRuns: 250 })
})

for (const specimen of zoo) {
  t.test(`${specimen.name}: what its schema declares arrives whole, and nothing else`, async (t) => {
    const event = compile(specimen)
    fc.assert(fc.property(specimen.values, (tree) => {
      const data = strewn(tree)
      if (!event.check(data)) throw new Error(`refused: ${JSON.stringify(event.explain(data))}`)
      const text = event.stringify(data)
      t.same(JSON.parse(text), json(pure(tree)))
      if (/[\r\n]|SECRET/.test(text)) throw new Error(text)
    }), runs)
  })
}
