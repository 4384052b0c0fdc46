import type { OutgoingHttpHeaders } from 'node:http'
import type { StreamEvent } from '../schema/received.js'

/**
 * How an injected stream came to its end.
 *
 * - `'source-ended'`: by `sse.end`, so that a client does not come back
 * - `'fault'`: by `sse.fault`
 * - `'no-content'`: the answer was 204, which tells a client that it has seen the end already
 * - `'incomplete'`: in order, but by none of these: the server closes, the stream has lived long enough or was evicted, or
 *   its route sends no control events. A client comes back.
 * - `'cut'`: the server cut the response off. A client comes back.
 * - `'left'`: the test left, by `close()`, out of a `for await` loop or by its signal
 */
export type InjectedStreamEnd = 'source-ended' | 'fault' | 'no-content' | 'incomplete' | 'cut' | 'left'

export interface ReadOptions {
  /**
   * How long the read waits for each event, in real time, also when the test fakes the timers.
   *
   * Milliseconds: an integer up to 2^31 - 1, or `0` for no limit.
   *
   * @defaultValue that of {@link InjectSSEOptions.timeoutMs}
   * @throws FST_SSE_TEST_TIMEOUT when no event has come. Nothing is lost by it: the next read gets the event.
   */
  timeoutMs?: number | undefined
}

/**
 * An event stream as its client sees it. Made by `injectSSE`.
 *
 * An event is `{ event, data, id? }`: without `id` as long as the stream has given none, and with that of an earlier event when
 * it has none of its own. `sse.gap` is an event. `sse.end` ends the stream and is not given.
 *
 * Reads are served in the order of their calls. They reject with a {@link StreamFaultError} when the stream has failed and all
 * events before that were read, and so does every read after it, until `close()`. A read that rejects takes no event, except one
 * whose data is not JSON (FST_SSE_TEST_DATA_UNREADABLE).
 *
 * What nobody has asked for stays with the server, as with a client that reads slowly: at most one chunk (64 KiB) and
 * Node's buffers are read ahead.
 */
export interface InjectedStream<D = unknown> extends AsyncIterable<StreamEvent<D>> {
  /** 200; 204 when the client has seen the end of the stream already. */
  readonly statusCode: number
  readonly headers: OutgoingHttpHeaders
  /** How the stream came to its end; undefined as long as there may be something to read. */
  readonly ended: InjectedStreamEnd | undefined
  /** What a client that leaves now sends when it comes back: the ID of the last event that was read, or of a block after it. */
  readonly lastEventId: string
  /** The last `retry`. Milliseconds; undefined as long as there was none. */
  readonly reconnectionTimeMs: number | undefined
  /** The text of each comment so far: what the stream opens with, the application's own, and `''` for a heartbeat. */
  readonly comments: readonly string[]

  /** The next event; undefined when the stream is over. By then the server has done with it, and `onDisconnect` was called. */
  next (options?: ReadOptions): Promise<StreamEvent<D> | undefined>
  /**
   * The next `count` events, together; fewer when the stream ends before.
   *
   * @param count 0 or more; `Infinity` for all there are
   * @throws FST_SSE_OPTION_INVALID for anything else
   */
  take (count: number, options?: ReadOptions): Promise<Array<StreamEvent<D>>>
  /**
   * Leaves, as a client does. Reads that wait get what there is, events that were not read are dropped, and from now on the
   * stream is over. May be called twice. Never rejects.
   *
   * Resolves when the server has let go of the stream: its signal has aborted, its source was told to return, and
   * `app.sse.stats().open` does not count it any more. It does not wait for the source, which may take its time.
   */
  close (): Promise<void>
  /** The same, for `await using`. */
  [Symbol.asyncDispose] (): Promise<void>
}
