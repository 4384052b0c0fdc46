import t from 'tap'
import { SSEError } from '../../lib/errors.js'
import { assertId, assertRetry, END_ID, isReservedEventType, MAX_ID_BYTES } from '../../lib/wire/frame.js'
import {
  encodeComment, encodeData, encodeEvent, encodeHead, encodeLineEvent, encodeRetry, END_FRAME
} from '../../lib/wire/encode.js'
import { cases, refusals, type Sent } from './cases.js'

function encode (sent: Sent): string {
  if ('comment' in sent) return encodeComment(sent.comment)
  if ('data' in sent) return encodeEvent(encodeHead(sent.event), sent.data, sent.id, sent.retry)
  return encodeRetry(sent.retry)
}

function errorOf (run: () => unknown): SSEError {
  try {
    run()
  } catch (error) {
    if (error instanceof SSEError) return error
    throw error
  }
  throw new Error('nothing was refused')
}

for (const { name, event, refused } of refusals) {
  t.test(`${name} is refused`, async (t) => {
    const error = errorOf(() => encode(event))
    t.strictSame({ ...error }, { ...new SSEError('FST_SSE_FIELD_FORBIDDEN', '', refused) })
    t.notMatch(error.message, /[\r\n\0]/, 'the message is one line')
    t.ok(error.message.length < 400, 'the message is short')
  })
}

t.test('a value of another type is refused', async (t) => {
  for (const value of [null, true, 1n, {}, new Date(0), Symbol('a')]) {
    t.strictSame(errorOf(() => encodeEvent('', '', value as never)).code, 'FST_SSE_FIELD_FORBIDDEN')
    t.strictSame(errorOf(() => encodeHead(value as never)).code, 'FST_SSE_FIELD_FORBIDDEN')
    t.strictSame(errorOf(() => encodeRetry(value as never)).code, 'FST_SSE_FIELD_FORBIDDEN')
  }
  t.strictSame(errorOf(() => encodeRetry('3000' as never)).code, 'FST_SSE_FIELD_FORBIDDEN')
})

t.test('a refusal says what was found and what to do', async (t) => {
  const messageOf = (sent: Sent): string => errorOf(() => encode(sent)).message
  t.equal(messageOf({ event: 'a\nb', data: '' }),
    'An event type cannot contain LF; found "a\\nb". Encode it before use, for example with encodeURIComponent().')
  t.equal(messageOf({ event: '', data: '' }),
    'An event type cannot be empty. Name it, or leave `event` out to send a message.')
  t.equal(messageOf({ data: '', id: 'a\0' }),
    'An ID cannot contain U+0000; found "a\\u0000". Encode it before use, for example with encodeURIComponent().')
  t.equal(messageOf({ data: '', id: NaN }),
    'An ID is a string or a finite number; found NaN. Convert it before use.')
  t.equal(messageOf({ data: '', id: 'sse.end' }),
    'The ID "sse.end" is reserved for the end of a stream. Choose another one.')
  t.equal(messageOf({ retry: 0.5 }),
    'A reconnection time is an integer from 0 to 2147483647 milliseconds; found 0.5. Round it, or leave it out.')
})

for (const { name, event, frame } of cases) {
  t.test(`${name} has its frame`, async (t) => {
    t.equal(encode(event), frame)
  })
}

t.test('data that is one line has the same frame without being looked at', async (t) => {
  for (const { event } of cases) {
    if (!('data' in event) || /[\r\n]/.test(event.data)) continue
    t.equal(encodeLineEvent(encodeHead(event.event), event.data, event.id, event.retry), encode(event))
  }
})

t.test('data lines can be made once and used in many frames', async (t) => {
  t.equal(encodeData('a\r\nb'), 'data: a\ndata: b\n')
  t.equal(encodeData(''), 'data: \n')
})

t.test('an ID of 4096 bytes is accepted', async (t) => {
  for (const id of ['a'.repeat(MAX_ID_BYTES), '→'.repeat(1365) + 'a', '😀'.repeat(1024)]) {
    t.equal(Buffer.byteLength(id), MAX_ID_BYTES)
    t.equal(assertId(id), id)
  }
})

t.test('minus zero is zero', async (t) => {
  t.equal(assertId(-0), '0')
  t.equal(encodeRetry(-0), 'retry: 0\n\n')
})

t.test('a reconnection time that is accepted is returned', async (t) => {
  t.equal(assertRetry(3000), 3000)
})

t.test('the types of EventSource and of this package are reserved', async (t) => {
  for (const type of ['error', 'open', 'sse.', 'sse.gap']) t.equal(isReservedEventType(type), true, type)
  for (const type of ['message', 'errors', 'Open', 'sse', 'SSE.gap', 'a.sse.b']) {
    t.equal(isReservedEventType(type), false, type)
  }
})

t.test('the frame that ends a stream carries the reserved ID', async (t) => {
  t.equal(END_FRAME, 'event: sse.end\ndata: null\nid: sse.end\n\n')
  t.equal(END_ID, 'sse.end')
})
