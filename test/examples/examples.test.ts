import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { Locator, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { bareNode } from '../support/bare-node.js'
import { launchChromium } from '../support/browser.js'
import { connect, type FrameClient } from '../support/client.js'

// Processes and a browser take their time when others use the machine too. The comment is how tap's runner is told.
t.setTimeout(180_000)
t.comment('timeout=180000')

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const OPENING = ': sse-heartbeat: 15000\n\nretry: 3000\n\n'
const END = 'event: sse.end\ndata: null\nid: sse.end\n\n'

/** How an example ends when it is asked to. */
const ENDED = { exit: 0, log: '' }

type Child = ChildProcessByStdio<null, Readable, Readable>

/** Runs a command as somebody at a terminal does: without the loaders that tap hands to its children. */
function run (t: Test, args: string[], port = '0'): { child: Child, output: () => string } {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(NODE_|_?TAP)/.test(name)))
  const [command, ...first] = bareNode
  const child = spawn(command, [...first, '--import', 'tsx', ...args], {
    cwd: ROOT,
    env: { ...env, PORT: port },
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
  return startAt(t, '0', name, ...args)
}

async function startAt (t: Test, port: string, name: string, ...args: string[]): Promise<Running> {
  const { child, output } = run(t, [`examples/${name}`, ...args], port)
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

t.test('channels: a change reaches all who look at the board, and who comes back gets what was missed', async (t) => {
  const { origin, end } = await start(t, 'channels.ts')
  const client = await connect(t, `${origin}/orders`)
  const { snapshot: none, epoch, id } = await opening(client)
  t.strictSame([none, id], [[], `${epoch}.0`])

  t.strictSame(await post(`${origin}/orders`, { customer: 'ada', item: 'tea', note: 'no sugar' }),
    { status: 201, body: { number: 1, customer: 'ada', item: 'tea', state: 'placed' } })
  t.strictSame(await post(`${origin}/orders`, { customer: 'bob', item: 'cocoa' }),
    { status: 201, body: { number: 2, customer: 'bob', item: 'cocoa', state: 'placed' } })
  t.strictSame(await post(`${origin}/orders/1/state`, { state: 'packed' }), { status: 200, body: { id: `${epoch}.3` } })
  t.strictSame(await client.events(3), [
    `event: order\ndata: {"number":1,"customer":"ada","item":"tea","state":"placed"}\nid: ${epoch}.1\n\n`,
    `event: order\ndata: {"number":2,"customer":"bob","item":"cocoa","state":"placed"}\nid: ${epoch}.2\n\n`,
    `event: order\ndata: {"number":1,"customer":"ada","item":"tea","state":"packed"}\nid: ${epoch}.3\n\n`
  ])

  const ada = await connect(t, `${origin}/orders?customer=ada`)
  t.strictSame(await opening(ada), {
    snapshot: ['event: order\ndata: {"number":1,"customer":"ada","item":"tea","state":"packed"}\n\n'],
    id: `${epoch}.3`,
    epoch
  })
  client.fin()
  t.strictSame(await post(`${origin}/orders/2/state`, { state: 'packed' }), { status: 200, body: { id: `${epoch}.4` } })
  t.strictSame(await post(`${origin}/orders/1/state`, { state: 'shipped' }), { status: 200, body: { id: `${epoch}.5` } })
  const shipped = `event: shipped\ndata: {"number":1,"customer":"ada"}\nid: ${epoch}.5\n\n`
  t.strictSame(await ada.events(1), [shipped])

  const again = await connect(t, `${origin}/orders`, { headers: { 'last-event-id': `${epoch}.3` } })
  const packed = 'event: order\ndata: {"number":2,"customer":"bob","item":"cocoa","state":"packed"}\n'
  t.strictSame(await again.events(2), [`${packed}id: ${epoch}.4\n\n`, shipped])
  const newcomer = await connect(t, `${origin}/orders`)
  t.strictSame(await opening(newcomer), { snapshot: [`${packed}\n`], id: `${epoch}.5`, epoch })

  t.strictSame(await post(`${origin}/orders/1/state`, { state: 'packed' }), { status: 404, body: { message: 'There is no open order 1.' } })
  t.match(await post(`${origin}/orders`, { customer: 'ada', item: 'milk' }), { status: 400, body: { code: 'FST_ERR_VALIDATION' } })
  t.strictSame(await end('SIGINT'), ENDED)
  for (const open of [ada, again, newcomer]) await endsInOrder(t, open)
})

t.test('channels: who has missed more than is kept is told so, and gets the open orders', async (t) => {
  const { origin, end } = await start(t, 'channels.ts')
  await post(`${origin}/orders`, { customer: 'ada', item: 'tea' })
  const client = await connect(t, `${origin}/orders`)
  const { epoch, id } = await opening(client)
  t.equal(id, `${epoch}.1`)
  client.fin()
  // The newest 100 are kept.
  for (let n = 0; n < 100; n++) await post(`${origin}/orders/1/state`, { state: 'packed' })
  const resume = async (lastEventId: string): Promise<FrameClient> =>
    connect(t, `${origin}/orders`, { headers: { 'last-event-id': lastEventId } })
  const packed = 'event: order\ndata: {"number":1,"customer":"ada","item":"tea","state":"packed"}\n'

  const inTime = await resume(id)
  t.strictSame(await inTime.events(100), Array.from({ length: 100 }, (_, n) => `${packed}id: ${epoch}.${n + 2}\n\n`))
  await post(`${origin}/orders/1/state`, { state: 'packed' })
  const tooLate = await resume(id)
  t.strictSame(await opening(tooLate), {
    snapshot: [`event: sse.gap\ndata: {"reason":"evicted","requested":"${id}","resumedAt":"${epoch}.102"}\n\n`, `${packed}\n`],
    id: `${epoch}.102`,
    epoch
  })
  const restarted = await resume('another.7')
  t.strictSame((await opening(restarted)).snapshot,
    [`event: sse.gap\ndata: {"reason":"epoch","requested":"another.7","resumedAt":"${epoch}.102"}\n\n`, `${packed}\n`])
  t.strictSame(await end('SIGTERM'), ENDED)
  for (const open of [inTime, tooLate, restarted]) await endsInOrder(t, open)
})

t.test('channels: who keeps up gets every price, and who is behind the newest of each item', async (t) => {
  const { origin, end } = await start(t, 'channels.ts')
  const live = await connect(t, `${origin}/prices`)
  const { snapshot, epoch, id } = await opening(live)
  t.strictSame(snapshot.map((frame) => frame.replace(/[\d.]+(?=\})/, '…')),
    ['tea', 'coffee', 'cocoa'].map((item) => `event: price\ndata: {"item":"${item}","price":…}\n\n`))
  const prices = await live.events(12)
  const first = offsetOf(prices[0]!)
  t.equal(first, Number(id.split('.')[1]) + 1)

  const behind = await connect(t, `${origin}/prices`, { headers: { 'last-event-id': `${epoch}.${first}` } })
  const newest = await behind.events(3)
  // Nothing else has been published when it got them.
  const last = offsetOf(newest[2]!)
  if (last > offsetOf(prices.at(-1)!)) prices.push(...await live.events(last - offsetOf(prices.at(-1)!)))
  t.strictSame(prices.map(offsetOf), prices.map((_, n) => first + n))
  const byItem = new Map<string, string>()
  for (const frame of prices.slice(1, last - first + 1)) {
    const item = /"item":"(\w+)"/.exec(frame)![1]!
    byItem.delete(item)
    byItem.set(item, frame)
  }
  t.strictSame(newest, [...byItem.values()])
  const { prices: counted } = await (await fetch(`${origin}/stats`)).json() as { prices: Record<string, unknown> }
  t.match(counted, { subscribers: 2, refused: 0, superseded: last - first - 3, gaps: {} })
  t.strictSame(await end('SIGINT'), ENDED)
  await endsInOrder(t, live)
  await endsInOrder(t, behind)
})

t.test('chat: who is in a room sees who comes and goes and what is written, and several rooms on one stream', async (t) => {
  const { origin, end } = await start(t, 'chat.ts')
  const withoutTime = (frames: string[]): string[] => frames.map((frame) => frame.replace(/"at":"[^"]+"/, '"at":"…"'))
  const people = (room: string, names: string[], id: string): string =>
    `event: people\ndata: ${JSON.stringify({ room, names })}\nid: ${id}\n\n`
  const hello = (id: string): string =>
    `event: message\ndata: {"room":"tea","name":"bob","text":"Hello,\\n\u2028<b>!","at":"…"}\nid: ${id}\n\n`

  const ada = await connect(t, `${origin}/rooms/tea/messages?name=ada`)
  const [alone] = await ada.events(1)
  const tea = /^id: (.*)\.1$/m.exec(alone!)?.[1] ?? ''
  t.equal(alone, people('tea', ['ada'], `${tea}.1`))

  const both = `${origin}/messages?room=tea&room=coffee&name=bob`
  const bob = await connect(t, both)
  const { id } = await opening(bob)
  const coffee = /,(.*)\.0$/.exec(id)?.[1] ?? ''
  t.equal(id, `${tea}.0,${coffee}.0`)
  t.strictSame(await bob.events(2), [people('tea', ['ada', 'bob'], `${tea}.2,${coffee}.0`), people('coffee', ['bob'], `${tea}.2,${coffee}.1`)])
  t.strictSame(await ada.events(1), [people('tea', ['ada', 'bob'], `${tea}.2`)])

  t.strictSame(await post(`${origin}/rooms/tea/messages`, { name: 'bob', text: 'Hello,\n\u2028<b>!' }), { status: 200, body: { id: `${tea}.3` } })
  t.strictSame(withoutTime(await ada.events(1)), [hello(`${tea}.3`)])
  t.strictSame(withoutTime(await bob.events(1)), [hello(`${tea}.3,${coffee}.1`)])
  t.strictSame(await (await fetch(`${origin}/rooms`)).json(), [{ room: 'tea', streams: 2 }, { room: 'coffee', streams: 1 }])

  bob.rst()
  t.strictSame(await ada.events(1), [people('tea', ['ada'], `${tea}.4`)])
  const again = await connect(t, both, { headers: { 'last-event-id': `${tea}.3,${coffee}.1` } })
  t.strictSame(await again.events(2), [people('tea', ['ada', 'bob'], `${tea}.5,${coffee}.2`), people('coffee', ['bob'], `${tea}.5,${coffee}.3`)])
  const carol = await connect(t, `${origin}/rooms/tea/messages?name=carol`)
  t.strictSame(withoutTime(await carol.events(2)), [hello(`${tea}.3`), people('tea', ['ada', 'bob', 'carol'], `${tea}.6`)])

  for (const [url, message] of [
    ['/rooms/Tea/messages?name=ada', 'params/room must match pattern "^[a-z][a-z0-9-]{0,31}$"'],
    ['/rooms/tea/messages', "querystring must have required property 'name'"],
    ['/messages?name=ada', "querystring must have required property 'room'"],
    ['/messages?name=ada&room=tea&room=tea', 'querystring/room must NOT have duplicate items (items ## 1 and 0 are identical)']
  ] as const) {
    const refused = await fetch(origin + url)
    t.strictSame([refused.status, (await refused.json() as { message: string }).message], [400, message])
  }
  t.match(await post(`${origin}/rooms/tea/messages`, { name: 'bob', text: '' }), { status: 400, body: { code: 'FST_ERR_VALIDATION' } })
  t.strictSame(await (await fetch(`${origin}/rooms`)).json(), [{ room: 'tea', streams: 3 }, { room: 'coffee', streams: 1 }])
  t.strictSame(await end('SIGTERM'), ENDED)
  for (const open of [ada, again, carol]) await endsInOrder(t, open)
})

t.test('chat: two pages in Chromium see what is written and who is there, also when the server has been started again', async (t) => {
  const browser = await launchChromium(t)
  if (browser === null) return
  const { origin, end } = await start(t, 'chat.ts')
  const errors: string[] = []
  const enter = async (name: string): Promise<Page> => {
    const page = await (await browser.newContext()).newPage()
    page.setDefaultTimeout(60_000)
    page.on('pageerror', (error) => errors.push(String(error)))
    await page.goto(origin)
    await page.getByLabel('Your name').fill(name)
    await page.getByLabel('Your name').press('Tab')
    return page
  }
  const write = async (page: Page, room: string, text: string): Promise<void> => {
    await page.getByLabel('Room').selectOption(room)
    await page.getByLabel('Message').fill(text)
    await page.getByRole('button').click()
  }
  /** Waits until the last line is this message, whatever its time. */
  const untilLast = async (page: Page, room: string, name: string, text: string): Promise<void> => {
    const line = page.locator('li.message:last-child', { has: page.locator('b', { hasText: name }) })
    await line.filter({ has: page.locator('small', { hasText: room }) }).filter({ has: page.getByText(text, { exact: true }) }).waitFor()
  }
  const untilThere = async (page: Page, people: string): Promise<void> => {
    await page.locator(`#people:text-is("${people}")`).waitFor()
  }
  const ada = await enter('ada')
  const bob = await enter('bob')
  for (const page of [ada, bob]) await untilThere(page, 'tea: ada, bob · coffee: ada, bob')

  const markup = '<img src=x onerror="document.title = 1"> & <b>'
  await write(ada, 'coffee', markup)
  for (const page of [ada, bob]) await untilLast(page, 'coffee', 'ada', markup)
  t.equal(await bob.locator('li img').count(), 0)

  t.strictSame(await end('SIGINT'), ENDED)
  for (const page of [ada, bob]) await page.locator('#state:text-is("reconnecting …")').waitFor()
  const again = await startAt(t, new URL(origin).port, 'chat.ts')
  for (const page of [ada, bob]) {
    await page.locator('li.gap:last-child', { hasText: /^some messages were missed$/ }).waitFor()
    await untilThere(page, 'tea: ada, bob · coffee: ada, bob')
    t.equal(await page.locator('#state').innerText(), '')
  }
  await write(bob, 'tea', 'Hello again')
  for (const page of [ada, bob]) {
    await untilLast(page, 'tea', 'bob', 'Hello again')
    // The first message, what tells of the gap in both rooms, and this one.
    t.equal(await page.locator('li').count(), 3)
  }
  await bob.close()
  await untilThere(ada, 'tea: ada · coffee: ada')
  t.strictSame(errors, [])
  t.strictSame(await again.end('SIGINT'), ENDED)
})

t.test('dom: a page shows typed events by the client as it is served, reconnects without a hole, and tells of what is missing', async (t) => {
  const browser = await launchChromium(t)
  if (browser === null) return
  const { origin, end } = await start(t, 'dom.ts')
  const page = await browser.newPage()
  page.setDefaultTimeout(60_000)
  const errors: string[] = []
  page.on('pageerror', (error) => errors.push(String(error)))
  const requests: string[] = []
  page.on('request', (request) => requests.push(new URL(request.url()).pathname))
  await page.goto(origin)
  const cell = (room: string): Locator => page.locator('tr', { hasText: room }).locator('td:last-child')
  for (const room of ['kitchen', 'cellar']) await cell(room).filter({ hasText: /^\d\d\.\d °C$/ }).waitFor()
  await page.locator('#status:text-is("live")').waitFor()
  t.strictSame(requests, ['/', '/client.js', '/readings'])

  /** The offset of the last reading that is shown. */
  const shown = async (): Promise<number> =>
    Math.max(...await Promise.all(['kitchen', 'cellar'].map(async (room) => Number((await cell(room).getAttribute('title'))!.split('.')[1]))))
  const before = await shown()
  const [again] = await Promise.all([
    page.waitForRequest(`${origin}/readings`),
    page.getByRole('button').click()
  ])
  t.match(again.headers()['last-event-id'], /^[\w-]{8}\.\d+$/)
  await page.locator('#status:text-is("live")').waitFor()
  await until(async () => await shown() > before)
  t.equal(await page.locator('#missing').innerText(), '')

  t.strictSame(await end('SIGINT'), ENDED)
  await page.locator('#status', { hasText: /^reconnecting in \d+ s: (ended|network)$/ }).waitFor()
  const restarted = await startAt(t, new URL(origin).port, 'dom.ts')
  await page.locator('#missing:text-is("Some readings are missing: epoch")').waitFor()
  await page.locator('#status:text-is("live")').waitFor()
  t.strictSame(errors, [])
  t.strictSame(await restarted.end('SIGTERM'), ENDED)
})

t.test('react: under StrictMode each stream is one request, which rendering again does not repeat, and which is gone with its component', async (t) => {
  const browser = await launchChromium(t)
  if (browser === null) return
  const { origin, end } = await start(t, 'react/server.ts')
  const streams = async (): Promise<unknown> => await (await fetch(`${origin}/streams`)).json()
  const page = await browser.newPage()
  page.setDefaultTimeout(60_000)
  const errors: string[] = []
  page.on('pageerror', (error) => errors.push(String(error)))
  page.on('console', (message) => { if (message.type() === 'error') errors.push(message.text()) })
  const requests: string[] = []
  page.on('request', (request) => requests.push(new URL(request.url()).pathname))
  const untilPrice = (text: RegExp): Promise<void> => page.locator('#price').filter({ hasText: text }).waitFor()
  const untilStatus = (text: RegExp): Promise<void> => page.locator('#status').filter({ hasText: text }).waitFor()

  await page.goto(origin)
  await untilPrice(/^\d/)
  // Two components read it.
  for (const id of ['visitors', 'visitors-again']) await page.locator(`#${id}:text-is("1")`).waitFor()
  await untilStatus(/^live$/)
  t.strictSame(requests.slice(2).sort(), ['/prices/ACME', '/visitors'])
  t.strictSame(await streams(), { open: 2, opened: 2 })

  for (let n = 0; n < 3; n++) await page.getByRole('button', { name: `Render (${n})` }).click()
  await page.getByRole('button', { name: 'Render (3)' }).waitFor()
  const price = await page.locator('#price').innerText()
  await page.locator(`#price:not(:text-is("${price}"))`).waitFor()
  t.strictSame(await streams(), { open: 2, opened: 2 })

  await page.getByRole('button', { name: 'Reconnect' }).click()
  await until(async () => JSON.stringify(await streams()) === '{"open":2,"opened":3}')

  // Other parameters are another stream.
  await page.getByLabel('Symbol').fill('INIT')
  await page.locator('p:has(#price)', { hasText: /^INIT: \d/ }).waitFor()
  await until(async () => JSON.stringify(await streams()) === '{"open":2,"opened":4}')

  errors.splice(0)
  await page.getByLabel('Symbol').fill('NONE')
  await page.locator('#error:text-is("status 404")').waitFor()
  await untilStatus(/^closed, 1 failed$/)
  // That the server has answered so.
  t.match(errors.splice(0), [/404/])
  await page.getByLabel('Symbol').fill('ACME')
  await untilPrice(/^\d/)
  t.equal(await page.locator('#error').count(), 0)

  await page.getByLabel('Show the price').uncheck()
  await until(async () => JSON.stringify(await streams()) === '{"open":1,"opened":5}')
  await page.getByLabel('Show the price').check()
  await untilPrice(/^\d/)
  t.strictSame(await streams(), { open: 2, opened: 6 })
  t.strictSame(errors.splice(0), [])

  t.strictSame(await end('SIGINT'), ENDED)
  await untilStatus(/^reconnecting, \d+ failed$/)
  await page.locator('#error', { hasText: /^(ended|network)/ }).waitFor()
  await page.locator('#visitors:text-is("reconnecting")').waitFor()
  const again = await startAt(t, new URL(origin).port, 'react/server.ts')
  await untilStatus(/^live/)
  await page.locator('#visitors:text-is("1")').waitFor()
  t.equal(await page.locator('#error').count(), 0)
  await page.goto('about:blank')
  await until(async () => /"open":0/.test(JSON.stringify(await streams())))
  t.strictSame(await again.end('SIGTERM'), ENDED)
})

t.test('react: on a server it renders, and connects to nothing', async (t) => {
  const { child, output } = run(t, ['--input-type=module', '--eval', `
    import { createElement } from 'react'
    import { renderToString } from 'react-dom/server'
    import { App } from './examples/react/app.tsx'
    globalThis.fetch = () => { throw new Error('a request') }
    console.log(renderToString(createElement(App)))
  `])
  const [code] = await once(child, 'close')
  t.equal(code, 0, output())
  t.match(output(), '<output id="price">…</output></p><p id="status">connecting</p>')
  t.match(output(), '<span id="visitors">connecting</span>')
})

t.test('generate: a page uses the client that was generated of its server, and the client is what would be generated now', async (t) => {
  const browser = await launchChromium(t)
  if (browser === null) return
  const before = readFileSync(`${ROOT}examples/generate/client/streams.ts`, 'utf8')
  const { origin, end } = await start(t, 'generate/server.ts')
  t.equal(readFileSync(`${ROOT}examples/generate/client/streams.ts`, 'utf8'), before)

  const page = await browser.newPage()
  page.setDefaultTimeout(60_000)
  const errors: string[] = []
  page.on('pageerror', (error) => errors.push(String(error)))
  await page.goto(origin)
  await page.getByRole('button', { name: 'Deploy' }).click()
  await page.locator('#step:text-is("Done: https://example.com/shop/v2")').waitFor()
  t.equal(await page.locator('progress').getAttribute('value'), '100')
  await page.getByLabel('Question').fill('Why?')
  await page.getByRole('button', { name: 'Ask' }).click()
  await page.locator('#usage:text-is("8 tokens")').waitFor()
  t.equal(await page.locator('#answer').innerText(), 'You asked: “Why?” That is a good question.')
  t.equal(await page.locator('#error').innerText(), '')

  // A parameter that has to be escaped in the path.
  await page.getByLabel('Service').fill('a/b ü')
  await page.getByRole('button', { name: 'Deploy' }).click()
  await page.locator('#step:text-is("Done: https://example.com/a%2Fb%20%C3%BC/v2")').waitFor()
  t.strictSame(errors, [])
  await page.goto('about:blank')
  t.strictSame(await end('SIGTERM'), ENDED)
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
  const folders = ['generate', 'react']
  t.strictSame(listed.sort(), [...files, ...folders].sort().map((name) =>
    [name, name, `node --import tsx ${name === 'testing.ts' ? '--test ' : ''}examples/${folders.includes(name) ? `${name}/server.ts` : name}`]))
})

t.test('the examples import what somebody who copies them can install', async (t) => {
  const readme = readFileSync(`${ROOT}examples/README.md`, 'utf8')
  const installed = [...readme.matchAll(/^npm install (.*)$/gm)].flatMap(([, names]) => names!.split(' '))
  const names = [...readdirSync(`${ROOT}examples`), ...['generate', 'react'].flatMap((folder) => readdirSync(`${ROOT}examples/${folder}`).map((name) => `${folder}/${name}`))]
  for (const name of names.filter((name) => /\.[tj]sx?$/.test(name))) {
    const source = readFileSync(`${ROOT}examples/${name}`, 'utf8')
    const imported = [...source.matchAll(/ from '(.*?)'/g)].map((match) => match[1]!)
    const packages = imported.map((specifier) => /^(@[^/]+\/)?[^/]+/.exec(specifier)![0])
    t.strictSame(packages.filter((specifier) => !/^(node:|\.)/.test(specifier) && !installed.includes(specifier)), [], name)
  }
})

/** What a channel's stream begins with: the frames that come before the first ID block, that ID, and its epoch. */
async function opening (client: FrameClient): Promise<{ snapshot: string[], id: string, epoch: string }> {
  const snapshot: string[] = []
  for (let frame; (frame = await client.frame()) !== undefined;) {
    const id = /^id: (.*)\n\n$/.exec(frame)?.[1]
    if (id !== undefined) return { snapshot, id, epoch: id.split('.')[0]! }
    if (/^data:/m.test(frame)) snapshot.push(frame)
  }
  throw new Error(`The stream has ended: ${client.text}`)
}

/** The offset in an event's ID. */
function offsetOf (frame: string): number {
  return Number(/^id: [\w-]+\.(\d+)$/m.exec(frame)?.[1])
}

async function post (url: string, body: unknown): Promise<{ status: number, body: unknown }> {
  const response = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
  return { status: response.status, body: await response.json() }
}

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
