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
   * Most that is kept of an event: its `data` lines, each with its field name and one for its line end, and the line being
   * read, whatever it is. Past it, `push` throws a RangeError: the stream cannot be read on, nor would it help to ask for it
   * again. UTF-16 code units: a byte each of ASCII, and never more than the bytes.
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
  /** What to send as `Last-Event-ID`: the ID of the last block read to its end, event or not. */
  readonly lastEventId: string
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
  // Node 24 takes away a second mark as well when the first one ends a chunk.
  const decoder = new TextDecoder(undefined, { ignoreBOM: true })
  /** What does not belong to the text when the next chunk begins with it. */
  let skipped = '\ufeff'
  let isClosed = false
  // Only ever appended to until its line ends: any look inside copies all of it, once for each chunk.
  let openLine = ''
  let lineLength = 0
  let dataLength = 0
  let data: string[] = []
  let event = ''
  let id = initialId
  let lastEventId = initialId

  function push (chunk: Uint8Array): void {
    if (isClosed) return
    const text = decoder.decode(chunk, { stream: true })
    if (!text) return
    const lines = (text[0] === skipped ? text.slice(1) : text).split(/\r\n?|\n/)
    skipped = text.endsWith('\r') ? '\n' : ''
    let left = lines.length
    try {
      for (const line of lines) {
        if (isClosed) break
        lineLength += line.length
        if (dataLength + lineLength > limit) throw new RangeError(`An event is over ${limit} bytes: raise maxEventBytes`)
        openLine = openLine ? openLine + line : line
        if (--left) {
          readLine(openLine)
          openLine = ''
          lineLength = 0
        }
      }
    } catch (error) {
      stop()
      throw error
    }
  }

  function readLine (line: string): void {
    if (!line) return endBlock()
    const [, field, value = ''] = /^([^:]*):? ?([^]*)/.exec(line)!
    if (field === 'data') {
      data.push(value)
      dataLength += lineLength + 1
    } else if (field === 'event') {
      event = value
    } else if (field === 'id') {
      if (!value.includes('\0')) id = value
    } else if (field === 'retry') {
      if (/^\d+$/.test(value)) onRetry?.(+value)
    } else if (!field) {
      // A comment is the field whose name is empty.
      onComment?.(value)
    }
  }

  function endBlock (): void {
    const done = { event: event || 'message', data: data.join('\n'), id }
    const hasData = data.length
    data = []
    event = ''
    dataLength = 0
    if (id !== lastEventId) {
      lastEventId = id
      onId?.(id)
    }
    if (hasData && !isClosed) onEvent(done)
  }

  function stop (): void {
    isClosed = true
    openLine = ''
    data = []
  }

  return {
    push,
    stop,
    get lastEventId () { return lastEventId }
  }
}
