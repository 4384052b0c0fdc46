import type { JSONSchema, Manifest, ManifestEvent, ManifestStream } from '../../schema/manifest.js'
import { NamePool, pascal, singular } from './names.js'
import { Shapes, type ObjectShape, type PropertyShape, type Shape } from './shapes.js'

/** What a language, as it is written here, can say. */
export interface Abilities {
  /** Names that no type may have. */
  readonly reserved: readonly string[]
  /** Whether there is a type for «a string or a list». Otherwise it is any value. */
  readonly hasUnions: boolean
  /** Whether a type may have a property of this name. An object with another one is a map. */
  canHaveProperty (name: string): boolean
  /** Whether there is a type for `null` alone. Otherwise it is any value. */
  readonly hasNull: boolean
}

/** All that is to be written. */
export interface Plan {
  readonly streams: readonly StreamPlan[]
  /** One schema for all models: an object whose properties are the payloads, by {@link EventPlan.payload}. */
  readonly schema: object
  /** Name of a type → what its documentation says. */
  readonly docs: ReadonlyMap<string, TypeDoc>
  /** Names of types that are given to models. */
  readonly modelNames: ReadonlySet<string>
  /** Names of types that are given to streams and their events. */
  readonly eventNames: ReadonlySet<string>
}

export interface TypeDoc {
  readonly description: string | undefined
  /** Name of a property, as JSON has it → its description. */
  readonly properties: ReadonlyMap<string, string>
}

export interface StreamPlan {
  readonly stream: ManifestStream
  /** Name of the type of its events: `OrdersByIdEvent`. */
  readonly name: string
  readonly events: readonly EventPlan[]
  /** Name of the type of an event that is not declared. */
  readonly unknownName: string
  /** Name of the function that reads an event, where functions stand beside types: `ParseOrdersByIdEvent`. */
  readonly parserName: string
}

export interface EventPlan {
  /** The event type, as the wire has it. */
  readonly type: string
  /** Name of the type of such an event: `OrdersByIdCreatedEvent`. */
  readonly name: string
  /** What its data is: JSON, text as it is, or nothing but `null`. */
  readonly format: 'json' | 'text' | 'null'
  /** Property of the plan's schema with the type of the data. Absent for text and `null`. */
  readonly payload?: string
  readonly description: string | undefined
}

/** One of the types that a value may have. */
interface Part {
  /** What it is called beside others, in the name of its type. */
  readonly kind: string
  lower (hint: string): unknown
}

/** Name of the object that holds all payloads. It is not written. */
export const HOLDER = 'AllPayloads'

/** Decides on names, and brings each schema into a form that quicktype makes the right type of. */
export function toPlan (manifest: Manifest, abilities: Abilities): Plan {
  // A schema is one thing for its place, whether the manifest has been through JSON or not.
  const { streams, controlEvents } = JSON.parse(JSON.stringify(manifest)) as Manifest
  return new Planner(abilities).plan(streams, controlEvents)
}

class Planner {
  readonly #abilities: Abilities
  readonly #names: NamePool
  readonly #shapes = new Shapes()
  readonly #payloads: Record<string, unknown> = {}
  readonly #definitions: Record<string, unknown> = {}
  /** Key of a shape → name of the definition that is made of it. */
  readonly #defined = new Map<string, string>()
  readonly #docs = new Map<string, TypeDoc>()
  readonly #shared = new Map<string, string>()

  constructor (abilities: Abilities) {
    this.#abilities = abilities
    this.#names = new NamePool([...abilities.reserved, HOLDER])
  }

