import neostandard from 'neostandard'
import tseslint from 'typescript-eslint'

export default [
  { ignores: ['dist/', '.tap/', 'coverage/', 'examples/generate/client/', 'test/fixtures/golden/'] },
  ...neostandard({ ts: true }),
  {
    rules: {
      '@stylistic/max-len': ['error', { code: 160, ignoreUrls: true, ignoreStrings: true, ignoreTemplateLiterals: true, ignoreRegExpLiterals: true }]
    }
  },
  {
    files: ['lib/**/*.ts'],
    languageOptions: { parserOptions: { projectService: true } },
    plugins: { '@typescript-eslint': tseslint.plugin },
    rules: {
      'no-void': ['error', { allowAsStatement: true }],
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-unnecessary-type-assertion': 'error'
    }
  },
  {
    // A type may be named before the symbol that marks it, and one name may be a type and a value.
    files: ['**/*.ts'],
    rules: { '@typescript-eslint/no-use-before-define': 'off', '@typescript-eslint/no-redeclare': 'off', 'no-redeclare': 'off' }
  },
  {
    // Type tests declare values that nobody reads, and an augmentation repeats the names of all parameters.
    files: ['types/**/*.ts'],
    rules: { '@typescript-eslint/no-unused-vars': 'off', '@typescript-eslint/no-explicit-any': 'off' }
  },
  {
    files: ['examples/demo/page/**/*.js'],
    languageOptions: {
      globals: {
        EventSource: 'readonly', getSelection: 'readonly', location: 'readonly', matchMedia: 'readonly', requestAnimationFrame: 'readonly'
      }
    }
  },
  {
    // A test leaves loops early on purpose, and waits for what others change.
    files: ['test/**/*.ts', 'bench/**', 'examples/**'],
    rules: { 'no-unreachable-loop': 'off', 'no-unmodified-loop-condition': 'off', '@stylistic/max-len': 'off' }
  }
]
