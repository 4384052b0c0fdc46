// Event streams in React: a hook, use-event-stream.ts, and a store that components share, event-store.ts. The server makes
// the page when it starts, with esbuild. Open the URL in two windows, change the symbol, and stop the server and start it again.
//
//   node --import tsx examples/react/server.ts
//   curl -N http://127.0.0.1:3000/prices/ACME
//   curl http://127.0.0.1:3000/streams
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import { build } from 'esbuild'
import Fastify from 'fastify'
import ssePlugin, { type Channel, type EventOf } from 'fastify-typed-sse'
import { Prices, Visitors } from './events.js'

const app = Fastify({ logger: { level: 'warn' } }).withTypeProvider<TypeBoxTypeProvider>()
await app.register(ssePlugin, { reconnectionTimeMs: 1000 })

const symbols = ['ACME', 'INIT']

app.get(Prices.path, { schema: Prices.schema }, async ({ params: { symbol } }, reply) => {
  // Before the stream, an error is an ordinary response: the page shows its status.
  if (!symbols.includes(symbol)) return reply.code(404).send({ message: `There is no ${symbol}.` })
  return reply.sse(async function * ({ signal }) {
    for (let cents = 10_000; ; cents += Math.round(Math.random() * 200 - 100)) {
      yield { event: 'price', data: { symbol, price: cents / 100 } }
      await sleep(1000, undefined, { signal })
    }
  })
})

let count = 0
const visitors: Channel<EventOf<typeof Visitors.events>> = app.sse.channel('visitors', Visitors.events, {
  onJoin: () => visitors.publish({ event: 'count', data: ++count }),
  onLeave: () => visitors.publish({ event: 'count', data: --count })
})
// Who comes gets the present count, and then each change.
app.get(Visitors.path, { schema: Visitors.schema }, (_request, reply) =>
  reply.sse(visitors.subscribe({ from: 'earliest', latestBy: ({ event }) => event })))

app.get('/streams', async () => {
  const { open, opened } = app.sse.stats()
  return { open, opened }
})

const { outputFiles } = await build({
  entryPoints: [fileURLToPath(new URL('main.jsx', import.meta.url))],
  bundle: true,
  write: false,
  format: 'esm',
  jsx: 'automatic'
})
const script = outputFiles[0]!.text

app.get('/main.js', async (_request, reply) => reply.type('text/javascript; charset=utf-8').send(script))
app.get('/', async (_request, reply) => reply.type('text/html; charset=utf-8').send(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Streams in React</title>
<link rel="icon" href="data:,">
<style>:root { color-scheme: light dark } body { font: 1rem/1.5 system-ui, sans-serif; max-width: 30rem; margin: 2rem auto } label, button { margin-right: 1rem }</style>
<div id="root"></div>
<script type="module" src="/main.js"></script>
`))

process.once('SIGINT', () => app.close())
process.once('SIGTERM', () => app.close())

const url = await app.listen({ port: Number(process.env['PORT'] ?? 3000), host: '127.0.0.1' })
console.log(`Listening on ${url}. Try:

  curl -N ${url}/prices/ACME
  curl ${url}/streams
`)
