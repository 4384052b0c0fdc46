import type { CloseReason } from '../close-reason.js'

/** Frames that are written together. Many streams may write the same. */
export interface Frames {
  readonly frames: Buffer
  /** The same as one chunk of an HTTP/1.1 response. */
  readonly chunk: Buffer
  /** How many events they are. */
  readonly events: number
}

/**
 * What feeds a stream with frames, instead of a source with events.
 *
 * It writes to the stream by itself when it has something, as long as {@link EventStream.isReady}.
 */
export interface FrameFeed {
  /** The stream wants its first frames. Throws, or rejects, for a stream that is refused. */
  start (): void | Promise<void>
  /** The stream takes frames again. */
  resume (now: number): void
  /** An ID block when the client's last event ID is behind where it stands, else `''`; the caller sends it. */
  tellPosition (): string
  /** The stream is over, or about to be. */
  close (reason: CloseReason): void
}
