// Whole outputs: what a person, a file or a program gets of a stream. Times of day are masked, time spans too.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { Type } from '@sinclair/typebox'
import t, { type Test } from 'tap'
import { UserError, type CommandIO } from '../../lib/cli/command.js'
import { tail } from '../../lib/cli/tail/tail.js'
import { defineEvents, text } from '../../lib/index.js'
import type { Manifest } from '../../lib/schema/manifest.js'
import { pinRandom, serveRaw, stopTime, type RawRequest } from '../client/servers.js'
import { createApp, listen } from '../support/app.js'
import { until } from '../support/sources.js'

interface Terminal { isTTY?: boolean, columns?: number, env?: Record<string, string>, signal?: AbortSignal, cwd?: string }

class Sink extends Writable {
  text = ''
  isTTY?: boolean
  columns?: number
  override _write (chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString()
    done()
  }
}

/** A run of the command in this process. */
class Run {
  readonly stdout = new Sink()
  readonly stderr = new Sink()
  readonly code: Promise<number>

  constructor (args: readonly string[], { isTTY, columns, env = {}, signal, cwd }: Terminal) {
    if (isTTY) Object.assign(this.stdout, { isTTY, columns })
    if (isTTY) Object.assign(this.stderr, { isTTY })
    const io: CommandIO = { stdout: this.stdout, stderr: this.stderr, cwd: cwd ?? process.cwd(), env, signal: signal ?? new AbortController().signal }
    this.code = tail.run(args, io)
  }

  /** Exit code, and both outputs without what differs from run to run. */
  async result (): Promise<{ code: number, out: string, err: string }> {
    const code = await this.code
    return { code, out: masked(this.stdout.text), err: masked(this.stderr.text) }
  }
}

function masked (output: string): string {
  return output
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g, 'TIME')
    .replace(/\d\d:\d\d:\d\d\.\d{3}/g, 'TIME')
    .replace(/ *\+[\d.hms]+ /g, ' +SPAN ')
    .replace(/127\.0\.0\.1:\d+/g, 'HOST')
    .replace(/after \d[\d.hms]*/g, 'after SPAN')
}

function run (args: readonly string[], terminal: Terminal = {}): Run {
  return new Run(args, terminal)
}

const event = { format: 'json', schema: true } as const
const controlEvents = { 'sse.gap': event, 'sse.end': event, 'sse.fault': event }

/** Writes a manifest with one stream and gives its path. */
function manifestFile (t: Test, streams: Manifest['streams']): string {
  const path = join(t.testdir(), 'manifest.json')
  writeFileSync(path, JSON.stringify({ manifest: 1, streams, controlEvents } satisfies Manifest))
  return path
}

t.test('the usage of the command is part of its contract', async (t) => {
  t.matchOnly(tail.help, /^Usage: fastify-typed-sse tail <url>[^]*Options:[^]*Exit codes:\n {2}0 [^]*Examples:/)
  t.strictSame(tail.help.split('\n').filter((line) => line.length > 80), [])
})

t.test('events of a Fastify route are one line each in a pipe, and the end of the stream is in order', async (t) => {
  const { app } = await createApp(t)
  const events = defineEvents({ created: Type.Object({ n: Type.Integer() }), note: text() })
  app.get('/orders/:id', { schema: { events } }, (_request, reply) => reply.sse([
    { event: 'created', data: { n: 1 }, id: '1' }, { event: 'note', data: 'two\nlines' }, { event: 'created', data: { n: 2 }, id: '2' }
  ]))
  const { origin } = await listen(app)
  const { code, out, err } = await run([`${origin.slice('http://'.length)}/orders/7`]).result()
  t.equal(out, `TIME          created #1 {"n":1}
TIME +SPAN note two\\nlines
TIME +SPAN created #2 {"n":2}
TIME +SPAN sse.end #sse.end null
`)
  t.equal(err, `* connecting: GET http://HOST/orders/7
* connected
* over: the server has ended the stream
`)
  t.equal(code, 0)
})

