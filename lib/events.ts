// The entry «fastify-typed-sse/events»: the contract alone, without Fastify and without Node.
export {
  defineEvents, isText, text, type EventContract, type EventFields, type EventMaker, type EventMap, type EventOf, type TypedEvent
} from './schema/events.js'
export {
  defineStream, type BodyOf, type ParamsOf, type QueryOf, type QueryParams, type StreamDeclaration, type StreamDefinition
} from './schema/definition.js'
export type { Fault } from './schema/control-events.js'
export type { ReceivedEvent, ReceivedOf, StreamEvent, UnknownEvent } from './schema/received.js'
