import { Parser } from '@asyncapi/parser'
import t from 'tap'
import { toAsyncAPI } from '../../lib/documents/asyncapi/asyncapi.js'
import type { Manifest } from '../../lib/schema/manifest.js'
import { zoo, zooCases } from './zoo.js'

// The parser takes its time.
t.setTimeout(120_000)
t.comment('timeout=120000')

const info = { title: 'Shop', version: '2' }

const MANIFEST: Manifest = {
  manifest: 1,
  streams: [
    {
      name: 'orders',
      method: 'GET',
      url: '/orders/:kind/*',
      summary: 'Orders',
      description: 'All of them.',
      tags: ['live'],
      deprecated: true,
      params: { type: 'object', properties: { kind: { enum: ['new', 'old'], description: 'Which.' } } },
      query: { type: 'object', required: ['q'], properties: { q: { type: 'string' } } },
      events: {
        'order/made': { format: 'json', schema: { $ref: '#/$defs/Order', description: 'Made.', $defs: { Order: { type: 'array', prefixItems: [true], items: false } } } },
        line: { format: 'text', schema: { type: 'string' } }
      },
      controlEvents: ['sse.end']
    },
    { name: 'postChat', method: 'POST', url: '/chat', body: { type: 'object' }, headers: { type: 'object', properties: { 'x-a': true } }, controlEvents: [] }
  ],
  controlEvents: { 'sse.gap': { format: 'json', schema: true }, 'sse.end': { format: 'json', schema: { type: 'null' } }, 'sse.fault': { format: 'json', schema: true } }
}

t.test('a stream is a channel and an operation, an event type a message', (t) => {
  t.strictSame(toAsyncAPI(MANIFEST, { info, servers: [{ url: 'https://example.com:8443/api', description: 'Ours' }] }), {
    asyncapi: '3.0.0',
    info,
    defaultContentType: 'application/json',
    servers: { server1: { host: 'example.com:8443', protocol: 'https', pathname: '/api', description: 'Ours' } },
    channels: {
      orders: {
        address: '/orders/{kind}/{wildcard}',
        parameters: { kind: { description: 'Which.', enum: ['new', 'old'] }, wildcard: {} },
        messages: {
          order_made: { $ref: '#/components/messages/OrdersOrderMade' },
          line: { $ref: '#/components/messages/OrdersLine' },
          'sse.end': { $ref: '#/components/messages/SseEnd' }
        }
      },
      postChat: {
        address: '/chat',
        messages: { request: { $ref: '#/components/messages/PostChatRequest' }, event: { $ref: '#/components/messages/PostChatAny' } }
      }
    },
    operations: {
      orders: {
        action: 'send',
        channel: { $ref: '#/channels/orders' },
        summary: 'Orders',
        description: 'All of them.',
        tags: [{ name: 'live' }],
        'x-deprecated': true,
        bindings: { http: { method: 'GET', query: { type: 'object', required: ['q'], properties: { q: { type: 'string' } } }, bindingVersion: '0.3.0' } },
        messages: [
          { $ref: '#/channels/orders/messages/order_made' }, { $ref: '#/channels/orders/messages/line' }, { $ref: '#/channels/orders/messages/sse.end' }
        ]
      },
      postChat: {
        action: 'receive',
        channel: { $ref: '#/channels/postChat' },
        bindings: { http: { method: 'POST', bindingVersion: '0.3.0' } },
        messages: [{ $ref: '#/channels/postChat/messages/request' }],
        reply: { channel: { $ref: '#/channels/postChat' }, messages: [{ $ref: '#/channels/postChat/messages/event' }] }
      }
    },
    components: {
      messages: {
        OrdersLine: { name: 'line', contentType: 'text/plain', payload: { type: 'string' } },
        OrdersOrderMade: { name: 'order/made', payload: { description: 'Made.', allOf: [{ $ref: '#/components/schemas/Order' }] } },
        PostChatAny: { payload: {} },
        PostChatRequest: { headers: { type: 'object', properties: { 'x-a': true } }, payload: { type: 'object' } },
        SseEnd: { name: 'sse.end', payload: { type: 'null' } }
      },
      schemas: { Order: { type: 'array', items: [true], additionalItems: false } }
    }
  })
  t.end()
})

t.test('a server needs an absolute URL', (t) => {
  t.throws(() => toAsyncAPI(MANIFEST, { info, servers: [{ url: '/api' }] }), { code: 'FST_SSE_OPTION_INVALID', message: 'servers[0].url must be an absolute URL, but is "/api".' })
  t.throws(() => toAsyncAPI(MANIFEST, { info, version: '2.6' as never }), { code: 'FST_SSE_OPTION_INVALID', message: 'version must be one of "3.0", "3.1", but is "2.6".' })
  t.end()
})

for (const name of zooCases) {
  t.test(`AsyncAPI's own parser has nothing to say about ${name}`, async (t) => {
    const app = await zoo(name)
    t.teardown(() => app.close())
    await app.ready()
    const manifest = app.sse.manifest()
    // The parser takes a property of this name for the prototype of the others.
    const message = manifest.streams[0]!.events?.['message']?.schema as { properties?: Record<string, unknown> } | undefined
    if (message?.properties !== undefined) Reflect.deleteProperty(message.properties, '__proto__')
    const before = JSON.stringify(manifest)
    for (const version of ['3.0', '3.1'] as const) {
      const { document, diagnostics } = await new Parser().parse(toAsyncAPI(manifest, { version, info }) as never)
      t.ok(document)
      // That there is a newer version is no warning, but information.
      t.strictSame(diagnostics.map(({ code, severity, path }) => [code, severity, path]), version === '3.1' ? [] : [['asyncapi-latest-version', 2, ['asyncapi']]])
    }
    t.equal(JSON.stringify(manifest), before)
  })
}
