/** What every server of the benchmark streams: the same events, from the same generator. */

/**
 * One event: ten fields, about 190 bytes of JSON. `id` is a string since some libraries leave out a number.
 *
 * @param {number} n 1 for the first event
 */
export function tick (n) {
  return {
    event: 'tick',
    data: {
      sequence: n,
      symbol: 'NVDA',
      exchange: 'XNAS',
      bid: 120.25 + (n & 63),
      ask: 120.5 + (n & 63),
      volume: 1000 + (n & 1023),
      isOpen: true,
      currency: 'USD',
      at: '2026-01-02T03:04:05.678Z',
      note: 'last trade of the session'
    },
    id: String(n)
  }
}

/** Streams that wait for each other, so that the cost of connecting is not measured with the cost of streaming. */
export class Workload {
  events = 0
  perTurn = 0
  #expected = 0
  #waiting = 0
  #open
  #gate
  #gathered

  /**
   * @param {{ streams: number, events: number, perTurn: number }} run `perTurn`: events for each turn of the event loop,
   *   0 for events that are there at once
   * @returns {Promise<void>} resolves when all streams have asked for their first event
   */
  prepare ({ streams, events, perTurn }) {
    this.events = events
    this.perTurn = perTurn
    this.#expected = streams
    this.#waiting = 0
    this.#gate = new Promise((resolve) => { this.#open = resolve })
    return new Promise((resolve) => { this.#gathered = resolve })
  }

  go () {
    this.#open()
  }

  #enter () {
    if (++this.#waiting === this.#expected) this.#gathered()
    return this.#gate
  }

  /** The source of one stream. */
  async * ticks () {
    await this.#enter()
    const { events, perTurn } = this
    for (let n = 1; n <= events; n++) {
      if (perTurn > 0 && n % perTurn === 0) await new Promise(nextTurn)
      yield tick(n)
    }
  }
}

function nextTurn (resolve) {
  setImmediate(resolve)
}
