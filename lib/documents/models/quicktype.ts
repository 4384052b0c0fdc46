import type { ClassType, EnumType, Name, Namer, RenderContext, Sourcelike, TargetLanguage, Type, UnionType } from 'quicktype-core'
import { commentLines, pascal } from './names.js'
import { HOLDER, type Plan } from './plan.js'

export type Quicktype = typeof import('quicktype-core')

/** The part of quicktype's renderers that is leant on. Not all of it is declared public. */
export interface Renderer {
  readonly topLevels: ReadonlyMap<string, Type>
  emitLine (...parts: Sourcelike[]): void
  emitMultiline (text: string): void
  ensureBlankLine (lines?: number): void
  sourcelikeToString (source: Sourcelike): string
  forEachClassProperty (type: ClassType, blankLines: string, emit: (name: Name, jsonName: string, property: Property) => void): void
  forEachNamedType (
    blankLines: string | readonly [string, number],
    onClass: (type: ClassType, name: Name) => void, onEnum: (type: EnumType, name: Name) => void, onUnion: (type: UnionType, name: Name) => void
  ): void
  nameForNamedType (type: Type): Name
  descriptionForType (type: Type): string[] | undefined
  descriptionForClassProperty (type: ClassType, jsonName: string): string[] | undefined
  emitSourceStructure (filename: string): void
  forbiddenNamesForGlobalNamespace (): readonly string[]
  makeNamedTypeNamer (): unknown
  makeNameForProperty (type: ClassType, className: Name, property: unknown, jsonName: string, assigned: unknown): Name
  namerForObjectProperty (): Namer
  forbiddenForObjectProperties (type: ClassType, className: Name): Forbidden
  makeNameForEnumCase (type: EnumType, enumName: Name, value: string, assigned: unknown): Name
  makeEnumCaseNamer (): Namer
  forbiddenForEnumCases (type: EnumType, enumName: Name): Forbidden
}

/** Names that members of a type may not have. */
export interface Forbidden {
  readonly names: readonly string[]
  /** Whether those that types may not have are among them. */
  readonly includeGlobalForbidden: boolean
}

export interface Property {
  readonly type: Type
  readonly isOptional: boolean
}

/** What the models of a plan are called and made of. */
export interface Models {
  /** The declarations. */
  readonly text: string
  /** Property of the plan's schema → how the type of its values is written. */
  readonly types: ReadonlyMap<string, string>
}

/** How quicktype writes one language here. */
export interface ModelRenderer<R extends Renderer> {
  readonly target: TargetLanguage
  readonly options: Record<string, unknown>
  /** Changes a renderer before it is used. */
  adapt (renderer: R): void
  /** Writes all types but the one that holds the payloads. */
  emit (renderer: R, isHolder: (type: Type) => boolean): void
  /** How the type of a payload is written where it is used. */
  typeOf (renderer: R, property: Property, payload: string): Sourcelike
  /** A line of a comment, with what would end the comment taken out of it. */
  comment (line: string): string
}

/** Has quicktype write the models of a plan. */
export async function renderModels<R extends Renderer> (quicktype: Quicktype, plan: Plan, language: ModelRenderer<R>): Promise<Models> {
  const { target, options } = language
  const types = new Map<string, string>()
  const { makeRenderer } = target as unknown as { makeRenderer (context: RenderContext, options: Record<string, unknown>): unknown }
  Object.assign(target, {
    makeRenderer (context: RenderContext, options: Record<string, unknown>): unknown {
      const renderer = makeRenderer.call(target, context, options) as R
      adapt(quicktype, renderer, plan, language)
      renderer.emitSourceStructure = () => {
        const [holder] = [...renderer.topLevels.values()]
        const isHolder = (type: Type): boolean => type === holder
        language.emit(renderer, isHolder)
        if (holder instanceof quicktype.ClassType) {
          renderer.forEachClassProperty(holder, 'none', (_, payload, property) => types.set(payload, renderer.sourcelikeToString(language.typeOf(renderer, property, payload))))
        }
      }
      return renderer
    }
  })
  const input = new quicktype.JSONSchemaInput(undefined)
  await input.addSource({ name: HOLDER, schema: JSON.stringify(plan.schema) })
  const inputData = new quicktype.InputData()
  inputData.addInput(input)
  const { lines } = await quicktype.quicktype({
    inputData,
    lang: target,
    rendererOptions: options,
    ...quicktype.inferenceFlagNames.reduce((flags, name) => ({ ...flags, [name]: false }), {})
  })
  return { text: lines.join('\n').trim(), types }
}

