import '../types/fastify.js'
export { ssePlugin as default, ssePlugin } from './plugin/plugin.js'
export { SSEError, type ErrorCode } from './errors.js'
export type { CloseReason } from './close-reason.js'
export * from './events.js'
export type { Disconnect, MergedEvent, OpenStream, RouteStreamOptions, SSEApi, SSEPluginOptions, SSEStats } from './plugin/types.js'
export type { Channel } from './channel/channel.js'
export type { ChannelFamily } from './channel/family.js'
export type { Gap, GapEvent, GapReason } from './channel/gap.js'
export type { Merge } from './channel/merge.js'
export type { Subscription } from './channel/subscription.js'
export type {
  BacklogOptions, ChannelMember, ChannelOptions, ChannelStats, EventSource, FamilyOptions, GapAnswer, GapContext, OnGap, Overrun, SnapshotContext,
  SubscribedEvent, SubscribeOptions
} from './channel/types.js'
export type { ControlEventType, JSONSchema, Manifest, ManifestEvent, ManifestStream } from './schema/manifest.js'
export type { OnOptions } from './stream/producers.js'
export type { StreamStats } from './stream/hub.js'
export type { Source, StreamContext, StreamHandle, UntypedEvent } from './stream/types.js'
