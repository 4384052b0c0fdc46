import { BARE, OURS, type Contender } from '../contenders.js'

/** One way to bring the events of one publisher to many subscribers: its module serves `/feed`. */
export interface FanoutContender extends Contender {
  /** What is left of an event on the wire, as verify.mjs knows it. `whole` unless said. */
  readonly form?: 'whole' | 'position' | 'wrapped'
  /** Whether a client that comes back with a last event ID can be given what it has missed. */
  readonly isResumable?: boolean
}

const FOLDER = 'servers/fanout'

export const FANOUT: readonly FanoutContender[] = [
  { name: BARE.name, file: `${FOLDER}/bare.mjs` },
  // The least that response.write() allows without losing anything.
  { name: 'ring', file: `${FOLDER}/ring.mjs`, isResumable: true },
  { name: OURS.name, file: `${FOLDER}/ours.mjs`, form: 'position', isResumable: true },
  // It warns of leaks when several events wait for `drain`: a listener for each.
  { name: '@fastify/sse', file: `${FOLDER}/fastify-sse.mjs`, isRival: true, isResumable: true, env: { NODE_NO_WARNINGS: '1' } },
  { name: 'fastify-sse-v2', file: `${FOLDER}/fastify-sse-v2.mjs`, isRival: true },
  { name: 'better-sse', file: `${FOLDER}/better-sse.mjs`, isRival: true },
  { name: '@boringnode/transmit', file: `${FOLDER}/transmit.mjs`, isRival: true, form: 'wrapped' }
]
