import { relative, isAbsolute } from 'node:path'
import { fileURLToPath } from 'node:url'
import { show } from '../errors.js'

/** Frames beyond this many are rather the way there than the place. */
const MAX_FRAMES = 8

/** Causes of causes that are told; a chain may be a circle. */
const MAX_CAUSES = 5

const OWN_FILES = fileURLToPath(new URL('../', import.meta.url))

/**
 * An error of an application as text for the one who wrote the application: name, code, message, the frames in files of
 * theirs, the place of a syntax error, and the causes. Indented by two spaces. Paths are relative to the working directory.
 */
export function reportError (error: unknown): string {
  const lines: string[] = []
  let current = error
  for (let depth = 0; depth <= MAX_CAUSES && current !== undefined; depth++) {
    const intro = depth === 0 ? '' : 'Caused by: '
    if (!(current instanceof Error)) {
      lines.push(`${intro}${show(current)} (thrown as it is, so nothing says where)`)
      break
    }
    lines.push(intro + headOf(current), ...framesOf(current))
    const place = placeOf(current)
    if (place !== undefined) lines.push('', place)
    current = current.cause
  }
  return indent(lines.join('\n'))
}

/** Each line that is not empty, two spaces further in. */
export function indent (text: string): string {
  return text.replace(/^(?=.)/gm, '  ')
}

/**
 * Where a syntax error is, of a text in which Node puts that before the error: file, line, and marks below it.
 *
 * @returns undefined when the text begins with the error
 */
export function placeInText (text: string): string | undefined {
  const end = /^\w*Error\b/m.exec(text)?.index
  if (end === undefined || end === 0) return undefined
  const place = text.slice(0, end).trimEnd()
  return place === '' ? undefined : place.replace(/^(.+?):(\d+)$/m, (_all, file: string, line: string) => `${shortPath(file)}:${line}`)
}

function placeOf (error: Error): string | undefined {
  return error.name === 'SyntaxError' ? placeInText(stackOf(error)) : undefined
}

function headOf (error: Error): string {
  const { code } = error as { code?: unknown }
  const mark = typeof code === 'string' && !error.message.includes(code) ? ` [${code}]` : ''
  // The files through which CommonJS came to a missing module include ours; the frames say it better.
  const message = error.message.replace(/\nRequire stack:\n(- .*\n?)*/, '')
  return `${error.name}${mark}: ${message}`
}

function framesOf (error: Error): string[] {
  const frames: string[] = []
  for (const line of stackOf(error).split('\n')) {
    const frame = /^\s+at (?:(.*) \()?((?:file:|\/|[A-Za-z]:[\\/])[^()]*?)(?:\?[^:]*)?(:\d+:\d+)\)?$/.exec(line)
    if (frame === null) continue
    const [, callee, file, position] = frame
    const path = pathOf(file!)
    if (path.startsWith(OWN_FILES) || /[\\/]node_modules[\\/]/.test(path)) continue
    // A module's own level is called `<anonymous>` by some loaders and nothing by others.
    const named = callee === undefined || callee === '<anonymous>' || callee === 'Object.<anonymous>' ? '' : callee
    frames.push(named === '' ? `    at ${shortPath(file!)}${position!}` : `    at ${named} (${shortPath(file!)}${position!})`)
    if (frames.length === MAX_FRAMES) break
  }
  return frames
}

function stackOf (error: Error): string {
  return typeof error.stack === 'string' ? error.stack : ''
}

function pathOf (file: string): string {
  try {
    return file.startsWith('file:') ? fileURLToPath(file) : file
  } catch {
    return file
  }
}

function shortPath (file: string): string {
  const path = pathOf(file)
  if (!isAbsolute(path)) return path
  const short = relative(process.cwd(), path)
  return short.startsWith('..') || isAbsolute(short) ? path : short
}
