/**
 * A name in PascalCase, of letters, digits and what else may stand in an identifier, in any script: `order-created` is
 * `OrderCreated`, `größe` is `Größe`. What does not show, such as the selector in ❤️, is none of them. One without any of
 * them is made of its code points: `🎉` is `U1F389`.
 *
 * What begins with a digit begins with a digit here: put something in front, or see {@link typeName}.
 */
export function pascalCase (name: string): string {
  const words = name.normalize('NFC').split(/(?:[^\p{ID_Continue}]|[_\p{Default_Ignorable_Code_Point}])+/u).filter((word) => word !== '')
  if (words.length === 0) return [...name].map((char) => `U${char.codePointAt(0)!.toString(16).toUpperCase()}`).join('')
  return words.map((word) => {
    const rest = words.length > 1 && /^\p{Lu}[\p{Lu}\d]*$/u.test(word) ? word.slice(1).toLowerCase() : word.slice(1)
    // A letter of two code units has no capital of another length; other capitals may be two letters (ß).
    return /^[\ud800-\udbff]/.test(word) ? word : word.charAt(0).toUpperCase() + rest
  }).join('')
}

/** {@link pascalCase} as an identifier. */
export function typeName (name: string): string {
  const given = pascalCase(name)
  return /^\p{ID_Start}/u.test(given) ? given : `_${given}`
}
