/**
 * A name for types made of any text: `order.created` is `OrderCreated`, `größe` is `Größe`. Letters of all scripts are
 * kept; text without a letter or digit is spelt by its code points (`🎉` is `U1F389`).
 *
 * It may begin with a digit: what stands in front of it is a stream's name.
 */
export function pascal (text: string): string {
  const words = split(text)
  if (words.length === 0) return [...text].map((character) => 'U' + character.codePointAt(0)!.toString(16).toUpperCase()).join('')
  return words.map((word, index) => {
    const upper = word.replace(/^./u, (letter) => letter.toUpperCase())
    // `v1.2` and `v12` are two names.
    return index > 0 && /^\p{N}/u.test(word) && /\p{N}$/u.test(words[index - 1]!) ? `_${upper}` : upper
  }).join('')
}

/** A name for functions and variables in Python: `ordersById` is `orders_by_id`. */
export function snake (text: string): string {
  return split(text).map((word) => word.toLowerCase()).join('_')
}

/** A name for members: `order.created` is `orderCreated`. */
export function camel (text: string): string {
  // An acronym in front is one word: `SSEGap` is `sseGap`.
  return pascal(text).replace(/^\p{Lu}+(?=\p{Lu}\p{Ll})|^\p{Lu}+$|^\p{Lu}/u, (start) => start.toLowerCase())
}

/** The name of one of several: `lines` has `line`. */
export function singular (name: string): string {
  if (/[a-z]ies$/.test(name)) return name.slice(0, -3) + 'y'
  if (/[a-z]s$/.test(name) && !/(?:ss|us|is)$/.test(name)) return name.slice(0, -1)
  return `${name}Item`
}

function split (text: string): string[] {
  // Marks belong to the letter before them; Kotlin and Swift take none of them in a name, so they are composed or left out.
  return text.normalize('NFC').replace(/[\p{M}\p{Default_Ignorable_Code_Point}]/gu, '').match(/\p{Lu}+(?!\p{Ll})\p{N}*|[\p{Lu}\p{Lt}]?[\p{Ll}\p{N}]+|[\p{Lo}\p{Lm}\p{N}]+|\p{Lu}/gu) ?? []
}

/**
 * Names that are each given once. Compared without case: the classes of a JVM are files, and some file systems
 * take `Order` and `order` for one.
 */
export class NamePool {
  readonly #taken = new Set<string>()

  constructor (reserved: Iterable<string> = []) {
    for (const name of reserved) this.#taken.add(name.toLowerCase())
  }

  /** `base` and `suffix`, with a number between the two when that is taken. */
  take (base: string, suffix = ''): string {
    for (let number = 1; ; number++) {
      const name = base + (number === 1 ? '' : /\d$/.test(base) ? `_${number}` : number) + suffix
      if (this.#taken.has(name.toLowerCase())) continue
      this.#taken.add(name.toLowerCase())
      return name
    }
  }
}

/**
 * A string literal in double quotes.
 *
 * @param escape how a character that cannot stand as it is (controls, line ends, and those of `also`) is written, given its code
 * point in hexadecimal digits, at least four
 * @param also characters to escape beside the ones that no language takes
 */
export function quote (text: string, escape: (hex: string) => string, also = ''): string {
  const escaped = [...wellFormed(text)].map((character) => {
    if (character === '"' || character === '\\' || also.includes(character)) return `\\${character}`
    return /[\p{Cc}\p{Cf}\u2028\u2029]/u.test(character) ? escape(character.codePointAt(0)!.toString(16).padStart(4, '0')) : character
  })
  return `"${escaped.join('')}"`
}

/** The text as UTF-8 can have it: half a surrogate pair becomes U+FFFD, on the wire as well. */
function wellFormed (text: string): string {
  return new TextDecoder().decode(new TextEncoder().encode(text))
}

/** Text as lines for a comment: no line is empty at the end, and no character ends a line where it should not. */
export function commentLines (text: string | undefined): string[] {
  if (text === undefined) return []
  // eslint-disable-next-line no-control-regex
  return text.trim().split(/\r\n?|[\n\u000b\u000c\u0085\u2028\u2029]/).map((line) => line.replace(/[\u0000-\u0008\u000e-\u001f\u007f]/g, '').trimEnd())
    .filter((line, index, lines) => line !== '' || lines.length > 1)
}
