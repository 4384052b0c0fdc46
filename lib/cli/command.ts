import type { Writable } from 'node:stream'

/** What a command is given of the world. */
export interface CommandIO {
  /** Results, and nothing else. */
  readonly stdout: Writable & { readonly isTTY?: boolean, readonly columns?: number }
  /** Messages: what is done, what is wrong. */
  readonly stderr: Writable & { readonly isTTY?: boolean }
  /** Where relative paths begin. */
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** Aborts at Ctrl-C (SIGINT) and SIGTERM: the command ends in order. */
  readonly signal: AbortSignal
}

/** One command of `fastify-typed-sse`. */
export interface Command {
  /** How it is called. */
  readonly name: string
  /** One line for the list of commands. */
  readonly summary: string
  /** What `--help` prints: usage, arguments, options, exit codes, examples. */
  readonly help: string
  /**
   * Does it.
   *
   * @param args what stands after the command's name; `--help` has been looked for already
   * @returns the exit code: `0` done, `1` the answer is no (stale files, breaking changes, a stream that failed)
   * @throws UserError for what its user can mend; anything else is a bug and shown with its stack
   */
  run (args: readonly string[], io: CommandIO): Promise<number>
}

/** Something that the one who typed the command can mend: printed as one message on stderr, without a stack. */
export class UserError extends Error {
  override readonly name = 'UserError'
  /** `2` for a command line that cannot be understood, `1` for everything else. */
  readonly exitCode: number

  /** @param message what was found, and what to do about it */
  constructor (message: string, exitCode: 1 | 2 = 1, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.exitCode = exitCode
  }
}
