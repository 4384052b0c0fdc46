/** A TypeScript type, as far as data needs one. */
export type TypeNode =
  | { readonly kind: 'text', readonly text: string }
  | { readonly kind: 'literal', readonly text: string, readonly of: 'string' | 'number' | 'boolean' | 'null' }
  | { readonly kind: 'union' | 'intersection', readonly members: readonly TypeNode[] }
  | { readonly kind: 'object', readonly members: readonly Member[] }
  | { readonly kind: 'array', readonly item: TypeNode }
  | { readonly kind: 'tuple', readonly items: readonly TupleItem[], readonly rest: TypeNode | undefined }

/** A property, or an index signature. */
export interface Member {
  /** As it is printed: `name`, `'the-name'`, `[name: string]`. */
  readonly key: string
  readonly type: TypeNode
  readonly isOptional: boolean
  readonly isReadonly: boolean
  /** Lines of its doc comment. */
  readonly doc: readonly string[]
}

export interface TupleItem {
  readonly type: TypeNode
  readonly isOptional: boolean
}

/** A keyword, or the name of a type. */
export const text = (text: string): TypeNode => ({ kind: 'text', text })

export const UNKNOWN = text('unknown')
export const NEVER = text('never')
export const NULL: TypeNode = { kind: 'literal', text: 'null', of: 'null' }
export const UNDEFINED = text('undefined')

/** Whether a type is a keyword or a name of this text. */
export function isText (node: TypeNode, text: string): boolean {
  return node.kind === 'text' && node.text === text
}

/** One of several types: each once, and `unknown` if one of them is. */
export function union (types: readonly TypeNode[]): TypeNode {
  const members = unique(types.flatMap((type) => type.kind === 'union' ? type.members : [type])).filter((type) => !isText(type, 'never'))
  if (members.some((type) => isText(type, 'unknown'))) return UNKNOWN
  const isBoolean = ['true', 'false'].every((value) => members.some((type) => type.kind === 'literal' && type.text === value))
  const joined = isBoolean ? unique(members.map((type) => type.kind === 'literal' && type.of === 'boolean' ? text('boolean') : type)) : members
  return joined.length > 1 ? { kind: 'union', members: joined } : joined[0] ?? NEVER
}

/** All of several types at once. */
export function intersection (types: readonly TypeNode[]): TypeNode {
  const members = unique(types.flatMap((type) => type.kind === 'intersection' ? type.members : [type])).filter((type) => !isText(type, 'unknown'))
  if (members.some((type) => isText(type, 'never'))) return NEVER
  // `string & ('a' | 'b')` is `'a' | 'b'`.
  const telling = members.filter((type) => type.kind !== 'text' || !members.some((other) => other !== type && isOfPrimitive(other, type.text)))
  return telling.length > 1 ? { kind: 'intersection', members: telling } : telling[0] ?? UNKNOWN
}

function isOfPrimitive (type: TypeNode, primitive: string): boolean {
  if (type.kind === 'union') return type.members.every((member) => isOfPrimitive(member, primitive))
  return type.kind === 'literal' && type.of === primitive
}

function unique (types: readonly TypeNode[]): TypeNode[] {
  const texts = new Set<string>()
  const others: TypeNode[] = []
  return types.filter((type) => {
    if (type.kind === 'text' || type.kind === 'literal') return !texts.has(type.text) && texts.add(type.text)
    return !others.some((other) => isSame(other, type)) && others.push(type)
  })
}

/** Whether two types are the same, doc comments included. */
function isSame (a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b
  const names = Object.keys(a)
  return names.length === Object.keys(b).length && names.every((name) => isSame(a[name as never], b[name as never]))
}

function remember<T> (cache: WeakMap<TypeNode, T>, node: TypeNode, make: () => T): T {
  const known = cache.get(node)
  if (known !== undefined || cache.has(node)) return known as T
  const made = make()
  cache.set(node, made)
  return made
}

const WIDTH = 120
const lines = new WeakMap<TypeNode, string | undefined>()

/** A type in one line; undefined when it is too long for one, or has doc comments. */
function line (node: TypeNode): string | undefined {
  // Each type is looked at once: to try one form and then another at every level would take a time without end.
  return remember(lines, node, () => {
    const printed = lineOf(node)
    return printed !== undefined && printed.length <= WIDTH ? printed : undefined
  })
}

function lineOf (node: TypeNode): string | undefined {
  switch (node.kind) {
    case 'text': case 'literal':
      return node.text
    case 'array':
      return arrayOf(node.item, line(node.item))
    case 'tuple':
      return joined(itemsOf(node.items, node.rest, line), ', ', '[', ']')
    case 'object':
      if (node.members.length === 0) return '{}'
      return node.members.some(({ doc }) => doc.length > 0) ? undefined : joined(node.members.map((member) => memberOf(member, line(member.type))), ', ', '{ ', ' }')
    case 'union':
      return joined(node.members.map((member) => isCompound(member) ? joined([line(member)], '', '(', ')') : line(member)), ' | ')
    case 'intersection':
      return joined(node.members.map((member) => isCompound(member) ? joined([line(member)], '', '(', ')') : line(member)), ' & ')
  }
}

