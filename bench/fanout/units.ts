export const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`
export const kib = (bytes: number): string => `${(bytes / 1024).toFixed(1)} KiB`
export const millis = (ms: number): string => ms < 10 ? `${ms.toFixed(2)} ms` : `${Math.round(ms)} ms`
