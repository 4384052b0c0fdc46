import { StreamError } from './error.js'
import type { HeadersLike, Href, PerAttempt } from './types.js'

export interface RequestOptions {
  method?: string | undefined
  headers?: PerAttempt<HeadersLike | undefined> | undefined
  body?: PerAttempt<unknown>
  /** Whether a body that is text is JSON as well: one that a stream has declared is. */
  isJSON?: boolean
}

/** Where and how to request. */
export interface RequestTarget {
  readonly method: string
  /** The URL; undefined when a function gives it. */
  readonly href: string | undefined
  /** What `fetch` is called with in the next attempt. Rejects with a {@link StreamError}. */
  request (lastEventId: string): Promise<{ url: string, headers: Headers, body?: unknown }>
}

/** All that `fetch` takes as a body by itself: forms, blobs, streams, buffers and their views. */
interface Tagged { readonly [Symbol.toStringTag]?: string }

/** What is given, or what its function gives. Never throws: of several that fail, each must be waited for. */
async function valueOf<T> (value: PerAttempt<T>): Promise<T> {
  return typeof value === 'function' ? (value as () => T | Promise<T>)() : value
}

/** A URL as text. */
function hrefOf (url: Href): string {
  return String((url as { href?: string }).href ?? url)
}

/** Where a stream is, and how it is asked for. */
export function createTarget (url: PerAttempt<Href>, options: RequestOptions): RequestTarget {
  return {
    method: (options.method ?? (options.body === undefined ? 'GET' : 'POST')).toUpperCase(),
    href: typeof url === 'function' ? undefined : hrefOf(url),
    async request (lastEventId) {
      try {
        const [href, init, content] = await Promise.all([url, options.headers, options.body].map(valueOf))
        const headers = new Headers(init as Record<string, string>)
        const setDefault = (name: string, value: string): void => {
          if (!headers.has(name)) headers.set(name, value)
        }
        setDefault('accept', 'text/event-stream')
        // As its UTF-8 bytes: `Headers` take one byte for each character and no more.
        if (lastEventId) headers.set('last-event-id', unescape(encodeURIComponent(lastEventId)))
        const isJSON = content !== undefined && (options.isJSON || (typeof content !== 'string' && !(content as Tagged)?.[Symbol.toStringTag]))
        if (isJSON) setDefault('content-type', 'application/json')
        return { url: hrefOf(href as Href), headers, body: isJSON ? JSON.stringify(content) : content }
      } catch (error) {
        throw new StreamError('request', String(error), error)
      }
    }
  }
}
