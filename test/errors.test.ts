import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { ERROR_STATUS, nearest, show, SSEError, StreamClosedError } from '../lib/errors.js'

const ROOT = fileURLToPath(new URL('../', import.meta.url))
const CODES = Object.keys(ERROR_STATUS)

/** The rows of ERRORS.md whose first cell is a code: code and status (null for «–»). */
function documented (): Array<[code: string, status: number | null]> {
  const rows = readFileSync(`${ROOT}ERRORS.md`, 'utf8').split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) => line.split(/(?<!\\)\|/).slice(1, -1).map((cell) => cell.trim()))
  const column = rows.find((cells) => cells[0] === 'Code')?.indexOf('Status') ?? -1
  return rows.flatMap((cells) => {
    const code = /^`(FST_SSE_\w+)`$/.exec(cells[0] ?? '')?.[1]
    if (code === undefined) return []
    const status = cells[column] ?? ''
    return [[code, status === '–' ? null : Number(status)]]
  })
}

function sourcesBelow (dir: string): string[] {
  return readdirSync(`${ROOT}${dir}`, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts')).map((path) => `${dir}/${path}`)
}

t.test('every code is documented once, with its status, and nothing is documented that does not exist', async (t) => {
  const rows = documented()
  t.strictSame(rows.map(([code]) => code).sort(), [...CODES].sort())
  t.strictSame(Object.fromEntries(rows), ERROR_STATUS)
})

t.test('no document and no comment names a code that does not exist', async (t) => {
  const files = [...readdirSync(ROOT).filter((name) => name.endsWith('.md')), ...sourcesBelow('lib'), ...sourcesBelow('types')]
  const named = files.flatMap((file) =>
    (readFileSync(`${ROOT}${file}`, 'utf8').match(/\bFST_SSE_[A-Z_]+\b/g) ?? []).map((code) => ({ file, code })))
  t.strictSame(named.filter(({ code }) => !CODES.includes(code)), [])
})

t.test('every code is raised somewhere', async (t) => {
  const raised = new Set(sourcesBelow('lib').flatMap((file) =>
    [...readFileSync(`${ROOT}${file}`, 'utf8').matchAll(/'(FST_SSE_[A-Z_]+)'/g)].map((match) => match[1]!)))
  t.strictSame(CODES.filter((code) => !raised.has(code)), [])
})

t.test('an error has its code, the status that belongs to it, its fields and its cause', async (t) => {
  const cause = new Error('origin')
  const error = new SSEError('FST_SSE_NOT_ACCEPTABLE', 'what was found', { accept: 'text/html' }, cause)
  t.ok(error instanceof Error)
  t.strictSame({ ...error }, { name: 'SSEError', code: 'FST_SSE_NOT_ACCEPTABLE', statusCode: 406, accept: 'text/html' })
  t.equal(error.message, 'what was found')
  t.equal(error.cause, cause)
  t.notOk('cause' in new SSEError('FST_SSE_NOT_ACCEPTABLE', 'without'))
})

t.test('a field may give an error another status than that of its code', async (t) => {
  t.equal(new SSEError('FST_SSE_LIMIT_REACHED', 'for one key', { statusCode: 429 }).statusCode, 429)
})

t.test('the reason of a stream that is over has the name of other aborts', async (t) => {
  const error = new StreamClosedError('client-left')
  t.ok(error instanceof SSEError)
  t.strictSame({ name: error.name, code: error.code, message: error.message }, {
    name: 'AbortError',
    code: 'FST_SSE_STREAM_CLOSED',
    message: 'The event stream is over (client-left). Stop the source when its signal aborts.'
  })
})

t.test('a value in a message is one line of at most 80 characters', async (t) => {
  const circular: { self?: unknown } = {}
  circular.self = circular
  for (const [value, shown] of [
    ['a\nb', '"a\\nb"'],
    [undefined, 'undefined'],
    [10n, '10'],
    [Symbol('s'), 'Symbol(s)'],
    [function named () {}, 'function named'],
    [circular, '[object Object]'],
    [{ a: [1, null] }, '{"a":[1,null]}'],
    ['x'.repeat(78), `"${'x'.repeat(78)}"`],
    ['x'.repeat(79), `"${'x'.repeat(76)}...`]
  ] as const) {
    t.equal(show(value), shown)
  }
  t.doesNotThrow(() => show(Object.create(null)))
  const nasty = Object.assign(Object.create(null), { toJSON: () => { throw new Error('mine') } })
  t.doesNotThrow(() => show(nasty), 'an object that can be made into neither JSON nor a string')
})

t.test('a name is proposed for one that is misspelt, and none for one that is not like any', async (t) => {
  const known = ['heartbeatMs', 'maxAgeMs', 'drain']
  t.equal(nearest('hartbeatMs', known), 'heartbeatMs')
  t.equal(nearest('HEARTBEATMS', known), 'heartbeatMs')
  t.equal(nearest('drian', known), undefined)
  t.equal(nearest('drainn', known), 'drain')
  t.equal(nearest('validation', known), undefined)
  t.equal(nearest('', known), undefined)
})
