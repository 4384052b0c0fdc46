#!/usr/bin/env node
import { constants } from 'node:os'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Writable } from 'node:stream'
import { nearest } from '../errors.js'
import { UserError, type Command, type CommandIO } from './command.js'
import { findPackage } from './project.js'

/** How long a command may take to end in order after Ctrl-C. A second Ctrl-C does not wait. */
const INTERRUPT_MS = 3_000

// Each is imported when it is asked for: none should pay for what another one needs.
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  generate: async () => (await import('./generate.js')).generate,
  diff: async () => (await import('./diff.js')).diff,
  tail: async () => (await import('./tail/tail.js')).tail
}

async function main (args: readonly string[], io: CommandIO): Promise<number> {
  const [first, ...rest] = args
  if (first === undefined) {
    io.stderr.write(await overview())
    return 2
  }
  if (first === '--help' || first === '-h' || (first === 'help' && rest.length === 0)) {
    io.stdout.write(await overview())
    return 0
  }
  if (first === '--version' || first === '-v') {
    io.stdout.write(`${version()}\n`)
    return 0
  }
  if (first === 'help') return await main([rest[0]!, '--help'], io)

  const load = Object.hasOwn(COMMANDS, first) ? COMMANDS[first] : undefined
  if (load === undefined) {
    const names = first.startsWith('-') ? ['--help', '--version'] : Object.keys(COMMANDS)
    const near = nearest(first, names)
    throw new UserError(`There is no ${first.startsWith('-') ? 'option' : 'command'} ${first}.${near === undefined ? '' : ` Did you mean ${near}?`}\n` +
      'See: fastify-typed-sse --help', 2)
  }
  const command = await load()
  if (asksForHelp(rest)) {
    io.stdout.write(command.help)
    return 0
  }
  return await command.run(rest, io)
}

function asksForHelp (args: readonly string[]): boolean {
  const end = args.indexOf('--')
  const options = end === -1 ? args : args.slice(0, end)
  return options.includes('--help') || options.includes('-h')
}

async function overview (): Promise<string> {
  const commands = await Promise.all(Object.values(COMMANDS).map((load) => load()))
  const width = Math.max(...commands.map(({ name }) => name.length))
  return `Usage: fastify-typed-sse <command> [options]

Typed clients, documents and checks from the event streams of a Fastify
application, and a look at what a stream sends.

Commands:
${commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`).join('\n')}

Options:
  --help     Show this text; after a command, all about it.
  --version  Show the version.

Exit codes:
  0  done
  1  it cannot be done, or the answer is no
  2  the command line cannot be understood
  130  interrupted by Ctrl-C
  141  nobody reads the output any more, as in | head

Examples:
  fastify-typed-sse generate src/app.ts --out src/generated
  fastify-typed-sse generate --help
`
}

function version (): string {
  return String(findPackage(dirname(fileURLToPath(import.meta.url)))?.json['version'] ?? 'unknown')
}

/** Runs the command line. @returns the exit code */
async function run (): Promise<number> {
  const interruption = new AbortController()
  let interruptedBy: 'SIGINT' | 'SIGTERM' = 'SIGINT'
  const codeOf = (): number => 128 + constants.signals[interruptedBy]
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      if (interruption.signal.aborted) process.exit(codeOf())
      interruptedBy = name
      setTimeout(() => process.exit(codeOf()), INTERRUPT_MS).unref()
      interruption.abort()
    })
  }
  const { stdout, stderr, env } = process
  const io: CommandIO = { stdout, stderr, env, cwd: process.cwd(), signal: interruption.signal }
  try {
    return await main(process.argv.slice(2), io)
  } catch (error) {
    if (interruption.signal.aborted) return codeOf()
    if (error instanceof UserError) {
      stderr.write(`${error.message}\n`)
      return error.exitCode
    }
    stderr.write(`This is a fault of fastify-typed-sse ${version()}, on Node ${process.versions.node}. Please report it, with what follows.\n\n` +
      `${error instanceof Error ? error.stack ?? String(error) : String(error)}\n`)
    return 1
  }
}

/** Until what has been written is out: a pipe takes what it can, and exiting drops the rest. */
function flush (stream: Writable): Promise<void> {
  return new Promise((resolve) => { stream.write('', () => resolve()) })
}

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  // The reader has what it wanted, as in `| head`: what other programs die of then, and no success, since the answer may have been no.
  process.exit(128 + (constants.signals.SIGPIPE ?? 13))
})
process.stderr.on('error', (error: NodeJS.ErrnoException) => {
  // Nobody is left to read what would be said; the exit code still says it.
  if (error.code !== 'EPIPE') throw error
})

const exitCode = await run()
await flush(process.stdout)
await flush(process.stderr)
process.exit(exitCode)
