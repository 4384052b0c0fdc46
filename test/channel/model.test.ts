// The promise of channels, held against a small model: ordered, no duplicates, no silent loss, and a gap exactly when something is gone.
//
// Random histories of publishing, connecting, stalling, breaking off, reconnecting, ageing and restarting. A client receives bytes, cut anywhere,
// and reads them with the decoder; what it has read is compared with what was published. A history that fails prints its seed:
//   CHANNEL_SEED=<seed> npx tap run test/channel/model.test.ts
import { setImmediate as turn } from 'node:timers/promises'
import { Type } from '@sinclair/typebox'
import t from 'tap'
import type { FastifyRequest } from 'fastify'
import type { Channel } from '../../lib/channel/channel.js'
import { Channels } from '../../lib/channel/channels.js'
import type { Gap, GapReason } from '../../lib/channel/gap.js'
import type { Page } from '../../lib/channel/page.js'
import type { FrameSink } from '../../lib/channel/subscriber.js'
import type { Overrun, SubscribeOptions } from '../../lib/channel/types.js'
import type { CloseReason } from '../../lib/close-reason.js'
import { openChannels } from '../../lib/plugin/frame-source.js'
import { Merge } from '../../lib/channel/merge.js'
import { defineEvents } from '../../lib/schema/events.js'
import type { FrameFeed } from '../../lib/stream/feed.js'
import { SharedTimer } from '../../lib/time/shared-timer.js'
import { createDecoder, type Decoder, type DecodedEvent } from '../../lib/wire/decode.js'
import { seededRandom, type Random } from '../support/random.js'

t.setTimeout(180_000)

const HISTORIES = Number(process.env['CHANNEL_HISTORIES'] ?? 3000)
const STEPS = 60

const Events = defineEvents({
  set: Type.Object({ channel: Type.Integer(), key: Type.Integer(), serial: Type.Integer(), fill: Type.String() })
})

interface Data { channel: number, key: number, serial: number, fill: string }
interface Published { offset: number, key: number, bytes: number, time: number }

/** What one channel has published since the last restart, and what it ought to have kept of that. */
class ChannelModel {
  readonly published: Published[] = []
  readonly limits: { events: number, bytes: number, ageMs: number }
  first = 1
  epoch = ''

  constructor (limits: { events: number, bytes: number, ageMs: number }) {
    this.limits = limits
  }

  get head (): number {
    return this.published.length
  }

  append (key: number, bytes: number, time: number): void {
    this.published.push({ offset: this.head + 1, key, bytes, time })
    while (this.head - this.first + 1 > this.limits.events || this.#bytes() > this.limits.bytes) this.first++
    this.age(time)
  }

  age (now: number): void {
    if (this.limits.ageMs === 0) return
    while (this.first <= this.head && now - this.published[this.first - 1]!.time >= this.limits.ageMs) this.first++
  }

  #bytes (): number {
    return this.published.slice(this.first - 1).reduce((sum, { bytes }) => sum + bytes, 0)
  }
}

interface Position { epoch: string, offset: number }

function parse (id: string): Position[] {
  return id.split(',').map((part) => {
    const dot = part.lastIndexOf('.')
    return { epoch: part.slice(0, dot), offset: Number(part.slice(dot + 1)) }
  })
}

/** What a client wants, for as long as the history goes. */
interface Wish {
  /** Channels that it reads: one, or both merged. */
  channels: number[]
  from: 'now' | 'earliest'
  filter: ((key: number) => boolean) | null
  latestBy: boolean
  overrun: Overrun
}

