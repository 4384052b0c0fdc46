import t from 'tap'
import { decodeFrame, encodeIdBlock } from '../../lib/channel/frame.js'
import { decodePositions, encodePosition, newEpoch } from '../../lib/channel/position.js'
import { Ring, type RingLimits } from '../../lib/channel/ring.js'
import { Conflation, type Entry } from '../../lib/channel/conflation.js'
import { Page } from '../../lib/channel/page.js'

const LIMITS: RingLimits = { events: 4, bytes: 100_000, ageMs: 0 }

function ringOf (limits: Partial<RingLimits> = {}): Ring {
  return new Ring('epoch', { ...LIMITS, ...limits })
}

function append (ring: Ring, data: string, now = 0): number {
  const frame = `data: ${data}\n\n`
  return ring.append(frame, ring.bytesOf(frame), now)
}

/** What a reader gets who begins after `after`. */
function read (ring: Ring, after: number, until = ring.head): string {
  let text = ''
  for (let offset = after; offset < until;) {
    const page = ring.page(offset, until)
    text += page.frames.toString()
    offset = page.last
  }
  return text
}

const framesOf = (...frames: Array<[data: string, offset: number]>): string =>
  frames.map(([data, offset]) => `data: ${data}\nid: epoch.${offset}\n\n`).join('')

t.test('a frame gets the next offset, and its ID in front of the blank line', async (t) => {
  const ring = ringOf()
  t.equal(append(ring, 'a'), 1)
  t.equal(append(ring, 'é€😀'), 2)
  t.equal(read(ring, 0), framesOf(['a', 1], ['é€😀', 2]))
  t.equal(ring.frameOf(2).toString(), framesOf(['é€😀', 2]))
  t.equal(ring.bytes, Buffer.byteLength(read(ring, 0)))
  t.equal(ring.bytesBetween(1, 2), ring.frameOf(2).length)
  t.equal(ring.frameOf(2).subarray(0, -ring.idBytes(2)).toString(), 'data: é€😀\n')
})

t.test('half a surrogate pair takes the room of the character that replaces it', async (t) => {
  const ring = ringOf()
  append(ring, '\ud800')
  append(ring, 'b')
  t.equal(read(ring, 0), framesOf(['\ufffd', 1], ['b', 2]))
})

t.test('an empty ring has nothing to read, and its first event will be the first', async (t) => {
  const ring = ringOf()
  t.strictSame([ring.first, ring.head, ring.count, ring.bytes, ring.readable, ring.heldBytes], [1, 0, 0, 0, 1, 0])
})

t.test('a ring that is exactly full keeps all, and one more evicts the oldest', async (t) => {
  const ring = ringOf()
  for (const data of 'abcd') append(ring, data)
  t.strictSame([ring.first, ring.count], [1, 4])
  t.equal(read(ring, 0), framesOf(['a', 1], ['b', 2], ['c', 3], ['d', 4]))
  append(ring, 'e')
  t.strictSame([ring.first, ring.count], [2, 4])
  t.equal(read(ring, 1), framesOf(['b', 2], ['c', 3], ['d', 4], ['e', 5]))
})

t.test('a ring of one keeps the newest', async (t) => {
  const ring = ringOf({ events: 1 })
  for (let n = 1; n <= 1000; n++) {
    append(ring, String(n))
    t.strictSame([ring.first, ring.count, read(ring, n - 1)], [n, 1, framesOf([String(n), n])])
  }
})

t.test('frames of any length, wrapped around many times, are read back whole', async (t) => {
  const ring = ringOf({ events: 50, bytes: 10_000_000 })
  const data = (n: number): string => String(n).padStart((n * 7919) % 5000, 'x')
  for (let n = 1; n <= 3000; n++) append(ring, data(n))
  t.equal(ring.first, 2951)
  const kept = Array.from({ length: 50 }, (_, index): [string, number] => [data(2951 + index), 2951 + index])
  t.equal(read(ring, 2950), framesOf(...kept))
  t.equal(ring.bytes, Buffer.byteLength(framesOf(...kept)))
  t.equal(ring.frameOf(2977).toString(), framesOf([data(2977), 2977]))
})

