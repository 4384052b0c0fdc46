/**
 * The part of every generated file that is the same: functions behind `createStreams`, and types that are those of the client.
 *
 * The types are copies, since the file imports nothing. They are compared with the client's by a type test.
 */
export const SUPPORT_FUNCTIONS = `/** Lets the client open a stream, with the defaults where the options say nothing. */
function open (connect: Connect, defaults: StreamDefaults, route: Route, options: AnyOptions = {}): EventStream<any> {
  const given: Record<string, unknown> = {}
  for (const [name, value] of [...Object.entries(defaults), ...Object.entries(options)]) {
    if (value !== undefined) given[name] = value
  }
  const headers = joinHeaders(defaults.headers, options.headers)
  if (headers !== undefined) given['headers'] = headers
  const { method, path, json, text = [] } = route
  const schemas = json && Object.fromEntries([...json.map((event) => [event, {}]), ...text.map((event) => [event, { 'x-sse-data': 'text' }])])
  return connect({ href: path, method, path, events: { schemas } }, given)
}

/** Headers of defaults and of one call, which win. Functions among them are called for every attempt. */
function joinHeaders (defaults: GivenHeaders, own: GivenHeaders): PerAttempt<HeadersLike> | undefined {
  if (defaults === undefined && own === undefined) return undefined
  if (typeof defaults !== 'function' && typeof own !== 'function') return join(defaults, own)
  return async () => join(...await Promise.all([valueOf(defaults), valueOf(own)]))
}

async function valueOf (headers: GivenHeaders): Promise<AnyHeaders | undefined> {
  return typeof headers === 'function' ? headers() : headers
}

function join (defaults: AnyHeaders | undefined, own: AnyHeaders | undefined): Array<[string, string]> {
  const owned = entriesOf(own)
  const names = new Set(owned.map(([name]) => name.toLowerCase()))
  return [...entriesOf(defaults).filter(([name]) => !names.has(name.toLowerCase())), ...owned]
}

function entriesOf (headers: AnyHeaders = {}): Array<[string, string]> {
  const entries = Symbol.iterator in headers ? [...headers as Iterable<Iterable<unknown>>] : Object.entries(headers)
  return entries.map((entry) => [...entry]).filter(([, value]) => value !== undefined).map(([name, value]) => [String(name), String(value)])
}
`

