import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { problemText, valueAt } from '../../client/problem.js'
import { streamAt } from '../../documents/stream-at.js'
import { nearest } from '../../errors.js'
import { toRegExp } from '../../schema/declared.js'
import type { Manifest, ManifestEvent, ManifestStream } from '../../schema/manifest.js'
import { UserError } from '../command.js'

/** What a manifest says of one event. */
export interface Verdict {
  /** Whether the manifest has the event type. */
  readonly isDeclared: boolean
  /** Whether the data is text as it is; undefined when nobody has said. */
  readonly isText: boolean | undefined
  /** Where and what is wrong with the data; undefined when nothing is. */
  readonly problem: string | undefined
}

/** Judges events by one stream of a manifest. */
export type EventCheck = (event: string, data: string) => Verdict

/**
 * The stream that is meant: by its name, else by what is requested.
 *
 * @throws UserError when there is none
 */
export function findStream (manifest: Manifest, where: string, name: string | undefined, method: string, path: string): ManifestStream {
  const { streams } = manifest
  const found = name === undefined ? streamAt(streams, method, path) : streams.find((stream) => stream.name === name)
  if (found !== undefined) return found
  const list = streams.length === 0
    ? 'It has no streams.'
    : `It has:\n${streams.map((stream) => `  ${stream.name}  ${stream.method} ${stream.url}`).join('\n')}`
  if (name === undefined) throw new UserError(`${where} has no stream for ${method} ${path}. Name the one that is meant with --stream. ${list}`)
  const near = nearest(name, streams.map((stream) => stream.name))
  throw new UserError(`${where} has no stream ${JSON.stringify(name)}.${near === undefined ? '' : ` Did you mean ${near}?`} ${list}`)
}

/** Compiles the events of a stream, each when it is first seen. */
export function createCheck (manifest: Manifest, stream: ManifestStream): EventCheck {
  // The schemas are those of the manifest: what this Ajv does not know in them, another release has put there.
  const ajv = new Ajv2020({
    strict: false, validateSchema: false, ownProperties: true, logger: false, code: { regExp: Object.assign(toRegExp, { code: 'toRegExp' }) }
  })
  addFormats.default(ajv)
  const validators = new Map<string, ValidateFunction | string>()
  return (event, data) => {
    const declared = eventOf(manifest, stream, event)
    if (declared === undefined) return { isDeclared: stream.events === undefined, isText: undefined, problem: undefined }
    const isText = declared.format === 'text'
    let validate = validators.get(event)
    if (validate === undefined) validators.set(event, validate = compile(ajv, declared))
    return { isDeclared: true, isText, problem: problemOf(validate, data, isText) }
  }
}

function eventOf (manifest: Manifest, stream: ManifestStream, event: string): ManifestEvent | undefined {
  const { events = {}, controlEvents } = stream
  if (Object.hasOwn(events, event)) return events[event]
  const control = controlEvents.find((type) => type === event)
  return control === undefined ? undefined : manifest.controlEvents[control]
}

function compile (ajv: Ajv2020, { schema }: ManifestEvent): ValidateFunction | string {
  try {
    return ajv.compile(schema)
  } catch (error) {
    return `its schema cannot be used: ${(error as Error).message}`
  }
}

function problemOf (validate: ValidateFunction | string, text: string, isText: boolean): string | undefined {
  let data: unknown = text
  if (!isText) {
    try {
      data = JSON.parse(text)
    } catch {
      return 'not JSON'
    }
  }
  if (typeof validate === 'string') return validate
  try {
    if (validate(data)) return undefined
  } catch (error) {
    // Of `unevaluatedProperties`, Ajv makes functions that may throw.
    return `its schema cannot be used: ${(error as Error).message}`
  }
  // The last error is that of the outermost keyword: of a union, not of its first branch.
  const error = validate.errors!.at(-1)!
  const { additionalProperty, allowedValues, allowedValue } = error.params as { additionalProperty?: string, allowedValues?: unknown, allowedValue?: unknown }
  const detail = additionalProperty ?? allowedValues ?? allowedValue
  const message = `${error.message ?? `fails ${error.keyword}`}${detail === undefined ? '' : `: ${JSON.stringify(detail)}`}`
  return problemText(error.instancePath, message, error.keyword === 'required' ? undefined : valueAt(data, error.instancePath))
}
