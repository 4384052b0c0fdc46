import type { Fault } from '../schema/control-events.js'
import { createDecoder } from '../wire/decode.js'
import { backoff, reconnectionTime, retryAfter } from './backoff.js'
import { StreamError } from './error.js'
import type { Link, LinkHost } from './link.js'
import type { RequestTarget } from './request.js'
import type { ConnectOptions, Fetch } from './types.js'
import { refresh } from './refresh.js'
import { createWatchdog } from './watchdog.js'

const RECONNECTION_TIME_MS = 1_000
const ANSWER_TIMEOUT_MS = 45_000
const MAX_EVENT_BYTES = 16_777_216
/** Most that is kept of a response that was refused. */
const MAX_BODY_LENGTH = 4_096

/** The globals of browsers, none of which is everywhere. */
interface Surroundings {
  addEventListener?: (type: string, listener: () => void) => void
  removeEventListener?: (type: string, listener: () => void) => void
  document?: { visibilityState?: string }
}

type Reader = ReadableStreamDefaultReader<Uint8Array>

/** Opens a stream with `fetch`, and opens it again when it breaks. */
export function openFetchLink (target: RequestTarget, options: ConnectOptions, host: LinkHost): Link {
  const { stallTimeoutMs } = options
  const surroundings = globalThis as Surroundings
  let lastEventId = options.initialLastEventId ?? ''
  let baseMs = reconnectionTime(options.reconnectionTimeMs ?? RECONNECTION_TIME_MS)
  /** How many attempts in a row have failed. An event or a heartbeat shows that a connection was a good one. */
  let attempt = 0
  let isOver = false
  let hasRefreshed = false
  let timer: ReturnType<typeof setTimeout> | undefined
  /** What a refused request was told by `Retry-After`. */
  let askedMs = 0
  /** When the next attempt may be made at the earliest. */
  let notBefore = 0
  /** The connection that is open, or being opened. */
  let current: { stop (): void, probe (): void } | undefined

  listen('addEventListener')
  // What is closed in the turn in which it was opened makes no request.
  queueMicrotask(() => {
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
    if (current) current.probe()
    else if (timer) wait(notBefore - Date.now())
  }

  function wait (ms: number): void {
    clearTimeout(timer)
    timer = setTimeout(openUnlessOpen, ms)
  }

  function openUnlessOpen (): void {
    timer = undefined
    // Callbacks of the application may have closed it, or connected again.
    if (!isOver && !current) open()
  }

  /** One request and its response, read to its end. */
  function open (): void {
    // One for each connection: fetch would add a listener to a long-lived signal with every call.
    const controller = new AbortController()
    const { signal } = controller
    const sentAt = performance.now()
    /** As the server has encoded them: to decode what is none of its work would throw. */
    let textTypes: string[] | undefined
    /** Comments say something of the stream before its first event and `retry`; after that they are the application's. */
    let isOpening = true
    let reader: Reader | undefined
    let isLive = false
    let placed = lastEventId
    /** Stays what it is when its body is cut, or does not end. */
    let refusal: StreamError | undefined

    const watchdog = createWatchdog(() => {
      if (isLive) host.status('stale', attempt, 'silent')
    }, () => finish(new StreamError('stalled', isLive ? 'Silence' : 'No answer')))

    const decoder = createDecoder({
      lastEventId,
      maxEventBytes: options.maxEventBytes ?? MAX_EVENT_BYTES,
      onEvent (event) {
        attempt = 0
        isOpening = false
        if (event.event === 'sse.end') return end('done')
        if (event.event !== 'sse.fault') return host.receive(event, !!textTypes?.includes(encodeURIComponent(event.event)))
        let fault: Partial<Fault> | null = null
        try {
          fault = JSON.parse(event.data)
        } catch {}
        throw new StreamError('fault', fault?.message ?? event.data, undefined, { code: fault?.code })
      },
      onId (id) {
        lastEventId = id
      },
      onRetry (ms) {
        baseMs = reconnectionTime(ms)
        isOpening = false
      },
      onComment (text) {
        const [, name, value] = /^sse-(heartbeat|text): (.*)/.exec(isOpening ? text : '') ?? []
        if (name === 'text') textTypes = value!.split(',')
        else if (name) heartbeat(value!)
        // Not the opening: a heartbeat.
        else attempt = 0
        host.comment(text)
      }
    })

    current = { stop, probe: watchdog.probe }
    read().catch(finish)

    function heartbeat (value: string | null): void {
      if (value && stallTimeoutMs === undefined) watchdog.limit(3 * +value)
    }

    async function read (): Promise<unknown> {
      watchdog.limit(stallTimeoutMs ?? ANSWER_TIMEOUT_MS)
      const { url, headers, body } = await target.request(lastEventId)
      if (signal.aborted) return
      const response = await (options.fetch ?? fetch as Fetch)(url, {
        method: target.method, headers, body, signal, credentials: options.credentials, cache: 'no-store', duplex: 'half'
      })
      reader = (response.body as ReadableStream<Uint8Array> | null | undefined)?.getReader()
      // An injected fetch need not care for the signal.
      if (signal.aborted) return reader?.cancel()
      const { status } = response
      const type = response.headers.get('content-type')
      if (status === 204) return end('done')
      if (status !== 200 || !/^text\/event-stream *(;|$)/i.test(type ?? '')) {
        askedMs = retryAfter(response.headers.get('retry-after'))
        refusal = new StreamError(status === 200 ? 'content-type' : 'status', `${status} ${type ?? ''} from ${url.split('?')[0]}: `, undefined, { status, body: '' })
        return finish(await readBody(reader, refusal as { body: string, message: string }))
      }
      if (!reader) throw new StreamError('unsupported', 'No stream in the response: use another fetch')
      watchdog.limit(stallTimeoutMs ?? 0)
      heartbeat(response.headers.get('sse-heartbeat'))
      askedMs = 0
      isLive = true
      while (!signal.aborted) {
        host.status('live', attempt)
        const room = host.room()
        if (room) {
          // Nobody reads: silence means nothing.
          watchdog.rest()
          await room
        }
        watchdog.feed()
        const { done, value } = await reader.read()
        if (done) throw new StreamError('ended', 'The response ended early')
        decoder.push(value)
        // After its event: the ID of one that was not given is not passed on.
        if (!signal.aborted && placed !== lastEventId) host.place(placed = lastEventId)
      }
    }

    function stop (): void {
      decoder.stop()
      watchdog.limit(0)
      controller.abort()
      reader?.cancel().catch(nothing)
    }

    function finish (error: unknown): void {
      if (signal.aborted) return
      stop()
      error = refusal ?? error
      current = undefined
      failed(error instanceof StreamError
        ? error
        : new StreamError(error instanceof RangeError ? 'too-large' : 'network', String(error), error), sentAt)
        // The application's shouldRetry or onUnauthorized has failed.
        .catch((error: unknown) => current ?? fail(new StreamError('handler', String(error), error)))
    }
  }

  async function failed (error: StreamError, sentAt: number): Promise<void> {
    const { kind, status = 0 } = error
    // Read late: a link that is shared has now the options of one, now of another.
    const { onUnauthorized } = options
    // 401 or 403.
    if (onUnauthorized && !hasRefreshed && (status | 2) === 403) {
      hasRefreshed = true
      if (await refresh(onUnauthorized, error, sentAt) !== false) return openUnlessOpen()
      if (isOver || current) return
    }
    hasRefreshed = false
    attempt++
    error.willRetry = await options.shouldRetry?.(error, attempt) ?? (
      /^(network|ended|stalled|request|status(408|425|429|5..))$/.test(kind + (status || '')) &&
      // What is not safe may have been done already.
      (/^(GET|QUERY)$/.test(target.method) || !!lastEventId || kind === 'request'))
    if (isOver || current) return
    if (!error.willRetry) return fail(error)
    const leastMs = Math.max(baseMs, askedMs)
    askedMs = 0
    notBefore = Date.now() + leastMs
    const delayMs = error.delayMs = backoff(attempt, baseMs, leastMs)
    host.status('reconnecting', attempt, kind, error)
    if (!isOver && !current) wait(delayMs)
  }

  function close (): void {
    isOver = true
    clearTimeout(timer)
    listen('removeEventListener')
    current?.stop()
  }

  function end (reason: StreamError['kind'] | 'done', error?: StreamError): void {
    close()
    host.status('closed', attempt, reason, error)
  }

  function fail (error: StreamError): void {
    end(error.kind, error)
  }

  return {
    close,
    fail,
    reconnect () {
      clearTimeout(timer)
      hasRefreshed = false
      const old = current
      current = undefined
      old?.stop()
      host.status('reconnecting', attempt, 'manual')
      openUnlessOpen()
    }
  }
}

function nothing (): void {}

async function readBody (reader: Reader | undefined, error: { body: string, message: string }): Promise<void> {
  const decoder = new TextDecoder()
  for (let chunk; reader && error.body.length < MAX_BODY_LENGTH && !(chunk = await reader.read()).done;) { // eslint-disable-line no-unmodified-loop-condition
    const text = decoder.decode(chunk.value, { stream: true })
    error.body = (error.body + text).slice(0, MAX_BODY_LENGTH)
    error.message += text.slice(0, 200)
  }
}
