import type { EventProblem, Unjudged } from '../lib/schema/event-problem.js'
import type { UntypedEvent } from '../lib/stream/types.js'
import { expect, type Equal, type Order } from './support.tst.js'

type Problem<E> = EventProblem<E, Order>
type Says<E, Sentence> = Equal<Problem<E>, Sentence>

// Nothing is wrong.

expect<Says<Order, never>>()
expect<Says<never, never>>()
expect<Says<any, never>>()
expect<Says<{ event: 'removed', data: any }, never>>()
expect<Says<{ event: 'removed' | 'closing', data: any, id: 0 }, never>>()
expect<Says<{ readonly event: 'removed', readonly data: { readonly id: 1 } }, never>>()
expect<Says<{ event: 'removed', data: { id: 1, toString: () => string, reason: undefined } }, never>>()

// Inference depends on this one: see Unjudged.
expect<Says<Unjudged<Order>, never>>()

// The sentence names the event and the place, and what was expected there.

expect<Says<unknown, 'nothing is known of the events that the source gives: give it a type'>>()
expect<Says<string, 'the source does not give events: an event is { event, data, id?, retry? }'>>()
expect<Says<Order[], 'the source does not give events: an event is { event, data, id?, retry? }'>>()
expect<Says<{ data: null }, 'event is missing: an event is { event, data, id?, retry? }'>>()
expect<Says<{ event: 1, data: null }, 'the event type is not a string'>>()
expect<Says<{ event: string, data: null }, 'the event type is string, and not one of those declared: use the make of the contract, or write the type as a literal'>>()
expect<Says<{ event: 'moved', data: null }, "event 'moved' is not declared">>()
expect<Says<{ event: 'moved' | 'removed', data: { id: 1 } }, "event 'moved' is not declared">>()
expect<Says<{ event: 'removed' }, "event 'removed': data is missing">>()
expect<Says<{ event: 'removed', data: null }, "event 'removed': data is not an object">>()
expect<Says<{ event: 'removed', data: unknown }, "event 'removed': data is unknown">>()
expect<Says<{ event: 'removed', data: {} }, "event 'removed': data.id is missing">>()
expect<Says<{ event: 'removed', data: { id: string } }, "event 'removed': data.id is not a number">>()
expect<Says<{ event: 'removed', data: { id: number, reason: string } }, "event 'removed': data.reason is not declared">>()
expect<Says<{ event: 'count', data: string }, "event 'count': data is not a number">>()
expect<Says<{ event: 'closing', data: undefined }, "event 'closing': data is not null">>()
expect<Says<{ event: 'closing', data: null, id: boolean }, "event 'closing': id is not a string or a number">>()
expect<Says<{ event: 'closing', data: null, retry: string }, "event 'closing': retry is not a number">>()
expect<Says<{ event: 'closing', data: null, comment: string }, "event 'closing': comment is not declared">>()

interface Created { id: number, kind: 'web', lines: Array<{ sku: string, count: number }> }
type Line<T> = { event: 'created', data: Omit<Created, 'lines'> & { lines: T } }
expect<Says<Line<ReadonlyArray<{ sku: string, count: number }>>, "event 'created': data.lines is readonly: hand over a copy">>()
expect<Says<{ event: 'created', data: Created & { note: string | undefined } }, "event 'created': data.note may be undefined: leave it out then">>()
expect<Says<Line<1>, "event 'created': data.lines is not an array">>()
expect<Says<Line<[1]>, "event 'created': data.lines[] is not an object">>()
expect<Says<Line<Array<{ sku: string }>>, "event 'created': data.lines[].count is missing">>()
expect<Says<Line<Array<{ sku: string, count: number } | { sku: string, count: string }>>, "event 'created': data.lines[].count is not a number">>()
expect<Says<Line<Array<{ sku: string, count: string }>>, "event 'created': data.lines[].count is not a number">>()
expect<Says<Line<Array<{ sku: string, count: 1, price: 2 }>>, "event 'created': data.lines[].price is not declared">>()
expect<Says<{ event: 'created', data: Created & { note: 1 } }, "event 'created': data.note is not a string">>()
expect<Says<{ event: 'created', data: Omit<Created, 'kind'> & { kind: 'fax' } }, "event 'created': data.kind does not match its schema">>()

// Each event that is wrong has its sentences: the outermost ones.

expect<Says<
  { event: 'moved', data: null } | { event: 'count', data: 1 } | { event: 'removed', data: { id: 1, by: 2, at: 3 } },
  "event 'moved' is not declared" | "event 'removed': data.by is not declared" | "event 'removed': data.at is not declared"
>>()
expect<Says<
  { event: 'removed', data: { id: 1, by: 2 }, at: 3, to: 4 },
  "event 'removed': at is not declared" | "event 'removed': to is not declared"
>>()

// Without a declaration.

expect<Equal<EventProblem<UntypedEvent, UntypedEvent>, never>>()
expect<Equal<EventProblem<{ data: { a: 1 } } | { event: string, data: null }, UntypedEvent>, never>>()
expect<Equal<EventProblem<{ event: string }, UntypedEvent>, 'event: data is missing'>>()
expect<Equal<EventProblem<{ evnet: 'x', data: null }, UntypedEvent>, 'event: evnet is not declared'>>()

// Data is looked into for eight levels.

interface Nested { next: Nested | null }
type Deep = { next: { next: { next: { next: { next: { next: { next: { next: null, x: 7 } } } } } } } }
type Deeper = { next: Deep }
expect<Equal<EventProblem<{ event: 'a', data: Deep }, { event: 'a', data: Nested }>, "event 'a': data.next.next.next.next.next.next.next.x is not declared">>()
expect<Equal<EventProblem<{ event: 'a', data: Deeper }, { event: 'a', data: Nested }>, never>>()

// A type that contains itself and has more than is declared ends there too.

interface Tree { name: string, children: Tree[] }
interface Wider extends Tree { children: Wider[], x: number }
interface Chain { next?: Chain, deep: { x: Chain[] } }
interface WiderChain { next?: WiderChain, deep: { x: WiderChain[], y?: 1 } }
expect<Equal<EventProblem<{ event: 'a', data: Wider }, { event: 'a', data: Tree }>, "event 'a': data.x is not declared">>()
expect<Equal<EventProblem<{ event: 'a', data: WiderChain }, { event: 'a', data: Chain }>, never>>()

// So does one that does not fit.

interface Numbered { name: number, children: Numbered[] }
interface Endless { next: { list: Endless[] } }
interface EndlessToo { next: { list: EndlessToo[], name: string } }
expect<Equal<EventProblem<{ event: 'a', data: Tree }, { event: 'a', data: Numbered }>, "event 'a': data.name is not a number">>()
expect<Equal<EventProblem<{ event: 'a', data: Endless }, { event: 'a', data: EndlessToo }>, "event 'a': data.next.name is missing">>()