t.test('--json writes one object a line: data as it came, and nothing that a terminal would act upon', async (t) => {
  const server = await serveRaw(t, (request) => request.open(
    'event: a\nid: 1\ndata: {"n": 12345678901234567890,\ndata: "s": "\u009B31m\u202E"}\n\n', 'data: [DONE]\n\n', 'event: \u001B[2J\ndata: "x"\n\n', 'event: sse.end\ndata: null\n\n'))
  const { code, out } = await run([server.origin, '--json']).result()
  t.equal(out, `{"time":"TIME","event":"a","id":"1","data":{"n": 12345678901234567890, "s": "\\u009b31m\\u202e"}}
{"time":"TIME","event":"message","id":"1","data":"[DONE]"}
{"time":"TIME","event":"\\u001b[2J","id":"1","data":"x"}
{"time":"TIME","event":"sse.end","id":"1","data":null}
`)
  t.strictSame(out.trim().split('\n').map((line) => Object.keys(JSON.parse(line)).join()), Array(4).fill('time,event,id,data'))
  t.equal(code, 0)
})

t.test('on a terminal long data stands below its head, indented and cut to the width; short data beside it', async (t) => {
  const server = await serveRaw(t, (request) => request.open(
    'event: short\ndata: {"n":1}\n\n',
    `event: long\nid: 5\ndata: ${JSON.stringify({ name: 'x'.repeat(60), wide: '漢'.repeat(30), list: [1] })}\n\n`,
    'event: text\ndata: first\ndata: \tsecond\n\n',
    'event: empty\ndata\n\n',
    `event: many\ndata: ${JSON.stringify(Array(50).fill(0))}\n\n`,
    'event: sse.end\ndata: null\n\n'))
  const { out } = await run([server.origin], { isTTY: true, columns: 50, env: { NO_COLOR: '1' } }).result()
  t.equal(out, `TIME          short {"n":1}
TIME +SPAN long #5
  {
    "name": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
    "wide": "漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢…
    "list": [
      1
    ]
  }
TIME +SPAN text
  first
    second
TIME +SPAN empty
TIME +SPAN many
  [
${'    0,\n'.repeat(39)}  … 12 more lines; --json shows all
TIME +SPAN sse.end null
`)
})

t.test('a terminal that does not tell its width has 80 columns', async (t) => {
  const server = await serveRaw(t, (request) => request.open(`data: ${'x'.repeat(100)}\n\n`, 'event: sse.end\ndata: null\n\n'))
  const { out } = await run([server.origin], { isTTY: true, columns: 0, env: { NO_COLOR: '1' } }).result()
  t.equal(out, `TIME          message\n  ${'x'.repeat(77)}…\nTIME +SPAN sse.end null\n`)
})

t.test('silence is told, in time to see it before the connection is made anew', async (t) => {
  const clock = stopTime(t)
  const server = await serveRaw(t, (request, { requests }) => {
    request.openWith({ 'sse-heartbeat': '1000' }, ': sse-heartbeat: 1000\n\n', 'retry: 100\n\n')
    if (requests.length === 1) request.chunks('event: a\nid: 1\ndata: 1\n\n')
  })
  const interruption = new AbortController()
  const running = run([server.origin], { signal: interruption.signal })
  await until(() => running.stdout.text !== '')
  pinRandom(t, 0)
  clock.tick(2_300)
  await until(() => running.stderr.text.includes('silent'))
  clock.tick(3_000)
  await until(() => running.stderr.text.includes('again in'))
  clock.tick(100)
  await until(() => running.stderr.text.includes('connected again'))
  interruption.abort()
  t.strictSame(await running.result(), {
    code: 0,
    out: 'TIME          a #1 1\n',
    err: `* connecting: GET http://HOST/
* connected
* silent: more than 1.5s without a byte
* nothing has come for too long: connecting again in 100ms, from #1
* connected again, after SPAN
`
  })
})

t.test('colours are used on a terminal, not with NO_COLOR, and elsewhere with FORCE_COLOR', async (t) => {
  const server = await serveRaw(t, (request) => request.open('event: tick\nid: 1\ndata: 1\n\n', 'event: sse.end\ndata: null\n\n'))
  const first = async (terminal: Terminal): Promise<string> => (await run([server.origin], terminal).result()).out.split('\n')[0]!
  const coloured = 'TIME \u001B[2m        \u001B[22m \u001B[36mtick\u001B[39m \u001B[2m#1\u001B[22m 1'
  t.equal(await first({ isTTY: true, columns: 80 }), coloured)
  t.equal(await first({ isTTY: true, columns: 80, env: { NO_COLOR: '1' } }), 'TIME          tick #1 1')
  t.equal(await first({ isTTY: true, columns: 80, env: { TERM: 'dumb' } }), 'TIME          tick #1 1')
  t.equal(await first({ env: { FORCE_COLOR: '1' } }), coloured)
  t.equal(await first({ env: { FORCE_COLOR: '1', NO_COLOR: '1' } }), 'TIME          tick #1 1')
})

