import type { ChannelDefinition } from '../channel/definition.js'
import { Channel } from '../channel/channel.js'
import { Merge } from '../channel/merge.js'
import { MergedSubscriber } from '../channel/merged-subscriber.js'
import { Subscriber, type FrameSink } from '../channel/subscriber.js'
import { iterate, Subscription } from '../channel/subscription.js'
import type { FrameFeed } from '../stream/feed.js'

/** What `reply.sse` takes of channels. */
export type ChannelSource = Channel<unknown> | Subscription<unknown> | Merge<unknown>

export function isChannelSource (source: unknown): source is ChannelSource {
  return source instanceof Channel || source instanceof Subscription || source instanceof Merge
}

/** The channels that a source reads. */
function partsOf (source: ChannelSource): ReadonlyArray<Subscription<unknown>> {
  if (source instanceof Channel) return [source.all]
  return source instanceof Subscription ? [source] : source.parts
}

/**
 * What feeds a stream from channels: encoded frames, when the route allows what the channels declare; else, event by event, what
 * the route then checks by its own schemas.
 *
 * @param isWithin whether all that a channel sends may be sent by the route as it is
 */
export function openChannels (
  source: ChannelSource, sink: FrameSink, isWithin: (definition: ChannelDefinition) => boolean
): { feed: FrameFeed } | { events: AsyncIterable<unknown> } {
  const parts = partsOf(source)
  if (!parts.every(({ core }) => isWithin(core.definition))) return { events: iterate(parts, 'streamSource', sink) }
  const { core, options } = parts[0]!
  const feed = parts.length === 1
    ? new Subscriber(core, sink, options)
    : new MergedSubscriber(parts.map(({ streamSource }) => streamSource), sink)
  return { feed }
}
