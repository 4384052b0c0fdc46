// The client in workers, which have neither window nor document.
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'
import t, { type Test } from 'tap'
import { createApp, listen } from '../support/app.js'
import { launchChromium } from '../support/browser.js'
import { forever, until } from '../support/sources.js'

// A browser takes its time when others use the machine too. The comment is how tap's runner is told.
t.setTimeout(120_000)
t.comment('timeout=120000')

const client = buildSync({
  entryPoints: [fileURLToPath(new URL('../../lib/client.ts', import.meta.url))],
  bundle: true,
  write: false,
  format: 'iife',
  globalName: 'client',
  target: 'es2022'
}).outputFiles[0]!.text

/** Tells a port the first four events of a stream, whose connection breaks at the second. */
const script = `${client}
async function run (port) {
  const events = []
  for await (const { event, data, id } of client.connect('/counter', { onError () {} })) {
    if (events.push([event, data, id]) === 4) break
  }
  port.postMessage(events)
}
if (typeof DedicatedWorkerGlobalScope === 'function') run(self)
self.onconnect = ({ ports }) => run(ports[0])
self.onmessage = (event) => event.ports?.[0] && event.waitUntil(run(event.ports[0]))
`

const starts = {
  'a dedicated worker': `
    const worker = new Worker('/worker.js')
    worker.onmessage = ({ data }) => resolve(data)
    worker.onerror = ({ message }) => reject(message)`,
  'a shared worker': `
    const { port } = new SharedWorker('/worker.js')
    port.onmessage = ({ data }) => resolve(data)`,
  'a service worker': `
    await navigator.serviceWorker.register('/worker.js')
    const { active } = await navigator.serviceWorker.ready
    const { port1, port2 } = new MessageChannel()
    port1.onmessage = ({ data }) => resolve(data)
    active.postMessage(null, [port2])`
}

t.test('in workers a relative URL is relative to the script, and a connection that is lost comes back', async (t) => {
  const browser = await launchChromium(t)
  if (browser === null) return
  for (const [name, start] of Object.entries(starts)) {
    await t.test(name, async (t: Test) => {
      const { app } = await createApp(t, { reconnectionTimeMs: 100 }, { forceCloseConnections: true })
      app.get('/', async (_request, reply) => reply.type('text/html').send('<!doctype html><link rel="icon" href="data:,">'))
      app.get('/worker.js', async (_request, reply) => reply.type('text/javascript').send(script))
      let breaks = 0
      app.get('/counter', (request, reply) => reply.sse(async function * ({ lastEventId, signal }) {
        for (let n = Number(lastEventId ?? 0) + 1; n <= 4; n++) {
          yield { event: 'count', data: n, id: n }
          if (n === 2 && ++breaks === 1) return request.raw.socket.resetAndDestroy()
        }
        await forever(signal)
      }))
      const { origin } = await listen(app)
      const page = await (await browser.newContext()).newPage()
      await page.goto(origin)
      t.strictSame(await page.evaluate(`new Promise(async (resolve, reject) => {${start}})`), [1, 2, 3, 4].map((n) => ['count', n, String(n)]))
      await until(() => app.sse.stats().open === 0)
      await page.context().close()
    })
  }
})
