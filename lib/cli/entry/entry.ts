import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { basename, dirname, extname, join, relative, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { nearest } from '../../errors.js'
import type { Manifest } from '../../schema/manifest.js'
import { UserError, type CommandIO } from '../command.js'
import { chooseLoader, ENTRY_EXTENSIONS, type EntryLoader } from './loader.js'
import { MESSAGE_KEY, type EntryFailure, type EntryMessage, type EntryStep, type EntryTask } from './messages.js'
import { indent, placeInText } from '../error-report.js'
import { findPackage, findUpwards } from '../project.js'

/** How long `close()` may take once the manifest is there. What an application still does then is its own loss. */
const CLOSE_MS = 2_000

/** How long output may lag behind the end of the process: processes that the application started may hold it open. */
const OUTPUT_MS = 500

/** How Node and tsx complain of an ES module that they take for CommonJS. */
const MODULE_READ_AS_COMMONJS = /Cannot use import statement outside a module|Unexpected token 'export'|Top-level await is currently not supported with the "cjs"|await is only valid in async functions and the top level bodies of modules/

const PROGRAM = fileURLToPath(new URL(`process${extname(import.meta.url)}`, import.meta.url))

const UNFINISHED: Record<Exclude<EntryStep, 'close'>, (shown: string) => string> = {
  load: (shown) => `${shown} is still being loaded`,
  call: (shown) => `The function that ${shown} exports has not come to its end`,
  ready: (shown) => `ready() of ${shown} has not settled`,
  describe: (shown) => `The streams of ${shown} are still being described`
}

/** A file that an application is loaded from. */
export interface Entry {
  /** Absolute. */
  readonly path: string
  /** As its user named it, for messages. */
  readonly shown: string
}

/** An application's streams, and what its author should know about the application. */
export interface LoadedEntry {
  readonly manifest: Manifest
  readonly warnings: readonly string[]
}

/** How an entry is loaded. */
export interface LoadOptions {
  /** How long it may take until the manifest is there; milliseconds. */
  readonly timeoutMs: number
  readonly io: CommandIO
  /** Ends the process at once. */
  readonly signal: AbortSignal
}

/**
 * The entry that a command was given.
 *
 * @throws UserError when there is no such file, with the nearest name that there is
 */
export function findEntry (given: string, cwd: string): Entry {
  const path = given.startsWith('file:') ? fileURLToPath(given) : resolve(cwd, given)
  const entry = { path, shown: given }
  const stat = statSync(path, { throwIfNoEntry: false })
  if (stat === undefined) throw new UserError(`There is no file ${given}.${hint(nearestFile(path), entry, cwd)}`)
  if (stat.isDirectory()) {
    const candidates = ['app', 'index', 'server', 'main'].flatMap((name) => ENTRY_EXTENSIONS.map((extension) => name + extension))
    const found = [...candidates, ...candidates.map((file) => join('src', file))].find((file) => existsSync(join(path, file)))
    throw new UserError(`${given} is a directory. Give the module whose default export is the application.${hint(found === undefined ? undefined : join(path, found), entry, cwd)}`)
  }
  if (!ENTRY_EXTENSIONS.includes(extname(path))) {
    throw new UserError(`${given} is no module: its name ends with none of ${ENTRY_EXTENSIONS.join(', ')}.`)
  }
  return entry
}

/**
 * Loads an entry in a process of its own and takes the manifest of its application.
 *
 * What the application prints goes to `io.stderr`. The process ends in any case: after the manifest, `close()` has two
 * seconds.
 *
 * @throws UserError for whatever is wrong with the entry, and the signal's reason when that aborts
 */
export async function loadEntry (entry: Entry, options: LoadOptions): Promise<LoadedEntry> {
  options.signal.throwIfAborted()
  const loader = chooseLoader(entry.path, entry.shown)
  const run = await runProcess(entry, loader, options)
  options.signal.throwIfAborted()
  if (run.failure !== undefined) throw new UserError(await explain(run.failure, entry, loader, options.io))
  if (run.manifest === undefined) throw new UserError(explainEnd(run, entry, options.timeoutMs))

  const warnings: string[] = []
  const { streams } = run.manifest
  const { unseen = [] } = run
  if (unseen.length > 0) {
    warnings.push(`${unseen.join(', ')} of ${entry.shown} ${unseen.length === 1 ? 'streams, but is' : 'stream, but are'} left out: fastify-typed-sse does not see routes that are registered before it has loaded.\n` +
      'Await app.register(ssePlugin) before them, or put them into a plugin that is registered after it.')
  } else if (streams.length === 0) {
    warnings.push(`the application of ${entry.shown} has no routes that stream: give them \`schema: { events }\`, and register them after fastify-typed-sse.`)
  } else if (streams.every((stream) => stream.events === undefined)) {
    warnings.push(`no route of ${entry.shown} declares its events, so nothing about them is typed: give the routes \`schema: { events }\`.`)
  }
  if (run.closing !== undefined) warnings.push(run.closing)
  return { manifest: run.manifest, warnings }
}

/** How a process has ended, and what it said before. */
interface ProcessRun {
  step: EntryStep
  manifest?: Manifest
  /** Routes that the manifest lacks. */
  unseen?: readonly string[]
  failure?: EntryFailure
  /** What was wrong when it closed. */
  closing?: string
  isLate?: true
  exitCode?: number | null
  killedBy?: NodeJS.Signals | null
}

async function runProcess (entry: Entry, loader: EntryLoader, { timeoutMs, io, signal }: LoadOptions): Promise<ProcessRun> {
  const run: ProcessRun = { step: 'load' }
  const task: EntryTask = { path: entry.path, shown: entry.shown }
  // Built code leads to its sources in stacks when it has source maps.
  const args = [...loader.flags, '--enable-source-maps', PROGRAM, JSON.stringify(task)]
  const child = spawn(process.execPath, args, {
    cwd: io.cwd,
    env: environmentOf(entry, loader, io),
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    windowsHide: true
  })
  child.stdout!.on('data', (chunk) => io.stderr.write(chunk))
  child.stderr!.on('data', (chunk) => io.stderr.write(chunk))

  // Killed outright: an application that handles signals may take any time, and has nothing to lose here.
  const kill = (): void => { child.kill('SIGKILL') }
  signal.addEventListener('abort', kill, { once: true })
  let timer = setTimeout(() => {
    run.isLate = true
    kill()
  }, timeoutMs)
  child.on('message', (received: unknown) => {
    const message = messageOf(received)
    if (message?.type === 'step') run.step = message.step
    if (message?.type === 'failure') run.failure = message
    if (message?.type === 'closed' && message.problem !== undefined) {
      run.closing = `the application of ${entry.shown} fails while it closes, which its clean end may depend on:\n${message.problem}`
    }
    if (message?.type === 'manifest') {
      run.manifest = message.manifest
      run.unseen = message.unseen
      clearTimeout(timer)
      timer = setTimeout(() => {
        run.closing = `close() of the application of ${entry.shown} has not settled after ${seconds(CLOSE_MS)}. Its process has been ended.`
        kill()
      }, CLOSE_MS)
    }
  })
  try {
    await ended(child, run)
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', kill)
  }
  return run
}

function ended (child: ChildProcess, run: ProcessRun): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once('error', (error) => reject(new UserError(`The process that loads the entry cannot be started: ${error.message}`, 1, error)))
    child.once('exit', (exitCode, killedBy) => {
      Object.assign(run, { exitCode, killedBy })
      const timer = setTimeout(() => {
        child.stdout!.destroy()
        child.stderr!.destroy()
        resolve()
      }, OUTPUT_MS)
      child.once('close', () => {
        clearTimeout(timer)
        resolve()
      })
    })
  })
}

