/**
 * Something that waits on a {@link SharedTimer}: its links in the list, and what to do when the wait is over.
 *
 * An entry waits for one thing at a time; arming it again replaces the wait.
 */
export abstract class TimerEntry {
  /** @internal */ waitList: WaitList | null = null
  /** @internal */ waitBefore: TimerEntry | null = null
  /** @internal */ waitAfter: TimerEntry | null = null
  /** @internal When the wait began, in milliseconds since the epoch. */
  waitSince = 0

  /** The wait is over. The entry is disarmed before the call, and may arm itself again. */
  abstract due (now: number): void
}

/** All entries that wait equally long: first in, first due, so that arming and disarming take constant time. */
interface WaitList {
  readonly ms: number
  first: TimerEntry | null
  last: TimerEntry | null
}

/**
 * One timer for all open streams.
 *
 * Entries with the same wait stand in one list in the order in which they are due, so a stream that restarts its wait
 * with each write costs two pointer moves, and ten thousand idle streams one timeout. The timeout does not keep
 * the process alive, and there is none while nothing waits.
 */
export class SharedTimer {
  readonly #lists = new Map<number, WaitList>()
  #timeout: ReturnType<typeof setTimeout> | null = null
  #firesAt = Infinity
  #waiting = 0

  /** Number of entries that wait. */
  get waiting (): number {
    return this.#waiting
  }

  /** Lets `entry.due` be called after `ms` milliseconds, counted from `now`, instead of what it waited for before. */
  arm (entry: TimerEntry, ms: number, now: number): void {
    if (entry.waitList !== null) this.disarm(entry)
    let list = this.#lists.get(ms)
    if (list === undefined) {
      list = { ms, first: null, last: null }
      this.#lists.set(ms, list)
    }
    entry.waitList = list
    entry.waitSince = now
    entry.waitBefore = list.last
    if (list.last === null) list.first = entry
    else list.last.waitAfter = entry
    list.last = entry
    this.#waiting++
    if (now + ms < this.#firesAt) this.#schedule(now + ms, now)
  }

  /** Ends the wait of `entry`, if it waits. */
  disarm (entry: TimerEntry): void {
    const list = entry.waitList
    if (list === null) return
    if (entry.waitBefore === null) list.first = entry.waitAfter
    else entry.waitBefore.waitAfter = entry.waitAfter
    if (entry.waitAfter === null) list.last = entry.waitBefore
    else entry.waitAfter.waitBefore = entry.waitBefore
    entry.waitList = entry.waitBefore = entry.waitAfter = null
    if (--this.#waiting === 0 && this.#timeout !== null) {
      clearTimeout(this.#timeout)
      this.#timeout = null
      this.#firesAt = Infinity
    }
  }

  #schedule (at: number, now: number): void {
    if (this.#timeout !== null) clearTimeout(this.#timeout)
    this.#firesAt = at
    this.#timeout = setTimeout(() => this.#fire(), Math.max(1, at - now))
    this.#timeout.unref?.()
  }

  #fire (): void {
    this.#timeout = null
    this.#firesAt = Infinity
    const now = Date.now()
    let next = Infinity
    for (const list of this.#lists.values()) {
      // An entry that arms itself again goes to the end of its list with `waitSince = now`, so the loop ends.
      while (list.first !== null) {
        const entry = list.first
        // The clock was set back: begin the wait anew rather than wait for the difference.
        if (entry.waitSince > now) entry.waitSince = now
        if (entry.waitSince + list.ms > now) break
        this.disarm(entry)
        entry.due(now)
      }
      if (list.first === null) this.#lists.delete(list.ms)
      else next = Math.min(next, list.first.waitSince + list.ms)
    }
    if (next < this.#firesAt) this.#schedule(next, now)
  }
}
