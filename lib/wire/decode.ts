/** An event as the client dispatches it. */
export interface DecodedEvent {
  /** Event type; `'message'` when the stream gave none. */
  event: string
  data: string
  /** Last event ID once this event is read: its own, or the one an earlier event left. */
  id: string
}

export interface DecoderOptions {
  /** Called for each event, in order, within the `push` of the byte that completes it. */
  onEvent: (event: DecodedEvent) => void
  /** Called for each comment line, with its text less one leading space. */
  onComment?: ((text: string) => void) | undefined
  /**
   * Called for each `retry` line that is all digits. Milliseconds of any size, `Infinity` included: the caller bounds it.
   */
  onRetry?: ((ms: number) => void) | undefined
  /** Called when a block changes the last event ID, before the block's event. */
  onId?: ((id: string) => void) | undefined
  /**
   * Last event ID of the connection before, which events without an ID go on carrying.
   *
   * @defaultValue `''`
   */
  lastEventId?: string | undefined
  /**
   * Most that is kept of an event: the bytes of its `data` lines, each with its field name and one for its line end, and
   * of the line being read, whatever it is. Past it, `push` throws {@link EventTooLargeError}. A byte that is not UTF-8
   * counts for up to three.
   *
   * @defaultValue no limit
   */
  maxEventBytes?: number | undefined
}

export interface Decoder {
  /**
   * Reads a chunk, cut anywhere. Does nothing once closed. What a handler throws comes out of it and closes the decoder.
   *
   * Not to be called by a handler.
   */
  push (chunk: Uint8Array): void
  /** Closes the decoder: nothing is called any more, not even for the rest of the chunk being read. */
  stop (): void
  /** Whether `stop` was called, or `push` threw. */
  readonly closed: boolean
  /** What to send as `Last-Event-ID`: the ID of the last block read to its end, event or not. */
  readonly lastEventId: string
}

/** An event over `maxEventBytes`: the stream cannot be read on, nor would it help to ask for it again. */
export class EventTooLargeError extends Error {
  override readonly name: string = 'EventTooLargeError'
  /** Bytes. */
  readonly limit: number

  constructor (limit: number) {
    super(`An event is over ${limit} bytes. Send smaller events, or raise maxEventBytes.`)
    this.limit = limit
  }
}

/**
 * Reads one response: bytes, cut anywhere, into events.
 *
 * There is no call for the end of the stream, since an event without its blank line is discarded.
 *
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
 */
export function createDecoder (options: DecoderOptions): Decoder {
  const { onEvent, onComment, onRetry, onId, lastEventId: initialId = '', maxEventBytes: limit = Infinity } = options
  // The mark is removed below: a decoder that is flushed forgets that it has seen the beginning.
  const utf8 = new TextDecoder('utf-8', { ignoreBOM: true })
  let isASCII = true
  let isBeginning = true
  let isAfterCR = false
  let isClosed = false
  // Only ever appended to until its line ends: any look inside copies all of it, once for each chunk.
  let openLine = ''
  let lineBytes = 0
  let dataBytes = 0
  let data: string | undefined
  let event = ''
  let id = initialId
  let lastEventId = initialId

  function push (chunk: Uint8Array): void {
    if (isClosed || !chunk.length) return
    // Node decodes ASCII up to six times faster when it need not remember the end of a chunk, and the rest slower.
    isASCII &&= chunk[chunk.length - 1]! < 128
    const text = utf8.decode(chunk, { stream: !isASCII })
    isASCII &&= text.length === chunk.length
    if (!text) return
    const first = text.charCodeAt(0)
    let start = (isBeginning && first === 0xfeff) || (isAfterCR && first === 10) ? 1 : 0
    isBeginning = isAfterCR = false
    const isCounted = isASCII || limit === Infinity
    const idBefore = id
    let cr = text.indexOf('\r', start)
    let lf = text.indexOf('\n', start)
    try {
      for (;;) {
        const end = cr < 0 || (lf >= 0 && lf < cr) ? lf : cr
        const isOpen = end < 0
        const until = isOpen ? text.length : end
        lineBytes += isCounted ? until - start : utf8Length(text, start, until)
        if (dataBytes + lineBytes > limit) throw new EventTooLargeError(limit)
        if (isOpen) {
          openLine += text.slice(start)
          break
        }
        if (openLine) {
          const line = openLine + text.slice(start, end)
          openLine = ''
          readLine(line, 0, line.length)
        } else {
          readLine(text, start, end)
        }
        if (isClosed) break
        lineBytes = 0
        start = end + 1
        if (end === cr) {
          if (start === lf) start++
          isAfterCR = start === text.length && lf !== end + 1
          cr = text.indexOf('\r', start)
        }
        if (lf >= 0 && lf < start) lf = text.indexOf('\n', start)
      }
    } catch (error) {
      stop()
      throw error
    }
    if (id !== idBefore) {
      // A slice keeps the whole chunk in memory, and the ID outlives it by hours.
      const copy = (' ' + id).slice(1)
      if (lastEventId === id) lastEventId = copy
      id = copy
    }
  }

  function readLine (text: string, start: number, end: number): void {
    if (start === end) return endBlock()
    const first = text.charCodeAt(start)
    const field = first === 100 ? 'data' : first === 101 ? 'event' : first === 105 ? 'id' : first === 114 ? 'retry' : ''
    let colon = start
    for (let i = 0; i < field.length; i++) {
      if (text.charCodeAt(colon++) !== field.charCodeAt(i)) return
    }
    // A comment is the field whose name is empty.
    if (colon < end && text.charCodeAt(colon) !== 58) return
    const value = text.slice(colon + (text.charCodeAt(colon + 1) === 32 ? 2 : 1), end)
    if (field === 'data') {
      data = data === undefined ? value : data + '\n' + value
      dataBytes += lineBytes + 1
    } else if (field === 'event') {
      event = value
    } else if (field === 'id') {
      if (!value.includes('\0')) id = value
    } else if (field) {
      if (/^\d+$/.test(value)) onRetry?.(+value)
    } else {
      onComment?.(value)
    }
  }

  function endBlock (): void {
    const done = { event: event || 'message', data: data!, id }
    const hasData = data !== undefined
    data = undefined
    event = ''
    dataBytes = 0
    if (id !== lastEventId) {
      lastEventId = id
      onId?.(id)
    }
    if (hasData && !isClosed) onEvent(done)
  }

  function stop (): void {
    isClosed = true
    openLine = ''
    data = undefined
  }

  return {
    push,
    stop,
    get closed () { return isClosed },
    get lastEventId () { return lastEventId }
  }
}

function utf8Length (text: string, start: number, end: number): number {
  let bytes = end - start
  for (let i = start; i < end; i++) {
    const unit = text.charCodeAt(i)
    // Half of a pair is two of its four bytes.
    if (unit > 127) bytes += unit > 2047 && (unit < 0xd800 || unit > 0xdfff) ? 2 : 1
  }
  return bytes
}
