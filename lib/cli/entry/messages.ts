import type { Manifest } from '../../schema/manifest.js'

/** What the process that loads an entry is told, as JSON in its one argument. */
export interface EntryTask {
  /** The entry's absolute path. */
  readonly path: string
  /** The entry as its user named it, for messages. */
  readonly shown: string
}

/**
 * How far an application has come:
 *
 * - `load`: its module is being imported
 * - `call`: the function that the module exports is being called
 * - `ready`: `ready()` is being awaited
 * - `describe`: its manifest is being made
 * - `close`: `close()` is being awaited
 */
export type EntryStep = 'load' | 'call' | 'ready' | 'describe' | 'close'

/** What the process that loads an entry says. It ends by itself after `failure` and `closed`. */
export type EntryMessage =
  | { readonly type: 'step', readonly step: EntryStep }
  | { readonly type: 'manifest', readonly manifest: Manifest, readonly unseen: readonly string[] }
  | EntryFailure
  | { readonly type: 'closed', readonly problem?: string }

export interface EntryFailure {
  readonly type: 'failure'
  /** What was found and what to do, for a person. */
  readonly message: string
  /** The `code` of the error that the application threw. */
  readonly code?: string
  /** True for a syntax error that does not say in which file it is. */
  readonly isUnlocated?: true
}

/** The property under which a message is ours: an application may send messages to its parent process too. */
export const MESSAGE_KEY = 'fastify-typed-sse:entry'
