import { createChart } from './chart.js'
import { follow, showState } from './connection.js'
import { postForEvents } from './post.js'

const SVG = 'http://www.w3.org/2000/svg'
const PAUSE_AFTER_MS = 10_000

const card = (name) => document.querySelector(`[data-stream="${name}"]`)
const field = (name) => document.querySelector(`[data-value="${name}"]`)
const action = (name) => document.querySelector(`[data-action="${name}"]`)

function setText (element, text) {
  if (element.textContent !== text) element.textContent = text
}

function element (name, className, text) {
  const made = document.createElement(name)
  made.className = className
  made.textContent = text
  return made
}

// The clock

function showClock () {
  const marks = document.querySelector('.dial .marks')
  for (let n = 0; n < 60; n++) {
    const mark = document.createElementNS(SVG, 'line')
    mark.setAttribute('y1', '-44')
    mark.setAttribute('y2', n % 5 === 0 ? '-39' : '-42.5')
    mark.setAttribute('transform', `rotate(${n * 6})`)
    if (n % 5 === 0) mark.classList.add('long')
    marks.append(mark)
  }
  const hands = ['hour', 'minute', 'second'].map((name) => document.querySelector(`.dial .${name}`))
  const date = new Intl.DateTimeFormat(undefined, { dateStyle: 'full' })
  const pad = (n) => String(n).padStart(2, '0')

  return follow(card('clock'), '/clock', {
    tick (data) {
      const now = new Date(JSON.parse(data).now)
      const midnight = new Date(now.getFullYear(), now.getMonth(), now.getDate())
      // Seconds since midnight, so that no hand ever turns back but at midnight.
      const seconds = Math.floor((now - midnight) / 1000)
      for (const [n, period] of [43_200, 3_600, 60].entries()) hands[n].style.transform = `rotate(${seconds / period * 360}deg)`
      setText(field('time'), `${pad(now.getHours())}:${pad(now.getMinutes())}:${pad(now.getSeconds())}`)
      field('time').dateTime = now.toISOString()
      setText(field('date'), date.format(now))
    }
  })
}

// The host

const MAX_SAMPLES = 90

function showHost () {
  const paths = (type) => ({ line: document.querySelector(`.line.${type}`), fill: document.querySelector(`.fill.${type}`) ?? undefined })
  let top = 10
  const [tall, low] = document.querySelectorAll('.chart .lines')
  const charts = [
    createChart(tall, [
      { ...paths('cpu'), value: (sample) => sample.cpu.total },
      { ...paths('memory'), value: (sample) => sample.memory.usedBytes / sample.memory.totalBytes }
    ]),
    createChart(low, [{ ...paths('delay'), value: (sample) => sample.eventLoopDelayMs / top }])
  ]
  const plots = document.querySelectorAll('.chart .plot')
  const cores = document.querySelector('.cores')
  const samples = []
  // How far this machine's clock is ahead of the server's: the least of what the samples say.
  let ahead = Infinity
  let frame = 0

  function draw () {
    frame = 0
    const last = samples.at(-1)
    const { cpu, memory, load, eventLoopDelayMs, streams } = last
    const memoryShare = memory.usedBytes / memory.totalBytes
    setText(field('cpu'), (cpu.total * 100).toFixed(0))
    setText(field('memory'), (memoryShare * 100).toFixed(0))
    setText(field('delay'), eventLoopDelayMs.toFixed(1))
    setText(field('load'), load[0].toFixed(2))
    setText(field('open'), String(streams.open))
    document.querySelector('.figure.memory').title = `${gigabytes(memory.usedBytes)} of ${gigabytes(memory.totalBytes)} GB`
    document.querySelector('.figure.load').title = `1, 5 and 15 minutes: ${load.map((value) => value.toFixed(2)).join(', ')}`

    top = niceTop(Math.max(...samples.map((sample) => sample.eventLoopDelayMs)))
    setText(field('delay-top'), top < 1000 ? `${top}\u2009ms` : `${top / 1000}\u2009s`)
    for (const chart of charts) chart.draw(samples, Date.now() - ahead)
    plots[0].setAttribute('aria-label', `Last minute: CPU now ${(cpu.total * 100).toFixed(0)} %, memory now ${(memoryShare * 100).toFixed(0)} %`)
    plots[1].setAttribute('aria-label', `Last minute: event-loop delay now ${eventLoopDelayMs.toFixed(1)} ms`)

    while (cores.childElementCount < cpu.cores.length) cores.append(element('i', '', ''))
    for (const [n, share] of cpu.cores.entries()) cores.children[n].style.setProperty('--share', String(share))
    cores.setAttribute('aria-label', `Cores: ${cpu.cores.map((share) => `${(share * 100).toFixed(0)} %`).join(', ')}`)
  }

  return follow(card('host'), '/host', {
    machine (data) {
      const { processor, cores, system, node } = JSON.parse(data)
      setText(field('machine'), [processor === 'unknown' ? null : processor, cores === 1 ? '1 core' : `${cores} cores`, system, `Node ${node}`]
        .filter(Boolean).join(' · '))
    },
    sample (data) {
      const sample = JSON.parse(data)
      sample.time = Date.parse(sample.at)
      // A new EventSource is given what an older one has shown already.
      if (samples.length > 0 && sample.time <= samples.at(-1).time) return
      ahead = Math.min(ahead, Date.now() - sample.time)
      samples.push(sample)
      if (samples.length > MAX_SAMPLES) samples.shift()
      frame ||= requestAnimationFrame(draw)
    }
  })
}

