import { link, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { type ArtifactId, artifactId, type Graph } from '@podmesh/core';
import { sha256 } from '@podmesh/daemon';
import type { Mesh } from '@podmesh/jetstream';
import { busyboxGraph } from './busybox-graph.ts';
import type { DaemonProcess } from './daemon-process.ts';
import type { ProcessMesh } from './process-mesh.ts';

/** What a task says whose container is the only one that has the lock. */
export const ALONE = 'alone';
/** What it says when the container of another attempt has it. */
export const BESIDE = 'beside another';

const TEXT = 'one at a time\n';
const LOCK = artifactId(`sha256:${sha256(TEXT)}`);

/**
 * Asks the kernel for the lock, says what came of it, and keeps it to the very end of its last process, whoever ends that.
 * It goes on past two gates, opened as those of `MAKE_GATES`, and leaves a word that no other attempt has.
 */
const KEEP_LOCK = `
import fcntl, signal, sys, time, uuid
opened = set()
for gate in (signal.SIGUSR1, signal.SIGUSR2):
    signal.signal(gate, lambda number, frame: opened.add(number))
lock = open("/in/lock")
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    said = "${ALONE}"
except BlockingIOError:
    said = "${BESIDE}"
print(said, file=sys.stderr, flush=True)
while signal.SIGUSR1 not in opened: time.sleep(0.05)
print(said)
print("went on", flush=True)
while signal.SIGUSR2 not in opened: time.sleep(0.05)
print(uuid.uuid4(), flush=True)
`;

const python = { container: 'localhost/podmesh/python:1', cache: false, inputs: { lock: LOCK } };

/** One task, which any peer may do, and no two should do at once. */
export function locking(): Graph {
  const command = ['python3', '-c', KEEP_LOCK];
  return busyboxGraph([{ ...python, id: 'hold', command, outputs: { out: 'fd:1' } }]);
}

/**
 * Makes one file of all copies of an input that these peers have, as if they were one machine: containers of both find
 * the same lock in it, and the kernel says who has it. No clock is asked, and nobody's word is taken.
 */
export async function shareLock(
  cluster: ProcessMesh,
  peers: readonly (readonly [DaemonProcess, string])[],
): Promise<void> {
  await cluster.mesh.artifacts.put({ digest: LOCK, kind: 'file', bytes: TEXT.length }, once());
  // Each reads it, and has it on its disk since.
  const jobs = peers.map(([, place]) => {
    const needs = { labels: [`place=${place}`] };
    return { ...python, id: `has-${place}`, needs, command: ['true'] };
  });
  const run = await cluster.publish(busyboxGraph(jobs));
  const { state } = await run.untilEnd();
  if (state !== 'succeeded') throw new Error(run.told());
  const [first, ...others] = peers.map(([peer]) => placeOf(peer, LOCK));
  if (first === undefined) return;
  for (const other of others) {
    await link(first, `${other}.same`);
    await rename(`${other}.same`, other);
  }
}

/** The lines that the task's outcome has. */
export async function linesOf(mesh: Mesh, output: ArtifactId): Promise<readonly string[]> {
  const pieces: Uint8Array[] = [];
  for await (const piece of mesh.artifacts.get(output)) pieces.push(piece);
  return Buffer.concat(pieces).toString('utf8').trim().split('\n');
}

function placeOf({ options }: DaemonProcess, artifact: ArtifactId): string {
  const hex = artifact.slice('sha256:'.length);
  return join(options.home, 'store', 'sha256', hex.slice(0, 2), hex.slice(2));
}

async function* once(): AsyncGenerator<Uint8Array> {
  yield Buffer.from(TEXT);
}
