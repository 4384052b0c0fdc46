import { ValueErrorType, type ValueError } from '@sinclair/typebox/errors'

/**
 * The errors of the one branch of a union that was meant, when it can be told: no other has an error deeper inside and none
 * at a constant. The error itself when it cannot, or is not of a union.
 *
 * @param limit how many errors of a branch are looked at
 */
export function explainUnion (error: ValueError, limit: number): ValueError[] {
  if (error.type !== ValueErrorType.Union) return [error]
  const meant: ValueError[][] = []
  for (const branch of error.errors) {
    const errors: ValueError[] = []
    for (const inner of branch) {
      errors.push(inner)
      if (errors.length === limit) break
    }
    if (errors.every(({ path, type }) => path !== error.path && type !== ValueErrorType.Literal)) meant.push(errors)
  }
  return meant.length === 1 ? meant[0]!.flatMap((inner) => explainUnion(inner, limit)) : [error]
}
