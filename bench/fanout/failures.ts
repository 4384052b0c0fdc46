/** What could not be measured, and why: one contender that misbehaves does not end the run. */
export class Failures {
  readonly #reasons = new Map<string, string>()

  add (contender: string, part: string, error: unknown): void {
    this.#reasons.set(`${part}\n${contender}`, error instanceof Error ? error.message.split('\n')[0]! : String(error))
  }

  has (contender: string, part: string): boolean {
    return this.#reasons.has(`${part}\n${contender}`)
  }

  /** Lines to print below a part's table. */
  of (part: string): string[] {
    return [...this.#reasons].filter(([key]) => key.startsWith(`${part}\n`)).map(([key, reason]) => `${key.slice(part.length + 1)} failed: ${reason}`)
  }

  toJSON (): Record<string, string> {
    return Object.fromEntries([...this.#reasons].map(([key, reason]) => [key.replace('\n', ': '), reason]))
  }
}
