import type { Bundle, Node, Schema } from './bundle.js'

/** Compiles the test whether a value matches `$defs/<index>` of a bundle. */
export type CompileTest = (index: number) => (value: unknown) => boolean

/**
 * - `'check'`: the copy is what `JSON.parse` will make of the text that leaves. Whatever would be lost on the way is
 *   refused with an {@link UndeclarableError}: what has no JSON, what `additionalProperties: false` forbids, an object or an
 *   array where there can be none.
 * - `'stringify'`: the copy is for `JSON.stringify`, and of data that passes the check it makes the same. Of other data it
 *   makes what can be made.
 */
export type DeclareMode = 'check' | 'stringify'

/** A part of a value that cannot leave as its schema has it. */
export class UndeclarableError extends Error {
  readonly path: string
  /** Whether the JSON type is what is wrong. */
  readonly isType: boolean

  constructor (message: string, path: ReadonlyArray<string | number>, isType = false) {
    super(message)
    this.path = path.map((token) => '/' + String(token).replaceAll('~', '~0').replaceAll('/', '~1')).join('')
    this.isType = isType
  }
}

/** What one schema says about values. Made once; `rules` of a bundle point at each other as its references do. */
interface Rule {
  /** Whether nothing applies beside it: no reference, no branch, no condition. */
  isSimple: boolean
  /** Whether it says what values look like, so that what it does not name is left out. Otherwise all of a value may go. */
  hasShape: boolean
  types: readonly string[]
  /** Whether a value it allows is all declared: `const` and `enum` with objects or arrays in them. */
  isWhole: boolean
  properties: Map<string, Rule>
  patterns: Array<[RegExp, Rule]>
  additional: Rule | undefined
  isClosed: boolean
  items: Rule | undefined
  tuple: Rule[] | undefined
  all: Rule[]
  choices: Choice[][]
  condition: { test: (value: unknown) => boolean, rule: Rule, then: Rule | undefined, else: Rule | undefined } | undefined
  dependents: Array<[string, Rule]>
  unevaluated: Rule | undefined
  unevaluatedItems: Rule | undefined
}

interface Choice { test: (value: unknown) => boolean, rule: Rule }

/** What is to be declared of a part of a value: by one rule, by all of several, or by any of several. */
type Want = Rule | WantGroup
interface WantGroup { mode: Mode, members: Want[] }
type Mode = 'all' | 'any'

interface Walk { mode: DeclareMode, path: Array<string | number>, views: Views }

/**
 * Makes the function that copies of a value what its schema declares, and nothing else.
 *
 * Declared is what `properties`, `patternProperties`, `additionalProperties` (when not false), `required` and `items` name,
 * in the schema and in whatever applies beside it: `$ref`, all of `allOf`, each branch of `anyOf` and `oneOf` that matches, `if`
 * and what follows from it. A schema that says nothing about the look of a value (`{}`, `Type.Unknown()`) declares all
 * of it, but adds nothing to another one in `allOf`; `{ type: 'object' }` declares no property, as in Fastify's responses.
 *
 * When no branch matches, the value is not valid, and what any branch names counts: this is for events sent in spite of that.
 */