t.test('what a hostile server sends reaches no terminal raw, in whatever part of the stream', async (t) => {
  const evil = '\u001B]0;owned\u0007\u001B[2J\u009B31m\u202E\u2028\u0000\b\u007F'
  const server = await serveRaw(t, (request) => {
    if (request.url === '/refused') return request.respond(500, { 'content-type': 'text/plain' }, evil)
    request.open(Buffer.from(`: ${evil}\nevent: ${evil}\nid: ${evil.replace('\0', '')}\ndata: ${evil}\n\nevent: x\ndata: {"a":"${evil}","b":"${'y'.repeat(100)}"}\n\n`),
      Buffer.from([0x64, 0x61, 0x74, 0x61, 0x3a, 0xff, 0xfe, 0x9b, 0x0a, 0x0a]), `event: sse.fault\ndata: {"code":"${evil}","message":"${evil}"}\n\n`)
  })
  for (const [path, flags, terminal] of [['/', [], { isTTY: true, columns: 60 }], ['/', ['--comments'], {}], ['/', ['--json'], {}], ['/refused', [], { isTTY: true, columns: 60 }]] as Array<[string, string[], Terminal]>) {
    const { stdout, stderr, code } = run([server.origin + path, ...flags], { ...terminal, env: { NO_COLOR: '1' } })
    t.equal(await code, 1)
    // eslint-disable-next-line no-control-regex -- what is looked for
    t.strictSame((stdout.text + stderr.text).match(/[\u0000-\u0009\u000B-\u001F\u007F-\u009F\u2028\u202E]/g), null, [path, ...flags].join(' '))
  }
  const { stdout } = run([server.origin])
  await until(() => stdout.text.includes('message'))
  t.match(masked(stdout.text).split('\n')[0], 'TIME          \\u001b]0;owned\\u0007\\u001b[2J\\u009b31m\\u202e\\u2028\\u0000\\u0008\\u007f #\\u001b]0;owned')
})

t.test('reconnects are told with reason, delay and place, and gaps are shown', async (t) => {
  pinRandom(t, 0)
  const gap = 'event: sse.gap\nid: 9\ndata: {"reason":"evicted","requested":"2","resumedAt":"9"}\n\n'
  const server = await serveRaw(t, (request, { requests }) => {
    if (requests.length === 1) {
      request.open('retry: 100\n\n', 'event: n\nid: 2\ndata: 1\n\n')
      request.end()
    } else if (requests.length === 2) request.respond(503, { 'content-type': 'text/plain' }, 'busy')
    else request.open(gap, ':\n\n', 'event: sse.end\ndata: null\n\n')
  })
  const { code, out, err } = await run([server.origin, '--comments']).result()
  t.strictSame(server.requests.map(({ lastEventId }) => lastEventId), [undefined, '2', '2'])
  t.equal(out, `TIME          n #2 1
TIME +SPAN sse.gap #9 {"reason":"evicted","requested":"2","resumedAt":"9"}
TIME +SPAN sse.end null
`)
  t.equal(err, `* connecting: GET http://HOST/
* connected
* the response ended: connecting again in 100ms, from #2
* the server answered 503: connecting again in 100ms, attempt 2, from #2
* connected again, after SPAN
* comment
* over: the server has ended the stream
`)
  t.equal(code, 0)
})

t.test('--no-reconnect and --count stop, and --event shows what is asked for, but tells of gaps', async (t) => {
  const gap = 'event: sse.gap\ndata: {"reason":"epoch"}\n\n'
  const server = await serveRaw(t, (request) => {
    request.open('event: a\ndata: 1\n\n', 'event: b\ndata: 2\n\n', gap, 'data: 3\n\n', 'event: a\ndata: 4\n\n', 'event: a\ndata: 5\n\n')
    if (request.url === '/short') request.end()
  })
  const counted = await run([server.origin, '--event', 'a', '--event', 'message', '--count', '3']).result()
  t.strictSame(counted, {
    code: 0,
    out: 'TIME          a 1\nTIME +SPAN message 3\nTIME +SPAN a 4\n',
    err: '* connecting: GET http://HOST/\n* connected\n* sse.gap {"reason":"epoch"}\n'
  })
  await server.requests[0]!.closed
  const short = await run([`${server.origin}/short`, '--event=b', '--no-reconnect']).result()
  t.strictSame(short, {
    code: 0,
    out: 'TIME          b 2\n',
    err: '* connecting: GET http://HOST/short\n* connected\n* sse.gap {"reason":"epoch"}\n* the response ended\n'
  })
})