t.test('a frame longer than a segment stands in one of its own', async (t) => {
  const ring = ringOf({ bytes: 10_000_000 })
  const long = 'y'.repeat(300_000)
  append(ring, 'a')
  append(ring, long)
  append(ring, 'c')
  t.equal(read(ring, 0), framesOf(['a', 1], [long, 2], ['c', 3]))
})

t.test('bytes are counted as they stand on the wire, and the oldest events go', async (t) => {
  const size = framesOf(['0123456789', 1]).length
  const ring = ringOf({ events: 1000, bytes: 3 * size })
  for (let n = 1; n <= 9; n++) append(ring, '0123456789')
  t.strictSame([ring.first, ring.bytes], [7, 3 * size])
  append(ring, 'x'.repeat(size))
  t.ok(ring.bytes <= 3 * size)
  t.strictSame([ring.first, ring.count], [9, 2])
})

t.test('an event is evicted when it is as old as the limit', async (t) => {
  const ring = ringOf({ events: 1000, ageMs: 100 })
  append(ring, 'a', 0)
  append(ring, 'b', 60)
  ring.evictAged(99)
  t.equal(ring.first, 1)
  ring.evictAged(100)
  t.equal(ring.first, 2)
  append(ring, 'c', 160)
  t.equal(ring.first, 3)
  ring.evictAged(1000)
  t.strictSame([ring.first, ring.count, ring.bytes], [4, 0, 0])
  t.equal(append(ring, 'd', 1000), 4)
  t.equal(read(ring, 3), framesOf(['d', 4]))
})

t.test('a clock that goes back evicts nothing, and makes nothing younger', async (t) => {
  const ring = ringOf({ events: 1000, ageMs: 100 })
  append(ring, 'a', 1000)
  append(ring, 'b', 500)
  t.strictSame([ring.timeOf(1), ring.timeOf(2)], [1000, 1000])
  ring.evictAged(500)
  t.equal(ring.first, 1)
  ring.evictAged(1100)
  t.equal(ring.count, 0)
})

t.test('the memory of what is evicted is given back', async (t) => {
  const ring = ringOf({ events: 10, bytes: 50_000_000, ageMs: 100 })
  for (let n = 0; n < 100; n++) append(ring, 'x'.repeat(100_000), 0)
  t.ok(ring.heldBytes < 1_200_000, `${ring.heldBytes} bytes for ten frames of 100 kB`)
  ring.evictAged(100)
  ring.release()
  t.equal(ring.heldBytes, 0)
})

t.test('a few small events take little memory', async (t) => {
  const ring = ringOf()
  append(ring, 'a')
  t.equal(ring.heldBytes, 512)
})

t.test('what is pinned can be read until it is let go, and new readers do not see it', async (t) => {
  const ring = ringOf({ events: 1, bytes: 10_000_000 })
  ring.pin = 1
  const long = 'z'.repeat(70_000)
  for (let n = 0; n < 5; n++) append(ring, long)
  t.strictSame([ring.first, ring.readable], [5, 1])
  t.equal(read(ring, 0), framesOf([long, 1], [long, 2], [long, 3], [long, 4], [long, 5]))
  ring.pin = 4
  ring.release()
  t.equal(ring.readable, 4)
  ring.pin = 2
  t.equal(ring.readable, 4, 'what is gone does not come back by a pin')
  ring.pin = Infinity
  ring.release()
  t.equal(ring.readable, 5)
})

t.test('a part of a segment stays what it was after its eviction', async (t) => {
  const ring = ringOf({ events: 1 })
  append(ring, 'first')
  const { frames } = ring.page(0, 1)
  for (let n = 0; n < 10_000; n++) append(ring, 'later')
  t.equal(frames.toString(), framesOf(['first', 1]))
})

