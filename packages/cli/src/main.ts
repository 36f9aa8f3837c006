import { readFileSync } from 'node:fs';
import { hostname, userInfo } from 'node:os';
import { greetServer } from '@podmesh/jetstream';
import { connectClient } from '@podmesh/sdk';
import { InstalledDaemon } from './home/daemon-program.ts';
import { Home, homePath } from './home/home.ts';
import { InstalledImages } from './home/image-program.ts';
import { runSystemProgram } from './home/user-unit.ts';
import { runCommandLine } from './run-command-line.ts';
import { ProcessTerminal } from './terminal.ts';
import type { World } from './world.ts';

/** The real world: this process, this machine. */
function thisWorld(): World {
  const home = new Home(homePath(process.env));
  return {
    env: process.env,
    cwd: process.cwd(),
    isRoot: process.getuid?.() === 0,
    user: `${userName()}@${hostname()}`,
    version: ownVersion(),
    terminal: new ProcessTerminal(process.stdout, process.stderr),
    stdin: process.stdin,
    home,
    daemon: new InstalledDaemon(home),
    images: new InstalledImages(home),
    program: runSystemProgram,
    connect: (url) => connectClient(url, 'podmesh-cli'),
    greet: greetServer,
    onInterrupt: (listener) => {
      process.on('SIGINT', listener);
      return () => process.off('SIGINT', listener);
    },
    now: () => new Date(),
  };
}

/** In a container the number of a user may have no name. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid-${process.getuid?.() ?? 'unknown'}`;
  }
}

function ownVersion(): string {
  const path = new URL('../package.json', import.meta.url);
  return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version;
}

// Whoever reads our output has seen enough (`podmesh logs last | head`): the end, and no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? 0 : 1);
});
process.stderr.on('error', () => undefined);

const exitCode = await runCommandLine(process.argv.slice(2), thisWorld());
// All output was taken; what a broken connection still waits for must not keep us.
process.exit(exitCode);
