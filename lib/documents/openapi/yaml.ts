/**
 * Plain JSON as YAML 1.2, in blocks, strings without quotes where they can be. Members that are undefined are left out.
 */
export function toYAML (json: unknown): string {
  return `${lines(json, '').replace(/^\n/, '').replace(/^ /, '')}\n`
}

/** What stands after a key or a dash. */
function lines (value: unknown, indent: string): string {
  if (Array.isArray(value)) return value.length === 0 ? ' []' : value.map((item) => `\n${indent}-${inItem(lines(item, `${indent}  `), indent)}`).join('')
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).filter(([, member]) => member !== undefined)
    return entries.length === 0
      ? ' {}'
      : entries.map(([key, member]) => `\n${indent}${scalar(key)}:${lines(member, `${indent}  `)}`).join('')
  }
  return ` ${typeof value === 'string' ? scalar(value) : JSON.stringify(value)}`
}

/** The first line of a block stands beside its dash. */
function inItem (text: string, indent: string): string {
  return text.startsWith(`\n${indent}  `) ? ` ${text.slice(indent.length + 3)}` : text
}

/** Text that no version of YAML takes for something else, as it is; other text in quotes, as JSON has it. */
function scalar (text: string): string {
  return PLAIN.test(text) && !WORD.test(text) ? text : JSON.stringify(text).replace(/[\u007f-\u009f\u2028\u2029\ufeff]/g, escaped)
}

const PLAIN = /^[A-Za-z_/$][\w$./{}+()-]*(?: [\w$./{}+()-]+)*$/
const WORD = /^(?:true|false|yes|no|on|off|null|y|n|e\d+)$/i

/** What YAML does not print, or takes for the end of a line. */
function escaped (character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}
