import { show, SSEError } from '../errors.js'
import { nextTurn } from '../time/real-timers.js'
import { Channel, channelStats } from './channel.js'
import { ChannelCore } from './core.js'
import { ChannelDefinition, type ChannelEnvironment } from './definition.js'
import { ChannelFamily } from './family.js'
import type { ChannelStats } from './types.js'

interface Declared {
  readonly definition: ChannelDefinition
  /** The one channel of a name; undefined for a family. */
  readonly core?: ChannelCore
  readonly family?: ChannelFamily<unknown>
}

/** All channels of an application. */
export class Channels {
  readonly #environment: ChannelEnvironment
  readonly #declared = new Map<string, Declared>()
  #isReady = false
  #isDisposed = false

  constructor (environment: ChannelEnvironment) {
    this.#environment = environment
  }

  /** @throws FST_SSE_CHANNEL_EXISTS, and what {@link ChannelDefinition} throws */
  channel (name: string, events: unknown, options: unknown): Channel<unknown> {
    const definition = this.#define(name, events, options, false)
    const channel: Channel<unknown> = new Channel<unknown>(definition, undefined, () => core, () => core, () => channelStats(definition, [core]))
    const core = new ChannelCore(definition, channel)
    if (this.#isDisposed) core.dispose()
    this.#declared.set(name, { definition, core })
    return channel
  }

  /** @throws FST_SSE_CHANNEL_EXISTS, and what {@link ChannelDefinition} throws */
  family (name: string, events: unknown, options: unknown): ChannelFamily<unknown> {
    const definition = this.#define(name, events, options, true)
    const family = new ChannelFamily<unknown>(definition)
    if (this.#isDisposed) family.dispose()
    this.#declared.set(name, { definition, family })
    return family
  }

  #define (name: string, events: unknown, options: unknown, isFamily: boolean): ChannelDefinition {
    const existing = this.#declared.get(name)
    if (existing !== undefined && existing.core?.isClosed !== true) {
      throw new SSEError('FST_SSE_CHANNEL_EXISTS',
        `There is a channel ${show(name)} already. Keep it in a variable and use that; for one channel for each room or user, ` +
        'declare a family: app.sse.channels(name, events).for(key).', { channel: name })
    }
    const definition = new ChannelDefinition(this.#environment, name, events, options, isFamily)
    if (this.#isReady) definition.compile()
    return definition
  }

  /** Builds all checks and serializers. Run when the application is ready: only then all `addSchema` calls are made. */
  compile (): void {
    this.#isReady = true
    for (const { definition } of this.#declared.values()) definition.compile()
  }

  /** What each channel and family declares. */
  declared (): Array<{ name: string, schemas: Readonly<Record<string, unknown>> }> {
    return [...this.#declared].map(([name, { definition: { schemas } }]) => ({ name, schemas }))
  }

  /** By the name that a channel or family was declared with. */
  stats (): Record<string, ChannelStats> {
    return Object.fromEntries([...this.#declared].map(([name, { definition, core, family }]) =>
      [name, core === undefined ? family!.stats() : channelStats(definition, [core])]))
  }

  /** Writes what has been published, so that streams which end then have it. */
  async flush (): Promise<void> {
    for (const { core, family } of this.#declared.values()) {
      core?.settle()
      family?.flushAll()
    }
    // Those who read by themselves were told, and write when the turn ends.
    if (this.#declared.size > 0) await nextTurn()
  }

  /** No more events. */
  dispose (): void {
    this.#isDisposed = true
    for (const { core, family } of this.#declared.values()) {
      core?.dispose()
      family?.dispose()
    }
  }
}
