import { EventEmitter } from 'node:events'
import { cpus, freemem, loadavg, totalmem, type CpuInfo } from 'node:os'
import { monitorEventLoopDelay, type IntervalHistogram } from 'node:perf_hooks'
import type { HostSample } from './events.js'

/** Samples kept for clients that come back, or join others. */
const KEPT = 90

const RESOLUTION_MS = 10

/**
 * Measures the machine and emits `sample`, once a second, while somebody listens. Without listeners it does nothing.
 */
export class HostSampler extends EventEmitter<{ sample: [HostSample] }> {
  readonly #secondMs: number
  readonly #streams: () => HostSample['streams']
  readonly #delay: IntervalHistogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  #recent: HostSample[] = []
  #timer: ReturnType<typeof setInterval> | null = null
  #before: CpuInfo[] = []

  constructor (secondMs: number, streams: () => HostSample['streams']) {
    super()
    this.#secondMs = secondMs
    this.#streams = streams
    // One listener for each open stream: many are no leak.
    this.setMaxListeners(0)
    const meta: EventEmitter = this
    meta.on('newListener', (name) => { if (name === 'sample') this.#start() })
    meta.on('removeListener', () => { if (this.listenerCount('sample') === 0) this.#stop() })
  }

  get isRunning (): boolean {
    return this.#timer !== null
  }

  /** The samples kept that are younger than `at`; all of them when it is not a time. */
  after (at: string | undefined): HostSample[] {
    const time = Date.parse(at ?? '')
    const oldest = Date.now() - KEPT * this.#secondMs
    return this.#recent.filter((sample) => Date.parse(sample.at) > (Number.isNaN(time) ? oldest : Math.max(time, oldest)))
  }

  #start (): void {
    if (this.#timer !== null) return
    this.#before = cpus()
    this.#delay.reset()
    this.#delay.enable()
    this.#timer = setInterval(() => this.#sample(), this.#secondMs)
  }

  #stop (): void {
    if (this.#timer === null) return
    clearInterval(this.#timer)
    this.#timer = null
    this.#delay.disable()
  }

  #sample (): void {
    const now = cpus()
    const cores = now.map((core, n) => busyShare(this.#before[n], core))
    this.#before = now
    // The histogram holds the time from timer to timer, which is the resolution when nothing is late.
    const delayMs = this.#delay.percentile(99) / 1e6 - RESOLUTION_MS
    this.#delay.reset()
    const { open, events } = this.#streams()
    const sample: HostSample = {
      at: new Date().toISOString(),
      cpu: { total: round(cores.reduce((sum, share) => sum + share, 0) / Math.max(1, cores.length)), cores },
      memory: { usedBytes: totalmem() - freemem(), totalBytes: totalmem() },
      load: loadavg().map(round),
      eventLoopDelayMs: round(Math.max(0, delayMs)),
      streams: { open, events }
    }
    this.#recent.push(sample)
    if (this.#recent.length > KEPT) this.#recent.shift()
    this.emit('sample', sample)
  }
}

function busyShare (before: CpuInfo | undefined, now: CpuInfo): number {
  if (before === undefined) return 0
  const spent = (name: keyof CpuInfo['times']): number => Math.max(0, now.times[name] - before.times[name])
  const busy = spent('user') + spent('nice') + spent('sys') + spent('irq')
  const total = busy + spent('idle')
  return total === 0 ? 0 : round(busy / total)
}

function round (value: number): number {
  return Math.round(value * 1000) / 1000
}
