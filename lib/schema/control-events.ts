/**
 * Why a subscriber cannot go on where it was.
 *
 * - `'malformed'`: its ID is none that a channel has given
 * - `'epoch'`: its ID is of another log: of another channel, or of this one before the log was lost
 * - `'future'`: its ID is of this log, and higher than the newest event
 * - `'evicted'`: the events after its ID are no longer all kept
 * - `'overrun'`: it was connected, and so slow that events were evicted before it had taken them
 */
export type GapReason = 'malformed' | 'epoch' | 'future' | 'evicted' | 'overrun'

/** What a subscriber has missed, as the data of `sse.gap`. */
export interface Gap {
  readonly reason: GapReason
  /** The ID that it could not go on from; of a long one the first 128 characters. */
  readonly requested: string
  /** The ID after which it goes on. */
  readonly resumedAt: string
  /** Which channel it is about, on a stream that merges several: its name. */
  readonly channel?: string
  /** The same: its key in its family, if it is of one. */
  readonly key?: string
}

/** What says in a subscription's events that some are missing. */
export interface GapEvent {
  event: 'sse.gap'
  data: Gap
  /** Where it goes on; undefined when a snapshot follows, after which the first event has an ID. */
  id?: string
}

/** Why a stream has failed after it was opened, as the data of `sse.fault`. */
export interface Fault {
  /** One of the codes in ERRORS.md, or that of the application's own error when it is exposed. */
  readonly code: string
  /** For people. Redacted, unless the error is exposed. */
  readonly message: string
}
