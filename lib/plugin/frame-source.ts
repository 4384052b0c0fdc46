import { Channel } from '../channel/channel.js'
import type { ChannelDefinition } from '../channel/definition.js'
import { EventSubscriber, type Encode } from '../channel/event-subscriber.js'
import { Merge } from '../channel/merge.js'
import { Subscriber, type FrameSink } from '../channel/subscriber.js'
import { Subscription } from '../channel/subscription.js'
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
 * What feeds a stream from channels: their frames, when the route allows all that the channels declare; else event by event, each checked
 * and encoded for the route.
 *
 * @param isWithin whether all that a channel sends may be sent by the route as it is
 * @param encode the route's
 */
export function openChannels (source: ChannelSource, sink: FrameSink, isWithin: (definition: ChannelDefinition) => boolean, encode: Encode): FrameFeed {
  const parts = partsOf(source)
  const areWithin = parts.every(({ core }) => isWithin(core.definition))
  if (areWithin && parts.length === 1) return new Subscriber(parts[0]!.core, sink, parts[0]!.options)
  return new EventSubscriber(parts.map(({ streamSource }) => streamSource), sink, areWithin ? undefined : encode)
}
