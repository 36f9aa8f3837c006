import type { Client } from '@podmesh/sdk';
import type { DaemonProgram } from './home/daemon-program.ts';
import type { Home } from './home/home.ts';
import type { ImageProgram } from './home/image-program.ts';
import type { SystemProgram } from './home/user-unit.ts';
import type { Terminal } from './terminal.ts';

/** Everything a command may touch, so that tests can hand in another world. `main.ts` builds the real one. */
export interface World {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly isRoot: boolean;
  /** `user@host`. */
  readonly user: string;
  readonly version: string;
  readonly terminal: Terminal;
  readonly stdin: AsyncIterable<Uint8Array>;
  readonly home: Home;
  readonly daemon: DaemonProgram;
  readonly images: ImageProgram;
  readonly program: SystemProgram;
  /** Connects to the mesh at the address; throws a `PortError`, or a `TypeError` for what is no address. */
  readonly connect: (url: string) => Promise<Client>;
  /** The greeting of the nats-server at `host:port`; undefined when none answers. */
  readonly greet: (address: string) => Promise<{ readonly version: string } | undefined>;
  /** Calls back at Ctrl-C instead of dying of it, until the returned function is called. */
  readonly onInterrupt: (listener: () => void) => () => void;
  /** Wall clock, for ages that people read. */
  readonly now: () => Date;
}
