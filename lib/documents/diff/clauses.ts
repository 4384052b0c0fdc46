import { isSame, readSchemas, typeOf, VALUE_TYPES, type SchemaNode, type Shape, type ValueType } from './schema.js'
import { allAccept, matches } from './values.js'

/** Schemas that all apply to one value. */
export interface Conjunction {
  readonly nodes: readonly SchemaNode[]
  /**
   * Whether it is about what a server or a typed client sends: of an object nothing that is not declared. Otherwise about every
   * value that the schemas accept.
   */
  readonly isSent: boolean
  /** The same for conjunctions that say the same. */
  readonly key: string
}

/** One alternative of a conjunction, for one type of values. Of all alternatives together a value matches at least one. */
export interface Clause {
  /** Undefined when `values` says it. */
  readonly type: ValueType | undefined
  /** The only values that there are. */
  readonly values: readonly unknown[] | undefined
  readonly nodes: readonly SchemaNode[]
  /** What it must not match. */
  readonly nots: readonly SchemaNode[]
  readonly isInteger: boolean
  readonly range: Range
  /** Characters of a string, items of an array, properties of an object. */
  readonly size: Range
  readonly multiples: readonly number[]
  readonly patterns: readonly string[]
  readonly formats: readonly string[]
  readonly isUnique: boolean
  readonly lists: readonly ItemList[]
  readonly shapes: readonly Shape[]
  readonly required: ReadonlySet<string>
  /** Names that may occur beside the declared ones; undefined: any. */
  readonly others: ReadonlySet<string> | undefined
  /** {@link Conjunction.isSent} of its parts. */
  readonly isSent: boolean
}

/** Bounds of numbers. */
export interface Range { readonly min: number, readonly isMinOpen: boolean, readonly max: number, readonly isMaxOpen: boolean }

export interface ItemList { readonly prefix: readonly SchemaNode[], readonly rest: SchemaNode | undefined }

/** A conjunction has too many alternatives, or refers to itself without end. The message says so. */
export class Obstacle extends Error {}

const MAX_ALTERNATIVES = 256
const MAX_DISJOINT_DEPTH = 4

const [ANY] = readSchemas(true) as [SchemaNode]

/** What the keywords of one alternative add up to, before it is divided by types. */
interface Alternative {
  nodes: SchemaNode[]
  nots: SchemaNode[]
  rests: Array<{ node: SchemaNode, over: SchemaNode[], isOnly: boolean }>
}

export function conjunction (nodes: Iterable<SchemaNode>, isSent: boolean): Conjunction {
  const parts = new Map<number, SchemaNode>()
  const seen = new Set<SchemaNode>()
  for (const node of nodes) add(node)
  const groups = [...parts.keys()].sort((a, b) => a - b)
  return { nodes: groups.map((group) => parts.get(group)!), isSent, key: `${groups.join()}${isSent ? '!' : ''}` }

  function add (node: SchemaNode): void {
    if (seen.has(node) || node.isAny) return
    seen.add(node)
    // References and intersections are not in the way of finding that both sides have the same.
    if (isWrapper(node)) node.all.forEach(add)
    else parts.set(node.group, node)
  }
}

function isWrapper (node: SchemaNode): boolean {
  return node.all.length > 0 && !node.isShaped && node.obstacle === undefined && node.any.length + node.one.length + node.nots.length === 0
}

/** The groups of all that must be matched: the conjunction's own, and what those refer to. */
export function groupsOf ({ nodes }: Conjunction): Set<number> {
  const groups = new Set<number>()
  const add = (node: SchemaNode): void => {
    if (groups.has(node.group)) return
    groups.add(node.group)
    node.all.forEach(add)
  }
  nodes.forEach(add)
  return groups
}

/**
 * Divides a conjunction into alternatives, each of one type.
 *
 * @param isWide for what is sent: rather too many values than too few. For what is expected it is the other way round
 * @throws Obstacle
 */
export function divide (whole: Conjunction, isWide: boolean): Clause[] {
  const alternatives = product(whole.nodes.map((node) => alternativesOf(node, [])))
  const clauses = alternatives.flatMap((alternative) => clausesOf(alternative, isWide))
    .map((clause) => {
      if (clause.nots.length === 0) return clause
      const alone = withoutNots(clause)
      return { ...clause, nots: clause.nots.filter((not) => !isApart(alone, not)) }
    })
    .filter((clause) => !isEmpty(clause))
  return whole.isSent ? asSent(clauses) : clauses
}

