import { deepStrictEqual } from 'node:assert'
import { createParser } from 'eventsource-parser'
import { MARK, timedTick } from './event.mjs'

/** What each contender puts into an event on the wire, as `{ event, data, id }`. */
const FORMS = {
  /** As it was published. */
  whole: (event) => event,
  /** With an ID of the channel's own, `<epoch>.<offset>`: the offsets must follow each other. */
  position: ({ event, data, id }, index, first) => {
    const [epoch, offset] = id.split('.')
    const [firstEpoch, firstOffset] = first.id.split('.')
    deepStrictEqual([epoch, Number(offset)], [firstEpoch, Number(firstOffset) + index])
    return { event, data, id: String(JSON.parse(data).sequence) }
  },
  /** The data alone, wrapped with the name of the channel. */
  wrapped: ({ data }) => {
    const { channel, payload } = JSON.parse(data)
    deepStrictEqual(channel, 'ticks')
    return { event: 'tick', data: JSON.stringify(payload), id: String(payload.sequence) }
  }
}

/**
 * Reads one stream as a client would, with a parser that is no contender's, and compares each event with what was meant.
 *
 * @param {object} options
 * @param {number} options.port
 * @param {string} options.path
 * @param {number} options.after events of the server that this client must not get
 * @param {number} options.events how many it must get
 * @param {keyof typeof FORMS} options.form
 * @param {string} [options.lastEventId]
 */
export async function verify ({ port, path, after, events, form, lastEventId }) {
  const received = []
  let text = ''
  const parser = createParser({ onEvent: (event) => { if (event.data.includes(MARK)) received.push(event) } })
  const signal = AbortSignal.timeout(10_000)
  const aborter = new AbortController()
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    headers: { accept: 'text/event-stream', ...lastEventId === undefined ? {} : { 'last-event-id': lastEventId } },
    signal: AbortSignal.any([signal, aborter.signal])
  })
  try {
    for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
      text += chunk
      parser.feed(chunk)
      if (received.length >= events) break
    }
  } catch (error) {
    throw new Error(`${received.length} of ${events} events arrived: ${error.message}`)
  }
  aborter.abort()
  const seen = received.map((event, index) => {
    const { event: type, data, id } = FORMS[form](event, index, received[0])
    const parsed = JSON.parse(data)
    // The time is known to the publisher alone.
    return { event: type, data: { ...parsed, at: /^\d{24}$/.test(parsed.at) }, id }
  })
  deepStrictEqual(seen, Array.from({ length: events }, (_, index) => {
    const meant = timedTick(after + index + 1, 0)
    return { ...meant, data: { ...meant.data, at: true } }
  }))
  // The load client counts marks.
  deepStrictEqual(text.split(MARK).length - 1, events)
  return {}
}
