/** Longest delay that a timer can hold: 2^31 - 1 ms, 24.8 days. */
export const MAX_DELAY_MS = 2 ** 31 - 1
