import { Server, type ListenOptions } from 'node:net'

/**
 * From now on every server of this process listens on a free port of 127.0.0.1, whatever it is told: another port, host,
 * socket path or handle.
 *
 * An entry that calls `listen` then neither clashes with the server that runs beside it, nor can be reached from outside,
 * nor removes or makes files. For this process alone, and not for its workers and children.
 */
export function listenOnLoopbackOnly (): void {
  // Servers for HTTP, HTTPS, HTTP/2 and TLS inherit this method and none has its own.
  const listen = Server.prototype.listen as (this: Server, options: ListenOptions, callback?: () => void) => Server
  Server.prototype.listen = function (this: Server, ...args: unknown[]): Server {
    const callback = args.findLast((arg) => typeof arg === 'function') as (() => void) | undefined
    const [first] = args
    const signal = typeof first === 'object' && first !== null ? (first as ListenOptions).signal : undefined
    return listen.call(this, { port: 0, host: '127.0.0.1', exclusive: true, ...(signal === undefined ? {} : { signal }) }, callback)
  }
}
