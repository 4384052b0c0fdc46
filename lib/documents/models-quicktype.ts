import type { ClassType, EnumType, Name, RenderContext, Sourcelike, TargetLanguage, Type, UnionType } from 'quicktype-core'
import { commentLines } from './models-names.js'
import { HOLDER, type Plan } from './models-plan.js'

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
}
