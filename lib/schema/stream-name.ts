import { segmentsOf } from './route-url.js'

/** Names that mean something to JavaScript on every object, or make one a promise. */
const TAKEN: ReadonlySet<string> = new Set(['then', 'constructor', '__proto__', 'prototype'])

/** What generated code calls a stream with an `operationId`; undefined for one that has none, or nothing in it that a name is made of. */
export function operationName (operationId: unknown): string | undefined {
  const words = typeof operationId === 'string' ? operationId.match(WORDS) : null
  return words === null ? undefined : camelCase(words)
}

/**
 * What generated code calls a stream without an `operationId`: method and URL as words.
 *
 * GET is left out, and every other method comes first, so that a route's name does not depend on which others there are.
 */
export function streamName (method: string, url: string): string {
  const words = wordsOf(url)
  if (method !== 'GET') words.unshift(...method.toLowerCase().match(WORDS) ?? [])
  return camelCase(words)
}

// Without what does not show: the selector in ❤️ is a mark.
const WORDS = /(?:(?![_\p{Default_Ignorable_Code_Point}])\p{ID_Continue})+/gu

function wordsOf (url: string): string[] {
  const words: string[] = []
  let isAfterParameter = false
  for (const { name, text } of segmentsOf(url)) {
    if (name === undefined) {
      words.push(...text.match(WORDS) ?? [])
      // What stands between two parameters, and no part of the URL of its own, does not part them.
      if (/\/[^/]/.test(text)) isAfterParameter = false
    } else if (name === '*') {
      words.push(...words.length > 0 ? ['by', 'path'] : ['any'])
    } else {
      words.push(isAfterParameter ? 'and' : 'by', ...name.match(WORDS) ?? [])
      isAfterParameter = true
    }
  }
  return words.length > 0 ? words : ['root']
}

function camelCase (words: readonly string[]): string {
  const [first = '', ...rest] = words
  const head = first === first.toUpperCase() ? first.toLowerCase() : first.charAt(0).toLowerCase() + first.slice(1)
  const name = head + rest.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('')
  if (TAKEN.has(name)) return `${name}Stream`
  return /^\p{ID_Start}/u.test(name) ? name : `stream${name}`
}
