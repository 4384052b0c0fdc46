import type { JSONSchema } from '../../schema/manifest.js'
import {
  conjunction, declaredNames, divide, groupsOf, inShape, isApart, isDisjoint, isTaggedApart, itemOf, Obstacle, otherProperties, propertyOf,
  type Clause, type Conjunction, type Range
} from './clauses.js'
import { describeClause, describeClauses, describeValues } from './describe.js'
import { canonical, readSchemas, typeOf, type SchemaNode, type Shape } from './schema.js'
import { allAccept } from './values.js'

/**
 * Why not all that is sent is expected.
 *
 * - `'type'`: another type of JSON
 * - `'value'`: another constant
 * - `'bound'`: outside of a range, a length, a count, or not unique
 * - `'optional'`: a property that is required may be missing
 * - `'missing'`: a property that is required is not declared
 * - `'forbidden'`: a property that must not be there
 * - `'variant'`: none of several alternatives, as far as can be told
 * - `'unknown'`: cannot be compared; `found` says why
 */
export type ProblemKind = 'type' | 'value' | 'bound' | 'optional' | 'missing' | 'forbidden' | 'variant' | 'unknown'

export interface Problem {
  readonly kind: ProblemKind
  /** Where in the data: names of properties, indexes, `*` for any. */
  readonly at: readonly string[]
  /** What may be sent, in words. */
  readonly found: string
  /** What is expected, in words. */
  readonly expected: string
}

/** A property that one side declares and the other does not, where that is allowed. */
export interface Note {
  /** Who declares it. */
  readonly by: 'sent' | 'expected'
  readonly at: readonly string[]
}

export interface Comparison {
  /** Empty when everything that is sent is expected. */
  readonly problems: Problem[]
  readonly notes: Note[]
}

export interface ComparisonOptions {
  /**
   * Whether nothing leaves that is not declared: so it is with what servers of this package send, and with what typed clients send.
   *
   * @defaultValue `false`: every value that the schema accepts may be sent
   */
  isDeclaredOnly?: boolean
  /** Whether values travel as text, so that a number is expected where a text is. */
  isText?: boolean
}

/** A comparison is given up after so many pairs of schemas and of their alternatives. */
const MAX_STEPS = 5_000
const TOO_LARGE = 'the schemas have too many alternatives'
/** So many problems of one place are told. In schemas that refer to themselves there are as many as there are ways through them. */
const MAX_PROBLEMS = 100
/** Into how many cases a property with few values divides what is sent. */
const MAX_CASES = 64

/**
 * Whether every value of one schema is one of another, and if not, where.
 *
 * It never says so wrongly: what it cannot decide is a problem (`'unknown'`, `'variant'`).
 */
export function compareSchemas (sent: JSONSchema, expected: JSONSchema, options: ComparisonOptions = {}): Comparison {
  const [from, to] = readSchemas(sent, expected)
  const comparer = new Comparer(options)
  const problems = comparer.compare(conjunction([from!], options.isDeclaredOnly ?? false), conjunction([to!], false))
  return { problems, notes: comparer.notes }
}

class Comparer {
  readonly notes: Note[] = []
  readonly #isText: boolean
  /** Pairs that are taken for proven: those that are, and those that are being looked at, so that recursion ends. */
  readonly #proven = new Set<string>()
  readonly #trail: string[] = []
  readonly #failed = new Map<string, Problem[]>()
  readonly #path: string[] = []
  readonly #divisions = new Map<string, Clause[]>()
  #steps = 0

  constructor ({ isText = false }: ComparisonOptions) {
    this.#isText = isText
  }

