/** What is handed to an encoder. */
export type Sent =
  | { event?: string, data: string, id?: string | number, retry?: number }
  | { comment: string }
  | { retry: number }

/** What a decoder calls, in order. */
export type Read =
  | { event: string, data: string, id: string }
  | { comment: string }
  | { retry: number }

export interface WireCase {
  name: string
  event: Sent
  frame: string
  read: Read[]
}

export interface Refusal {
  name: string
  event: Sent
  refused: { field: 'event' | 'id' | 'retry', index?: number }
}

export interface StreamCase {
  name: string
  stream: string
  read: Read[]
  /** What the next `Last-Event-ID` is. */
  lastEventId?: string
}

/** What we send, its frame, and what a client reads. */
export const cases: WireCase[] = [
  {
    name: 'an event without a type',
    event: { data: 'a' },
    frame: 'data: a\n\n',
    read: [{ event: 'message', data: 'a', id: '' }]
  }, {
    name: 'an event with each field',
    event: { event: 'tick', data: '{"n":1}', id: 'a1', retry: 3000 },
    frame: 'event: tick\ndata: {"n":1}\nid: a1\nretry: 3000\n\n',
    read: [{ retry: 3000 }, { event: 'tick', data: '{"n":1}', id: 'a1' }]
  }, {
    name: 'LF in data',
    event: { data: 'a\nb' },
    frame: 'data: a\ndata: b\n\n',
    read: [{ event: 'message', data: 'a\nb', id: '' }]
  }, {
    name: 'CR in data',
    event: { data: 'a\rid: forged' },
    frame: 'data: a\ndata: id: forged\n\n',
    read: [{ event: 'message', data: 'a\nid: forged', id: '' }]
  }, {
    name: 'CRLF in data',
    event: { data: 'a\r\nb' },
    frame: 'data: a\ndata: b\n\n',
    read: [{ event: 'message', data: 'a\nb', id: '' }]
  }, {
    name: 'an empty line in data',
    event: { data: 'a\n\nb\n\r' },
    frame: 'data: a\ndata: \ndata: b\ndata: \ndata: \n\n',
    read: [{ event: 'message', data: 'a\n\nb\n\n', id: '' }]
  }, {
    name: 'empty data',
    event: { event: 'ping', data: '' },
    frame: 'event: ping\ndata: \n\n',
    read: [{ event: 'ping', data: '', id: '' }]
  }, {
    name: 'data that starts with spaces and a colon',
    event: { data: '  :a' },
    frame: 'data:   :a\n\n',
    read: [{ event: 'message', data: '  :a', id: '' }]
  }, {
    name: 'data that starts with a byte order mark',
    event: { data: '\ufeffa' },
    frame: 'data: \ufeffa\n\n',
    read: [{ event: 'message', data: '\ufeffa', id: '' }]
  }, {
    name: 'U+0000 and U+2028 in data',
    event: { data: 'a\0b\u2028c' },
    frame: 'data: a\0b\u2028c\n\n',
    read: [{ event: 'message', data: 'a\0b\u2028c', id: '' }]
  }, {
    name: 'half a surrogate pair in data',
    event: { data: 'a\ud83d' },
    frame: 'data: a\ud83d\n\n',
    read: [{ event: 'message', data: 'a\ufffd', id: '' }]
  }, {
    name: 'characters of two, three and four bytes',
    event: { event: 'größe', data: 'é→😀', id: '日本😀' },
    frame: 'event: größe\ndata: é→😀\nid: 日本😀\n\n',
    read: [{ event: 'größe', data: 'é→😀', id: '日本😀' }]
  }, {
    name: 'an ID and an event type that start with a space',
    event: { event: ' a', data: 'b', id: ' c' },
    frame: 'event:  a\ndata: b\nid:  c\n\n',
    read: [{ event: ' a', data: 'b', id: ' c' }]
  }, {
    name: 'the empty ID',
    event: { data: 'a', id: '' },
    frame: 'data: a\nid: \n\n',
    read: [{ event: 'message', data: 'a', id: '' }]
  }, {
    name: 'the ID 0',
    event: { data: 'a', id: 0 },
    frame: 'data: a\nid: 0\n\n',
    read: [{ event: 'message', data: 'a', id: '0' }]
  }, {
    name: 'an ID that is a fraction',
    event: { data: 'a', id: -1.5 },
    frame: 'data: a\nid: -1.5\n\n',
    read: [{ event: 'message', data: 'a', id: '-1.5' }]
  }, {
    name: 'retry: 0 in an event without an ID',
    event: { data: 'a', retry: 0 },
    frame: 'data: a\nretry: 0\n\n',
    read: [{ retry: 0 }, { event: 'message', data: 'a', id: '' }]
  }, {
    name: 'a lone reconnection time',
    event: { retry: 3000 },
    frame: 'retry: 3000\n\n',
    read: [{ retry: 3000 }]
  }, {
    name: 'the longest reconnection time',
    event: { retry: 2147483647 },
    frame: 'retry: 2147483647\n\n',
    read: [{ retry: 2147483647 }]
  }, {
    name: 'a lone comment',
    event: { comment: 'still here' },
    frame: ': still here\n\n',
    read: [{ comment: 'still here' }]
  }, {
    name: 'an empty comment',
    event: { comment: '' },
    frame: ':\n\n',
    read: [{ comment: '' }]
  }, {
    name: 'each line end in a comment',
    event: { comment: 'a\rdata: b\r\nc\n\n d' },
    frame: ': a\n: data: b\n: c\n: \n:  d\n\n',
    read: [{ comment: 'a' }, { comment: 'data: b' }, { comment: 'c' }, { comment: '' }, { comment: ' d' }]
  }
]

