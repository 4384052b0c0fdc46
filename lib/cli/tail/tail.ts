import { connect, type StreamError, type StreamState } from '../../client.js'
import type { ManifestStream } from '../../schema/manifest.js'
import { parseArguments } from '../arguments.js'
import { UserError, type Command, type CommandIO } from '../command.js'
import { readManifestFile } from '../input.js'
import { createCheck, findStream, type EventCheck } from './check.js'
import { createTap } from './fetch.js'
import { hintOf, reasonOf } from './hints.js'
import { readRequest, type TailRequest } from './request.js'
import { createView, duration, type View } from './view.js'

const HELP = `Usage: fastify-typed-sse tail <url> [options]

Shows what an event stream sends, as it comes: each event with the time since
the one before, its type, its ID when that is a new one, and its data. Events
go to stdout; connecting, reconnects and errors are told on stderr. It goes on,
from the last event ID, until the stream is over or Ctrl-C.

The URL may be one without http://, such as localhost:3000/orders. Any event
stream will do, also one of another server.

On a terminal, data that is too long for the line stands below it, JSON
indented, cut to the width. In a file or a pipe each event is one whole line.
What a terminal would act upon, such as an escape sequence, is shown as
\\u001b and never sent to it.

Options:
  --event TYPE          Show events of this type alone; "message" are those
                        without a type. Can be given more than once. That
                        events are missing (sse.gap) is told on stderr then.
  --last-event-id ID    Go on after this event.
  --header "NAME: VAL"  Send this header. Can be given more than once.
  --method METHOD       HTTP method. [default: GET, with --data POST]
  --data TEXT           Send this body; @FILE sends a file, @- standard input.
                        Content-Type is application/json if it is JSON, else
                        text/plain, unless --header says it. A request that
                        is not GET is not sent again when its stream is lost,
                        unless the stream has IDs to go on from.
  --schema FILE         Check events by a manifest, as "generate --format
                        manifest" writes it. Data that is not what it declares
                        is marked INVALID, with where and what; an event type
                        that it does not have is marked (undeclared).
  --stream NAME         Which stream of the manifest this is.
                        [default: the one with this method and path]
  --json                Write one JSON object a line, for programs:
                        { "time", "event", "id", "data" }, and where they
                        apply "invalid" (what is wrong) and "undeclared".
                        Data is JSON if it can be read as such, else a string.
  --comments            Tell of comments too, heartbeats among them.
  --count N             Stop after N events.
  --no-reconnect        Stop when the connection ends.
  --help                Show this text.

Colours are used on a terminal. NO_COLOR=1 switches them off, FORCE_COLOR=1 on.

Exit codes:
  0  the stream is over, --count is reached, or Ctrl-C
  1  the stream has failed: it cannot be reached, the server refuses or sends
     something else, the source behind it failed (sse.fault), the connection
     was lost and is not made again; or with --schema: data was invalid
  2  the command line cannot be understood

Once it has been connected, a connection that is lost is no failure: it is
made again, with the delays that the server asks for.

Examples:
  fastify-typed-sse tail localhost:3000/orders
  fastify-typed-sse tail localhost:3000/orders --schema manifest.json --count 10
  fastify-typed-sse tail https://api.example.com/chat --data @prompt.json
  fastify-typed-sse tail localhost:3000/orders --json | jq .data.id
`

const OPTIONS = {
  event: 'list',
  'last-event-id': 'value',
  header: 'list',
  method: 'value',
  data: 'value',
  schema: 'value',
  stream: 'value',
  json: 'flag',
  comments: 'flag',
  count: 'value',
  'no-reconnect': 'flag'
} as const

/** What is to be shown of which stream. */
interface TailOptions {
  readonly request: TailRequest
  readonly types: readonly string[]
  readonly lastEventId: string
  readonly hasComments: boolean
  readonly count: number
  readonly canReconnect: boolean
  readonly check: EventCheck | undefined
}

/** `fastify-typed-sse tail`: shows what a stream sends. */
export const tail: Command = {
  name: 'tail',
  summary: 'Show what an event stream sends, and check it by a manifest.',
  help: HELP,
  async run (args, io) {
    const { options, positionals } = parseArguments(args, OPTIONS, 'tail')
    const [url, ...others] = positionals
    if (url === undefined || others.length > 0) throw misuse(`tail takes one URL, but was given ${positionals.length === 0 ? 'none' : positionals.length}.`)
    const count = options.count === undefined ? Infinity : Number(options.count)
    if (options.count !== undefined && !/^[1-9]\d*$/.test(options.count)) throw misuse(`--count must be a number of 1 or more, but is ${JSON.stringify(options.count)}.`)
    if (options.stream !== undefined && options.schema === undefined) throw misuse('--stream names a stream of a manifest: give that with --schema.')
    const lastEventId = options['last-event-id'] ?? ''
    // eslint-disable-next-line no-control-regex -- what the field may not hold
    if (/[\u0000\r\n]/.test(lastEventId)) throw misuse('--last-event-id must not hold a line end or U+0000.')
    const request = await readRequest(url, options, io)
    const view = createView(io, options.json)
    let check: EventCheck | undefined
    if (options.schema !== undefined) {
      const manifest = await readManifestFile(options.schema, io)
      const stream = findStream(manifest, options.schema, options.stream, request.method, request.url.pathname)
      check = createCheck(manifest, stream)
      view.tell('note', `checks events by ${described(stream)}`)
    }
    return await show({
      request, types: options.event, lastEventId, hasComments: options.comments, count, canReconnect: !options['no-reconnect'], check
    }, view, io)
  }
}

