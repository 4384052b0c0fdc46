import { parseArgs } from 'node:util'
import { nearest } from '../errors.js'
import { UserError } from './command.js'

/** What an option takes: nothing (`flag`), one value (`value`; given twice, the last one counts), or a value each time (`list`). */
export type OptionKind = 'flag' | 'value' | 'list'

/** Options by name, without the dashes. An absent flag is `false`, an absent list empty. */
export type OptionValues<Kinds extends Readonly<Record<string, OptionKind>>> = {
  [K in keyof Kinds]: Kinds[K] extends 'flag' ? boolean : Kinds[K] extends 'list' ? string[] : string | undefined
}

/**
 * A command's arguments, told apart.
 *
 * `--name value` and `--name=value` are the same; after `--` nothing is an option.
 *
 * @throws UserError (2) for an option that does not exist, lacks its value or has one that it does not take
 */
export function parseArguments<const Kinds extends Readonly<Record<string, OptionKind>>> (
  args: readonly string[], kinds: Kinds, command: string
): { options: OptionValues<Kinds>, positionals: string[] } {
  const help = `See: fastify-typed-sse ${command} --help`
  // Not strict: Node's own errors know no nearest name, and differ between its versions.
  const { tokens } = parseArgs({
    args: [...args],
    options: Object.fromEntries(Object.entries(kinds).map(([name, kind]) => [name, { type: kind === 'flag' ? 'boolean' : 'string' }])),
    strict: false,
    tokens: true
  })
  const positionals: string[] = []
  const options: Record<string, string | boolean | string[] | undefined> = {}
  for (const [name, kind] of Object.entries(kinds)) options[name] = kind === 'flag' ? false : kind === 'list' ? [] : undefined

  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value)
    if (token.kind !== 'option') continue
    const kind = Object.hasOwn(kinds, token.name) ? kinds[token.name] : undefined
    if (kind === undefined) {
      const near = nearest(token.name, Object.keys(kinds))
      throw new UserError(`${command} has no option ${token.rawName}.${near === undefined ? '' : ` Did you mean --${near}?`}\n${help}`, 2)
    }
    if (kind === 'flag') {
      if (token.value !== undefined) throw new UserError(`${token.rawName} takes no value, but was given ${JSON.stringify(token.value)}.\n${help}`, 2)
      options[token.name] = true
      continue
    }
    // `--out --check` is far more often a value that was forgotten than a directory of that name.
    if (token.value === undefined || token.value === '' || (!token.inlineValue && /^-./.test(token.value))) {
      throw new UserError(`${token.rawName} needs a value. One that begins with a dash is written ${token.rawName}=-…\n${help}`, 2)
    }
    if (kind === 'list') (options[token.name] as string[]).push(token.value)
    else options[token.name] = token.value
  }
  return { options: options as OptionValues<Kinds>, positionals }
}

/**
 * Arguments as they are typed in a shell: those that need it in double quotes.
 *
 * For a message that a person copies, not for running it: no shell agrees with another about the rest.
 */
export function shownArguments (args: readonly string[]): string {
  return args.map((arg) => /^[\w@%+=:,./\\-]+$/.test(arg) ? arg : `"${arg.replaceAll('"', '\\"')}"`).join(' ')
}
