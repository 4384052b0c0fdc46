import { cpus, release, type } from 'node:os'
import type { FastifyInstance } from 'fastify'
import { Host, type HostSample } from '../events.js'
import { HostSampler } from '../host-sampler.js'

/**
 * `GET /host`: how busy this machine is, each second.
 *
 * One sampler serves all streams, and works only while it has listeners. `app.sse.on` adds one for as long as the stream
 * is open. An ID is the time of its sample, so a client that comes back first gets the samples it has missed.
 */
export async function host (app: FastifyInstance, { secondMs }: { secondMs: number }): Promise<void> {
  const sampler = new HostSampler(secondMs, () => app.sse.stats())

  app.get('/host', { schema: { events: Host } }, (_request, reply) =>
    reply.sse(async function * ({ signal, lastEventId }) {
      // Listen before looking back: what is sampled in between must be in one of the two.
      const samples = app.sse.on<[HostSample]>(sampler, 'sample', { signal })
      const missed = sampler.after(lastEventId)
      yield Host.make.machine(machine)
      for (const sample of missed) yield Host.make.sample(sample, { id: sample.at })
      for await (const [sample] of samples) yield Host.make.sample(sample, { id: sample.at })
    }))
}

const machine = {
  processor: cpus()[0]?.model.trim() ?? 'unknown',
  cores: Math.max(1, cpus().length),
  system: `${type()} ${release()}`,
  node: process.version
}
