import { toRegExp } from '../../schema/declared.js'
import { unescapeToken } from '../../schema/json-pointer.js'
import { show, SSEError } from '../../errors.js'
import { docText, schemaDoc } from './doc.js'
import { keyTypes, templateType } from './template.js'
import { NEVER, NULL, UNDEFINED, UNKNOWN, intersection, key, quote, text, union, type Member, type TupleItem, type TypeNode } from './type.js'

/**
 * Which side of the wire a type is for.
 *
 * - `'payload'`: what the server sends; a property is as required as the schema says
 * - `'input'`: what the client gives; a property with a default may be left out, since the server fills it in
 */
export type Mode = 'payload' | 'input'

/** One JSON Schema object. */
export type Node = Readonly<Record<string, unknown>>

/** A schema with what its references are looked up in. */
export interface Root {
  readonly schema: unknown
  /** What the schema is of, for messages. */
  readonly where: string
  /** Name of the type that the whole schema has, for `#`. */
  readonly name: string
}

interface Scope {
  readonly mode: Mode
  readonly root: Root
  /** Schemas that the same value has to match too, the outermost first. */
  readonly around: readonly Node[]
  /** Types that these allow; undefined when they say nothing. */
  readonly types: readonly unknown[] | undefined
  /** Whether the server fills in defaults here: within `anyOf`, `oneOf` and `if` it does not. */
  readonly isFilled: boolean
  /** References that are being followed, so that none is followed for ever. */
  readonly open: readonly string[]
}

/** How many elements of an array are written out that no schema of their own describes. */
const MAX_WRITTEN_ITEMS = 16

const OBJECT_KEYWORDS = ['properties', 'required', 'additionalProperties', 'patternProperties', 'propertyNames']
const ARRAY_KEYWORDS = ['items', 'prefixItems']

/**
 * TypeScript types of JSON Schemas.
 *
 * A type holds every value that its schema allows and no property that the schema does not name. Where TypeScript cannot say what a
 * schema says (patterns, ranges, `not`) it holds more. A schema that has `properties` or `items` and no `type` is taken
 * for one of an object, or of an array.
 */
export class SchemaTypes {
  readonly #nameOf: (definition: string, mode: Mode) => string

  /** @param nameOf name of the type of a schema in `$defs` */
  constructor (nameOf: (definition: string, mode: Mode) => string) {
    this.#nameOf = nameOf
  }

  /**
   * The type of a schema.
   *
   * @throws FST_SSE_MANIFEST_INVALID for what is no schema, for a reference to nothing, and for one that leads back to itself with nothing
   * in between
   */
  typeOf (root: Root, mode: Mode): TypeNode {
    assertFinite(root)
    return this.#type(root.schema, this.#scope(root, mode))
  }