/** The clause by what it must match alone: what it must not match, be it within a `oneOf`, would be apart from it by itself. */
function withoutNots (clause: Clause): Clause {
  return { ...clause, nots: [], nodes: clause.nodes.map((node) => ({ ...node, all: [], any: [], one: [], nots: [] })) }
}

function alternativesOf (node: SchemaNode, around: readonly SchemaNode[]): Alternative[] {
  if (node.isNever) return []
  if (node.obstacle !== undefined) throw new Obstacle(node.obstacle)
  if (around.includes(node)) throw new Obstacle('it refers to itself without end')
  const inner = [...around, node]
  const factors: Alternative[][] = [[{ nodes: [node], nots: [...node.nots], rests: [] }]]
  for (const part of node.all) factors.push(alternativesOf(part, inner))
  for (const branches of node.any) factors.push(branches.flatMap((branch) => alternativesOf(branch, inner)))
  for (const branches of node.one) {
    factors.push(branches.flatMap((branch) => alternativesOf(branch, inner).map((alternative) =>
      ({ ...alternative, nots: [...alternative.nots, ...branches.filter((other) => other !== branch)] }))))
  }
  const alternatives = product(factors)
  if (node.unevaluatedProperties !== undefined || node.unevaluatedItems !== undefined) {
    for (const alternative of alternatives) alternative.rests.push({ node, over: alternative.nodes, isOnly: alternatives.length === 1 })
  }
  return alternatives
}

function product (factors: readonly Alternative[][]): Alternative[] {
  let products: Alternative[] = [{ nodes: [], nots: [], rests: [] }]
  for (const factor of factors) {
    if (products.length * factor.length > MAX_ALTERNATIVES) throw new Obstacle(`it has more than ${MAX_ALTERNATIVES} alternatives`)
    products = products.flatMap((one) => factor.map((other) => ({
      nodes: [...one.nodes, ...other.nodes], nots: [...one.nots, ...other.nots], rests: [...one.rests, ...other.rests]
    })))
  }
  return products
}

function clausesOf ({ nodes, nots, rests }: Alternative, isWide: boolean): Clause[] {
  const types = VALUE_TYPES.filter((type) => nodes.every((node) => node.types?.has(type) ?? true))
  const listed = nodes.find((node) => node.values !== undefined)?.values
  const values = listed ?? [types.includes('null') ? [null] : [], types.includes('boolean') ? [false, true] : []].flat()
  const known = values.filter((value) => allAccept(nodes, value) !== false && !nots.some((not) => allAccept([not], value) === true))
  const common = {
    values: undefined,
    nodes,
    nots,
    isInteger: nodes.some((node) => node.isInteger),
    multiples: nodes.flatMap((node) => node.limits.get('multipleOf') ?? []),
    patterns: nodes.flatMap((node) => node.pattern ?? []),
    formats: nodes.flatMap((node) => node.format ?? []),
    isUnique: nodes.some((node) => node.isUnique),
    lists: [...nodes, ...rests.flatMap((rest) => unevaluatedItems(rest, isWide) ?? [])].filter(({ prefix, rest }) => prefix.length > 0 || rest !== undefined),
    shapes: [...nodes.flatMap((node) => node.shape ?? []), ...rests.flatMap((rest) => unevaluatedProperties(rest, isWide) ?? [])],
    required: new Set(nodes.flatMap((node) => node.required)),
    others: undefined,
    isSent: false
  }
  const clauses: Clause[] = known.length === 0 ? [] : [{ ...common, type: undefined, values: known, range: EVERYWHERE, size: EVERYWHERE }]
  if (listed !== undefined) return clauses
  for (const type of types) {
    if (type === 'null' || type === 'boolean') continue
    clauses.push({ ...common, type, range: type === 'number' ? rangeOf(nodes, common.isInteger) : EVERYWHERE, size: sizeOf(nodes, type, common.lists) })
  }
  return clauses
}

/**
 * What `unevaluatedProperties` says of one alternative: as `additionalProperties` would that knew all of it.
 *
 * A value may match several alternatives, and what any of them names is evaluated. Where that is possible this says too much, which is
 * right for what is expected and left out for what is sent.
 */
