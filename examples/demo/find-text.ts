import { readdir, readFile, stat } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** Where a search may look. A client chooses one by name and can name no path. */
const FOLDERS = {
  sources: ['lib', 'types', 'examples'],
  dependencies: ['node_modules']
}

const MAX_FILE_BYTES = 1 << 20
const MAX_TEXT = 200

export interface Match {
  /** Path from the project's folder on. */
  file: string
  line: number
  text: string
}

export interface FindOptions {
  where: keyof typeof FOLDERS
  ignoreCase: boolean
  signal: AbortSignal
}

/** Each line of the project's files that has `text` in it, and `'file-done'` after each file. */
export async function * findText (text: string, { where, ignoreCase, signal }: FindOptions): AsyncGenerator<Match | 'file-done', void, void> {
  const fold = ignoreCase ? (line: string) => line.toLowerCase() : (line: string) => line
  const wanted = fold(text)
  for (const folder of FOLDERS[where]) {
    for await (const path of filesIn(join(ROOT, folder), signal)) {
      const lines = (await readFile(path, { encoding: 'utf8', signal })).split('\n')
      for (const [n, line] of lines.entries()) {
        if (fold(line).includes(wanted)) yield { file: relative(ROOT, path), line: n + 1, text: excerpt(line, fold(line).indexOf(wanted)) }
      }
      yield 'file-done'
    }
  }
}

/** Text files below a folder, in order of name. Links are not followed: they could lead in circles. */
async function * filesIn (folder: string, signal: AbortSignal): AsyncGenerator<string, void, void> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => [])
  for (const entry of entries.sort((a, b) => a.name < b.name ? -1 : 1)) {
    signal.throwIfAborted()
    const path = join(folder, entry.name)
    if (entry.isDirectory()) yield * filesIn(path, signal)
    else if (entry.isFile() && /\.(?:[cm]?[jt]s|md|html|css)$/.test(entry.name) && (await stat(path)).size <= MAX_FILE_BYTES) yield path
  }
}

/** The part of a line that has the match in it: lines of minified files are long. */
function excerpt (line: string, at: number): string {
  const start = at > MAX_TEXT / 2 ? at - 40 : 0
  return line.slice(start, start + MAX_TEXT).trim()
}
