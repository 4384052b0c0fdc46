// The page: it knows the streams from ./client/streams.ts alone, and nothing of the server.
import { connect } from 'fastify-typed-sse/client'
import { createStreams, type Step } from './client/streams.js'

const streams = createStreams(connect, {
  onError: ({ message }) => { document.querySelector('#error')!.textContent = message }
})

const doing: Record<Step, string> = { build: 'Building', test: 'Testing', release: 'Releasing' }

/** Calls `start` with what the form's first field says, whenever it is sent, and closes what it started before. */
function onSubmit (id: string, start: (value: string) => { close: () => void }): void {
  let stream: ReturnType<typeof start> | undefined
  document.querySelector<HTMLFormElement>(`#${id}`)!.addEventListener('submit', (event) => {
    event.preventDefault()
    document.querySelector('#error')!.textContent = ''
    stream?.close()
    stream = start((event.currentTarget as HTMLFormElement).querySelector('input')!.value)
  })
}

onSubmit('deploy', (service) => {
  const text = document.querySelector('#step')!
  const bar = document.querySelector('progress')!
  const stream = streams.deploysByService({ params: { service }, query: { version: 2 } })
  stream.on('started', ({ service, version }) => { text.textContent = `Deploying ${service}, version ${version}` })
  stream.on('progress', ({ step, percent }) => {
    text.textContent = `${doing[step]}: ${percent} %`
    bar.value = percent
  })
  stream.on('finished', ({ url }) => { text.textContent = `Done: ${url}` })
  return stream
})

onSubmit('ask', (question) => {
  const [answer, usage] = [document.querySelector('#answer')!, document.querySelector('#usage')!]
  answer.textContent = usage.textContent = ''
  const stream = streams.ask({ body: { question } })
  stream.on('token', (token) => answer.append(token))
  stream.on('usage', ({ tokens }) => { usage.textContent = `${tokens} tokens` })
  return stream
})
