import { BARE } from '../contenders.js'
import { median, showRatios, table } from '../table.js'
import { Audience } from './audience.js'
import type { FanoutContender } from './contenders.js'
import { deliveryPart, measureDelivery, type DeliveryLoad, type DeliverySample } from './delivery.js'
import { Failures } from './failures.js'
import type { FanoutOptions } from './options.js'
import { measureResume, RESUME_PART } from './resume.js'
import { CLOSE_MS, measureShutdown, SHUTDOWN_PART } from './shutdown.js'
import { measureStalled, STALLED_PART } from './stalled.js'
import { kib, mib, millis } from './units.js'
import { measureWaiting, WAITING_PART } from './waiting.js'

export interface SectionOptions {
  readonly contenders: readonly FanoutContender[]
  readonly rounds: number
  readonly isQuick: boolean
  readonly env: Record<string, string>
  readonly progress: (text: string) => void
  readonly say: (text: string) => void
}

const VERIFY_PART = 'what arrives'

function loads (streams: number, turns: number, bursts: number): DeliveryLoad[] {
  const whom = deliveryPart(streams)
  return [
    { name: `${whom}, one event per turn`, streams, turns, perTurn: 1 },
    { name: `${whom}, ten events per turn`, streams, turns: bursts, perTurn: 10 }
  ]
}

const FULL = {
  small: loads(1000, 80, 25),
  large: loads(10_000, 8, 2),
  stalled: { readers: 450, stalled: 50 },
  idle: 10_000,
  resume: { streams: 5000, events: 100 },
  close: 5000
}
const QUICK: typeof FULL = {
  small: loads(300, 25, 8),
  large: [],
  stalled: { readers: 18, stalled: 2 },
  idle: 500,
  resume: { streams: 200, events: 100 },
  close: 200
}

/** One publisher and many subscribers: measures and prints all parts of the section, and returns their figures. */
export async function runFanout ({ contenders: all, rounds, isQuick, env, progress, say }: SectionOptions): Promise<unknown> {
  const size = isQuick ? QUICK : FULL
  const failures = new Failures()
  say('\n## Fan-out: one publisher, many subscribers')
  const contenders = await verified(all, env, progress, failures)
  sayFailures(VERIFY_PART, failures, say)
  const options: FanoutOptions = { contenders, rounds, env, progress, failures }
  const fewer = { ...options, rounds: Math.ceil(rounds / 2) }
  const once = { ...options, rounds: 1 }
  const sayTable = (part: string, head: readonly string[], rows: ReadonlyArray<readonly string[]>): void => {
    say(table(head, rows.map((row) => [...row, ...Array<string>(head.length - row.length).fill('')])))
    sayFailures(part, failures, say)
  }

  const delivery = new Map<string, Map<string, DeliverySample[]>>()
  for (const [group, given] of [[size.small, options], [size.large, fewer]] as const) {
    if (group.length === 0) continue
    const measured = await measureDelivery(group, given)
    for (const { name, streams } of group) {
      delivery.set(name, measured.get(name)!)
      say(`\n### ${name}\n`)
      sayDelivery(deliveryPart(streams), contenders, measured.get(name)!, sayTable)
    }
  }

  const stalled = await measureStalled(size.stalled, once)
  const { readers, stalled: count } = size.stalled
  say(`\n### ${count} of ${(readers + count).toLocaleString('en')} subscribers do not read\n`)
  sayTable(STALLED_PART, ['', 'RSS grows', '… without them', 'p99 of the others', '… without them', `held of ${count}`],
    rowsOf(contenders, stalled, ([sample]) => {
      const { rss, p99, held } = sample!
      return [mib(rss.with), mib(rss.without), millis(p99.with), millis(p99.without), String(held)]
    }))

  const idle = await measureWaiting(size.idle, isQuick ? once : { ...options, rounds: 2 })
  say(`\n### Memory of an idle subscriber, measured over ${size.idle.toLocaleString('en')} of them\n`)
  sayTable(WAITING_PART, ['', 'heap', 'RSS'], rowsOf(contenders, idle, (samples) =>
    [kib(median(samples.map(({ heap }) => heap))), kib(median(samples.map(({ rss }) => rss)))]))

  const resume = await measureResume(size.resume, fewer)
  say(`\n### ${size.resume.streams.toLocaleString('en')} clients come back at once, each ${size.resume.events} events behind\n`)
  sayTable(RESUME_PART, ['', 'all have them after', 'CPU per client'], rowsOf(contenders, resume, (samples) =>
    [millis(median(samples.map(({ ms }) => ms))), `${Math.round(median(samples.map(({ microsPerClient }) => microsPerClient)))} µs`], 'none'))

  const closed = await measureShutdown(size.close, once)
  say(`\n### close() with ${size.close.toLocaleString('en')} open streams\n`)
  sayTable(SHUTDOWN_PART, ['', 'comes to its end'], rowsOf(contenders, closed, ([ms]) =>
    [ms === undefined ? `no, not in ${CLOSE_MS / 1000} s` : `in ${millis(ms)}`]))

  return {
    delivery: Object.fromEntries([...delivery].map(([load, byContender]) => [load, Object.fromEntries(byContender)])),
    stalled: Object.fromEntries(stalled),
    idle: Object.fromEntries(idle),
    resume: Object.fromEntries(resume),
    close: Object.fromEntries(closed),
    failures
  }
}

