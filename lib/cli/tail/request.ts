import { UserError, type CommandIO } from '../command.js'
import { readInput } from '../input.js'

const HELP = 'See: fastify-typed-sse tail --help'

/** What `tail` requests. */
export interface TailRequest {
  /** Without user name and password. */
  readonly url: URL
  readonly method: string
  readonly headers: Headers
  readonly body: Uint8Array<ArrayBuffer> | undefined
}

interface RequestOptions { header: readonly string[], method: string | undefined, data: string | undefined }

/** @throws UserError for what cannot be requested */
export async function readRequest (given: string, { header, method: givenMethod, data }: RequestOptions, io: CommandIO): Promise<TailRequest> {
  const url = readUrl(given)
  const headers = readHeaders(header)
  if (url.username !== '' || url.password !== '') {
    const credentials = Buffer.from(`${decoded(url.username)}:${decoded(url.password)}`).toString('base64')
    if (!headers.has('authorization')) headers.set('authorization', `Basic ${credentials}`)
    url.username = url.password = ''
  }
  const method = (givenMethod ?? (data === undefined ? 'GET' : 'POST')).toUpperCase()
  if (!/^[A-Z-]+$/.test(method)) throw new UserError(`--method must be an HTTP method, such as POST, but is ${JSON.stringify(givenMethod)}.\n${HELP}`, 2)
  if (data !== undefined && (method === 'GET' || method === 'HEAD')) throw new UserError(`A ${method} request has no data. Leave out --method, or name another one.\n${HELP}`, 2)
  const body = data === undefined ? undefined : await readData(data, io)
  if (body !== undefined && !headers.has('content-type')) headers.set('content-type', isJSON(body) ? 'application/json' : 'text/plain; charset=utf-8')
  return { url, method, headers, body }
}

function readUrl (given: string): URL {
  const text = /^[a-z][a-z\d+.-]*:\/\//i.test(given) ? given : `http://${given}`
  let url: URL
  try {
    if (/^[/?#]/.test(given)) throw new TypeError('no host')
    url = new URL(text)
  } catch {
    throw new UserError(`This is no URL: ${JSON.stringify(given)}. Give one such as http://localhost:3000/orders, or localhost:3000/orders.\n${HELP}`, 2)
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw new UserError(`tail reads http and https, not ${url.protocol}//\n${HELP}`, 2)
  url.hash = ''
  return url
}

/** A `%` that begins no escape stands for itself. */
function decoded (text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function readHeaders (lines: readonly string[]): Headers {
  const headers = new Headers()
  for (const line of lines) {
    const colon = line.indexOf(':')
    try {
      if (colon < 1) throw new TypeError('no name')
      headers.append(line.slice(0, colon).trim(), line.slice(colon + 1).trim())
    } catch {
      throw new UserError(`--header must be a name, a colon and a value, such as "Authorization: Bearer …", but is ${JSON.stringify(line)}.\n${HELP}`, 2)
    }
  }
  return headers
}

async function readData (data: string, io: CommandIO): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(data.startsWith('@') ? await readInput(data.slice(1), io) : new TextEncoder().encode(data))
}

function isJSON (body: Uint8Array): boolean {
  try {
    JSON.parse(new TextDecoder().decode(body))
    return true
  } catch {
    return false
  }
}
