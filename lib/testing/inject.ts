import { STATUS_CODES, type OutgoingHttpHeaders, type ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import type { InjectOptions } from 'fastify'
import { show, SSEError } from '../errors.js'
import { checkObject, invalid, unknownOption } from '../option-checks.js'
import { realTimers } from '../time/real-timers.js'
import { StreamReader } from './reader.js'
import { toRequest, type InjectedRequest } from './request.js'
import { checkTimeout } from './timeout.js'
import type { InjectedStream } from './types.js'

/** Less than the 5 s after which Vitest and Jest give up a test, with a message that knows nothing of the stream. */
const TIMEOUT_MS = 4_000

/** Most that is read of a body that is no event stream. */
const MAX_BODY_BYTES = 1024 * 1024

/** So much of a body stands in a message. */
const EXCERPT_LENGTH = 300

/** What is asked of an application: Fastify's own `inject`, whichever its server, logger and type provider are. */
export interface InjectableApp {
  inject (options: InjectOptions): Promise<InjectedResponse>
}

interface InjectedResponse {
  statusCode: number
  headers: OutgoingHttpHeaders
  raw: { res: ServerResponse }
  stream: () => Readable
}

/** The request: what `inject` takes, with these differences. */
export interface InjectSSEOptions extends Omit<InjectOptions,
  'payloadAsStream' | 'simulate' | 'autoStart' | 'validate' | 'server' | 'Request' | 'signal'> {
  /**
   * Sent as `Last-Event-ID`, in UTF-8 as a client does, and given with the events that have no ID of their own. Nothing is
   * sent for `''`.
   */
  lastEventId?: string | number | undefined
  /** Leaves when it aborts. `injectSSE` itself rejects when the stream has not been answered by then. */
  signal?: AbortSignal | undefined
  /**
   * How long to wait for the answer, and for each event, in real time, also when the test fakes the timers.
   *
   * Milliseconds: an integer up to 2^31 - 1, or `0` for no limit.
   *
   * @defaultValue `4_000`
   * @throws FST_SSE_TEST_TIMEOUT
   */
  timeoutMs?: number | undefined
}

/** Each option by its name: the compiler misses one that is not here. */
const OPTIONS = Object.keys({
  url: 1, path: 1, method: 1, headers: 1, query: 1, cookies: 1, payload: 1, body: 1, authority: 1, remoteAddress: 1, lastEventId: 1, signal: 1, timeoutMs: 1
} satisfies Record<keyof InjectSSEOptions, 1>)

/**
 * Opens an event stream of an application by `app.inject`: without a port, and through all hooks of the route.
 *
 * ```ts
 * const stream = await injectSSE<typeof Clock>(app, { url: '/clock' })
 * const first = await stream.next()
 * const [a, b] = await stream.take(2)
 * await stream.close()
 * ```
 *
 * The type argument is what the stream gives: a contract, a bare map, a stream definition, or a union of events.
 *
 * Resolves when the stream has been opened, which for a source that gives nothing is after 50 ms. The application need not be
 * ready. Timers may be faked, but for `process.nextTick`; load the application before, since what it writes goes by the timers
 * that were there when it was loaded.
 *
 * @param options the request, or its URL. `method` is GET, or POST when there is a `payload`; an object is sent as JSON.
 * @throws FST_SSE_TEST_RESPONSE_UNEXPECTED for an answer that is no event stream, with its `statusCode`, `headers` and `body`.
 * A 204 is no such answer: it is how a client is told that it has seen the end, and gives a stream that is over.
 * @throws FST_SSE_OPTION_UNKNOWN, FST_SSE_OPTION_INVALID
 * @throws TypeError when `app` is no application
 */
export async function injectSSE<D = unknown> (app: InjectableApp, options: InjectSSEOptions | string): Promise<InjectedStream<D>> {
  if (typeof app?.inject !== 'function') throw new TypeError(`injectSSE needs a Fastify application, but was given ${show(app)}. If that is a promise of one, await it.`)
  const { lastEventId: id = '', timeoutMs = TIMEOUT_MS, signal, ...request } = checked(options)
  const lastEventId = String(id)
  checkTimeout(timeoutMs)
  signal?.throwIfAborted()
  const injected = toRequest(request, lastEventId)
  const { label } = injected
  const response = await answered(app, injected, timeoutMs, signal)
  const { statusCode, headers } = response
  if (statusCode !== 204 && (statusCode !== 200 || mediaType(headers) !== 'text/event-stream')) {
    throw unexpected(label, response, await readBody(response, timeoutMs))
  }
  const reader = new StreamReader<D>({
    label,
    statusCode,
    headers,
    payload: response.stream(),
    response: response.raw.res,
    lastEventId,
    timeoutMs,
    signal
  })
  if (statusCode === 204) await reader.next()
  return reader
}

function checked (options: InjectSSEOptions | string): InjectSSEOptions {
  if (typeof options === 'string') return { url: options }
  checkObject('injectSSE options', options)
  const unknown = Object.keys(options).find((option) => !OPTIONS.includes(option))
  if (unknown !== undefined) throw unknownOption('injectSSE options', unknown, OPTIONS)
  const { lastEventId = '' } = options
  if (!['string', 'number'].includes(typeof lastEventId) || /[\0\r\n]/.test(String(lastEventId))) {
    throw invalid('lastEventId', lastEventId, 'a string without NUL and line ends, or a number')
  }
  return options
}

/** Resolves with the head of the response. When that does not come, it leaves. */
function answered (app: InjectableApp, { label, options, body }: InjectedRequest, timeoutMs: number, signal?: AbortSignal): Promise<InjectedResponse> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      reject(error)
      // Not by the signal of `inject`: that makes an error of the response's body, which nobody can listen for yet.
      body.destroy?.(error)
    }
    const onAbort = (): void => fail(signal?.reason)
    signal?.addEventListener('abort', onAbort)
    const timer = timeoutMs === 0
      ? undefined
      : realTimers.setTimeout(() => fail(new SSEError('FST_SSE_TEST_TIMEOUT',
        `${label} was not answered within ${timeoutMs} ms. Its handler, a hook, or a plugin that is not ready waits for something, ` +
        'maybe for a clock that the test has faked.', { timeoutMs, events: 0 })), timeoutMs)
    // Neither Fastify nor any stream of Node moves without them, and the answer would never come.
    let hasTicked = false
    process.nextTick(() => { hasTicked = true })
    realTimers.setImmediate(() => {
      if (!hasTicked) {
        fail(new SSEError('FST_SSE_TEST_TICKS_FAKED', 'process.nextTick is faked, and no stream of Node moves without it. Leave it out: ' +
          "FakeTimers.install({ toNotFake: ['nextTick', 'queueMicrotask'] }), jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask'] })."))
      }
    })
    // What it throws rejects as well, and the clock stops.
    const answer = async (): Promise<InjectedResponse> => app.inject({ ...options, payload: body, payloadAsStream: true })
    void answer().then(resolve, reject).finally(() => {
      realTimers.clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    })
  })
}

