import type { ClassType, EnumType, MultiWord, Name, Sourcelike, Type } from 'quicktype-core'
import { commentLines, quote, snake } from './names.js'
import type { Abilities, EventPlan, Plan, StreamPlan } from './plan.js'
import { renderModels, type Property, type Quicktype, type Renderer } from './quicktype.js'

/** Code of a value, and of the function that it is yet to be given to. */
interface Value { value: Sourcelike, lambda?: MultiWord | undefined }

interface PythonRenderer extends Renderer {
  pythonType (type: Type, isRoot?: boolean): Sourcelike
  deserializer (value: Value, type: Type): Value
  serializer (value: Value, type: Type): Value
  conv (converter: string): Sourcelike
  declareType (type: Type, emit: () => void): void
  emitEnum (type: EnumType): void
  indent (emit: () => void): void
  namedType (type: Type): Sourcelike
}

const TYPING = ['Any', 'Callable', 'List', 'Literal', 'Optional', 'Type', 'TypeVar', 'Union', 'cast']

export const pythonAbilities: Abilities = {
  reserved: [...TYPING, 'Enum', 'T', 'True', 'False', 'None', 'Exception', 'ValueError'],
  hasUnions: true,
  canHaveProperty: () => true,
  hasNull: true
}

/** What reads and writes values, by the names that quicktype calls. It has the same, with `assert`, which `python -O` leaves out. */
const CONVERTERS: Readonly<Record<string, string>> = {
  from_none: `def from_none(x: Any) -> Any:
    if x is not None:
        raise _unfit("null", x)
    return x`,
  from_bool: `def from_bool(x: Any) -> bool:
    if not isinstance(x, bool):
        raise _unfit("a boolean", x)
    return x`,
  from_int: `def from_int(x: Any) -> int:
    if not isinstance(x, int) or isinstance(x, bool):
        raise _unfit("an integer", x)
    return x`,
  from_float: `def from_float(x: Any) -> float:
    if not isinstance(x, (float, int)) or isinstance(x, bool):
        raise _unfit("a number", x)
    return float(x)`,
  to_float: `def to_float(x: Any) -> float:
    if not isinstance(x, (float, int)) or isinstance(x, bool):
        raise _unfit("a number", x)
    return x`,
  from_str: `def from_str(x: Any) -> str:
    if not isinstance(x, str):
        raise _unfit("a string", x)
    return x`,
  from_list: `def from_list(f: Callable[[Any], T], x: Any) -> list[T]:
    if not isinstance(x, list):
        raise _unfit("a list", x)
    return [f(item) for item in x]`,
  from_dict: `def from_dict(f: Callable[[Any], T], x: Any) -> dict[str, T]:
    if not isinstance(x, dict):
        raise _unfit("an object", x)
    return {key: f(value) for key, value in x.items()}`,
  to_enum: `def to_enum(c: Type[Any], x: Any) -> Any:
    if not isinstance(x, c):
        raise _unfit(c.__name__, x)
    return x.value`,
  to_class: `def to_class(c: Type[Any], x: Any) -> Any:
    if not isinstance(x, c):
        raise _unfit(c.__name__, x)
    return x.to_dict()`,
  from_union: `def from_union(fs: list[Callable[[Any], Any]], x: Any) -> Any:
    errors = []
    for f in fs:
        try:
            return f(x)
        except ValueError as error:
            errors.append(str(error))
    raise ValueError(", or ".join(errors))`
}

const LOADS = `def _number(text: str) -> Any:
    # JavaScript writes integers from 1e21 on with an exponent.
    return int(float(text)) if "e+" in text else float(text)


def _loads(text: str) -> Any:
    return json.loads(text, parse_float=_number)`

const DUMPS = `def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))`

const UNFIT = `def _unfit(expected: str, x: Any) -> ValueError:
    return ValueError(f"expected {expected}, found {x!r:.80}")`

/** How the data of an event is read and written. */
interface Codec { readonly decode: string, readonly encode: string }

