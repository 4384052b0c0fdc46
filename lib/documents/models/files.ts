/** A language that models can be written in. */
export type ModelLanguage = 'go' | 'kotlin' | 'swift' | 'python'

/** Language → what the file with its models is called by custom. */
export const MODEL_FILES: Readonly<Record<ModelLanguage, string>> = {
  go: 'streams.go',
  kotlin: 'Streams.kt',
  swift: 'Streams.swift',
  python: 'streams.py'
}