function joined (parts: ReadonlyArray<string | undefined>, separator: string, start = '', end = ''): string | undefined {
  return parts.includes(undefined) ? undefined : start + parts.join(separator) + end
}

/** Whether an operator beside a type would be taken for a part of it. */
function isCompound (node: TypeNode): boolean {
  return node.kind === 'union' || node.kind === 'intersection'
}

/**
 * The text of a type.
 *
 * A union that takes several lines begins with a line end.
 *
 * @param indent how far the line is indented that it begins on
 * @param isTop whether it is what a name stands for: an object has its properties on lines of their own then
 */
export function print (node: TypeNode, indent: number, isTop = false): string {
  const short = isTop && node.kind === 'object' && node.members.length > 0 ? undefined : line(node)
  if (short !== undefined && indent + short.length <= WIDTH) return short
  switch (node.kind) {
    case 'text': case 'literal':
      return node.text
    case 'array':
      return arrayOf(node.item, print(node.item, indent), indent)!
    case 'tuple':
      return `[\n${itemsOf(node.items, node.rest, (type) => print(type, indent + 2), indent + 2).map((item) => spaces(indent + 2) + item).join(',\n')}\n${spaces(indent)}]`
    case 'object':
      return node.members.length === 0 ? '{}' : `{\n${printMembers(node.members, indent + 2)}\n${spaces(indent)}}`
    case 'union':
      return printUnion(node.members, indent)
    case 'intersection':
      return node.members.map((member) => grouped(member, print(member, indent), indent)).join(' & ')
  }
}

/** The text of a type where an operator stands beside it. */
function grouped (node: TypeNode, printed: string, indent: number): string {
  if (!isCompound(node)) return printed
  return printed.startsWith('\n') ? `(${printed}\n${spaces(indent)})` : `(${printed})`
}

function arrayOf (item: TypeNode, printed: string | undefined, indent = 0): string | undefined {
  if (printed === undefined) return undefined
  if (printed.startsWith('\n')) return `Array<${printed}\n${spaces(indent)}>`
  return isCompound(item) ? `Array<${printed}>` : `${printed}[]`
}

function itemsOf (
  items: readonly TupleItem[], rest: TypeNode | undefined, printType: (type: TypeNode) => string | undefined, indent = 0
): Array<string | undefined> {
  return [
    ...items.map(({ type, isOptional }) => {
      const printed = printType(type)
      return isOptional && printed !== undefined ? `${grouped(type, printed, indent)}?` : printed?.trimStart()
    }),
    ...rest === undefined ? [] : [joined([arrayOf(rest, printType(rest), indent)], '', '...')]
  ]
}

/** The members of an object, each on lines of its own. */
export function printMembers (members: readonly Member[], indent: number): string {
  return members.map((member) => comment(member.doc, indent) + spaces(indent) + memberOf(member, print(member.type, indent))!).join('\n')
}

function memberOf ({ key, isOptional, isReadonly }: Member, printed: string | undefined): string | undefined {
  return printed === undefined ? undefined : `${isReadonly ? 'readonly ' : ''}${key}${isOptional ? '?' : ''}:${after(printed)}`
}

/** A type after a colon or an equals sign. */
export function after (printed: string): string {
  return printed.startsWith('\n') ? printed : ` ${printed}`
}

function printUnion (members: readonly TypeNode[], indent: number): string {
  const [first, ...others] = members
  // `{ … } | null` reads well over several lines.
  if (first?.kind === 'object' && others.length === 1 && (line(others[0]!)?.length ?? WIDTH) <= 12) {
    return [print(first, indent), ...others.map((other) => grouped(other, print(other, indent), indent))].join(' | ')
  }
  return members.map((member) => `\n${spaces(indent + 2)}| ${grouped(member, print(member, indent + 4), indent + 4)}`).join('')
}

/** A doc comment with the line end after it; nothing without lines. */
export function comment (lines: readonly string[], indent: number): string {
  const start = spaces(indent)
  if (lines.length === 0) return ''
  if (lines.length === 1 && indent + lines[0]!.length < WIDTH) return `${start}/** ${lines[0]} */\n`
  return `${start}/**\n${lines.map((line) => `${start} *${line === '' ? '' : ` ${line}`}\n`).join('')}${start} */\n`
}

function spaces (indent: number): string {
  return ' '.repeat(indent)
}

/** A property's name as it stands in a type or in an object. */
export function key (name: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(name) ? name : quote(name)
}

/** A string in single quotes. Characters that do not show, or that turn the direction of what stands around them, are escaped. */
export function quote (value: string): string {
  return `'${JSON.stringify(value).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'").replace(HIDDEN, escapeChar)}'`
}

/** What stands between the backticks of a template literal. */
export function templateText (value: string): string {
  return JSON.stringify(value).slice(1, -1).replaceAll('\\"', '"').replace(/`|\$(?=\{)/g, '\\$&').replace(HIDDEN, escapeChar)
}

// Line ends of other kinds, the byte order mark, and marks of direction.
export const HIDDEN = /[\u007f-\u009f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g

function escapeChar (char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`
}