function unevaluatedProperties ({ node, over, isOnly }: Alternative['rests'][number], isWide: boolean): Shape | undefined {
  const { unevaluatedProperties: additional } = node
  if (additional === undefined || (isWide && !isOnly)) return undefined
  if (over.some((each) => each.shape?.additional !== undefined || (each !== node && each.unevaluatedProperties !== undefined))) return undefined
  const names = over.flatMap((each) => [...each.shape?.properties.keys() ?? []])
  const patterns = over.flatMap((each) => [...each.shape?.patterns.keys() ?? []])
  return { properties: new Map(names.map((name) => [name, ANY])), patterns: new Map(patterns.map((pattern) => [pattern, ANY])), additional }
}

function unevaluatedItems ({ node, over, isOnly }: Alternative['rests'][number], isWide: boolean): ItemList | undefined {
  const { unevaluatedItems: rest } = node
  if (rest === undefined || (isWide && (!isOnly || over.some((each) => each.contains !== undefined)))) return undefined
  if (over.some((each) => each.rest !== undefined || (each !== node && each.unevaluatedItems !== undefined))) return undefined
  return { prefix: Array<SchemaNode>(Math.max(...over.map((each) => each.prefix.length))).fill(ANY), rest }
}

const EVERYWHERE: Range = { min: -Infinity, isMinOpen: false, max: Infinity, isMaxOpen: false }

function rangeOf (nodes: readonly SchemaNode[], isInteger: boolean): Range {
  let { min, isMinOpen, max, isMaxOpen } = EVERYWHERE
  for (const { limits } of nodes) {
    for (const [keyword, isOpen] of [['minimum', false], ['exclusiveMinimum', true]] as const) {
      const limit = limits.get(keyword)
      if (limit !== undefined && (limit > min || (limit === min && isOpen))) [min, isMinOpen] = [limit, isOpen]
    }
    for (const [keyword, isOpen] of [['maximum', false], ['exclusiveMaximum', true]] as const) {
      const limit = limits.get(keyword)
      if (limit !== undefined && (limit < max || (limit === max && isOpen))) [max, isMaxOpen] = [limit, isOpen]
    }
  }
  if (!isInteger) return { min, isMinOpen, max, isMaxOpen }
  const first = Math.ceil(min)
  const last = Math.floor(max)
  return {
    min: isMinOpen && first === min ? first + 1 : first, isMinOpen: false, max: isMaxOpen && last === max ? last - 1 : last, isMaxOpen: false
  }
}

const SIZES = { string: ['minLength', 'maxLength'], array: ['minItems', 'maxItems'], object: ['minProperties', 'maxProperties'] } as const

function sizeOf (nodes: readonly SchemaNode[], type: ValueType, lists: readonly ItemList[]): Range {
  if (type === 'null' || type === 'boolean' || type === 'number') return EVERYWHERE
  const [least, most] = SIZES[type]
  let min = Math.max(0, ...nodes.map(({ limits }) => limits.get(least) ?? 0))
  const max = Math.min(...nodes.map(({ limits }) => limits.get(most) ?? Infinity), ...(type === 'array' ? lists.map(mostItems) : []))
  if (type === 'object') min = Math.max(min, new Set(nodes.flatMap(({ required }) => required)).size)
  return { min, isMinOpen: false, max, isMaxOpen: false }
}

function mostItems ({ prefix, rest }: ItemList): number {
  const end = prefix.findIndex((node) => node.isNever)
  return end !== -1 ? end : rest?.isNever === true ? prefix.length : Infinity
}

function isNothing ({ min, isMinOpen, max, isMaxOpen }: Range): boolean {
  return min > max || (min === max && (isMinOpen || isMaxOpen))
}

/** Whether no value can match it. Not all of those are found. */
function isEmpty (clause: Clause): boolean {
  return isNothing(clause.range) || isNothing(clause.size) || clause.nots.some((not) => conjunction([not], false).nodes.length === 0) ||
    (clause.type === 'object' && [...clause.required].some((name) => propertyOf(clause, name).nodes.some((node) => node.isNever)))
}

/**
 * What is sent of these: nothing undeclared.
 *
 * A value may match several alternatives, and is sent with what all of them declare.
 */
