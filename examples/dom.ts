// A page without a framework and without a build step: the typed client is one file, which the browser loads as it is.
// Reconnect, and no reading is missing. Stop the server and start it again, and the page tells that some are.
//
//   node --import tsx examples/dom.ts
//   curl -N http://127.0.0.1:3000/readings
import { readFile } from 'node:fs/promises'
import { Type } from '@sinclair/typebox'
import Fastify from 'fastify'
import ssePlugin, { defineEvents, text, type Channel, type EventOf } from 'fastify-typed-sse'

const Readings = defineEvents({
  reading: Type.Object({ room: Type.String(), celsius: Type.Number() }),
  warning: text()
})

const app = Fastify({ logger: { level: 'warn' } })
await app.register(ssePlugin, { reconnectionTimeMs: 1000 })

const readings: Channel<EventOf<typeof Readings>> = app.sse.channel('readings', Readings, { backlog: { events: 100 } })
app.get('/readings', { schema: { events: Readings } }, (_request, reply) => reply.sse(readings))

const rooms = ['kitchen', 'cellar']
let n = 0
const timer = setInterval(() => {
  const room = rooms[n++ % rooms.length]!
  const celsius = Math.round(150 + Math.random() * 100) / 10
  readings.publish({ event: 'reading', data: { room, celsius } })
  if (celsius > 24) readings.publish({ event: 'warning', data: `It is hot in the ${room}.` })
}, 500)
app.addHook('onClose', async () => clearInterval(timer))

// What options like `params` and `share` need beside it, the client loads when it is needed: from ./client/.
const folder = new URL('dist/lib/', import.meta.resolve('fastify-typed-sse/package.json'))
for (const file of ['client.js', 'client/declared.js', 'client/shared-link.js', 'client/event-source-link.js']) {
  const code = await readFile(new URL(file, folder))
  app.get(`/${file}`, async (_request, reply) => reply.type('text/javascript; charset=utf-8').send(code))
}

app.get('/', async (_request, reply) => reply.type('text/html; charset=utf-8').send(/* html */ `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Readings</title>
<link rel="icon" href="data:,">
<style>
  :root { color-scheme: light dark }
  body { font: 1rem/1.5 system-ui, sans-serif; max-width: 30rem; margin: 2rem auto }
  td { padding-right: 2rem; font-variant-numeric: tabular-nums }
</style>
<p><span id="status" role="status"></span> <button>Reconnect</button></p>
<table></table>
<p id="warning"></p>
<p id="missing" role="status"></p>
<script type="module">
  import { connect } from './client.js'

  const [status, button, table, warning, missing] = ['#status', 'button', 'table', '#warning', '#missing'].map((selector) => document.querySelector(selector))
  const cells = new Map()

  const stream = connect('/readings', {
    onStatus (name, { reason, delayMs }) {
      status.textContent = name === 'reconnecting' && delayMs ? name + ' in ' + Math.ceil(delayMs / 1000) + ' s: ' + reason : name
      // A stream that is over does not come back.
      button.disabled = name === 'closed'
    }
  })

  stream.on('reading', ({ room, celsius }, { id }) => {
    let cell = cells.get(room)
    if (!cell) {
      const row = table.insertRow()
      row.insertCell().textContent = room
      cells.set(room, cell = row.insertCell())
    }
    cell.textContent = celsius.toFixed(1) + ' °C'
    cell.title = id
  })
  stream.on('warning', (text) => { warning.textContent = text })
  stream.on('sse.gap', ({ reason }) => { missing.textContent = 'Some readings are missing: ' + reason })

  button.onclick = () => stream.reconnect()
</script>
`))

process.once('SIGINT', () => app.close())
process.once('SIGTERM', () => app.close())

const url = await app.listen({ port: Number(process.env['PORT'] ?? 3000), host: '127.0.0.1' })
console.log(`Listening on ${url}. Try:

  curl -N ${url}/readings
`)
