// The demo as a process: `npm start`. PORT and HOST say where it listens.
import type { AddressInfo } from 'node:net'
import closeWithGrace from 'close-with-grace'
import type { FastifyInstance } from 'fastify'
import { createDemo } from './app.js'

const DEFAULT_PORT = 3000
const PORTS_TO_TRY = 20

/** A second Ctrl-C forces the end; what comes sooner than this after the first is the same one (see below). */
const SAME_SIGNAL_MS = 500

const host = process.env['HOST'] || '127.0.0.1'

function fail (message: string): never {
  process.stderr.write(`\n  ${message}\n\n`)
  process.exit(1)
}

/** The port that was asked for, or undefined when the demo may choose. */
function wantedPort (): number | undefined {
  const { PORT } = process.env
  if (PORT === undefined || PORT === '') return undefined
  if (!/^\d{1,5}$/.test(PORT) || Number(PORT) > 65_535) fail(`PORT is «${PORT}». Give a number from 0 to 65535, as in PORT=8080 npm start.`)
  return Number(PORT)
}

async function listen (app: FastifyInstance, wanted: number | undefined): Promise<void> {
  for (let port = wanted ?? DEFAULT_PORT; ; port++) {
    try {
      await app.listen({ port, host })
      if (wanted === undefined && port !== DEFAULT_PORT) process.stdout.write(`\n  Port ${DEFAULT_PORT} is taken: this is the next one that is free.\n`)
      return
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      if (code === 'EADDRINUSE' && wanted === undefined && port + 1 < DEFAULT_PORT + PORTS_TO_TRY) continue
      await app.close()
      if (code === 'EADDRINUSE') fail(`Port ${port} is taken. Stop what uses it, or choose another, as in PORT=${port === 65_535 ? 8080 : port + 1} npm start.`)
      if (code === 'EACCES') fail(`Port ${port} may not be used by this user. Choose one above 1023, as in PORT=8080 npm start.`)
      fail(`Cannot listen on ${host}, port ${port}: ${message}`)
    }
  }
}

function urlOf (app: FastifyInstance): string {
  const { address, port, family } = app.server.address() as AddressInfo
  if (address === '0.0.0.0' || address === '::') return `http://localhost:${port}`
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`
}

const port = wantedPort()
const app = await createDemo()
await listen(app, port)
const url = urlOf(app)
process.stdout.write(`
  The demo of fastify-typed-sse is running.

  Open   ${url}
  Try    curl -N ${url}/clock

  Ctrl-C ends the streams in order and stops.

`)

// SIGINT is handled here and not there: npm passes on the signal that the terminal has sent to everybody already, so one
// Ctrl-C arrives twice, and close-with-grace would take the second for a «stop now».
const { close } = closeWithGrace({ delay: 8_000, skip: ['SIGINT'] }, async ({ err }) => {
  if (err) process.stderr.write(`\n${err.stack}\n`)
  const { open } = app.sse.stats()
  process.stdout.write(`\n  Ending ${open === 1 ? '1 stream' : `${open} streams`} …`)
  await app.close()
  process.stdout.write(' done.\n\n')
})

// The terminal may be gone by then.
process.stdout.on('error', () => {})

let interruptedAt: number | undefined
process.on('SIGINT', () => {
  if (interruptedAt === undefined) {
    interruptedAt = performance.now()
    close()
  } else if (performance.now() - interruptedAt > SAME_SIGNAL_MS) {
    process.stdout.write('\n')
    process.exit(1)
  }
})