  /** The paths of problems begin here. */
  compare (sent: Conjunction, expected: Conjunction): Problem[] {
    if (expected.nodes.length === 0 || isNothing(sent)) return []
    const groups = groupsOf(sent)
    if (expected.nodes.every(({ group }) => groups.has(group))) return []
    const key = `${sent.key} ${expected.key}`
    if (this.#proven.has(key)) return []
    const known = this.#failed.get(key)
    if (known !== undefined) return known
    if (++this.#steps > MAX_STEPS) return [unknown(TOO_LARGE)]
    const mark = this.#trail.push(key) - 1
    this.#proven.add(key)
    const problems = this.#judge(sent, expected).slice(0, MAX_PROBLEMS)
    if (problems.length > 0) {
      // What was proven meanwhile may lean on this.
      for (const each of this.#trail.splice(mark)) this.#proven.delete(each)
      this.#failed.set(key, problems)
    }
    return problems
  }

  #judge (sent: Conjunction, expected: Conjunction): Problem[] {
    let from: Clause[]
    let to: Clause[]
    try {
      from = this.#divide(sent, true)
      to = this.#divide(expected, false)
    } catch (error) {
      if (error instanceof Obstacle) return [unknown(error.message)]
      throw error
    }
    if (from.length === 0) return []
    if (to.length === 0) return [isNothing(expected) ? problem('forbidden', '', '') : problem('type', describeClauses(from), 'nothing')]
    return joined(from.flatMap((clause) => {
      const isOneOfSeveral = from.some((other) => other !== clause && other.type === clause.type)
      return this.#cover(clause, expected, to, MAX_CASES, isOneOfSeveral)
    }))
  }

  #divide (whole: Conjunction, isWide: boolean): Clause[] {
    const key = `${isWide ? '+' : '-'}${whole.key}`
    let clauses = this.#divisions.get(key)
    if (clauses === undefined) this.#divisions.set(key, clauses = divide(whole, isWide))
    return clauses
  }

  /** Whether an alternative is one of those that are expected. */
  #cover (clause: Clause, expected: Conjunction, to: readonly Clause[], cases: number, isOneOfSeveral: boolean): Problem[] {
    const problems = this.#coverAsItIs(clause, expected, to, cases, isOneOfSeveral)
    return problems.length > 0 && this.#isText && to.some((candidate) => this.#coverAsItem(clause, candidate)) ? [] : problems
  }

