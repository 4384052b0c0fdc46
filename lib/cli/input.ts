import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { addAbortSignal } from 'node:stream'
import { readManifest } from '../documents/read-manifest.js'
import { SSEError } from '../errors.js'
import type { Manifest } from '../schema/manifest.js'
import { UserError, type CommandIO } from './command.js'

/**
 * The bytes of a file, or with `-` of standard input.
 *
 * @throws UserError for a file that cannot be read
 */
export async function readInput (path: string, { cwd, signal }: CommandIO): Promise<Uint8Array> {
  try {
    if (path !== '-') return await readFile(resolve(cwd, path), { signal })
    const chunks: Uint8Array[] = []
    for await (const chunk of addAbortSignal(signal, process.stdin)) chunks.push(chunk as Uint8Array)
    return Buffer.concat(chunks)
  } catch (error) {
    if (signal.aborted) throw error
    const { code, message } = error as NodeJS.ErrnoException
    const reason = code === 'ENOENT' ? 'There is no file' : code === 'EISDIR' ? 'This is a directory and no file:' : `${message}:`
    throw new UserError(`${reason} ${nameOf(path)}`, 1, error)
  }
}

/**
 * A manifest from a file, or with `-` from standard input.
 *
 * @throws UserError for what is no manifest
 */
export async function readManifestFile (path: string, io: CommandIO): Promise<Manifest> {
  const text = textOf(await readInput(path, io))
  if (text.trim() === '') throw new UserError(`${nameOf(path)} is empty. Write a manifest with: fastify-typed-sse generate <entry> --format manifest`)
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (error) {
    throw new UserError(`${nameOf(path)} is not JSON: ${(error as Error).message}. Write a manifest with: fastify-typed-sse generate <entry> --format manifest`, 1, error)
  }
  try {
    return readManifest(json, nameOf(path))
  } catch (error) {
    if (error instanceof SSEError) throw new UserError(error.message, 1, error)
    throw error
  }
}

/** A shell may have written it: PowerShell's `>` gives UTF-16, or a byte order mark. */
function textOf (bytes: Uint8Array): string {
  return new TextDecoder(bytes[0] === 0xFF && bytes[1] === 0xFE ? 'utf-16le' : 'utf-8').decode(bytes)
}

function nameOf (path: string): string {
  return path === '-' ? 'Standard input' : path
}
