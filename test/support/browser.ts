import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { chromium, type Browser, type LaunchOptions } from 'playwright-core'
import type { Test } from 'tap'
import { requirePart } from './parts.js'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome']

const OTHER_PLACES = [
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe'
]

/** No QUIC, and nothing of what a browser does by itself: tests talk to loopback alone. */
const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync'
]

/** Where Chromium is: `CHROMIUM_PATH`, else the first of its usual names in `PATH`; null when there is none. */
export function findChromium (): string | null {
  const { CHROMIUM_PATH, PATH = '' } = process.env
  if (CHROMIUM_PATH !== undefined && CHROMIUM_PATH !== '') return isExecutable(CHROMIUM_PATH) ? CHROMIUM_PATH : null
  const folders = PATH.split(delimiter).filter((folder) => folder !== '')
  const candidates = [...NAMES.flatMap((name) => folders.map((folder) => join(folder, name))), ...OTHER_PLACES]
  return candidates.find(isExecutable) ?? null
}

function isExecutable (path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** A headless Chromium, closed at the end of the test. Without one the test skips, and this gives null. */
export async function launchChromium (t: Test, options: LaunchOptions = {}): Promise<Browser | null> {
  const executablePath = findChromium()
  if (!requirePart(t, 'Chromium (install it, or set CHROMIUM_PATH)', executablePath !== null)) return null
  const browser = await chromium.launch({ executablePath: executablePath!, args: ARGS, headless: true, ...options })
  t.teardown(() => browser.close())
  return browser
}