/** One client, over all its connections. */
class Client implements FrameSink {
  readonly wish: Wish
  readonly #history: History
  readonly request = undefined as unknown as FastifyRequest
  readonly controlEvents = true
  lastEventId: string | undefined
  isOver = true
  /** Bytes that the connection takes before it blocks. */
  room = 1_000
  isStalled = false
  /** Sent, and not received. */
  #inFlight: Buffer[] = []
  #decoder: Decoder | null = null
  #feed: FrameFeed | null = null
  /** For each channel that it reads: up to where it has all that it is entitled to; null before it knows. */
  readonly known = new Map<number, Position>()
  /** From where on it is owed everything: where it began, or went on after its last gap. */
  readonly #since = new Map<number, number>()
  /** What it has received, as `<epoch>.<offset>`. */
  readonly received = new Set<string>()
  /** Gaps that it has to be told before anything else, by channel. */
  readonly #expected = new Map<number, { reason: GapReason, requested: string, resumedAt: string }>()
  /** Gaps that were sent for an overrun, with what was kept then. */
  #overruns: Array<{ first: number }> = []
  closes = 0
  gapsTold = 0

  constructor (history: History, wish: Wish) {
    this.#history = history
    this.wish = wish
  }

  get isConnected (): boolean {
    return !this.isOver
  }

  get inFlightBytes (): number {
    return this.#inFlight.reduce((sum, { length }) => sum + length, 0)
  }

  get isReady (): boolean {
    return !this.isOver && this.inFlightBytes < this.room
  }

  write (page: Page): void {
    this.#history.check(this.isReady, 'a page is written only to a connection that takes it')
    this.#inFlight.push(Buffer.from(page.frames))
  }

  writeText (text: string): void {
    if (text.includes('"reason":"overrun"')) {
      const { channel } = JSON.parse(/data: (.*)/.exec(text)![1]!) as Gap
      const index = channel === undefined ? this.wish.channels[0]! : Number(channel)
      this.#overruns.push({ first: this.#history.models[index]!.first })
    }
    if (!this.isOver) this.#inFlight.push(Buffer.from(text))
  }

  sendAll (): Promise<void> {
    throw new Error('no snapshot here')
  }

  fail (error: unknown): void {
    throw error
  }

  end (reason: CloseReason): void {
    if (this.isOver) return
    this.#history.check(reason === 'slow-subscriber' && this.wish.overrun === 'disconnect', `ended by ${reason}`)
    this.#inFlight.push(Buffer.from(this.#feed!.tellPosition()))
    this.#close(reason)
    // An orderly end: everything that was sent arrives.
    this.#receive(Infinity)
  }