export async function toPython (quicktype: Quicktype, plan: Plan, head: readonly string[]): Promise<string> {
  const codecs = new Map<string, Codec>()
  const used = new Set<string>()
  const { text, types } = await renderModels<PythonRenderer>(quicktype, plan, {
    target: new quicktype.PythonTargetLanguage(),
    options: { 'python-version': '3.9' },
    adapt (renderer) {
      renderer.conv = (converter) => {
        const name = /^(?:from|to|is)-/.test(converter) ? converter.replaceAll('-', '_') : `from_${converter}`
        used.add(name)
        return name
      }
      // Annotations are not evaluated: nothing has to be declared before it is named.
      renderer.namedType = (type) => renderer.nameForNamedType(type)
      const forbidden = renderer.forbiddenForObjectProperties.bind(renderer)
      renderer.forbiddenForObjectProperties = (...args) => {
        const { names, ...rest } = forbidden(...args)
        return { names: [...names, 'from_dict', 'to_dict', 'list'], ...rest }
      }
    },
    emit (renderer, isHolder) {
      renderer.forEachNamedType(['interposing', 2], (type, name) => { if (!isHolder(type)) emitClass(quicktype, renderer, type, name) }, (type) => renderer.emitEnum(type), () => {})
    },
    typeOf (renderer, property, payload) {
      const code = (value: Value): string => renderer.sourcelikeToString(call(quicktype, value))
      codecs.set(payload, { decode: code(renderer.deserializer({ value: '_loads(data)' }, property.type)), encode: code(renderer.serializer({ value: 'self.data' }, property.type)) })
      return renderer.pythonType(property.type)
    },
    comment: docText
  })
  const streams = plan.streams.map((stream) => writeStream(stream, types, codecs))
  if (plan.streams.some(({ events }) => events.some(({ format }) => format === 'null'))) used.add('from_none')
  const converters = Object.entries(CONVERTERS).filter(([name]) => used.has(name)).map(([, code]) => code)
  const parts = [...converters, text, ...streams].filter((part) => part !== '')
  const uses = (name: string): boolean => parts.some((part) => new RegExp(`\\b${name}\\b`).test(part))
  const support = [
    ...(uses('_unfit') ? [UNFIT] : []),
    ...(uses('_loads') ? [LOADS] : []),
    ...(uses('_dumps') ? [DUMPS] : [])
  ]
  const body = [...(uses('T') ? ['T = TypeVar("T")'] : []), ...support, ...parts].join('\n\n\n')
  const imported = (names: readonly string[]): string[] => names.filter((name) => new RegExp(`\\b${name}\\b`).test(body))
  const typing = imported(TYPING)
  return [
    '# Code generated by fastify-typed-sse. Do not edit.',
    '#',
    ...[...head, ...usage(plan)].map((line) => `# ${line}`.trimEnd()),
    '',
    'from __future__ import annotations',
    '',
    ...(imported(['json']).length > 0 ? ['import json'] : []),
    ...(imported(['dataclass']).length > 0 ? ['from dataclasses import dataclass'] : []),
    ...(imported(['Enum']).length > 0 ? ['from enum import Enum'] : []),
    ...(typing.length > 0 ? [`from typing import ${typing.join(', ')}`] : []),
    ...(body === '' ? [] : ['', '', body]),
    ''
  ].join('\n').replace(/\n{4,}/g, '\n\n\n')
}

function usage ({ streams }: Plan): string[] {
  const first = streams.find(({ stream }) => stream.events !== undefined) ?? streams[0]
  if (first === undefined) return []
  const { name, event } = first.events.slice(0, 1).map(({ name }) => ({ name, event: 'event.data' }))[0] ?? { name: first.unknownName, event: 'event.event, event.data' }
  return [
    '',
    'Needs Python 3.9, and nothing else. Usage, with the fields of an event as a reader of event streams gives them:',
    '',
    `    event = parse_${snake(first.name)}(event_type, data)`,
    `    if isinstance(event, ${name}):`,
    `        print(${event})`,
    `    elif isinstance(event, ${first.unknownName}):`,
    '        ...  # a newer server sends it'
  ]
}

