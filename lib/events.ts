// The entry «fastify-typed-sse/events»: the contract alone, without Fastify and without Node.
export {
  defineEvents, isText, text, type EventContract, type EventFields, type EventMaker, type EventMap, type EventOf, type TypedEvent
} from './schema/events.js'
