// What the page does with a bare EventSource: typed events by name, and a word for the state it is in.

const RETRY_MS = 5_000

/**
 * Follows one stream and shows its state in the card.
 *
 * The browser reconnects by itself and sends the last event ID. After `sse.end` its attempt is answered with 204, and it
 * stops. Only when it has given up for another reason (a proxy answered with an error page) a new one is opened.
 *
 * @param {HTMLElement} card
 * @param {string} url
 * @param {Record<string, (data: string, event: MessageEvent) => void>} handlers event type → what to do with its data
 * @param {{ onEnd?: () => void, onClosed?: () => void }} [options] `onEnd` for `sse.end`, `onClosed` for the 204 after it
 */
export function follow (card, url, handlers, { onEnd, onClosed } = {}) {
  let source = null
  let timer = null
  let hasEnded = false

  function open () {
    clearTimeout(timer)
    source?.close()
    hasEnded = false
    showState(card, 'connecting')
    source = new EventSource(url)
    source.addEventListener('open', () => showState(card, 'open'))
    source.addEventListener('error', onError)
    for (const [type, handle] of Object.entries(handlers)) {
      source.addEventListener(type, (event) => handle(event.data, event))
    }
    source.addEventListener('sse.end', () => {
      hasEnded = true
      showState(card, 'ended')
      onEnd?.()
    })
  }

  function onError () {
    if (source.readyState === EventSource.CLOSED) {
      if (hasEnded) {
        onClosed?.()
      } else {
        showState(card, 'reconnecting')
        timer = setTimeout(open, RETRY_MS)
      }
    } else if (!hasEnded) {
      showState(card, 'reconnecting')
    }
  }

  function pause () {
    clearTimeout(timer)
    source?.close()
    if (!hasEnded) showState(card, 'paused')
  }

  open()
  return { open, pause }
}

/** Shows a state in the card's head, and in its `data-state`. Says it once: the head is a live region. */
export function showState (card, state) {
  if (card.dataset.state === state) return
  card.dataset.state = state
  card.querySelector('.state').textContent = state
}
