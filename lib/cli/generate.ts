import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join, relative, resolve } from 'node:path'
import { SSEError } from '../errors.js'
import type { Manifest } from '../schema/manifest.js'
import { parseArguments, shownArguments, type OptionValues } from './arguments.js'
import { UserError, type Command, type CommandIO } from './command.js'
import { findEntry, loadEntry, type Entry } from './entry/entry.js'
import { checkFormat, fileOf, render, type Format, type FormatOptions } from './formats.js'
import { findPackage, findProjectRoot } from './project.js'
import { watchProject } from './watch.js'

const OPTIONS = {
  out: 'value',
  format: 'list',
  check: 'flag',
  watch: 'flag',
  openapi: 'value',
  dialect: 'value',
  title: 'value',
  'api-version': 'value',
  timeout: 'value'
} as const

const DEFAULT_TIMEOUT_S = 30

/** An application may be slow to start; a day is no longer slowness. */
const MAX_TIMEOUT_S = 86_400

const HELP = `Usage: fastify-typed-sse generate <entry> [options]

Writes what clients of an application's streams are made of: TypeScript types
with a typed binding for the client, API documents, or models for other
languages.

The entry is a module (ESM, CommonJS or TypeScript) whose default export is

  a Fastify instance,
  a function without parameters that returns one, async or not, or
  a Fastify plugin, async or with a callback. It is registered on an instance
    of its own, after fastify-typed-sse unless it registers that itself.

It is loaded in a process of its own, until ready() has settled, and closed
again. What it prints goes to stderr. Servers that it starts listen on a free
port of 127.0.0.1, whatever port, host or socket they name. The environment
variable FASTIFY_TYPED_SSE is set to "generate", so that the application can
leave out what its routes do not depend on. TypeScript is read by tsx, if that
is installed, and otherwise by Node, if that can.

Options:
  --out DIR           Write files into this directory, which is made if it is
                      missing, and only those that differ from what is there.
                      Without it the text goes to stdout, in one format.
  --format FORMAT     What to write. Can be given more than once.
                      [default: typescript]
                        typescript  ${fileOf('typescript')}
                        manifest    ${fileOf('manifest')}: plain JSON of all
                        openapi     ${fileOf('openapi')}
                        asyncapi    ${fileOf('asyncapi')}: AsyncAPI 3.0
                        go          ${fileOf('go')}
                        kotlin      ${fileOf('kotlin')}
                        swift       ${fileOf('swift')}
                        python      ${fileOf('python')}
  --check             Write nothing. Fail if a file in --out is missing or is
                      not what would be written; line ends do not count.
  --watch             Write again whenever a source file of the project
                      changes, until Ctrl-C. The project is the workspace or
                      package that the entry belongs to.
  --openapi VERSION   3.2, 3.1 or 3.0. [default: 3.2]
  --dialect DIALECT   For OpenAPI 3.1 and 3.0, which cannot describe a single
                      event of a stream: what their schema stands for, the
                      whole "event" or the union of all "payload"s.
                      [default: event]
  --title TEXT        Title of the API in documents.
                      [default: name in the package.json nearest to the entry]
  --api-version TEXT  Version of the API in documents. [default: as the title]
  --timeout SECONDS   How long the application may take to get ready.
                      [default: ${DEFAULT_TIMEOUT_S}]
  --help              Show this text.

Exit codes:
  0  done, or with --check: the files are what they should be
  1  the application cannot be loaded, or with --check: a file is not
  2  the command line cannot be understood
  130  interrupted by Ctrl-C (with --watch: 0)

Examples:
  fastify-typed-sse generate src/app.ts --out src/generated
  fastify-typed-sse generate src/app.ts --out src/generated --check
  fastify-typed-sse generate src/app.ts --format manifest > streams.json
  fastify-typed-sse generate src/app.ts --format openapi --openapi 3.1 --out .
  fastify-typed-sse generate src/app.ts --format go --format python --out gen
`

interface Settings {
  readonly entry: Entry
  readonly formats: readonly Format[]
  /** Absolute; absent for stdout. */
  readonly out: string | undefined
  readonly documents: Omit<FormatOptions, 'title' | 'apiVersion'> & { readonly title: string | undefined, readonly apiVersion: string | undefined }
  readonly timeoutMs: number
}

/** A file as it should be. */
interface OutputFile {
  /** Absolute. */
  readonly path: string
  readonly text: string
}

