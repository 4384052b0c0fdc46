// npm run bench: see README.md beside this file.
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { buildLib } from './build.js'
import { BARE, LIBRARIES, OURS, WAYS, type Contender } from './contenders.js'
import { FANOUT } from './fanout/contenders.js'
import { runCrowd } from './fanout/crowd.js'
import { runFanout } from './fanout/section.js'
import { IDLE_PATHS, measureIdle, type IdleSample } from './idle.js'
import { measureScoreboard } from './scoreboard.js'
import { median, showRatios, table } from './table.js'
import { measureThroughput, type Load, type Throughput } from './throughput.js'

/** Connections of the crowd. */
const CROWD = 50_000

const USAGE = `npm run bench -- [options]

  --quick          fewer rounds, loads and events, and only the sections streams and idle: about a minute
  --only <names>   sections and contenders, separated by commas: streams, ways, idle, fanout, crowd, scoreboard, check, ${[...new Set([...LIBRARIES, ...FANOUT].map(({ name }) => name))].join(', ')};
                   crowd is measured only when it is named
  --rounds <n>     rounds of the streams and of the fan-out (default 5, quick 3)
  --streams <n>    idle streams (default 2000, quick 500), or connections of the crowd (default ${CROWD.toLocaleString('en')})
  --lib <folder>   measure the lib/ of another folder as ours
  --json <file>    also write all figures to a file`

const { values: args } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    rounds: { type: 'string' },
    streams: { type: 'string' },
    lib: { type: 'string' },
    json: { type: 'string' },
    help: { type: 'boolean', default: false }
  }
})
if (args.help) {
  console.log(USAGE)
  process.exit()
}

const SECTIONS = ['streams', 'ways', 'idle', 'fanout', 'scoreboard', 'check']
/** It asks more of a machine than all machines give. */
const ON_DEMAND = ['crowd']
const isSection = (name: string): boolean => [...SECTIONS, ...ON_DEMAND].includes(name)
const only = args.only.split(',').filter(Boolean)
const named = only.filter(isSection)
const sections = named.length > 0 ? named : args.quick ? ['streams', 'idle'] : SECTIONS
const names = only.filter((name) => !isSection(name))
for (const name of names) {
  if (![...LIBRARIES, ...WAYS, ...FANOUT].some((contender) => contender.name === name)) {
    console.error(`There is no «${name}».\n\n${USAGE}`)
    process.exit(1)
  }
}
const rounds = Number(args.rounds ?? (args.quick ? 3 : 5))
const idleStreams = Number(args.streams ?? (args.quick ? 500 : 2000))

/** Ratios need what they refer to. */
function chosen<T extends Contender> (contenders: readonly T[]): T[] {
  return contenders.filter(({ name }) => names.length === 0 || names.includes(name) || name === BARE.name)
}

const size = args.quick ? 0.5 : 1
function load (name: string, streams: number, events: number, perTurn: number): Load {
  return { name, streams, events: Math.round(events * size), perTurn }
}

const READY = [load('at once, 1 stream', 1, 100_000, 0), load('at once, 100 streams', 100, 1_500, 0)]
const TURNS = [load('one per turn, 1 stream', 1, 20_000, 1), load('one per turn, 100 streams', 100, 250, 1)]
const BURSTS = [load('ten per turn, 1 stream', 1, 50_000, 10), load('ten per turn, 100 streams', 100, 700, 10)]

function progress (text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`)
}

function say (text: string): void {
  progress('')
  console.log(text)
}

function sayThroughput (contenders: readonly Contender[], loads: readonly Load[], { samples, peakRss }: Throughput): void {
  for (const { name: load } of loads) {
    const of = (name: string): number[] => samples.get(name)!.get(load)!.map(({ microsPerEvent }) => microsPerEvent)
    const base = of(BARE.name)
    const best = bestRival(contenders, of)
    say(`\n### ${load}\n`)
    say(table(['', 'events per CPU-second', 'CPU per event', `times ${BARE.name}`, ...best === undefined ? [] : [`times ${best}`], 'bytes per event'],
      contenders.map(({ name }) => {
        const micros = of(name)
        return [
          name,
          Math.round(1e6 / median(micros)).toLocaleString('en'),
          `${median(micros).toFixed(2)} µs`,
          showRatios(micros.map((value, round) => base[round]! / value)),
          ...best === undefined ? [] : [showRatios(micros.map((value, round) => of(best)[round]! / value))],
          String(Math.round(samples.get(name)!.get(load)![0]!.bytesPerEvent))
        ]
      })))
  }
  say('\nMost memory that each server has had meanwhile: ' +
    contenders.map(({ name }) => `${name} ${Math.round(peakRss.get(name)! / 2 ** 20)} MiB`).join(', '))
}

