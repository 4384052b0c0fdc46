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
 * What inference takes for an event before it is judged: anything, so that a wrong event reaches {@link EventProblem}
 * and gets a sentence; and `Ev`, so that an editor completes it and literals stay literal.
 *
 * It passes the judgement itself. If it did not, TypeScript would infer a source to be of this type and nothing closer.
 */
export type Unjudged<Ev> = Ev | AnyEvent | {} | null | undefined

interface AnyEvent {
  readonly [kUnjudged]?: never
  // Beside a type like this one, an event type that is not declared stays a literal too, so that it can be named.
  event?: Uppercase<string> | {} | null
}

declare const kUnjudged: unique symbol

type ProblemOf<E, Ev> = E extends unknown
  ? [E] extends [Ev] ? ExcessOfEvent<E, OfSameType<E, Ev>> : MismatchOfEvent<E, Ev>
  : never

// Events

type ExcessOfEvent<E, Ev> =
  | ExcessKeys<E, Ev, `${Subject<E>}: `>
  | Excess<Prop<E, 'data'>, Prop<Ev, 'data'>, `${Subject<E>}: data`>

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

// Data that fits, and has more than is declared

/** How deep data is looked into for undeclared properties. Below, they pass. */
type MaxDepth = 8

type Excess<E, D, Path extends string, Depth extends 0[] = []> = IsAny<E> extends true
  ? never
  : Depth['length'] extends MaxDepth
    ? never
    // What the declared type covers as a whole has nothing more in it. This ends with types that contain themselves.
    : [unknown] extends [D] ? never : [D] extends [E] ? never : ExcessOf<E, D, Path, Depth>

type ExcessOf<E, D, Path extends string, Depth extends 0[]> = E extends Atom
  ? never
  : E extends readonly unknown[]
    ? Excess<E[number], Extract<D, readonly unknown[]>[number], `${Path}[]`, [...Depth, 0]>
    : ExcessOfObject<E, Fitting<E, D>, Path, Depth>

type ExcessOfObject<E, D, Path extends string, Depth extends 0[]> = [KeyOf<D>] extends [never]
  ? never
  : Either<
    ExcessKeys<E, D, `${Path}.`>,
    { [K in keyof E & KeyOf<D> & Printable]-?: Excess<E[K], Prop<D, K>, `${Path}.${K}`, [...Depth, 0]> }[keyof E & KeyOf<D> & Printable]
  >

// A property that is undefined or a function never reaches the wire: the methods of an object may stay.
type ExcessKeys<E, D, Prefix extends string> = {
  [K in Exclude<keyof E, KeyOf<D>> & Printable]-?: E[K] extends Unsent ? never : `${Prefix}${K} is not declared`
}[Exclude<keyof E, KeyOf<D>> & Printable]

/** The members of a union that a value is assignable to by itself; all of them when it needs several. */
type Fitting<E, D> = [D extends unknown ? E extends D ? D : never : never] extends [infer Some]
  ? [Some] extends [never] ? D : Some
  : never

// Data that does not fit

type MismatchOfKeys<E, D, Prefix extends string> = {
  [K in keyof D & Printable]-?: K extends keyof E
    ? [E[K]] extends [D[K]] ? never : Mismatch<E[K], Exclude<D[K], undefined>, `${Prefix}${K}`>
    : {} extends Pick<D, K> ? never : `${Prefix}${K} is missing`
}[keyof D & Printable]

type Mismatch<E, D, Path extends string> = [unknown] extends [E]
  ? `${Path} is unknown`
  : IsUnion<D> extends true ? `${Path} does not match its schema` : MismatchOf<E, D, Path>

type MismatchOf<E, D, Path extends string> = D extends Atom
  ? `${Path} is not ${Name<D>}`
  : D extends readonly unknown[]
    ? E extends readonly unknown[]
      ? number extends D['length'] ? Mismatch<E[number], D[number], `${Path}[]`> : `${Path} does not match its schema`
      : `${Path} is not an array`
    : E extends Atom | readonly unknown[]
      ? `${Path} is not an object`
      : Either<MismatchOfKeys<E, D, `${Path}.`>, `${Path} does not match its schema`>

// Types

type Atom = string | number | bigint | boolean | symbol | null | undefined | ((...args: never) => unknown)
type Unsent = undefined | ((...args: never) => unknown)
type Printable = string | number

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
type IsAny<T> = 0 extends 1 & T ? true : false
// boolean is a union too, and has a name.
type IsUnion<T, U = T> = [T] extends [boolean] ? false : T extends unknown ? [U] extends [T] ? false : true : never
