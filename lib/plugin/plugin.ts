import type { FastifyInstance, FastifyReply } from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import { Channels } from '../channel/channels.js'
import { Merge } from '../channel/merge.js'
import { SSEError } from '../errors.js'
import type { Manifest } from '../schema/manifest.js'
import { abortable, on } from '../stream/producers.js'
import { StreamHub } from '../stream/hub.js'
import { Http2Sessions } from './http2-sessions.js'
import { StreamLimits } from './limits.js'
import { createManifest } from './manifest.js'
import { resolvePluginOptions } from './options.js'
import { createReplyMethod } from './reply.js'
import { StreamRoutes } from './route.js'
import { drain } from './shutdown.js'
import { SwaggerDocuments } from './swagger.js'
import { UnusedConnections } from './unused-connections.js'
import type { SSEApi, SSEPluginOptions } from './types.js'

/** How long an evicted client may take to receive the end of its stream. */
const EVICTION_GRACE_MS = 100

async function registerSSE (app: FastifyInstance, given: SSEPluginOptions): Promise<void> {
  if (app.hasReplyDecorator('sse')) {
    throw new SSEError('FST_SSE_ALREADY_REGISTERED',
      'reply.sse exists already: fastify-typed-sse, or another plugin that decorates `sse`, is registered twice. Register it once, at the root.')
  }
  const { defaults, swagger, ...limits } = resolvePluginOptions(given)
  const hub = new StreamHub()
  const routes = new StreamRoutes(defaults)
  const sessions = new Http2Sessions()
  const sse = createReplyMethod({ routes, limits: new StreamLimits(hub, limits), sessions })

  const channels = new Channels({
    timer: hub.timer,
    validation: defaults.validation,
    getSchemas: () => app.getSchemas(),
    getSerializerCompiler: () => app.serializerCompiler,
    warn: (error, message) => app.log.warn({ err: error }, message)
  })

  const unused = new UnusedConnections(app.server)

  app.decorateReply('sse', sse as FastifyReply['sse'])
  const createPresentManifest = (): Manifest => createManifest(routes.declared(), channels.declared())
  // Somebody's `onReady` may ask for a document before ours has run.
  const documents = new SwaggerDocuments(createPresentManifest, swagger)
  let isReady = false
  const manifest = (): Manifest => {
    if (!isReady) {
      throw new SSEError('FST_SSE_NOT_READY', 'app.sse.manifest() was called before the application is ready: routes and schemas may still be added. Await app.ready() first.')
    }
    return createPresentManifest()
  }

  app.decorate('sse', createApi(hub, channels, manifest))
  app.addHook('onRoute', function (route) {
    routes.add(this, route)
    documents.add(this, route)
  })
  app.addHook('onReady', async () => {
    isReady = true
    routes.compile()
    channels.compile()
  })
  app.addHook('preClose', async () => {
    await drain(app, hub, sessions, () => channels.flush())
    unused.close()
  })
  app.addHook('onClose', async () => {
    channels.dispose()
  })
}

function createApi (hub: StreamHub, channels: Channels, manifest: () => Manifest): SSEApi {
  return Object.freeze({
    on,
    abortable,
    evict (filter: Parameters<SSEApi['evict']>[0]) {
      let evicted = 0
      for (const stream of [...hub.streams]) {
        if (!filter(stream)) continue
        evicted++
        stream.end('evicted')
        const timer = setTimeout(() => stream.cut('evicted'), EVICTION_GRACE_MS)
        void stream.closed.then(() => clearTimeout(timer))
      }
      return evicted
    },
    stats: () => ({ ...hub.stats(), channels: channels.stats() }),
    manifest,
    channel: channels.channel.bind(channels),
    channels: channels.family.bind(channels),
    merge: (...sources: unknown[]) => new Merge(sources)
  } as SSEApi)
}

/**
 * The plugin: `await app.register(ssePlugin, options)`.
 *
 * Adds `reply.sse`, `app.sse`, and `schema.events` and `sse` to the options of routes. It is not encapsulated: register it
 * once, for all routes.
 *
 * @throws FST_SSE_OPTION_UNKNOWN, FST_SSE_OPTION_INVALID, FST_SSE_OPTIONS_CONFLICT for its options and those of a route
 * @throws FST_SSE_ALREADY_REGISTERED when `reply.sse` exists already
 */
export const ssePlugin = fastifyPlugin(registerSSE, { fastify: '5.x', name: 'fastify-typed-sse' })
