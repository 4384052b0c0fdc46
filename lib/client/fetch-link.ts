import type { Fault } from '../schema/control-events.js'
import { createDecoder, EventTooLargeError } from '../wire/decode.js'
import { backoff, reconnectionTime, retryAfter } from './backoff.js'
import { StreamError } from './error.js'
import type { Link, LinkHost } from './link.js'
import type { RequestTarget } from './request.js'
import type { ConnectOptions, Fetch } from './types.js'
import { createWatchdog } from './watchdog.js'

const RECONNECTION_TIME_MS = 1_000
const ANSWER_TIMEOUT_MS = 45_000
const MAX_EVENT_BYTES = 16_777_216
/** A connection that has lived so long, or has brought an event, was a good one: failures are counted anew. */
const HEALTHY_MS = 5_000
/** Most that is kept of a response that was refused, and how long it may take. */
const MAX_BODY_LENGTH = 4_096
const BODY_TIMEOUT_MS = 1_000

/** The globals of browsers, none of which is everywhere. */
interface Surroundings {
  addEventListener?: (type: string, listener: () => void) => void
  removeEventListener?: (type: string, listener: () => void) => void
  document?: { visibilityState?: string }
}

type Reader = ReadableStreamDefaultReader<Uint8Array>

/** Opens a stream with `fetch`, and opens it again when it breaks. */
export function openFetchLink (target: RequestTarget, options: ConnectOptions, host: LinkHost): Link {
  const { stallTimeoutMs, shouldRetry, onUnauthorized } = options
  const surroundings = globalThis as Surroundings
  let lastEventId = options.initialLastEventId ?? ''
  let baseMs = reconnectionTime(options.reconnectionTimeMs ?? RECONNECTION_TIME_MS)
  /** How many attempts in a row have failed. */
  let attempt = 0
  let isOver = false
  let hasRefreshed = false
  let timer: ReturnType<typeof setTimeout> | undefined
  /** When the next attempt may be made at the earliest. */
  let notBefore = 0
  /** The connection that is open, or being opened. */
  let current: { stop (reason?: unknown): void, test (): void } | undefined

  listen('addEventListener')
  // What is closed in the turn in which it was opened makes no request.
  void Promise.resolve().then(() => {
    if (isOver) return
    host.status('connecting', attempt)
    openUnlessOpen()
  })

  function listen (method: 'addEventListener' | 'removeEventListener'): void {
    for (const type of ['online', 'pageshow', 'visibilitychange']) surroundings[method]?.(type, wake)
  }

  /** The network is back, or somebody looks at the page again. */
  function wake (): void {
    if (surroundings.document?.visibilityState === 'hidden') return
    if (current) current.test()
    else if (timer) wait(notBefore - Date.now())
  }

  function wait (ms: number): void {
    clearTimeout(timer)
    timer = setTimeout(openUnlessOpen, ms)
  }

  function openUnlessOpen (): void {
    timer = undefined
    // Callbacks of the application may have closed it, or connected again.
    if (!isOver && !current) void open()
  }

  /** One request and its response, read to its end. */
  async function open (): Promise<void> {
    // One for each connection: fetch would add a listener to a long-lived signal with every call.
    const controller = new AbortController()
    const { signal } = controller
    const sentAt = ++clock
    const textTypes = new Set<string>()
    let reader: Reader | undefined
    let liveAt = 0
    let isStale = false
    /** An ID that no event has followed yet. */
    let place: string | undefined
    let onRoom = nothing
    const stopped = new Promise<never>((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason))
    })
    stopped.catch(nothing)

    const watchdog = createWatchdog(() => {
      if (liveAt && !isStale) {
        isStale = true
        host.status('stale', attempt, 'silent')
      }
    }, () => stop(new StreamError('stalled', liveAt ? 'Silence' : 'No answer')))

    const decoder = createDecoder({
      lastEventId,
      maxEventBytes: options.maxEventBytes ?? MAX_EVENT_BYTES,
      onEvent (event) {
        lastEventId = event.id
        place = undefined
        attempt = 0
        if (event.event === 'sse.end') end('done')
        else if (event.event === 'sse.fault') stop(faultOf(event.data))
        else host.receive(event, textTypes.has(event.event))
      },
      onId (id) {
        lastEventId = place = id
      },
      onRetry (ms) {
        baseMs = reconnectionTime(ms)
      },
      onComment (text) {
        const [, name, value] = /^sse-(heartbeat|text): (.*)/.exec(text) ?? []
        if (name === 'text') value!.split(',').forEach((type) => textTypes.add(decodeURIComponent(type)))
        else if (name) heartbeat(value!)
        host.comment(text)
      }
    })

    function heartbeat (value: string | null): void {
      if (value && stallTimeoutMs === undefined) watchdog.limit(3 * +value)
    }

    function stop (reason?: unknown): void {
      if (signal.aborted) return
      decoder.stop()
      watchdog.limit(0)
      controller.abort(reason)
      // An injected fetch need not care for the signal.
      reader?.cancel().catch(nothing)
      onRoom()
    }

    async function read (): Promise<unknown> {
      watchdog.limit(stallTimeoutMs ?? ANSWER_TIMEOUT_MS)
      const { url, headers, body } = await Promise.race([target.request(lastEventId), stopped])
      const { credentials } = options
      const answer = (options.fetch ?? fetch as Fetch)(url, {
        method: target.method,
        headers,
        cache: 'no-store',
        signal,
        ...(body !== undefined && { body, duplex: 'half' }),
        ...(credentials && { credentials })
      })
      // One that comes too late is not left open.
      answer.then((late) => signal.aborted ? (late.body as ReadableStream)?.cancel() : undefined).catch(nothing)
      const response = await Promise.race([answer, stopped])
      const { status } = response
      const type = response.headers.get('content-type')
      reader = (response.body as ReadableStream<Uint8Array> | null | undefined)?.getReader()
      if (status === 204) return end('done')
      if (status !== 200 || !/^text\/event-stream *(;|$)/i.test(type ?? '')) {
        const text = await readText(reader)
        const error = new StreamError(status === 200 ? 'content-type' : 'status', `${status} ${type} from ${url}: ${text.slice(0, 200)}`, undefined, { status, body: text })
        error.delayMs = retryAfter(response.headers.get('retry-after'))
        throw error
      }
      if (!reader) throw new StreamError('unsupported', 'The response has no stream: use another fetch')
      watchdog.limit(stallTimeoutMs ?? 0)
      heartbeat(response.headers.get('sse-heartbeat'))
      hasRefreshed = false
      liveAt = Date.now()
      host.status('live', attempt)
      for (;;) {
        if (!host.hasRoom(() => onRoom())) {
          // Nobody reads: silence means nothing.
          watchdog.rest()
          await new Promise<void>((resolve) => { onRoom = resolve })
        }
        if (signal.aborted) return
        watchdog.feed()
        const { done, value } = await reader.read()
        if (signal.aborted) return
        if (done) throw new StreamError('ended', 'The response ended, the stream did not')
        if (isStale) {
          isStale = false
          host.status('live', attempt)
        }
        decoder.push(value)
        if (place !== undefined && !signal.aborted) host.place(place)
        place = undefined
      }
    }

    const opened = current = { stop, test: watchdog.test }
    const error = await read().catch((error: unknown) => error)
    const failure = signal.aborted ? signal.reason : error
    stop()
    if (isOver || current !== opened) return
    current = undefined
    if (liveAt && Date.now() - liveAt >= HEALTHY_MS) attempt = 0
    await failed(failure instanceof StreamError
      ? failure
      : new StreamError(failure instanceof EventTooLargeError ? 'too-large' : 'network', String(failure), failure), sentAt)
  }

  async function failed (error: StreamError, sentAt: number): Promise<void> {
    const { kind, status = 0 } = error
    if (onUnauthorized && !hasRefreshed && (status === 401 || status === 403)) {
      hasRefreshed = true
      if (await refresh(onUnauthorized, error, sentAt)) return openUnlessOpen()
      if (isOver || current) return
    }
    attempt++
    const leastMs = Math.max(baseMs, error.delayMs ?? 0)
    notBefore = Date.now() + leastMs
    error.delayMs = backoff(attempt, baseMs, leastMs)
    error.willRetry = shouldRetry?.(error, attempt) ?? (
      (kind === 'status' ? status >= 500 || [408, 425, 429].includes(status) : /^(network|ended|stalled|request)$/.test(kind)) &&
      // What is not safe may have been done already.
      (/^(GET|HEAD|OPTIONS|QUERY)$/.test(target.method) || lastEventId !== '' || kind === 'request'))
    if (isOver || current) return
    if (!error.willRetry) return end(kind, error)
    host.status('reconnecting', attempt, kind, error)
    if (!isOver && !current) wait(error.delayMs)
  }

  function close (): void {
    isOver = true
    clearTimeout(timer)
    listen('removeEventListener')
    current?.stop()
  }

  function end (reason: StreamError['kind'] | 'done', error?: StreamError): void {
    close()
    if (error) error.delayMs = undefined
    host.status('closed', attempt, reason, error)
  }

  return {
    close,
    fail (error) {
      end(error.kind, error)
    },
    reconnect () {
      clearTimeout(timer)
      const old = current
      current = undefined
      old?.stop()
      host.status('reconnecting', attempt, 'manual')
      openUnlessOpen()
    }
  }
}