  plan (streams: readonly ManifestStream[], controlEvents: Manifest['controlEvents']): Plan {
    const all = streams.flatMap((stream) => Object.values(stream.events ?? {}))
    for (const { schema } of [...all, ...Object.values(controlEvents)]) this.#shapes.add(schema)
    // The names of streams come first, then those of their events: what is called is more stable than what it is made of.
    const eventNames = new Set<string>()
    const take = (base: string, suffix: string): string => {
      const name = this.#names.take(base, suffix)
      eventNames.add(name)
      return name
    }
    const named = streams.map((stream) => ({ stream, base: pascal(stream.name), name: take(pascal(stream.name), 'Event') }))
    const unplanned = named.map(({ stream, base, name }) => {
      const parserName = take('Parse', name)
      const unknownName = take(`${base}Unknown`, 'Event')
      const own = Object.entries(stream.events ?? {}).map(([type, event]) => ({ type, event, title: base + pascal(type), key: undefined }))
      const sent = stream.controlEvents.map((type) => ({ type, event: controlEvents[type], title: pascal(type), key: type }))
      const events = [...own, ...sent].map((event) => ({ ...event, name: take(base + pascal(event.type), 'Event') }))
      return { stream, name, unknownName, parserName, events }
    })
    const planned = unplanned.map(({ events, ...rest }) => ({
      ...rest,
      events: events.map(({ type, event, title, key, name }): EventPlan =>
        ({ type, name, description: describe(event.schema), ...this.#payload(event, title, key) }))
    }))
    const names = Object.keys(this.#payloads)
    return {
      streams: planned,
      schema: {
        type: 'object',
        properties: this.#payloads,
        required: names,
        quicktypePropertyOrder: names,
        additionalProperties: false,
        definitions: this.#definitions
      },
      docs: this.#docs,
      modelNames: new Set(Object.keys(this.#definitions)),
      eventNames
    }
  }

  /** @param key the same for all that share one type */
  #payload ({ format, schema }: ManifestEvent, title: string, key: string | undefined): Pick<EventPlan, 'format' | 'payload'> {
    if (format === 'text') return { format: 'text' }
    const shape = this.#shapes.look(schema)
    if (isNull(shape)) return { format: 'null' }
    let payload = key === undefined ? undefined : this.#shared.get(key)
    if (payload === undefined) {
      payload = `payload${Object.keys(this.#payloads).length}`
      if (key !== undefined) this.#shared.set(key, payload)
      this.#payloads[payload] = this.#lower(schema, title, new Set())
    }
    return { format: 'json', payload }
  }

  /**
   * @param hint name of the type, if it needs one and has none
   * @param open keys of what this is part of, up to the next object with a name
   */
  #lower (schema: JSONSchema, hint: string, open: ReadonlySet<string>): unknown {
    const shape = this.#shapes.look(schema)
    // What contains itself needs a name to do so, and lists and unions have none in most languages.
    if (shape.isAny || open.has(shape.key)) return true
    const parts = this.#partsOf(shape, new Set(open).add(shape.key))
    if (parts.length > 1) return this.#abilities.hasUnions ? this.#lowerUnion(shape, parts, hint) : true
    if (parts.length === 0) return shape.isNullable && this.#abilities.hasNull ? { type: 'null' } : true
    const part = parts[0]!.lower(hint)
    return shape.isNullable ? { anyOf: [part, { type: 'null' }] } : part
  }

  #partsOf (shape: Shape, open: ReadonlySet<string>): Part[] {
    const { hasBoolean, number, strings, array, object } = shape
    const parts: Part[] = []
    if (hasBoolean) parts.push({ kind: 'Boolean', lower: () => ({ type: 'boolean' }) })
    if (number !== undefined) parts.push({ kind: 'Number', lower: () => ({ type: number }) })
    if (strings !== undefined) parts.push({ kind: 'Text', lower: (hint) => this.#lowerStrings(shape, hint) })
    if (array !== undefined) parts.push({ kind: 'List', lower: (hint) => ({ type: 'array', items: this.#lower(array, singular(hint), open) }) })
    if (object !== undefined) parts.push({ kind: 'Object', lower: (hint) => this.#lowerObject(object, hint, open) })
    return parts
  }

  #lowerStrings ({ strings, stringsKey }: Shape, hint: string): unknown {
    // A type of one member says no more than its only value does, and refuses the second one that a newer server has.
    if (strings === 'all' || strings === undefined || strings.length < 2) return { type: 'string' }
    return this.#define(`strings ${stringsKey}`, this.#shapes.nameOf(stringsKey), hint, () => ({ type: 'string', enum: strings }))
  }

  #lowerUnion ({ key, isNullable }: Shape, parts: readonly Part[], hint: string): unknown {
    return this.#define(`union ${key}`, this.#shapes.nameOf(key), hint, (name) => ({
      anyOf: [...parts.map(({ kind, lower }) => lower(name + kind)), ...(isNullable ? [{ type: 'null' }] : [])]
    }))
  }

  #lowerObject (object: ObjectShape, hint: string, open: ReadonlySet<string>): unknown {
    const { key, properties, additional, title, description } = object
    const names = [...properties.keys()]
    if (names.length === 0 && additional !== undefined) return { type: 'object', additionalProperties: this.#lower(additional, `${hint}Value`, open) }
    // Known and unknown properties side by side: a type with the known ones would lose the others.
    if (names.length === 0 || additional !== undefined || !names.every((name) => this.#abilities.canHaveProperty(name))) {
      return { type: 'object', additionalProperties: true }
    }
    const given = this.#shapes.nameOf(key) ?? (title !== undefined && /^[A-Za-z]\w*$/.test(title) ? title : undefined)
    return this.#define(`object ${key}`, given, hint, (name) => {
      this.#docs.set(name, {
        description,
        properties: new Map([...properties].flatMap(([property, { description }]) => description === undefined ? [] : [[property, description]]))
      })
      return {
        type: 'object',
        properties: Object.fromEntries([...properties].map(([property, shape]) => [property, this.#lowerProperty(shape, name + pascal(property))])),
        required: names.filter((property) => properties.get(property)!.isRequired),
        quicktypePropertyOrder: names,
        additionalProperties: false
      }
    })
  }

  #lowerProperty ({ schema }: PropertyShape, hint: string): unknown {
    return this.#lower(schema, hint, new Set())
  }

  /** One type for all that has the same key. */
  #define (key: string, given: string | undefined, hint: string, make: (name: string) => object): unknown {
    let name = this.#defined.get(key)
    if (name === undefined) {
      const base = pascal(given ?? hint)
      name = this.#names.take(/^\p{Lu}/u.test(base) ? base : `Type${base}`)
      this.#defined.set(key, name)
      // The place is taken before what stands in it is made: definitions come in the order in which they are met.
      this.#definitions[name] = {}
      this.#definitions[name] = { title: name, ...make(name) }
    }
    return { $ref: `#/definitions/${name}` }
  }
}

function isNull ({ isAny, isNullable, hasBoolean, number, strings, array, object }: Shape): boolean {
  return !isAny && isNullable && !hasBoolean && [number, strings, array, object].every((part) => part === undefined)
}

function describe (schema: JSONSchema): string | undefined {
  return typeof schema === 'object' && typeof schema['description'] === 'string' ? schema['description'] : undefined
}
