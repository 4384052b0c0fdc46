// Chat rooms: a channel for each, which is there when somebody comes. Open the URL in two browser windows, and then stop
// the server and start it again.
//
//   node --import tsx examples/chat.ts
//   curl -N 'http://127.0.0.1:3000/rooms/tea/messages?name=ada'
//   curl http://127.0.0.1:3000/rooms/tea/messages -H 'content-type: application/json' -d '{ "name": "bob", "text": "Hello!" }'
//   curl -N 'http://127.0.0.1:3000/messages?room=tea&room=coffee&name=bob'
//   curl http://127.0.0.1:3000/rooms
import { Type, type Static } from '@sinclair/typebox'
import Fastify from 'fastify'
import ssePlugin, { defineEvents, type Channel, type ChannelMember, type EventOf } from 'fastify-typed-sse'

// Whoever sends a request names rooms in it, and a room takes memory: so not every string is one.
const Room = Type.String({ pattern: '^[a-z][a-z0-9-]{0,31}$' })
const Name = Type.String({ minLength: 1, maxLength: 32 })
const Text = Type.String({ minLength: 1, maxLength: 2000 })

const Chat = defineEvents({
  // Each says its room: a client may read several on one stream.
  message: Type.Object({ room: Room, name: Name, text: Text, at: Type.String({ format: 'date-time' }) }),
  // All who are there, and not who has come or gone: a client that has missed one is right again with the next.
  people: Type.Object({ room: Room, names: Type.Array(Name) })
})

const app = Fastify({ logger: { level: 'warn' } })
await app.register(ssePlugin, { reconnectionTimeMs: 1000 })

// Here anybody may enter any room under any name. In your application, a hook of these routes (preHandler: by then the
// room is known to be one) checks whether who has signed in may, and the name comes from there too. An EventSource sends
// cookies, and no headers of your own. When the right ends later, app.sse.evict() ends the streams that are open.

const members = new Set<ChannelMember>()

const rooms = app.sse.channels('room', Chat, {
  // What somebody who comes, or comes back, can read. A room that is empty for as long is forgotten.
  backlog: { events: 200, ageMs: 60 * 60_000 },
  onJoin (member, room) {
    members.add(member)
    tellPeople(room)
  },
  onLeave (member, room) {
    members.delete(member)
    tellPeople(room)
  }
})

function tellPeople (room: Channel<EventOf<typeof Chat>>): void {
  const names = [...members].filter(({ key }) => key === room.key).map(({ request }) => (request?.query as { name: string }).name)
  // Somebody with two windows is there once.
  room.publish({ event: 'people', data: { room: room.key!, names: [...new Set(names)].sort() } })
}

const RoomParams = Type.Object({ room: Room })
const NewMessage = Type.Object({ name: Name, text: Text })
const Reader = Type.Object({ name: Name })
const RoomsReader = Type.Object({ name: Name, room: Type.Array(Room, { minItems: 1, maxItems: 10, uniqueItems: true }) })

/** What one reader gets of a room: what is kept, and what comes. Of the lists of people that are kept only the last. */
const read = (room: string) => rooms.for(room).subscribe({
  from: 'earliest',
  latestBy: ({ event }) => event === 'people' ? event : undefined
})

app.post<{ Params: Static<typeof RoomParams>, Body: Static<typeof NewMessage> }>('/rooms/:room/messages', { schema: { params: RoomParams, body: NewMessage } },
  ({ params: { room }, body: { name, text } }) =>
    rooms.for(room).publish({ event: 'message', data: { room, name, text, at: new Date().toISOString() } }))

app.get<{ Params: Static<typeof RoomParams>, Events: typeof Chat }>('/rooms/:room/messages', { schema: { params: RoomParams, querystring: Reader, events: Chat } },
  ({ params: { room } }, reply) => reply.sse(read(room)))

// One connection for several rooms: over HTTP/1.1 a browser opens six to a server, for all its windows together. The ID
// holds the place in each room, so that a client which comes back goes on in all of them.
app.get<{ Querystring: Static<typeof RoomsReader>, Events: typeof Chat }>('/messages', { schema: { querystring: RoomsReader, events: Chat } },
  ({ query: { room } }, reply) => reply.sse(app.sse.merge(...room.map(read))))

app.get('/rooms', async () => [...rooms.keys()].map((room) => ({ room, streams: rooms.for(room).subscribers })))

app.get('/', async (_request, reply) => reply.type('text/html; charset=utf-8').send(page))

