import { fullFormats } from 'ajv-formats/dist/formats.js'
import { toRegExp } from '../../schema/declared.js'
import { canonical, isSame, typeOf, type SchemaNode } from './schema.js'

/** References may lead in a circle around one value. */
const MAX_DEPTH = 64

/**
 * Whether a schema accepts a value; undefined when that cannot be told: formats that are not known here, and what
 * `unevaluatedProperties` and `unevaluatedItems` would say.
 */
export function accepts (node: SchemaNode, value: unknown, depth = 0): boolean | undefined {
  if (node.isNever) return false
  if (depth > MAX_DEPTH) return undefined
  const next = depth + 1
  const type = typeOf(value)
  if (node.types !== undefined && !node.types.has(type)) return false
  if (node.isInteger && type === 'number' && !Number.isInteger(value)) return false
  if (node.values !== undefined && !node.values.some((each) => isSame(each, value))) return false
  const verdicts: Array<boolean | undefined> = [node.obstacle === undefined ? true : undefined]
  if (type === 'number') verdicts.push(acceptsNumber(node, value as number))
  if (type === 'string') verdicts.push(acceptsText(node, value as string))
  if (type === 'array') verdicts.push(...acceptsItems(node, value as unknown[], next))
  if (type === 'object') verdicts.push(...acceptsProperties(node, value as Record<string, unknown>, next))
  if ((type === 'string' || type === 'number') && node.format !== undefined) verdicts.push(acceptsFormat(node.format, value))
  for (const part of node.all) verdicts.push(accepts(part, value, next))
  for (const branches of node.any) verdicts.push(some(branches.map((branch) => accepts(branch, value, next))))
  for (const branches of node.one) {
    const each = branches.map((branch) => accepts(branch, value, next))
    verdicts.push(each.filter((verdict) => verdict === true).length > 1 ? false : each.includes(undefined) ? undefined : each.includes(true))
  }
  for (const part of node.nots) verdicts.push(not(accepts(part, value, next)))
  return every(verdicts)
}

/** Whether all of several schemas accept a value. */
export function allAccept (nodes: readonly SchemaNode[], value: unknown): boolean | undefined {
  return every(nodes.map((node) => accepts(node, value)))
}

function every (verdicts: ReadonlyArray<boolean | undefined>): boolean | undefined {
  return verdicts.includes(false) ? false : verdicts.includes(undefined) ? undefined : true
}

function some (verdicts: ReadonlyArray<boolean | undefined>): boolean | undefined {
  return verdicts.includes(true) ? true : verdicts.includes(undefined) ? undefined : false
}

function not (verdict: boolean | undefined): boolean | undefined {
  return verdict === undefined ? undefined : !verdict
}

function acceptsNumber ({ limits }: SchemaNode, value: number): boolean {
  const { minimum = -Infinity, maximum = Infinity, exclusiveMinimum = -Infinity, exclusiveMaximum = Infinity, multipleOf } = Object.fromEntries(limits)
  return value >= minimum && value <= maximum && value > exclusiveMinimum && value < exclusiveMaximum &&
    (multipleOf === undefined || Number.isInteger(value / multipleOf))
}

function acceptsText ({ limits, pattern }: SchemaNode, value: string): boolean | undefined {
  const length = [...value].length
  if (length < (limits.get('minLength') ?? 0) || length > (limits.get('maxLength') ?? Infinity)) return false
  return pattern === undefined ? true : matches(pattern, value)
}

/** Whether a text matches a pattern; undefined for a pattern that is none. */
export function matches (pattern: string, text: string): boolean | undefined {
  try {
    return toRegExp(pattern).test(text)
  } catch {
    return undefined
  }
}

function acceptsFormat (name: string, value: unknown): boolean | undefined {
  const format: unknown = Object.hasOwn(fullFormats, name) ? fullFormats[name as keyof typeof fullFormats] : undefined
  if (format === undefined) return undefined
  const { type = 'string', validate = format } = (format instanceof RegExp || typeof format !== 'object' ? {} : format) as { type?: string, validate?: unknown }
  if (typeOf(value) !== type) return true
  if (validate instanceof RegExp) return validate.test(value as string)
  return typeof validate === 'function' ? validate(value) === true : true
}

function acceptsItems (node: SchemaNode, items: unknown[], depth: number): Array<boolean | undefined> {
  const { limits, prefix, rest, contains } = node
  const verdicts: Array<boolean | undefined> = [
    items.length >= (limits.get('minItems') ?? 0) && items.length <= (limits.get('maxItems') ?? Infinity),
    !node.isUnique || new Set(items.map(canonical)).size === items.length,
    node.unevaluatedItems === undefined ? true : undefined
  ]
  for (const [index, item] of items.entries()) {
    const schema = prefix[index] ?? rest
    if (schema !== undefined) verdicts.push(accepts(schema, item, depth))
  }
  if (contains !== undefined) {
    const found = items.map((item) => accepts(contains, item, depth))
    const count = found.filter((verdict) => verdict === true).length
    verdicts.push(found.includes(undefined) ? undefined : count >= (limits.get('minContains') ?? 1) && count <= (limits.get('maxContains') ?? Infinity))
  }
  return verdicts
}

function acceptsProperties (node: SchemaNode, object: Record<string, unknown>, depth: number): Array<boolean | undefined> {
  const { limits, shape, names } = node
  const entries = Object.entries(object)
  const verdicts: Array<boolean | undefined> = [
    entries.length >= (limits.get('minProperties') ?? 0) && entries.length <= (limits.get('maxProperties') ?? Infinity),
    node.required.every((name) => Object.hasOwn(object, name)),
    node.unevaluatedProperties === undefined ? true : undefined
  ]
  for (const [name, value] of entries) {
    if (names !== undefined) verdicts.push(accepts(names, name, depth))
    if (shape === undefined) continue
    const found = [...shape.patterns].map(([pattern, schema]) => [matches(pattern, name), schema] as const)
    const property = shape.properties.get(name)
    if (property !== undefined) verdicts.push(accepts(property, value, depth))
    for (const [isMatch, schema] of found) {
      if (isMatch !== false) verdicts.push(isMatch && accepts(schema, value, depth))
    }
    if (property === undefined && shape.additional !== undefined && found.every(([isMatch]) => isMatch === false)) {
      verdicts.push(accepts(shape.additional, value, depth))
    }
  }
  return verdicts
}
