import { StreamError } from './error.js'
import type { HeadersLike, PerAttempt } from './types.js'

/** A URL, as text or as an object that has one. */
export type Href = string | { readonly href: string }

/** What of a stream definition is needed to request. */
export interface Target {
  readonly method: string
  readonly path: string
}

export interface RequestOptions {
  method?: string | undefined
  headers?: PerAttempt<HeadersLike | undefined> | undefined
  body?: PerAttempt<unknown>
  baseUrl?: PerAttempt<Href> | undefined
  params?: Readonly<Record<string, unknown>> | undefined
  query?: object | undefined
}

/** Where and how to request. */
export interface RequestTarget {
  readonly method: string
  /** The URL; undefined when a function gives it. */
  readonly href: string | undefined
  /** What `fetch` is called with in the next attempt. Rejects with a {@link StreamError}. */
  request (lastEventId: string): Promise<{ url: string, headers: Headers, body?: unknown }>
}

function valueOf<T> (value: PerAttempt<T>): T | Promise<T> {
  return typeof value === 'function' ? (value as () => T | Promise<T>)() : value
}

/**
 * Where a stream is, and how it is asked for.
 *
 * @throws TypeError when a parameter of the path is missing
 */
export function createTarget (given: Target | PerAttempt<Href>, options: RequestOptions): RequestTarget {
  const { path = '', method = options.body === undefined ? 'GET' : 'POST' } = given as Partial<Target>
  const base = path ? options.baseUrl ?? '' : given as PerAttempt<Href>
  const urlOf = (href: Href): string => {
    const start = String((href as { href?: string }).href ?? href)
    const url = path ? start.replace(/\/$/, '') + path : start
    return withQuery(path || options.params ? withParams(url, options.params ?? {}) : url, options.query)
  }
  return {
    method: (options.method ?? method).toUpperCase(),
    href: typeof base === 'function' ? undefined : urlOf(base),
    async request (lastEventId) {
      try {
        const [href, init, content] = await Promise.all([base, options.headers, options.body].map(valueOf))
        const headers = new Headers(init as Record<string, string>)
        const setDefault = (name: string, value: string): void => {
          if (!headers.has(name)) headers.set(name, value)
        }
        setDefault('accept', 'text/event-stream')
        // As its UTF-8 bytes: `Headers` take one byte for each character and no more.
        if (lastEventId) headers.set('last-event-id', unescape(encodeURIComponent(lastEventId)))
        const isJSON = content !== undefined && (path || Array.isArray(content) || String(content) === '[object Object]')
        if (isJSON) setDefault('content-type', 'application/json')
        return { url: urlOf(href as Href), headers, body: isJSON ? JSON.stringify(content) : content }
      } catch (error) {
        throw new StreamError('request', String(error), error)
      }
    }
  }
}

/** A URL with its parameters in it: `:name`, perhaps with a pattern and a question mark after it, and `*`. A double colon is a colon. */
function withParams (url: string, params: Readonly<Record<string, unknown>>): string {
  return url.replace(/(\/?)(?:::|:([a-z_]\w*)(?:\(.*?\))?(\??)|\*)/gi, (found, slash: string, name: string = '*', optional?: string) => {
    if (found.endsWith('::')) return slash + ':'
    const value = String(params[name] ?? '')
    if (optional && !value) return ''
    const text = encodeURIComponent(value).replace(/%2F/g, name === '*' ? '/' : '%2F')
    // A segment of dots would be resolved away, encoded or not.
    if (!text || /(^|\/)\.\.?(\/|$)/.test(text)) throw new TypeError(`params.${name} cannot be '${value}'`)
    return slash + text
  })
}

function withQuery (url: string, query: object = {}): string {
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    for (const each of [value].flat()) {
      if (each !== undefined && each !== null) search.append(name, each)
    }
  }
  const text = String(search)
  return text && url + (url.includes('?') ? '&' : '?') + text || url
}
