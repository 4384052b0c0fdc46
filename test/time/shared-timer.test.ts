import { mock } from 'node:test'
import t from 'tap'
import { SharedTimer, TimerEntry } from '../../lib/time/shared-timer.js'

class Entry extends TimerEntry {
  readonly calls: number[] = []
  readonly timer: SharedTimer
  readonly again: number | undefined

  constructor (timer: SharedTimer, again?: number) {
    super()
    this.timer = timer
    this.again = again
  }

  override due (now: number): void {
    this.calls.push(now)
    if (this.again !== undefined) this.timer.arm(this, this.again, now)
  }
}

t.beforeEach(() => { mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1000 }) })
t.afterEach(() => { mock.timers.reset() })

t.test('an entry is due once after its wait', async (t) => {
  const timer = new SharedTimer()
  const entry = new Entry(timer)
  timer.arm(entry, 100, Date.now())
  mock.timers.tick(99)
  t.strictSame(entry.calls, [])
  mock.timers.tick(1)
  t.strictSame(entry.calls, [1100])
  mock.timers.tick(1000)
  t.strictSame(entry.calls, [1100])
  t.equal(timer.waiting, 0)
})

t.test('arming an entry again begins its wait anew', async (t) => {
  const timer = new SharedTimer()
  const entry = new Entry(timer)
  timer.arm(entry, 100, Date.now())
  mock.timers.tick(60)
  timer.arm(entry, 100, Date.now())
  mock.timers.tick(99)
  t.strictSame(entry.calls, [])
  mock.timers.tick(1)
  t.strictSame(entry.calls, [1160])
})

t.test('an entry that arms itself is due at regular times', async (t) => {
  const timer = new SharedTimer()
  const entry = new Entry(timer, 50)
  timer.arm(entry, 50, Date.now())
  mock.timers.tick(50)
  mock.timers.tick(50)
  mock.timers.tick(50)
  t.strictSame(entry.calls, [1050, 1100, 1150])
  t.equal(timer.waiting, 1)
})

t.test('entries with different waits are each due at their own time', async (t) => {
  const timer = new SharedTimer()
  const [slow, fast, other] = [new Entry(timer), new Entry(timer), new Entry(timer)]
  timer.arm(slow, 300, Date.now())
  timer.arm(fast, 100, Date.now())
  mock.timers.tick(50)
  timer.arm(other, 100, Date.now())
  for (let step = 0; step < 30; step++) mock.timers.tick(10)
  t.strictSame([slow.calls, fast.calls, other.calls], [[1300], [1100], [1150]])
})

t.test('a disarmed entry is never due, wherever it stood among the others', async (t) => {
  const timer = new SharedTimer()
  const entries = Array.from({ length: 5 }, () => new Entry(timer))
  for (const entry of entries) timer.arm(entry, 100, Date.now())
  for (const index of [0, 2, 4]) timer.disarm(entries[index]!)
  timer.disarm(entries[0]!)
  t.equal(timer.waiting, 2)
  mock.timers.tick(100)
  t.strictSame(entries.map((entry) => entry.calls.length), [0, 1, 0, 1, 0])
})

t.test('an entry may disarm and arm others while it is due', async (t) => {
  const timer = new SharedTimer()
  const [first, second, third] = [new Entry(timer), new Entry(timer), new Entry(timer)]
  first.due = (now) => {
    timer.disarm(second)
    timer.arm(third, 20, now)
  }
  timer.arm(first, 100, Date.now())
  timer.arm(second, 100, Date.now())
  timer.arm(third, 500, Date.now())
  mock.timers.tick(100)
  mock.timers.tick(20)
  t.strictSame([second.calls, third.calls], [[], [1120]])
  t.equal(timer.waiting, 0)
})

t.test('a clock that is set back begins the wait anew', async (t) => {
  const timer = new SharedTimer()
  const entry = new Entry(timer)
  timer.arm(entry, 100, Date.now() + 10_000)
  mock.timers.tick(10_100)
  t.strictSame(entry.calls, [11_100])
  timer.arm(entry, 100, 50_000)
  timer.arm(new Entry(timer), 100, Date.now())
  mock.timers.tick(100)
  mock.timers.tick(100)
  t.strictSame(entry.calls.length, 2)
})

t.test('one timeout serves all entries, and there is none while nothing waits', async (t) => {
  mock.timers.reset()
  const timer = new SharedTimer()
  const timeouts = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
  const before = timeouts()
  const entries = Array.from({ length: 1000 }, () => new Entry(timer))
  for (const [index, entry] of entries.entries()) timer.arm(entry, 10_000 + index % 3, Date.now())
  // The timeout does not keep the process alive, so it does not count as active.
  t.equal(timeouts(), before)
  t.equal(timer.waiting, 1000)
  for (const entry of entries) timer.disarm(entry)
  t.equal(timer.waiting, 0)
})
