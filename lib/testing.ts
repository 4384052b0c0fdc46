// The entry «fastify-typed-sse/testing»: reads the event streams of an application in its own tests, without a port.
export { injectSSE, type InjectableApp, type InjectSSEOptions } from './testing/inject.js'
export { StreamFaultError } from './testing/fault.js'
export type { InjectedStream, InjectedStreamEnd, ReadOptions } from './testing/types.js'
