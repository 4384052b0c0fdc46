import type { GapEvent } from './control-events.js'
import type { kEventContract, StaticOf } from './events.js'

/** One event as a client receives it. */
export interface ReceivedEvent<Name extends string = string, Data = unknown> {
  /** The event type; `'message'` when the stream gave none. */
  event: Name
  /** The data, parsed. */
  data: Data
  /**
   * The last event ID: its own, or the one that an earlier event left. Absent while there is none.
   *
   * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#concept-event-stream-last-event-id
   */
  id?: string
}

/**
 * The type of events that the contract does not declare: a string, whichever it is.
 *
 * It has a member so that TypeScript tells it apart from the declared ones, and is no value: compare with strings.
 */
declare enum UnknownEventType { undeclared = 'an event type that the contract does not declare' }

/**
 * An event that the contract does not declare, as a server that is newer than its client sends it. Its `event` is a string
 * like any other at run time.
 *
 * ```ts
 * switch (event.event) {
 *   case 'tick': …
 *   default: event satisfies UnknownEvent      // does not compile while a declared event has no case
 * }
 * ```
 */
export type UnknownEvent = ReceivedEvent<UnknownEventType>

/**
 * The declared events as a client receives them, of a contract (`typeof Clock`), of a bare map, of a stream definition, or
 * of a union of event types (`{ event: 'tick', data: … } | …`); any event for `unknown`.
 */
export type ReceivedOf<D> = unknown extends D
  ? ReceivedEvent
  : D extends { readonly [kEventContract]: true, readonly schemas: infer M }
    ? ReceivedOfMap<M>
    : D extends { readonly path: string, readonly events: infer C }
      ? ReceivedOf<C>
      : D extends { event: infer Name extends string, data: infer Data }
        ? ReceivedEvent<Name, Data>
        : ReceivedOfMap<D>

type ReceivedOfMap<M> = { [K in keyof M & string]: ReceivedEvent<K, StaticOf<M[K]>> }[keyof M & string]

/**
 * What a stream gives its reader: the declared events, what says that some are missing (`sse.gap`), and those that are not
 * declared. A union discriminated by `event`.
 */
export type StreamEvent<D> = unknown extends D ? ReceivedEvent : ReceivedOf<D> | ReceivedEvent<'sse.gap', GapEvent['data']> | UnknownEvent