function adapt<R extends Renderer> (quicktype: Quicktype, renderer: R, plan: Plan, language: ModelRenderer<R>): void {
  // Types have the names that the plan gives them: those of quicktype change when another type comes along.
  renderer.makeNamedTypeNamer = () => quicktype.funPrefixNamer('named-type', (name) => name)
  const forbidden = renderer.forbiddenNamesForGlobalNamespace.bind(renderer)
  renderer.forbiddenNamesForGlobalNamespace = () => [...forbidden(), ...plan.eventNames]
  // Descriptions are looked up by name: quicktype would join those of all places where a type is used.
  const docOf = (type: Type): ReturnType<Plan['docs']['get']> => {
    const [title] = type instanceof quicktype.ClassType ? type.getNames().names : []
    return title === undefined ? undefined : plan.docs.get(title)
  }
  const toLines = (text: string | undefined): string[] | undefined => {
    const lines = commentLines(text).map((line) => language.comment(line))
    return lines.length === 0 ? undefined : lines
  }
  renderer.descriptionForType = (type) => toLines(docOf(type)?.description)
  renderer.descriptionForClassProperty = (type, jsonName) => toLines(docOf(type)?.properties.get(jsonName))
  language.adapt(renderer)
  nameMembers(renderer)
}

/**
 * Names the members of each type by itself. Of two that come to the same name (`id` and `ID`), or that may not have theirs, quicktype calls
 * one «purple».
 */
function nameMembers (renderer: Renderer): void {
  const known = new Map<Type, ReadonlyMap<string, string>>()
  const propose = (name: Name, type: Type, jsonName: string, all: () => Iterable<string>, namer: () => Namer, forbidden: () => Forbidden): Name => {
    let names = known.get(type)
    if (names === undefined) {
      const { names: own, includeGlobalForbidden } = forbidden()
      names = toMemberNames([...all()], namer().nameStyle, new Set([...own, ...(includeGlobalForbidden ? renderer.forbiddenNamesForGlobalNamespace() : [])]))
      known.set(type, names)
    }
    return Object.assign(name, { proposeUnstyledNames: () => new Set([names.get(jsonName)!, `${names.get(jsonName)!} value`]) })
  }
  const makeProperty = renderer.makeNameForProperty.bind(renderer)
  renderer.makeNameForProperty = (type, className, property, jsonName, assigned) =>
    propose(makeProperty(type, className, property, jsonName, assigned), type, jsonName, () => type.getProperties().keys(),
      () => renderer.namerForObjectProperty(), () => renderer.forbiddenForObjectProperties(type, className))
  const makeCase = renderer.makeNameForEnumCase.bind(renderer)
  renderer.makeNameForEnumCase = (type, enumName, value, assigned) =>
    propose(makeCase(type, enumName, value, assigned), type, value, () => type.cases,
      () => renderer.makeEnumCaseNamer(), () => renderer.forbiddenForEnumCases(type, enumName))
}

/** Name in JSON → a name that `style` makes an allowed one of, and a different one for each. */
function toMemberNames (jsonNames: readonly string[], style: (name: string) => string, forbidden: ReadonlySet<string>): Map<string, string> {
  const taken = new Set(forbidden)
  const names = new Map<string, string>()
  // What can stay as it is has the first choice.
  const sorted = [...jsonNames].sort((a, b) => Number(style(b) === b) - Number(style(a) === a))
  for (const jsonName of sorted) {
    const base = /[\p{L}\p{N}]/u.test(jsonName) ? jsonName : pascal(jsonName) || 'empty'
    let name = base
    for (let number = 1; taken.has(style(name)); number++) name = number === 1 ? `${base} value` : `${base} value ${number}`
    taken.add(style(name))
    names.set(jsonName, name)
  }
  return names
}
