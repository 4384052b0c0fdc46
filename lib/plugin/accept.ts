import Negotiator from 'negotiator'

export const MEDIA_TYPE = 'text/event-stream'

/**
 * Whether a request's `Accept` header admits an event stream, quality values and wildcards honoured. No header admits all.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9110#name-accept
 */
export function acceptsEventStream (accept: string | undefined): boolean {
  return new Negotiator({ headers: { accept } }).mediaType([MEDIA_TYPE]) === MEDIA_TYPE
}
