import { measureEach, type FanoutOptions } from './options.js'

export const RESUME_PART = 'clients that come back'

export interface ResumeSample {
  /** Until the last one has all that it has missed. */
  readonly ms: number
  /** Microseconds of the server's CPU for one client, its connection included. */
  readonly microsPerClient: number
}

/** Lets clients come back together who have missed so many events. Only for those who can give them. */
export async function measureResume ({ streams, events }: { streams: number, events: number }, options: FanoutOptions): Promise<Map<string, ResumeSample[]>> {
  const contenders = options.contenders.filter(({ isResumable = false }) => isResumable)
  return await measureEach(RESUME_PART, { ...options, contenders }, async (audience) => {
    // A tenth of them first, for the sake of compiled code.
    await audience.resume(Math.ceil(streams / 10), events)
    return await audience.resume(streams, events)
  })
}
