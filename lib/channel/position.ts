import { randomBytes } from 'node:crypto'

/**
 * A place in one log: after the event with this offset.
 *
 * The epoch names the log. It is random, and another one whenever entries could have been lost, so offsets of two logs never
 * mix. Offsets count from 1 without holes; 0 is the place before the first event.
 */
export interface Position {
  readonly epoch: string
  readonly offset: number
}

const POSITION = /^([\w-]{1,64})\.(0|[1-9]\d{0,15})$/

/** 48 random bits: eight characters that no field of the wire and no URL gives a meaning to. */
export function newEpoch (): string {
  return randomBytes(6).toString('base64url')
}

/** The ID of a position: `<epoch>.<offset>`. */
export function encodePosition (epoch: string, offset: number): string {
  return `${epoch}.${offset}`
}

/**
 * The positions in an ID: one, or several with commas between them (what a merged stream sends).
 *
 * @returns null for anything that this package has not written
 */
export function decodePositions (id: string): Position[] | null {
  const positions: Position[] = []
  for (const part of id.split(',')) {
    const match = POSITION.exec(part)
    if (match === null) return null
    const offset = Number(match[2])
    if (!Number.isSafeInteger(offset)) return null
    positions.push({ epoch: match[1]!, offset })
  }
  return positions
}