t.test('everybody who reads the same page gets the same object', async (t) => {
  const ring = ringOf()
  append(ring, 'a')
  append(ring, 'b')
  const page = ring.page(0, 2)
  t.equal(ring.page(0, 2), page)
  t.equal(page.chunk, page.chunk)
  t.not(ring.page(1, 2), page)
  append(ring, 'c')
  t.equal(ring.page(0, 2).frames.toString(), page.frames.toString())
  t.equal(ring.page(0, 3).events, 3)
})

t.test('a page is one chunk of an HTTP/1.1 response', async (t) => {
  t.equal(new Page(Buffer.from('é'.repeat(10)), 1, 1).chunk.toString(), `14\r\n${'é'.repeat(10)}\r\n`)
})

t.test('a frame is decoded to the event that was published', async (t) => {
  const isText = (type: string): boolean => type === 'line'
  const decode = (frame: string): unknown => decodeFrame(Buffer.from(frame), isText)
  t.strictSame(decode('event: set\ndata: {"a":[1,"data: x"]}\nid: e.1\n\n'), { event: 'set', data: { a: [1, 'data: x'] }, id: 'e.1' })
  t.strictSame(decode('event: line\ndata: id: 7\ndata: \ndata:  two\nid: e.2\n\n'), { event: 'line', data: 'id: 7\n\n two', id: 'e.2' })
  t.strictSame(decode('data: null\nretry: 10\nid: e.3\n\n'), { event: 'message', data: null, id: 'e.3', retry: 10 })
  t.equal(encodeIdBlock('e.4'), 'id: e.4\n\n')
})

t.test('an ID is read back, alone or among others', async (t) => {
  t.equal(encodePosition('e-_1', 7), 'e-_1.7')
  t.strictSame(decodePositions('e-_1.7'), [{ epoch: 'e-_1', offset: 7 }])
  t.strictSame(decodePositions('a.0,b.9007199254740991'), [{ epoch: 'a', offset: 0 }, { epoch: 'b', offset: Number.MAX_SAFE_INTEGER }])
})

t.test('an ID that was not given here is none', async (t) => {
  for (const id of ['', '7', 'a', 'a.', '.1', 'a.-1', 'a.01', 'a.1.2', 'a.1e3', 'a.1,', ',a.1', 'a.1, b.2', ' a.1', 'a.1\n', 'é.1', 'a.9007199254740992', `${'a'.repeat(65)}.1`, 'x'.repeat(100_000)]) {
    t.equal(decodePositions(id), null, id.slice(0, 20))
  }
})

t.test('an epoch has no character that means something in a field, an ID or a URL', async (t) => {
  const epochs = Array.from({ length: 1000 }, newEpoch)
  t.ok(epochs.every((epoch) => /^[\w-]{8}$/.test(epoch)))
  t.equal(new Set(epochs).size, 1000)
})

t.test('of what waits, the newest of each key is given, in order of last change', async (t) => {
  const waiting = new Conflation()
  const entry = (offset: number): Entry => ({ offset, frame: Buffer.alloc(offset), time: 0 })
  t.equal(waiting.put('a', entry(1)), false)
  t.equal(waiting.put('b', entry(2)), false)
  t.equal(waiting.put('a', entry(3)), true)
  t.equal(waiting.put('c', entry(4)), false)
  t.strictSame([waiting.size, waiting.bytes], [3, 9])
  t.strictSame([waiting.shift()?.offset, waiting.shift()?.offset], [2, 3])
  t.equal(waiting.put('c', entry(5)), true)
  t.strictSame([waiting.shift()?.offset, waiting.shift(), waiting.size, waiting.bytes], [5, null, 0, 0])
  waiting.put('a', entry(6))
  waiting.clear()
  t.strictSame([waiting.size, waiting.bytes], [0, 0])
})