  /** Whether it is expected as the only item of an array. Fastify makes an array of what comes once. */
  #coverAsItem (clause: Clause, array: Clause): boolean {
    if (array.type !== 'array' || clause.type === 'array' || clause.type === 'object') return false
    if (clause.values?.some((value) => typeof value === 'object')) return false
    if (array.size.min > 1 || array.size.max < 1 || array.nots.length > 0 || array.nodes.some(({ contains }) => contains !== undefined)) return false
    const item = itemOf(array, 0)
    try {
      return item.nodes.length === 0 || this.#cover(clause, item, this.#divide(item, false), 1, false).length === 0
    } catch (error) {
      if (error instanceof Obstacle) return false
      throw error
    }
  }

  #coverAsItIs (clause: Clause, expected: Conjunction, to: readonly Clause[], cases: number, isOneOfSeveral: boolean): Problem[] {
    if (clause.values !== undefined) return this.#coverValues(clause.values, expected, to)
    if (this.#isText && clause.type === 'number' && to.some(takesAnyText)) return []
    const ofType = to.filter(({ type }) => type === clause.type)
    if (ofType.length === 0) {
      const kind = to.some(({ values }) => values?.some((value) => typeOf(value) === clause.type)) ? 'value' : 'type'
      return [problem(kind, describeClause(clause), describeClauses(to))]
    }
    // The others cannot hold it. Mostly one is left: a constant tells.
    const near = ofType.filter((candidate) => !isDisjoint(clause, candidate))
    // What has the same constants and holds it no more says where it differs.
    const known = near.length > 0 || clause.type !== 'object' ? near : ofType.filter((candidate) => !isTaggedApart(clause, candidate))
    const candidates = ofType.length === 1 && !isOneOfSeveral ? ofType : known
    const failures: Array<{ problems: Problem[], notes: Note[] }> = []
    for (const candidate of candidates) {
      if (++this.#steps > MAX_STEPS) return [unknown(TOO_LARGE)]
      const notes = this.notes.length
      const problems = this.#check(clause, candidate)
      if (problems.length === 0) return []
      failures.push({ problems, notes: this.notes.splice(notes) })
    }
    const parts = ofType.length === 1 ? [] : this.#divided(clause, cases)
    if (parts.length > 1) return parts.flatMap((part) => this.#cover(part, expected, to, Math.floor(cases / parts.length), true))
    if (failures.length === 1) {
      this.notes.push(...failures[0]!.notes)
      return failures[0]!.problems
    }
    const undecided = failures.find(({ problems }) => problems.every(({ kind }) => kind === 'unknown'))
    return undecided?.problems ?? [problem('variant', describeClause(clause), describeClauses(to))]
  }

  #coverValues (values: readonly unknown[], expected: Conjunction, to: readonly Clause[]): Problem[] {
    const problems: Problem[] = []
    const verdicts = values.map((value) => {
      const verdict = allAccept(expected.nodes, value)
      return verdict !== true && this.#isText && ['number', 'boolean'].includes(typeof value) ? allAccept(expected.nodes, String(value)) : verdict
    })
    const refused = values.filter((_value, index) => verdicts[index] === false)
    const unclear = values.filter((_value, index) => verdicts[index] === undefined)
    if (refused.length > 0) {
      const types = new Set(to.flatMap(({ type, values }) => type ?? values?.map(typeOf) ?? []))
      const isOfKnownType = refused.every((value) => types.has(typeOf(value)))
      problems.push(problem(isOfKnownType ? 'value' : 'type', describeValues(refused), describeClauses(to)))
    }
    if (unclear.length > 0) problems.push(unknown(`whether ${describeValues(unclear)} is ${describeClauses(to)}`))
    return problems
  }

  /** Cases of an object by a property that has few values. */
  #divided (clause: Clause, cases: number): Clause[] {
    if (clause.type !== 'object') return []
    for (const name of clause.required) {
      let values: unknown[]
      try {
        const parts = this.#divide(propertyOf(clause, name), true)
        if (!parts.every((part) => part.values !== undefined)) continue
        values = parts.flatMap((part) => part.values ?? [])
      } catch {
        continue
      }
      if (values.length < 2 || values.length > cases) continue
      return values.map((value) => {
        const shape: Shape = { properties: new Map([[name, constant(value)]]), patterns: new Map(), additional: undefined }
        return { ...clause, shapes: [...clause.shapes, shape] }
      })
    }
    return []
  }

  /** Whether everything of one alternative is of another, of the same type. */
  #check (sent: Clause, expected: Clause): Problem[] {
    const problems: Problem[] = []
    // What is left out because it is not declared may have been the difference.
    const ruledOut = new Set(sent.others === undefined ? sent.nots.map((not) => conjunction([not], false).key) : [])
    for (const not of expected.nots) {
      if (ruledOut.has(conjunction([not], false).key) || isApart(sent, not)) continue
      problems.push(unknown('what oneOf, not or if rules out'))
    }
    if (sent.type === 'number') problems.push(...checkNumber(sent, expected))
    if (sent.type === 'string') problems.push(...checkText(sent, expected))
    if (sent.type === 'array') problems.push(...this.#checkItems(sent, expected))
    if (sent.type === 'object') problems.push(...this.#checkProperties(sent, expected))
    return problems.length > 1 ? joined(problems) : problems
  }

  #checkItems (sent: Clause, expected: Clause): Problem[] {
    const problems: Problem[] = []
    if (!isWithin(sent.size, expected.size) || (expected.isUnique && !sent.isUnique && sent.size.max > 1)) {
      problems.push(problem('bound', describeClause(sent), describeClause(expected)))
    }
    const prefix = Math.max(0, ...[...sent.lists, ...expected.lists].map((list) => list.prefix.length))
    for (let index = 0; index < Math.min(prefix, sent.size.max); index++) {
      problems.push(...this.#at(String(index), itemOf(sent, index), itemOf(expected, index)))
    }
    if (sent.size.max > prefix) problems.push(...this.#at('*', itemOf(sent, prefix), itemOf(expected, prefix)))
    for (const node of expected.nodes) {
      if (node.contains !== undefined && !this.#contains(sent, node)) problems.push(unknown('what an array has to contain'))
    }
    return problems
  }

  #contains (sent: Clause, { contains, limits }: SchemaNode): boolean {
    const least = limits.get('minContains') ?? 1
    const most = limits.get('maxContains') ?? Infinity
    if (sent.size.max <= most && (least === 0 || (sent.lists.length === 1 && sent.lists[0]!.prefix.length === 0 && sent.size.min >= least &&
      this.compare(itemOf(sent, 0), conjunction([contains!], false)).length === 0))) return true
    return sent.nodes.some((node) => node.contains?.group === contains!.group &&
      (node.limits.get('minContains') ?? 1) >= least && (node.limits.get('maxContains') ?? Infinity) <= most)
  }

  #checkProperties (sent: Clause, expected: Clause): Problem[] {
    const problems: Problem[] = []
    const names = declaredNames(sent)
    for (const name of expected.required) {
      if (!sent.required.has(name)) problems.push({ ...problem(names.has(name) ? 'optional' : 'missing', '', ''), at: [name] })
    }
    if (!hasCount(sent, expected)) problems.push(problem('bound', describeClause(sent), describeClause(expected)))
    for (const shape of expected.shapes) problems.push(...this.#checkShape(sent, shape))
    for (const node of expected.nodes) {
      if (node.names !== undefined && !this.#hasNames(sent, node.names)) problems.push(unknown('which names properties may have'))
    }
    this.#note(sent, expected)
    return problems
  }

  #checkShape (sent: Clause, shape: Shape): Problem[] {
    const problems: Problem[] = []
    for (const name of new Set([...declaredNames(sent), ...sent.others ?? [], ...shape.properties.keys()])) {
      problems.push(...this.#at(name, propertyOf(sent, name), conjunction(inShape(shape, name), false)))
    }
    const rest = otherProperties(sent)
    const patterned = new Map<string, SchemaNode[]>()
    for (const { patterns } of sent.shapes) {
      for (const [pattern, node] of patterns) patterned.set(pattern, [...patterned.get(pattern) ?? [], node])
    }
    for (const [pattern, node] of shape.patterns) {
      const to = conjunction([node], false)
      const same = patterned.get(pattern)
      // Any other pattern may meet the same names, and names that no pattern speaks of may be met by this one.
      const from = same === undefined ? [...[...patterned.values()].map((nodes) => conjunction(nodes, sent.isSent)), rest] : [conjunction(same, sent.isSent)]
      for (const each of from) problems.push(...this.#at(`{${pattern}}`, each, to))
    }
    if (shape.additional !== undefined) {
      const to = conjunction([shape.additional], false)
      for (const [pattern, nodes] of patterned) {
        if (!shape.patterns.has(pattern)) problems.push(...this.#at(`{${pattern}}`, conjunction(nodes, sent.isSent), to))
      }
      problems.push(...this.#at('*', rest, to))
    }
    return problems
  }

  #hasNames (sent: Clause, names: SchemaNode): boolean {
    if (sent.nodes.some((node) => node.names?.group === names.group)) return true
    const possible = possibleNames(sent)
    if (possible !== undefined) return possible.every((name) => allAccept([names], name) === true)
    const declared = sent.nodes.flatMap((node) => node.names ?? [])
    return declared.length > 0 && this.compare(conjunction(declared, false), conjunction([names], false)).length === 0
  }

  #note (sent: Clause, expected: Clause): void {
    const from = declaredNames(sent)
    const to = declaredNames(expected)
    const isNamedByRest = ({ shapes }: Clause): boolean =>
      shapes.some(({ patterns, additional }) => patterns.size > 0 || (additional !== undefined && !additional.isNever))
    if (!isNamedByRest(expected)) {
      for (const name of from) if (!to.has(name) && !isNothing(propertyOf(sent, name))) this.notes.push({ by: 'sent', at: [...this.#path, name] })
    }
    if (!isNamedByRest(sent)) {
      for (const name of to) if (!from.has(name)) this.notes.push({ by: 'expected', at: [...this.#path, name] })
    }
  }

  #at (token: string, sent: Conjunction, expected: Conjunction): Problem[] {
    this.#path.push(token)
    const problems = this.compare(sent, expected).map((each) => ({ ...each, at: [token, ...each.at] }))
    this.#path.pop()
    return problems
  }
}

function problem (kind: ProblemKind, found: string, expected: string): Problem {
  return { kind, at: [], found, expected }
}

function unknown (reason: string): Problem {
  return problem('unknown', reason, '')
}

/** Types that are not expected at one place are one problem, and what is said twice is said once. */
function joined (problems: Problem[]): Problem[] {
  const kept = new Map<string, Problem>()
  for (const each of problems) {
    const key = each.kind === 'type' || each.kind === 'value' ? JSON.stringify([each.kind, each.at, each.expected]) : JSON.stringify(each)
    const other = kept.get(key)
    kept.set(key, other === undefined || other.found === each.found ? each : { ...each, found: `${other.found} or ${each.found}` })
  }
  return [...kept.values()]
}

const constants = new Map<string, SchemaNode>()

/** The node of a constant. Its group is none of those that schemas are given. */
function constant (value: unknown): SchemaNode {
  const key = canonical(value)
  let node = constants.get(key)
  if (node === undefined) {
    node = { ...readSchemas({ const: value })[0]!, group: -1 - constants.size }
    constants.set(key, node)
  }
  return node
}

function takesAnyText (clause: Clause): boolean {
  return clause.type === 'string' && clause.patterns.length + clause.formats.length + clause.nots.length === 0 && clause.size.min <= 1 && clause.size.max === Infinity
}

function isWithin (inner: Range, outer: Range): boolean {
  return (inner.min > outer.min || (inner.min === outer.min && (inner.isMinOpen || !outer.isMinOpen))) &&
    (inner.max < outer.max || (inner.max === outer.max && (inner.isMaxOpen || !outer.isMaxOpen)))
}

function checkNumber (sent: Clause, expected: Clause): Problem[] {
  const isMultiple = (of: number): boolean => (of === 1 && sent.isInteger) ||
    sent.multiples.some((each) => each === of || (Number.isInteger(each) && Number.isInteger(of) && each % of === 0))
  const isInteger = !expected.isInteger || sent.isInteger || sent.multiples.some((each) => Number.isInteger(each))
  const isInside = isWithin(sent.range, expected.range) && expected.multiples.every(isMultiple) && isEvery(expected.formats, sent.formats)
  if (isInteger && isInside) return []
  return [problem(isInteger ? 'bound' : 'type', describeClause(sent), describeClause(expected))]
}

function checkText (sent: Clause, expected: Clause): Problem[] {
  if (isWithin(sent.size, expected.size) && isEvery(expected.formats, sent.formats) && isEvery(expected.patterns, sent.patterns)) return []
  return [problem('bound', describeClause(sent), describeClause(expected))]
}

function isEvery (of: readonly string[], among: readonly string[]): boolean {
  return of.every((each) => among.includes(each))
}

function hasCount (sent: Clause, expected: Clause): boolean {
  const least = Math.max(0, ...expected.nodes.map(({ limits }) => limits.get('minProperties') ?? 0))
  if (sent.size.min < least) return false
  if (sent.size.max <= expected.size.max) return true
  const possible = possibleNames(sent)
  return possible !== undefined && possible.length <= expected.size.max
}

/** The names that properties may have; undefined when they cannot be listed. */
function possibleNames (clause: Clause): string[] | undefined {
  if (!isNothing(otherProperties(clause)) || clause.shapes.some(({ patterns }) => patterns.size > 0)) return undefined
  return [...new Set([...declaredNames(clause), ...clause.others ?? []])].filter((name) => !isNothing(propertyOf(clause, name)))
}

function isNothing ({ nodes }: Conjunction): boolean {
  return nodes.some(({ isNever }) => isNever)
}
