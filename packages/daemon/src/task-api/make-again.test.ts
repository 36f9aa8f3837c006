import { type ArtifactRef, type RunId, taskId } from '@podmesh/core';
import { sampleArtifact, sampleResult, sampleStarted, sampleSucceeded } from '@podmesh/testkit';
import { describe, expect, it, vi } from 'vitest';
import { eventsOf } from '../daemon.test-kit.ts';
import { ask, newApiCase } from './task-api.test-kit.ts';

type Case = Awaited<ReturnType<typeof newApiCase>>;

/** The machine may be busy with other things. */
const UNHURRIED = { timeout: 120_000 };
const BYTES = sampleArtifact(Buffer.from('what the sub-task left'));
const SUB = taskId('root--k');

/** A sub-task that has left `out1`, as another peer ran it; where its next fact has to land. */
function leave({ mesh }: Case, run: RunId, output: ArtifactRef, attempt = 1, behind = 0): number {
  const started = sampleStarted(run, SUB, attempt);
  const begun = mesh.log.append(started, behind);
  if (!begun.ok) throw new Error('the attempt was refused');
  const result = { ...sampleResult(), outputs: { out1: output } };
  const ended = mesh.log.append({ ...sampleSucceeded(started), result }, begun.value);
  if (!ended.ok) throw new Error('the success was refused');
  return ended.value;
}

const lossesOf = ({ mesh }: Case, run: RunId) =>
  eventsOf(mesh, run).filter(({ kind }) => kind === 'outputs-lost');

const store = ({ mesh }: Case, { ref, bytes } = BYTES) =>
  mesh.artifacts.set(ref.digest, { ref, bytes: Buffer.from(bytes) });

async function newLoss(output: ArtifactRef = BYTES.ref) {
  const bench = await newApiCase();
  const { socket, offer, reservation, claim } = bench.open();
  const job = { outputs: { out1: output.kind === 'dir' ? 'dir:/tmp/d' : 'fd:1' } };
  const body = JSON.stringify({ key: 'k', jobs: [job] });
  expect((await ask(socket, 'POST', '/v1/tasks', { body })).status).toBe(201);
  const last = leave(bench, offer.run, output);
  const get = (digest = BYTES.ref.digest) => ask(socket, 'GET', `/v1/artifacts/${digest}`);
  return { bench, get, run: offer.run, last, reservation, claim };
}

describe('bytes of a sub-task that nobody has any more', () => {
  it('are made again by it, while the cores of who asks are for others', async () => {
    const { bench, get, run, last, reservation } = await newLoss();
    const asked = get();
    await vi.waitFor(() => expect(lossesOf(bench, run)).toHaveLength(1), UNHURRIED);
    expect(lossesOf(bench, run)).toMatchObject([
      { task: SUB, artifacts: [BYTES.ref.digest], rerun: 1 },
    ]);
    expect(reservation.isLent).toBe(true);
    store(bench);
    leave(bench, run, BYTES.ref, 2, last);
    expect(await asked).toMatchObject({ status: 200, text: 'what the sub-task left' });
    expect(reservation.isLent).toBe(false);
  });

  it('are told of once, however many ask for them', async () => {
    const { bench, get, run, last } = await newLoss();
    const asked = [get(), get(), get()];
    await vi.waitFor(() => expect(lossesOf(bench, run)).toHaveLength(1), UNHURRIED);
    store(bench);
    leave(bench, run, BYTES.ref, 2, last);
    for (const answer of await Promise.all(asked)) expect(answer.status).toBe(200);
    expect(lossesOf(bench, run)).toHaveLength(1);
  });

  it('are made again as often as those of other tasks, and then missing', async () => {
    const { bench, get, run, last } = await newLoss();
    const asked = get();
    let behind = last;
    for (const rerun of [1, 2, 3]) {
      await vi.waitFor(() => expect(lossesOf(bench, run)).toHaveLength(rerun), UNHURRIED);
      // It is done again, and what it leaves is lost at once.
      behind = leave(bench, run, BYTES.ref, rerun + 1, behind);
    }
    expect(await asked).toMatchObject({
      status: 404,
      body: { error: { code: 'artifact-missing' } },
    });
    expect(lossesOf(bench, run)).toHaveLength(3);
  });

  it('may be others when they are made again, and then who asks is told to look', async () => {
    const { bench, get, run, last } = await newLoss();
    const asked = get();
    await vi.waitFor(() => expect(lossesOf(bench, run)).toHaveLength(1), UNHURRIED);
    const other = sampleArtifact(Buffer.from('something else'));
    store(bench, other);
    leave(bench, run, other.ref, 2, last);
    expect((await asked).text).toContain('look at its outputs again');
  });

  it('are found in a directory that it left', async () => {
    const { digest, bytes } = BYTES.ref;
    const file = { kind: 'file', path: 'part', digest, bytes, executable: false };
    const tree = sampleArtifact(
      Buffer.from(JSON.stringify({ podmeshTree: 1, entries: [file] })),
      'dir',
    );
    const { bench, get, run, last } = await newLoss(tree.ref);
    store(bench, tree);
    const asked = get();
    await vi.waitFor(() => expect(lossesOf(bench, run)).toMatchObject([{ task: SUB }]), UNHURRIED);
    store(bench);
    leave(bench, run, tree.ref, 2, last);
    expect((await asked).text).toBe('what the sub-task left');
  });

  it('are none of its business when no sub-task left them, nor waited for when it is over', async () => {
    const { bench, get, run, claim } = await newLoss();
    const stranger = sampleArtifact(Buffer.from('of nobody')).ref.digest;
    expect((await get(stranger)).status).toBe(404);
    expect(lossesOf(bench, run)).toEqual([]);
    const broken = get();
    broken.catch(() => undefined);
    await vi.waitFor(() => expect(lossesOf(bench, run)).toHaveLength(1), UNHURRIED);
    bench.api.close(claim);
    await expect(broken).rejects.toThrow();
  });
});
