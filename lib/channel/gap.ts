export type { Gap, GapEvent, GapReason } from '../schema/control-events.js'

const MAX_REQUESTED = 128

/** An ID as far as it is repeated to the client that sent it. */
export function shortened (id: string): string {
  return id.slice(0, MAX_REQUESTED)
}
