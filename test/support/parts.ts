import type { Test } from 'tap'

/**
 * Whether a part that a test cannot do without (a browser, a broker, a program) is there. Without it the test skips, with
 * a line that names the part; in CI it fails, where all parts are meant to be.
 *
 * ```ts
 * if (!requirePart(t, 'Chromium', path !== null)) return
 * ```
 */
export function requirePart (t: Test, name: string, isThere: boolean): boolean {
  if (isThere) return true
  if (process.env['CI'] === 'true') t.fail(`${name} is not there, and in CI it must be`)
  else t.pass(name, { skip: 'it is not there' })
  return false
}
