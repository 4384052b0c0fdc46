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

t.test('whatever passes the check leaves as JSON that its schema accepts', async (t) => {
  let passed = 0
  fc.assert(fc.property(anyType, fc.array(anyValue, { minLength: 20, maxLength: 20 }), (schema, values) => {
    const event = compile({ schema })
    const accepts = judge(schema)
    for (const value of values) {
      if (!event.check(value)) continue
      passed++
      const text = event.stringify(value)
      if (!accepts(JSON.parse(text))) throw new Error(text)
    }
  }), { numRuns: 250 })
  t.ok(passed > 250, `${passed} values passed`)
})

t.test('a type of TypeBox and the same schema as plain JSON decide alike, and leave alike', async () => {
  fc.assert(fc.property(anyType, fc.array(anyValue, { minLength: 20, maxLength: 20 }), (schema, values) => {
    const [ours, plain] = [compile({ schema }), compile({ schema: json(schema) as object })]
    for (const value of values) {
      if (ours.check(value) !== plain.check(value)) throw new Error(`TypeBox: ${ours.check(value)}, ${JSON.stringify(value)}`)
      if (ours.check(value) && ours.stringify(value) !== plain.stringify(value)) throw new Error(`${ours.stringify(value)} is not ${plain.stringify(value)}`)
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