  #scope (root: Root, mode: Mode): Scope {
    return { mode, root, around: [], types: undefined, isFilled: mode === 'input', open: [] }
  }

  #type (schema: unknown, scope: Scope): TypeNode {
    if (schema === true) return UNKNOWN
    if (schema === false) return NEVER
    const node = nodeOf(schema, scope.root)
    if ('const' in node) return literal(node['const'])
    const { nullable } = node
    if (nullable === true && node['type'] !== undefined) return union([this.#type({ ...node, nullable: false }, scope), NULL])
    if (isEverything(node['not'])) return NEVER
    const types = typesOf(node) ?? impliedTypes(node, scope)
    if (Array.isArray(node['enum'])) return union(node['enum'].filter((value) => types === undefined || isOneOf(value, types)).map(literal))
    const inner: Scope = { ...scope, around: [...scope.around, node], types: types ?? scope.types }
    const branch: Scope = { ...inner, isFilled: false }
    return intersection([
      ...node['$ref'] === undefined ? [] : [this.#reference(node['$ref'], scope)],
      ...types === undefined ? [] : [union(types.map((type) => this.#typed(type, node, types, scope)))],
      ...list(node, 'allOf', scope.root).map((part) => this.#type(part, inner)),
      ...['anyOf', 'oneOf'].filter((keyword) => node[keyword] !== undefined)
        .map((keyword) => union(list(node, keyword, scope.root).map((part) => this.#type(part, branch)))),
      this.#condition(node, branch)
    ])
  }

  /** What matches `if` matches `then`, and all else matches `else`; what does not match `if` TypeScript cannot say. */
  #condition (node: Node, scope: Scope): TypeNode {
    const { if: condition, then, else: otherwise } = node
    // Of values that are no objects such conditions say less than they seem to.
    if (condition === undefined || otherwise === undefined || scope.types?.join() !== 'object') return UNKNOWN
    return union([
      intersection([this.#type(condition, scope), this.#type(then ?? true, { ...scope, isFilled: false })]),
      this.#type(otherwise, scope)
    ])
  }

  #typed (type: unknown, node: Node, types: readonly unknown[], scope: Scope): TypeNode {
    switch (type) {
      case 'null': return NULL
      case 'boolean': return text('boolean')
      case 'integer': case 'number': return text('number')
      case 'string': return (typeof node['pattern'] === 'string' ? templateType(node['pattern']) : undefined) ?? text('string')
      case 'array': return this.#array(node, scope)
      case 'object':
        // `{}` would add nothing.
        return types.length === 1 && !hasOwnMembers(node) && isSurelyObject({ ...node, type: undefined }, scope.root) ? UNKNOWN : this.#object(node, scope)
      default: return refuse(scope.root, `the type ${show(type)}`, 'Use a type of JSON Schema.')
    }
  }

  #object (node: Node, scope: Scope): TypeNode {
    const properties = map(node, 'properties', scope.root)
    const required = new Set([node['required']].flat())
    const value: Scope = { ...scope, around: [], types: undefined }
    const members: Member[] = Object.entries(properties).map(([name, schema]) => {
      const isOptional = !required.has(name) || (scope.isFilled && isNode(schema) && schema['default'] !== undefined)
      return this.#member(key(name), schema, isOptional, value)
    })
    const names = new Set(Object.keys(properties))
    const indexes = new Map<string, TypeNode[]>()
    const add = (name: string, type: TypeNode): void => { indexes.set(name, [...indexes.get(name) ?? [], type]) }
    for (const [pattern, schema] of Object.entries(map(node, 'patternProperties', scope.root))) {
      for (const each of keyTypes(pattern)) {
        if ('index' in each) add(each.index, this.#type(schema, value))
        else if (!names.has(each.name)) members.push(this.#member(key(each.name), schema, !required.has(each.name), value))
        if ('name' in each) names.add(each.name)
      }
    }
    const rest = node['additionalProperties']
    if (rest !== undefined && rest !== false) {
      for (const each of this.#restKeys(node, scope)) {
        if ('index' in each) add(each.index, this.#type(rest, value))
        else if (!names.has(each.name)) members.push(this.#member(key(each.name), rest, !required.has(each.name), value))
        if ('name' in each) names.add(each.name)
      }
    }
    for (const name of required) {
      if (typeof name !== 'string' || names.has(name) || isKnownRequired(name, scope)) continue
      const schema = this.#undeclared(name, node, scope)
      if (scope.isFilled && isNode(schema) && schema['default'] !== undefined) continue
      members.push(this.#member(key(name), schema, false, value, false))
    }
    return { kind: 'object', members: [...members, ...indexMembers(indexes, members)] }
  }

  #member (printedKey: string, schema: unknown, isOptional: boolean, scope: Scope, isDescribed = true): Member {
    const type = this.#type(schema, scope)
    return {
      key: printedKey,
      // What is undefined is not sent.
      type: isOptional && scope.mode === 'input' ? union([type, UNDEFINED]) : type,
      isOptional,
      isReadonly: isNode(schema) && schema['readOnly'] === true,
      doc: isDescribed ? schemaDoc(schema) : []
    }
  }

  /** The names that properties without a schema of their own may have. */
  #restKeys (node: Node, { root }: Scope): ReturnType<typeof keyTypes> {
    const names = node['propertyNames'] === undefined ? {} : follow(node['propertyNames'], root)
    if (!isNode(names)) return [{ index: 'string' }]
    const given = 'const' in names ? [names['const']] : names['enum'] ?? constantsOf(names, root)
    if (Array.isArray(given)) return given.filter((name) => typeof name === 'string').map((name) => ({ name }))
    return typeof names['pattern'] === 'string' ? keyTypes(names['pattern']) : [{ index: 'string' }]
  }

  /** Schema of a property that is required, and declared by another part of the schema. */
  #undeclared (name: string, node: Node, { root, around }: Scope): unknown {
    for (const each of [node, ...around.toReversed()]) {
      const schema = propertyOf(name, each, root, [])
      if (schema !== undefined) return schema
    }
    return true
  }

  #array (node: Node, scope: Scope): TypeNode {
    const { items } = node
    const prefix = node['prefixItems'] ?? (Array.isArray(items) ? items : undefined)
    const rest = prefix === items ? node['additionalItems'] : items
    const value: Scope = { ...scope, around: [], types: undefined }
    const { minItems: least = 0, maxItems: most = Infinity } = node as { minItems?: number, maxItems?: number }
    if (prefix === undefined) {
      if (rest === false || (rest === undefined && most === 0)) return { kind: 'tuple', items: [], rest: undefined }
      return { kind: 'array', item: this.#type(rest ?? true, value) }
    }
    const written: TupleItem[] = list({ prefixItems: prefix }, 'prefixItems', scope.root).slice(0, most)
      .map((item, index) => ({ type: this.#type(item, value), isOptional: index >= least }))
    const isClosed = rest === false || most <= written.length || (rest === undefined && node['unevaluatedItems'] === false)
    if (isClosed) return { kind: 'tuple', items: written, rest: undefined }
    const type = this.#type(rest ?? true, value)
    const missing = Math.min(Math.max(least - written.length, 0), MAX_WRITTEN_ITEMS)
    return { kind: 'tuple', items: [...written, ...Array<TupleItem>(missing).fill({ type, isOptional: false })], rest: type }
  }

  #reference (reference: unknown, scope: Scope): TypeNode {
    const { root } = scope
    if (reference === '#') return text(root.name)
    const name = definitionOf(reference)
    const schema = resolve(reference, root)
    // Where defaults are not filled in, the type is that of what is complete.
    if (name !== undefined) return text(this.#nameOf(name, scope.isFilled ? 'input' : 'payload'))
    if (scope.open.includes(String(reference))) return refuse(root, `the reference ${show(reference)}, which contains itself`, 'Put the schema into $defs.')
    return this.#type(schema, { ...scope, around: [], types: undefined, open: [...scope.open, String(reference)] })
  }
}

/** Whether an empty object matches a schema, once the server has filled in what it does: then what it is of may be left out. */
export function acceptsEmpty (root: Root): boolean {
  return acceptsEmptyAt(root.schema, root, true, [])
}

function acceptsEmptyAt (schema: unknown, root: Root, isFilled: boolean, open: readonly unknown[]): boolean {
  if (typeof schema === 'boolean') return schema
  const node = nodeOf(schema, root)
  const accepts = (part: unknown, isPartFilled = isFilled): boolean => acceptsEmptyAt(part, root, isPartFilled, open)
  const types = typesOf(node)
  if (types !== undefined && !types.includes('object')) return false
  if (node['const'] !== undefined || Array.isArray(node['enum'])) {
    return [node['enum'] ?? [], node['const']].flat().some((value) => isNode(value) && Object.keys(value).length === 0)
  }
  const properties = map(node, 'properties', root)
  const isFilledIn = (name: unknown): boolean => {
    const property = typeof name === 'string' && Object.hasOwn(properties, name) ? properties[name] : undefined
    return isFilled && isNode(property) && property['default'] !== undefined
  }
  if ([node['required'] ?? []].flat().some((name) => !isFilledIn(name))) return false
  if (typeof node['minProperties'] === 'number' && Object.keys(properties).filter(isFilledIn).length < node['minProperties']) return false
  if (isEverything(node['not'])) return false
  if (node['$ref'] !== undefined && !open.includes(node['$ref']) &&
    !acceptsEmptyAt(resolve(node['$ref'], root), root, isFilled, [...open, node['$ref']])) return false
  if (!list(node, 'allOf', root).every((part) => accepts(part))) return false
  for (const keyword of ['anyOf', 'oneOf']) {
    if (node[keyword] !== undefined && !list(node, keyword, root).some((part) => accepts(part, false))) return false
  }
  return node['if'] === undefined || accepts((accepts(node['if'], false) ? node['then'] : node['else']) ?? true)
}

/** Schema of a property, wherever in a schema it is declared; undefined where it is not. */
export function declaredProperty (name: string, root: Root): unknown {
  return propertyOf(name, root.schema, root, [])
}

/** Whether the server fills in a required property of a schema, so that what is given may lack it. */
export function isFilledIn (schema: unknown, root: Root, open: readonly unknown[] = []): boolean {
  if (!isNode(schema)) return false
  const properties = map(schema, 'properties', root)
  const required = [schema['required'] ?? []].flat()
  const isAny = (parts: unknown): boolean => [parts].flat().some((part) => isFilledIn(part, root, open))
  return Object.entries(properties).some(([name, property]) => isNode(property) && property['default'] !== undefined && required.includes(name)) ||
    ['properties', 'patternProperties'].some((keyword) => isAny(Object.values(map(schema, keyword, root)))) ||
    ['additionalProperties', 'items', 'prefixItems', 'additionalItems', 'allOf'].some((keyword) => isAny(schema[keyword])) ||
    (schema['$ref'] !== undefined && !open.includes(schema['$ref']) && isFilledIn(resolve(schema['$ref'], root), root, [...open, schema['$ref']]))
}

/** The name in `$defs` that a reference leads to; undefined for a reference to anything else. */
export function definitionOf (reference: unknown): string | undefined {
  const path = pointer(reference)
  return path?.length === 2 && path[0] === '$defs' ? path[1] : undefined
}

function isNode (value: unknown): value is Node {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function nodeOf (schema: unknown, root: Root): Node {
  return isNode(schema) ? schema : refuse(root, show(schema), 'A schema is an object, true or false.')
}

function list (node: Node, keyword: string, root: Root): readonly unknown[] {
  const value = node[keyword] ?? []
  return Array.isArray(value) ? value : refuse(root, `${keyword}: ${show(value)}`, `Give ${keyword} a list of schemas.`)
}

function map (node: Node, keyword: string, root: Root): Node {
  const value = node[keyword] ?? {}
  return isNode(value) ? value : refuse(root, `${keyword}: ${show(value)}`, `Give ${keyword} an object of schemas.`)
}

/** A schema that every value matches. */
function isEverything (schema: unknown): boolean {
  return schema === true || (isNode(schema) && Object.keys(schema).length === 0)
}

function typesOf (node: Node): readonly unknown[] | undefined {
  return node['type'] === undefined ? undefined : [node['type']].flat()
}

/** The types that a schema without `type` speaks of, among those that the schemas around it allow. */
function impliedTypes (node: Node, scope: Scope): readonly unknown[] | undefined {
  const spoken = [
    ...OBJECT_KEYWORDS.some((keyword) => node[keyword] !== undefined) ? ['object'] : [],
    ...ARRAY_KEYWORDS.some((keyword) => node[keyword] !== undefined) ? ['array'] : []
  ]
  if (spoken.length === 0) return undefined
  const { types } = scope
  if (types === undefined) return spoken
  // Of values of the other types it says nothing: they stay.
  return types.every((type) => spoken.includes(type as string)) ? types : undefined
}

function hasOwnMembers (node: Node): boolean {
  return OBJECT_KEYWORDS.some((keyword) => node[keyword] !== undefined)
}

/** Whether nothing but objects matches a schema. */
function isSurelyObject (schema: unknown, root: Root, open: readonly unknown[] = []): boolean {
  if (!isNode(schema)) return false
  const types = typesOf(schema)
  if (types !== undefined) return types.join() === 'object' && schema['nullable'] !== true
  const every = (keyword: string): boolean => Array.isArray(schema[keyword]) && schema[keyword].every((part) => isSurelyObject(part, root, open))
  return every('anyOf') || every('oneOf') || hasOwnMembers(schema) ||
    list(schema, 'allOf', root).some((part) => isSurelyObject(part, root, open)) ||
    (schema['$ref'] !== undefined && !open.includes(schema['$ref']) && isSurelyObject(resolve(schema['$ref'], root), root, [...open, schema['$ref']]))
}

/** Whether a schema around requires a property and declares it: then there is nothing to add. */
function isKnownRequired (name: string, { around, root }: Scope): boolean {
  return around.some((node) => [node, follow(node, root)].some((each) => isNode(each) && [each['required']].flat().includes(name) &&
    isNode(each['properties']) && Object.hasOwn(each['properties'], name)))
}

/** Schema of a property, wherever a schema and what it refers to declare it. */
function propertyOf (name: string, schema: unknown, root: Root, open: readonly unknown[]): unknown {
  if (!isNode(schema)) return undefined
  const properties = map(schema, 'properties', root)
  if (Object.hasOwn(properties, name)) return properties[name]
  for (const part of list(schema, 'allOf', root)) {
    const found = propertyOf(name, part, root, open)
    if (found !== undefined) return found
  }
  if (schema['$ref'] !== undefined && !open.includes(schema['$ref'])) {
    const found = propertyOf(name, resolve(schema['$ref'], root), root, [...open, schema['$ref']])
    if (found !== undefined) return found
  }
  for (const [pattern, property] of Object.entries(map(schema, 'patternProperties', root))) {
    if (toRegExp(pattern).test(name)) return property
  }
  const rest = schema['additionalProperties']
  return rest === false ? undefined : rest
}

/** The constants of a union of nothing else. */
function constantsOf (node: Node, root: Root): readonly unknown[] | undefined {
  const branches = list(node, node['anyOf'] === undefined ? 'oneOf' : 'anyOf', root)
  return branches.length > 0 && branches.every((branch) => isNode(branch) && 'const' in branch) ? branches.map((branch) => (branch as Node)['const']) : undefined
}

/** Index signatures. What a wider one holds has to hold what narrower ones and properties of such a name do. */
function indexMembers (indexes: ReadonlyMap<string, readonly TypeNode[]>, members: readonly Member[]): Member[] {
  const all = [...indexes.values()].flat()
  const isAnyOptional = members.some(({ isOptional }) => isOptional)
  return [...indexes].map(([name, types]) => {
    const held = name === 'string' ? [...all, ...members.map(({ type }) => type), ...isAnyOptional ? [UNDEFINED] : []] : [...types, ...covered(name, members)]
    return { key: `[name: ${name}]`, type: union(held), isOptional: false, isReadonly: false, doc: [] }
  })
}

/** Types of the properties whose names an index signature of numbers, or of a template, covers. */
function covered (name: string, members: readonly Member[]): TypeNode[] {
  const pattern = name === 'number'
    ? /^'?\d+'?$/
    : new RegExp(`^'?${name.slice(1, -1).split(/\$\{\w+\}/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('.*')}'?$`, 's')
  return members.filter(({ key }) => pattern.test(key)).flatMap(({ type, isOptional }) => isOptional ? [type, UNDEFINED] : [type])
}

function literal (value: unknown): TypeNode {
  if (value === null) return NULL
  if (Array.isArray(value)) return { kind: 'tuple', items: value.map((item) => ({ type: literal(item), isOptional: false })), rest: undefined }
  if (isNode(value)) {
    return {
      kind: 'object',
      members: Object.entries(value).map(([name, each]) => ({ key: key(name), type: literal(each), isOptional: false, isReadonly: false, doc: [] }))
    }
  }
  const of = typeof value as 'string' | 'number' | 'boolean'
  return { kind: 'literal', text: of === 'string' ? quote(value as string) : JSON.stringify(value), of }
}

function isOneOf (value: unknown, types: readonly unknown[]): boolean {
  const type = value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value
  return types.includes(type) || (type === 'number' && types.includes('integer') && Number.isInteger(value))
}

/** A reference within a document as the names on its way; undefined for any other. */
function pointer (reference: unknown): string[] | undefined {
  if (typeof reference !== 'string' || !reference.startsWith('#/')) return undefined
  return reference.slice(2).split('/').map((token) => unescapeToken(token))
}

/** What a reference leads to. */
function resolve (reference: unknown, root: Root): unknown {
  if (reference === '#') return root.schema
  let found: unknown = root.schema
  for (const name of pointer(reference) ?? [NaN]) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, name)) {
      return refuse(root, `a reference to ${show(reference)}, which does not exist`, 'References lead to the $defs of their schema.')
    }
    found = (found as Record<string | number, unknown>)[name]
  }
  return found
}

/** A schema with what its reference leads to, when it is a reference and no more. */
function follow (schema: unknown, root: Root): unknown {
  for (let n = 0; n < 32 && isNode(schema) && schema['$ref'] !== undefined; n++) schema = resolve(schema['$ref'], root)
  return schema
}

/** Refuses a schema that is itself, or a part of itself, without a property or an item in between: no type and no check can be made of it. */
function assertFinite (root: Root): void {
  const done = new Set<unknown>()
  visit(root.schema, [root.schema])

  function visit (schema: unknown, open: readonly unknown[]): void {
    if (!isNode(schema) || done.has(schema)) return
    for (const keyword of ['$ref', 'allOf', 'anyOf', 'oneOf', 'if', 'then', 'else']) {
      for (const part of keyword === '$ref' ? [schema['$ref']].filter((reference) => reference !== undefined) : [schema[keyword]].flat()) {
        const target = keyword === '$ref' ? resolve(part, root) : part
        if (open.includes(target)) refuse(root, 'a schema that refers to itself with no property or item in between', 'Leave out the reference.')
        visit(target, [...open, target])
      }
    }
    done.add(schema)
  }
}

function refuse (root: Root, found: string, hint: string): never {
  throw new SSEError('FST_SSE_MANIFEST_INVALID', `The schema of ${root.where} has ${docText(found).join(' ')}. ${hint}`, { where: root.where })
}
