import { subscribe } from 'node:diagnostics_channel'
import { NOT_STREAMED, type Manifest } from '../../schema/manifest.js'

/** What a hook is told of a route. */
interface Route {
  readonly method: string | readonly string[]
  readonly url: string
  readonly schema?: { readonly events?: unknown }
  readonly sse?: unknown
}

interface Instance {
  addHook (name: 'onRoute', hook: (route: Route) => void): unknown
}

/**
 * From now on remembers every route of each Fastify instance that is made.
 *
 * A plugin sees the routes that are registered after it has loaded. With `app.register` that is not awaited those beside it
 * come first: they stream, but stand in no manifest, and nobody would miss them there.
 *
 * @returns says which routes of an instance declare that they stream and are not in its manifest: `GET /clock`
 */
export function rememberRoutes (): (application: object, manifest: Manifest) => string[] {
  const routes = new WeakMap<object, Route[]>()
  subscribe('fastify.initialization', (message) => {
    const { fastify } = message as { fastify: Instance }
    const known: Route[] = []
    routes.set(fastify, known)
    // Fastify changes the URL of a route after it has told of it.
    fastify.addHook('onRoute', ({ method, url, schema, sse }) => { known.push({ method, url, ...(schema !== undefined && { schema }), sse }) })
  })
  return (application, { streams }) => {
    const described = new Set(streams.map(({ method, url }) => `${method} ${url}`))
    const declared = (routes.get(application) ?? [])
      .filter(({ schema, sse }) => schema?.events !== undefined || sse !== undefined)
      .flatMap(({ method, url }) => [method].flat().filter((name) => !NOT_STREAMED.has(name)).map((name) => `${name} ${url}`))
    return [...new Set(declared)].filter((name) => !described.has(name))
  }
}
