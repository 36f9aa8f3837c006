import type { NotedSleeper, PeerId, SleepingPeer, SleepingPeers } from '@podmesh/core';
import type { FakeProcess } from '../process/fake-process.ts';

/** What the server has of sleeping peers, and how often it was changed. */
export class SleeperServer {
  readonly noted = new Map<PeerId, NotedSleeper>();
  revision = 0;

  put(sleeper: SleepingPeer): void {
    this.revision += 1;
    this.noted.set(sleeper.peer, { sleeper, revision: this.revision });
  }
}

/** The sleeping peers as one process sees them. */
export class FakeSleepingPeers implements SleepingPeers {
  private readonly process: FakeProcess;
  private readonly server: SleeperServer;

  constructor(process: FakeProcess, server: SleeperServer) {
    this.process = process;
    this.server = server;
  }

  note(sleeper: SleepingPeer): Promise<void> {
    const stored = structuredClone(sleeper);
    return this.process.call('sleepers.note', () => this.server.put(stored));
  }

  replace(sleeper: SleepingPeer, revision: number): Promise<boolean> {
    const stored = structuredClone(sleeper);
    return this.process.call('sleepers.replace', () => {
      if (this.server.noted.get(sleeper.peer)?.revision !== revision) return false;
      this.server.put(stored);
      return true;
    });
  }

  forget(peer: PeerId): Promise<void> {
    return this.process.call('sleepers.forget', () => void this.server.noted.delete(peer));
  }

  list(): Promise<readonly NotedSleeper[]> {
    return this.process.call('sleepers.list', () =>
      structuredClone([...this.server.noted.values()]),
    );
  }
}