/** Those whose events arrive as they were meant; the others are left out of everything. */
async function verified (contenders: readonly FanoutContender[], env: Record<string, string>, progress: (text: string) => void, failures: Failures): Promise<FanoutContender[]> {
  const good: FanoutContender[] = []
  for (const contender of contenders) {
    progress(`${contender.name}: comparing what arrives with what was meant`)
    let audience
    try {
      audience = await Audience.start(contender, env)
      await audience.verify(contender)
      good.push(contender)
    } catch (error) {
      failures.add(contender.name, VERIFY_PART, error)
    } finally {
      audience?.stop()
    }
  }
  return good
}

function sayDelivery (part: string, contenders: readonly FanoutContender[], samples: Map<string, DeliverySample[]>,
  sayTable: (part: string, head: readonly string[], rows: ReadonlyArray<readonly string[]>) => void): void {
  const micros = (name: string): number[] | undefined => samples.get(name)?.map(({ microsPerDelivery }) => microsPerDelivery)
  const best = contenders.filter(({ name, isRival = false }) => isRival && samples.has(name))
    .map(({ name }) => name).sort((a, b) => median(micros(a)!) - median(micros(b)!))[0]
  const times = (of: number[], name: string): string => {
    const base = micros(name)
    return base === undefined ? '–' : showRatios(of.map((value, round) => base[round]! / value))
  }
  sayTable(part, ['', 'CPU per delivery', `times ${BARE.name}`, ...best === undefined ? [] : [`times ${best}`], 'p50', 'p99', 'bytes per event'],
    rowsOf(contenders, samples, (of, name) => [
      `${median(micros(name)!).toFixed(2)} µs`,
      times(micros(name)!, BARE.name),
      ...best === undefined ? [] : [times(micros(name)!, best)],
      millis(median(of.map(({ p50 }) => p50))),
      millis(median(of.map(({ p99 }) => p99))),
      String(Math.round(of[0]!.bytesPerDelivery))
    ]))
}

/** A row for each contender; one without samples has `absent` in it. */
function rowsOf<T> (contenders: readonly FanoutContender[], samples: Map<string, T[]>, cells: (samples: T[], name: string) => string[], absent = 'failed'): string[][] {
  return contenders.map(({ name }) => {
    const of = samples.get(name)
    return [name, ...of === undefined ? [absent] : cells(of, name)]
  })
}

function sayFailures (part: string, failures: Failures, say: (text: string) => void): void {
  for (const line of failures.of(part)) say(`\n${line}`)
}
