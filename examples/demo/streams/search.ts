import type { Static, TSchema } from '@sinclair/typebox'
import type { FastifyInstance, FastifyTypeProvider } from 'fastify'
import { Search, SearchQuery } from '../events.js'
import { findText } from '../find-text.js'

const MAX_MATCHES = 200
const PROGRESS_MS = 200

/** Gives `request.body` the type of its schema: what @fastify/type-provider-typebox does. */
interface TypeBoxProvider extends FastifyTypeProvider {
  validator: this['schema'] extends TSchema ? Static<this['schema']> : unknown
  serializer: this['schema'] extends TSchema ? Static<this['schema']> : unknown
}

/**
 * `POST /search` with `{ text, where?, ignoreCase? }`: looks through the files of this project, and sends each match when
 * it is found. A client that leaves stops the search.
 */
export async function search (app: FastifyInstance): Promise<void> {
  const schema = { body: SearchQuery, events: Search }

  app.withTypeProvider<TypeBoxProvider>().post('/search', { schema }, (request, reply) =>
    reply.sse(async function * ({ signal }) {
      const startedAt = performance.now()
      const { text, where, ignoreCase } = request.body
      let files = 0
      let matches = 0
      let reportedAt = startedAt
      for await (const found of findText(text, { where, ignoreCase, signal })) {
        if (found === 'file-done') {
          files++
        } else {
          yield Search.make.match(found)
          if (++matches === MAX_MATCHES) break
        }
        if (performance.now() - reportedAt > PROGRESS_MS) {
          reportedAt = performance.now()
          yield Search.make.progress({ files, matches })
        }
      }
      const ms = Math.round(performance.now() - startedAt)
      yield Search.make.done({ files, matches, ms, isComplete: matches < MAX_MATCHES })
    }))
}
