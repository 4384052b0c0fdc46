import type { FastifyInstance } from 'fastify'
import type { StreamContext } from '../../lib/index.js'
import { until } from '../support/sources.js'

export const OPENING = ': sse-heartbeat: 15000\n\nretry: 3000\n\n'
export const END = 'event: sse.end\ndata: null\nid: sse.end\n\n'

/** The frame of an event without a type. */
export function frame (data: unknown): string {
  return `data: ${JSON.stringify(data)}\n\n`
}

/**
 * A source that never ends by itself. The test gives its events one by one, and sees whether its `finally` block has run.
 * Of several streams that it feeds one gets each event.
 */
export interface Producer {
  /** How often the source was started. */
  started: number
  /** How often its `finally` block has run. */
  returned: number
  /** Lets the source yield one more event. */
  give: (data: unknown) => void
  /** Lets the source come to its end. */
  finish: () => void
  /** Lets the source throw. */
  fail: (error: unknown) => void
  /** Hand this over to `reply.sse`. */
  source: (ctx: StreamContext) => AsyncGenerator<{ data: unknown }>
}

export function createProducer (...first: unknown[]): Producer {
  const steps: Array<() => { data: unknown } | undefined> = first.map((data) => () => ({ data }))
  const waiting = new Set<() => void>()
  const wake = (): void => {
    for (const resolve of waiting) resolve()
    // Here, and not where they go on: one of them may wait again before the next goes on.
    waiting.clear()
  }
  const add = (step: () => { data: unknown } | undefined): void => {
    steps.push(step)
    wake()
  }
  const producer: Producer = {
    started: 0,
    returned: 0,
    give: (data) => add(() => ({ data })),
    finish: () => add(() => undefined),
    fail: (error) => add(() => { throw error }),
    source: async function * ({ signal }) {
      producer.started++
      signal.addEventListener('abort', wake, { once: true })
      try {
        while (!signal.aborted) {
          const step = steps.shift()
          if (step === undefined) {
            await new Promise<void>((resolve) => { waiting.add(resolve) })
            continue
          }
          const event = step()
          if (event === undefined) return
          yield event
        }
      } finally {
        producer.returned++
      }
    }
  }
  return producer
}

/** Waits until a stream has been opened, none is open, and no source runs. */
export async function nothingLeft (app: FastifyInstance): Promise<void> {
  await until(() => {
    const { open, opened, sources } = app.sse.stats()
    return opened > 0 && open === 0 && sources === 0
  })
}