function messageOf (received: unknown): EntryMessage | undefined {
  return typeof received === 'object' && received !== null ? (received as Record<string, EntryMessage | undefined>)[MESSAGE_KEY] : undefined
}

function environmentOf (entry: Entry, loader: EntryLoader, io: CommandIO): Record<string, string | undefined> {
  const env: Record<string, string | undefined> = { ...io.env, FASTIFY_TYPED_SSE: 'generate' }
  // tsx looks from the working directory, which in a workspace is not that of the package whose paths and options count.
  const tsconfig = findUpwards(dirname(entry.path), 'tsconfig.json')
  if (loader.kind === 'tsx' && env['TSX_TSCONFIG_PATH'] === undefined && tsconfig !== undefined) env['TSX_TSCONFIG_PATH'] = tsconfig
  return env
}

async function explain (failure: EntryFailure, entry: Entry, loader: EntryLoader, io: CommandIO): Promise<string> {
  let { message } = failure
  if (failure.isUnlocated) {
    const place = await locateSyntaxError(entry, loader, io)
    if (place !== undefined) message += `\n\n${indent(place)}`
  }
  const { code } = failure
  // In an ES module the last of them is about a function that is not async.
  if (MODULE_READ_AS_COMMONJS.test(message) && !isModule(entry.path)) {
    message += '\n\nThe file is read as CommonJS, in which that cannot stand, since the package.json nearest to it does not say that its modules are ES.\n' +
      'Add "type": "module" there (npm pkg set type=module), or let the name of the file end in .mts or .mjs.'
  }
  if (loader.kind === 'strip' && (code === 'ERR_MODULE_NOT_FOUND' || code === 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX' || code === 'ERR_UNKNOWN_FILE_EXTENSION')) {
    message += '\n\nNode has read the TypeScript by itself, which has limits: enums, paths of tsconfig.json, and imports of `x.js` where the file is `x.ts`.\n' +
      'Install tsx, and it is used instead: npm install --save-dev tsx'
  } else if (loader.kind === 'plain' && code === 'ERR_UNKNOWN_FILE_EXTENSION') {
    message += '\n\nA module of JavaScript imports TypeScript. If your application runs with a loader, the command needs it too: ' +
      'set the environment variable NODE_OPTIONS to, for example, --import=tsx'
  }
  return message
}

/** Whether Node takes a file for an ES module before it has read it. */
function isModule (path: string): boolean {
  return /\.m[jt]s$/.test(path) || (!/\.c[jt]s$/.test(path) && findPackage(dirname(path))?.json['type'] === 'module')
}

/**
 * Where a syntax error is that V8 has not told `import()`.
 *
 * Node prints it for a program's own modules. All of them are linked before the first one runs, and the first one is ours
 * and ends the process: so nothing of the application runs.
 */
async function locateSyntaxError (entry: Entry, loader: EntryLoader, io: CommandIO): Promise<string | undefined> {
  const program = `import 'data:text/javascript,process.exit()'\nimport ${JSON.stringify(pathToFileURL(entry.path).href)}`
  const child = spawn(process.execPath, [...loader.flags, '--input-type=module', '--eval', program], {
    cwd: io.cwd,
    env: environmentOf(entry, loader, io),
    stdio: ['ignore', 'ignore', 'pipe'],
    windowsHide: true,
    timeout: 10_000
  })
  let text = ''
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => { text += chunk })
  await new Promise((resolve) => child.once('error', resolve).once('close', resolve))
  return placeInText(text)
}

