import { show } from '../../errors.js'
import type { Manifest } from '../../schema/manifest.js'
import type { ModelLanguage } from './files.js'
import { goAbilities, toGo } from './go.js'
import { kotlinAbilities, toKotlin } from './kotlin.js'
import { toPlan, type Abilities, type Plan } from './plan.js'
import { pythonAbilities, toPython } from './python.js'
import type { Quicktype } from './quicktype.js'
import { swiftAbilities, toSwift } from './swift.js'

/** A package that is not installed, and is needed only for this. */
export class MissingPackageError extends Error {
  override readonly name = 'MissingPackageError'
  /** The name to install it by. */
  readonly packageName: string

  constructor (packageName: string, purpose: string, cause: unknown) {
    super(`${purpose} needs the package ${packageName}, which cannot be loaded. Install it beside fastify-typed-sse: npm install --save-dev ${packageName}`, { cause })
    this.packageName = packageName
  }
}

export { MODEL_FILES, type ModelLanguage } from './files.js'

interface Language {
  readonly abilities: Abilities
  readonly write: (quicktype: Quicktype, plan: Plan, head: readonly string[]) => Promise<string>
  /** What does not come out as it went in. */
  readonly limits: readonly string[]
}

const INTEGERS = 'Integers have 64 bits: larger ones are an error.'
const NULL_OR_ABSENT = 'A property that may be absent and may be null reads the same for both.'
const OBJECTS = 'A union of objects is one type with the properties of all. An object with properties that have no name in the schema is a map.'

const LANGUAGES: Readonly<Record<ModelLanguage, Language>> = {
  go: { abilities: goAbilities, write: toGo, limits: [OBJECTS, NULL_OR_ABSENT, 'Optional lists and maps that are empty are left out when they are written again.', INTEGERS] },
  kotlin: { abilities: kotlinAbilities, write: toKotlin, limits: [OBJECTS, NULL_OR_ABSENT, INTEGERS, 'What may be of several types, such as text or a number, is a JsonElement.'] },
  swift: { abilities: swiftAbilities, write: toSwift, limits: [OBJECTS, NULL_OR_ABSENT, INTEGERS] },
  python: { abilities: pythonAbilities, write: toPython, limits: [OBJECTS, NULL_OR_ABSENT] }
}

/**
 * Models of all events in another language, as one source file: a type for the data of each event, made by quicktype, and for each
 * stream a function that gives the typed event of an event type and its data, as they come off the wire.
 *
 * What the server can send can be read, and keeps its values. What is not declared is an event of a type of its own, with its raw data, so that
 * a newer server does no harm. The same manifest gives the same text.
 *
 * @param load gives the module `quicktype-core`
 * @throws MissingPackageError when `quicktype-core` is not installed
 * @throws TypeError for another language
 */
export async function toModels (manifest: Manifest, language: ModelLanguage, load: () => Promise<unknown> = loadQuicktype): Promise<string> {
  if (!Object.hasOwn(LANGUAGES, language)) throw new TypeError(`There are no models in the language ${show(language)}. Use ${Object.keys(LANGUAGES).join(', ')}.`)
  const { abilities, write, limits } = LANGUAGES[language]
  let quicktype: Quicktype
  try {
    quicktype = await load() as Quicktype
  } catch (error) {
    throw new MissingPackageError('quicktype-core', `Writing models for ${language}`, error)
  }
  return await write(quicktype, toPlan(manifest, abilities), limits)
}

async function loadQuicktype (): Promise<unknown> {
  return await import('quicktype-core')
}
