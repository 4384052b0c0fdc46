import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { connect, type FrameClient } from '../support/client.js'

t.setTimeout(180_000)

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const OPENING = ': sse-heartbeat: 15000\n\nretry: 3000\n\n'
const END = 'event: sse.end\ndata: null\nid: sse.end\n\n'

/** How an example ends when it is asked to. */
const ENDED = { exit: 0, log: '' }

type Child = ChildProcessByStdio<null, Readable, Readable>

/** Runs a command as somebody at a terminal does: without the loaders that tap hands to its children. */
function run (t: Test, args: string[]): { child: Child, output: () => string } {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(NODE_|_?TAP)/.test(name)))
  const child = spawn(process.execPath, ['--import', 'tsx', ...args], {
    cwd: ROOT,
    env: { ...env, PORT: '0' },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  t.teardown(() => child.kill('SIGKILL'))
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8')
    stream.on('data', (chunk: string) => { output += chunk })
  }
  return { child, output: () => output }
}

interface Running {
  origin: string
  /** Sends the signal and tells what the process ended with: its exit code, and all it printed after what to try. */
  end: (signal: 'SIGTERM' | 'SIGINT') => Promise<{ exit: unknown, log: string }>
}

/** Starts an example, and compares what it offers to try with what its comment does. */
async function start (t: Test, name: string, ...args: string[]): Promise<Running> {
  const { child, output } = run(t, [`examples/${name}`, ...args])
  const exit = once(child, 'close')
  const printed = (): RegExpExecArray | null => /^Listening on (\S+)\. Try:\n\n((?: {2}curl .*\n)+)\n/.exec(output())
  while (printed() === null) {
    const [code] = await Promise.race([once(child.stdout, 'data'), exit])
    if (typeof code === 'number') throw new Error(`${name} has ended with ${code}:\n${output()}`)
  }
  const [banner, origin, offered] = printed()!
  const source = readFileSync(`${ROOT}examples/${name}`, 'utf8')
  t.match(source, `//   node --import tsx examples/${name}`)
  const commented = [...source.matchAll(/^\/\/ {3}(curl .*?)(?: +# .*)?$/gm)].map((match) => match[1]!)
  t.strictSame(offered!.trim().split(/\n */), commented.map((line) => line.replace('http://127.0.0.1:3000', origin!)))
  return {
    origin: origin!,
    async end (signal) {
      child.kill(signal)
      const [code, killedBy] = await exit
      return { exit: killedBy ?? code, log: output().slice(banner.length) }
    }
  }
}

/** The events with what changes from run to run replaced. */
function withoutTime (frames: string[]): string[] {
  return frames.map((frame) => frame.replace(/"now":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"/, '"now":"…"'))
}

t.test('basic: a clock ticks, and goes on after the tick that a client has seen last', async (t) => {
  const { origin, end } = await start(t, 'basic.ts')
  const client = await connect(t, `${origin}/clock`)
  const [zone, ...ticks] = await client.events(3)
  t.match(zone, /^event: zone\ndata: "[\w/+-]+"\n\n$/)
  t.strictSame(withoutTime(ticks), ['event: tick\ndata: {"now":"…"}\nid: 0\n\n', 'event: tick\ndata: {"now":"…"}\nid: 1\n\n'])
  const again = await connect(t, `${origin}/clock`, { headers: { 'last-event-id': '41' } })
  t.strictSame(withoutTime(await again.events(2)).slice(1), ['event: tick\ndata: {"now":"…"}\nid: 42\n\n'])
  t.strictSame(await end('SIGTERM'), ENDED)
  await endsInOrder(t, client)
  await endsInOrder(t, again)
})

t.test('post: the body decides between a stream and JSON', async (t) => {
  const { origin, end } = await start(t, 'post.ts')
  const url = `${origin}/completions`
  const streamed = await connect(t, url, { method: 'POST', body: { prompt: 'hello there', stream: true } })
  t.equal(streamed.headers['content-type'], 'text/event-stream')
  t.equal(await streamed.rest(), OPENING +
    'event: delta\ndata: {"text":"You "}\n\n' +
    'event: delta\ndata: {"text":"said: "}\n\n' +
    'event: delta\ndata: {"text":"hello "}\n\n' +
    'event: delta\ndata: {"text":"there"}\n\n' +
    'event: done\ndata: {"tokens":4}\n\n' + END)
  const whole = await connect(t, url, { method: 'POST', body: { prompt: 'hello there' } })
  t.equal(whole.headers['content-type'], 'application/json; charset=utf-8')
  t.equal(await whole.rest(), '{"text":"You said: hello there","tokens":4}')
  const refused = await connect(t, url, { method: 'POST', body: { stream: true } })
  t.equal(refused.status, 400)
  t.match(JSON.parse(await refused.rest()), { code: 'FST_ERR_VALIDATION', message: "body must have required property 'prompt'" })
  const unfinished = await connect(t, url, { method: 'POST', body: { prompt: 'x '.repeat(10_000), stream: true } })
  await unfinished.events(1)
  t.strictSame(await end('SIGINT'), ENDED)
  await endsInOrder(t, unfinished)
})

t.test('event-emitter: every client gets what is emitted, and its listener goes with it', async (t) => {
  const { origin, end } = await start(t, 'event-emitter.ts')
  const listeners = async (): Promise<unknown> => await (await fetch(`${origin}/listeners`)).json()
  const [a, b] = await Promise.all([connect(t, `${origin}/prices`), connect(t, `${origin}/prices`)])
  t.strictSame(await listeners(), { price: 2, error: 2 })
  const [ofA, ofB] = await Promise.all([a.events(2), b.events(2)])
  t.match(ofA[0], /^event: price\ndata: \{"symbol":"ACME","price":1\d\d(\.\d+)?\}\n\n$/)
  t.strictSame(ofA, ofB)
  a.fin()
  await until(async () => JSON.stringify(await listeners()) === '{"price":1,"error":1}')
  b.rst()
  await until(async () => JSON.stringify(await listeners()) === '{"price":0,"error":0}')
  const open = await connect(t, `${origin}/prices`)
  t.strictSame(await end('SIGTERM'), ENDED)
  await endsInOrder(t, open)
})

t.test('node-stream: a file is sent line by line', async (t) => {
  const dir = t.testdir({ 'two-and-a-half.txt': 'one\n\nthrée "3"' })
  const { origin, end } = await start(t, 'node-stream.ts', `${dir}/two-and-a-half.txt`)
  const client = await connect(t, `${origin}/lines`)
  t.equal(await client.rest(), OPENING +
    'event: line\ndata: {"number":1,"text":"one"}\n\n' +
    'event: line\ndata: {"number":2,"text":""}\n\n' +
    'event: line\ndata: {"number":3,"text":"thrée \\"3\\""}\n\n' + END)
  t.strictSame(await end('SIGTERM'), ENDED)
})

t.test('node-stream: a file that cannot be opened is an error response', async (t) => {
  const { origin, end } = await start(t, 'node-stream.ts', 'no such file')
  const response = await fetch(`${origin}/lines`)
  t.equal(response.status, 500)
  t.match(await response.json(), { code: 'ENOENT' })
  const { exit, log } = await end('SIGTERM')
  t.equal(exit, 0)
  t.match(JSON.parse(log), { level: 50, err: { code: 'ENOENT' }, res: { statusCode: 500 } })
})

t.test('node-stream: no more rows are fetched than the client takes, and none once it has left', async (t) => {
  const { origin, end } = await start(t, 'node-stream.ts')
  const fetched = async (): Promise<number> => (await (await fetch(`${origin}/fetched`)).json() as { fetched: number }).fetched
  /** The count when it has stood still for 20 requests. */
  const settled = async (): Promise<number> => {
    let last = -1
    for (let unchanged = 0; unchanged < 20;) {
      const now = await fetched()
      unchanged = now === last ? unchanged + 1 : 0
      last = now
    }
    return last
  }
  const client = await connect(t, `${origin}/rows`)
  t.strictSame(await client.events(2), [
    'event: row\ndata: {"id":1,"name":"Customer 1"}\nid: 1\n\n',
    'event: row\ndata: {"id":2,"name":"Customer 2"}\nid: 2\n\n'
  ])
  client.stall()
  const stalledAt = await settled()
  // What the system's buffers take, some megabytes, lies between.
  t.ok(stalledAt < 500_000, `${stalledAt} of 1000000 rows are fetched`)
  client.response.resume()
  await until(async () => await fetched() > stalledAt)
  client.rst()
  const leftAt = await settled()
  t.ok(leftAt < 1_000_000, `${leftAt} of 1000000 rows are fetched`)
  t.strictSame(await end('SIGINT'), ENDED)
})

t.test('testing: the tests of the example pass', async (t) => {
  const { child, output } = run(t, ['--test', 'examples/testing.ts'])
  const [code] = await once(child, 'close')
  t.equal(code, 0, output())
  t.match(output(), /(# |ℹ )tests 2\n/)
  t.match(output(), /(# |ℹ )pass 2\n/)
})

t.test('the README lists each example with its command', async (t) => {
  const readme = readFileSync(`${ROOT}examples/README.md`, 'utf8')
  const listed = [...readme.matchAll(/^\| \[(.*?)\]\((.*?)\) .* `(.*?)` \|$/gm)].map(([, name, link, command]) => [name, link, command])
  const files = readdirSync(`${ROOT}examples`).filter((name) => name.endsWith('.ts'))
  t.strictSame(listed.sort(), files.sort().map((name) =>
    [name, name, `node --import tsx ${name === 'testing.ts' ? '--test ' : ''}examples/${name}`]))
})

t.test('the examples import what somebody who copies them can install', async (t) => {
  const readme = readFileSync(`${ROOT}examples/README.md`, 'utf8')
  const installed = [...readme.matchAll(/^npm install (.*)$/gm)].flatMap(([, names]) => names!.split(' '))
  for (const name of readdirSync(`${ROOT}examples`).filter((name) => name.endsWith('.ts'))) {
    const source = readFileSync(`${ROOT}examples/${name}`, 'utf8')
    const imported = [...source.matchAll(/ from '(.*?)'/g)].map((match) => match[1]!)
    t.strictSame(imported.filter((specifier) => !specifier.startsWith('node:') && !installed.includes(specifier)), [], name)
  }
})

/** A stream that the server's end has ended was told when to come back, and was not broken off. */
async function endsInOrder (t: Test, client: FrameClient): Promise<void> {
  await client.rest()
  t.equal(client.ended, 'end')
  t.match(client.text, /\n\nretry: \d+\n\n$/)
}

/** Resolves when the condition holds; the test's timeout is the limit. */
async function until (condition: () => Promise<boolean>): Promise<void> {
  while (!await condition());
}
