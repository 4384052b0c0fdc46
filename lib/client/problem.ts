/** The longest text of a value, or of a list of what was expected, that a problem quotes. */
const MAX_QUOTED = 60

/**
 * What is wrong with an event's data, on one short line: where, what was expected, what was found.
 *
 * @param path JSON pointer into the data; `''` for all of it
 * @param found the value there; undefined when there is none
 */
export function problemText (path: string, expected: string, found: unknown): string {
  const text = found === undefined ? expected : `${expected}, found ${describe(found)}`
  return (path === '' ? text : `${path}: ${text}`).replace(/\s+/g, ' ')
}

/** The value at a JSON pointer; undefined when there is none. */
export function valueAt (data: unknown, pointer: string): unknown {
  let value = data
  for (const token of pointer.split('/').slice(1)) {
    const name = token.replaceAll('~1', '/').replaceAll('~0', '~')
    value = typeof value === 'object' && value !== null && Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined
  }
  return value
}

/** A text that is not too long for a line. */
export function cut (text: string): string {
  return text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}…` : text
}

function describe (value: unknown): string {
  if (Array.isArray(value)) return 'an array'
  return typeof value === 'object' && value !== null ? 'an object' : cut(JSON.stringify(value))
}
