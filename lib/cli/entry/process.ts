// The program of the process that loads an entry: what the command starts, and nobody else. It says over its channel how far
// it is, the manifest, or what is wrong, and ends.
import { EntryError, loadApplication } from './application.js'
import { placeInText, reportError } from '../error-report.js'
import { listenOnLoopbackOnly } from '../loopback-only.js'
import { MESSAGE_KEY, type EntryFailure, type EntryMessage, type EntryStep, type EntryTask } from './messages.js'

const FAILED: Record<EntryStep, (shown: string) => string> = {
  load: (shown) => `${shown} fails while it is loaded:`,
  call: (shown) => `The function that ${shown} exports fails:`,
  ready: (shown) => `The application of ${shown} does not get ready:`,
  describe: (shown) => `The streams of ${shown} cannot be described:`,
  close: (shown) => `The application of ${shown} fails while it closes:`
}

const NEVER: Record<EntryStep, (shown: string) => string> = {
  load: (shown) => `${shown} never ends to load: it awaits something at its top level that cannot come any more.`,
  call: (shown) => `The promise of the function that ${shown} exports never settles: what it awaits cannot come any more.`,
  ready: (shown) => `The application of ${shown} never gets ready: a plugin or a hook awaits something that cannot come any more.`,
  describe: (shown) => `The streams of ${shown} are never described.`,
  close: (shown) => `close() of ${shown} never settles.`
}

// The application may replace it, or send messages of its own.
const send = process.send?.bind(process)
if (send === undefined) {
  process.stderr.write('This program is part of the command fastify-typed-sse and not for use by itself.\n')
  process.exit(2)
}

function tell (message: EntryMessage): Promise<void> {
  return new Promise((resolve) => send!({ [MESSAGE_KEY]: message }, undefined, undefined, () => resolve()))
}

async function end (message: EntryMessage): Promise<never> {
  await tell(message)
  // Timers, connections and servers that the application left open end here.
  process.exit(0)
}

const task = JSON.parse(process.argv[2]!) as EntryTask
// Applications read their arguments: these are none of theirs.
process.argv.length = 2

// Without its parent, which may have been killed, nobody waits for the manifest. Not a reason to stay, though.
process.once('disconnect', () => process.exit(1))
process.channel!.unref()

// Frames of loaders and of Node come first, and are left out: with ten in all, none of the application might remain.
Error.stackTraceLimit = 50

listenOnLoopbackOnly()

let step: EntryStep = 'load'
// Nothing is left that could settle what is being awaited: waiting for the time limit would tell no more.
process.once('beforeExit', () => { void end(step === 'close' ? { type: 'closed' } : { type: 'failure', message: NEVER[step](task.shown) }) })

function onStep (next: EntryStep): void {
  step = next
  void tell({ type: 'step', step })
}

function failureOf (error: unknown): EntryFailure {
  if (error instanceof EntryError) return { type: 'failure', message: error.message }
  const { code, name, stack } = Object(error) as { code?: unknown, name?: unknown, stack?: unknown }
  return {
    type: 'failure',
    message: `${FAILED[step](task.shown)}\n\n${reportError(error)}`,
    ...(typeof code === 'string' ? { code } : {}),
    ...(step === 'load' && name === 'SyntaxError' && placeInText(String(stack)) === undefined ? { isUnlocated: true } : {})
  }
}

// Not awaited at the top level: Node would warn of that when the application never settles.
async function main (): Promise<void> {
  try {
    const application = await loadApplication(task, onStep)
    await tell({ type: 'manifest', manifest: application.manifest, unseen: application.unseen })
    onStep('close')
    try {
      await application.close()
    } catch (error) {
      await end({ type: 'closed', problem: reportError(error) })
    }
    await end({ type: 'closed' })
  } catch (error) {
    await end(failureOf(error))
  }
}

void main()