/** What we refuse to send. */
export const refusals: Refusal[] = [
  { name: 'an empty event type', event: { event: '', data: '' }, refused: { field: 'event', index: 0 } },
  { name: 'LF in an event type', event: { event: 'a\ndata: b', data: '' }, refused: { field: 'event', index: 1 } },
  { name: 'CR in an event type', event: { event: 'ab\r', data: '' }, refused: { field: 'event', index: 2 } },
  {
    name: 'half a surrogate pair in an event type',
    event: { event: '😀\udc00', data: '' },
    refused: { field: 'event', index: 2 }
  },
  { name: 'LF in an ID', event: { data: '', id: 'a\n' }, refused: { field: 'id', index: 1 } },
  { name: 'CR in an ID', event: { data: '', id: '\r' }, refused: { field: 'id', index: 0 } },
  { name: 'U+0000 in an ID', event: { data: '', id: 'ab\0' }, refused: { field: 'id', index: 2 } },
  { name: 'half a surrogate pair in an ID', event: { data: '', id: 'a\ud83d' }, refused: { field: 'id', index: 1 } },
  { name: 'an ID of 4097 bytes', event: { data: '', id: 'a'.repeat(4097) }, refused: { field: 'id' } },
  {
    name: 'an ID of 1366 characters and 4098 bytes',
    event: { data: '', id: '→'.repeat(1366) },
    refused: { field: 'id' }
  },
  { name: 'the ID that ends a stream', event: { data: '', id: 'sse.end' }, refused: { field: 'id' } },
  { name: 'an ID that is not a number', event: { data: '', id: NaN }, refused: { field: 'id' } },
  { name: 'an infinite ID', event: { data: '', id: -Infinity }, refused: { field: 'id' } },
  { name: 'a fraction in retry', event: { data: '', retry: 1.5 }, refused: { field: 'retry' } },
  { name: 'a negative retry', event: { data: '', retry: -1 }, refused: { field: 'retry' } },
  { name: 'a retry that no timer can hold', event: { data: '', id: 'a', retry: 2147483648 }, refused: { field: 'retry' } },
  { name: 'a retry that is not a number', event: { retry: NaN }, refused: { field: 'retry' } }
]