function asSent (clauses: Clause[]): Clause[] {
  const objects = clauses.filter(({ type }) => type === 'object')
  const arrays = clauses.filter(({ type }) => type === 'array')
  const areObjectsApart = areApart(objects)
  const areArraysApart = areApart(arrays)
  const names = new Set(objects.flatMap((clause) => [...declaredNames(clause)]))
  // One that says nothing of how objects look lets all of them through.
  const isOpen = (clause: Clause): boolean => !clause.nodes.some(({ isShaped }) => isShaped)
  const isAnyOpen = objects.some(isOpen)
  return clauses.map((clause) => {
    if (clause.type === 'array') return { ...clause, isSent: areArraysApart }
    if (clause.type !== 'object') return clause
    if (areObjectsApart) return isOpen(clause) ? { ...clause, isSent: true } : { ...clause, isSent: true, others: NO_NAMES }
    return isAnyOpen ? clause : { ...clause, others: names }
  })
}

const NO_NAMES: ReadonlySet<string> = new Set()

/**
 * Whether no value matches two of these. What is not declared may make the difference where properties are counted, or something
 * must not match; leaving it out could lead from one to the other.
 */
function areApart (clauses: readonly Clause[]): boolean {
  return clauses.length < 2 || (
    clauses.every(({ nots, nodes }) => nots.length === 0 && !nodes.some(({ limits }) => limits.has('minProperties') || limits.has('maxProperties'))) &&
    clauses.every((one, index) => clauses.slice(index + 1).every((other) => isDisjoint(one, other, MAX_DISJOINT_DEPTH)))
  )
}

/** The properties that are declared by name. Only required ones are declared too. */
export function declaredNames (clause: Clause): Set<string> {
  return new Set([...clause.required, ...clause.shapes.flatMap(({ properties }) => [...properties.keys()])])
}

/** What applies to a property, if there is one of this name. */
export function propertyOf (clause: Clause, name: string): Conjunction {
  const nodes = clause.shapes.flatMap((shape) => inShape(shape, name))
  if (clause.others !== undefined && nodes.length === 0 && !isNamed(clause, name) && !clause.others.has(name)) return NOTHING
  return conjunction(nodes, clause.isSent)
}

function isNamed ({ required, shapes }: Clause, name: string): boolean {
  return required.has(name) || shapes.some(({ properties, patterns, additional }) => properties.has(name) || additional !== undefined ||
    [...patterns.keys()].some((pattern) => matches(pattern, name) !== false))
}

/** What a property is that is never there. */
const NOTHING: Conjunction = { nodes: readSchemas(false), isSent: false, key: 'nothing' }

/** What one shape says about a property. A pattern that cannot be read may apply or not: nothing is made of it. */
export function inShape ({ properties, patterns, additional }: Shape, name: string): SchemaNode[] {
  const nodes: SchemaNode[] = []
  const property = properties.get(name)
  if (property !== undefined) nodes.push(property)
  let isPatterned = false
  for (const [pattern, node] of patterns) {
    const isMatch = matches(pattern, name)
    if (isMatch !== false) isPatterned = true
    if (isMatch === true) nodes.push(node)
  }
  if (property === undefined && !isPatterned && additional !== undefined) nodes.push(additional)
  return nodes
}

/** What applies to all properties that no name and no pattern speaks of. */
export function otherProperties (clause: Clause): Conjunction {
  const nodes = clause.shapes.flatMap(({ additional }) => additional ?? [])
  return clause.others !== undefined && nodes.length === 0 ? NOTHING : conjunction(nodes, clause.isSent)
}

/** What applies to the item at an index, or past all indexes that have a schema of their own. */
export function itemOf ({ lists, isSent }: Clause, index: number): Conjunction {
  return conjunction(lists.flatMap(({ prefix, rest }) => prefix[index] ?? rest ?? []), isSent)
}

/** Whether no value of the clause matches a schema, as far as that can be told. */
export function isApart (clause: Clause, node: SchemaNode, depth = MAX_DISJOINT_DEPTH): boolean {
  return depth > 0 && isConjunctionApart([clause], conjunction([node], false), depth)
}

function isConjunctionApart (clauses: readonly Clause[], other: Conjunction, depth: number): boolean {
  const others = wideClausesOf(other)
  return others !== undefined && clauses.every((one) => others.every((each) => isDisjoint(one, each, depth)))
}

/** Nodes are looked at in pairs, so each of them again and again. */
const wideClauses = new WeakMap<SchemaNode, Clause[] | undefined>()

