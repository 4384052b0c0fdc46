import type { ClassType, EnumType, Name, Sourcelike, Type, UnionType } from 'quicktype-core'
import { camel, commentLines, NamePool, quote } from './names.js'
import type { Abilities, EventPlan, Plan, StreamPlan } from './plan.js'
import { renderModels, type Quicktype, type Renderer } from './quicktype.js'

interface SwiftRenderer extends Renderer {
  swiftType (type: Type, withIssues?: boolean, noOptional?: boolean): Sourcelike
  renderClassDefinition (type: ClassType, name: Name): void
  renderEnumDefinition (type: EnumType, name: Name): void
  renderUnionDefinition (type: UnionType, name: Name): void
  emitLineOnce (...parts: Sourcelike[]): void
  emitMark (...args: unknown[]): void
}

export const swiftAbilities: Abilities = {
  reserved: ['Any', 'Array', 'Bool', 'Codable', 'CodingKey', 'CodingKeys', 'Data', 'Date', 'Decodable', 'Decoder', 'DecodingError', 'Dictionary', 'Double', 'Encodable', 'Encoder', 'Error', 'Int', 'JSONDecoder', 'JSONEncoder', 'JSONValue', 'Never', 'Optional', 'Protocol', 'Result', 'Self', 'Sendable', 'Set', 'String', 'Type', 'URL', 'UUID', 'Void'],
  hasUnions: true,
  canHaveProperty: () => true,
  hasNull: false
}

/** Words that a case has to be put in backticks for. */
const KEYWORDS = new Set(('associatedtype class deinit enum extension fileprivate func import inout internal let open operator private precedencegroup protocol public ' +
  'rethrows static struct subscript typealias var break case catch continue default defer do else fallthrough for guard if in repeat return throw switch where while ' +
  'any as await false is nil super throws true try').split(' '))

const JSON_VALUE = `/// Any JSON value.
public indirect enum JSONValue: Codable, Sendable, Hashable {
    case null
    case bool(Bool)
    case integer(Int)
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object([String: JSONValue])

    public init(from decoder: Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode(Int.self) {
            self = .integer(value)
        } else if let value = try? container.decode(Double.self) {
            self = .number(value)
        } else if let value = try? container.decode(String.self) {
            self = .string(value)
        } else if let value = try? container.decode([JSONValue].self) {
            self = .array(value)
        } else {
            self = .object(try container.decode([String: JSONValue].self))
        }
    }

    public func encode(to encoder: Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .null: try container.encodeNil()
        case .bool(let value): try container.encode(value)
        case .integer(let value): try container.encode(value)
        case .number(let value): try container.encode(value)
        case .string(let value): try container.encode(value)
        case .array(let value): try container.encode(value)
        case .object(let value): try container.encode(value)
        }
    }
}`

const REQUIRE_NULL = `private func requireNull(_ data: String, of event: String) throws {
    guard data.trimmingCharacters(in: .whitespacesAndNewlines) == "null" else {
        throw DecodingError.dataCorrupted(DecodingError.Context(codingPath: [], debugDescription: "event \\(event): expected null, found \\(data.prefix(80))"))
    }
}`

export async function toSwift (quicktype: Quicktype, plan: Plan, head: readonly string[]): Promise<string> {
  const { text, types } = await renderModels<SwiftRenderer>(quicktype, plan, {
    target: new quicktype.SwiftTargetLanguage(),
    options: { initializers: false, 'access-level': 'public', sendable: true, 'final-classes': true },
    adapt (renderer) {
      const swiftType = renderer.swiftType.bind(renderer)
      renderer.swiftType = (type, ...rest) => type.kind === 'any' ? 'JSONValue' : swiftType(type, ...rest)
      renderer.emitLineOnce = () => {}
      // Between a type and what is said about it.
      renderer.emitMark = () => {}
    },
    emit (renderer, isHolder) {
      renderer.forEachNamedType('leading-and-interposing',
        (type, name) => { if (!isHolder(type)) renderer.renderClassDefinition(type, name) },
        (type, name) => renderer.renderEnumDefinition(type, name),
        (type, name) => renderer.renderUnionDefinition(type, name))
    },
    typeOf: (renderer, property) => renderer.swiftType(property.type),
    comment: (line) => line
  })
  const parts = [...plan.streams.map((stream) => writeStream(stream, types)), text].filter((part) => part !== '')
  if (parts.some((part) => /\bJSONValue\b/.test(part))) parts.push(JSON_VALUE)
  if (plan.streams.some(({ events }) => events.some(({ format }) => format === 'null'))) parts.push(REQUIRE_NULL)
  return [
    '// Code generated by fastify-typed-sse. Do not edit.',
    '//',
    ...[...head, ...usage(plan)].map((line) => `// ${line}`.trimEnd()),
    '',
    'import Foundation',
    ...(parts.length === 0 ? [] : ['', parts.join('\n\n')]),
    ''
  ].join('\n')
}

