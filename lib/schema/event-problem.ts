/**
 * What is wrong with the events of a source, as a type: `never` when nothing is, else a sentence for each mistake.
 *
 * TypeScript infers the type of an inline generator from its `yield`s and forgets that they were object literals, so it
 * would let properties pass that no schema declares. And where it does refuse a generator, it explains the difference
 * between two `AsyncGenerator`s. Here the mistake is looked for in the event itself, and the sentence says where it is.
 *
 * Events typed `any` pass: the run-time check is the one that sees them.
 *
 * @typeParam E the events that a source gives, a union
 * @typeParam Ev the events that the route declares, a union
 */
export type EventProblem<E, Ev> = IsAny<E> extends true
  ? never
  : typeof kUnjudged extends KeyOf<E> ? never : ProblemOf<E, Ev>

/**
 * What TypeScript takes for an event before it is judged: anything, so that a wrong event gets as far as
 * {@link EventProblem} and a sentence; and `Ev`, so that an editor completes it and literals stay literal.
 *
 * It passes the judgement itself. If it did not, TypeScript would infer a source to be of this type and nothing closer.
 */
export type Unjudged<Ev> = Ev | Marked | {} | null | undefined

interface Marked {
  readonly [kUnjudged]?: never
}

declare const kUnjudged: unique symbol

type ProblemOf<E, Ev> = E extends unknown
  ? [E] extends [Ev] ? ExcessOfKeys<E, OfSameType<E, Ev>, `${Subject<E>}: `, MaxDepth> : MismatchOfEvent<E, Ev>
  : never

// Events

type MismatchOfEvent<E, Ev> = [unknown] extends [E]
  ? 'nothing is known of the events that the source gives: give it a type'
  : E extends Atom | readonly unknown[]
    ? 'the source does not give events: an event is { event, data, id?, retry? }'
    : Either<
      EventTypeProblem<E, Prop<Ev, 'event'>>,
      Either<
        MismatchOfFields<Omit<E, 'event'>, OfSameType<E, Ev>, `${Subject<E>}: `>,
        `${Subject<E>} does not match its schema`
      >
    >

type MismatchOfFields<E, Ev, Prefix extends string> =
  | MismatchOfKeys<E, { data: Prop<Ev, 'data'>, retry?: number | undefined }, Prefix>
  | ([Prop<E, 'id'>] extends [string | number | undefined] ? never : `${Prefix}id is not a string or a number`)

type EventTypeProblem<E, Declared> = E extends { event: infer Type }
  ? [Type] extends [Declared]
      ? never
      : string extends Type
        ? 'the event type is string, and not one of those declared: use the make of the contract, or write the type as a literal'
        : Exclude<Type, Declared> extends string
          ? `event '${Exclude<Type, Declared> & string}' is not declared`
          : 'the event type is not a string'
  : undefined extends Declared ? never : 'event is missing: an event is { event, data, id?, retry? }'

/** The declared events that an event may be. */
type OfSameType<E, Ev> = E extends { event: infer Type }
  ? Ev extends { event: infer Declared } ? Type extends Declared ? Ev : Declared extends Type ? Ev : never : Ev
  : Ev

type Subject<E> = E extends { event: infer Type extends string }
  ? string extends Type ? 'event' : `event '${Type}'`
  : 'event'

// What fits, and has more than is declared

/** How many levels are looked into for properties that are not declared: the event, and eight of data. Below, they pass. */
type MaxDepth = 8
type Less = [never, 0, 1, 2, 3, 4, 5, 6, 7]

type Excess<E, D, Path extends string, Depth extends number> = E extends Atom
  ? never
  // What the declared type covers as a whole has nothing more in it. This ends with types that contain themselves.
  : [D] extends [E]
      ? never
      : E extends readonly unknown[]
        ? Depth extends 0 ? never : Excess<E[number], ElementOf<D>, `${Path}[]`, Less[Depth]>
        : ExcessOfKeys<E, Fitting<E, D>, `${Path}.`, Depth>

type ExcessOfKeys<E, D, Prefix extends string, Depth extends number, Declared = KeyOf<D>> = [Declared] extends [never]
  ? never
  : Either<
    [keyof E] extends [Declared] ? never : ExcessKeys<E, Exclude<keyof E, Declared>, Prefix>,
    Depth extends 0 ? never : ExcessInside<E, D, Prefix, Less[Depth]>
  >