export function compileDeclared (bundle: Bundle, compileTest: CompileTest): (value: unknown, mode: DeclareMode) => unknown {
  const rules = new Map<Schema, Rule>()
  const root = toRule(bundle.root)
  const views = new Views()
  return (value, mode) => declare(root, value, { mode, path: [], views })

  function toRule (schema: Schema): Rule {
    let rule = rules.get(schema)
    if (rule === undefined) {
      rule = emptyRule()
      rules.set(schema, rule)
      if (typeof schema === 'object') fillRule(rule, schema)
      else if (!schema) Object.assign(rule, { hasShape: true, types: [] })
    }
    return rule
  }

  function fillRule (rule: Rule, node: Node): void {
    const optional = (keyword: string): Rule | undefined => node[keyword] === undefined ? undefined : toRule(node[keyword] as Schema)
    const entries = (keyword: string): Array<[string, Rule]> =>
      Object.entries((node[keyword] ?? {}) as Record<string, Schema>).map(([name, schema]) => [name, toRule(schema)])
    const types = node['type'] === undefined ? inferTypes(node) : [node['type']].flat() as string[]
    const constants = 'const' in node ? [node['const']] : (node['enum'] ?? []) as unknown[]
    rule.isWhole = constants.some((constant) => typeof constant === 'object' && constant !== null)
    rule.hasShape = types !== undefined || constants.length > 0
    rule.types = types ?? ALL_TYPES
    rule.properties = new Map(entries('properties'))
    for (const name of (node['required'] ?? []) as string[]) {
      if (!rule.properties.has(name)) rule.properties.set(name, OPEN)
    }
    rule.patterns = entries('patternProperties').map(([pattern, property]) => [toRegExp(pattern), property])
    rule.isClosed = node['additionalProperties'] === false || node['unevaluatedProperties'] === false
    rule.additional = node['additionalProperties'] === false ? undefined : optional('additionalProperties')
    if (Array.isArray(node['items'])) {
      rule.tuple = (node['items'] as Schema[]).map(toRule)
      rule.items = optional('additionalItems')
    } else {
      rule.items = optional('items')
    }
    rule.all = ((node['allOf'] ?? []) as Schema[]).map(toRule)
    if (node['$ref'] !== undefined) rule.all.push(toRule(target(node)))
    for (const keyword of ['anyOf', 'oneOf']) {
      if (node[keyword] !== undefined) rule.choices.push((node[keyword] as Node[]).map(toChoice))
    }
    if (node['if'] !== undefined) rule.condition = { ...toChoice(node['if'] as Node), then: optional('then'), else: optional('else') }
    rule.dependents = entries('dependentSchemas')
    rule.unevaluated = node['unevaluatedProperties'] === false ? undefined : optional('unevaluatedProperties')
    rule.unevaluatedItems = optional('unevaluatedItems')
    rule.isSimple = rule.all.length === 0 && rule.choices.length === 0 && rule.condition === undefined && rule.dependents.length === 0 &&
      rule.unevaluated === undefined && rule.unevaluatedItems === undefined
  }

  function toChoice (reference: Node): Choice {
    const index = toIndex(reference)
    return { test: index === undefined ? () => true : compileTest(index), rule: toRule(target(reference)) }
  }

  function target (reference: Node): Schema {
    const index = toIndex(reference)
    return index === undefined ? bundle.root : bundle.defs[index]!
  }
}

/** The place in `$defs` that a reference leads to; undefined for the root. */
function toIndex (reference: Node): number | undefined {
  const ref = reference['$ref'] as string
  return ref === '#' ? undefined : Number(ref.slice('#/$defs/'.length))
}

/** A pattern as Ajv reads it: by code points, unless it is written for code units. */
export function toRegExp (pattern: string): RegExp {
  try {
    return new RegExp(pattern, 'u')
  } catch {
    return new RegExp(pattern)
  }
}

const ALL_TYPES: readonly string[] = ['string', 'number', 'boolean', 'object', 'array', 'null']

function emptyRule (): Rule {
  return {
    isSimple: true,
    hasShape: false,
    types: ALL_TYPES,
    isWhole: false,
    properties: new Map(),
    patterns: [],
    additional: undefined,
    isClosed: false,
    items: undefined,
    tuple: undefined,
    all: [],
    choices: [],
    condition: undefined,
    dependents: [],
    unevaluated: undefined,
    unevaluatedItems: undefined
  }
}

const OPEN: Rule = emptyRule()

const TYPE_KEYWORDS: ReadonlyArray<[type: string, keywords: readonly string[]]> = [
  ['object', ['properties', 'required', 'additionalProperties', 'patternProperties', 'maxProperties', 'minProperties', 'dependentRequired', 'dependentSchemas', 'propertyNames', 'unevaluatedProperties']],
  ['array', ['items', 'additionalItems', 'maxItems', 'minItems', 'uniqueItems', 'contains', 'unevaluatedItems']],
  ['string', ['maxLength', 'minLength', 'pattern', 'format']],
  ['number', ['multipleOf', 'maximum', 'exclusiveMaximum', 'minimum', 'exclusiveMinimum']]
]

/** The types a schema without `type` speaks of, as fast-json-stringify infers them. */
function inferTypes (node: Node): string[] | undefined {
  const types = TYPE_KEYWORDS.filter(([, keywords]) => keywords.some((keyword) => keyword in node)).map(([type]) => type)
  return types.length === 0 ? undefined : types
}

function declare (want: Want, value: unknown, walk: Walk): unknown {
  if (typeof value !== 'object' || value === null) return declarePrimitive(want, value, walk)
  const view = look(want, value, walk.views)
  if (view.isOpen || view.isWhole) {
    if (walk.mode === 'stringify') return value
    const json = toJSONValue(value, walk)
    if (json === undefined) throw notJSON(json, walk)
    return json
  }
  const isArray = Array.isArray(value)
  if (!view.types.has(isArray ? 'array' : 'object')) {
    if (walk.mode === 'check') throw new UndeclarableError(`must be ${typesOf(view)}`, walk.path, true)
    return isArray ? [] : withoutDeclared(value)
  }
  return isArray ? declareItems(view, value, walk) : declareProperties(view, value as Record<string, unknown>, walk)
}