export const SUPPORT_TYPES = `/** \`connect\` of \`fastify-typed-sse/client\`, as far as it is needed. */
export type Connect = (target: StreamTarget, options: ConnectOptions) => EventStream<ReceivedEvent>

/** What \`connect\` is told of a stream. */
export interface StreamTarget {
  /** The same as \`path\`, which is what counts. */
  readonly href: string
  readonly method: string
  /** The route's URL, with its \`:names\`. */
  readonly path: string
  /** Event type → what marks its data as text. Undefined where the server declares no events. */
  readonly events: { readonly schemas: Readonly<Record<string, object>> | undefined }
}

/** What \`connect\` is called with. */
export interface ConnectOptions extends StreamOptions {
  headers?: PerAttempt<HeadersLike | undefined> | undefined
  params?: Readonly<Record<string, unknown>> | undefined
  query?: QueryParams | undefined
  body?: PerAttempt<unknown>
}

/** Options of all streams. Those of a call win; headers of both are sent, and of the same name that of the call. */
export interface StreamDefaults extends CommonOptions {
  /** Request headers, or a function that gives them for every attempt: for tokens that expire. */
  headers?: PerAttempt<HeadersLike | undefined> | undefined
}

/** Options of one stream, beside what it takes. */
export interface StreamOptions extends CommonOptions {
  /** Where to go on: the last event ID of an earlier connection, sent as \`Last-Event-ID\`. */
  initialLastEventId?: string | undefined
}

export interface CommonOptions {
  /** What comes before the path: origin, and prefix if the server has one. May be a function, called for every attempt. */
  baseUrl?: PerAttempt<Href> | undefined
  /** Whether cookies go along: as in \`fetch\`. */
  credentials?: 'omit' | 'same-origin' | 'include' | undefined
  /**
   * The function that requests.
   *
   * @defaultValue the global \`fetch\`
   */
  fetch?: Fetch | undefined
  /** Closes the stream when it aborts. */
  signal?: AbortSignalLike | undefined
  /**
   * How long to wait before connecting again, until the server says otherwise. Each attempt that fails lengthens the wait.
   *
   * Milliseconds: 100 or more.
   *
   * @defaultValue \`1_000\`
   */
  reconnectionTimeMs?: number | undefined
  /**
   * Longest silence, and longest wait for an answer. The connection is taken for dead then, and made anew.
   *
   * Milliseconds; \`0\` for no limit.
   *
   * @defaultValue three times the heartbeat that the server tells
   */
  stallTimeoutMs?: number | undefined
  /**
   * Largest event. The stream ends with an error (\`'too-large'\`) past it.
   *
   * Bytes.
   *
   * @defaultValue \`16_777_216\`
   */
  maxEventBytes?: number | undefined
  /**
   * Decides whether to connect again. Undefined leaves it to the client.
   *
   * @param attempt how many have failed in a row, this one included
   */
  shouldRetry?: ((error: StreamError, attempt: number) => boolean | undefined) | undefined
  /** Called when the server answers 401 or 403. The request is made once more when its promise resolves; \`false\` gives up. */
  onUnauthorized?: ((error: StreamError) => unknown) | undefined
  /** Told of each change, and at the beginning. */
  onStatus?: ((status: StreamStatus, state: StreamState) => void) | undefined
  /** Told of each comment line, heartbeats included. */
  onComment?: ((text: string) => void) | undefined
  /** Told of each error: those after which the stream connects again, the one that ends it, and what a handler threw. */
  onError?: ((error: StreamError) => unknown) | undefined
  /**
   * One connection for all tabs of an origin with the same method and URL, or the same name. A name is needed with a body, and where a
   * function gives the URL. Such a stream may say \`sse.gap\` whether or not its events name it.
   *
   * @defaultValue \`false\`
   */
  share?: boolean | string | undefined
  /** Checks events. Data is not checked without it. */
  validate?: Validator | undefined
  /**
   * What happens to an event that \`validate\` refuses, or whose data is not JSON: it ends the stream with an error (\`'invalid'\`), it is
   * left out, or it is left out and the function is told.
   *
   * @defaultValue \`'throw'\`
   */
  invalid?: 'throw' | 'skip' | ((error: StreamError, raw: { event: string, data: string, id?: string }) => void) | undefined
}

/** Headers of a stream that declares some: these as declared, though none has to be given, and any others. */
export type HeadersOf<Declared> = { readonly [Name in keyof Declared]?: Declared[Name] | undefined } & {
  readonly [name: string]: string | number | boolean | Declared[keyof Declared] | undefined
}

/** An open stream. It connects by itself, again and again, until it is over. */
export interface EventStream<E extends ReceivedEvent = ReceivedEvent> extends AsyncIterable<E> {
  /** Where the stream stands. */
  readonly status: StreamStatus
  /** The same with reason, delay, attempt and error. */
  readonly state: StreamState
  /** ID of the last event that was given to a handler or to the iteration. Empty while there is none. */
  readonly lastEventId: string
  /** Resolves when the stream is over, with its last state. Never rejects. */
  readonly closed: Promise<StreamState>
  /**
   * Calls \`handler\` for each event of a type. \`'message'\` are events without a type, \`'sse.gap'\` says that some are missing, and
   * \`'sse.unknown'\` are those of all types that have no handler.
   *
   * @returns removes the handler
   */
  on<Name extends EventName<E>> (name: Name, handler: (data: EventNamed<E, Name>['data'], event: EventNamed<E, Name>) => unknown): () => void
  /** Drops the connection, if there is one, and connects at once, going on from the last event ID. */
  reconnect (): void
  /** Ends the stream. May be called twice. */
  close (): void
  /** Iterates over the events. Leaving the loop closes the stream; an error that ends it is thrown. */
  [Symbol.asyncIterator] (): AsyncIterator<E, undefined, undefined>
}

/** One event. */
export interface ReceivedEvent<Name extends string = string, Data = unknown> {
  /** The event type; \`'message'\` when the stream gave none. */
  event: Name
  /** The data, parsed. */
  data: Data
  /** The last event ID: its own, or the one that an earlier event left. Absent while there is none. */
  id?: string
}

/** The type of events that are not declared: a string, whichever it is. It is no value: compare with strings. */
declare enum UnknownEventType { undeclared = 'an event type that the contract does not declare' }

/** An event that is not declared, as a server that is newer than this file sends it. */
export type UnknownEvent = ReceivedEvent<UnknownEventType>

/** What a stream has missed, as the data of \`sse.gap\`. */
export interface Gap {
  readonly reason: GapReason
  /** The ID that it could not go on from. */
  readonly requested: string
  /** The ID after which it goes on. */
  readonly resumedAt: string
  /** Which channel it is about, on a stream that merges several. */
  readonly channel?: string
  /** The same: its key in its family. */
  readonly key?: string
}

/** Why a stream could not go on where it was. */
export type GapReason = 'malformed' | 'epoch' | 'future' | 'evicted' | 'overrun'

/** Where a stream stands. */
export type StreamStatus = 'connecting' | 'live' | 'stale' | 'reconnecting' | 'closed'

/** {@link StreamStatus} with what belongs to it. A new object at each change. */
export interface StreamState {
  readonly status: StreamStatus
  readonly reason?: StreamErrorKind | 'silent' | 'manual' | 'done' | 'closed' | undefined
  /** How many attempts in a row have failed. */
  readonly attempt: number
  /** For \`'reconnecting'\`: milliseconds until the next attempt. */
  readonly delayMs?: number | undefined
  /** For \`'reconnecting'\` and \`'closed'\`: the error that led there. */
  readonly error?: StreamError | undefined
}

/** The one error of the client. */
export interface StreamError extends Error {
  readonly kind: StreamErrorKind
  /** HTTP status of a response that was refused. */
  readonly status: number | undefined
  /** What the response said that was refused, as text. */
  readonly body: string | undefined
  /** Code of a fault on the server. */
  readonly code: string | undefined
  /** Whether the stream connects again by itself. */
  willRetry: boolean
  /** After how many milliseconds it does. */
  delayMs: number | undefined
}

/** What went wrong with a stream. */
export type StreamErrorKind =
  'network' | 'ended' | 'stalled' | 'status' | 'content-type' | 'too-large' | 'invalid' | 'fault' | 'request' | 'unsupported' | 'handler'

/** Names that \`on\` takes. */
export type EventName<E extends ReceivedEvent> = E extends UnknownEvent ? string extends E['event'] ? string : 'sse.unknown' : E['event']

/** The event of a name. */
export type EventNamed<E extends ReceivedEvent, Name> = string extends E['event']
  ? Name extends 'sse.unknown' ? E : ReceivedEvent<Name & string, Name extends 'sse.gap' ? unknown extends E['data'] ? Gap : E['data'] : E['data']>
  : Name extends 'sse.unknown' ? UnknownEvent : E extends unknown ? E['event'] extends Name ? E : never : never

/** A value, or a function that gives it and is called for every attempt to connect. */
export type PerAttempt<T> = T | (() => T | Promise<T>)

/** A URL, as text or as an object that has one. */
export type Href = string | { readonly href: string }

/** Headers as \`fetch\` takes them. */
export type HeadersLike = Readonly<Record<string, string>> | HeaderEntries
export type HeaderEntries = Iterable<readonly [string, string]> | Iterable<string[]>

/** Parameters after the \`?\`. Of an array each element is one; what is undefined or null is left out. */
export type QueryParams = Readonly<Record<string, QueryParam | readonly QueryParam[]>>
export type QueryParam = string | number | boolean | bigint | null | undefined

/** A \`fetch\` whose response has a \`ReadableStream\` of bytes as body. */
export type Fetch = (url: string, init: any) => Promise<FetchResponse>

/** What the client needs of a response. */
export interface FetchResponse {
  readonly status: number
  readonly headers: { get (name: string): string | null }
  readonly body?: unknown
}

/** Judges an event: gives nothing when it is right, and otherwise what is wrong with it. */
export type Validator = (event: { readonly event: string, readonly data: unknown }) => string | undefined

/** As much of an \`AbortSignal\` as is needed. */
export interface AbortSignalLike {
  readonly aborted: boolean
  addEventListener (type: 'abort', listener: () => void): void
  removeEventListener (type: 'abort', listener: () => void): void
}

interface Route {
  method: string
  path: string
  /** Events whose data is JSON. Undefined where the server declares no events. */
  json?: readonly string[]
  /** Events whose data is text as it is. */
  text?: readonly string[]
}

interface AnyOptions extends StreamOptions {
  headers?: GivenHeaders
}

type AnyHeaders = HeaderEntries | object
type GivenHeaders = PerAttempt<AnyHeaders | undefined> | undefined
`

/** Names that no other type in a generated file may have: those above, and what of the language stands in it. */
export const RESERVED_TYPES: readonly string[] = [
  ...[...SUPPORT_TYPES.matchAll(/^(?:export |declare )*(?:type|interface|enum) (\w+)/gm)].map(([, name]) => name!),
  'Streams',
  'Array', 'AsyncIterable', 'AsyncIterator', 'BigInt', 'Boolean', 'Error', 'Exclude', 'Function', 'Iterable', 'Name', 'Number', 'Object', 'Partial', 'Promise',
  'Readonly', 'Record', 'Set', 'String', 'Symbol'
]
