import { EventEmitter } from 'node:events'
import type { SSEApi } from '../lib/index.js'
import { expect, type Equal } from './support.tst.js'

declare const sse: SSEApi
declare const signal: AbortSignal

// The arguments are those that the emitter declares.
const prices = sse.on(new EventEmitter<{ price: [symbol: string, price: number] }>(), 'price', { signal })
expect<Equal<typeof prices, AsyncIterableIterator<[symbol: string, price: number]>>>()

// Of an emitter without declared events they are anything, unless they are given.
const anything = sse.on(new EventEmitter(), 'price', { signal })
expect<Equal<typeof anything, AsyncIterableIterator<any[]>>>()
const given = sse.on<[number]>(new EventEmitter(), 'price', { signal })
expect<Equal<typeof given, AsyncIterableIterator<[number]>>>()

// @ts-expect-error without a signal the listeners would stay
sse.on(new EventEmitter(), 'price')
// @ts-expect-error an unknown option
sse.on(new EventEmitter(), 'price', { signal, max: 5 })

// What an iterable gives stays what it is.
const abortable = sse.abortable([1, 2], signal)
expect<Equal<typeof abortable, AsyncIterableIterator<number>>>()
