// A generated client: this server writes it from its own routes, makes the page that uses it, and serves both. Change an event
// in routes.ts, start again, and what no longer fits in page.ts does not compile.
//
//   node --import tsx examples/generate/server.ts
//   curl -N 'http://127.0.0.1:3000/deploys/shop?version=2'
//   curl -N http://127.0.0.1:3000/answers -H 'content-type: application/json' -d '{ "question": "Why?" }'
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import Fastify from 'fastify'
import ssePlugin from 'fastify-typed-sse'
import routes from './routes.js'

// The same as: npx fastify-typed-sse generate routes.ts --out client
const packageJson = new URL(import.meta.resolve('fastify-typed-sse/package.json'))
const { bin } = JSON.parse(await readFile(packageJson, 'utf8')) as { bin: Record<string, string> }
const command = fileURLToPath(new URL(bin['fastify-typed-sse']!, packageJson))
const folder = fileURLToPath(new URL('.', import.meta.url))
await promisify(execFile)(process.execPath, [command, 'generate', 'routes.ts', '--out', 'client'], { cwd: folder })

const { outputFiles } = await build({
  entryPoints: [fileURLToPath(new URL('page.ts', import.meta.url))],
  bundle: true,
  splitting: true,
  write: false,
  outdir: '/',
  format: 'esm'
})

const app = Fastify({ logger: { level: 'warn' } })
await app.register(ssePlugin, { reconnectionTimeMs: 1000 })
await app.register(routes)

for (const { path, text } of outputFiles) {
  app.get(path.replaceAll('\\', '/').replace(/^[A-Z]:/, ''), async (_request, reply) => reply.type('text/javascript; charset=utf-8').send(text))
}
app.get('/', async (_request, reply) => reply.type('text/html; charset=utf-8').send(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>A generated client</title>
<link rel="icon" href="data:,">
<style>
  :root { color-scheme: light dark }
  body { font: 1rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 2rem auto }
  progress { width: 100% }
</style>
<h1>Deploy</h1>
<form id="deploy"><label>Service <input name="service" value="shop" required></label> <button>Deploy</button></form>
<p id="step" role="status"></p>
<progress max="100" value="0"></progress>
<h1>Ask</h1>
<form id="ask"><label>Question <input name="question" value="Why is the sky blue?" required></label> <button>Ask</button></form>
<p id="answer" role="status"></p>
<p id="usage"></p>
<p id="error" role="alert"></p>
<script type="module" src="/page.js"></script>
`))

process.once('SIGINT', () => app.close())
process.once('SIGTERM', () => app.close())

const url = await app.listen({ port: Number(process.env['PORT'] ?? 3000), host: '127.0.0.1' })
console.log(`Listening on ${url}. Try:

  curl -N '${url}/deploys/shop?version=2'
  curl -N ${url}/answers -H 'content-type: application/json' -d '{ "question": "Why?" }'
`)
