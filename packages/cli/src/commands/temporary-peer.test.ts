import { describe, expect, it } from 'vitest';
import { Options } from '../arguments/parse-command-line.ts';
import { CliError } from '../cli-error.ts';
import { FakeWorld } from '../fake-world.test-kit.ts';
import type { DaemonProgram } from '../home/daemon-program.ts';
import { keepPeer } from './temporary-peer.ts';

/** Of a mesh whose only peer has left, where each start goes as `startInBackground` says. */
function keepIn(startInBackground: DaemonProgram['startInBackground']): Promise<void> {
  const world = new FakeWorld().world();
  const daemon = { ...world.daemon, startInBackground };
  return keepPeer({ ...world, daemon, env: {} }, new Options({}));
}

describe('after a temporary peer has left', () => {
  it('another one is started as soon as the leaving one has freed its home', async () => {
    let starts = 0;
    await keepIn(async () => {
      starts += 1;
      if (starts > 2) return { peer: 'oak', nats: 'nats://new:4222' };
      throw new CliError('daemon', 'it did not start:\npodmesh: another podmesh daemon uses it');
    });
    expect(starts).toBe(3);
  });

  it('what else keeps another one from starting is told at once', async () => {
    const kept = keepIn(async () => {
      throw new CliError('daemon', 'it did not start: no Podman');
    });
    await expect(kept).rejects.toThrow('no Podman');
  });
});
