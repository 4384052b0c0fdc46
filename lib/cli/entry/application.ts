import { createRequire } from 'node:module'
import { extname } from 'node:path'
import { pathToFileURL } from 'node:url'
import { show } from '../../errors.js'
import type { Manifest } from '../../schema/manifest.js'
import type { EntryStep, EntryTask } from './messages.js'
import { rememberRoutes } from './unseen-routes.js'

/** What the command needs of a Fastify instance, whichever copy and version of Fastify made it. */
interface Application {
  ready (): PromiseLike<unknown>
  close (): PromiseLike<unknown>
  register (plugin: unknown, options?: unknown): PromiseLike<unknown>
}

interface StreamsApi {
  manifest (): Manifest
}

type AnyFunction = (...args: unknown[]) => unknown

/** Something about the entry that its author can mend. The message says all; where it was thrown says nothing. */
export class EntryError extends Error {}

/** An application that is ready, and what it streams. */
export interface LoadedApplication {
  readonly manifest: Manifest
  /** Routes that declare streams and are not in the manifest: `GET /clock`. */
  readonly unseen: readonly string[]
  close (): Promise<void>
}

/**
 * Imports an entry, makes the application that it stands for, and waits until that is ready.
 *
 * @param onStep called with what comes next, before it
 * @throws EntryError, and whatever the application throws
 */
export async function loadApplication (task: EntryTask, onStep: (step: EntryStep) => void): Promise<LoadedApplication> {
  const unseenOf = rememberRoutes()
  onStep('load')
  const exported = await importDefault(task)
  const made = await makeApplications(exported, task, onStep)
  onStep('describe')
  const manifest = findApi(made[0]!, task).manifest()
  return {
    manifest,
    unseen: unseenOf(made[0]!, manifest),
    async close () {
      for (const application of made) await application.close()
    }
  }
}

/** @returns the application, then others that have been made on the way and are to be closed too */
async function makeApplications (exported: unknown, task: EntryTask, onStep: (step: EntryStep) => void): Promise<Application[]> {
  if (isApplication(exported)) {
    onStep('ready')
    await exported.ready()
    return [exported]
  }
  if (typeof exported !== 'function') {
    throw new EntryError(`The default export of ${task.shown} is ${typeof exported === 'object' ? `an object that is no Fastify instance: ${show(exported)}` : `${typeof exported}: ${show(exported)}`}.\n` +
      'Export a Fastify instance, a function that returns one, or a Fastify plugin.')
  }
  onStep('call')
  if (exported.length === 0 && !isMarkedAsPlugin(exported)) {
    const result: unknown = await (exported as AnyFunction)()
    if (!isApplication(result)) {
      throw new EntryError(`The function that ${task.shown} exports returned ${show(result)} and no Fastify instance.\n` +
        'Without parameters it is taken for one that makes an application: return that. If it is a plugin, name its parameter: (app) => …')
    }
    onStep('ready')
    await result.ready()
    return [result]
  }
  return await registerPlugin(exported as AnyFunction, task, onStep)
}

/**
 * Puts a plugin into an instance of its own, after fastify-typed-sse.
 *
 * A plugin that registers fastify-typed-sse by itself can only be told by trying. What it did in the first try is closed
 * before the second one.
 */
async function registerPlugin (plugin: AnyFunction, task: EntryTask, onStep: (step: EntryStep) => void): Promise<Application[]> {
  try {
    return await registerOnce(plugin, task, true, onStep)
  } catch (error) {
    if ((error as { code?: unknown } | null)?.code !== 'FST_SSE_ALREADY_REGISTERED') throw error
  }
  onStep('call')
  return await registerOnce(plugin, task, false, onStep)
}

async function registerOnce (plugin: AnyFunction, task: EntryTask, withStreams: boolean, onStep: (step: EntryStep) => void): Promise<Application[]> {
  const host = await createHost(task)
  try {
    if (withStreams) await host.register(await importStreams(task))
    let returned: unknown
    await host.register(observed(plugin, (result) => { returned = result }))
    // A function with parameters may be a factory with options: what it made is the application then, and not its host.
    if (isApplication(returned) && returned !== host && !isWithin(returned, host)) {
      onStep('ready')
      await returned.ready()
      return [returned, host]
    }
    onStep('ready')
    await host.ready()
    return [host]
  } catch (error) {
    // Its hooks for closing belong to a plugin that failed: their errors would hide the first one.
    await Promise.resolve(host.close()).catch(() => {})
    throw error
  }
}

/** The plugin, with what it returns told. Parameters, name and the marks of fastify-plugin are those of the plugin. */
function observed (plugin: AnyFunction, onResult: (result: unknown) => void): AnyFunction {
  const wrapper = function (this: unknown, ...args: unknown[]): unknown {
    const result = plugin.apply(this, args)
    if (!isPromise(result)) {
      onResult(result)
      return result
    }
    return result.then((value) => { onResult(value) })
  }
  for (const key of Reflect.ownKeys(plugin)) {
    if (key !== 'prototype') Object.defineProperty(wrapper, key, Object.getOwnPropertyDescriptor(plugin, key)!)
  }
  return wrapper
}

