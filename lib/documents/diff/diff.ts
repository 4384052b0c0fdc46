import { escapeToken } from '../../schema/json-pointer.js'
import { parametersOf } from '../../schema/route-url.js'
import type { ControlEventType, JSONSchema, Manifest, ManifestEvent, ManifestStream } from '../../schema/manifest.js'
import type { ChangeCode } from './codes.js'
import { diffPayload, type Level, type PayloadChange } from './payload.js'
import { matchStreams, urlChange } from './streams.js'

/** One difference between two manifests. */
export interface Change {
  /**
   * - `'breaking'`: clients that were made for the old manifest fail, or miss something, with a server of the new one; or it cannot be told
   * - `'safe'`: they do not notice, or have to be ready for it
   */
  readonly level: Level
  /** What kind of change; one of {@link CHANGE_CODES}. */
  readonly code: ChangeCode
  /** The stream, as method and URL: `GET /orders/:id`, as the old manifest has it, if it has; `*` for all streams. */
  readonly stream: string
  /**
   * Where in the stream: `events/created/total`, `query/status`, `controlEvents/sse.end`; empty for the stream itself. Segments are
   * escaped as in a JSON pointer. `*` stands for any index or name, `{…}` for names that match a pattern.
   */
  readonly at: string
  /** One sentence for people. */
  readonly message: string
}

export { CHANGE_CODES, type ChangeCode } from './codes.js'

const NOTHING_SENT: JSONSchema = { type: 'object', additionalProperties: false }
const ANYTHING_TAKEN: JSONSchema = { type: 'object', properties: {} }

/**
 * What of a new server would break clients that were made for an old one.
 *
 * Streams are compared by method and URL. What a server sends may become narrower, what it takes wider; the other way round it breaks
 * clients. Text for people (`description`, `title`, `examples` …), the order of keys and the names in `$defs` do not count.
 *
 * A server sends, and a typed client too, only what is declared; so a new optional property breaks nobody, unless clients forbid undeclared ones.
 *
 * @returns grouped by stream, in the order of the old manifest, new streams last; of each stream what breaks first
 */
export function diffManifests (before: Manifest, after: Manifest): Change[] {
  const changes: Change[] = []
  const { pairs, added } = matchStreams(before.streams, after.streams)
  for (const stream of before.streams) {
    const name = nameOf(stream)
    const other = pairs.get(stream)
    if (other !== undefined) changes.push(...ordered(diffStream(name, stream, other)))
    else changes.push({ level: 'breaking', code: 'stream-removed', stream: name, at: '', message: 'is gone' })
  }
  changes.push(...ordered(diffControlEvents(before, after)))
  for (const stream of added) changes.push({ level: 'safe', code: 'stream-added', stream: nameOf(stream), at: '', message: 'is new' })
  return changes
}

function nameOf ({ method, url }: ManifestStream): string {
  return `${method} ${url}`
}

function ordered (changes: Change[]): Change[] {
  return [...changes.filter(({ level }) => level === 'breaking'), ...changes.filter(({ level }) => level === 'safe')]
}

function diffStream (stream: string, before: ManifestStream, after: ManifestStream): Change[] {
  const changes: Change[] = []
  const add = (level: Level, code: ChangeCode, at: string, message: string): void => { changes.push({ level, code, stream, at, message }) }
  const addAll = addAllTo(add)

  if (before.method !== after.method) add('breaking', 'method-changed', '', `is ${nameOf(after)} now`)
  const url = urlChange(before.url, after.url)
  if (url !== undefined) add(url === 'url-widened' ? 'safe' : 'breaking', url, '', URL_MESSAGES[url](after))
  // Clients do not get as far as anything else.
  if (before.method !== after.method || url === 'url-changed') return changes

  if (before.name !== after.name) {
    add('breaking', 'name-changed', '', `is called ${after.name} in generated code now, and was ${before.name}; nothing changes on the wire`)
  }
  const parameters = parametersOf(after.url)
  const renamed = new Map(parametersOf(before.url).map(({ name }, index) => [name, parameters[index]?.name ?? name]))
  for (const [old, name] of renamed) {
    if (old !== name) add('breaking', 'parameter-renamed', `params/${escapeToken(old)}`, `is called ${name} in generated code now; nothing changes on the wire`)
  }
  // What has become optional, or is not any more, has been said of the URL.
  const optional = [before.url, after.url].flatMap(parametersOf).filter(({ isOptional }) => isOptional).map(({ name }) => name)
  const paramsOf = ({ url, params }: ManifestStream): JSONSchema => params ?? textParams(url, optional)
  addAll('params', diffPayload('params', rename(paramsOf(before), renamed), paramsOf(after)))
  addAll('query', diffPayload('query', before.query ?? NOTHING_SENT, after.query ?? ANYTHING_TAKEN))
  addAll('headers', diffPayload('headers', inSmallLetters(before.headers ?? NOTHING_SENT), inSmallLetters(after.headers ?? ANYTHING_TAKEN)))
  diffBody(before, after, add, addAll)
  diffEvents(before, after, add, addAll)
  for (const type of difference(before.controlEvents, after.controlEvents)) add('breaking', 'control-event-removed', `controlEvents/${type}`, LOST_CONTROL_EVENTS[type])
  for (const type of difference(after.controlEvents, before.controlEvents)) add('safe', 'control-event-added', `controlEvents/${type}`, 'is sent now')
  if (before.channel !== after.channel) {
    add('safe', 'channel-changed', '', `is fed by ${describeChannel(after.channel)} now, and was by ${describeChannel(before.channel)}: ` +
      'IDs that clients have kept may be answered with sse.gap')
  }
  if (after.deprecated === true && before.deprecated !== true) add('safe', 'deprecated', '', 'is deprecated now')
  return changes
}

