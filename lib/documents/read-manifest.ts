import { Ajv2020 } from 'ajv/dist/2020.js'
import { show, SSEError } from '../errors.js'
import type { Manifest } from '../schema/manifest.js'

const SCHEMA = { type: ['object', 'boolean'] }
const EVENT = {
  type: 'object',
  required: ['format', 'schema'],
  properties: { format: { enum: ['json', 'text'] }, schema: SCHEMA }
}
const EVENTS = { type: 'object', additionalProperties: EVENT }
const TEXT = { type: 'string' }

/** What a manifest of this version has. More may stand in it: a later release may add members. */
const MANIFEST = {
  type: 'object',
  required: ['manifest', 'streams', 'controlEvents'],
  properties: {
    manifest: { const: 1 },
    streams: {
      type: 'array',
      items: {
        type: 'object',
        required: ['name', 'method', 'url', 'controlEvents'],
        properties: {
          name: { type: 'string', minLength: 1 },
          method: { type: 'string', pattern: '^[A-Z-]+$' },
          url: TEXT,
          summary: TEXT,
          description: TEXT,
          deprecated: { type: 'boolean' },
          tags: { type: 'array', items: TEXT },
          params: SCHEMA,
          query: SCHEMA,
          headers: SCHEMA,
          body: SCHEMA,
          events: EVENTS,
          controlEvents: { type: 'array', items: { enum: ['sse.gap', 'sse.end', 'sse.fault'] } },
          channel: TEXT
        }
      }
    },
    controlEvents: { type: 'object', required: ['sse.gap', 'sse.end', 'sse.fault'], additionalProperties: EVENT }
  }
}

const isManifest = new Ajv2020({ allowUnionTypes: true, strictRequired: false }).compile<Manifest>(MANIFEST)

/**
 * Takes parsed JSON for a manifest, as `generate --format manifest` writes it.
 *
 * @param where for messages: the file
 * @throws FST_SSE_MANIFEST_INVALID for anything else, with where it differs
 */
export function readManifest (json: unknown, where: string): Manifest {
  if (isManifest(json)) return json
  const version: unknown = typeof json === 'object' && json !== null ? (json as { manifest?: unknown }).manifest : undefined
  if (typeof version === 'number' && version !== 1) {
    throw invalid(where, '/manifest', `has version ${show(version)}, and this release reads version 1. Use the release that wrote it, or write it again`)
  }
  if (version === undefined) throw invalid(where, '', 'is not a manifest')
  const [error] = isManifest.errors ?? []
  const path = error?.instancePath ?? ''
  throw invalid(where, path, `is not a manifest: ${path === '' ? 'it' : path} ${error?.message ?? 'is wrong'}`)
}

function invalid (where: string, path: string, what: string): SSEError {
  return new SSEError('FST_SSE_MANIFEST_INVALID', `${where} ${what}. Write it with: fastify-typed-sse generate <entry> --format manifest`, { where, path })
}
