import type { OutgoingHttpHeaders } from 'node:http'
import { Readable } from 'node:stream'
import type { InjectOptions } from 'fastify'

export interface InjectedRequest {
  /** What it is called in messages: method and URL. */
  readonly label: string
  /** What `inject` takes, less the body. */
  readonly options: InjectOptions
  /** A stream, to be destroyed by who leaves before there is an answer. */
  readonly body: object & { destroy?: (error: Error) => unknown }
}

/** Makes of the test's options a request as a client sends it. */
export function toRequest (options: InjectOptions, lastEventId: string): InjectedRequest {
  const { payload = options.body, body: _, ...rest } = options
  const headers: OutgoingHttpHeaders = { ...options.headers }
  const has = (name: string): boolean => Object.keys(headers).some((field) => field.toLowerCase() === name)
  const hasPayload = payload !== undefined && payload !== null
  const method = (options.method ?? (hasPayload ? 'POST' : 'GET')).toUpperCase()
  if (!has('accept')) headers['accept'] = 'text/event-stream'
  if (lastEventId !== '') {
    for (const field of Object.keys(headers)) {
      if (field.toLowerCase() === 'last-event-id') delete headers[field]
    }
    // A header carries bytes, which a server is given as Latin-1.
    headers['last-event-id'] = Buffer.from(lastEventId).toString('latin1')
  }
  const url = options.url ?? options.path ?? '/'
  let body: object = streamOf(Buffer.alloc(0))
  if (isBytes(payload)) {
    const bytes = Buffer.from(typeof payload === 'string' || payload instanceof Uint8Array ? payload : JSON.stringify(payload))
    if (!has('content-length')) headers['content-length'] = String(bytes.length)
    if (!has('content-type') && typeof payload === 'object' && !(payload instanceof Uint8Array)) headers['content-type'] = 'application/json'
    body = streamOf(bytes)
  } else if (hasPayload) {
    body = payload
  }
  return { label: `${method} ${typeof url === 'string' ? url : url.pathname}`, options: { ...rest, method, headers }, body }
}

/** Whether a payload is known as a whole: not a stream, and no form, which `inject` makes a stream of. */
function isBytes (payload: InjectOptions['payload']): payload is string | object {
  if (typeof payload === 'string') return true
  return typeof payload === 'object' && payload !== null && !('resume' in payload && typeof payload.resume === 'function') &&
    !(payload instanceof FormData)
}

/** `inject` waits for `setImmediate`, which a test may have faked, before it gives a body that is no stream. */
function streamOf (bytes: Uint8Array): Readable {
  return new Readable({
    read () {
      if (bytes.length > 0) this.push(bytes)
      this.push(null)
    }
  })
}
