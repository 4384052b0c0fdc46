import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import type { Test } from 'tap'
import ssePlugin, { type SSEPluginOptions } from '../../lib/index.js'

/** One line of the application's log. */
export interface LogLine {
  level: number
  msg: string
  err?: { message: string, code?: string }
  sse?: { reason: string, events: number }
  [field: string]: unknown
}

export const LEVEL = { debug: 20, info: 30, warn: 40, error: 50 }

/** An application with the plugin, closed at the end of the test, whose log is kept in `logs` from level debug on. */
export async function createApp (
  t: Test, options: SSEPluginOptions = {}, serverOptions: FastifyServerOptions = {}
): Promise<{ app: FastifyInstance, logs: LogLine[] }> {
  const { app, logs } = createLogged(t, serverOptions)
  await app.register(ssePlugin, options)
  return { app, logs }
}

/** The same without the plugin. */
export function createLogged (t: Test, serverOptions: FastifyServerOptions = {}): { app: FastifyInstance, logs: LogLine[] } {
  const logs: LogLine[] = []
  const app = Fastify({
    logger: { level: 'debug', stream: { write: (line: string) => { logs.push(JSON.parse(line)) } } },
    ...serverOptions
  } as FastifyServerOptions) as unknown as FastifyInstance
  t.teardown(() => app.close())
  return { app, logs }
}

/** Starts the server on a free loopback port. */
export async function listen (app: FastifyInstance): Promise<{ port: number, origin: string }> {
  const origin = await app.listen({ port: 0, host: '127.0.0.1' })
  return { origin, port: Number(new URL(origin).port) }
}

/** The lines that tell how streams ended. */
export function streamLogs (logs: LogLine[]): LogLine[] {
  return logs.filter((line) => line.sse !== undefined)
}