// Nothing that somebody has written becomes HTML: it goes into the page by textContent alone.
const page = /* html */ `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Chat</title>
<link rel="icon" href="data:,">
<style>
  :root { color-scheme: light dark; --line: light-dark(#dcd8cf, #34383c); --faint: light-dark(#6b665d, #a29d93); --accent: light-dark(#0d6b60, #62cdbb) }
  body { max-width: 40rem; height: 100dvh; margin: 0 auto; padding: 1rem; box-sizing: border-box; display: flex; flex-direction: column; gap: .75rem;
    font: 1rem/1.5 system-ui, sans-serif; background: light-dark(#faf8f4, #16181a); color: light-dark(#23211c, #ebe8e1) }
  header, form { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: baseline; margin: 0 }
  h1 { margin: 0; font-size: 1.25rem }
  small, #state, .gap { color: var(--faint) }
  ol { flex: 1; overflow: auto; margin: 0; padding: .75rem 1rem; list-style: none; border: 1px solid var(--line); border-radius: .5rem }
  li { overflow-wrap: anywhere } .gap { font-style: italic; text-align: center } b { color: var(--accent); margin-inline: .5rem }
  input, select, button { font: inherit; padding: .4rem .6rem; border: 1px solid var(--line); border-radius: .4rem; min-width: 0; background: none; color: inherit }
  [name=text] { flex: 1 } [name=name] { width: 8rem }
</style>
<header><h1>Chat</h1><span id="people"></span><span id="state" role="status"></span></header>
<ol aria-live="polite"></ol>
<form>
  <input name="name" maxlength="32" required aria-label="Your name"><select name="room" aria-label="Room"></select>
  <input name="text" maxlength="2000" required placeholder="Message" aria-label="Message" autocomplete="off"><button>Send</button>
</form>
<script type="module">
  const form = document.querySelector('form')
  const { name, room, text } = form.elements
  const [list, people, state] = ['ol', '#people', '#state'].map((selector) => document.querySelector(selector))
  const rooms = new URLSearchParams(location.search).getAll('room')
  if (rooms.length === 0) rooms.push('tea', 'coffee')
  for (const each of rooms) room.add(new Option(each))
  name.value = 'guest-' + Math.floor(Math.random() * 1000)

  function add (className, ...parts) {
    const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 20
    const line = list.appendChild(document.createElement('li'))
    line.className = className
    for (const [tag, content] of parts) line.appendChild(document.createElement(tag)).textContent = content
    if (isAtEnd) list.scrollTop = list.scrollHeight
  }

  let source
  function open () {
    source?.close()
    list.replaceChildren()
    const there = new Map()
    source = new EventSource('/messages?' + new URLSearchParams([['name', name.value], ...rooms.map((each) => ['room', each])]))
    // After a broken connection the browser comes back by itself, and says what it has read last.
    source.onopen = () => { state.textContent = '' }
    source.onerror = () => { state.textContent = source.readyState === EventSource.CLOSED ? 'the server refuses' : 'reconnecting …' }
    source.addEventListener('message', ({ data }) => {
      const { room, name, text, at } = JSON.parse(data)
      add('message', ['small', new Date(at).toLocaleTimeString() + ' ' + room], ['b', name], ['span', text])
    })
    source.addEventListener('people', ({ data }) => {
      const { room, names } = JSON.parse(data)
      there.set(room, names)
      people.textContent = rooms.map((each) => each + ': ' + (there.get(each) ?? []).join(', ')).join(' · ')
    })
    // One for each room; one line says it.
    source.addEventListener('sse.gap', () => {
      if (list.lastChild?.className !== 'gap') add('gap', ['span', 'some messages were missed'])
    })
  }
  open()
  name.onchange = () => name.reportValidity() && open()

  form.onsubmit = async (event) => {
    event.preventDefault()
    const body = JSON.stringify({ name: name.value, text: text.value })
    const { ok } = await fetch('/rooms/' + room.value + '/messages', { method: 'POST', headers: { 'content-type': 'application/json' }, body }).catch(() => ({ ok: false }))
    if (ok) text.value = ''
    else state.textContent = 'not sent'
  }
</script>
`

process.once('SIGINT', () => app.close())
process.once('SIGTERM', () => app.close())

const url = await app.listen({ port: Number(process.env['PORT'] ?? 3000), host: '127.0.0.1' })
console.log(`Listening on ${url}. Try:

  curl -N '${url}/rooms/tea/messages?name=ada'
  curl ${url}/rooms/tea/messages -H 'content-type: application/json' -d '{ "name": "bob", "text": "Hello!" }'
  curl -N '${url}/messages?room=tea&room=coffee&name=bob'
  curl ${url}/rooms
`)
