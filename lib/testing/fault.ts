/** The stream has failed after it was opened: what `sse.fault` says. */
export class StreamFaultError extends Error {
  override readonly name = 'StreamFaultError'
  /** One of the codes in ERRORS.md, or that of the application's own error when that is exposed. */
  readonly code: string

  /** @param message what the server says: redacted, unless the error is exposed */
  constructor (code: string, message: string) {
    super(message)
    this.code = code
  }
}
