import type { Gap } from '../schema/control-events.js'
import type { BodyOf, ParamsOf, QueryOf, QueryParams, StreamDefinition } from '../schema/definition.js'
import type { ReceivedEvent, StreamEvent, UnknownEvent } from '../schema/received.js'
import type { StreamError, StreamErrorKind } from './error.js'

/** A URL, as text or as an object that has one. */
export type Href = string | { readonly href: string }

/** A value, or a function that gives it and is called for every attempt to connect. */
export type PerAttempt<T> = T | (() => T | Promise<T>)

/**
 * Where a stream stands.
 *
 * - `'connecting'`: the first attempt is under way
 * - `'live'`: connected
 * - `'stale'`: connected, but nothing has come for longer than it should: it is being waited for
 * - `'reconnecting'`: not connected; waits for its next attempt, or makes it
 * - `'closed'`: over for good
 */
export type StreamStatus = 'connecting' | 'live' | 'stale' | 'reconnecting' | 'closed'

/** {@link StreamStatus} with what belongs to it. A new object at each change, so it can be compared. */
export interface StreamState {
  readonly status: StreamStatus
  /**
   * Why, if there is anything to say: the kind of the error behind it, or
   *
   * - `'silent'` for `'stale'`
   * - `'manual'`: `reconnect()` was called
   * - `'done'` for `'closed'`: the server said that the stream is over (`sse.end`, or status 204)
   * - `'closed'` for `'closed'`: by `close()`, by the signal, or by leaving the iteration
   */
  readonly reason?: StreamErrorKind | 'silent' | 'manual' | 'done' | 'closed' | undefined
  /** How many attempts in a row have failed. */
  readonly attempt: number
  /** For `'reconnecting'`: milliseconds until the next attempt. */
  readonly delayMs?: number | undefined
  /** For `'reconnecting'` and `'closed'`: the error that led there. */
  readonly error?: StreamError | undefined
}

/** What a custom `fetch` is called with. */
export interface FetchInit {
  method?: string
  headers?: unknown
  body?: unknown
  signal?: unknown
  cache?: unknown
  credentials?: unknown
  duplex?: unknown
}

/** What the client needs of a response. */
export interface FetchResponse {
  readonly status: number
  readonly headers: { get (name: string): string | null }
  readonly body?: unknown
}

/**
 * A `fetch` whose response has a `ReadableStream` of bytes as body.
 *
 * Its `init` is {@link FetchInit}, and `any` so that it can be handed to the `fetch` of any platform.
 */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- see above
export type Fetch = (url: string, init: any) => Promise<FetchResponse>

/**
 * Judges an event: gives nothing when it is right, and otherwise what is wrong with it, for the error's message. Called with
 * the parsed data.
 */
export type Validator = (event: { readonly event: string, readonly data: unknown }) => string | undefined

/** Headers as `fetch` takes them. */
export type HeadersLike = Readonly<Record<string, string>> | Iterable<readonly [string, string]> | Iterable<string[]>

