import { PEER_TTL_MS, type PeerDirectory, type PeerEntry, type PeerId } from '@podmesh/core';
import type { FakeProcess } from '../process/fake-process.ts';

interface Announced {
  readonly entry: PeerEntry;
  readonly expiresMs: number;
}

/** The peers bucket: entries expire by the server's clock. */
export class PeerServer {
  private readonly peers = new Map<PeerId, Announced>();
  private readonly nowMs: () => number;

  constructor(nowMs: () => number) {
    this.nowMs = nowMs;
  }

  announce(entry: PeerEntry): void {
    this.peers.set(entry.peer, { entry, expiresMs: this.nowMs() + PEER_TTL_MS });
  }

  withdraw(peer: PeerId): void {
    this.peers.delete(peer);
  }

  list(): readonly PeerEntry[] {
    for (const [peer, { expiresMs }] of this.peers) {
      if (expiresMs <= this.nowMs()) this.peers.delete(peer);
    }
    return [...this.peers.values()].map(({ entry }) => entry);
  }
}

/** The peers as one process sees them. */
export class FakePeerDirectory implements PeerDirectory {
  private readonly process: FakeProcess;
  private readonly server: PeerServer;

  constructor(process: FakeProcess, server: PeerServer) {
    this.process = process;
    this.server = server;
  }

  announce(entry: PeerEntry): Promise<void> {
    const stored = structuredClone(entry);
    return this.process.call('peers.announce', () => this.server.announce(stored));
  }

  withdraw(peer: PeerId): Promise<void> {
    return this.process.call('peers.withdraw', () => this.server.withdraw(peer));
  }

  find(peer: PeerId): Promise<PeerEntry | undefined> {
    return this.process.call(`peers.find ${peer}`, () =>
      this.server.list().find((entry) => entry.peer === peer),
    );
  }

  list(): Promise<readonly PeerEntry[]> {
    return this.process.call('peers.list', () => this.server.list());
  }
}
