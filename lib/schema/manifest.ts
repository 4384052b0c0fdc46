/** A JSON Schema of draft 2020-12, as plain JSON: `true` and `false` stand for any value and none. */
export type JSONSchema = boolean | { readonly [keyword: string]: unknown }

/**
 * All streams of an application as plain JSON: what clients, documents and checks are generated from.
 *
 * Every schema stands for itself: draft 2020-12, its references lead to its own `$defs` and nowhere else. A name in `$defs`
 * means the same schema throughout the manifest. Streams are sorted by URL and method, so equal applications give equal text.
 */
export interface Manifest {
  /** Version of this format: 1. */
  readonly manifest: 1
  /** Sorted by URL, then by method. */
  readonly streams: readonly ManifestStream[]
  /** The events that this package sends by itself, for those that a stream's `controlEvents` names. */
  readonly controlEvents: Readonly<Record<ControlEventType, ManifestEvent>>
}

/** The event types of what this package sends by itself. */
export type ControlEventType = 'sse.gap' | 'sse.end' | 'sse.fault'

/** One method of one route that streams. */
export interface ManifestStream {
  /**
   * What generated code calls it: the route's `operationId`, else made of method and URL (`GET /orders/:id` is `ordersById`,
   * `POST /chat` is `postChat`). An identifier, unique in the manifest; like URLs it may have letters of any script.
   */
  readonly name: string
  /** HTTP method, in capitals. */
  readonly method: string
  /** The route's URL as Fastify has it, prefixes included: `/orders/:id`. */
  readonly url: string
  /** `schema.summary` of the route. */
  readonly summary?: string
  /** `schema.description` of the route. */
  readonly description?: string
  /** Present when the route's schema says so. */
  readonly deprecated?: true
  /** `schema.tags` of the route. */
  readonly tags?: readonly string[]
  /** Schema of an object with the parameters in the URL. Absent when the route has none; the parameters are any text then. */
  readonly params?: JSONSchema
  /** Schema of an object with the parameters after the `?`. */
  readonly query?: JSONSchema
  /** Schema of an object with request headers, their names as the route has them. */
  readonly headers?: JSONSchema
  /** Schema of the request's body, which is JSON. `true` where a validator of the application's own checks it. */
  readonly body?: JSONSchema
  /** Event type → what an event of it is, in the order of declaration. Absent when the route declares none: it may send anything. */
  readonly events?: Readonly<Record<string, ManifestEvent>>
  /** Which of the manifest's `controlEvents` the stream may send: all, or with `controlEvents: false` none. */
  readonly controlEvents: readonly ControlEventType[]
  /** The channel or family that declares the very same events, if there is exactly one. */
  readonly channel?: string
}

/** One event type. */
export interface ManifestEvent {
  /** Whether `data` is JSON, or text as it is (`text()`). */
  readonly format: 'json' | 'text'
  /** Schema of the data, parsed. */
  readonly schema: JSONSchema
}

/** Methods that get no stream: what answers HEAD and OPTIONS beside a route, and what clients cannot send. */
export const NOT_STREAMED: ReadonlySet<string> = new Set(['HEAD', 'OPTIONS', 'TRACE', 'CONNECT'])

const TEXT = { type: 'string' }

/** What each control event is. */
export const CONTROL_EVENTS: Manifest['controlEvents'] = {
  'sse.gap': {
    format: 'json',
    schema: {
      description: 'Some events are missing here.',
      type: 'object',
      required: ['reason', 'requested', 'resumedAt'],
      properties: {
        reason: { description: 'Why.', type: 'string', enum: ['malformed', 'epoch', 'future', 'evicted', 'overrun'] },
        requested: { ...TEXT, description: 'The ID that the stream could not go on from; of a long one the first 128 characters.' },
        resumedAt: { ...TEXT, description: 'The ID after which it goes on.' },
        channel: { ...TEXT, description: 'Which channel it is about, on a stream that merges several: its name.' },
        key: { ...TEXT, description: 'The same: its key in its family, if it is of one.' }
      }
    }
  },
  'sse.end': { format: 'json', schema: { description: 'The stream is over for good.', type: 'null' } },
  'sse.fault': {
    format: 'json',
    schema: {
      description: 'The stream has failed.',
      type: 'object',
      required: ['code', 'message'],
      properties: {
        code: { ...TEXT, description: 'A code of fastify-typed-sse (FST_SSE_…), or of the application.' },
        message: { ...TEXT, description: 'For people.' }
      }
    }
  }
}
