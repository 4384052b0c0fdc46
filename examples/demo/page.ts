import { readFile } from 'node:fs/promises'
import type { FastifyInstance } from 'fastify'

/** The page's files: URL → file in `page/` and its media type. */
const FILES = {
  '/': ['index.html', 'text/html; charset=utf-8'],
  '/page/style.css': ['style.css', 'text/css; charset=utf-8'],
  '/page/main.js': ['main.js', 'text/javascript; charset=utf-8'],
  '/page/connection.js': ['connection.js', 'text/javascript; charset=utf-8'],
  '/page/chart.js': ['chart.js', 'text/javascript; charset=utf-8'],
  '/page/post.js': ['post.js', 'text/javascript; charset=utf-8'],
  '/favicon.svg': ['favicon.svg', 'image/svg+xml']
} as const

/** Everything comes from here: no other host, nothing inline. */
const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/** The page that shows the streams, at `/`. */
export async function servePage (app: FastifyInstance): Promise<void> {
  for (const [url, [name, mediaType]] of Object.entries(FILES)) {
    const file = await readFile(new URL(`page/${name}`, import.meta.url))
    app.get(url, async (_request, reply) => {
      reply.headers({
        'content-type': mediaType,
        'cache-control': 'no-cache',
        'content-security-policy': POLICY,
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer'
      })
      return file
    })
  }
}
