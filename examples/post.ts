// One POST route that answers with JSON or with a stream, as the body asks: what APIs of language models do.
//
//   node --import tsx examples/post.ts
//   curl -N http://127.0.0.1:3000/completions -H 'content-type: application/json' -d '{ "prompt": "Tell me more", "stream": true }'
//   curl -N http://127.0.0.1:3000/completions -H 'content-type: application/json' -d '{ "prompt": "Tell me more" }'
//
// An EventSource can only GET. In a browser, read a stream like this one with fetch() and response.body.
import { setTimeout as sleep } from 'node:timers/promises'
import { Type, type Static } from '@sinclair/typebox'
import Fastify from 'fastify'
import ssePlugin, { defineEvents } from 'fastify-typed-sse'

const Prompt = Type.Object({
  prompt: Type.String({ minLength: 1 }),
  stream: Type.Boolean({ default: false })
})

/** The answer in one piece … */
const Completion = Type.Object({
  text: Type.String(),
  tokens: Type.Integer()
})

/** … and the answer as it comes. */
const CompletionEvents = defineEvents({
  delta: Type.Object({ text: Type.String() }),
  done: Type.Object({ tokens: Type.Integer() })
})

/** Stands in for the model. With a signal it stops when nobody wants the rest any more. */
async function * complete (prompt: string, signal?: AbortSignal): AsyncGenerator<string> {
  for (const word of `You said: ${prompt}`.split(/(?<= )/)) {
    await sleep(100, undefined, signal === undefined ? {} : { signal })
    yield word
  }
}

const app = Fastify({ logger: { level: 'warn' } })
await app.register(ssePlugin)

// With explicit type arguments Fastify infers nothing from the schema, so the events stand in both places.
// (With a type provider, such as @fastify/type-provider-typebox, you need no type arguments at all.)
app.post<{ Body: Static<typeof Prompt>, Reply: Static<typeof Completion>, Events: typeof CompletionEvents }>('/completions', {
  schema: {
    body: Prompt,
    response: { 200: Completion },
    events: CompletionEvents
  }
}, async (request, reply) => {
  const { prompt, stream } = request.body

  if (stream) {
    return reply.sse(async function * ({ signal }) {
      let tokens = 0
      for await (const text of complete(prompt, signal)) {
        tokens++
        yield { event: 'delta', data: { text } }
      }
      // The end of the generator ends the stream.
      yield { event: 'done', data: { tokens } }
    })
  }

  const words: string[] = []
  for await (const word of complete(prompt)) words.push(word)
  return { text: words.join(''), tokens: words.length }
})

process.once('SIGINT', () => app.close())
process.once('SIGTERM', () => app.close())

const url = await app.listen({ port: Number(process.env['PORT'] ?? 3000), host: '127.0.0.1' })
console.log(`Listening on ${url}. Try:

  curl -N ${url}/completions -H 'content-type: application/json' -d '{ "prompt": "Tell me more", "stream": true }'
  curl -N ${url}/completions -H 'content-type: application/json' -d '{ "prompt": "Tell me more" }'
`)
