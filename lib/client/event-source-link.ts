import type { Fault } from '../schema/control-events.js'
import type { OpenLink } from './connect.js'
import type { StreamError } from './error.js'

const RECONNECTION_TIME_MS = 1_000
const MIN_DELAY_MS = 100
/** A connection that has lived so long was a good one: failures are counted anew. */
const HEALTHY_MS = 5_000
/** So many answers in a row that are no stream end it. Which answers, an `EventSource` does not tell. */
const MAX_REFUSALS = 10
const CLOSED = 2

/** As much of an `EventSource` as is needed, of the browser's own or of another. */
interface EventSourceLike {
  readonly readyState: number
  addEventListener (type: string, listener: (event: EventLike) => void): void
  close (): void
}

interface EventLike {
  readonly type: string
  /** What came from the server; what the `EventSource` tells of itself has none. */
  readonly data?: string
  readonly lastEventId?: string
}

interface Surroundings {
  EventSource?: new (url: string, init: { withCredentials: boolean }) => EventSourceLike
}

/**
 * Opens a stream with `EventSource`, for platforms whose `fetch` does not stream.
 *
 * It sends GET without headers and body, and gives events of those types alone that were asked for by name: those that the
 * stream definition declares, and those that have a handler. A stream that needs more ends with `'unsupported'` rather
 * than without an event of it. Without a definition it connects when there is a first handler: what came before would be lost.
 *
 * It reconnects by itself after a lost connection, when the server has told it to, and gives up after an answer that is no
 * stream, without telling which. A server that is being replaced answers so for a moment: hence it is made anew
 * here, as often as that may be a reason, and likewise when a function gives the URL.
 *
 * Comments, reconnection times, and IDs without an event are not shown: no `onComment`, no stall timeout, and text is known
 * as text from the definition alone. Nothing can be held back: events wait for their reader without a limit.
 */