/** Calls of `onUnauthorized`, by function: the last one, and when it was done. */
const refreshes = new WeakMap<object, { readonly result: Promise<unknown>, doneAt: number }>()
/** Orders requests and refreshes. */
let clock = 0

/**
 * Whether a request may be made again: after the refresh that the application makes, or one that was done since.
 *
 * One call serves all streams that are refused meanwhile. A request that was sent before a refresh was done was refused for
 * what it had then.
 */
async function refresh (onUnauthorized: (error: StreamError) => unknown, error: StreamError, sentAt: number): Promise<boolean> {
  let latest = refreshes.get(onUnauthorized)
  if (!latest || latest.doneAt < sentAt) {
    const flight = latest = { result: Promise.resolve(error).then(onUnauthorized), doneAt: Infinity }
    const done = (): void => { flight.doneAt = ++clock }
    flight.result.then(done, done)
    refreshes.set(onUnauthorized, flight)
  }
  return latest.result.then((result) => result !== false, (cause: unknown) => {
    error.cause = cause
    return false
  })
}

function nothing (): void {}

function faultOf (data: string): StreamError {
  let fault: Partial<Fault> = { message: data }
  try {
    fault = JSON.parse(data)
  } catch {}
  return new StreamError('fault', fault.message!, undefined, { code: fault.code })
}

async function readText (reader: Reader | undefined): Promise<string> {
  const decoder = new TextDecoder()
  const timer = setTimeout(() => reader?.cancel().catch(nothing), BODY_TIMEOUT_MS)
  let text = ''
  try {
    for (let chunk; reader && text.length < MAX_BODY_LENGTH && !(chunk = await reader.read()).done;) {
      text += decoder.decode(chunk.value, { stream: true })
    }
  } catch {}
  clearTimeout(timer)
  return text.slice(0, MAX_BODY_LENGTH)
}
