/* global AbortController, EventSource, reportToTest */
// The two clients that run in Chromium. Bundled by clients.ts, which gives the page `reportToTest`.
import { EventStreamContentType, fetchEventSource } from '@microsoft/fetch-event-source'

// Which of its clients the page runs, and what happens to it in one task, which is told in one call.
let number = 0
let reports = []

function report (what, value) {
  if (reports.push([what, value]) > 1) return
  setTimeout(() => {
    reportToTest(number, reports)
    reports = []
  })
}

globalThis.clients = {
  eventSource (thisNumber, url, types, init) {
    number = thisNumber
    const source = new EventSource(url, init)
    for (const type of types) {
      source.addEventListener(type, ({ type, data, lastEventId }) => report('event', { type, data, lastEventId }))
    }
    source.onerror = () => {
      report('failure', '')
      if (source.readyState === EventSource.CLOSED) report('end', 'closed')
    }
    globalThis.closeClient = () => source.close()
  },

  fetchEventSource (thisNumber, url, withRecipe, init) {
    number = thisNumber
    const controller = new AbortController()
    globalThis.closeClient = () => controller.abort()
    fetchEventSource(url, {
      ...init,
      signal: controller.signal,
      onmessage: ({ event, data, id }) => report('event', { type: event, data, lastEventId: id }),
      onerror: (error) => report('failure', String(error)),
      ...(withRecipe ? recipe : {})
    }).then(() => report('end', 'resolved'), (error) => report('end', `rejected: ${error.message}`))
  }
}

// «You can add better error handling, for example» in its README.
class RetriableError extends Error { }
class FatalError extends Error { }

const recipe = {
  async onopen (response) {
    if (response.ok && response.headers.get('content-type') === EventStreamContentType) return
    if (response.status >= 400 && response.status < 500 && response.status !== 429) throw new FatalError(response.status)
    throw new RetriableError(response.status)
  },
  onclose () {
    throw new RetriableError('closed')
  },
  onerror (error) {
    report('failure', String(error))
    if (error instanceof FatalError) throw error
  }
}