  #close (reason: CloseReason): void {
    this.isOver = true
    this.closes++
    this.#feed!.close(reason)
  }

  connect (): void {
    const { channels, from, filter, latestBy, overrun } = this.wish
    this.#expected.clear()
    this.#overruns = []
    this.#inFlight = []
    for (const [place, index] of channels.entries()) {
      const { first, head, epoch, reason } = this.#startOf(index, place)
      const offset = reason === 'future' || (reason === null && this.lastEventId === undefined && from === 'now') ? head : first - 1
      if (reason !== null) this.#expected.set(index, { reason, requested: this.lastEventId!.slice(0, 128), resumedAt: `${epoch}.${offset}` })
      else if (this.lastEventId === undefined) this.#begin(index, { epoch, offset })
      else {
        const position = parse(this.lastEventId).find((candidate) => candidate.epoch === epoch)!
        if (this.known.has(index)) this.known.set(index, position)
        else this.#begin(index, position)
      }
    }
    this.isOver = false
    this.#decoder = createDecoder({
      onEvent: (event) => this.#onEvent(event),
      onId: (id) => this.#onId(id),
      lastEventId: this.lastEventId
    })
    const options: SubscribeOptions = { from, overrun }
    if (filter !== null) options.filter = ((event: { data: Data }) => filter(event.data.key)) as never
    if (latestBy) options.latestBy = ((event: { data: Data }) => event.data.key) as never
    const subscriptions = channels.map((index) => this.#history.channels[index]!.subscribe(options))
    const source = subscriptions.length === 1 ? subscriptions[0]! : new Merge(subscriptions)
    this.#feed = openChannels(source, this, () => true, () => { throw new Error('the route has no schemas') })
    const started = this.#feed.start()
    this.#history.starting.push(Promise.resolve(started))
  }

  #startOf (index: number, place: number): { first: number, head: number, epoch: string, reason: GapReason | null } {
    const model = this.#history.models[index]!
    model.age(this.#history.now)
    const { first, head, epoch } = model
    const result = (reason: GapReason | null) => ({ first, head, epoch, reason })
    if (this.lastEventId === undefined) return result(null)
    const parts = this.lastEventId.split(',')
    if (!parts.every((part) => /^[\w-]+\.(0|[1-9]\d*)$/.test(part) && Number.isSafeInteger(Number(part.split('.')[1])))) return result('malformed')
    const positions = parse(this.lastEventId)
    const position = [positions[place], ...positions].find((candidate) => candidate?.epoch === epoch)
    if (position === undefined) return result('epoch')
    return result(position.offset > head ? 'future' : position.offset < first - 1 ? 'evicted' : null)
  }

  /** Receives up to so many bytes of what was sent. */
  #receive (bytes: number): void {
    const all = Buffer.concat(this.#inFlight)
    const now = all.subarray(0, bytes)
    this.#inFlight = now.length < all.length ? [all.subarray(now.length)] : []
    // Cut anywhere, so in two.
    const cut = this.#history.random.below(now.length + 1)
    this.#decoder!.push(now.subarray(0, cut))
    this.#decoder!.push(now.subarray(cut))
    this.lastEventId = this.#decoder!.lastEventId === '' ? undefined : this.#decoder!.lastEventId
  }

  /** Takes what was sent, and lets more come, until there is no more. */
  read (): void {
    if (this.isOver || this.isStalled) return
    for (let before = -1; this.inFlightBytes !== before && !this.isOver;) {
      this.#receive(Infinity)
      before = this.inFlightBytes
      this.#feed!.resume(this.#history.now)
      if (this.inFlightBytes === 0) break
    }
  }

  /** What takes the place of a heartbeat. */
  beat (): void {
    if (this.isReady) this.writeText(this.#feed!.tellPosition())
  }

  /** The connection breaks: some of what was sent has arrived. */
  breakOff (): void {
    if (this.isOver) return
    const arrives = this.#history.random.below(this.inFlightBytes + 1)
    this.#close('client-left')
    this.#receive(arrives)
  }

  /** A clean restart of the connection by somebody who has received everything. */
  get hasAll (): boolean {
    return this.inFlightBytes === 0 && !this.isStalled
  }

  // What it reads

  #onId (id: string): void {
    const positions = parse(id)
    this.#history.check(positions.length === this.wish.channels.length, `the ID ${id} has a position for each channel`)
    for (const [place, index] of this.wish.channels.entries()) {
      if (this.#expected.has(index)) continue
      const known = this.known.get(index)!
      const position = positions[place]!
      this.#history.check(position.epoch === known.epoch, `${id} is of the log that the client reads`)
      this.#history.check(position.offset >= known.offset, `${id} does not go back behind ${known.offset}`)
    }
  }

  #onEvent (event: DecodedEvent): void {
    const { history, isMerged } = { history: this.#history, isMerged: this.wish.channels.length > 1 }
    if (event.event === 'sse.gap') {
      const gap = JSON.parse(event.data) as Gap
      const index = isMerged ? Number(gap.channel) : this.wish.channels[0]!
      this.#onGap(index, gap)
      return
    }
    const { channel: index, serial } = JSON.parse(event.data) as Data
    const place = this.wish.channels.indexOf(index)
    history.check(place !== -1, 'an event is of a channel that the client reads')
    history.check(!this.#expected.has(index), `the gap in channel ${index} is told before its events`)
    const position = parse(event.id)[place]!
    history.check(position.epoch === history.models[index]!.epoch, `event ${event.id} is of the present log`)
    // The ID of a merged stream may be past the event: what comes next in its channel was not for this client.
    history.check(isMerged ? position.offset >= serial : position.offset === serial, `event ${serial} has the ID ${event.id}`)
    const id = `${position.epoch}.${serial}`
    history.check(!this.received.has(id), `event ${id} comes once`)
    const { key } = history.models[index]!.published[serial - 1]!
    history.check(this.wish.filter === null || this.wish.filter(key), `event ${id} passes the filter`)
    history.check(serial > this.known.get(index)!.offset, `event ${id} comes after ${this.known.get(index)!.offset}`)
    this.received.add(id)
    this.#advance(parse(event.id))
  }

  #onGap (index: number, gap: Gap): void {
    const history = this.#history
    this.gapsTold++
    history.gaps[gap.reason] = (history.gaps[gap.reason] ?? 0) + 1
    const [resumedAt] = parse(gap.resumedAt)
    const expected = this.#expected.get(index)
    if (expected !== undefined) {
      this.#expected.delete(index)
      history.equal({ reason: gap.reason, requested: gap.requested, resumedAt: gap.resumedAt }, expected)
      this.#begin(index, resumedAt!)
      return
    }
    history.check(gap.reason === 'overrun' && this.wish.overrun !== 'disconnect', `a gap of the reason ${gap.reason} is to be expected`)
    const [requested] = parse(gap.requested)
    const { first } = this.#overruns.shift()!
    const known = this.known.get(index)!
    // A cursor that conflates has taken in events that it drops now: what it lost may still be kept.
    history.check(requested!.offset + 1 < first || this.wish.latestBy, `events after ${requested!.offset} were gone, when ${first} was the first`)
    history.check(requested!.offset >= known.offset, 'an overrun is told from where the client is')
    history.check(resumedAt!.offset >= requested!.offset, 'after a gap it does not go back')
    this.#complete(index, known.offset, requested!.offset)
    this.#begin(index, resumedAt!)
  }

  #begin (index: number, position: Position): void {
    this.known.set(index, position)
    this.#since.set(index, position.offset)
  }

  /** The client's last event ID says that it has everything up to there. */
  #advance (positions: Position[]): void {
    for (const [place, index] of this.wish.channels.entries()) {
      const known = this.known.get(index)
      const { epoch, offset } = positions[place]!
      if (this.#expected.has(index) || known === undefined || known.epoch !== epoch) continue
      this.#complete(index, known.offset, offset)
      this.known.set(index, { epoch, offset: Math.max(known.offset, offset) })
    }
  }

  /** Nothing that it is entitled to is missing between two offsets. */
  #complete (index: number, after: number, until: number): void {
    const { published, epoch } = this.#history.models[index]!
    const { filter, latestBy } = this.wish
    for (const { offset, key } of published.slice(after, until)) {
      if (filter !== null && !filter(key)) continue
      if (this.received.has(`${epoch}.${offset}`)) continue
      // A newer one of its key has taken its place: one that was there when it was read.
      const isSuperseded = latestBy && published.slice(offset).some((later) => later.key === key)
      this.#history.check(isSuperseded, `event ${epoch}.${offset} of channel ${index} is not lost in silence (after ${after}, until ${until})`)
    }
  }

  /** When all is quiet: it has the newest of everything. */
  checkUpToDate (): void {
    const history = this.#history
    history.check(this.#expected.size === 0, 'every gap was told')
    const positions = parse(this.lastEventId!)
    this.#advance(positions)
    for (const [place, index] of this.wish.channels.entries()) {
      const { published, head, epoch } = history.models[index]!
      const { filter, latestBy } = this.wish
      const known = this.known.get(index)!
      history.check(known.epoch === epoch, 'it reads the present log')
      const owed = published.filter(({ key, offset }) => offset > known.offset && (filter === null || filter(key)))
      history.equal(owed.map(({ offset }) => offset), [])
      if (filter === null) history.check(positions[place]!.offset === head, `it stands at ${head}, the head of channel ${index}`)
      if (!latestBy) continue
      // The newest of each key since the last gap was received, or was there before.
      const newest = new Map(published.filter(({ offset }) => offset > this.#since.get(index)!).map(({ key, offset }) => [key, offset]))
      for (const [key, offset] of newest) {
        if (filter !== null && !filter(key)) continue
        history.check(this.received.has(`${epoch}.${offset}`), `the newest value of key ${key} (${offset}) has arrived`)
      }
    }
  }
}

class History {
  readonly random: Random
  readonly seed: number
  readonly gaps: Partial<Record<GapReason, number>>
  readonly trace: string[] = []
  now = 1_000
  models: ChannelModel[] = []
  channels: Array<Channel<unknown>> = []
  clients: Client[] = []
  starting: Array<Promise<void>> = []
  #channels!: Channels
  readonly #limits: Array<{ events: number, bytes: number, ageMs: number }>
  readonly #timer = new SharedTimer()

  constructor (seed: number, gaps: Partial<Record<GapReason, number>>) {
    this.seed = seed
    this.gaps = gaps
    this.random = seededRandom(seed)
    const { random } = this
    this.#limits = [0, 1].map(() => ({
      events: random.pick([1, 2, 3, 8, 20, 1000]),
      bytes: random.pick([1024, 2000, 100_000]),
      ageMs: random.pick([0, 0, 500])
    }))
    this.restart()
    const count = 2 + random.below(4)
    for (let n = 0; n < count; n++) {
      const latestBy = random.below(4) === 0
      this.clients.push(new Client(this, {
        channels: random.pick([[0], [0], [1], [0, 1]]),
        from: random.pick(['now', 'earliest']),
        filter: random.pick([null, null, (key: number) => key % 2 === 1, (key: number) => key === 99]),
        latestBy,
        overrun: random.pick(['disconnect', 'skip', 'latest'])
      }))
    }
  }

  restart (): void {
    this.trace.push('restart')
    for (const client of this.clients) client.breakOff()
    this.#channels?.dispose()
    this.#channels = new Channels({
      timer: this.#timer,
      validation: 'throw',
      getSchemas: () => ({}),
      getSerializerCompiler: () => undefined,
      warn: (error) => { throw error }
    })
    this.channels = this.#limits.map((backlog, index) => this.#channels.channel(String(index), Events, { backlog }))
    this.models = this.#limits.map((limits, index) => {
      const model = new ChannelModel(limits)
      model.epoch = this.channels[index]!.lastEventId.split('.')[0]!
      return model
    })
  }

  publish (count: number): void {
    for (let n = 0; n < count; n++) {
      const index = this.random.below(2)
      const model = this.models[index]!
      const key = this.random.below(6)
      const data: Data = { channel: index, key, serial: model.head + 1, fill: 'é'.repeat(this.random.below(60)) }
      const frame = `event: set\ndata: ${JSON.stringify(data)}\nid: ${model.epoch}.${data.serial}\n\n`
      model.append(key, Buffer.byteLength(frame), this.now)
      this.channels[index]!.publish({ event: 'set', data })
    }
  }

  async step (): Promise<void> {
    const { random } = this
    const client = random.pick(this.clients)
    const what = random.below(100)
    const name = `client ${this.clients.indexOf(client)}`
    if (what < 30) {
      const count = random.pick([1, 1, 2, 5, 12, 40])
      this.trace.push(`publish ${count}`)
      this.publish(count)
    } else if (what < 50) {
      this.trace.push('turn')
      await this.turn()
    } else if (what < 68) {
      if (client.isConnected) return
      this.trace.push(`${name} connects with ${client.lastEventId ?? 'nothing'}`)
      client.connect()
    } else if (what < 76) {
      this.trace.push(`${name} breaks off`)
      client.breakOff()
    } else if (what < 82) {
      client.isStalled = !client.isStalled
      this.trace.push(`${name} ${client.isStalled ? 'stalls' : 'reads again'}`)
      client.read()
    } else if (what < 90) {
      this.trace.push(`${name} reads`)
      client.read()
    } else if (what < 93) {
      // Time passes between turns, and a heartbeat comes more often than events grow old.
      await this.turn()
      for (const each of this.clients) each.beat()
      this.now += random.pick([1, 100, 600])
      this.trace.push(`it is ${this.now}`)
    } else if (what < 95) {
      if (client.isConnected) return
      // Somebody else's ID, or one that is made up.
      const { epoch, head } = this.models[0]!
      const id = random.pick(['17', '', 'x.y', `${epoch}.${head + 1}`, 'abcdefgh.3', `${epoch}.-1`, `${epoch}.01`, `${epoch}.1e3`, 'x'.repeat(5000), `${epoch}.99999999999999999`])
      this.trace.push(`${name} forgets where it was, and has ${id.slice(0, 20)}`)
      client.lastEventId = id === '' ? undefined : id
      client.known.clear()
      client.received.clear()
    } else if (what < 98) {
      // Whoever has received everything, and misses nothing, comes back without a gap.
      // Twice: to tell an overrun takes a turn of its own.
      await this.turn()
      await this.turn()
      if (!client.isConnected || !client.hasAll || client.lastEventId === undefined) return
      this.trace.push(`${name} comes back at once with ${client.lastEventId}`)
      const before = client.gapsTold
      client.breakOff()
      client.connect()
      await this.turn()
      client.read()
      this.check(client.gapsTold === before, 'who misses nothing is told no gap')
    } else {
      this.restart()
    }
  }

  async turn (): Promise<void> {
    await Promise.all(this.starting.splice(0))
    await turn()
    // A merge hears of it in one turn and writes in the next.
    await turn()
    for (const client of this.clients) client.read()
  }

  /** In the end everybody connects and reads, and has everything. */
  async settle (): Promise<void> {
    this.trace.push('settle')
    for (const client of this.clients) client.isStalled = false
    for (let round = 0; round < 4; round++) {
      for (const client of this.clients) {
        if (!client.isConnected) client.connect()
      }
      await this.turn()
    }
    for (const client of this.clients) {
      this.check(client.isConnected, 'a client that reads stays connected')
      client.checkUpToDate()
    }
    for (const client of this.clients) client.breakOff()
    for (const channel of this.channels) this.check(channel.subscribers === 0, 'no subscriber is left')
    this.#channels.dispose()
    this.check(this.#timer.waiting === 0, 'no timer is left')
  }

  check (isTrue: boolean, rule: string): void {
    if (!isTrue) throw new Error(`${rule}\nseed ${this.seed}; ${JSON.stringify(this.#limits)}; ${JSON.stringify(this.clients.map(({ wish }) => ({ ...wish, filter: String(wish.filter) })))}\n${this.trace.join('\n')}`)
  }

  equal (found: unknown, wanted: unknown): void {
    this.check(JSON.stringify(found) === JSON.stringify(wanted), `${JSON.stringify(found)} is ${JSON.stringify(wanted)}`)
  }
}

async function run (seed: number, gaps: Partial<Record<GapReason, number>>): Promise<void> {
  const history = new History(seed, gaps)
  // Not by t.intercept(), which notes who asks each time: that took most of the test's time.
  performance.now = () => history.now
  for (let step = 0; step < STEPS; step++) await history.step()
  await history.settle()
}

t.test(`in ${HISTORIES} random histories each client gets what it is entitled to, in order, once, or is told of the gap`, async (t) => {
  const { now } = performance
  t.teardown(() => { performance.now = now })
  const given = process.env['CHANNEL_SEED']
  const first = given === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(given)
  t.comment(`seeds from ${first}`)
  const gaps: Partial<Record<GapReason, number>> = {}
  for (let n = 0; n < (given === undefined ? HISTORIES : 1); n++) await run(first + n, gaps)
  t.comment(`gaps told: ${JSON.stringify(gaps)}`)
  // Histories in which these do not occur would show little.
  if (given === undefined) t.strictSame(Object.keys(gaps).sort(), ['epoch', 'evicted', 'future', 'malformed', 'overrun'])
})
