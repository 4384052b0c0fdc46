import { assertEventType, assertId, assertRetry, END_ID } from './frame.js'

// CRLF, CR alone and LF alone all end a line («parsing an event stream»): splitting on LF would let data forge a field.
const LINE_END = /\r\n|\r|\n/g

/**
 * The first line of an event's frame: what does not change from one event of a type to the next, made once.
 *
 * Empty for `undefined`: an event without a type arrives as `message`.
 *
 * @throws FST_SSE_FIELD_FORBIDDEN with `field: 'event'`, see {@link assertEventType}
 */
export function encodeHead (type?: string): string {
  if (type === undefined) return ''
  assertEventType(type)
  return `event: ${type}\n`
}

/**
 * The `data` lines of a text, one for each of its lines, an empty text being one empty line.
 *
 * A client reads the text back with CRLF and CR turned into LF: the wire has no other line end. Half a surrogate pair
 * arrives as U+FFFD, since it has no UTF-8.
 */
export function encodeData (text: string): string {
  return `data: ${splitLines(text, '\ndata: ')}\n`
}

/**
 * The frame of an event whose data is text of any number of lines.
 *
 * @param head what {@link encodeHead} made of the event type
 * @param data see {@link encodeData}
 * @param id checked here; an ID that the caller has checked is only checked twice
 * @param retry reconnection time in milliseconds
 * @throws FST_SSE_FIELD_FORBIDDEN with `field: 'id'` or `'retry'`, see {@link assertId} and {@link assertRetry}
 */
export function encodeEvent (head: string, data: string, id?: string | number, retry?: number): string {
  return encodeLineEvent(head, splitLines(data, '\ndata: '), id, retry)
}

/**
 * The frame of an event whose data is known to be one line, such as JSON.
 *
 * The data is not looked at: with CR or LF in it, the rest of the data is read as fields. Otherwise as {@link encodeEvent}.
 */
export function encodeLineEvent (head: string, line: string, id?: string | number, retry?: number): string {
  if (retry !== undefined) {
    return id === undefined
      ? `${head}data: ${line}\nretry: ${assertRetry(retry)}\n\n`
      : `${head}data: ${line}\nid: ${assertId(id)}\nretry: ${assertRetry(retry)}\n\n`
  }
  return id === undefined ? `${head}data: ${line}\n\n` : `${head}data: ${line}\nid: ${assertId(id)}\n\n`
}

/**
 * The frame of a comment, one comment line for each line of the text. No client shows it to its page.
 */
export function encodeComment (text: string): string {
  return text === '' ? ':\n\n' : `: ${splitLines(text, '\n: ')}\n\n`
}

/**
 * The frame of a reconnection time in milliseconds, for the connection and not for an event.
 *
 * @throws FST_SSE_FIELD_FORBIDDEN with `field: 'retry'`, see {@link assertRetry}
 */
export function encodeRetry (ms: number): string {
  return `retry: ${assertRetry(ms)}\n\n`
}

/** The frame that ends a stream for good: the one event that carries {@link END_ID}. */
export const END_FRAME = `event: sse.end\ndata: null\nid: ${END_ID}\n\n`

function splitLines (text: string, separator: string): string {
  return text.includes('\n') || text.includes('\r') ? text.replace(LINE_END, separator) : text
}