function gigabytes (bytes) {
  return (bytes / 2 ** 30).toFixed(1)
}

/** A round number that is a little over the largest value. */
function niceTop (value) {
  return [10, 20, 50, 100, 200, 500, 1000, 2000, 5000].find((top) => top >= value * 1.1) ?? Math.ceil(value)
}

// The log

const MAX_LINES = 200

function showLog () {
  const list = document.querySelector('.lines-of-log')
  let last = ''

  function append (item) {
    // Keeps to the end only for those who look there.
    const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 24
    list.append(item)
    if (list.childElementCount > MAX_LINES) list.firstElementChild.remove()
    if (isAtEnd) list.scrollTop = list.scrollHeight
  }

  action('ping').addEventListener('click', () => { fetch('/ping').catch(() => {}) })
  return follow(card('log'), '/log', {
    line (text, { lastEventId }) {
      // A new EventSource begins with the last lines once more; an ID says where in the file a line ends.
      const [mark, offset] = lastEventId.split('.')
      const [lastMark, lastOffset] = last.split('.')
      if (mark === lastMark && Number(offset) <= Number(lastOffset)) return
      last = lastEventId
      const [, at, rest] = /^(\S+Z) (.*)$/.exec(text) ?? [null, '', text]
      const item = element('li', / over after /.test(rest) ? 'over' : '', '')
      if (at !== '') {
        const time = element('time', '', new Date(at).toLocaleTimeString([], { hour12: false }))
        time.dateTime = at
        item.append(time)
      }
      item.append(element('span', '', rest))
      append(item)
    },
    replaced () {
      append(element('li', 'replaced', 'another file'))
    }
  })
}

// The countdown

function showCountdown () {
  const trace = document.querySelector('.trace')
  const rest = document.querySelector('.ring .rest')
  const note = (text) => { trace.append(element('li', '', text)) }
  let events = 0

  function begin () {
    events = 0
    trace.replaceChildren()
    note('The stream is open.')
    action('restart').disabled = true
  }

  begin()
  const connection = follow(card('countdown'), '/countdown', {
    left (data) {
      events++
      setText(field('left'), data)
      rest.style.strokeDasharray = `${data} 10`
    }
  }, {
    onEnd () {
      note(`${events} events, then sse.end: the source has no more.`)
    },
    onClosed () {
      note('The browser came back, was answered with 204, and stopped.')
      action('restart').disabled = false
    }
  })
  action('restart').addEventListener('click', () => {
    begin()
    connection.open()
  })
}

// The search

