import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { realTimers } from '../time/real-timers.js'

/** How long a connection that is made while the server closes has to send something. */
const GRACE_MS = 1_000

/**
 * The connections of a server, to find those that have never sent a byte.
 *
 * A server that closes waits for each of them for over a minute: for Node they are neither idle nor busy. Browsers open such
 * connections ahead of need, and Node's `fetch` opens one in place of each stream that it has left.
 */
export class UnusedConnections {
  readonly #sockets = new Set<Socket>()
  #isClosing = false

  constructor (server: Server) {
    const sockets = this.#sockets
    // One function for all sockets.
    function onClose (this: Socket): void {
      sockets.delete(this)
    }
    server.on('connection', (socket: Socket) => {
      sockets.add(socket)
      socket.on('close', onClose)
      if (this.#isClosing) realTimers.setTimeout(() => destroyUnused(socket), GRACE_MS).unref()
    })
  }

  /** Closes them, and from now on each new one that sends nothing for a second. */
  close (): void {
    this.#isClosing = true
    for (const socket of this.#sockets) destroyUnused(socket)
  }
}

function destroyUnused (socket: Socket): void {
  if (socket.bytesRead === 0) socket.destroy()
}