/** The same class as quicktype makes, without variables: a property may be called as a function that is needed. */
function emitClass (quicktype: Quicktype, renderer: PythonRenderer, type: ClassType, name: Name): void {
  const properties: Array<{ field: Name, json: string, property: Property }> = []
  renderer.forEachClassProperty(type, 'none', (field, jsonName, property) => properties.push({ field, json: literal(jsonName), property }))
  renderer.emitLine('@dataclass')
  renderer.declareType(type, () => {
    renderer.forEachClassProperty(type, 'none', (field, jsonName, property) => {
      renderer.emitLine(field, ': ', renderer.pythonType(property.type, true))
      const lines = renderer.descriptionForClassProperty(type, jsonName) ?? []
      lines.forEach((line, index) => renderer.emitLine(index === 0 ? '"""' : '', line, index === lines.length - 1 ? '"""' : ''))
    })
    renderer.ensureBlankLine()
    renderer.emitLine('@staticmethod')
    renderer.emitLine('def from_dict(obj: Any) -> ', name, ':')
    renderer.indent(() => {
      renderer.emitLine('if not isinstance(obj, dict):')
      renderer.indent(() => renderer.emitLine('raise _unfit("an object", obj)'))
      renderer.emitLine('return ', name, '(')
      renderer.indent(() => {
        for (const { field, json, property } of properties) {
          renderer.emitLine(field, '=', call(quicktype, renderer.deserializer({ value: ['obj.get(', json, ')'] }, property.type)), ',')
        }
      })
      renderer.emitLine(')')
    })
    renderer.ensureBlankLine()
    renderer.emitLine('def to_dict(self) -> dict:')
    renderer.indent(() => {
      renderer.emitLine('result: dict = {}')
      for (const { field, json, property } of properties) {
        const emit = (): void => renderer.emitLine('result[', json, '] = ', call(quicktype, renderer.serializer({ value: ['self.', field] }, property.type)))
        if (property.isOptional) {
          renderer.emitLine('if self.', field, ' is not None:')
          renderer.indent(emit)
        } else {
          emit()
        }
      }
      renderer.emitLine('return result')
    })
  })
}

function call (quicktype: Quicktype, { value, lambda }: Value): Sourcelike {
  return lambda === undefined ? value : [quicktype.parenIfNeeded(lambda), '(', value, ')']
}

function writeStream ({ stream, name, events, unknownName }: StreamPlan, types: ReadonlyMap<string, string>, codecs: ReadonlyMap<string, Codec>): string {
  const doc = [`An event of ${stream.method} ${stream.url}.`, ...commentLines(stream.summary)].map((line) => `# ${line}`)
  return `${events.map((event) => writeEvent(event, types, codecs) + '\n\n\n').join('')}@dataclass
class ${unknownName}:
    """An event of a type that this file does not know: the server is newer."""

    event: str
    data: str
    id: Optional[str] = None


${doc.join('\n')}
${name} = Union[
${[...events.map(({ name }) => name), unknownName].map((member) => `    ${member},\n`).join('')}]


def parse_${snake(name)}(event: str, data: str, id: Optional[str] = None) -> ${name}:
    """The typed event of an event type, its data and its ID, as they come off the wire.

    An empty event type is that of an event without one: "message". Data that does not fit raises a ValueError.
    """
    event = event or "message"
    try:
${events.map((event) => writeCase(event, codecs)).join('')}        return ${unknownName}(event, data, id)
    except ValueError as error:
        raise ValueError(f"event {event!r}: {error}") from error`
}

function writeEvent ({ type, name, format, payload, description }: EventPlan, types: ReadonlyMap<string, string>, codecs: ReadonlyMap<string, Codec>): string {
  const doc = [`An event of type ${literal(type)}.`, ...commentLines(description)].map(docText)
  const dataType = { text: 'str', null: 'None', json: types.get(payload ?? '') ?? 'Any' }[format]
  const encoded = { text: 'self.data', null: '"null"', json: `_dumps(${codecs.get(payload ?? '')?.encode ?? 'self.data'})` }[format]
  return `@dataclass
class ${name}:
    """${doc.join('\n    ')}${doc.length > 1 ? '\n    ' : ''}"""

    data: ${dataType}${format === 'null' ? ' = None' : ''}
    id: Optional[str] = None
    event: Literal[${literal(type)}] = ${literal(type)}

    def to_json(self) -> str:
        """The data, as it stands on the wire."""
        return ${encoded}`
}

function writeCase ({ type, name, format, payload }: EventPlan, codecs: ReadonlyMap<string, Codec>): string {
  const data = { text: 'data', null: 'from_none(_loads(data))', json: codecs.get(payload ?? '')?.decode ?? '_loads(data)' }[format]
  return `        if event == ${literal(type)}:
            return ${name}(${data}, id)
`
}

function docText (line: string): string {
  return line.replaceAll('\\', '\\\\').replaceAll('"""', '\\"\\"\\"').replace(/"$/, '\\"')
}

function literal (text: string): string {
  return quote(text, (hex) => hex.length > 4 ? `\\U${hex.padStart(8, '0')}` : `\\u${hex}`)
}
