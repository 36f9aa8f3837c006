import type { Logger } from 'pino';
import type { Configuration } from './configuration.ts';
import type { Home } from './home.ts';
import type { PeerParts } from './peer-parts.ts';

/** What a daemon is made of: all that is decided before anything is started. */
export interface DaemonParts {
  readonly configuration: Configuration;
  readonly home: Home;
  readonly logger: Logger;
  readonly peer: PeerParts['peer'];
  readonly version: string;
  readonly onStep?: PeerParts['onStep'];
}
