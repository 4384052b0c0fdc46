import { EventEmitter, getEventListeners } from 'node:events'
import t from 'tap'
import { abortable, on } from '../../lib/stream/producers.js'
import { deferred } from '../support/sources.js'

function listeners (emitter: EventEmitter, signal: AbortSignal): number {
  return emitter.listenerCount('x') + emitter.listenerCount('error') + getEventListeners(signal, 'abort').length
}

t.test('on listens from the call on, and keeps what is emitted before it is taken', async (t) => {
  const emitter = new EventEmitter()
  const values = on(emitter, 'x', { signal: new AbortController().signal })
  emitter.emit('x', 1, 'a')
  emitter.emit('x', 2)
  t.strictSame(await values.next(), { done: false, value: [1, 'a'] })
  t.strictSame(await values.next(), { done: false, value: [2] })
  const waiting = values.next()
  emitter.emit('x', 3)
  t.strictSame(await waiting, { done: false, value: [3] })
})

t.test('on ends when the signal aborts while it waits, and leaves no listener', async (t) => {
  const emitter = new EventEmitter()
  const controller = new AbortController()
  const values = on(emitter, 'x', { signal: controller.signal })
  const waiting = values.next()
  controller.abort()
  t.strictSame(await waiting, { done: true, value: undefined })
  t.strictSame(await values.next(), { done: true, value: undefined })
  t.equal(listeners(emitter, controller.signal), 0)
})

t.test('on ends at once with a signal that has aborted', async (t) => {
  const emitter = new EventEmitter()
  const values = on(emitter, 'x', { signal: AbortSignal.abort() })
  t.equal(emitter.listenerCount('x'), 0)
  t.strictSame(await values.next(), { done: true, value: undefined })
})

t.test('on throws what the emitter emits as error, after what came before it', async (t) => {
  const emitter = new EventEmitter()
  const { signal } = new AbortController()
  const values = on(emitter, 'x', { signal })
  emitter.emit('x', 1)
  emitter.emit('error', new Error('mine'))
  t.strictSame(await values.next(), { done: false, value: [1] })
  await t.rejects(values.next(), { message: 'mine' })
  t.strictSame(await values.next(), { done: true, value: undefined })
  t.equal(listeners(emitter, signal), 0)
  const waiting = on(emitter, 'x', { signal }).next()
  emitter.emit('error', new Error('again'))
  await t.rejects(waiting, { message: 'again' })
})

t.test('on leaves no listener when the loop is left', async (t) => {
  const emitter = new EventEmitter()
  const { signal } = new AbortController()
  const values = on(emitter, 'x', { signal })
  emitter.emit('x', 1)
  for await (const [value] of values) {
    t.equal(value, 1)
    break
  }
  t.equal(listeners(emitter, signal), 0)
})

t.test('on gives up the oldest value when too many wait, and tells how many', async (t) => {
  const emitter = new EventEmitter()
  const dropped: number[] = []
  const values = on(emitter, 'x', { signal: new AbortController().signal, maxWaiting: 2, onDropped: (count) => dropped.push(count) })
  for (let n = 1; n <= 4; n++) emitter.emit('x', n)
  t.strictSame(dropped, [1, 2])
  t.strictSame(await values.next(), { done: false, value: [3] })
  t.strictSame(await values.next(), { done: false, value: [4] })
})

t.test('abortable passes on what the iterable gives, and its end and its error', async (t) => {
  const { signal } = new AbortController()
  const values: number[] = []
  for await (const value of abortable([1, 2, 3], signal)) values.push(value)
  t.strictSame(values, [1, 2, 3])
  const failing = abortable((async function * () {
    yield 1
    throw new Error('mine')
  })(), signal)
  t.strictSame(await failing.next(), { done: false, value: 1 })
  await t.rejects(failing.next(), { message: 'mine' })
  t.equal(getEventListeners(signal, 'abort').length, 0)
})

t.test('abortable ends at once on abort while the iterable waits, and returns it', async (t) => {
  const controller = new AbortController()
  const returned = deferred()
  const gate = deferred<IteratorResult<number>>()
  const values = abortable({
    [Symbol.asyncIterator]: () => ({
      next: () => gate.promise,
      return: async () => {
        returned.resolve()
        throw new Error('ignored')
      }
    })
  }, controller.signal)
  const waiting = values.next()
  controller.abort()
  t.strictSame(await waiting, { done: true, value: undefined })
  await returned.promise
  t.equal(getEventListeners(controller.signal, 'abort').length, 0)
})

t.test('leaving a loop over an abortable returns the iterable', async (t) => {
  const { signal } = new AbortController()
  let returned = false
  const inner = (async function * () {
    try {
      while (true) yield 1
    } finally {
      returned = true
    }
  })()
  for await (const value of abortable(inner, signal)) {
    t.equal(value, 1)
    break
  }
  t.equal(returned, true)
  t.equal(getEventListeners(signal, 'abort').length, 0)
})
