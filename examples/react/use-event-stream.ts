// An event stream in a React component. One file, React 18 or 19: copy it into your project.
//
//   const { status, error } = useEventStream(Prices, { params: { symbol }, onEvent: (event) => … })
//   const { status, error } = useEventStream<typeof Clock>('/clock', { onEvent: (event) => … })
import { useCallback, useEffect, useRef, useState } from 'react'
import { connect, type ConnectOptions, type EventStream, type StreamEvent, type StreamOptions, type StreamState } from 'fastify-typed-sse/client'
import type { StreamDefinition } from 'fastify-typed-sse/events'

interface Listener<E> {
  /** Called with each event: always the function of the last rendering, so it may be a new one each time. */
  onEvent?: ((event: E) => void) | undefined
}

/** What the component may show: `status`, `error` and what else the client tells, anew at each change. */
export interface StreamView extends StreamState {
  /** Connects again at once. */
  reconnect: () => void
}

const CONNECTING: StreamState = { status: 'connecting', attempt: 0 }
const NOT_CONNECTED: StreamState = { status: 'closed', attempt: 0 }

/**
 * Connects while the component is mounted, and anew when the stream, its URL, `params`, `query`, `body`, `method` or
 * `baseUrl` change. Of other options, functions among them, a new connection takes those of the last rendering.
 *
 * @param target a stream made with `defineStream` outside of the component, or the URL; null for no connection
 */
export function useEventStream<S extends StreamDefinition> (target: S | null, options: StreamOptions<S> & Listener<StreamEvent<S>>): StreamView
export function useEventStream<D = unknown> (target: string | null, options: ConnectOptions<'json'> & Listener<StreamEvent<D>>): StreamView
export function useEventStream (target: unknown, options: any): StreamView {
  const [state, setState] = useState(CONNECTING)
  const stream = useRef<EventStream | null>(null)
  const latest = useRef(options)
  // Not while rendering, which may come to nothing.
  useEffect(() => {
    latest.current = options
  })

  // By value: objects that are written in the component are new ones at each rendering. A function counts for nothing.
  const { params, query, body, method, baseUrl } = options
  const key = JSON.stringify([params, query, body, method, baseUrl], (_name, value) => typeof value === 'bigint' ? String(value) : value)

  useEffect(() => {
    if (target === null) return
    let isCurrent = true
    setState(CONNECTING)
    // In development React mounts each component twice. The first of the two connections is closed in the turn in which
    // it was opened, and then it makes no request.
    const opened = stream.current = connect(target as string, {
      ...latest.current,
      onStatus (status: string, state: StreamState) {
        if (isCurrent) setState(state)
        latest.current.onStatus?.(status, state)
      }
    })
    // All events, since there is no other handler. What it throws goes to onError.
    opened.on('sse.unknown', (_data, event) => latest.current.onEvent?.(event))
    return () => {
      isCurrent = false
      opened.close()
    }
  }, [target, key])

  const reconnect = useCallback(() => stream.current?.reconnect(), [])
  return { ...target === null ? NOT_CONNECTED : state, reconnect }
}