function usage ({ streams }: Plan): string[] {
  const first = streams.find(({ stream }) => stream.events !== undefined) ?? streams[0]
  if (first === undefined) return []
  return [
    '',
    'Usage, with the fields of an event as a reader of event streams gives them:',
    '',
    `    switch try ${first.name}(event: eventType, data: data) {`,
    ...casesOf(first).slice(0, 1).map(({ name, event }) => event.format === 'null' ? `    case .${name}: print("it has no data")` : `    case .${name}(let data): print(data)`),
    '    case .unknown(let event, _): print(event) // a newer server sends it',
    ...(first.events.length > 1 ? ['    default: break'] : []),
    '    }'
  ]
}

/** The events of a stream with the names of their cases. */
function casesOf ({ events }: StreamPlan): Array<{ name: string, event: EventPlan }> {
  // What an enumeration has already, or takes for something else even in backticks.
  const names = new NamePool(['unknown', 'event', 'init', 'self'])
  return events.map((event) => {
    const base = camel(event.type)
    const name = names.take(/^\p{L}/u.test(base) ? base : `event${base}`)
    return { name: KEYWORDS.has(name) ? `\`${name}\`` : name, event }
  })
}

function writeStream (plan: StreamPlan, types: ReadonlyMap<string, string>): string {
  const { stream, name } = plan
  const cases = casesOf(plan)
  const declarations = cases.map(({ name, event: { type, format, payload, description } }) => {
    const data = format === 'null' ? '' : `(${payload === undefined ? 'String' : types.get(payload)!})`
    return [`Type ${literal(type)}.`, ...commentLines(description)].map((line) => `    /// ${line}\n`).join('') + `    case ${name}${data}\n`
  })
  const parsers = cases.map(({ name, event: { type, format, payload } }) => {
    const parse = {
      text: `self = .${name}(data)`,
      null: `try requireNull(data, of: event)\n            self = .${name}`,
      json: `self = .${name}(try decoder.decode(${types.get(payload ?? '') ?? 'JSONValue'}.self, from: json))`
    }[format]
    return `        case ${literal(type)}:\n            ${parse}\n`
  })
  const uses = (format: EventPlan['format']): boolean => cases.some(({ event }) => event.format === format)
  return `${[`An event of ${stream.method} ${stream.url}.`, ...commentLines(stream.summary)].map((line) => `/// ${line}`.trimEnd()).join('\n')}
public enum ${name}: Sendable {
${declarations.join('')}    /// A type that this file does not know: the server is newer.
    case unknown(event: String, data: String)

    /// The typed event of an event type and its data, as they come off the wire. An empty event type is that of an event
    /// without one: "message".
    ///
    /// - Throws: a \`DecodingError\` for data that does not fit
    public init(event: String, data: String) throws {
${uses('json') ? '        let decoder = JSONDecoder()\n        let json = Data(data.utf8)\n' : ''}        switch event.isEmpty ? "message" : event {
${parsers.join('')}        default:
            self = .unknown(event: event.isEmpty ? "message" : event, data: data)
        }
    }

    /// What the event's field on the wire says.
    public var event: String {
        switch self {
${cases.map(({ name, event: { type } }) => `        case .${name}: return ${literal(type)}\n`).join('')}        case .unknown(let event, _): return event
        }
    }
}`
}

function literal (text: string): string {
  return quote(text, (hex) => `\\u{${hex}}`)
}