function declarePrimitive (want: Want, value: unknown, walk: Walk): unknown {
  if (walk.mode === 'stringify') return value
  if (isNotJSON(value)) throw notJSON(value, walk)
  if (typeof value === 'number' && !Number.isFinite(value)) {
    const view = look(want, value, walk.views)
    // Where anything goes it leaves as null, which is what `JSON.stringify` has for it.
    if (!view.isOpen) throw new UndeclarableError(`must be ${typesOf(view)}`, walk.path, true)
    return null
  }
  return value
}

function typesOf ({ types }: View): string {
  return types.size === 0 ? 'absent' : [...types].join(' or ')
}

function declareItems (view: View, array: unknown[], walk: Walk): unknown[] {
  const copy: unknown[] = []
  // By index: a hole is an undefined item.
  for (let index = 0; index < array.length; index++) {
    walk.path.push(index)
    copy.push(declare(itemAt(view, index) ?? OPEN, array[index], walk))
    walk.path.pop()
  }
  return copy
}

function declareProperties (view: View, object: Record<string, unknown>, walk: Walk): Record<string, unknown> {
  const copy: Record<string, unknown> = {}
  for (const [name, want] of view.named) declareProperty(want, copy, name, read(object, name), walk)
  const isClosedHere = walk.mode === 'check' && view.isClosed
  if (!view.hasUnnamed && !isClosedHere) return copy
  for (const name of Object.keys(object)) {
    if (view.named.has(name)) continue
    const want = propertyAt(view, name)
    if (want !== undefined) declareProperty(want, copy, name, object[name], walk)
    else if (isClosedHere) throw new UndeclarableError(`must NOT have additional properties: ${JSON.stringify(name)}`, walk.path)
  }
  return copy
}

/** A property that is undefined is absent. */
function declareProperty (want: Want, copy: Record<string, unknown>, name: string, value: unknown, walk: Walk): void {
  if (value === undefined) return
  walk.path.push(name)
  write(copy, name, declare(want, value, walk))
  walk.path.pop()
}

/** Unlike an assignment, makes a property of `__proto__` too. */
function write (object: Record<string, unknown>, name: string, value: unknown): void {
  if (name === '__proto__') Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true })
  else object[name] = value
}

/** Where nothing is declared of an object: its JSON when that is a primitive (a Date), else `{}`. */
function withoutDeclared (object: object): unknown {
  const json: unknown = 'toJSON' in object && typeof object.toJSON === 'function' ? object.toJSON() : undefined
  return json === null || typeof json === 'string' || typeof json === 'number' || typeof json === 'boolean' ? json : {}
}

/** A property, be it inherited or a getter, but none of those that every object has. */
export function read (object: Record<string, unknown>, name: string): unknown {
  return name in Object.prototype && !Object.hasOwn(object, name) ? undefined : object[name]
}

/** What `JSON.parse(JSON.stringify(value))` gives, or undefined, with the path of what `JSON.stringify` throws at. */
function toJSONValue (value: unknown, walk: Walk): unknown {
  if (typeof value === 'object' && value !== null && 'toJSON' in value && typeof value.toJSON === 'function') {
    value = value.toJSON(String(walk.path.at(-1) ?? ''))
  }
  if (value instanceof Number || value instanceof String || value instanceof Boolean) value = value.valueOf()
  if (typeof value === 'bigint') throw notJSON(value, walk)
  if (isOmitted(value)) return undefined
  if (typeof value === 'number' && !Number.isFinite(value)) return null
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) {
    return Array.from(value, (item: unknown, index) => {
      walk.path.push(index)
      const json = toJSONValue(item, walk)
      walk.path.pop()
      return json ?? null
    })
  }
  const copy: Record<string, unknown> = {}
  for (const name of Object.keys(value)) {
    walk.path.push(name)
    const json = toJSONValue((value as Record<string, unknown>)[name], walk)
    walk.path.pop()
    if (json !== undefined) write(copy, name, json)
  }
  return copy
}

function isNotJSON (value: unknown): boolean {
  return isOmitted(value) || typeof value === 'bigint'
}

function notJSON (value: unknown, { path }: Walk): UndeclarableError {
  return new UndeclarableError(`must be a value that JSON has, found ${value === undefined ? 'undefined' : `a ${typeof value}`}`, path)
}

function isOmitted (value: unknown): boolean {
  return value === undefined || typeof value === 'function' || typeof value === 'symbol'
}

/** What applies to a value, once it is known: a rule that has a shape, or a group of such. */
class View {
  readonly id: number
  readonly mode: Mode
  readonly members: readonly View[]
  /** The rule, or the one whose `unevaluatedProperties` and `unevaluatedItems` speak of what no member declares. */
  readonly rule: Rule | undefined
  readonly isOpen: boolean
  readonly isWhole: boolean
  readonly isClosed: boolean
  /** Whether properties may be declared without being named. */
  readonly hasUnnamed: boolean
  readonly types: ReadonlySet<string>
  readonly named = new Map<string, Want>()