/** The body of a response that is no event stream, or as much of it as comes in time. */
async function readBody (response: InjectedResponse, timeoutMs: number): Promise<string> {
  const payload = response.stream()
  const chunks: Uint8Array[] = []
  let bytes = 0
  const timer = timeoutMs === 0 ? undefined : realTimers.setTimeout(() => payload.destroy(), timeoutMs)
  try {
    for await (const chunk of payload) {
      chunks.push(chunk)
      bytes += chunk.length
      if (bytes >= MAX_BODY_BYTES) break
    }
  } catch {
    // It was cut off: what has come says more than that.
  } finally {
    realTimers.clearTimeout(timer)
  }
  response.raw.res.destroy()
  return Buffer.concat(chunks).toString()
}

function unexpected (label: string, { statusCode, headers }: InjectedResponse, body: string): SSEError {
  const type = mediaType(headers)
  const status = statusCode === 200 ? '200' : `${statusCode} ${STATUS_CODES[statusCode] ?? ''}`.trim()
  const text = body.replace(/\s+/g, ' ').trim()
  const excerpt = text.length > EXCERPT_LENGTH ? `${text.slice(0, EXCERPT_LENGTH)}…` : text
  const kind = /[/+]json$/.test(type) ? 'JSON' : type
  const content = text === '' ? 'Its body is empty.' : `Its body${kind === '' ? '' : `, ${kind}`}: ${excerpt}`
  const advice = statusCode === 200
    ? 'A route streams when its handler returns reply.sse(…).'
    : statusCode === 404
      ? 'Check the URL and the method, and that the route is registered.'
      : ''
  return new SSEError('FST_SSE_TEST_RESPONSE_UNEXPECTED',
    [`${label} was answered with ${status}, and not with an event stream.`, advice, content].filter(Boolean).join(' '), { statusCode, headers, body })
}

function mediaType (headers: OutgoingHttpHeaders): string {
  return String(headers['content-type'] ?? '').split(';')[0]!.trim().toLowerCase()
}
