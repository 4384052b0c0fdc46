// What the server streams, as a plugin. Nothing in it knows that a client is generated of it.
import { setTimeout as sleep } from 'node:timers/promises'
import { Type, type FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { defineEvents, text } from 'fastify-typed-sse'

const Step = Type.Union([Type.Literal('build'), Type.Literal('test'), Type.Literal('release')], { $id: 'Step', description: 'What is being done.' })

const Deploy = defineEvents({
  started: Type.Object({ service: Type.String(), version: Type.Integer({ description: 'The version that is being deployed.' }) }),
  progress: Type.Object({ step: Step, percent: Type.Integer({ minimum: 0, maximum: 100 }) }),
  finished: Type.Object({ url: Type.String({ format: 'uri' }) })
})

const Answer = defineEvents({
  token: text({ description: 'A piece of the answer, to be appended.' }),
  usage: Type.Object({ tokens: Type.Integer() })
})

const steps = ['build', 'test', 'release'] as const

const routes: FastifyPluginAsyncTypebox = async (app) => {
  app.get('/deploys/:service', {
    schema: {
      summary: 'A deployment, from its start to its end',
      params: Type.Object({ service: Type.String() }),
      querystring: Type.Object({ version: Type.Integer({ default: 1, minimum: 1 }) }),
      events: Deploy
    }
  }, async ({ params: { service }, query: { version } }, reply) =>
    reply.sse(async function * ({ signal }) {
      yield Deploy.make.started({ service, version })
      for (const step of steps) {
        for (let percent = 20; percent <= 100; percent += 20) {
          await sleep(100, undefined, { signal })
          yield Deploy.make.progress({ step, percent })
        }
      }
      yield Deploy.make.finished({ url: `https://example.com/${encodeURIComponent(service)}/v${version}` })
    }))

  app.post('/answers', {
    schema: {
      operationId: 'ask',
      summary: 'An answer, word by word',
      body: Type.Object({ question: Type.String({ minLength: 1 }) }),
      events: Answer
    }
  }, async ({ body: { question } }, reply) =>
    reply.sse(async function * ({ signal }) {
      const words = `You asked: “${question}” That is a good question.`.split(/(?<= )/)
      for (const word of words) {
        await sleep(50, undefined, { signal })
        yield Answer.make.token(word)
      }
      yield Answer.make.usage({ tokens: words.length })
    }))
}

export default routes