function bestRival (contenders: readonly Contender[], of: (name: string) => number[]): string | undefined {
  return contenders.filter(({ isRival }) => isRival === true).map(({ name }) => name).sort((a, b) => median(of(a)) - median(of(b)))[0]
}

const started = Date.now()
const lib = buildLib(args.lib)
const env = { BENCH_LIB: lib.url, NODE_ENV: 'production' }
const figures: Record<string, unknown> = {}

try {
  say(`Node ${process.version}, ${cpus().length} cores (${cpus()[0]?.model.trim() ?? 'unknown'})`)
  for (const [section, title, all, loads] of [
    ['streams', 'Streams from a generator', LIBRARIES, args.quick ? [...READY, TURNS[1]!] : [...READY, ...BURSTS, ...TURNS]],
    ['ways', 'Ways to write a stream inside Fastify', WAYS, [READY[1]!, TURNS[1]!]]
  ] as const) {
    if (!sections.includes(section)) continue
    const contenders = chosen(all)
    const measured = await measureThroughput({ contenders, loads, rounds: section === 'ways' ? Math.ceil(rounds / 2) : rounds, env, progress })
    say(`\n## ${title}`)
    sayThroughput(contenders, loads, measured)
    figures[section] = [...measured.samples].map(([name, byLoad]) => ({ name, loads: Object.fromEntries(byLoad), peakRss: measured.peakRss.get(name) }))
  }
  if (sections.includes('idle')) {
    const contenders = chosen(LIBRARIES)
    const idleRounds = args.quick ? 1 : 2
    const measured = new Map<string, IdleSample[]>()
    for (let round = 0; round < idleRounds; round++) {
      for (const contender of contenders) {
        for (const path of IDLE_PATHS) {
          if (path === '/idle-push' && (contender === BARE || args.quick)) continue
          progress(`idle streams: ${contender.name}, ${path}`)
          const key = `${contender.name}${contender === BARE ? '' : path === '/idle' ? ', generator' : ', pushed into'}`
          measured.set(key, [...measured.get(key) ?? [], await measureIdle(contender, path, idleStreams, env)])
        }
      }
    }
    say(`\n## Memory of an idle stream, measured over ${idleStreams} of them\n`)
    const kib = (bytes: number): string => `${(bytes / 1024).toFixed(1)} KiB`
    say(table(['', 'heap', 'RSS'], [...measured].map(([name, samples]) =>
      [name, kib(median(samples.map(({ heap }) => heap))), kib(median(samples.map(({ rss }) => rss)))])))
    figures['idle'] = Object.fromEntries(measured)
  }
  if (sections.includes('fanout')) {
    figures['fanout'] = await runFanout({ contenders: chosen(FANOUT), rounds, isQuick: args.quick, env, progress, say })
  }
  if (sections.includes('crowd')) {
    figures['crowd'] = await runCrowd({ contenders: chosen(FANOUT), streams: Number(args.streams ?? CROWD), env, progress, say })
  }
  if (sections.includes('scoreboard')) {
    const contenders = chosen(LIBRARIES).filter((contender) => contender !== BARE)
    const rows = await measureScoreboard(contenders, env, progress)
    say('\n## Behaviours\n')
    say(table(['', ...contenders.map(({ name }) => name)], rows))
    figures['scoreboard'] = rows
  }
  if (sections.includes('check') && names.length === 0) {
    say('\n## Check and serialization of one event\n')
    const { status } = spawnSync(process.execPath, ['--import', 'tsx', join(import.meta.dirname, 'check.ts')], { stdio: 'inherit' })
    if (status !== 0) process.exitCode = 1
  }
  if (args.json !== undefined) writeFileSync(args.json, JSON.stringify(figures, null, 2))
} finally {
  lib.remove()
}
say(`\n${Math.round((Date.now() - started) / 1000)} s. ${OURS.name} checks each event; nobody else does.`)