t.test('a fault of the source, and a connection that is cut for good, fail the command', async (t) => {
  const server = await serveRaw(t, (request) => {
    request.open('event: a\ndata: 1\n\n')
    if (request.url === '/fault') request.chunks('event: sse.fault\ndata: {"code":"FST_SSE_SOURCE_FAILED","message":"Internal error"}\n\n')
    else request.reset()
  })
  const fault = await run([`${server.origin}/fault`]).result()
  t.equal(fault.code, 1)
  t.equal(fault.out, 'TIME          a 1\nTIME +SPAN sse.fault {"code":"FST_SSE_SOURCE_FAILED","message":"Internal error"}\n')
  t.equal(fault.err, '* connecting: GET http://HOST/fault\n* connected\n* sse.fault FST_SSE_SOURCE_FAILED: Internal error\n')
  t.equal((await run([`${server.origin}/cut`, '--no-reconnect']).result()).code, 1)
})

t.test('a first attempt that fails ends the command, with a hint', async (t) => {
  const server = await serveRaw(t, (request) => {
    const answers: Record<string, [status: number, type: string, body: string]> = {
      '/401': [401, 'application/json', '{"message":"no token"}'],
      '/404': [404, 'text/html', '<h1>Not Found</h1>'],
      '/405': [405, 'text/plain', ''],
      '/503': [503, 'text/plain', 'later'],
      '/page': [200, 'text/html; charset=utf-8', '<!doctype html>'],
      '/json': [200, 'application/json', '{"a":1}']
    }
    const [status, type, body] = answers[request.url]!
    request.respond(status, { 'content-type': type }, body)
  })
  const closed = await serveRaw(t)
  const cases: Array<[path: string, told: string]> = [
    ['/401', '* the server answered 401\n* {"message":"no token"}\n* The stream wants to know who asks: --header "Authorization: Bearer …", or --header "Cookie: …"\n'],
    ['/404', '* the server answered 404\n* There is no such route. Check the path, with the prefix of the server, and --method.\n'],
    ['/405', '* the server answered 405\n* The route has another method: --method POST\n'],
    ['/503', '* the server answered 503\n* later\n'],
    ['/page', '* the answer is no event stream, but text/html; charset=utf-8\n* This is a web page. Is it the URL of the stream, and not of a page, a login or a fallback to index.html?\n'],
    ['/json', '* the answer is no event stream, but application/json\n* {"a":1}\n* The route has answered, but not with a stream. Does it stream for this request?\n']
  ]
  for (const [path, told] of cases) {
    t.strictSame(await run([server.origin + path]).result(), { code: 1, out: '', err: `* connecting: GET http://HOST${path}\n${told}` })
  }
  t.equal(closed.requests.length, 0)
})

t.test('where nothing listens the command fails at once', async (t) => {
  const { port } = await new Promise<{ port: number }>((resolve) => {
    t.test('a port that was free', async (t) => { resolve(await serveRaw(t)) }).catch(() => {})
  })
  await until(() => true)
  const { code, err } = await run([`127.0.0.1:${port}/x`]).result()
  t.equal(code, 1)
  t.equal(err, `* connecting: GET http://HOST/x
* connect ECONNREFUSED HOST
* Nothing listens at 127.0.0.1, port ${port}. Is the server running, and is this its port?
`)
})

t.test('method, headers, body, credentials and the last event ID go to the server', async (t) => {
  const server = await serveRaw(t, (request) => request.respond(204))
  const dir = t.testdir({ 'body.txt': 'not JSON' })
  const seen = ({ method, url, headers, body }: RawRequest): unknown[] => [
    method, url, headers['authorization'], headers['x-a'], headers['content-type'], headers['accept'], headers['last-event-id'], body.toString()
  ]
  t.equal((await run([`${server.origin}/a?b=c#d`, '--header', 'X-A: 1:2', '--header', 'x-a: 3', '--last-event-id', '7.é']).result()).code, 0)
  await run([`${server.origin.replace('//', '//user:p%40ss@')}/b`, '--data', '{"a":1}']).result()
  await run([`${server.origin.replace('//', '//%zz:@')}/b`]).result()
  await run([`${server.origin}/c`, '--data', '@body.txt', '--method', 'put', '--header', 'Accept: */*'], { cwd: dir }).result()
  t.strictSame(server.requests.map(seen), [
    ['GET', '/a?b=c', undefined, '1:2, 3', undefined, 'text/event-stream', '7.\u00c3\u00a9', ''],
    ['POST', '/b', `Basic ${Buffer.from('user:p@ss').toString('base64')}`, undefined, 'application/json', 'text/event-stream', undefined, '{"a":1}'],
    ['GET', '/b', `Basic ${Buffer.from('%zz:').toString('base64')}`, undefined, undefined, 'text/event-stream', undefined, ''],
    ['PUT', '/c', undefined, undefined, 'text/plain; charset=utf-8', '*/*', undefined, 'not JSON']
  ])
})

