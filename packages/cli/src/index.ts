export { EXIT, type ExitCode } from './exit-code.ts';
export { runCommandLine } from './run-command-line.ts';
export type { World } from './world.ts';
