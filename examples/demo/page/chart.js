// Lines that scroll with time. A path is drawn once for each sample; in between the browser moves the picture by itself
// (an animation of `transform`), which costs next to nothing: the page must not be what the chart shows.

const WINDOW_MS = 60_000

/** How far the right edge is behind the present, so that the line beyond it is known already when it comes into view. */
const BEHIND_MS = 1_500

/** Drawn beyond the right edge, out of sight. */
const BEYOND_MS = 6_000

/** A longer silence than this leaves a hole in the line. */
const HOLE_MS = 2_600

/**
 * One field with lines over the last minute.
 *
 * @param {SVGSVGElement} svg
 * @param {Array<{ line: SVGPathElement, fill?: SVGPathElement, value: (sample: object) => number }>} lines values from 0 to 1
 */
export function createChart (svg, lines) {
  const calm = matchMedia('(prefers-reduced-motion: reduce)')
  const width = WINDOW_MS + BEYOND_MS
  svg.setAttribute('viewBox', `0 0 ${width} 100`)
  svg.style.width = `${width / WINDOW_MS * 100}%`
  let animation = null

  return {
    /** @param {Array<{ time: number }>} samples with their times, oldest first  @param {number} now by the same clock */
    draw (samples, now) {
      const start = now - BEHIND_MS - WINDOW_MS
      for (const { line, fill, value } of lines) {
        const runs = runsOf(samples.map((sample) => ({ x: sample.time - start, y: 98.5 - 97 * Math.min(1, value(sample)) })))
        line.setAttribute('d', runs.map(curve).join(''))
        fill?.setAttribute('d', runs.map((run) => `${curve(run)}L${round(run.at(-1).x)} 100L${round(run[0].x)} 100Z`).join(''))
      }
      animation?.cancel()
      if (calm.matches) return
      animation = svg.animate(
        [{ transform: 'translateX(0)' }, { transform: `translateX(${-BEYOND_MS / width * 100}%)` }],
        { duration: BEYOND_MS, easing: 'linear', fill: 'forwards' })
    }
  }
}

/** Cuts where samples are missing. */
function runsOf (points) {
  const runs = []
  for (const point of points) {
    const last = runs.at(-1)?.at(-1)
    if (last !== undefined && point.x - last.x <= HOLE_MS) runs.at(-1).push(point)
    else runs.push([point])
  }
  return runs
}

/** A smooth line through all points that never goes beyond them (monotone cubic, Fritsch and Carlson). */
function curve (points) {
  const [first, ...others] = points
  const slopes = others.map((point, n) => (point.y - points[n].y) / (point.x - points[n].x))
  const tangents = points.map((_, n) => {
    const before = slopes[n - 1] ?? 0
    const after = slopes[n] ?? 0
    return before * after <= 0 ? 0 : 2 * before * after / (before + after)
  })
  let path = `M${round(first.x)} ${round(first.y)}`
  for (const [n, point] of others.entries()) {
    const from = points[n]
    const third = (point.x - from.x) / 3
    path += `C${round(from.x + third)} ${round(from.y + tangents[n] * third)} ` +
      `${round(point.x - third)} ${round(point.y - tangents[n + 1] * third)} ${round(point.x)} ${round(point.y)}`
  }
  return path
}

function round (value) {
  return Math.round(value * 10) / 10
}
