declare const typebox: typeof import('@sinclair/typebox')
declare const events: typeof import('../lib/schema/events.js')
declare const support: typeof import('./support.tst.js')

// A CommonJS module declares events with the types that TypeBox has for CommonJS.

const Clock = events.defineEvents({
  tick: typebox.Type.Object({ now: typebox.Type.String() }),
  text: events.text(),
  closing: typebox.Type.Null()
})
support.app.get('/', { schema: { events: Clock } }, (_request, reply) => reply.sse(async function * ({ signal }) {
  while (!signal.aborted) yield { event: 'tick', data: { now: 'now' } }
  yield { event: 'text', data: 'x' }
  yield Clock.make.closing()
}))
support.app.get('/', { schema: { events: { count: typebox.Type.Integer() } } }, (_request, reply) => {
  // @ts-expect-error the wrong data
  reply.sse([{ event: 'count', data: 'x' }])
  return reply.sse([{ event: 'count', data: 1 }])
})
// @ts-expect-error a property is missing
Clock.make.tick({})