const URL_MESSAGES: Readonly<Record<NonNullable<ReturnType<typeof urlChange>>, (after: ManifestStream) => string>> = {
  'url-changed': (after) => `is ${nameOf(after)} now`,
  'url-narrowed': ({ url }) => `takes fewer URLs now: ${url}`,
  'url-widened': ({ url }) => `takes more URLs now: ${url}`
}

const LOST_CONTROL_EVENTS: Readonly<Record<ControlEventType, string>> = {
  'sse.gap': 'is not sent any more: clients cannot tell that events are missing',
  'sse.end': 'is not sent any more: clients cannot tell that the stream is over, and connect again',
  'sse.fault': 'is not sent any more: clients cannot tell a failure from a lost connection, and connect again'
}

function describeChannel (channel: string | undefined): string {
  return channel === undefined ? 'no channel' : `channel ${channel}`
}

type Add = (level: Level, code: ChangeCode, at: string, message: string) => void
type AddAll = (at: string, payload: readonly PayloadChange[]) => void

/** Adds the changes of what stands at one place of a stream. */
function addAllTo (add: Add): AddAll {
  return (at, payload) => {
    for (const change of payload) add(change.level, change.code, [at, ...change.at.map(escapeToken)].join('/'), change.message)
  }
}

function diffBody (before: ManifestStream, after: ManifestStream, add: Add, addAll: AddAll): void {
  if (before.body !== undefined && after.body !== undefined) addAll('body', diffPayload('body', before.body, after.body))
  else if (after.body !== undefined) add('breaking', 'parameter-required', 'body', 'is new: a request without it is refused')
  else if (before.body !== undefined) add('breaking', 'parameter-removed', 'body', 'is no longer declared: the server may ignore it')
}

function diffEvents (before: ManifestStream, after: ManifestStream, add: Add, addAll: AddAll): void {
  if (before.events === undefined || after.events === undefined) {
    if (before.events !== undefined) add('breaking', 'events-undeclared', 'events', 'are no longer declared: anything may be sent')
    else if (after.events !== undefined) add('safe', 'events-declared', 'events', `are declared now: ${Object.keys(after.events).join(', ')}`)
    return
  }
  for (const [type, event] of Object.entries(before.events)) {
    const at = `events/${escapeToken(type)}`
    const other = Object.hasOwn(after.events, type) ? after.events[type] : undefined
    if (other === undefined) add('breaking', 'event-removed', at, 'is not sent any more, and clients may wait for it')
    else diffEvent(at, event, other, add, addAll)
  }
  for (const type of difference(Object.keys(after.events), Object.keys(before.events))) {
    add('safe', 'event-added', `events/${escapeToken(type)}`, 'is new: to clients it is an unknown event')
  }
}

function diffEvent (at: string, before: ManifestEvent, after: ManifestEvent, add: Add, addAll: AddAll): void {
  if (before.format !== after.format) add('breaking', 'format-changed', at, `is ${after.format === 'text' ? 'text' : 'JSON'} now, and was ${before.format === 'text' ? 'text' : 'JSON'}`)
  else addAll(at, diffPayload('event', before.schema, after.schema))
}

/** The package's own events, once for all streams that send them. */
function diffControlEvents (before: Manifest, after: Manifest): Change[] {
  const isUsed = ({ streams }: Manifest, type: ControlEventType): boolean => streams.some(({ controlEvents }) => controlEvents.includes(type))
  const changes: Change[] = []
  for (const [type, event] of Object.entries(before.controlEvents) as Array<[ControlEventType, ManifestEvent]>) {
    const other = after.controlEvents[type]
    if (!isUsed(before, type) || !isUsed(after, type)) continue
    const add: Add = (level, code, at, message) => { changes.push({ level, code, stream: '*', at, message }) }
    diffEvent(`controlEvents/${type}`, event, other, add, addAllTo(add))
  }
  return changes
}

function difference<T> (all: readonly T[], without: readonly T[]): T[] {
  return all.filter((each) => !without.includes(each))
}

/** What clients send where the parameters of the URL have no schema. */
function textParams (url: string, optional: readonly string[]): JSONSchema {
  const names = parametersOf(url).map(({ name }) => name)
  return { type: 'object', properties: Object.fromEntries(names.map((name) => [name, { type: 'string' }])), required: difference(names, optional) }
}

/** The schema of an object, some properties of which have other names. */
function rename (schema: JSONSchema, names: ReadonlyMap<string, string>): JSONSchema {
  if (typeof schema === 'boolean' || ![...names].some(([old, name]) => old !== name)) return schema
  const change = (name: string): string => names.get(name) ?? name
  const { properties, required } = schema as { properties?: Record<string, unknown>, required?: string[] }
  return {
    ...schema,
    ...(properties === undefined ? {} : { properties: Object.fromEntries(Object.entries(properties).map(([name, value]) => [change(name), value])) }),
    ...(required === undefined ? {} : { required: required.map(change) })
  }
}

/** To HTTP the names of headers are the same in capitals. */
function inSmallLetters (schema: JSONSchema): JSONSchema {
  if (typeof schema === 'boolean') return schema
  const { properties = {}, required = [] } = schema as { properties?: Record<string, unknown>, required?: string[] }
  return rename(schema, new Map([...Object.keys(properties), ...required].map((name) => [name, name.toLowerCase()])))
}
