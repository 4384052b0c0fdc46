// Reads the TAP of the test run and prints its counts: `N passed, N failed`, and `, N skipped` when there are any.
// With --summary it names what failed and what was skipped instead. Fails when nothing was run, or when something failed or was skipped.
import { readFileSync } from 'node:fs'

const [file, mode] = process.argv.slice(2)
const lines = readFileSync(file, 'utf8').split('\n')
const totals = lines.map((line) => /^# \{ total: (\d+)(?:, pass: (\d+))?(?:, fail: (\d+))?(?:, todo: (\d+))?(?:, skip: (\d+))? \}/.exec(line)).findLast(Boolean)
const [total = 0, passed = 0, failed = 0, todo = 0, skipped = 0] = (totals ?? []).slice(1).map((count) => Number(count ?? 0))

if (mode === '--summary') {
  for (const [index, line] of lines.entries()) {
    if (/^\s*not ok \d+/.test(line)) console.log(lines.slice(index, index + 20).join('\n'))
  }
  const skips = lines.filter((line) => /^\s*(not )?ok \d+.*(?<!\\)# SKIP/i.test(line))
  for (const line of skips) console.log(line.trim())
  if (skips.length > 0) console.log(`${skips.length} tests were skipped: a part is missing`)
  process.exit(skips.length > 0 ? 1 : 0)
}
console.log(`${passed} passed, ${failed + todo} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
process.exit(total > 0 && failed + todo + skipped === 0 ? 0 : 1)
