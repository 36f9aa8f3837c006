import type { PeerId, SleepingPeer, SleepingPeers } from '@podmesh/core';
import type { FakeProcess } from '../process/fake-process.ts';

export type SleeperServer = Map<PeerId, SleepingPeer>;

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
    return this.process.call('sleepers.note', () => void this.server.set(sleeper.peer, stored));
  }

  forget(peer: PeerId): Promise<void> {
    return this.process.call('sleepers.forget', () => void this.server.delete(peer));
  }

  list(): Promise<readonly SleepingPeer[]> {
    return this.process.call('sleepers.list', () => [...this.server.values()]);
  }
}
