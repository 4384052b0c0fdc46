import type { Core, LinkOptions, OpenLink } from './connect.js'
import type { Link, LinkHost, RawEvent } from './link.js'
import type { RequestTarget } from './request.js'

/** How many events may wait for one member: there is no backpressure over tabs. */
const MAX_WAITING = 4_096
/** How many IDs of the last events a follower keeps. */
const MAX_RECENT = 1_024
/** Comes before all names. The number changes with the messages: tabs with another version of this file are not spoken to. */
const PREFIX = 'fastify-typed-sse/1 '

/** One `connect` of this tab. */
interface Member {
  readonly target: RequestTarget
  readonly options: LinkOptions
  readonly host: LinkHost
  /** What is not yet given to the host. */
  queue: Item[]
  /** The last ID that was given to the host. */
  id: string
  isWaiting: boolean
}

/** An event, or a place without an event. */
type Item = readonly [event: RawEvent | undefined, id: string, isText?: boolean]

/** One name in this tab. */
interface Hub {
  join (member: Member): Link
}

type Status = Parameters<LinkHost['status']>

/** What the leader's connection tells, as a call of its host. */
type Told =
  | readonly ['receive', ...Parameters<LinkHost['receive']>]
  | readonly ['place' | 'comment', string]
  | readonly ['status', ...Status]

/**
 * What tabs say to each other.
 *
 * - `'hello'`: a tab has joined, and knows neither leader nor place
 * - `'lead'`: this leader goes on after this ID; said at the beginning, and to those who say hello
 * - `'told'`: what the leader's connection has told
 * - `'reconnect'`: to the leader
 * - `'barrier'`: to oneself
 */
type Message =
  | { readonly type: 'hello' | 'reconnect' }
  | { readonly type: 'lead', readonly by: string, readonly id: string, readonly status?: Status }
  | { readonly type: 'told', readonly by: string, readonly told: readonly Told[] }
  | { readonly type: 'barrier', readonly by: string }

/** As much of Web Locks and BroadcastChannel as is needed. */
interface Surroundings {
  readonly document?: { readonly baseURI: string }
  readonly location?: { readonly href: string }
  readonly navigator: {
    readonly locks: { request (name: string, options: { signal: AbortSignal }, callback: () => Promise<void> | undefined): Promise<void> }
  }
  readonly BroadcastChannel: new (name: string) => Channel
  readonly addEventListener?: (type: string, listener: () => void, isCapturing: boolean) => void
  readonly removeEventListener?: (type: string, listener: () => void, isCapturing: boolean) => void
}

interface Channel {
  onmessage: ((event: { readonly data: Message }) => void) | null
  postMessage (message: Message): void
  close (): void
}

const hubs = new Map<string, Hub>()

/** Shares one connection with all tabs of the origin. */
export const openLink: OpenLink = (target, options, host, core) => {
  const { share, body, initialLastEventId = '' } = options
  let name = share as string
  if (share === true) {
    if (target.href === undefined || body !== undefined) throw new TypeError('share needs a name: a function gives the URL, or there is a body')
    const { document, location } = globalThis as unknown as Partial<Surroundings>
    const base = document?.baseURI ?? location?.href
    name = `${target.method} ${base ? new URL(target.href, base).href : target.href}`
  }
  const member: Member = { target, options, host, queue: [], id: initialLastEventId, isWaiting: false }
  let hub = hubs.get(name)
  if (!hub) hubs.set(name, hub = createHub(name, member, core))
  return hub.join(member)
}

/**
 * The members of one name in this tab, and the tab's place among others.
 *
 * Who holds the lock leads: has the connection, and tells the others what it brings. The lock passes on, in the order of
 * requests, when the leader closes or dies, however it dies.
 *
 * What is relied on: a channel's messages of one sender come in order, and what a leader has posted before its lock was given
 * up comes before what the next one posts after it was granted. In Chromium all messages pass through one process, so all
 * tabs see them in the same order. Where two tabs see less or more of what a leader said last, IDs tell: see `'lead'`.
 */
