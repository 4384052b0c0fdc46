import { createHash } from 'node:crypto'
import { open, stat, type FileHandle } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

/** Read at once, and the longest line: what is longer is cut. In bytes. */
const CHUNK_BYTES = 64 * 1024

const LF = 0x0a

export interface Line {
  text: string
  /** `<mark>.<offset>`: which file, and where in it the line ends. Opaque to clients. */
  position: string
}

export interface FollowOptions {
  signal: AbortSignal
  /** A position to go on from. One in another file is as good as none. */
  after?: string | undefined
  /** How many lines to begin with when there is no position. */
  lastLines: number
  /** How often the file is looked at, in milliseconds. */
  pollMs?: number | undefined
}

/**
 * The lines of a file, and those that are added to it, until the signal aborts. Only complete lines are given.
 *
 * Polls, because that works on every file system. Gives `'replaced'` when the file was truncated or another one has taken
 * its place, and then the lines of that one; also when `after` is a position in a file that is no longer there.
 */
export async function * followFile (
  path: string, { signal, after, lastLines, pollMs = 200 }: FollowOptions
): AsyncGenerator<Line | 'replaced', void, void> {
  let isFirst = true
  while (true) {
    const file = await openWhenThere(path, pollMs, signal)
    try {
      const mark = await markOf(file)
      if (mark !== null) {
        let offset = isFirst ? offsetIn(mark, after) : 0
        if (offset === null || offset > (await file.stat()).size) {
          if (after !== undefined) yield 'replaced'
          offset = await offsetOfLastLines(file, lastLines)
        } else if (!isFirst) {
          yield 'replaced'
        }
        isFirst = false
        while (true) {
          // Asked before reading: a file that was replaced has had its last line by then.
          const isReplaced = await isElsewhere(path, file)
          const { lines, end } = await readLines(file, offset)
          // Marked before the lines are given: they might be those of new content under the old offset.
          if (await markOf(file) !== mark) break
          for (const { text, offset } of lines) yield { text, position: `${mark}.${offset}` }
          if (end > offset) offset = end
          else if (isReplaced || (await file.stat()).size < offset) break
          else await sleep(pollMs, undefined, { signal })
        }
        continue
      }
    } finally {
      await file.close()
    }
    await sleep(pollMs, undefined, { signal })
  }
}

async function openWhenThere (path: string, pollMs: number, signal: AbortSignal): Promise<FileHandle> {
  while (true) {
    try {
      return await open(path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
    await sleep(pollMs, undefined, { signal })
  }
}

/** Whether the path now names another file, or none. */
async function isElsewhere (path: string, file: FileHandle): Promise<boolean> {
  const [named, opened] = await Promise.all([stat(path).catch(() => null), file.stat()])
  return named === null || named.ino !== opened.ino || named.dev !== opened.dev
}

/**
 * What tells this file from others: a digest of its first line, null while it has none. Inodes are used again, and a
 * file that is truncated keeps its own; two logs that begin with the same time hardly exist.
 */
async function markOf (file: FileHandle): Promise<string | null> {
  const bytes = await read(file, 0, 256)
  const end = bytes.indexOf(LF)
  if (end === -1 && bytes.length < 256) return null
  return createHash('sha256').update(end === -1 ? bytes : bytes.subarray(0, end)).digest('hex').slice(0, 12)
}

/** The offset of a position in the file with this mark; null for anything else, since the position comes from outside. */
function offsetIn (mark: string, position: string | undefined): number | null {
  const [, positionMark, offset] = /^([\da-f]{12})\.(\d{1,15})$/.exec(position ?? '') ?? []
  return positionMark === mark ? Number(offset) : null
}

async function offsetOfLastLines (file: FileHandle, lines: number): Promise<number> {
  const { size } = await file.stat()
  const start = Math.max(0, size - CHUNK_BYTES)
  const bytes = await read(file, start, size - start)
  // The end of the last complete line, and from there back over as many line ends.
  let at = bytes.lastIndexOf(LF)
  for (let n = 0; n < lines && at !== -1; n++) at = at === 0 ? -1 : bytes.lastIndexOf(LF, at - 1)
  if (at !== -1) return start + at + 1
  // Fewer lines than wanted. Within a large file the first of the chunk is a part of one.
  return start === 0 ? 0 : start + bytes.indexOf(LF) + 1
}

/** Complete lines from an offset on, each with the offset of its end, and where to read on. */
async function readLines (file: FileHandle, from: number): Promise<{ lines: Array<{ text: string, offset: number }>, end: number }> {
  const bytes = await read(file, from, CHUNK_BYTES)
  const lines = []
  let start = 0
  for (let end = bytes.indexOf(LF); end !== -1; end = bytes.indexOf(LF, start)) {
    lines.push({ text: bytes.toString('utf8', start, end), offset: from + end + 1 })
    start = end + 1
  }
  if (start === 0 && bytes.length === CHUNK_BYTES) {
    lines.push({ text: bytes.toString(), offset: from + CHUNK_BYTES })
    start = CHUNK_BYTES
  }
  return { lines, end: from + start }
}

async function read (file: FileHandle, position: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read({ buffer: Buffer.allocUnsafe(length), position })
  return buffer.subarray(0, bytesRead)
}
