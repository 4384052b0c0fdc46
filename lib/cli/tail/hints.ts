import type { StreamError } from '../../client.js'

/** What has gone wrong with a stream, in one sentence. */
export function reasonOf (error: StreamError): string {
  switch (error.kind) {
    case 'status': return `the server answered ${error.status}`
    case 'content-type': return `the answer is no event stream, but ${typeOf(error) || 'of no type'}`
    case 'ended': return 'the response ended'
    case 'stalled': return error.message === 'Silence' ? 'nothing has come for too long' : 'there was no answer'
    case 'fault': return `sse.fault${error.code === undefined ? '' : ` ${error.code}`}: ${error.message}`
    case 'network': return causeOf(error).message
    default: return error.message
  }
}

/** What to do about it, where people go wrong; undefined where there is nothing to say. */
export function hintOf (error: StreamError, url: URL): string | undefined {
  if (error.kind === 'network') return networkHint(causeOf(error).code, url)
  if (error.kind === 'content-type') {
    if (/^text\/html/i.test(typeOf(error))) return 'This is a web page. Is it the URL of the stream, and not of a page, a login or a fallback to index.html?'
    return 'The route has answered, but not with a stream. Does it stream for this request?'
  }
  if (error.kind === 'too-large') return 'Events over 16 MiB are not read.'
  if (error.kind !== 'status') return undefined
  switch (error.status) {
    case 400: return 'The request is not what the route takes. Look at its parameters, headers and body.'
    case 401: return 'The stream wants to know who asks: --header "Authorization: Bearer …", or --header "Cookie: …"'
    case 403: return 'Whoever asks may not: other credentials, or an Origin or Referer header, may help.'
    case 404: return 'There is no such route. Check the path, with the prefix of the server, and --method.'
    case 405: return 'The route has another method: --method POST'
    case 406: return 'The route does not stream for this Accept header. Without one, text/event-stream is sent.'
    case 415: return 'The route does not take this body: --header "Content-Type: …"'
    case 429: return 'Too many streams or requests. Close others, or wait.'
    default: return undefined
  }
}

function networkHint (code: string | undefined, { protocol, hostname, port }: URL): string | undefined {
  const number = port || (protocol === 'https:' ? '443' : '80')
  if (code === 'ECONNREFUSED') return `Nothing listens at ${hostname}, port ${number}. Is the server running, and is this its port?`
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return `The name ${hostname} leads nowhere. Is it spelt right, and is there a network?`
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'ERR_SSL_PACKET_LENGTH_TOO_LONG') return 'The server does not speak https there. Try http://'
  if (code !== undefined && /CERT|SELF_SIGNED|UNABLE_TO_VERIFY/.test(code)) return 'Its certificate is not trusted. Name the authority that signed it in the environment variable NODE_EXTRA_CA_CERTS.'
  if (code === 'UND_ERR_SOCKET' && protocol === 'http:') return 'The server closed the connection. Does it expect https:// at this port?'
  return undefined
}

/** The innermost cause: what `fetch` says by itself is that it failed. */
function causeOf (error: unknown): { message: string, code: string | undefined } {
  let found = error as Cause
  let { message, code } = found
  for (;;) {
    // One for each address of a host.
    const next = found.errors?.[0] ?? found.cause
    if (!(next instanceof Error)) return { message: message.replace(/^(Type)?Error: /, ''), code }
    found = next
    message = found.message || message
    code = found.code ?? code
  }
}

type Cause = Error & { code?: string, errors?: unknown[] }

/** The content type of a response that was refused. It stands in the error's message alone: `200 text/html from …`. */
function typeOf ({ message }: StreamError): string {
  return /^\d+ (.*?) from /.exec(message)?.[1] ?? ''
}
