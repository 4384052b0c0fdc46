import { useState } from 'react'
import { connect } from 'fastify-typed-sse/client'
import { createEventStore } from './event-store.js'
import { Prices, Visitors } from './events.js'
import { useEventStream } from './use-event-stream.js'

const useVisitors = createEventStore((options) => connect(Visitors, options), 0, (count, event) => event.event === 'count' ? event.data : count)

/** The price of one symbol, as it changes. */
function Price ({ symbol }: { symbol: string }) {
  const [last, setLast] = useState<{ symbol: string, price: number }>()
  const [renderings, setRenderings] = useState(0)
  const { status, attempt, error, reconnect } = useEventStream(Prices, {
    params: { symbol },
    onEvent (event) {
      // Typed: a name that the stream does not declare, or another member of its data, does not compile.
      if (event.event === 'price') setLast(event.data)
    }
  })
  return (
    <section>
      <p>{symbol}: <output id='price'>{last?.symbol === symbol ? last.price : '…'}</output></p>
      <p id='status'>{status}{attempt > 0 && `, ${attempt} failed`}</p>
      {error && <p id='error'>{error.kind} {error.status}</p>}
      <button onClick={reconnect}>Reconnect</button>
      <button onClick={() => setRenderings(renderings + 1)}>Render ({renderings})</button>
    </section>
  )
}

function VisitorCount ({ id }: { id: string }) {
  const { value, state } = useVisitors()
  return <span id={id}>{state.status === 'live' ? value : state.status}</span>
}

export function App () {
  const [symbol, setSymbol] = useState('ACME')
  const [isShown, setShown] = useState(true)
  return (
    <main>
      <p>Pages that are open: <VisitorCount id='visitors' /></p>
      <label>Symbol <input value={symbol} onChange={(event) => setSymbol((event.target as unknown as { value: string }).value)} /></label>
      <label><input type='checkbox' checked={isShown} onChange={() => setShown(!isShown)} /> Show the price</label>
      {isShown && <Price symbol={symbol} />}
      {/* A second component with the same stream makes no second connection. */}
      <footer>(Still <VisitorCount id='visitors-again' />.)</footer>
    </main>
  )
}
