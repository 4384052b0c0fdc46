import { Workload } from '../workload.mjs'

export const workload = new Workload()

/**
 * Resolves when a stream's client has gone, as somebody would write it who has only the response.
 *
 * @param {import('node:http').ServerResponse} response
 */
export function closed (response) {
  return new Promise((resolve) => response.once('close', resolve))
}

/**
 * Tells the parent where the server listens, and measures this process when told to.
 *
 * @param {number} port
 */
export function report (port) {
  let before
  const commands = {
    prepare: async (run) => {
      await workload.prepare(run)
      await quiet(1)
      return {}
    },
    go: () => {
      before = process.cpuUsage()
      workload.go()
      return {}
    },
    stop: () => {
      const { user, system } = process.cpuUsage(before)
      return { cpuMicros: user + system, maxRssBytes: process.resourceUsage().maxRSS * 1024 }
    },
    memory
  }
  process.on('message', async ({ call, name, argument }) => {
    process.send({ call, result: await commands[name](argument) })
  })
  process.on('disconnect', () => process.exit())
  process.send({ port })
}

/** What this process takes when its garbage is out, in bytes. */
export async function memory () {
  await quiet(5)
  const { heapUsed, external, rss } = process.memoryUsage()
  return { heap: heapUsed + external, rss }
}

/** Lets what is under way come to an end, and takes its garbage out. */
async function quiet (rounds) {
  for (let round = 0; round < rounds; round++) {
    await new Promise((resolve) => setTimeout(resolve, 30))
    globalThis.gc()
  }
}