async function createHost (task: EntryTask): Promise<Application> {
  let file: string
  try {
    file = createRequire(task.path).resolve('fastify')
  } catch (error) {
    throw new EntryError(`${task.shown} exports a plugin, and \`fastify\`, into which it is to be registered, cannot be found from there: npm install fastify`, { cause: error })
  }
  const { default: create } = await import(pathToFileURL(file).href) as { default: () => Application }
  return create()
}

/** The copy of fastify-typed-sse that the entry itself would import, or this one. */
async function importStreams (task: EntryTask): Promise<unknown> {
  let file: string
  try {
    file = createRequire(task.path).resolve('fastify-typed-sse')
  } catch {
    return (await import('../../index.js')).default
  }
  return (await import(pathToFileURL(file).href) as { default: unknown }).default
}

async function importDefault (task: EntryTask): Promise<unknown> {
  // Imported by ES, a `.cts` and what it requires go another way through tsx, on which JSON files that CommonJS requires are lost.
  const namespace = (extname(task.path) === '.cts'
    ? { default: createRequire(task.path)(task.path) as unknown }
    : await import(pathToFileURL(task.path).href)) as Record<string, unknown>
  let exported = namespace['default']
  // CommonJS that was ES once: its `module.exports` has the default export as `default`, and loaders add one more level.
  for (let level = 0; level < 2 && isObject(exported) && !isApplication(exported) && exported['default'] !== undefined; level++) {
    exported = exported['default']
  }
  if (isPromise(exported)) exported = await exported
  // A module of CommonJS without a default export comes as an object of all its exports.
  const isCommonJS = createRequire(task.path).cache[task.path] !== undefined
  if (exported === undefined || (isCommonJS && isObject(exported) && !isApplication(exported))) {
    throw new EntryError(explainNoDefault(task, isCommonJS && isObject(exported) ? exported : namespace, isCommonJS))
  }
  return exported
}

function explainNoDefault (task: EntryTask, exports: Record<string, unknown>, isCommonJS: boolean): string {
  const names = Object.keys(exports).filter((name) => !['default', 'module.exports', '__esModule'].includes(name))
  const likely = names.find((name) => isApplication(exports[name])) ?? onlyOne(names.filter((name) => typeof exports[name] === 'function'))
  const example = likely ?? 'app'
  const remedy = isCommonJS ? `\`module.exports = ${example}\`` : `\`export default ${example}\``
  const found = names.length === 0 ? 'exports nothing' : `has no default export. It exports ${names.map((name) => `\`${name}\``).join(', ')}`
  return `${task.shown} ${found}: add ${remedy}${likely === undefined ? ', where `app` is a Fastify instance, a function that returns one, or a plugin' : ''}.`
}

/**
 * The `app.sse` of an application: at its root, or of the one plugin that registers it for itself.
 *
 * @throws EntryError when there is none or more than one
 */
function findApi (application: Application, task: EntryTask): StreamsApi {
  const found = new Set<unknown>()
  for (const scope of scopesOf(application)) {
    const { sse } = scope as { sse?: unknown }
    if (sse !== undefined) found.add(sse)
  }
  const [api, ...others] = found
  if (api === undefined) {
    throw new EntryError(`The application of ${task.shown} has no fastify-typed-sse. Register it before the routes: await app.register(ssePlugin)`)
  }
  if (others.length > 0) {
    throw new EntryError(`The application of ${task.shown} registers fastify-typed-sse ${found.size} times, in plugins apart from each other.\n` +
      'Register it once, at the root, or generate from each of these plugins as an entry of its own.')
  }
  if (!isObject(api) || typeof api['manifest'] !== 'function') {
    throw new EntryError(`The \`app.sse\` of ${task.shown} has no manifest(): it is of another plugin, or of an older fastify-typed-sse than the command.`)
  }
  return api as unknown as StreamsApi
}

/** An instance and the contexts of its plugins, which Fastify keeps under a symbol of its own. */
function * scopesOf (application: object): Generator<object> {
  yield application
  const key = Object.getOwnPropertySymbols(application).find((symbol) => symbol.description === 'fastify.children')
  const children = key === undefined ? undefined : (application as Record<symbol, unknown>)[key]
  if (!Array.isArray(children)) return
  for (const child of children) yield * scopesOf(child as object)
}

function isApplication (value: unknown): value is Application {
  return isObject(value) && ['ready', 'close', 'register', 'addHook', 'inject'].every((method) => typeof value[method] === 'function')
}

/** Whether an instance is the context of a plugin inside `host`. */
function isWithin (instance: object, host: object): boolean {
  return Object.prototype.isPrototypeOf.call(host, instance)
}

function isMarkedAsPlugin (value: object): boolean {
  return Object.getOwnPropertySymbols(value).some((symbol) => symbol === Symbol.for('plugin-meta') || symbol === Symbol.for('skip-override'))
}

function isObject (value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

/** A Fastify instance has a `then` too, and is no promise. */
function isPromise (value: unknown): value is Promise<unknown> {
  return isObject(value) && typeof value['then'] === 'function' && !isApplication(value)
}

function onlyOne (names: string[]): string | undefined {
  return names.length === 1 ? names[0] : undefined
}
