import type { ReadEvent } from './cursor.js'

/**
 * The event that a frame of ours was made of, as a client reads it.
 *
 * @param isText whether the data of an event type is text, and not JSON
 */
export function decodeFrame (frame: Buffer, isText: (eventType: string) => boolean): ReadEvent {
  let event = 'message'
  let id = ''
  let retry: number | undefined
  const data: string[] = []
  for (const line of frame.toString('utf8').split('\n')) {
    if (line.startsWith('data: ')) data.push(line.slice(6))
    else if (line.startsWith('event: ')) event = line.slice(7)
    else if (line.startsWith('id: ')) id = line.slice(4)
    else if (line.startsWith('retry: ')) retry = Number(line.slice(7))
  }
  const text = data.join('\n')
  const read: ReadEvent = { event, data: isText(event) ? text : JSON.parse(text), id }
  if (retry !== undefined) read.retry = retry
  return read
}

/** A block that has an ID and nothing else: no client dispatches it, and each takes the ID for its last event ID. */
export function encodeIdBlock (id: string): string {
  return `id: ${id}\n\n`
}
