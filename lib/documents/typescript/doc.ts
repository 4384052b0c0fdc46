import { HIDDEN } from './type.js'

/**
 * Lines of text for a doc comment: nothing in them ends the comment, or is taken for a tag.
 *
 * Empty for text that is none.
 */
export function docText (text: unknown): string[] {
  if (typeof text !== 'string') return []
  const lines = text.split(/\r\n|[\r\n\u2028\u2029]/).map((line) => line
    .replaceAll('*/', '*\\/')
    .replace(HIDDEN, '')
    // eslint-disable-next-line no-control-regex -- what is taken out
    .replace(/[\u0000-\u0008\u000b-\u001f]/g, '')
    // `@ts-ignore` would be one even here.
    .replace(/^\s*@/, (start) => `${start.slice(0, -1)}\\@`)
    .trimEnd())
  while (lines[0] === '') lines.shift()
  while (lines.at(-1) === '') lines.pop()
  return lines
}

/** Paragraphs with an empty line between them, and tags below. */
export function docLines (paragraphs: ReadonlyArray<readonly string[]>, tags: readonly string[] = []): string[] {
  return [...paragraphs, tags].filter((paragraph) => paragraph.length > 0).flatMap((paragraph, index) => index === 0 ? [...paragraph] : ['', ...paragraph])
}

type Schema = Readonly<Record<string, unknown>>

/** What a schema tells a reader beside its type: description, limits, format, default. */
export function schemaDoc (schema: unknown): string[] {
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema)) return []
  const node = schema as Schema
  const described = docText(node['description'])
  const limits = limitsOf(node)
  return docLines(
    [described.length > 0 ? described : docText(node['title']), limits === '' ? [] : docText(limits), choices(node)],
    [
      ...node['deprecated'] === true ? ['@deprecated'] : [],
      ...node['default'] === undefined ? [] : docText(`@defaultValue ${code(node['default'])}`).map((line) => line.replace(/^\\@/, '@'))
    ])
}

/** The values of a union of constants that say what they mean. */
function choices (schema: Schema): string[] {
  const branches = schema['oneOf'] ?? schema['anyOf']
  if (!Array.isArray(branches)) return []
  return branches.flatMap((branch: unknown) => {
    if (typeof branch !== 'object' || branch === null || !('const' in branch)) return []
    const { const: value, description, title } = branch as Schema
    const meaning = docText(description ?? title)
    return meaning.length === 0 ? [] : docText(`- ${code(value)}: ${meaning.join(' ')}`)
  })
}

function code (value: unknown): string {
  const json = JSON.stringify(value)
  return json.includes('`') ? json : `\`${json}\``
}

/** Limits in words: `Integer, from 1 to 10. Format: uuid.` */
function limitsOf (schema: Schema): string {
  const types = [schema['type']].flat()
  const limits = [
    types.includes('integer') ? 'integer' : '',
    range(number(schema, 'minimum'), number(schema, 'maximum'), ''),
    number(schema, 'exclusiveMinimum') === undefined ? '' : `more than ${number(schema, 'exclusiveMinimum')}`,
    number(schema, 'exclusiveMaximum') === undefined ? '' : `less than ${number(schema, 'exclusiveMaximum')}`,
    number(schema, 'multipleOf') === undefined || number(schema, 'multipleOf') === 1 ? '' : `a multiple of ${number(schema, 'multipleOf')}`,
    range(number(schema, 'minLength'), number(schema, 'maxLength'), 'character'),
    // Of a tuple the type says it.
    schema['prefixItems'] === undefined && !Array.isArray(schema['items']) && schema['maxItems'] !== 0
      ? range(number(schema, 'minItems'), number(schema, 'maxItems'), 'item')
      : '',
    schema['uniqueItems'] === true ? 'each item once' : '',
    range(number(schema, 'minProperties'), number(schema, 'maxProperties'), 'property')
  ].filter((limit) => limit !== '').join(', ')
  const sentences = [
    // Alone it tells nothing that the name of a property does not.
    limits === '' || limits === 'integer' ? '' : `${limits.charAt(0).toUpperCase()}${limits.slice(1)}.`,
    typeof schema['format'] === 'string' ? `Format: ${schema['format']}.` : '',
    typeof schema['contentMediaType'] === 'string' ? `Content: ${schema['contentMediaType']}.` : '',
    typeof schema['contentEncoding'] === 'string' ? `Encoding: ${schema['contentEncoding']}.` : ''
  ]
  return sentences.filter((sentence) => sentence !== '').join(' ')
}

function number (schema: Schema, keyword: string): number | undefined {
  const value = schema[keyword]
  return typeof value === 'number' ? value : undefined
}

function range (from: number | undefined, to: number | undefined, unit: '' | 'character' | 'item' | 'property'): string {
  if (unit !== '' && from === 0) return range(undefined, to, unit)
  const of = (count: number): string => unit === '' ? '' : ` ${count === 1 ? unit : PLURALS[unit]}`
  if (from !== undefined && to !== undefined) return from === to ? `${unit === '' ? '' : 'exactly '}${from}${of(from)}` : `from ${from} to ${to}${of(to)}`
  if (from !== undefined) return unit === '' ? `${from} or more` : `at least ${from}${of(from)}`
  return to === undefined ? '' : `at most ${to}${of(to)}`
}

const PLURALS = { character: 'characters', item: 'items', property: 'properties' }
