/**
 * A name as one token of a JSON pointer.
 *
 * @see https://www.rfc-editor.org/rfc/rfc6901#section-3
 */
export function escapeToken (name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1')
}

/** The name that a token in a reference stands for: percent-decoded, if that can be done. */
export function unescapeToken (token: string): string {
  return decodeText(token).replaceAll('~1', '/').replaceAll('~0', '~')
}

/** The reference to a name in `$defs`. */
export function definitionRef (name: string): string {
  return `#/$defs/${encodeURIComponent(escapeToken(name))}`
}

/** The name in `#/$defs/<name>`. */
export function definitionName (ref: string): string {
  return unescapeToken(ref.slice('#/$defs/'.length))
}

/** Percent-decoded text; the text itself where it is none. */
export function decodeText (text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