function showSearch () {
  const section = card('search')
  const form = section.querySelector('form')
  const summary = section.querySelector('.summary')
  const list = section.querySelector('.matches')
  let controller = null

  async function search () {
    controller?.abort()
    const { signal } = controller = new AbortController()
    const query = { text: form.elements.text.value, where: form.elements.where.value, ignoreCase: form.elements.ignoreCase.checked }
    list.replaceChildren()
    list.hidden = true
    setText(summary, '')
    showState(section, 'open')
    action('stop').disabled = false
    let state = 'ended'
    try {
      for await (const { event, data } of postForEvents('/search', query, signal)) {
        if (event === 'match') addMatch(data, query)
        if (event === 'progress') setText(summary, `${count(data.matches, 'match', 'matches')} in ${count(data.files, 'file')} so far`)
        if (event === 'done') {
          setText(summary, `${count(data.matches, 'match', 'matches')} in ${count(data.files, 'file')}, ${data.ms.toLocaleString()} ms` +
            (data.isComplete ? '' : ' – more are not looked for'))
        }
        if (event === 'sse.fault') throw new Error(data.message)
      }
    } catch (error) {
      // A newer search has taken over.
      if (signal !== controller.signal) return
      state = signal.aborted ? 'stopped' : 'failed'
      if (!signal.aborted) setText(summary, error.message)
      else setText(summary, summary.textContent.replace(' so far', ', then stopped') || 'Stopped')
    }
    if (signal !== controller.signal) return
    showState(section, state)
    action('stop').disabled = true
  }

  function addMatch ({ file, line, text }, { text: wanted, ignoreCase }) {
    const item = document.createElement('li')
    const excerpt = element('code', 'excerpt', '')
    const at = ignoreCase ? text.toLowerCase().indexOf(wanted.toLowerCase()) : text.indexOf(wanted)
    if (at === -1) excerpt.textContent = text
    else excerpt.append(text.slice(0, at), element('mark', '', text.slice(at, at + wanted.length)), text.slice(at + wanted.length))
    item.append(element('span', 'place', `${file}:${line}`), excerpt)
    list.append(item)
    list.hidden = false
  }

  form.addEventListener('submit', (event) => {
    event.preventDefault()
    search()
  })
  action('stop').addEventListener('click', () => controller?.abort())
}

function count (n, one, many = `${one}s`) {
  return `${n.toLocaleString()} ${n === 1 ? one : many}`
}

// What to type in a terminal

function showCommands () {
  const { origin } = location
  for (const section of document.querySelectorAll('[data-stream]')) {
    const name = section.dataset.stream
    const command = name === 'search'
      ? `curl -N ${origin}/search -H 'content-type: application/json' -d '{"text":"setTimeout"}'`
      : `curl -N ${origin}/${name}`
    const copy = element('button', 'copy', 'Copy')
    copy.type = 'button'
    copy.setAttribute('aria-label', `Copy the command for ${name}`)
    copy.addEventListener('click', async () => {
      try {
        await navigator.clipboard.writeText(command)
        copy.textContent = 'Copied'
      } catch {
        // No clipboard without https or localhost: what is selected can be copied by hand.
        getSelection().selectAllChildren(copy.nextElementSibling)
        copy.textContent = 'Selected'
      }
      setTimeout(() => { copy.textContent = 'Copy' }, 1_500)
    })
    section.querySelector('.try').append(copy, element('code', '', command))
  }
}

showCommands()
showCountdown()
showSearch()
const lasting = [showClock(), showHost(), showLog()]

// Over HTTP/1.1 a browser opens six connections to a server, for all its tabs: one that nobody looks at gives its own back.
let pauseTimer
let isPaused = false
document.addEventListener('visibilitychange', () => {
  clearTimeout(pauseTimer)
  if (document.hidden) {
    pauseTimer = setTimeout(() => {
      isPaused = true
      for (const connection of lasting) connection.pause()
    }, PAUSE_AFTER_MS)
  } else if (isPaused) {
    isPaused = false
    for (const connection of lasting) connection.open()
  }
})