/** `fastify-typed-sse generate`. */
export const generate: Command = {
  name: 'generate',
  summary: 'Write typed clients, API documents and models of an application',
  help: HELP,
  async run (args, io) {
    const { options, positionals } = parseArguments(args, OPTIONS, 'generate')
    const settings = settingsOf(options, positionals, io)
    if (options.watch) return await watchAndWrite(settings, io)
    if (options.check) return await check(settings, args, io)
    await writeOnce(settings, io, io.signal)
    return 0
  }
}

function settingsOf (options: OptionValues<typeof OPTIONS>, positionals: readonly string[], io: CommandIO): Settings {
  const help = 'See: fastify-typed-sse generate --help'
  const [given, ...others] = positionals
  if (given === undefined) throw new UserError(`generate needs an entry: the module whose default export is the application.\n${help}`, 2)
  if (others.length > 0) throw new UserError(`generate takes one entry, but was given ${positionals.length}: ${shownArguments(positionals)}.\n${help}`, 2)

  const formats = options.format.length === 0 ? ['typescript' as const] : [...new Set(options.format.map(checkFormat))]
  if (options.out === undefined) {
    if (options.check) throw new UserError(`--check compares with files: say where they are with --out DIR.\n${help}`, 2)
    if (options.watch) throw new UserError(`--watch writes files: say where with --out DIR.\n${help}`, 2)
    if (formats.length > 1) throw new UserError(`${formats.length} formats do not fit into one output: write them to files with --out DIR.\n${help}`, 2)
  }
  if (options.check && options.watch) throw new UserError(`--check writes nothing and --watch writes whenever something changes: give one of them.\n${help}`, 2)

  const openapi = choice('openapi', options.openapi, ['3.2', '3.1', '3.0'], '3.2')
  const dialect = choice('dialect', options.dialect, ['event', 'payload'], 'event')
  if (options.openapi !== undefined && !formats.includes('openapi')) throw new UserError(`--openapi is the version for --format openapi, which is not asked for.\n${help}`, 2)
  if (options.dialect !== undefined && (!formats.includes('openapi') || openapi === '3.2')) {
    throw new UserError(`--dialect is for --format openapi with --openapi 3.1 or 3.0: 3.2 describes events as they are.\n${help}`, 2)
  }
  return {
    entry: findEntry(given, io.cwd),
    formats,
    out: options.out === undefined ? undefined : resolve(io.cwd, options.out),
    documents: { openapi, dialect, title: options.title, apiVersion: options['api-version'] },
    timeoutMs: 1_000 * seconds('timeout', options.timeout, DEFAULT_TIMEOUT_S, MAX_TIMEOUT_S)
  }
}

/** Loads the application, warns, and makes the texts. */
async function produce (settings: Settings, io: CommandIO, signal: AbortSignal): Promise<{ format: Format, text: string }[]> {
  const { entry, formats, timeoutMs, documents } = settings
  const { manifest, warnings } = await loadEntry(entry, { timeoutMs, io, signal })
  for (const warning of warnings) tell(io, `Warning: ${warning}`)
  const described = findPackage(dirname(entry.path))?.json ?? {}
  const options: FormatOptions = {
    ...documents,
    title: documents.title ?? text(described['name']) ?? 'Event streams',
    apiVersion: documents.apiVersion ?? text(described['version']) ?? '0.0.0'
  }
  const texts: { format: Format, text: string }[] = []
  for (const format of formats) texts.push({ format, text: await renderFor(entry, format, manifest, options) })
  signal.throwIfAborted()
  return texts
}

async function renderFor (entry: Entry, format: Format, manifest: Manifest, options: FormatOptions): Promise<string> {
  try {
    return await render(format, manifest, options)
  } catch (error) {
    // A package to install, or something in the application's schemas that the format refuses. The rest is a bug.
    if (error instanceof SSEError || (error instanceof Error && error.name === 'MissingPackageError')) {
      throw new UserError(`The streams of ${entry.shown} cannot be written as ${format}: ${error.message}`, 1, error)
    }
    throw error
  }
}

async function produceFiles (settings: Settings, out: string, io: CommandIO, signal: AbortSignal): Promise<OutputFile[]> {
  return (await produce(settings, io, signal)).map(({ format, text }) => ({ path: join(out, fileOf(format)), text }))
}

