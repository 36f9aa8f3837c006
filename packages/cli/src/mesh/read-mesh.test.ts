import { PortError } from '@podmesh/core';
import { expect, test } from 'vitest';
import { FakeWorld } from '../fake-world.test-kit.ts';

/** A directory whose first answers are errors. */
function failing(world: FakeWorld, ...errors: Error[]) {
  const client = world.client();
  const list = async () => {
    const error = errors.shift();
    if (error !== undefined) throw error;
    return [];
  };
  return { connect: async () => ({ ...client, peers: { ...client.peers, list } }) };
}

test('a command that only reads asks again while nobody can answer, and says so once', async () => {
  const world = new FakeWorld();
  const silence = () => new PortError('list peers: no answer', { retryable: true });
  const code = await world.run(['peers'], failing(world, silence(), silence()));
  expect(world.terminal.stderr).toBe('list peers: no answer; asking again for a minute\n');
  expect(code).toBe(0);
  expect(world.terminal.stdout).toContain('no peer is there');
});

test('what will not pass is told at once', async () => {
  const world = new FakeWorld();
  const refusal = new PortError('list peers: not allowed', { retryable: false });
  const code = await world.run(['peers'], failing(world, refusal, refusal));
  expect(code).not.toBe(0);
  expect(world.terminal.stderr).toContain('not allowed');
  expect(world.terminal.stderr).not.toContain('again');
});
