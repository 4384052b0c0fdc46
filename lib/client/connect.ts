import type { ReceivedEvent, StreamEvent } from '../schema/received.js'
import type { StreamDefinition } from '../schema/definition.js'
import { StreamError } from './error.js'
import { openFetchLink } from './fetch-link.js'
import type { Link, LinkHost } from './link.js'
import { createReader } from './reader.js'
import { createTarget, type RequestTarget } from './request.js'
import type { ConnectOptions, EventStream, OptionsArgument, PerAttempt, StreamOptions, UrlArgument, UrlOptions } from './types.js'

/** Opens a link: by `fetch`, shared with other tabs, or by the browser's own `EventSource`. */
export type OpenLink = (target: RequestTarget, options: ConnectOptions, host: LinkHost, openFetchLink?: OpenLink) => Link

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
 * @param target a stream made with `defineStream`, or the URL
 * @throws TypeError for a parameter of the path that is missing, and for a relative URL where there is nothing that it is relative to
 */
export function connect<S extends StreamDefinition> (target: S, ...options: OptionsArgument<StreamOptions<S>>): EventStream<StreamEvent<S>>
export function connect (target: PerAttempt<string | { readonly href: string }>, options: ConnectOptions & { data: 'text' }): EventStream<ReceivedEvent<string, string>>
export function connect<D = unknown> (target: UrlArgument<D>, ...options: OptionsArgument<UrlOptions<D>>): EventStream<StreamEvent<D>>
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- what the overloads say
export function connect (given: any, options: any = {}): EventStream<any> {
  const target = createTarget(given, options)
  const { location, navigator, BroadcastChannel, Response } = globalThis as Surroundings
  // Without a page there is nothing that a relative URL could be relative to: throws.
  if (!location && !options.fetch && target.href !== undefined) void new URL(target.href)
  return createReader(options, (host) => {
    if (!options.fetch && !(Response && 'body' in Response.prototype)) return openLater(import('./event-source-link.js'), host)
    if (options.share && BroadcastChannel && navigator?.locks) return openLater(import('./shared-link.js'), host)
    return openFetchLink(target, options, host)
  })

  /** A link whose code is loaded when it is needed. */
  function openLater (code: Promise<{ openLink: OpenLink }>, host: LinkHost): Link {
    const loaded = code.then(({ openLink }) => openLink(target, options, host, openFetchLink), (error) => {
      host.status('closed', 0, 'unsupported', new StreamError('unsupported', String(error), error))
    })
    const later = (method: keyof Link) => (argument?: unknown): void => {
      void loaded.then((link) => link?.[method]?.(argument as never))
    }
    return { close: later('close'), fail: later('fail'), reconnect: later('reconnect'), listen: later('listen') }
  }
}

interface Surroundings {
  location?: object
  navigator?: { locks?: unknown }
  BroadcastChannel?: unknown
  Response?: { prototype: object }
}
