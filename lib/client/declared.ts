// A chunk of its own: only streams that have parameters, or were declared with `defineStream`, need it.
import type { Href, PerAttempt } from './types.js'

/** What of a stream definition is needed to request. */
export interface Declared {
  readonly method: string
  readonly path: string
  readonly events: { readonly schemas: Readonly<Record<string, object>> }
}

export interface DeclaredOptions {
  method?: string | undefined
  baseUrl?: PerAttempt<Href> | undefined
  params?: Readonly<Record<string, unknown>> | undefined
  query?: object | undefined
}

/**
 * URL and options of a request, with its parameters in them.
 *
 * @throws TypeError for a parameter of the path that is missing, or that no path can carry
 */
export function resolve (given: Declared | PerAttempt<Href>, options: DeclaredOptions): [url: PerAttempt<string>, options: object] {
  const declared = typeof given === 'object' && 'path' in given ? given : undefined
  const { baseUrl = '', params, query } = options
  const base = declared === undefined ? given as PerAttempt<Href> : baseUrl
  const resolveUrl = (url: Href): string => {
    const start = typeof url === 'string' ? url : url.href
    if (declared === undefined) return withQuery(params === undefined ? start : withParams(start, params), query)
    // What comes before a declared path is no pattern, and may have a query.
    const [, before = '', search = ''] = /^([^?#]*)(\?[^#]*)?/.exec(start)!
    return withQuery(before.replace(/\/+$/, '') + withParams(declared.path, params ?? {}) + search, query)
  }
  return [
    typeof base === 'function' ? async () => resolveUrl(await base()) : resolveUrl(base),
    {
      ...options,
      ...(declared && { method: declared.method, isJSON: true, schemas: declared.events.schemas }),
      params: undefined,
      query: undefined
    }
  ]
}

/**
 * A URL with its parameters in it: `:name`, perhaps with a pattern and a question mark after it, and `*`. A double colon is a colon.
 * As in Fastify's router a name ends at `/`, `-`, `.` or `(`, and has any other character.
 */
function withParams (url: string, params: Readonly<Record<string, unknown>>): string {
  const [origin] = /^(\w+:)?\/\/[^/]*/.exec(url) ?? ['']
  // Up to the query: a question mark within a pattern, or after a name, is passed over.
  const token = /(\/?)(?:::|:([^/\-.(?#]+)|\*)|[?#]/g
  let done = origin
  let end = token.lastIndex = origin.length
  for (let found; (found = token.exec(url)) !== null; token.lastIndex = end) {
    const [text, slash = '', name = '*'] = found
    if (text === '?' || text === '#') break
    done += url.slice(end, found.index) + slash
    end = found.index + text.length
    if (text.endsWith('::')) {
      done += ':'
      continue
    }
    if (name !== '*') end = patternEnd(url, end)
    // Otherwise it begins the query.
    const isOptional = name !== '*' && /^\?\/?$/.test(url.slice(end))
    if (isOptional) end++
    const value = (Object.hasOwn(params, name) ? params[name] : undefined) ?? ''
    if (value === '' && isOptional) {
      done = done.slice(0, done.length - slash.length)
      continue
    }
    const encoded = encodeURIComponent(String(value)).replace(/%2F/g, name === '*' ? '/' : '%2F')
    if (encoded === '' && name !== '*') throw new TypeError(`${url} needs a value for ${name}. Give it in params.`)
    // Such a segment would be resolved away, encoded or not.
    if (/(^|\/)\.\.?(\/|$)/.test(encoded)) throw new TypeError(`${url}: ${name} cannot be ${JSON.stringify(value)}, which means another path.`)
    done += encoded
  }
  return done + url.slice(end)
}

/** Where the pattern that a name may have after it ends: at the parenthesis that closes the first one. */
function patternEnd (url: string, start: number): number {
  if (url[start] !== '(') return start
  let depth = 0
  for (let i = start; i < url.length; i++) {
    if (url[i] === '\\') i++
    else if (url[i] === '(') depth++
    else if (url[i] === ')' && --depth === 0) return i + 1
  }
  return start
}

function withQuery (url: string, query: object = {}): string {
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    for (const each of [value].flat()) {
      if (each !== undefined && each !== null) search.append(name, String(each))
    }
  }
  const text = String(search)
  // A fragment is not sent.
  const [sent = ''] = url.split('#')
  return text === '' ? sent : sent + (sent.includes('?') ? '&' : '?') + text
}
