/**
 * Command and first arguments that run Node without what tap tells the processes that it starts: it puts a loader of its own into
 * their environment, whatever environment they are given, which slows them and gets in the way of other loaders.
 */
export const bareNode: readonly [command: string, ...args: string[]] = process.platform === 'win32'
  ? [process.execPath]
  : ['env', '-u', 'NODE_OPTIONS', process.execPath]
