// The contract: what each stream of the demo sends. Server, page and tests mean the same events, because they are
// declared once. In your project the import reads 'fastify-typed-sse/events'.
import { Type, type Static } from '@sinclair/typebox'
import { defineEvents, text } from '../../lib/events.js'

/** `GET /clock` */
export const Clock = defineEvents({
  tick: Type.Object({ now: Type.String({ format: 'date-time' }) })
})

const Share = Type.Number({ minimum: 0, maximum: 1 })
const Bytes = Type.Integer({ minimum: 0 })

const Sample = Type.Object({
  at: Type.String({ format: 'date-time' }),
  /** Share of the last second in which processors were busy: of all together, and of each. */
  cpu: Type.Object({ total: Share, cores: Type.Array(Share) }),
  memory: Type.Object({ usedBytes: Bytes, totalBytes: Bytes }),
  /** Load averages of 1, 5 and 15 minutes; zeros on Windows. */
  load: Type.Array(Type.Number({ minimum: 0 }), { minItems: 3, maxItems: 3 }),
  /** How late this process ran its timers in the last second: 99 of 100 were earlier. */
  eventLoopDelayMs: Type.Number({ minimum: 0 }),
  /** Streams of this demo: open now, and the events sent since it started. */
  streams: Type.Object({ open: Type.Integer({ minimum: 0 }), events: Type.Integer({ minimum: 0 }) })
})

export type HostSample = Static<typeof Sample>

/** `GET /host` */
export const Host = defineEvents({
  machine: Type.Object({
    processor: Type.String(),
    cores: Type.Integer({ minimum: 1 }),
    system: Type.String(),
    node: Type.String()
  }),
  sample: Sample
})

/** `GET /log` */
export const Log = defineEvents({
  /** One line of the file, raw: no JSON around it. */
  line: text(),
  /** The file was truncated or another one took its place; its lines follow. */
  replaced: Type.Null()
})

/** `GET /countdown` */
export const Countdown = defineEvents({
  left: Type.Integer({ minimum: 0 })
})

/** The body of `POST /search` */
export const SearchQuery = Type.Object({
  text: Type.String({ minLength: 2, maxLength: 100 }),
  where: Type.Unsafe<'sources' | 'dependencies'>({ type: 'string', enum: ['sources', 'dependencies'], default: 'sources' }),
  ignoreCase: Type.Boolean({ default: false })
})

const SearchCounts = {
  files: Type.Integer({ minimum: 0 }),
  matches: Type.Integer({ minimum: 0 })
}

/** `POST /search` */
export const Search = defineEvents({
  match: Type.Object({ file: Type.String(), line: Type.Integer({ minimum: 1 }), text: Type.String() }),
  progress: Type.Object(SearchCounts),
  done: Type.Object({ ...SearchCounts, ms: Type.Integer({ minimum: 0 }), isComplete: Type.Boolean() })
})