/** Why there is neither manifest nor failure. */
function explainEnd (run: ProcessRun, entry: Entry, timeoutMs: number): string {
  if (run.isLate && run.step !== 'close') {
    return `${UNFINISHED[run.step](entry.shown)} after ${seconds(timeoutMs)}.\n` +
      'Does it wait for a database or a service that is not there? An application can leave that out when the environment variable\n' +
      'FASTIFY_TYPED_SSE is `generate`. If it needs longer: --timeout SECONDS'
  }
  const how = typeof run.killedBy === 'string' ? `was ended by ${run.killedBy}` : `ended itself with exit code ${run.exitCode}`
  return `The process that loads ${entry.shown} ${how} before its application was ready. What it printed stands above.\n` +
    'Does the entry call process.exit(), or end when something is missing? An application can tell that it is loaded for its streams\n' +
    'alone by the environment variable FASTIFY_TYPED_SSE, which is `generate` then.'
}

function seconds (ms: number): string {
  return ms === 1_000 ? '1 second' : `${ms / 1_000} seconds`
}

function hint (path: string | undefined, entry: Entry, cwd: string): string {
  if (path === undefined) return ''
  const short = entry.path === entry.shown ? path : relative(cwd, path)
  return ` Did you mean ${short}?`
}

function nearestFile (path: string): string | undefined {
  let files: string[]
  try {
    files = readdirSync(dirname(path)).filter((file) => ENTRY_EXTENSIONS.includes(extname(file)) && !/\.d\.[cm]?ts$/.test(file))
  } catch {
    return undefined
  }
  const name = basename(path)
  // `app` and `app.js` stand for `app.ts` sooner than for a file whose name differs by two letters.
  const stem = basename(name, ENTRY_EXTENSIONS.includes(extname(name)) ? extname(name) : '')
  const found = files.find((file) => basename(file, extname(file)) === stem) ?? nearest(name, files)
  return found === undefined ? undefined : join(dirname(path), found)
}
