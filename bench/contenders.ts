/** One way to serve an event stream. */
export interface Contender {
  /** As it is printed, and for `--only`. */
  readonly name: string
  /** Module that serves `/stream`, and `/idle` and `/idle-push` where they are measured. */
  readonly file: string
  readonly env?: Record<string, string>
  /** Whether it counts as one of the libraries that we are compared with. */
  readonly isRival?: boolean
}

/** What all ratios refer to: one write for each event, without a framework and without a check. */
export const BARE: Contender = { name: 'node:http', file: 'servers/bare.mjs' }

export const OURS: Contender = { name: 'fastify-typed-sse', file: 'servers/ours.mjs' }

export const LIBRARIES: readonly Contender[] = [
  BARE,
  OURS,
  { name: '@fastify/sse', file: 'servers/fastify-sse.mjs', isRival: true },
  { name: 'fastify-sse-v2', file: 'servers/fastify-sse-v2.mjs', isRival: true },
  { name: 'better-sse', file: 'servers/better-sse.mjs', isRival: true }
]

function way (name: string): Contender {
  return { name, file: 'servers/ways.mjs', env: { BENCH_WAY: name } }
}

/** Ways to write a stream inside Fastify; ours is the `Readable` whose `pipe()` writes straight to the response. */
export const WAYS: readonly Contender[] = [BARE, OURS, way('hijack'), way('readable'), way('readable-bytes'), way('response'), way('web-stream')]