  constructor (id: number, mode: Mode, members: readonly View[], rule: Rule | undefined) {
    const isLeaf = members.length === 0 && rule !== undefined
    const hasRest = rule?.unevaluated !== undefined || rule?.unevaluatedItems !== undefined
    this.id = id
    this.mode = mode
    this.members = members
    this.rule = rule
    this.isOpen = isLeaf
      ? !rule.hasShape
      : !hasRest && (mode === 'all' ? members.every((member) => member.isOpen) : members.some((member) => member.isOpen))
    this.isWhole = isLeaf ? rule.isWhole : members.some((member) => member.isWhole)
    this.isClosed = isLeaf ? rule.isClosed : members.some((member) => member.isClosed)
    this.hasUnnamed = isLeaf
      ? rule.additional !== undefined || rule.patterns.length > 0
      : hasRest || members.some((member) => member.hasUnnamed)
    this.types = new Set(isLeaf ? rule.types : members.flatMap((member) => [...member.types]))
    const names = isLeaf ? rule.properties.keys() : members.flatMap((member) => [...member.named.keys()])
    for (const name of names) this.named.set(name, propertyAt(this, name)!)
  }
}

/** The views of one schema. Few, as a rule: one for each combination of branches that has been met. */
class Views {
  readonly #ofRules = new Map<Rule, View>()
  readonly #groups = new Map<string, View>()
  #count = 0

  ofRule (rule: Rule): View {
    let view = this.#ofRules.get(rule)
    if (view === undefined) this.#ofRules.set(rule, view = new View(this.#count++, 'all', [], rule))
    return view
  }

  group (mode: Mode, members: readonly View[], rest?: Rule): View {
    const key = `${mode}${this.#restId(rest)} ${members.map((member) => member.id).join(' ')}`
    let view = this.#groups.get(key)
    if (view === undefined) {
      view = new View(this.#count++, mode, members, rest)
      // A schema of many branches has more combinations than are worth their memory.
      if (this.#groups.size < 1000) this.#groups.set(key, view)
    }
    return view
  }

  #restId (rest: Rule | undefined): number | string {
    return rest === undefined ? '' : this.ofRule(rest).id
  }
}

function look (want: Want, value: unknown, views: Views): View {
  if ('mode' in want) return views.group(want.mode, want.members.map((member) => look(member, value, views)))
  if (want.isSimple) return views.ofRule(want)
  const members: View[] = want.hasShape ? [views.ofRule(want)] : []
  for (const rule of want.all) members.push(look(rule, value, views))
  for (const choices of want.choices) {
    const matching = choices.filter((choice) => choice.test(value))
    // Data that matches no branch is not valid: what any branch names may go, but not all of it.
    const branches = matching.length > 0
      ? matching.map((choice) => look(choice.rule, value, views))
      : choices.map((choice) => look(choice.rule, value, views)).filter((branch) => !branch.isOpen)
    members.push(branches.length === 1 ? branches[0]! : views.group('any', branches))
  }
  if (want.condition !== undefined) {
    const holds = want.condition.test(value)
    if (holds) members.push(look(want.condition.rule, value, views))
    const consequence = holds ? want.condition.then : want.condition.else
    if (consequence !== undefined) members.push(look(consequence, value, views))
  }
  for (const [name, rule] of want.dependents) {
    if (typeof value === 'object' && value !== null && read(value as Record<string, unknown>, name) !== undefined) members.push(look(rule, value, views))
  }
  const hasRest = want.unevaluated !== undefined || want.unevaluatedItems !== undefined
  return members.length === 1 && !hasRest ? members[0]! : views.group('all', members, hasRest ? want : undefined)
}

/** What is declared of a property; undefined when nothing declares it. */
function propertyAt ({ mode, members, rule }: View, name: string): Want | undefined {
  if (members.length > 0 || rule === undefined) {
    return among(mode, members.map((member) => member.named.get(name) ?? propertyAt(member, name))) ?? rule?.unevaluated
  }
  const wants: Want[] = []
  const property = rule.properties.get(name)
  if (property !== undefined) wants.push(property)
  for (const [pattern, each] of rule.patterns) if (pattern.test(name)) wants.push(each)
  return wants.length === 0 ? rule.additional : among('all', wants)
}

function itemAt ({ mode, members, rule }: View, index: number): Want | undefined {
  if (members.length > 0 || rule === undefined) return among(mode, members.map((member) => itemAt(member, index))) ?? rule?.unevaluatedItems
  return rule.tuple?.[index] ?? rule.items
}

function among (mode: Mode, wants: ReadonlyArray<Want | undefined>): Want | undefined {
  const members = wants.filter((want) => want !== undefined)
  // One rule may be met through several branches.
  return members.every((member) => member === members[0]) ? members[0] : { mode, members }
}
