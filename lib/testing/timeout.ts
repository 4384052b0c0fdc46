import { show, SSEError } from '../errors.js'
import { MAX_DELAY_MS } from '../time/delay.js'

/** @throws FST_SSE_OPTION_INVALID */
export function checkTimeout (timeoutMs: unknown): void {
  if (Number.isInteger(timeoutMs) && Number(timeoutMs) >= 0 && Number(timeoutMs) <= MAX_DELAY_MS) return
  throw new SSEError('FST_SSE_OPTION_INVALID',
    `timeoutMs must be an integer from 0 to ${MAX_DELAY_MS}, 0 for no limit, but is ${show(timeoutMs)}.`, { option: 'timeoutMs', value: timeoutMs })
}
