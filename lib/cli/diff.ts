import { diffManifests, type Change } from '../documents/diff/diff.js'
import { parseArguments } from './arguments.js'
import { painter, type Paint } from './colours.js'
import { UserError, type Command, type CommandIO } from './command.js'
import { readManifestFile } from './input.js'
import { printable } from './tail/text.js'

const HELP = `Usage: fastify-typed-sse diff <old> <new> [options]

Says what would break clients that were made for the streams of <old>, once the
server has those of <new>. Made for CI: compare the manifest of the released
version with that of the branch.

<old> and <new> are manifests, as "generate --format manifest" writes them; "-"
reads one of them from standard input.

What breaks clients: a stream or an event type that is gone, data that may be
more than it was (another type, another constant, a property that may be
missing), and requests that have to be more than they were (a new parameter
that is required, a narrower type). The other way round is safe: a new event
type, a new property, a parameter that may be left out. Where the old schema
forbids other properties ("additionalProperties": false), a new one breaks
clients that check what they get. What cannot be compared counts as breaking,
and says so. Descriptions, examples, the order of keys and the names in $defs
do not count.

Options:
  --json  Write one JSON object, for programs:
          { "breaking": 1, "safe": 0, "changes": [
            { "level", "code", "stream", "at", "message" } ] }
          Levels are "breaking" and "safe".
  --help  Show this text.

Colours are used on a terminal. NO_COLOR=1 switches them off, FORCE_COLOR=1 on.

Exit codes:
  0  nothing breaks clients
  1  something does, or a manifest cannot be read
  2  the command line cannot be understood

Examples:
  fastify-typed-sse diff released/manifest.json manifest.json
  git show main:manifest.json | fastify-typed-sse diff - manifest.json
  fastify-typed-sse diff old.json new.json --json
`

/** `fastify-typed-sse diff`: what would break clients. */
export const diff: Command = {
  name: 'diff',
  summary: 'Say what would break clients, between two manifests.',
  help: HELP,
  async run (args, io) {
    const { options, positionals } = parseArguments(args, { json: 'flag' }, 'diff')
    const [before, after, ...others] = positionals
    if (before === undefined || after === undefined || others.length > 0) {
      throw new UserError(`diff takes two manifests, the old one and the new one, but was given ${positionals.length}.\nSee: fastify-typed-sse diff --help`, 2)
    }
    if (before === '-' && after === '-') throw new UserError('Standard input is one file: give the name of the other one.\nSee: fastify-typed-sse diff --help', 2)
    const changes = diffManifests(await readManifestFile(before, io), await readManifestFile(after, io))
    const breaking = changes.filter(({ level }) => level === 'breaking').length
    if (options.json) io.stdout.write(`${JSON.stringify({ breaking, safe: changes.length - breaking, changes }, null, 2)}\n`)
    else io.stdout.write(report(changes, breaking, io))
    return breaking === 0 ? 0 : 1
  }
}

function report (changes: readonly Change[], breaking: number, { stdout, env }: CommandIO): string {
  const paint = painter(stdout, env)
  const lines: string[] = []
  for (const stream of new Set(changes.map((change) => change.stream))) {
    lines.push(paint('bold', stream === '*' ? 'all streams' : printable(stream)))
    for (const change of changes) if (change.stream === stream) lines.push(lineOf(change, paint))
    lines.push('')
  }
  return `${[...lines, paint(breaking === 0 ? 'green' : 'red', summary(breaking, changes.length - breaking))].join('\n')}\n`
}

function lineOf ({ level, at, message }: Change, paint: Paint): string {
  const label = level === 'breaking' ? paint('red', 'breaking') : paint('green', 'safe    ')
  return `  ${label}  ${at === '' ? '' : `${paint('bold', printable(at))} `}${printable(message)}`
}

function summary (breaking: number, safe: number): string {
  if (breaking === 0 && safe === 0) return 'No change that clients could notice.'
  const both = [breaking === 0 ? 'No breaking change' : count(breaking, 'breaking change'), safe === 0 ? undefined : count(safe, 'safe change')]
  return `${both.filter((part) => part !== undefined).join(', ')}.`
}

function count (number: number, unit: string): string {
  return `${number} ${unit}${number === 1 ? '' : 's'}`
}
