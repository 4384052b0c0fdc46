import type { OpenLink } from './connect.js'
export const openLink: OpenLink = () => { throw new Error('x') }