// Undefined and functions never reach the wire: the methods of an object may stay.
type ExcessKeys<E, Keys extends keyof E, Prefix extends string> = {
  [K in Keys & Named]-?: E[K] extends Unsent ? never : {} extends Record<K, 1> ? never : `${Prefix}${K} is not declared`
}[Keys & Named]

type ExcessInside<E, D, Prefix extends string, Depth extends number> = {
  // Most properties are atoms: asking first saves most of the work.
  [K in keyof E]-?: E[K] extends Atom ? never : Excess<E[K], Prop<D, K>, `${Prefix}${K & Named}`, Depth>
}[keyof E]

/** The members of a union that a value is assignable to by itself; all of them when it needs several. */
type Fitting<E, D> = IsUnion<D> extends true ? Either<D extends unknown ? E extends D ? D : never : never, D> : D

// What does not fit

type MismatchOfKeys<E, D, Prefix extends string, Depth extends number = MaxDepth> =
  Either<MismatchHere<E, D, Prefix>, Depth extends 0 ? never : MismatchInside<E, D, Prefix, Less[Depth]>>

type MismatchHere<E, D, Prefix extends string> = {
  [K in keyof D & Named]-?: K extends keyof E
    ? [E[K]] extends [D[K]]
        // With exactOptionalPropertyTypes.
        ? Pick<E, K> extends Pick<D, K> ? never : `${Prefix}${K} may be undefined: leave it out then`
        : D[K] extends Atom ? Mismatch<E[K], Exclude<D[K], undefined>, `${Prefix}${K}`, 0> : never
    : {} extends Pick<D, K> ? never : `${Prefix}${K} is missing`
}[keyof D & Named]

type MismatchInside<E, D, Prefix extends string, Depth extends number> = {
  [K in keyof D & keyof E & Named]-?: [E[K]] extends [D[K]] ? never : Mismatch<E[K], Exclude<D[K], undefined>, `${Prefix}${K}`, Depth>
}[keyof D & keyof E & Named]

type Mismatch<E, D, Path extends string, Depth extends number> = [unknown] extends [E]
  ? `${Path} is unknown`
  : E extends D
    ? never
    : IsUnion<D> extends true ? `${Path} does not match its schema` : MismatchOf<E, D, Path, Depth>

type MismatchOf<E, D, Path extends string, Depth extends number> = D extends Atom
  ? `${Path} is not ${Name<D>}`
  : D extends readonly unknown[]
    ? E extends readonly unknown[] ? MismatchOfArray<E, D, Path, Depth> : `${Path} is not an array`
    : E extends Atom | readonly unknown[]
      ? `${Path} is not an object`
      : Either<MismatchOfKeys<E, D, `${Path}.`, Depth>, `${Path} does not match its schema`>

type MismatchOfArray<E extends readonly unknown[], D extends readonly unknown[], Path extends string, Depth extends number> =
  [E[number]] extends [D[number]]
    ? E extends unknown[] ? `${Path} does not match its schema` : `${Path} is readonly: hand over a copy`
    : Depth extends 0
      ? `${Path} does not match its schema`
      : number extends D['length'] ? Mismatch<E[number], D[number], `${Path}[]`, Less[Depth]> : `${Path} does not match its schema`

// Types

type Atom = string | number | bigint | boolean | symbol | null | undefined | ((...args: never) => unknown)
type Unsent = undefined | ((...args: never) => unknown)
type Named = string | number

type Name<T> = T extends string
  ? string extends T ? 'a string' : `'${T}'`
  : T extends number
    ? number extends T ? 'a number' : `${T}`
    : T extends boolean
      ? 'a boolean'
      : T extends null | undefined ? `${T}` : 'what its schema says'

/** The first, unless it is `never`. */
type Either<First, Second> = [First] extends [never] ? Second : First

type KeyOf<T> = T extends unknown ? keyof T : never
type Prop<T, K> = T extends unknown ? K extends keyof T ? T[K] : never : never
type ElementOf<T> = T extends readonly (infer Element)[] ? Element : never
type IsAny<T> = 0 extends 1 & T ? true : false
// boolean is a union too, and has a name.
type IsUnion<T, U = T> = [T] extends [boolean] ? false : T extends unknown ? [U] extends [T] ? false : true : never