interface CommonOptions {
  /**
   * HTTP method. A request that is not GET is sent again only when the stream can go on from a last event ID, or when
   * `shouldRetry` says so.
   *
   * @defaultValue `'POST'` with a `body`, otherwise `'GET'`
   */
  method?: string | undefined
  /** Request headers, or a function that gives them for every attempt: for tokens that expire. */
  headers?: PerAttempt<HeadersLike | undefined> | undefined
  /**
   * Whether cookies go along: as in `fetch`.
   *
   * @defaultValue what `fetch` does: `'same-origin'` in browsers
   */
  credentials?: 'omit' | 'same-origin' | 'include' | undefined
  /**
   * The function that requests.
   *
   * @defaultValue the global `fetch`
   */
  fetch?: Fetch | undefined
  /** Closes the stream when it aborts. */
  signal?: AbortSignalLike | undefined
  /** Where to go on: the last event ID of an earlier connection, sent as `Last-Event-ID`. */
  initialLastEventId?: string | undefined
  /**
   * How long to wait before connecting again, until the server says otherwise (`retry`). Each attempt that fails
   * lengthens the wait, at random, by up to 30 seconds.
   *
   * Milliseconds: 100 or more.
   *
   * @defaultValue `1_000`
   */
  reconnectionTimeMs?: number | undefined
  /**
   * Longest silence, and longest wait for an answer. The connection is taken for dead then, and made anew.
   *
   * Milliseconds; `0` for no limit.
   *
   * @defaultValue three times the heartbeat that the server tells (`sse-heartbeat`), no limit when it tells none; 45 seconds for the answer
   */
  stallTimeoutMs?: number | undefined
  /**
   * Largest event. The stream ends with an error (`'too-large'`) past it.
   *
   * Bytes; text that is not ASCII counts for less, a character for one or two.
   *
   * @defaultValue `16_777_216`
   */
  maxEventBytes?: number | undefined
  /**
   * Decides whether to connect again. Undefined leaves it to the client: it retries what is lost, stalled, ended early, and
   * status 408, 425, 429 and 5xx; not what POST has sent once, unless the stream can be resumed by its last event ID.
   *
   * @param attempt how many have failed in a row, this one included
   */
  shouldRetry?: ((error: StreamError, attempt: number) => boolean | undefined) | undefined
  /**
   * Called when the server answers 401 or 403. The request is made once more when its promise resolves, with new `headers`;
   * `false` gives up. Streams that are refused at the same time share one call of the same function.
   *
   * @defaultValue 401 and 403 end the stream
   */
  onUnauthorized?: ((error: StreamError) => unknown) | undefined
  /** Told of each change, and at the beginning. */
  onStatus?: ((status: StreamStatus, state: StreamState) => void) | undefined
  /** Told of each comment line, heartbeats included. */
  onComment?: ((text: string) => void) | undefined
  /**
   * Told of each error: those after which the stream connects again (`willRetry`), the one that ends it, and what a handler threw.
   *
   * @defaultValue what nothing else tells of is logged with `console.error`: what a handler threw, the end of a stream that is not iterated
   * over, and the first failure of one that has never been connected
   */
  onError?: ((error: StreamError) => unknown) | undefined
  /**
   * One connection for all tabs of an origin (and all `connect` of a tab) with the same method and URL, or the same name. A name
   * is needed where a function gives the URL, and with a body. Where there are no Web Locks and BroadcastChannel (without HTTPS
   * there are none) each has its own connection.
   *
   * One tab leads. What the request is made of, and decides about it (`headers`, `body`, `fetch`, `initialLastEventId`,
   * `shouldRetry`, `onUnauthorized`, …), is that of its oldest `connect`; all else is each one's own. All tabs get the events that
   * one of them may see: streams of different users need different names.
   *
   * Who comes later gets what is sent from then on. With an `initialLastEventId` that is not where the others stand it is told
   * `sse.gap` first. So is a page that was frozen, or kept for «back», when it has missed something; meanwhile it takes no
   * part. Nothing makes the connection wait for a slow tab: one that is 4,096 events behind loses those, and is told `sse.gap`
   * (`'overrun'`) in their place.
   *
   * @defaultValue `false`
   */
  share?: boolean | string | undefined
  /** Checks events, for example `typeboxValidator(Clock)`. Data is not checked without it. */
  validate?: Validator | undefined
  /**
   * What happens to an event that `validate` refuses, or whose data is not JSON.
   *
   * - `'throw'`: it ends the stream with an error (`'invalid'`)
   * - `'skip'`: it is left out
   * - a function: the same, and the function is told
   *
   * @defaultValue `'throw'`
   */
  invalid?: 'throw' | 'skip' | ((error: StreamError, raw: { event: string, data: string, id?: string }) => void) | undefined
}

/**
 * Options of `connect` with a URL.
 *
 * @typeParam Format what `data` may be
 */
export interface ConnectOptions<Format extends 'json' | 'text' = 'json' | 'text'> extends CommonOptions {
  /**
   * - `'json'`: data is JSON, except that of events which the server has marked as text
   * - `'text'`: data is given as it is, for streams that are not ours
   *
   * @defaultValue `'json'`
   */
  data?: Format | undefined
  /** Body of the request. What is no string, form, bytes, blob or stream is sent as JSON. */
  body?: PerAttempt<unknown>
  /** For the `:names` in the URL's path. */
  params?: Readonly<Record<string, unknown>> | undefined
  /** Goes after the `?`. */
  query?: QueryParams | undefined
}

/** Options of `connect` with a stream that was declared with `defineStream`: what it takes, and wrong or missing values do not compile. */
export type StreamOptions<S> = DeclaredOptions & ParamsOption<S> & QueryOption<S> & BodyOption<S>

interface DeclaredOptions extends Omit<CommonOptions, 'method'> {
  data?: 'json' | undefined
  /** What comes before the path: origin, and prefix if the server has one. Not where the URL is given. */
  baseUrl?: PerAttempt<Href> | undefined
}