t.test('with --schema data is checked by the manifest, and what is wrong fails the command', async (t) => {
  const schema = manifestFile(t, [{
    name: 'ordersById',
    method: 'GET',
    url: '/orders/:id',
    controlEvents: ['sse.end'],
    events: {
      created: { format: 'json', schema: { type: 'object', required: ['n'], properties: { n: { type: 'integer' }, at: { type: 'string', format: 'date-time' } } } },
      note: { format: 'text', schema: { type: 'string', maxLength: 3 } }
    }
  }, { name: 'all', method: 'GET', url: '/all', controlEvents: [] }])
  const server = await serveRaw(t, (request) => request.open(
    'event: created\ndata: {"n":1,"at":"2026-01-01T00:00:00Z"}\n\n', 'event: created\ndata: {"n":"1"}\n\n', 'event: created\ndata: {}\n\n', 'event: created\ndata: {"n":1,"at":"now"}\n\n',
    'event: created\ndata: {\n\n', 'event: note\ndata: 42\n\n', 'event: note\ndata: long\n\n', 'event: other\ndata: {}\n\n', 'event: sse.end\ndata: null\n\n'))
  const { code, out, err } = await run([`${server.origin}/orders/7`, '--schema', schema]).result()
  t.equal(out, `TIME          created {"n":1,"at":"2026-01-01T00:00:00Z"}
TIME +SPAN created INVALID: /n: must be integer, found "1" {"n":"1"}
TIME +SPAN created INVALID: must have required property 'n' {}
TIME +SPAN created INVALID: /at: must match format "date-time", found "now" {"n":1,"at":"now"}
TIME +SPAN created INVALID: not JSON {
TIME +SPAN note 42
TIME +SPAN note INVALID: must NOT have more than 3 characters, found "long" long
TIME +SPAN other (undeclared) {}
TIME +SPAN sse.end null
`)
  t.match(err, '* checks events by stream ordersById: GET /orders/:id\n')
  t.equal(code, 1)

  const json = await run([`${server.origin}/behind/a/proxy`, '--schema', schema, '--stream', 'ordersById', '--json', '--event', 'note', '--event', 'other', '--count', '2']).result()
  t.strictSame(json, {
    code: 1,
    out: '{"time":"TIME","event":"note","data":"42"}\n{"time":"TIME","event":"note","data":"long","invalid":"must NOT have more than 3 characters, found \\"long\\""}\n',
    err: json.err
  })
  t.equal((await run([`${server.origin}/all`, '--schema', schema, '--count', '9']).result()).code, 0, 'a stream that declares nothing may send anything')
})

t.test('a stream that the manifest does not have is named with those that it has', async (t) => {
  const schema = manifestFile(t, [{ name: 'orders', method: 'GET', url: '/orders', controlEvents: [] }, { name: 'postChat', method: 'POST', url: '/chat', controlEvents: [] }])
  const list = 'It has:\n  orders  GET /orders\n  postChat  POST /chat'
  await t.rejects(run(['localhost/chat', '--schema', schema]).code, new UserError(`${schema} has no stream for GET /chat. Name the one that is meant with --stream. ${list}`))
  await t.rejects(run(['localhost/chat', '--schema', schema, '--stream', 'order']).code, new UserError(`${schema} has no stream "order". Did you mean orders? ${list}`))
})

