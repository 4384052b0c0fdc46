import t from 'tap'
import { batchSize, flushAtTurnEnd, type Flushable } from '../../lib/time/turn.js'

class Stream implements Flushable {
  calls = 0
  errors: unknown[] = []
  flush (): void { this.calls++ }
  broken (error: unknown): void { this.errors.push(error) }
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

t.test('all streams of a turn are flushed once when it ends', async (t) => {
  const streams = [new Stream(), new Stream()]
  for (const stream of streams) flushAtTurnEnd(stream)
  t.strictSame(streams.map(({ calls }) => calls), [0, 0])
  await nextTurn()
  t.strictSame(streams.map(({ calls }) => calls), [1, 1])
  await nextTurn()
  t.strictSame(streams.map(({ calls }) => calls), [1, 1])
})

t.test('a stream whose flush throws is told, and the others are flushed', async (t) => {
  const [broken, other] = [new Stream(), new Stream()]
  const error = new Error('mine')
  broken.flush = () => { throw error }
  flushAtTurnEnd(broken)
  flushAtTurnEnd(other)
  await nextTurn()
  t.strictSame(broken.errors, [error])
  t.equal(other.calls, 1)
})

t.test('a batch is 64 Ki while few streams are busy, and shrinks to 4 Ki with their number', async (t) => {
  t.equal(batchSize(), 65_536)
  for (let n = 0; n < 64; n++) flushAtTurnEnd(new Stream())
  t.equal(batchSize(), 16_384)
  for (let n = 64; n < 1000; n++) flushAtTurnEnd(new Stream())
  t.equal(batchSize(), 4_096)
  await nextTurn()
  t.equal(batchSize(), 65_536)
})