interface UrlGiven { baseUrl?: never }

type ParamsOption<S> = {} extends ParamsOf<S> ? { params?: ParamsOf<S> | undefined } : { params: ParamsOf<S> }
type QueryOption<S> = {} extends QueryOf<S> ? { query?: QueryOf<S> | undefined } : { query: QueryOf<S> }
type BodyOption<S> = [BodyOf<S>] extends [never] ? { body?: never } : { body: PerAttempt<BodyOf<S>> }

/** Where no definition tells the method, it has to be given, unless it is the one that the options lead to. */
type MethodOption<S extends StreamDefinition> = S['method'] extends ([BodyOf<S>] extends [never] ? 'GET' : 'POST')
  ? { method?: S['method'] }
  : { method: S['method'] }

/** Where to connect to: of a stream definition's type its path, with whatever comes before it. What is no text cannot be compared with it. */
export type UrlArgument<D> = D extends StreamDefinition
  ? D['path'] | `${string}${D['path']}` | { readonly href: string } | (() => Href | Promise<Href>)
  : PerAttempt<Href>

/** The options of `connect`: its last argument, which may be left out when none of them is required. */
export type OptionsArgument<D, Format extends 'json' | 'text', S> = IsStream<S> extends true ? Optional<StreamOptions<S>> : Optional<UrlOptions<D, Format>>

type UrlOptions<D, Format extends 'json' | 'text'> = D extends StreamDefinition ? StreamOptions<D> & MethodOption<D> & UrlGiven : ConnectOptions<Format>

type Optional<O> = {} extends O ? [options?: O] : [options: O]

/** The events that a connected stream gives. */
export type ConnectedEvent<D, Format, S> =
  IsStream<S> extends true ? StreamEvent<S> : [Format] extends ['text'] ? ReceivedEvent<string, string> : StreamEvent<D>

type IsStream<S> = [S] extends [never] ? false : [S] extends [StreamDefinition] ? true : false

/** As much of an `AbortSignal` as is needed. */
export interface AbortSignalLike {
  readonly aborted: boolean
  addEventListener (type: 'abort', listener: () => void): void
  removeEventListener (type: 'abort', listener: () => void): void
}

/** Names that {@link EventStream.on} takes. */
export type EventName<E extends ReceivedEvent> = E extends UnknownEvent ? string extends E['event'] ? string : 'sse.unknown' : E['event']

/** The event of a name. */
export type EventNamed<E extends ReceivedEvent, Name> = string extends E['event']
  ? Name extends 'sse.unknown' ? E : ReceivedEvent<Name & string, Name extends 'sse.gap' ? unknown extends E['data'] ? Gap : E['data'] : E['data']>
  : Name extends 'sse.unknown' ? UnknownEvent : E extends unknown ? E['event'] extends Name ? E : never : never

/** An open stream. It connects by itself, again and again, until it is over. */
export interface EventStream<E extends ReceivedEvent = StreamEvent<unknown>> extends AsyncIterable<E> {
  /** Where the stream stands. */
  readonly status: StreamStatus
  /** The same with reason, delay, attempt and error. */
  readonly state: StreamState
  /**
   * ID of the last event that was given to a handler or to the iteration; the one to keep for `initialLastEventId`. Empty while
   * there is none.
   */
  readonly lastEventId: string
  /** Resolves when the stream is over, with its last state. Never rejects. */
  readonly closed: Promise<StreamState>
  /**
   * Calls `handler` for each event of a type. `'message'` are events without a type, `'sse.gap'` says that some are missing, and
   * `'sse.unknown'` are those of all types that have no handler.
   *
   * Events wait until there is a first handler or an iteration, so none is lost between `connect` and `on`. What a handler
   * throws, or rejects with, goes to `onError`, and the stream goes on.
   *
   * @returns removes the handler
   */
  on<Name extends EventName<E>> (name: Name, handler: (data: EventNamed<E, Name>['data'], event: EventNamed<E, Name>) => unknown): () => void
  /** Drops the connection, if there is one, and connects at once, going on from the last event ID. Nothing once the stream is closed. */
  reconnect (): void
  /** Ends the stream: nothing more is given, and nothing is left. May be called twice. */
  close (): void
  /**
   * Iterates over the events. Leaving the loop closes the stream; an error that ends it is thrown, after the events before it.
   * The connection is read no further than some 16 events ahead and the rest of one chunk.
   *
   * There can be one iteration at a time.
   */
  [Symbol.asyncIterator] (): AsyncIterator<E, undefined, undefined>
}
