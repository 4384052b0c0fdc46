import { formsOf, parametersOf, segmentsOf } from '../../schema/route-url.js'

/** A URL as documents have it. */
export interface UrlTemplate {
  /** `/orders/{id}` */
  readonly path: string
  /** What stands in braces, in order. */
  readonly parameters: readonly TemplateParameter[]
  /** The optional parameters that this form of the URL leaves out. */
  readonly without?: readonly string[]
}

export interface TemplateParameter {
  readonly name: string
  /** What the route's own regular expression asks of it. */
  readonly pattern?: string
}

/** The URL of a route, `/orders/:id(\\d+)`, as a template: one, or if its end is optional two, the one with it first. */
export function templatesOf (url: string): readonly [UrlTemplate, ...UrlTemplate[]] {
  const [full, short] = formsOf(url)
  const template = templateOf(full)
  if (short === undefined) return [template]
  return [template, { ...templateOf(short), without: parametersOf(url).filter(({ isOptional }) => isOptional).map(({ name }) => name) }]
}

function templateOf (url: string): UrlTemplate {
  const parameters: TemplateParameter[] = []
  const path = segmentsOf(url).map((segment) => {
    if (segment.name === undefined) return segment.text.replace(/[{}]/g, (brace) => LITERAL[brace]!)
    parameters.push({ name: segment.name, ...(segment.pattern !== undefined && { pattern: anchored(segment.pattern) }) })
    return `{${segment.name}}`
  }).join('')
  return { path: path.startsWith('/') ? path : `/${path}`, parameters }
}

/** Braces would begin a parameter. */
const LITERAL: Readonly<Record<string, string>> = { '{': '%7B', '}': '%7D' }

/** find-my-way matches from end to end, whatever the pattern says. */
function anchored (pattern: string): string {
  return `^${pattern.replace(/^\(\^/, '(').replace(/\$\)$/, ')')}$`
}
