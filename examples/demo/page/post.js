/**
 * Reads the stream that answers a POST, which EventSource cannot ask for. As much of the format as this server writes:
 * LF ends a line, an empty line ends an event. `fastify-typed-sse/client` will do all of it, and reconnect.
 *
 * @param {string} url
 * @param {unknown} body
 * @param {AbortSignal} signal
 */
export async function * postForEvents (url, body, signal) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
    body: JSON.stringify(body),
    signal
  })
  if (!response.ok) throw new Error((await response.json().catch(() => null))?.message ?? `The answer is ${response.status}.`)
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  let unread = ''
  while (true) {
    const { done, value } = await reader.read()
    if (done) return
    const frames = (unread + value).split('\n\n')
    unread = frames.pop()
    for (const frame of frames) {
      const fields = frame.split('\n').map((line) => /^(\w+): ?(.*)$/.exec(line)).filter(Boolean)
      const data = fields.filter(([, name]) => name === 'data').map(([, , value]) => value).join('\n')
      const event = fields.findLast(([, name]) => name === 'event')?.[2] ?? 'message'
      if (data !== '') yield { event, data: JSON.parse(data) }
    }
  }
}