/** Streams that are not ours, and what the standard reads in them. */
export const streams: StreamCase[] = [
  {
    name: 'CR, LF and CRLF each end a line',
    stream: 'data: a\rdata: b\ndata: c\r\n\r\ndata: d\r\r\ndata: e\n\r',
    read: [
      { event: 'message', data: 'a\nb\nc', id: '' },
      { event: 'message', data: 'd', id: '' },
      { event: 'message', data: 'e', id: '' }
    ]
  }, {
    name: 'one byte order mark at the beginning is removed, and one alone',
    stream: '\ufeffdata: a\n\n\ufeffdata: b\n\n',
    read: [{ event: 'message', data: 'a', id: '' }]
  }, {
    name: 'a second byte order mark belongs to the name of the field',
    stream: '\ufeff\ufeffdata: a\n\ndata: b\n\n',
    read: [{ event: 'message', data: 'b', id: '' }]
  }, {
    name: 'a line end right after the byte order mark ends an empty line',
    stream: '\ufeff\r\ndata: a\n\n',
    read: [{ event: 'message', data: 'a', id: '' }]
  }, {
    name: 'one leading space of a value is removed, and one alone',
    stream: 'data:a\ndata: b\ndata:  c\ndata:\td\n\n',
    read: [{ event: 'message', data: 'a\nb\n c\n\td', id: '' }]
  }, {
    name: 'a field without a colon has an empty value',
    stream: 'data\n\ndata\ndata\n\nid: a\ndata\n\nid\nevent: b\nevent\ndata\n\nretry\n\n',
    read: [
      { event: 'message', data: '', id: '' },
      { event: 'message', data: '\n', id: '' },
      { event: 'message', data: '', id: 'a' },
      { event: 'message', data: '', id: '' }
    ]
  }, {
    name: 'a value on the line after a field without a colon stays there',
    stream: 'data\n a\n\ndata:\n b\n\n',
    read: [{ event: 'message', data: '', id: '' }, { event: 'message', data: '', id: '' }]
  }, {
    name: 'a block without data dispatches nothing and forgets its event type',
    stream: 'event: a\n\ndata: b\n\n\n\n',
    read: [{ event: 'message', data: 'b', id: '' }]
  }, {
    name: 'an empty event type clears the one before it',
    stream: 'event: a\nevent:\ndata: b\n\nevent:\nevent: c\ndata: d\n\n',
    read: [{ event: 'message', data: 'b', id: '' }, { event: 'c', data: 'd', id: '' }]
  }, {
    name: 'an unknown field is ignored, and field names are read to the letter',
    stream: 'Data: a\n data: b\ndata : c\ndatas: d\ndat: e\nfoo\nidx: f\neventual: g\nretry3: 4\n{}\ndata: h\n\n',
    read: [{ event: 'message', data: 'h', id: '' }]
  }, {
    name: 'the last event ID stays until another replaces it',
    stream: 'data: a\nid: 1\n\ndata: b\n\nid: 2\ndata: c\n\n',
    read: [
      { event: 'message', data: 'a', id: '1' },
      { event: 'message', data: 'b', id: '1' },
      { event: 'message', data: 'c', id: '2' }
    ],
    lastEventId: '2'
  }, {
    name: 'a block with an ID alone sets the last event ID',
    stream: 'id: 1\n\n',
    read: [],
    lastEventId: '1'
  }, {
    name: 'an empty ID resets the last event ID',
    stream: 'id: 1\ndata: a\n\nid:\ndata: b\n\n',
    read: [{ event: 'message', data: 'a', id: '1' }, { event: 'message', data: 'b', id: '' }],
    lastEventId: ''
  }, {
    name: 'an ID with U+0000 is ignored',
    stream: 'id: 1\nid: 2\0\ndata: a\n\n',
    read: [{ event: 'message', data: 'a', id: '1' }],
    lastEventId: '1'
  }, {
    name: 'an ID in a block that the stream does not end is not yet the last event ID',
    stream: 'id: 1\n\nid: 2\n',
    read: [],
    lastEventId: '1'
  }, {
    name: 'an event that the stream does not end is discarded',
    stream: 'data: a\n\ndata: b\n',
    read: [{ event: 'message', data: 'a', id: '' }]
  }, {
    name: 'retry takes ASCII digits alone',
    stream: 'retry: 10\nretry: 1.5\nretry: -1\nretry: 1e3\nretry: 5 \nretry:  5\nretry:\nretry: ٣\nretry:007\n\n',
    read: [{ retry: 10 }, { retry: 7 }]
  }, {
    name: 'a retry of any size is a number',
    stream: `retry: 5000000000\nretry: ${'9'.repeat(400)}\n`,
    read: [{ retry: 5000000000 }, { retry: Infinity }]
  }, {
    name: 'a comment is no event and ends none',
    stream: ':\n: a\n:b\n::c\ndata: d\n: e\ndata: f\n\n',
    read: [
      { comment: '' }, { comment: 'a' }, { comment: 'b' }, { comment: ':c' }, { comment: 'e' },
      { event: 'message', data: 'd\nf', id: '' }
    ]
  }
]