function createHub (name: string, first: Member, { openFetchLink, StreamError }: Core): Hub {
  const surroundings = globalThis as unknown as Surroundings
  const { BroadcastChannel, navigator } = surroundings
  const members = new Set<Member>()
  /** Those that have led, the present one included. */
  const leaders = new Set<string>()
  /** The member whose options the connection has: the oldest. */
  let front = first
  let leader: string | undefined
  let link: Link | undefined
  let status: Status = ['connecting', 0]
  let lastEventId = first.id
  /** IDs of a follower's last events, in order. */
  let recent = [lastEventId]
  /** Those that a new leader may be sent again. */
  let repeated: string[] = []
  let outbox: Told[] = []
  /** Undefined while this tab takes no part. */
  let channel: Channel | undefined
  let request: AbortController | undefined
  let me = ''
  let release: (() => void) | undefined
  /** Whether a leader has sent the request, this tab or another. */
  let isSent = false

  const local = {
    receive (event: RawEvent, isText: boolean) {
      put([event, lastEventId = event.id, isText])
    },
    place (id: string) {
      put([undefined, lastEventId = id])
    },
    comment (text: string) {
      each(({ host }) => host.comment(text))
    },
    status (...told: Status) {
      if (!isNews(told)) return
      const [next, attempt, reason, error] = told
      // A leader's first attempt is no first one for those who have had another leader.
      status = [next === 'connecting' ? 'reconnecting' : next, attempt, reason, error]
      const isClosed = next === 'closed'
      // Before anybody is told: who connects again then is not to join what is over.
      if (isClosed) end()
      each((member) => {
        if (!isClosed) return member.host.status(...status)
        for (const item of member.queue.splice(0)) if (members.has(member)) hand(member, item)
        if (members.delete(member)) member.host.status(...status)
      })
    }
  }

  listen('addEventListener')

  function listen (method: 'addEventListener' | 'removeEventListener'): void {
    // A page that is frozen, or kept for «back», may go on to hold the lock, and others would wait for it.
    for (const type of ['pagehide', 'freeze']) surroundings[method]?.(type, exit, true)
    for (const type of ['pageshow', 'resume']) surroundings[method]?.(type, enter, true)
  }

  /** This tab takes part: as a follower, and as the next leader when its turn comes. */
  function enter (): void {
    if (request) return
    // The page was left while the stream's end was under way to the others.
    if (!members.size) return listen('removeEventListener')
    const { signal } = request = new AbortController()
    me = crypto.randomUUID()
    leader = undefined
    leaders.clear()
    // Who leads does not keep them.
    if (recent.at(-1) !== lastEventId) recent = [lastEventId]
    channel = new BroadcastChannel(PREFIX + name)
    channel.onmessage = listenTo
    post({ type: 'hello' })
    navigator.locks.request(PREFIX + name, { signal }, () => {
      if (signal.aborted) return
      // What the last leader has said may be still under way. What comes after this, nobody takes from it.
      sendBarrier()
      return new Promise((resolve) => { release = resolve })
    }).catch(() => {
      if (signal.aborted || link) return
      // Locks are there, but not for this page, as in a sandboxed frame: it has a connection of its own.
      channel?.close()
      channel = undefined
      lead()
    })
  }

  /** To oneself: when it is heard, so is all that was posted before, by others and to others. */
  function sendBarrier (): void {
    const barrier = new BroadcastChannel(PREFIX + name)
    barrier.postMessage({ type: 'barrier', by: me })
    barrier.close()
  }

  /** Nothing is left: the next leader, if there is one, goes on. */
  function exit (): void {
    link?.close()
    flush()
    channel?.close()
    request?.abort()
    release?.()
    channel = request = link = release = undefined
  }

  function listenTo ({ data: message }: { readonly data: Message }): void {
    const { type } = message
    if (link) {
      if (type === 'hello') post({ type: 'lead', by: me, id: lastEventId, status: wire(status) })
      else if (type === 'reconnect') link.reconnect()
    } else if (type === 'barrier') {
      if (message.by === me) lead()
    } else if (type === 'lead') {
      follow(message.by, message.id, message.status)
    } else if (type === 'told' && message.by === leader) {
      for (const told of message.told) if (channel) heard(told)
    }
  }

  function lead (): void {
    post({ type: 'lead', by: me, id: lastEventId })
    const { method } = front.target
    // What is not safe may have been done already, as when one tab alone has lost its connection.
    let isDoubtful = isSent && !lastEventId && !/^(GET|QUERY)$/.test(method)
    isSent = true
    link = openFetchLink(
      {
        method,
        href: undefined,
        request (id) {
          if (!isDoubtful) return front.target.request(id)
          isDoubtful = false
          throw new StreamError('ended', `The tab that had sent this ${method} request is gone`)
        }
      },
      new Proxy({}, { get: (_target, key: keyof LinkOptions) => key === 'initialLastEventId' ? lastEventId : front.options[key] }),
      {
        receive: (...told) => tell(['receive', ...told]),
        place (id) {
          if (id !== lastEventId) tell(['place', id])
        },
        comment: (text) => tell(['comment', text]),
        status (...told) {
          if (isNews(told)) tell(['status', ...told])
        },
        room: () => undefined
      }
    )
  }

  function isNews (told: Status): boolean {
    return told[0] !== status[0] || told[3] !== undefined
  }

  /** To all tabs, and to this one. */
  function tell (told: Told): void {
    // One message for all that one chunk brings.
    if (outbox.push(told[0] === 'status' ? ['status', ...wire(told.slice(1) as unknown as Status)] : told) === 1) queueMicrotask(flush)
    call(told)
  }

  function flush (): void {
    if (outbox.length) post({ type: 'told', by: me, told: outbox })
    outbox = []
  }

  function post (message: Message): void {
    channel?.postMessage(message)
  }

  /** There is a leader, which goes on after this ID. */
  function follow (by: string, id: string, now?: Status): void {
    if (leaders.has(by)) return
    leaders.add(leader = by)
    isSent = true
    const at = recent.lastIndexOf(id)
    repeated = at < 0 ? [] : recent.slice(at + 1)
    if (at < 0) {
      recent = [lastEventId = id]
      each((member) => moveTo(member, id))
    }
    if (now) heard(['status', ...now])
  }

  /** What the leader has told. What its server sends again, since the leader had not seen it, is left out where it was seen. */
  function heard (told: Told): void {
    if (told[0] === 'receive') {
      const { id } = told[1]
      const at = repeated.indexOf(id)
      repeated = at < 0 ? [] : repeated.slice(at + 1)
      if (at >= 0) return
      remember(id)
    } else if (told[0] === 'place') {
      if (repeated.length) return
      remember(told[1])
    } else if (told[0] === 'status') {
      const [, next, attempt, reason, error] = told
      return local.status(next, attempt, reason, error && new StreamError(error.kind, error.message, undefined, error))
    }
    call(told)
  }

  function remember (id: string): void {
    if (recent.push(id) > MAX_RECENT) recent.shift()
  }

  function call (told: Told): void {
    // Each by its name: in the built file members are called otherwise than messages.
    if (told[0] === 'receive') local.receive(told[1], told[2])
    else if (told[0] === 'place') local.place(told[1])
    else if (told[0] === 'comment') local.comment(told[1])
    else local.status(...told.slice(1) as unknown as Status)
  }

  function each (visit: (member: Member) => void): void {
    for (const member of [...members]) if (members.has(member)) visit(member)
  }

  function put (item: Item): void {
    each((member) => enqueue(member, item))
  }

  function enqueue (member: Member, item: Item): void {
    const { queue } = member
    // A place that nothing was given for yet.
    if (queue.length && !queue.at(-1)![0]) queue.pop()
    if (queue.push(item) > MAX_WAITING) member.queue = [gap('overrun', member.id, item[1])]
    drain(member)
  }

  function drain (member: Member): void {
    while (!member.isWaiting && member.queue.length && members.has(member)) {
      const room = member.host.room()
      if (!room) {
        hand(member, member.queue.shift()!)
        continue
      }
      member.isWaiting = true
      void room.then(() => {
        member.isWaiting = false
        drain(member)
      })
    }
  }

  function hand (member: Member, [event, id, isText = false]: Item): void {
    member.id = id
    if (event) member.host.receive(event, isText)
    else member.host.place(id)
  }

  /** A member goes on after an ID. One that stands after another misses what is between. */
  function moveTo (member: Member, id: string): void {
    if (member.id !== id) enqueue(member, member.id ? gap('evicted', member.id, id) : [undefined, id])
  }

  function end (): void {
    if (hubs.get(name) === hub) hubs.delete(name)
    link?.close()
    flush()
    if (!channel || !release) return quit()
    // The lock may be faster than messages: who gets it is to have heard first that the stream is over.
    channel.onmessage = ({ data }) => {
      if (data.type === 'barrier' && data.by === me) quit()
    }
    sendBarrier()
  }

  function quit (): void {
    listen('removeEventListener')
    exit()
  }

  const hub: Hub = {
    join (member) {
      const leave = (): boolean => {
        const isMember = members.delete(member)
        front = [...members][0] ?? front
        if (!members.size) end()
        return isMember
      }
      members.add(member)
      enter()
      member.host.status(...status)
      moveTo(member, lastEventId)
      return {
        close: leave,
        fail (error) {
          if (leave()) member.host.status('closed', 0, error.kind, error)
        },
        reconnect () {
          if (link) link.reconnect()
          else post({ type: 'reconnect' })
        }
      }
    }
  }
  return hub
}

/** A status whose error can be posted: as it is, an error loses its fields. */
function wire ([status, attempt, reason, error]: Status): Status {
  return [status, attempt, reason, error && { ...error, message: error.message }]
}

function gap (reason: 'evicted' | 'overrun', requested: string, resumedAt: string): Item {
  return [{ event: 'sse.gap', data: JSON.stringify({ reason, requested, resumedAt }), id: resumedAt }, resumedAt]
}
