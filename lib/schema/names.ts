/** Gives out names of which none is given twice. */
export class Names {
  readonly #taken: Set<string>
  readonly #wanted: ReadonlySet<string>

  /**
   * @param reserved names that are never given
   * @param wanted names that somebody will ask for: they are not given to those who asked for a name that was taken
   */
  constructor (reserved: Iterable<string>, wanted: Iterable<string> = []) {
    this.#taken = new Set(reserved)
    this.#wanted = new Set(wanted)
  }

  /** The name itself for the first who asks, and with a number from 2 on for the others. */
  give (name: string): string {
    let given = name
    for (let n = 2; this.#taken.has(given) || (given !== name && this.#wanted.has(given)); n++) given = `${name}${n}`
    this.#taken.add(given)
    return given
  }
}
