const CODES = { bold: [1, 22], dim: [2, 22], red: [31, 39], green: [32, 39], yellow: [33, 39], cyan: [36, 39] } as const

/** Makes text coloured, or leaves it as it is. */
export type Paint = (colour: keyof typeof CODES, text: string) => string

/**
 * The painter for a stream: with colours on a terminal alone.
 *
 * `NO_COLOR`, if it is not empty, switches them off. `FORCE_COLOR` switches them on, or with `0` or `false` off.
 *
 * @see https://no-color.org
 */
export function painter (stream: { readonly isTTY?: boolean }, env: Readonly<Record<string, string | undefined>>): Paint {
  return isColoured(stream, env)
    ? (colour, text) => text === '' ? '' : `\u001B[${CODES[colour][0]}m${text}\u001B[${CODES[colour][1]}m`
    : (_colour, text) => text
}

function isColoured ({ isTTY }: { readonly isTTY?: boolean }, { NO_COLOR = '', FORCE_COLOR, TERM }: Readonly<Record<string, string | undefined>>): boolean {
  if (NO_COLOR !== '') return false
  if (FORCE_COLOR !== undefined) return FORCE_COLOR !== '0' && FORCE_COLOR !== 'false'
  return isTTY === true && TERM !== 'dumb'
}