export const openLink: OpenLink = (target, options, host, { StreamError, backoff }) => {
  const { EventSource } = globalThis as Surroundings
  const { schemas } = options
  const types = new Set(['sse.end', 'sse.fault', 'sse.gap', ...Object.keys(schemas ?? {})])
  let isRead = schemas !== undefined
  let lastEventId = options.initialLastEventId ?? ''
  const baseMs = Math.max(options.reconnectionTimeMs || RECONNECTION_TIME_MS, MIN_DELAY_MS)
  /** How many attempts in a row have failed, and how many of them lately by being refused. */
  let attempt = 0
  let refusals = 0
  let isOver = false
  let liveAt = 0
  let timer: ReturnType<typeof setTimeout> | undefined
  let source: EventSourceLike | undefined
  /** Of the attempt that is being made: what an earlier one still asks for is not opened. */
  let number = 0

  const obstacle = !EventSource
    ? 'there is no EventSource either'
    : target.method !== 'GET'
      ? `EventSource cannot send the method ${target.method}`
      : options.body !== undefined
        ? 'EventSource cannot send a body'
        : options.credentials === 'omit' ? 'EventSource cannot leave out cookies (credentials)' : undefined

  // After a close() in the same turn, which makes no request.
  wait(0)
  host.status('connecting', attempt)
  if (obstacle !== undefined) end('unsupported', unsupported(obstacle))

  function wait (ms: number): void {
    clearTimeout(timer)
    timer = setTimeout(() => { void open() }, ms)
  }

  async function open (): Promise<void> {
    timer = undefined
    if (isOver || source || !isRead) return
    const thisNumber = ++number
    let opened: EventSourceLike
    try {
      const { url, headers } = await target.request('')
      if (isOver || thisNumber !== number) return
      headers.delete('accept')
      const [header] = headers.keys()
      if (header !== undefined) return end('unsupported', unsupported(`EventSource cannot send the header ${header}`))
      opened = source = new EventSource!(placed(url, lastEventId), { withCredentials: options.credentials === 'include' })
    } catch (error) {
      if (thisNumber === number) await failed(error instanceof StreamError ? error : new StreamError('request', String(error), error))
      return
    }
    for (const type of types) listen(opened, type)
    // Those that the EventSource tells of itself. Servers may send events of these types too.
    for (const type of ['open', 'error']) if (!types.has(type)) listen(opened, type)
  }

  function listen (opened: EventSourceLike, type: string): void {
    opened.addEventListener(type, (event) => {
      // Some go on with the rest of a chunk after close().
      if (opened !== source) return
      if (typeof event.data !== 'string') {
        if (type === 'open') live()
        else if (type === 'error') broken(opened)
      } else if (types.has(type)) {
        receive(type, event.data, event.lastEventId ?? '')
      }
    })
  }

  function live (): void {
    liveAt = Date.now()
    refusals = 0
    host.status('live', attempt)
  }

  function receive (event: string, data: string, id: string): void {
    attempt = 0
    if (event === 'sse.end') return end('done')
    lastEventId = id
    if (event === 'sse.fault') {
      let fault: Partial<Fault> | null = null
      try {
        fault = JSON.parse(data)
      } catch {}
      drop()
      void failed(new StreamError('fault', fault?.message ?? data, undefined, { code: fault?.code }))
      return
    }
    // The keyword of text(), whose module brings TypeBox along.
    host.receive({ event, data, id }, (schemas?.[event] as { 'x-sse-data'?: string } | undefined)?.['x-sse-data'] === 'text')
  }

  function broken (opened: EventSourceLike): void {
    if (liveAt && Date.now() - liveAt >= HEALTHY_MS) attempt = 0
    liveAt = 0
    const isRefused = opened.readyState === CLOSED
    if (isRefused || target.href === undefined) drop()
    refusals = isRefused ? refusals + 1 : 0
    void failed(isRefused
      ? new StreamError('status', 'Refused, or answered with something else than an event stream. EventSource does not tell which')
      : new StreamError('network', 'No connection, or it was lost'))
  }

  async function failed (error: StreamError): Promise<void> {
    const { kind } = error
    attempt++
    // An EventSource that is left goes on by itself, and when is not told.
    if (!source) error.delayMs = backoff(attempt, baseMs, baseMs)
    const thisNumber = number
    try {
      error.willRetry = (options.shouldRetry && await options.shouldRetry(error, attempt)) ?? (kind !== 'fault' && refusals < MAX_REFUSALS)
    } catch (thrown) {
      error = new StreamError('handler', String(thrown), thrown)
    }
    if (isOver || thisNumber !== number) return
    if (!error.willRetry) return end(error.kind, error)
    // It has connected by itself while shouldRetry made up its mind.
    if (liveAt) return
    host.status('reconnecting', attempt, kind, error)
    if (!isOver && !source && thisNumber === number) wait(error.delayMs!)
  }

  function drop (): void {
    number++
    liveAt = 0
    source?.close()
    source = undefined
  }

  function close (): void {
    isOver = true
    clearTimeout(timer)
    drop()
  }

  function end (reason: StreamError['kind'] | 'done', error?: StreamError): void {
    close()
    if (error) error.delayMs = undefined
    host.status('closed', attempt, reason, error)
  }

  function unsupported (obstacle: string, advice = 'Hand over'): StreamError {
    return new StreamError('unsupported', `fetch does not stream on this platform, and ${obstacle}. ${advice} a fetch that streams, as the option 'fetch'`)
  }

  return {
    close,
    fail (error) {
      end(error.kind, error)
    },
    reconnect () {
      if (isOver) return
      drop()
      host.status('reconnecting', attempt, 'manual')
      if (!isOver) wait(0)
    },
    listen (type) {
      if (isOver) return
      if (!schemas && (type === undefined || type === 'sse.unknown')) {
        return end('unsupported', unsupported(`EventSource has to be told each event type, which ${type ?? 'an iteration'} does not`,
          'Connect with a stream made with defineStream, add a handler for each event type with on(), or hand over'))
      }
      if (type !== undefined && !types.has(type) && type !== 'sse.unknown') {
        types.add(type)
        // For these there is a listener already.
        if (source && type !== 'open' && type !== 'error') listen(source, type)
      }
      if (isRead) return
      isRead = true
      wait(0)
    }
  }
}

/** A URL that says where to go on: an `EventSource` sends no `Last-Event-ID` in its first request. */
function placed (url: string, lastEventId: string): string {
  if (!lastEventId) return url
  const [address = '', query = ''] = url.replace(/#.*/, '').split(/\?(.*)/s)
  const kept = query.split('&').filter((parameter) => parameter && !parameter.startsWith('lastEventId='))
  return `${address}?${[...kept, `lastEventId=${encodeURIComponent(lastEventId)}`].join('&')}`
}
