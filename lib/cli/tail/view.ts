import { painter, type Paint } from '../colours.js'
import type { CommandIO } from '../command.js'
import type { Verdict } from './check.js'
import { fit, printable, printableLines } from './text.js'

/** Most lines of one event's data on a terminal. */
const MAX_LINES = 40
/** Where a terminal does not tell its width, or one that nothing can be read in. */
const COLUMNS = 80
const MIN_COLUMNS = 20

/** An event as it is shown. */
export interface ShownEvent {
  readonly event: string
  readonly data: string
  /** Last event ID; empty while there is none. */
  readonly id: string
  readonly verdict: Verdict | undefined
}

/** What `tail` writes: events on stdout, all else on stderr. */
export interface View {
  event (event: ShownEvent): void
  /** A message: `kind` says how it is coloured. */
  tell (kind: 'note' | 'good' | 'warning' | 'error', text: string): void
  /** What to wait for before more is written to stdout; undefined when there is room. */
  room (): Promise<void> | undefined
}

/** @param isJSON one JSON object a line */
export function createView ({ stdout, stderr, env, signal }: CommandIO, isJSON: boolean): View {
  const paint = painter(stdout, env)
  const paintMessage = painter(stderr, env)
  let previousMs: number | undefined
  let previousId = ''
  let isFull = false

  function write (text: string): void {
    isFull = !stdout.write(text)
  }

  return {
    event (event) {
      const now = new Date()
      if (isJSON) write(`${jsonLine(event, now)}\n`)
      else {
        const since = previousMs === undefined ? '' : duration(now.getTime() - previousMs)
        const head = headOf(event, since, event.id === previousId ? '' : event.id, paint)
        const { isTTY, columns = 0 } = stdout
        write(isTTY === true
          ? onTerminal(event, `${clock(now)} ${head.text}`, head.width + 13, columns < MIN_COLUMNS ? COLUMNS : columns, paint)
          : onOneLine(event, `${now.toISOString()} ${head.text}`))
      }
      previousMs = now.getTime()
      previousId = event.id
    },
    tell (kind, text) {
      const colour = { note: 'dim', good: 'green', warning: 'yellow', error: 'red' } as const
      for (const line of text.split('\n')) stderr.write(`${paintMessage(colour[kind], `* ${printable(line)}`)}\n`)
    },
    room () {
      if (!isFull) return undefined
      return new Promise((resolve) => {
        const done = (): void => {
          isFull = false
          for (const name of ['drain', 'close', 'error']) stdout.off(name, done)
          signal.removeEventListener('abort', done)
          resolve()
        }
        for (const name of ['drain', 'close', 'error']) stdout.on(name, done)
        signal.addEventListener('abort', done)
      })
    }
  }
}

/** Time, type, ID and what is wrong, without the time of day. `width` is in columns. */
function headOf ({ event, verdict }: ShownEvent, since: string, id: string, paint: Paint): { text: string, width: number } {
  const parts: Array<[Parameters<Paint>[0], string]> = [
    ['dim', since.padStart(8)],
    [verdict?.isDeclared === false ? 'yellow' : event.startsWith('sse.') ? 'yellow' : 'cyan', printable(event)]
  ]
  if (id !== '') parts.push(['dim', `#${printable(id)}`])
  if (verdict?.isDeclared === false) parts.push(['yellow', '(undeclared)'])
  if (verdict?.problem !== undefined) parts.push(['red', `INVALID: ${printable(verdict.problem)}`])
  return { text: parts.map(([colour, text]) => paint(colour, text)).join(' '), width: parts.reduce((sum, [, text]) => sum + text.length + 1, 0) }
}

/** Data beside the head when there is room, and below it otherwise: JSON indented, lines cut to the width. */
function onTerminal ({ data, verdict }: ShownEvent, head: string, width: number, columns: number, paint: Paint): string {
  if (data === '') return `${head}\n`
  const lines = printableLines(data)
  if (lines.length === 1 && width + lines[0]!.length < columns && verdict?.problem === undefined) return `${head} ${lines[0]}\n`
  const all = verdict?.isText === true ? lines : indented(data)?.map(printable) ?? lines
  const shown = all.slice(0, MAX_LINES).map((line) => `  ${fit(line, columns - 2)}`)
  if (all.length > MAX_LINES) shown.push(paint('dim', `  … ${all.length - MAX_LINES} more lines; --json shows all`))
  return `${[head, ...shown].join('\n')}\n`
}

function indented (data: string): string[] | undefined {
  try {
    return JSON.stringify(JSON.parse(data), null, 2).split('\n')
  } catch {
    return undefined
  }
}

/** For files and pipes: one event a line, whole. */
function onOneLine ({ data }: ShownEvent, head: string): string {
  return `${head}${data === '' ? '' : ` ${printable(data)}`}\n`
}

function jsonLine ({ event, data, id, verdict }: ShownEvent, time: Date): string {
  const members = [`"time":${JSON.stringify(time)}`, `"event":${JSON.stringify(event)}`]
  if (id !== '') members.push(`"id":${JSON.stringify(id)}`)
  members.push(`"data":${verdict?.isText === true || !isJSON(data) ? JSON.stringify(data) : onOneLineOfJSON(data)}`)
  if (verdict?.isDeclared === false) members.push('"undeclared":true')
  if (verdict?.problem !== undefined) members.push(`"invalid":${JSON.stringify(verdict.problem)}`)
  // What a terminal would act upon is within strings alone, where it may be escaped.
  return printable(`{${members.join()}}`)
}

function isJSON (text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** As it came, so that large numbers stay what they are. A line end or tab of JSON is never within a string. */
function onOneLineOfJSON (text: string): string {
  return text.replace(/[\t\r\n]+/g, ' ').trim()
}

function clock (date: Date): string {
  const two = (number: number, length = 2): string => String(number).padStart(length, '0')
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${two(date.getMilliseconds(), 3)}`
}

/** A time span in words that fit eight columns: `+12ms`, `+3.4s`, `+5m06s`, `+2h05m`. */
export function duration (ms: number): string {
  const seconds = Math.floor(ms / 1000)
  if (ms < 1000) return `+${Math.max(0, Math.round(ms))}ms`
  if (ms < 60_000) return `+${(ms / 1000).toFixed(1)}s`
  if (ms < 3_600_000) return `+${Math.floor(seconds / 60)}m${String(seconds % 60).padStart(2, '0')}s`
  return `+${Math.floor(seconds / 3600)}h${String(Math.floor(seconds / 60) % 60).padStart(2, '0')}m`
}
