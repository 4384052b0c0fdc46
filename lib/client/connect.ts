import type { StreamDefinition } from '../schema/definition.js'
import { backoff } from './backoff.js'
import { StreamError } from './error.js'
import { openFetchLink } from './fetch-link.js'
import type { Link, LinkHost } from './link.js'
import { createReader } from './reader.js'
import { createTarget, type RequestOptions, type RequestTarget } from './request.js'
import type { Declared } from './declared.js'
import type { ConnectedEvent, ConnectOptions, EventStream, Href, OptionsArgument, PerAttempt, UrlArgument } from './types.js'

/** Options with what a stream definition adds to them. */
export type LinkOptions = ConnectOptions & RequestOptions & { readonly schemas?: Readonly<Record<string, object>> }

/**
 * Opens a link: by `fetch`, shared with other tabs, or by the browser's own `EventSource`.
 *
 * What it needs of the client is handed over: imported, it would leave the client's one file.
 */
export type OpenLink = (target: RequestTarget, options: LinkOptions, host: LinkHost, core: Core) => Link

/** The parts of the client that other links need. */
export interface Core {
  readonly openFetchLink: typeof openFetchLink
  readonly StreamError: typeof StreamError
  readonly backoff: typeof backoff
}

const core: Core = { openFetchLink, StreamError, backoff }

/**
 * Connects to an event stream, and stays connected until it is over: reconnects, goes on from the last event ID, notices
 * dead connections.
 *
 * ```ts
 * const stream = connect<typeof Clock>('/clock')
 * for await (const event of stream) …                    // a union discriminated by `event`
 * stream.on('tick', ({ now }) => …)                      // or by handlers
 * ```
 *
 * @typeParam D what the stream sends: `typeof` a contract made with `defineEvents`, or of a stream made with `defineStream`, or a
 * union of events (`{ event: 'tick', data: … } | …`). It is a type alone: no schema comes with it. Without it data is `unknown`.
 * @typeParam Format follows from the option `data`
 * @typeParam S follows from the target, where it is a stream made with `defineStream`
 * @param target a stream made with `defineStream`, or the URL
 * @throws TypeError for a relative URL where there is no page that it could be relative to
 */
// One signature for all: where several fail, the compiler explains each.
export function connect<D = unknown, Format extends 'json' | 'text' = 'json', S extends StreamDefinition | PerAttempt<Href> = never> (
  target: UrlArgument<D> | S, ...options: OptionsArgument<D, Format, S>
): EventStream<ConnectedEvent<D, Format, S>>
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- what the signature says
export function connect (given: any, options: any = {}): EventStream<any> {
  return createReader(options, (host) => openLink(given, options, host))
}

function openLink (given: PerAttempt<Href> | Declared, options: LinkOptions, host: LinkHost): Link {
  const { location, Response, BroadcastChannel, navigator } = surroundings
  // Without a page there is nothing that it could be relative to.
  // And `localhost:3000` is no scheme.
  if (typeof given !== 'function' && !(given as Declared | undefined)?.path && !location && !options.fetch && !/^\w+:\D/.test(given as string)) throw new TypeError(`${given} is no absolute URL`)
  if ((given as Declared).path || options.params || options.query) {
    return openLater(import('./declared.js'), ({ resolve }) => openLink(...resolve(given, options), host))
  }
  const target = createTarget(given as PerAttempt<Href>, options)
  if (!options.fetch && !(Response && 'body' in Response.prototype)) return openLater(import('./event-source-link.js'), openWith)
  if (options.share && BroadcastChannel && navigator?.locks) return openLater(import('./shared-link.js'), openWith)
  return openFetchLink(target, options, host)

  function openWith (module: { openLink: OpenLink }): Link {
    return module.openLink(target, options, host, core)
  }

  /** A link whose code is loaded when it is needed. */
  function openLater<M> (code: Promise<M>, open: (module: M) => Link): Link {
    let isClosed = false
    let link: Link | undefined
    const names: Array<string | undefined> = []
    code.then((module) => {
      if (isClosed) return
      link = open(module)
      if (isClosed) return link.close()
      for (const name of names) link.listen?.(name)
    }).catch((error: unknown) => {
      host.status('closed', 0, 'request', new StreamError('request', String(error), error))
    })
    return {
      close () {
        isClosed = true
        link?.close()
      },
      fail: (error) => link?.fail(error),
      reconnect: () => link?.reconnect(),
      listen (name) {
        names.push(name)
        link?.listen?.(name)
      }
    }
  }
}

const surroundings = globalThis as {
  location?: object
  navigator?: { locks?: unknown }
  BroadcastChannel?: unknown
  Response?: { prototype: object }
}