function misuse (message: string): UserError {
  return new UserError(`${message}\nSee: fastify-typed-sse tail --help`, 2)
}

function described ({ name, method, url }: ManifestStream): string {
  return `stream ${name}: ${method} ${url}`
}

/** @returns the exit code */
async function show (options: TailOptions, view: View, { signal }: CommandIO): Promise<number> {
  const { request: { url, method, headers, body }, types, lastEventId, check } = options
  const tap = createTap(view.room)
  let shown = 0
  let invalid = 0
  let hasBeenLive = false
  let lostAt = 0
  let silentMs: number | undefined
  let fault: StreamError | undefined

  const stream = connect(url.href, {
    data: 'text',
    method,
    headers,
    body,
    signal,
    fetch: tap.fetch,
    initialLastEventId: lastEventId,
    shouldRetry: () => options.canReconnect && hasBeenLive ? undefined : false,
    onStatus,
    onComment (text) {
      const heartbeat = /^sse-heartbeat: (\d+)$/.exec(text)
      if (heartbeat !== null) silentMs = 3 * Number(heartbeat[1])
      if (options.hasComments) view.tell('note', text === '' ? 'comment' : `comment: ${text}`)
    },
    // All others come with a status, which says what becomes of them.
    onError (error) {
      if (error.kind !== 'handler') return
      fault ??= error
      stream.close()
    }
  })
  stream.on('sse.unknown', (data, { event, id = '' }) => {
    give(event, data, id)
    if (shown >= options.count) stream.close()
  })
  const state = await stream.closed
  if (fault !== undefined) throw fault.cause
  return exitCode(state)

  function give (event: string, data: string, id: string): void {
    if (types.length > 0 && !types.includes(event)) {
      if (event.startsWith('sse.')) view.tell('warning', `${event} ${data}`)
      return
    }
    const verdict = check?.(event, data)
    if (verdict?.problem !== undefined) invalid++
    view.event({ event, data, id, verdict })
    if (!event.startsWith('sse.') || types.includes(event)) shown++
  }

  function onStatus (status: StreamState['status'], { attempt, delayMs = 0, error }: StreamState): void {
    const from = stream.lastEventId === '' ? '' : `, from #${stream.lastEventId}`
    if (status === 'connecting') view.tell('note', `connecting: ${method} ${url.href}${from}`)
    else if (status === 'live') connected()
    else if (status === 'stale') view.tell('warning', `silent${silentMs === undefined ? '' : `: more than ${duration(silentMs / 2).slice(1)} without a byte`}`)
    else if (status === 'reconnecting') {
      lostAt = Date.now()
      if (error !== undefined) view.tell('warning', `${reasonOf(error)}: connecting again in ${duration(delayMs).slice(1)}${attempt > 1 ? `, attempt ${attempt}` : ''}${from}`)
    } else if (status === 'closed') closed(error)
  }

  function connected (): void {
    // Also when it was only silent.
    if (lostAt !== 0 || !hasBeenLive) {
      view.tell('good', `${hasBeenLive ? `connected again, after ${duration(Date.now() - lostAt).slice(1)}` : 'connected'}${
        tap.redirected === undefined ? '' : `, redirected to ${tap.redirected}`}`)
    }
    lostAt = 0
    hasBeenLive = true
  }

  function closed (error: StreamError | undefined): void {
    const { last } = tap
    if (last !== undefined) give(last.event, last.data, last.id)
    if (error === undefined) {
      if (stream.state.reason === 'done') view.tell('note', last === undefined ? 'over: the server answered 204' : 'over: the server has ended the stream')
      return
    }
    view.tell(error.kind === 'ended' ? 'note' : 'error', reasonOf(error))
    if (error.body !== undefined && error.body !== '' && !/^\s*</.test(error.body)) view.tell('note', error.body.trim().split('\n', 1)[0]!.slice(0, 500))
    const hint = hasBeenLive && error.kind === 'network' ? undefined : hintOf(error, url)
    if (hint !== undefined) view.tell('note', hint)
    if (hasBeenLive && error.kind === 'ended' && options.canReconnect && method !== 'GET') {
      view.tell('note', `A ${method} request is not sent again by itself.`)
    }
  }

  function exitCode ({ error }: StreamState): number {
    // A response that ends is the way in which streams of other servers are over.
    if (error !== undefined && error.kind !== 'ended') return 1
    return invalid > 0 ? 1 : 0
  }
}