async function writeOnce (settings: Settings, io: CommandIO, signal: AbortSignal): Promise<void> {
  if (settings.out === undefined) {
    const [only] = await produce(settings, io, signal)
    io.stdout.write(only!.text)
    return
  }
  for (const file of await produceFiles(settings, settings.out, io, signal)) {
    if (isSame(await readIfThere(file.path, io), file.text)) {
      tell(io, `unchanged ${shown(file.path, io)}`)
      continue
    }
    try {
      await mkdir(dirname(file.path), { recursive: true })
      await writeFile(file.path, file.text)
    } catch (error) {
      throw new UserError(`${shown(file.path, io)} cannot be written: ${(error as Error).message}`, 1, error)
    }
    tell(io, `written ${shown(file.path, io)}`)
  }
}

async function check (settings: Settings, args: readonly string[], io: CommandIO): Promise<number> {
  let isFresh = true
  for (const file of await produceFiles(settings, settings.out!, io, io.signal)) {
    const found = await readIfThere(file.path, io)
    if (isSame(found, file.text)) {
      tell(io, `up to date: ${shown(file.path, io)}`)
      continue
    }
    isFresh = false
    tell(io, found === undefined ? `missing: ${shown(file.path, io)}` : `stale: ${shown(file.path, io)}\n${firstDifference(found, file.text)}`)
  }
  if (!isFresh) tell(io, `Renew with: npx fastify-typed-sse generate ${shownArguments(args.filter((arg) => arg !== '--check'))}`)
  return isFresh ? 0 : 1
}

async function watchAndWrite (settings: Settings, io: CommandIO): Promise<number> {
  const root = findProjectRoot(dirname(settings.entry.path))
  let interrupt = new AbortController()
  let wake = (): void => {}
  let changed: string | undefined
  try {
    await watchProject(root, {
      signal: io.signal,
      except: new Set(settings.formats.map((format) => join(settings.out!, fileOf(format)))),
      onChange (path) {
        changed = path
        // What is being loaded is old already, and may be what hangs.
        interrupt.abort()
        wake()
      }
    })
  } catch (error) {
    throw new UserError(`${shown(root, io)} cannot be watched: ${(error as Error).message}`, 1, error)
  }
  io.signal.addEventListener('abort', () => wake(), { once: true })

  while (!io.signal.aborted) {
    changed = undefined
    interrupt = new AbortController()
    try {
      await writeOnce(settings, io, AbortSignal.any([io.signal, interrupt.signal]))
    } catch (error) {
      // The next change may mend it. A bug of ours ends the command as any other.
      if (!(error instanceof UserError) && !interrupt.signal.aborted && !io.signal.aborted) throw error
      if (error instanceof UserError) tell(io, error.message)
    }
    if (!io.signal.aborted && changed === undefined) {
      tell(io, `Watching ${shown(root, io)} for changes. Ctrl-C ends it.`)
      await new Promise<void>((resolve) => { wake = resolve })
    }
    if (!io.signal.aborted && changed !== undefined) tell(io, `\nChanged: ${shown(changed, io)}`)
  }
  return 0
}

async function readIfThere (path: string, io: CommandIO): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw new UserError(`${shown(path, io)} cannot be read: ${message}`, 1, error)
  }
}

/** A checkout on Windows may have other line ends than what was committed: that is no difference. */
function isSame (found: string | undefined, expected: string): boolean {
  return found !== undefined && found.replaceAll('\r\n', '\n') === expected.replaceAll('\r\n', '\n')
}

function firstDifference (found: string, expected: string): string {
  const before = found.split(/\r?\n/)
  const after = expected.split(/\r?\n/)
  const index = after.findIndex((line, i) => line !== before[i])
  const at = index === -1 ? after.length : index
  const lines = [`  line ${at + 1}:`]
  if (before[at] !== undefined) lines.push(`  - ${before[at]}`)
  if (after[at] !== undefined) lines.push(`  + ${after[at]}`)
  return lines.join('\n')
}

function choice<const T extends string> (option: string, value: string | undefined, values: readonly T[], otherwise: T): T {
  if (value === undefined) return otherwise
  const found = values.find((candidate) => candidate === value)
  if (found === undefined) throw new UserError(`--${option} is ${values.slice(0, -1).join(', ')} or ${values.at(-1)!}, but was given ${JSON.stringify(value)}.`, 2)
  return found
}

function seconds (option: string, value: string | undefined, otherwise: number, max: number): number {
  if (value === undefined) return otherwise
  const number = Number(value)
  if (!(number > 0 && number <= max)) throw new UserError(`--${option} is a number of seconds, more than 0 and at most ${max}, but was given ${JSON.stringify(value)}.`, 2)
  return number
}

function text (value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

function shown (path: string, io: CommandIO): string {
  return relative(io.cwd, path) || '.'
}

function tell (io: CommandIO, message: string): void {
  io.stderr.write(message + '\n')
}
