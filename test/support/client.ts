import http, { type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import net from 'node:net'
import type { Test } from 'tap'

export interface RequestOptions {
  method?: string
  headers?: Record<string, string>
  body?: unknown
  agent?: http.Agent
}

/** A client on a real socket that reads frame by frame, and can stop reading, vanish or break off. */
export class FrameClient {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly response: IncomingMessage
  /** Everything received so far. */
  text = ''
  /** How the response ended, undefined while it goes on: 'end' in order, 'aborted' otherwise. */
  ended: 'end' | 'aborted' | undefined
  #unread = ''
  #changed: (() => void) | null = null

  constructor (response: IncomingMessage) {
    this.response = response
    this.status = response.statusCode!
    this.headers = response.headers
    response.setEncoding('utf8')
    response.on('data', (chunk: string) => {
      this.text += chunk
      this.#unread += chunk
      this.#notify()
    })
    response.on('end', () => {
      this.ended ??= response.complete ? 'end' : 'aborted'
      this.#notify()
    })
    response.on('error', () => {
      this.ended ??= 'aborted'
      this.#notify()
    })
  }

  #notify (): void {
    this.#changed?.()
    this.#changed = null
  }

  async #change (): Promise<void> {
    await new Promise<void>((resolve) => { this.#changed = resolve })
  }

  /** The next frame with its blank line, undefined when the response ends before there is one. */
  async frame (): Promise<string | undefined> {
    while (true) {
      const end = this.#unread.indexOf('\n\n')
      if (end !== -1) {
        const frame = this.#unread.slice(0, end + 2)
        this.#unread = this.#unread.slice(end + 2)
        return frame
      }
      if (this.ended !== undefined) return undefined
      await this.#change()
    }
  }

  /** The next `count` frames that are events: neither comments nor reconnection times. */
  async events (count: number): Promise<string[]> {
    const events: string[] = []
    while (events.length < count) {
      const frame = await this.frame()
      if (frame === undefined) break
      if (/^data:/m.test(frame)) events.push(frame)
    }
    return events
  }

  /** All that is still to come, once the response has ended. */
  async rest (): Promise<string> {
    while (this.ended === undefined) await this.#change()
    const rest = this.#unread
    this.#unread = ''
    return rest
  }

  /** Reads no more, so that the connection fills up. */
  stall (): void {
    this.response.pause()
  }

  /** Ends the connection in order. */
  fin (): void {
    this.response.socket.end()
  }

  /** Breaks the connection off. */
  rst (): void {
    this.response.socket.resetAndDestroy()
  }
}

/** Sends a request and waits for the head of its response. The connection is destroyed at the end of the test. */
export async function connect (t: Test, url: string, { method = 'GET', headers = {}, body, agent }: RequestOptions = {}): Promise<FrameClient> {
  const request = http.request(url, {
    method,
    agent: agent ?? false,
    headers: body === undefined ? headers : { 'content-type': 'application/json', ...headers }
  })
  t.teardown(() => request.destroy())
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    request.on('response', resolve)
    request.on('error', reject)
    request.end(body === undefined ? undefined : JSON.stringify(body))
  })
  request.on('error', () => {})
  return new FrameClient(response)
}

/** A bare socket that has sent `text`; what it receives is in `received()`. */
export async function rawConnect (t: Test, port: number, text: string): Promise<net.Socket & { received: () => string, until: (part: string) => Promise<string> }> {
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  t.teardown(() => socket.destroy())
  let received = ''
  let changed: (() => void) | null = null
  const notify = (): void => {
    changed?.()
    changed = null
  }
  socket.on('data', (chunk) => {
    received += chunk.toString()
    notify()
  })
  socket.on('close', notify)
  socket.on('error', () => {})
  await new Promise<void>((resolve) => socket.once('connect', resolve))
  socket.write(text)
  return Object.assign(socket, {
    received: () => received,
    until: async (part: string) => {
      while (!received.includes(part) && !socket.destroyed) await new Promise<void>((resolve) => { changed = resolve })
      return received
    }
  })
}
