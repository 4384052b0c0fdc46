// Node streams as sources: a file line by line, and a stream of rows as a database's client gives it. Neither is read
// faster than the client takes the events, however much there is.
//
//   node --import tsx examples/node-stream.ts [file]
//   curl -N http://127.0.0.1:3000/lines
//   curl -N --limit-rate 1000 http://127.0.0.1:3000/rows      # a slow client …
//   curl http://127.0.0.1:3000/fetched                        # … for which no more rows are fetched than it takes
import { createReadStream } from 'node:fs'
import { pipeline, Readable, Transform } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { Type } from '@sinclair/typebox'
import Fastify from 'fastify'
import ssePlugin, { defineEvents } from 'fastify-typed-sse'

const app = Fastify({ logger: { level: 'warn' } })
await app.register(ssePlugin)

// 1. A stream read in a generator. This is the way to prefer: what is yielded is checked by the compiler.

const Lines = defineEvents({
  line: Type.Object({ number: Type.Integer(), text: Type.String() })
})

const path = process.argv[2] ?? fileURLToPath(import.meta.url)

app.get('/lines', { schema: { events: Lines } }, (_request, reply) =>
  reply.sse(async function * ({ signal }) {
    // With the signal, the file is closed at once when the client leaves, and not only when the next chunk is there.
    // A stream that takes no signal gets it through addAbortSignal(signal, stream) of node:stream.
    const file = createReadStream(path, { encoding: 'utf8', signal })
    let number = 0
    for await (const text of linesOf(file)) yield { event: 'line', data: { number: ++number, text } }
  }))

async function * linesOf (chunks: AsyncIterable<string>): AsyncGenerator<string> {
  let rest = ''
  for await (const chunk of chunks) {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    yield * lines
  }
  if (rest !== '') yield rest
}

// 2. A stream handed over as it is. It must be in object mode and give events, so a transform stands between.

const Rows = defineEvents({
  row: Type.Object({ id: Type.Integer(), name: Type.String() })
})

const ROWS = 1_000_000
let fetched = 0

/** Stands in for what a database's client returns: a stream of rows, many more than fit into memory. */
function selectAll (): Readable {
  let id = 0
  return new Readable({
    objectMode: true,
    read () {
      fetched++
      this.push(id < ROWS ? { id: ++id, name: `Customer ${id}` } : null)
    }
  })
}

app.get('/rows', { schema: { events: Rows } }, (request, reply) =>
  reply.sse(() => {
    const toEvents = new Transform({
      objectMode: true,
      // TypeScript does not know what a Node stream gives. Rows.make is typed, and does.
      transform: (row, _encoding, done) => done(null, Rows.make.row(row, { id: row.id }))
    })
    // pipeline(), not pipe(): when the client leaves, toEvents is destroyed, and pipeline() destroys the rows with it;
    // when the rows fail, so does toEvents, and the client is told that the stream has failed.
    return pipeline(selectAll(), toEvents, (error) => {
      if (error) request.log.debug(error, 'not all rows were sent')
    })
  }))

app.get('/fetched', async () => ({ fetched }))

process.once('SIGINT', () => app.close())
process.once('SIGTERM', () => app.close())

const url = await app.listen({ port: Number(process.env['PORT'] ?? 3000), host: '127.0.0.1' })
console.log(`Listening on ${url}. Try:\n\n  curl -N ${url}/lines\n  curl -N --limit-rate 1000 ${url}/rows\n  curl ${url}/fetched\n`)
