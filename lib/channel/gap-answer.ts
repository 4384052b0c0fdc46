import { show, SSEError } from '../errors.js'
import type { FastifyRequest } from 'fastify'
import { encodeEvent, encodeHead } from '../wire/encode.js'
import type { ChannelCore } from './core.js'
import { count } from './definition.js'
import { shortened, type Gap, type GapReason } from './gap.js'
import type { GapContext, Overrun, SubscribeOptions } from './types.js'

const GAP_HEAD = encodeHead('sse.gap')

/** The frame that tells a gap. */
export function encodeGap (gap: Gap, id?: string): string {
  return encodeEvent(GAP_HEAD, JSON.stringify(gap), id)
}

/** What has happened, before the application was asked. */
interface Found {
  readonly reason: GapReason
  readonly requested: string
  /** Where it goes on if nobody says otherwise. */
  readonly offset: number
  readonly request: FastifyRequest | undefined
}

/** What happens after a gap. */
export interface Resolved {
  /** Where the subscriber goes on. */
  readonly offset: number
  readonly gap: Gap
  /** Events to be sent first. */
  readonly first?: unknown
}

/**
 * Asks the application where a subscriber goes on, if it has a hook for that.
 *
 * @returns a promise when there is something to wait for. It rejects with what the hook throws, as the call throws it.
 */
export function answerGap (core: ChannelCore, options: SubscribeOptions, { reason, requested, offset, request }: Found): Resolved | Promise<Resolved> {
  const { ring, definition } = core
  const gapAt = (offset: number): Gap => ({ reason, requested: shortened(requested), resumedAt: ring.id(offset) })
  const onGap = options.onGap ?? definition.onGap
  const { snapshot } = options
  if (onGap === undefined && snapshot === undefined) return { offset, gap: gapAt(offset) }
  // Before the hook looks at anything: what is published from here on comes after its snapshot.
  core.settle()
  const before = ring.head
  const context: GapContext = { ...gapAt(offset), channel: definition.name, key: core.key, request }
  const apply = (answer: unknown): Resolved => {
    if (answer === undefined) {
      // Meanwhile it may have been evicted.
      const at = Math.max(offset, ring.first - 1)
      return { offset: at, gap: gapAt(at) }
    }
    if (answer === 'earliest' || answer === 'now') {
      core.settle()
      const at = answer === 'now' ? ring.head : ring.first - 1
      return { offset: at, gap: gapAt(at) }
    }
    if (typeof answer === 'object' && answer !== null && (Symbol.iterator in answer || Symbol.asyncIterator in answer)) {
      return { offset: before, gap: gapAt(before), first: answer }
    }
    throw new SSEError('FST_SSE_OPTION_INVALID',
      `onGap of channel ${show(definition.name)} gave ${show(answer)}. Give nothing, 'earliest', 'now', or an iterable of events to send first.`,
      { option: 'onGap', value: answer })
  }
  const withSnapshot = (answer: unknown): Resolved =>
    answer === undefined && snapshot !== undefined
      ? { offset: before, gap: gapAt(before), first: () => snapshot({ gap: context, request }) }
      : apply(answer)
  const answer: unknown = onGap?.(context)
  return isThenable(answer) ? Promise.resolve(answer).then(withSnapshot) : withSnapshot(answer)
}

/**
 * What happens to a subscriber that has fallen out of the backlog; counted.
 *
 * @param offset up to which it has been given everything
 * @returns null when nothing is gone: what was given up while it waited is still kept
 */
export function overrunOf (core: ChannelCore, options: SubscribeOptions, offset: number): { policy: Overrun, requested: string, offset: number } | null {
  const { ring, definition, flushed } = core
  if (offset >= ring.first - 1) return null
  const policy = options.overrun ?? definition.overrun
  count(definition.counted.overruns, policy)
  return {
    policy,
    requested: ring.id(offset),
    // The newest that others have been given too.
    offset: Math.max(ring.first - 1, policy === 'latest' ? flushed - 1 : 0)
  }
}

function isThenable (value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}
