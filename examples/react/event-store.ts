// One event stream for many components: a store outside of React. It is connected while a component uses it.
//
//   const useVisitors = createEventStore((options) => connect(Visitors, options), 0, (count, event) => …)
//   const { value, state } = useVisitors()
import { useSyncExternalStore } from 'react'
import type { EventStream, ReceivedEvent, StreamState } from 'fastify-typed-sse/client'

interface StoreOptions {
  onStatus: (status: string, state: StreamState) => void
}

interface Snapshot<T> {
  /** What the events have made of the initial value. */
  readonly value: T
  readonly state: StreamState
}

/**
 * @param open connects, with the options that it is given
 * @param initial what there is before the first event, and on the server
 * @param reduce makes of a value and an event the next value. Returns a new object, or the same one when nothing has changed.
 * @returns a hook
 */
export function createEventStore<E extends ReceivedEvent, T> (
  open: (options: StoreOptions) => EventStream<E>, initial: T, reduce: (value: T, event: E) => T
): () => Snapshot<T> {
  const beginning: Snapshot<T> = { value: initial, state: { status: 'connecting', attempt: 0 } }
  const listeners = new Set<() => void>()
  let snapshot = beginning
  let stream: EventStream<E> | undefined

  function change (next: Partial<Snapshot<T>>): void {
    snapshot = { ...snapshot, ...next }
    for (const listener of listeners) listener()
  }

  function subscribe (listener: () => void): () => void {
    listeners.add(listener)
    if (stream === undefined) {
      snapshot = beginning
      const opened = stream = open({ onStatus: (_status, state) => { if (opened === stream) change({ state }) } })
      ;(opened as unknown as EventStream).on('sse.unknown', (_data, event) => change({ value: reduce(snapshot.value, event as E) }))
    }
    return () => {
      listeners.delete(listener)
      if (listeners.size > 0) return
      const left = stream
      stream = undefined
      left?.close()
    }
  }

  return () => useSyncExternalStore(subscribe, () => snapshot, () => beginning)
}
