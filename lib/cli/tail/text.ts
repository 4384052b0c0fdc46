/**
 * What a terminal would act upon rather than show: control characters of ASCII and Latin 1 (escape sequences, carriage returns), what
 * changes the direction of text, line and paragraph separators, invisible characters, and halves of surrogate pairs.
 */
// eslint-disable-next-line no-control-regex -- they are what it is for
const UNPRINTABLE = /[\u0000-\u001F\u007F-\u009F\u00AD\u061C\u200B\u200E\u200F\u2028-\u202E\u2060-\u206F\uFEFF\uFFF9-\uFFFB]|[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/g

/** One line that a terminal shows as it is: what it would act upon is written as an escape, `\u001b`. */
export function printable (text: string): string {
  return text.replace(UNPRINTABLE, (character) => SHORT[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

/** The same for text of several lines: line ends stay, and tabs become spaces. */
export function printableLines (text: string): string[] {
  return text.replaceAll('\t', '  ').split('\n').map(printable)
}

const segmenter = new Intl.Segmenter(undefined, { granularity: 'grapheme' })
const WIDE = /[\u1100-\u115F\u2E80-\uA4CF\uAC00-\uD7A3\uF900-\uFAFF\uFE30-\uFE6F\uFF00-\uFF60\uFFE0-\uFFE6\u{1F300}-\u{1FAFF}\u{20000}-\u{3FFFD}]/u

/** Cuts a printable line to the columns of a terminal, with `…` where something is missing. */
export function fit (line: string, columns: number): string {
  // Most lines are short, and to divide text into characters is slow.
  if (line.length * 2 <= columns) return line
  let width = 0
  let kept = ''
  for (const { segment } of segmenter.segment(line.slice(0, columns * 16))) {
    const next = WIDE.test(segment) ? 2 : 1
    if (width + next > columns) return `${dropTo(kept, columns - 1)}…`
    width += next
    kept += segment
  }
  return kept.length < line.length ? `${dropTo(kept, columns - 1)}…` : kept
}

function dropTo (line: string, columns: number): string {
  let width = 0
  let kept = ''
  for (const { segment } of segmenter.segment(line)) {
    width += WIDE.test(segment) ? 2 : 1
    if (width > columns) break
    kept += segment
  }
  return kept
}
