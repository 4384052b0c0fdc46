import type { CloseReason } from '../close-reason.js'
import type { EventStream } from './event-stream.js'
import { SharedTimer } from '../time/shared-timer.js'

/** What has been counted since the plugin was registered. */
export interface StreamStats {
  /** Streams whose response is not over. */
  open: number
  /** Sources that have not returned: those of open streams, and those that do not react to their signal. */
  sources: number
  /** Streams opened so far. */
  opened: number
  /** Events handed to responses so far. */
  events: number
  /** Streams ended so far, by reason. A reason that has not occurred is absent. */
  closed: Partial<Record<CloseReason, number>>
}

/**
 * All streams of one plugin: who is open, what has been counted, and the one timer they wait on.
 */
export class StreamHub {
  readonly timer = new SharedTimer()
  readonly streams = new Set<EventStream>()
  /** Streams whose source has not returned, open or not. */
  readonly unsettled = new Set<EventStream>()
  opened = 0
  events = 0
  readonly closed: Partial<Record<CloseReason, number>> = {}
  /** Called with each stream that opens while the server is closing; null before. */
  onOpened: ((stream: EventStream) => void) | null = null

  add (stream: EventStream): void {
    this.streams.add(stream)
    this.opened++
  }

  remove (stream: EventStream, reason: CloseReason): void {
    this.streams.delete(stream)
    this.closed[reason] = (this.closed[reason] ?? 0) + 1
  }

  stats (): StreamStats {
    return {
      open: this.streams.size,
      sources: this.unsettled.size,
      opened: this.opened,
      events: this.events,
      closed: { ...this.closed }
    }
  }
}
