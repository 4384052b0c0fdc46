import cookie from '@fastify/cookie'
import session from '@fastify/session'
import t from 'tap'
import { createApp, listen } from '../support/app.js'
import { connect } from '../support/client.js'
import { until } from '../support/sources.js'
import { createProducer, END, frame, nothingLeft, OPENING, type Producer } from './producer.js'

declare module 'fastify' {
  interface Session {
    visits?: number
    late?: string
  }
}

t.test('@fastify/cookie: cookies set before the stream arrive with it, signed ones too', async (t) => {
  const { app } = await createApp(t)
  await app.register(cookie, { secret: 'a secret' })
  const producer = createProducer(1)
  app.addHook('onRequest', async (_request, reply) => { reply.setCookie('hook', 'h', { path: '/', sameSite: 'lax' }) })
  app.get('/', (request, reply) => {
    const { value, valid } = request.unsignCookie(request.cookies['theme'] ?? '')
    reply.setCookie('seen', `${valid}-${value}`, { httpOnly: true, sameSite: 'lax' })
    reply.setCookie('signed', 'yes', { signed: true, sameSite: 'lax' })
    return reply.sse(producer.source)
  })
  const { origin } = await listen(app)
  const client = await connect(t, origin, { headers: { cookie: `theme=${encodeURIComponent(app.signCookie('dark'))}` } })
  t.strictSame(client.headers['set-cookie'], [
    'hook=h; Path=/; SameSite=Lax',
    'seen=true-dark; HttpOnly; SameSite=Lax',
    `signed=${encodeURIComponent(app.signCookie('yes'))}; SameSite=Lax`
  ])
  t.equal(client.headers['content-type'], 'text/event-stream')
  t.strictSame(await client.events(1), [frame(1)])
  client.fin()
  await nothingLeft(app)
  t.equal(producer.returned, 1)
})

t.test('@fastify/cookie: a cookie set while the source runs, before its first event, arrives', async (t) => {
  const { app } = await createApp(t)
  await app.register(cookie)
  app.get('/', (_request, reply) => reply.sse(async function * () {
    reply.setCookie('from', 'source', { sameSite: 'lax' })
    yield { data: 1 }
  }))
  const response = await app.inject('/')
  t.strictSame(response.headers['set-cookie'], 'from=source; SameSite=Lax')
  t.equal(response.body, OPENING + frame(1) + END)
})

t.test('@fastify/session: a stream opens a session, which is saved and found again by the next request', async (t) => {
  const { app } = await createApp(t)
  await app.register(cookie)
  await app.register(session, { secret: 's'.repeat(32), cookie: { secure: false } })
  const producers: Producer[] = []
  app.get('/', (request, reply) => {
    request.session.visits = (request.session.visits ?? 0) + 1
    const producer = createProducer(request.session.visits)
    producers.push(producer)
    return reply.sse(producer.source)
  })
  app.get('/visits', async (request) => request.session.visits ?? 0)
  const { origin } = await listen(app)

  const first = await connect(t, origin)
  const [setCookie] = first.headers['set-cookie']!
  t.match(setCookie, /^sessionId=[^;]+; Path=\/; HttpOnly/)
  t.strictSame(await first.events(1), [frame(1)])
  const headers = { cookie: setCookie!.split(';')[0]! }
  t.equal(await (await fetch(`${origin}/visits`, { headers })).text(), '1', 'saved while the stream is open')

  const again = await connect(t, origin, { headers })
  t.strictSame(await again.events(1), [frame(2)], 'a reconnect with the cookie is the same session')
  first.rst()
  again.fin()
  await nothingLeft(app)
  t.strictSame(producers.map(({ returned }) => returned), [1, 1])
})

t.test('@fastify/session: a session saved by hand keeps what the source stored in it', async (t) => {
  const { app } = await createApp(t)
  await app.register(cookie)
  await app.register(session, { secret: 's'.repeat(32), cookie: { secure: false } })
  app.get('/', (_request, reply) => reply.sse(async function * ({ request }) {
    yield { data: 1 }
    request.session.late = 'stored'
    await request.session.save()
    yield { data: 2 }
  }))
  app.get('/late', async (request) => request.session.late ?? 'nothing')
  const first = await app.inject('/')
  t.equal(first.body, OPENING + frame(1) + frame(2) + END)
  const { name, value } = first.cookies[0]!
  t.equal((await app.inject({ url: '/late', cookies: { [name]: value } })).body, 'stored')
})

t.test('@fastify/session: an error before the first event saves the session like any error response', async (t) => {
  const { app } = await createApp(t)
  await app.register(cookie)
  await app.register(session, { secret: 's'.repeat(32), cookie: { secure: false } })
  app.get('/', (request, reply) => {
    request.session.visits = 1
    return reply.sse(() => { throw Object.assign(new Error('no'), { statusCode: 403 }) })
  })
  const response = await app.inject('/')
  t.equal(response.statusCode, 403)
  t.equal(response.cookies.length, 1)
  await until(() => app.sse.stats().open === 0)
})
