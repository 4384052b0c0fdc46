import type { Fetch } from '../../client.js'
import { createDecoder, type DecodedEvent } from '../../wire/decode.js'

const MAX_EVENT_BYTES = 16_777_216

/** What the client keeps to itself. */
export interface Tap {
  readonly fetch: Fetch
  /** `sse.end` or `sse.fault`, when the stream has sent one. */
  readonly last: DecodedEvent | undefined
  /** Status of the newest response. */
  readonly status: number | undefined
  /** Where redirects have led the newest request; undefined without any. */
  readonly redirected: string | undefined
  /** Milliseconds of the newest `retry`. */
  readonly retryMs: number | undefined
}

/**
 * A `fetch` that looks at what the client reads, and reads no further while the reader has to wait.
 *
 * @param room what to wait for before more is read; undefined when there is room
 */
export function createTap (room: () => Promise<void> | undefined): Tap {
  let last: DecodedEvent | undefined
  let status: number | undefined
  let redirected: string | undefined
  let retryMs: number | undefined

  const tapped: Fetch = async (url, init) => {
    const response = await fetch(url, init as RequestInit)
    status = response.status
    redirected = response.redirected ? response.url : undefined
    if (response.body === null) return response
    const reader = response.body.getReader()
    const decoder = createDecoder({
      maxEventBytes: MAX_EVENT_BYTES,
      onEvent (event) {
        if (event.event === 'sse.end' || event.event === 'sse.fault') last = event
      },
      onRetry (ms) {
        retryMs = ms
      }
    })
    const read = async (): ReturnType<typeof reader.read> => {
      await room()
      const result = await reader.read()
      if (result.value !== undefined) look(result.value)
      return result
    }
    // As much of a stream as the client uses.
    return { status, headers: response.headers, body: { getReader: () => ({ read, cancel: async () => await reader.cancel() }) } }

    function look (chunk: Uint8Array): void {
      try {
        decoder.push(chunk)
      } catch {
        // An event that is too large: the client says so itself.
      }
    }
  }

  return {
    fetch: tapped,
    get last () { return last },
    get status () { return status },
    get redirected () { return redirected },
    get retryMs () { return retryMs }
  }
}