t.test('a command line that cannot be understood is refused, with what to do', async (t) => {
  const help = '\nSee: fastify-typed-sse tail --help'
  const cases: Array<[args: string[], message: string]> = [
    [[], 'tail takes one URL, but was given none.'],
    [['a', 'b'], 'tail takes one URL, but was given 2.'],
    [['/orders'], 'This is no URL: "/orders". Give one such as http://localhost:3000/orders, or localhost:3000/orders.'],
    [['http://'], 'This is no URL: "http://". Give one such as http://localhost:3000/orders, or localhost:3000/orders.'],
    [['ftp://host/x'], 'tail reads http and https, not ftp://'],
    [['host', '--count', '0'], '--count must be a number of 1 or more, but is "0".'],
    [['host', '--count', '1e3'], '--count must be a number of 1 or more, but is "1e3".'],
    [['host', '--stream', 'x'], '--stream names a stream of a manifest: give that with --schema.'],
    [['host', '--header', 'nothing'], '--header must be a name, a colon and a value, such as "Authorization: Bearer …", but is "nothing".'],
    [['host', '--header', 'a b: c'], '--header must be a name, a colon and a value, such as "Authorization: Bearer …", but is "a b: c".'],
    [['host', '--method', 'GET', '--data', '{}'], 'A GET request has no data. Leave out --method, or name another one.'],
    [['host', '--method', 'a b'], '--method must be an HTTP method, such as POST, but is "a b".'],
    [['host', '--last-event-id', 'a\nb'], '--last-event-id must not hold a line end or U+0000.'],
    [['host', '--evnt', 'x'], 'tail has no option --evnt. Did you mean --event?']
  ]
  for (const [args, message] of cases) {
    await t.rejects(run(args).code, { name: 'UserError', message: message + help, exitCode: 2 }, args.join(' '))
  }
  await t.rejects(run(['host', '--data', '@none.txt'], { cwd: t.testdir() }).code, { name: 'UserError', message: 'There is no file none.txt', exitCode: 1 })
})

t.test('Ctrl-C ends the command at once, in order, and the connection with it', async (t) => {
  const server = await serveRaw(t, (request) => request.open('event: a\ndata: 1\n\n'))
  const interruption = new AbortController()
  const running = run([server.origin], { signal: interruption.signal })
  await until(() => running.stdout.text !== '')
  interruption.abort()
  t.strictSame(await running.result(), { code: 0, out: 'TIME          a 1\n', err: '* connecting: GET http://HOST/\n* connected\n' })
  await server.requests[0]!.closed
})

t.test('Ctrl-C also ends a wait for the next attempt', async (t) => {
  const server = await serveRaw(t, (request) => {
    request.open('retry: 60000\n\n', 'event: a\ndata: 1\n\n')
    request.end()
  })
  const interruption = new AbortController()
  const running = run([server.origin], { signal: interruption.signal })
  await until(() => running.stderr.text.includes('connecting again'))
  interruption.abort()
  t.equal(await running.code, 0)
})

t.test('a reader that is slow holds the stream up, and nothing is lost', async (t) => {
  const count = 400
  const chunks = Array.from({ length: count }, (_, n) => `event: n\ndata: "${n}${'x'.repeat(4096)}"\n\n`)
  const server = await serveRaw(t, (request) => request.open(...chunks, 'event: sse.end\ndata: null\n\n'))
  const waiting: Array<() => void> = []
  let received = 0
  let isOpen = false
  const stdout = new Writable({
    highWaterMark: 16_384,
    write (chunk: Buffer, _encoding, done) {
      received += chunk.toString().split('\n').length - 1
      if (isOpen) done()
      else waiting.push(done)
    }
  })
  const code = tail.run([server.origin, '--json'], { stdout, stderr: new Sink(), cwd: '.', env: {}, signal: new AbortController().signal })
  await until(() => waiting.length > 0)
  await new Promise<void>((resolve) => { setImmediate(resolve) })
  t.ok(stdout.writableLength < 1_000_000, `${stdout.writableLength} bytes wait`)
  isOpen = true
  for (const done of waiting) done()
  t.equal(await code, 0)
  await until(() => received === count + 1)
  t.equal(received, count + 1)
})

t.test('the command leaves nothing that keeps a process alive', async (t) => {
  const server = await serveRaw(t, (request) => request.open('event: a\ndata: 1\n\n'))
  const script = `import { tail } from ${JSON.stringify(new URL('../../lib/cli/tail/tail.ts', import.meta.url).href)}
    const { stdout, stderr, env } = process
    process.exitCode = await tail.run([${JSON.stringify(server.origin)}, '--count', '1'], { stdout, stderr, env, cwd: '.', signal: new AbortController().signal })`
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], { stdio: ['ignore', 'ignore', 'inherit'] })
  t.teardown(() => child.kill())
  t.strictSame(await once(child, 'exit'), [0, null])
})
