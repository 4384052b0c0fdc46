import { MODEL_FILES, type ModelLanguage } from '../documents/models/files.js'
import { nearest } from '../errors.js'
import type { Manifest } from '../schema/manifest.js'
import { UserError } from './command.js'

/** What documents say of the API besides its streams, and in which dialect. */
export interface FormatOptions {
  readonly title: string
  /** Version of the API. */
  readonly apiVersion: string
  /** Version of OpenAPI. */
  readonly openapi: '3.2' | '3.1' | '3.0'
  /** For OpenAPI 3.1 and 3.0, which have no schema for one event of a stream: what their schema describes instead. */
  readonly dialect: 'event' | 'payload'
}

interface FormatDefinition {
  /** Name of the file that `--out` writes. */
  readonly file: string
  /** The file's content. */
  render (manifest: Manifest, options: FormatOptions): Promise<string>
}

// Each is imported when it is asked for: the generator of models alone takes longer to load than all the others to run.
const FORMATS = {
  typescript: {
    file: 'streams.ts',
    render: async (manifest) => (await import('../documents/typescript/typescript.js')).toTypeScript(manifest)
  },
  manifest: {
    file: 'streams.manifest.json',
    render: async (manifest) => json(manifest)
  },
  openapi: {
    file: 'streams.openapi.json',
    render: async (manifest, { openapi, dialect, title, apiVersion }) => json((await import('../documents/openapi/openapi.js'))
      .toOpenAPI(manifest, { version: openapi, dialect, info: { title, version: apiVersion } }))
  },
  asyncapi: {
    file: 'streams.asyncapi.json',
    render: async (manifest, { title, apiVersion }) => json((await import('../documents/asyncapi/asyncapi.js'))
      .toAsyncAPI(manifest, { info: { title, version: apiVersion } }))
  },
  go: models('go'),
  kotlin: models('kotlin'),
  swift: models('swift'),
  python: models('python')
} satisfies Record<string, FormatDefinition>

/** What `generate` can write. */
export type Format = keyof typeof FORMATS

/** Their names, in the order of the help. */
export const FORMAT_NAMES = Object.keys(FORMATS) as readonly Format[]

/**
 * @throws UserError (2) when there is no such format, with the nearest one
 */
export function checkFormat (name: string): Format {
  if (Object.hasOwn(FORMATS, name)) return name as Format
  const near = nearest(name, FORMAT_NAMES)
  throw new UserError(`There is no format ${JSON.stringify(name)}.${near === undefined ? '' : ` Did you mean ${near}?`} The formats are ${FORMAT_NAMES.join(', ')}.`, 2)
}

/** The name of the file of a format. */
export function fileOf (format: Format): string {
  return FORMATS[format].file
}

/** The text of a format, with a line end at its end. */
export async function render (format: Format, manifest: Manifest, options: FormatOptions): Promise<string> {
  return await FORMATS[format].render(manifest, options)
}

function models (language: ModelLanguage): FormatDefinition {
  return {
    file: MODEL_FILES[language],
    render: async (manifest) => await (await import('../documents/models/models.js')).toModels(manifest, language)
  }
}

function json (value: unknown): string {
  return JSON.stringify(value, null, 2) + '\n'
}