/** The alternatives of a conjunction, be they sent or not; undefined when they cannot be listed. */
function wideClausesOf ({ nodes }: Conjunction): Clause[] | undefined {
  const [node] = nodes
  const isOne = node !== undefined && nodes.length === 1
  if (isOne && wideClauses.has(node)) return wideClauses.get(node)
  let clauses: Clause[] | undefined
  try {
    clauses = product(nodes.map((each) => alternativesOf(each, []))).flatMap((alternative) => clausesOf(alternative, true))
  } catch (error) {
    if (!(error instanceof Obstacle)) throw error
  }
  if (isOne) wideClauses.set(node, clauses)
  return clauses
}

/** Whether no value matches both, as far as that can be told. */
export function isDisjoint (a: Clause, b: Clause, depth = MAX_DISJOINT_DEPTH): boolean {
  if (a.values !== undefined) return a.values.every((value) => !isOfClause(b, value) || allAccept(b.nodes, value) === false)
  if (b.values !== undefined) return isDisjoint(b, a, depth)
  if (a.type !== b.type || isNothing(overlap(a.range, b.range)) || isNothing(overlap(a.size, b.size))) return true
  if (a.nots.some(({ group }) => b.nodes.some((node) => node.group === group))) return true
  if (b.nots.some(({ group }) => a.nodes.some((node) => node.group === group))) return true
  if (depth === 0) return false
  if (a.type === 'object') return [...a.required, ...b.required].some((name) => areConjunctionsApart(rawProperty(a, name), rawProperty(b, name), depth - 1))
  if (a.type !== 'array') return false
  for (let index = 0; index < Math.min(16, Math.max(a.size.min, b.size.min)); index++) {
    if (areConjunctionsApart(itemOf(a, index), itemOf(b, index), depth - 1)) return true
  }
  return false
}

/** Whether two objects are told apart by constants that both require, such as `type`. */
export function isTaggedApart (a: Clause, b: Clause): boolean {
  const isConstant = (property: Conjunction): boolean => property.nodes.some(({ values }) => values !== undefined)
  return [...a.required].some((name) => {
    if (!b.required.has(name)) return false
    const [one, other] = [rawProperty(a, name), rawProperty(b, name)]
    return isConstant(one) && isConstant(other) && areConjunctionsApart(one, other, 1)
  })
}

function isOfClause ({ type, values }: Clause, value: unknown): boolean {
  return values === undefined ? typeOf(value) === type : values.some((each) => isSame(each, value))
}

/** What was found for two nodes, by depth: schemas that refer to themselves ask for the same pairs from everywhere. */
const verdicts = new WeakMap<SchemaNode, WeakMap<SchemaNode, boolean[]>>()

function areConjunctionsApart (a: Conjunction, b: Conjunction, depth: number): boolean {
  // Of what says nothing, nothing is apart but what is never.
  if (a.nodes.length === 0 || b.nodes.length === 0) return [...a.nodes, ...b.nodes].some(({ isNever }) => isNever)
  const judge = (): boolean => {
    const clauses = wideClausesOf(a)
    return clauses !== undefined && isConjunctionApart(clauses, b, depth)
  }
  const [one, other] = [a.nodes[0]!, b.nodes[0]!]
  if (a.nodes.length > 1 || b.nodes.length > 1) return judge()
  let ofOne = verdicts.get(one)
  if (ofOne === undefined) verdicts.set(one, ofOne = new WeakMap())
  let byDepth = ofOne.get(other)
  if (byDepth === undefined) ofOne.set(other, byDepth = [])
  byDepth[depth] ??= judge()
  return byDepth[depth]
}

const rawProperties = new WeakMap<readonly Shape[], Map<string, Conjunction>>()

/** As the schemas have it, be it sent or not. */
function rawProperty ({ shapes }: Clause, name: string): Conjunction {
  let known = rawProperties.get(shapes)
  if (known === undefined) rawProperties.set(shapes, known = new Map())
  let property = known.get(name)
  if (property === undefined) known.set(name, property = conjunction(shapes.flatMap((shape) => inShape(shape, name)), false))
  return property
}

function overlap (a: Range, b: Range): Range {
  return {
    min: Math.max(a.min, b.min),
    isMinOpen: a.min === b.min ? a.isMinOpen || b.isMinOpen : (a.min > b.min ? a : b).isMinOpen,
    max: Math.min(a.max, b.max),
    isMaxOpen: a.max === b.max ? a.isMaxOpen || b.isMaxOpen : (a.max < b.max ? a : b).isMaxOpen
  }
}
