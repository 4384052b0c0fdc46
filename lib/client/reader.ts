import type { ReceivedEvent } from '../schema/received.js'
import { StreamError } from './error.js'
import type { Link, LinkHost } from './link.js'
import type { ConnectOptions, EventStream, StreamState } from './types.js'

/** How many events and IDs an iteration may be behind before the connection is read no further. */
const MAX_WAITING = 32

type Handler = (data: never, event: never) => unknown

/** An event that waits for its reader, or a place without an event. */
type Waiting = ReceivedEvent | { readonly event?: undefined, readonly id: string }

/** What reads one stream: its handlers and its iteration, and what waits for them. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- of any events
export function createReader (options: ConnectOptions, open: (host: LinkHost) => Link): EventStream<any> {
  const { onStatus, onComment, onError, validate, invalid = 'throw', data: format, signal } = options
  const handlers = new Set<readonly [name: string, handler: Handler]>()
  let lastEventId = options.initialLastEventId ?? ''
  let state: StreamState = { status: 'connecting', attempt: 0 }
  let isClosed = false
  /** Whether it has never been connected. */
  let isNew = true
  /** Until there is somebody to read, everything waits; after that, for an iteration alone. */
  let isHandled = false
  let isIterated = false
  let waiting: Waiting[] = []
  let onRoom: (() => void) | undefined
  const wakes: Array<() => void> = []
  let resolveClosed!: (state: StreamState) => void
  const closed = new Promise<StreamState>((resolve) => { resolveClosed = resolve })

  signal?.removeEventListener('abort', close)
  const link = open({
    receive (raw, isText) {
      const { event, data, id } = raw
      const parsed: ReceivedEvent = id ? { event, data, id } : { event, data }
      let problem: string | undefined
      try {
        if (format !== 'text' && !isText) parsed.data = JSON.parse(data)
        problem = validate?.(parsed)
      } catch (error) {
        problem = String(error)
      }
      if (!problem) return give(parsed)
      const error = new StreamError('invalid', `Event ${event} is invalid: ${problem}. Its data: ${data.slice(0, 200)}`)
      if (invalid === 'throw') return link.fail(error)
      if (invalid !== 'skip') call(() => invalid(error, raw))
      give({ id })
    },
    place (id) {
      give({ id })
    },
    comment (text) {
      call(() => onComment?.(text))
    },
    status: setState,
    room: () => waiting.length < MAX_WAITING ? undefined : new Promise((resolve) => { onRoom = resolve })
  })
  signal?.addEventListener('abort', close)
  if (signal?.aborted) close()

  function setState (status: StreamState['status'], attempt: number, reason?: StreamState['reason'], error?: StreamError): void {
    if (state.status === 'closed' || (status === state.status && reason === state.reason && status !== 'connecting' && !error)) return
    isNew &&= status !== 'live'
    const next = state = { status, attempt, reason, delayMs: error?.delayMs, error }
    if (status === 'closed') {
      signal?.removeEventListener('abort', close)
      resolveClosed(next)
      wake()
    }
    // An iteration throws the last one. And who has never been connected is to see why.
    if (error && (onError || (status === 'closed' ? handlers.size && !isIterated : attempt === 1 && isNew))) report(error)
    // onError may have closed it.
    if (state === next) call(() => onStatus?.(status, next))
  }

  function close (): void {
    isClosed = true
    waiting = []
    link.close()
    setState('closed', state.attempt, 'closed')
  }

  function give (event: Waiting): void {
    if (isClosed) return
    if (isIterated || !isHandled) {
      waiting.push(event)
      wake()
    }
    if (isHandled) dispatch(event)
  }

  function wake (): void {
    for (const resolve of wakes.splice(0)) resolve()
  }

  function dispatch (event: Waiting): void {
    if (isClosed || signal?.aborted) return
    if (!isIterated) lastEventId = event.id ?? ''
    if (event.event === undefined) return
    const found = handlersOf(event.event)
    for (const entry of found.length ? found : handlersOf('sse.unknown')) {
      // The one before may have closed the stream, or removed this one.
      if (!isClosed && handlers.has(entry)) call(() => entry[1](event.data as never, event as never))
    }
  }

  function handlersOf (name: string): Array<readonly [name: string, handler: Handler]> {
    return [...handlers].filter((entry) => entry[0] === name)
  }

  /** Calls what the application has given; what it throws, or rejects with, is reported. */
  function call (callback: () => unknown, failed: (cause: unknown) => void = (cause) => report(new StreamError('handler', `Callback: ${cause}`, cause))): void {
    try {
      (callback() as PromiseLike<unknown> | undefined)?.then?.(undefined, failed)
    } catch (cause) {
      failed(cause)
    }
  }

  function report (error: StreamError): void {
    call(() => (onError ?? console.error)(error), console.error)
  }

  async function next (): Promise<IteratorResult<ReceivedEvent, undefined>> {
    for (;;) {
      if (signal?.aborted) close()
      const event = waiting.shift()
      if (waiting.length < MAX_WAITING) onRoom?.()
      if (event) {
        lastEventId = event.id ?? ''
        if (event.event !== undefined) return { done: false, value: event }
      } else if (state.status === 'closed') {
        if (!state.error || isClosed) return { done: true, value: undefined }
        isClosed = true
        throw state.error
      } else {
        await new Promise<void>((resolve) => { wakes.push(resolve) })
      }
    }
  }

  return {
    get status () { return state.status },
    get state () { return state },
    get lastEventId () { return lastEventId },
    closed,
    on (name: string, handler: (data: never, event: never) => unknown) {
      const entry = [name, handler] as const
      handlers.add(entry)
      link.listen?.(name)
      // After the other handlers that are added in this turn.
      queueMicrotask(() => {
        if (isHandled) return
        isHandled = true
        for (const event of isIterated ? [...waiting] : waiting.splice(0)) dispatch(event)
        onRoom?.()
      })
      return () => {
        handlers.delete(entry)
      }
    },
    reconnect () {
      if (state.status !== 'closed') link.reconnect()
    },
    close,
    [Symbol.asyncIterator] () {
      if (isIterated && state.status !== 'closed') throw new TypeError('Iterated over already: use on()')
      isIterated = true
      link.listen?.()
      return {
        next,
        async return () {
          close()
          return { done: true, value: undefined }
        }
      }
    }
  }
}
