import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { collect } from '../container-testbed.test-kit.ts';
import { textOf } from '../output-listing.test-kit.ts';
import { FIFO_BATCH, SCRATCH_BATCH } from './crun-limits.ts';
import { type CrunTestbed, insisting, openCrunTestbed } from './crun-testbed.test-kit.ts';
import { expectNothingLeft } from './expect-nothing-left.test-kit.ts';
import { lanePlaces } from './lane-places.ts';

let bed: CrunTestbed;
beforeEach(async () => {
  bed = await openCrunTestbed();
});
afterEach(() => expectNothingLeft(bed));

const sh = (script: string) => ({ command: ['/bin/sh', '-c', script] });

/** What a task could see of an earlier one. */
const VIEW = [
  'ls -a / /etc /tmp /run; cat /etc/hosts /etc/hostname',
  'stat -c "%a %u %g %n" / /etc /tmp /run /etc/hosts /etc/hostname',
  'stat -L -c %a /dev/stdout /dev/stderr',
].join('\n');
/** What Podman gives a fresh one, too. */
const COMMON_VIEW = 'ls -a / /etc /tmp; stat -c "%a %u %g %n" / /etc /tmp /etc/hosts';

/** More tasks than there are layers, FIFOs and files, so that each is used again. */
const TASKS = 3 * SCRATCH_BATCH;
const AT_ONCE = 8;

/** What a task may do to all that it is given; the next one is not to know. */
const TRACES = [
  'true',
  'echo "10.0.0.1 trap" >>/etc/hosts',
  'cp /etc/hosts /tmp/h && cat /tmp/h >/etc/hosts',
  'echo other >/etc/hostname; chmod 600 /etc/hosts',
  'chmod 700 /',
  'touch /x && rm /x',
  'echo secret >/x; mkdir /tmp/d; echo secret >/etc/d',
  'rm -rf /etc/passwd',
  'chmod 0 /dev/stdout /dev/stderr',
  'chmod 644 /proc/self/fd/1; exec sleep 0',
  'exec 2>&1; (while :; do echo; done) & exec true',
];

/** Runs them with so many at the same time, in no order. */
async function runAll<T>(count: number, run: (i: number) => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  let next = 0;
  const lines = Array.from({ length: AT_ONCE }, async () => {
    while (next < count) {
      const i = next++;
      results[i] = await run(i);
    }
  });
  await Promise.all(lines);
  return results;
}

describe('what a task is given', () => {
  it('shows nothing of the tasks before it', async () => {
    const { out: fresh } = await bed.run(sh(VIEW));
    const { out: podmans } = await bed.podman.run(sh(COMMON_VIEW));
    const traces = await runAll(TASKS, async (i) => {
      const trace = TRACES[i % TRACES.length] ?? '';
      // It is seen by the test what a task sees before it does anything, and by the next task what it did.
      const { out, err } = await bed.run(sh(`{ ${VIEW}; } 2>&1; echo END; ${trace}`));
      return { trace, view: out.slice(0, out.indexOf('END')), err };
    });
    for (const { view } of traces) expect(view).toBe(fresh);
    expect((await bed.run(sh(COMMON_VIEW))).out).toBe(podmans);
  });

  it('is its own while others run', async () => {
    const seen = await runAll(TASKS, async (i) => {
      // Half of them leave the layer as it was, so that it is used again.
      const own = i % 2 === 0 ? '' : `own-${i}`;
      const write = own && `echo ${i} >/tmp/${own};`;
      const script = `${write} echo ${i} >&2; echo o${i} >&5; ls /tmp; exit ${i % 100}`;
      const outputs = { five: { kind: 'fd', fd: 5 } } as const;
      const log = collect();
      const container = await bed.start({ ...sh(script), outputs }, log.sink);
      const { code } = await container.wait();
      const five = await textOf(container, outputs.five);
      // Of what it did not declare there is nothing, whoever had the directory before.
      const undeclared = await container.readOutput({ kind: 'fd', fd: 6 });
      await container.remove();
      return { own, code, five, undeclared: undeclared.ok, out: log.out(), err: log.err() };
    });
    for (const [i, { own, ...task }] of seen.entries()) {
      expect(task).toEqual({
        ...{ code: i % 100, five: `o${i}\n`, undeclared: false },
        ...{ out: own && `${own}\n`, err: `${i}\n` },
      });
    }
  });

  it('is used again when the task left it as it was', async () => {
    await bed.run(sh(VIEW));
    const { scratch, files } = lanePlaces(bed.directory);
    const before = { scratch: await readdir(scratch), files: await readdir(files) };
    await runAll(2 * SCRATCH_BATCH, () => bed.run({ command: ['cat', '/etc/hosts'] }));
    expect((await readdir(scratch)).sort()).toEqual(before.scratch.sort());
    expect((await readdir(files)).filter((name) => before.files.includes(name))).not.toEqual([]);
  });

  it('is there however often the same attempt was tried', async () => {
    const spec = insisting(await bed.podman.spec({ command: ['true'] }));
    const run = async () => {
      const started = await bed.crun.start(spec, () => undefined, new AbortController().signal);
      if (!started.ok) throw new Error(started.error.message);
      expect((await started.value.wait()).code).toBe(0);
      await started.value.remove();
    };
    for (let i = 0; i < 3; i += 1) await run();
    const codes = await runAll(FIFO_BATCH / 2, async () => (await bed.run(sh('exit 3'))).exit.code);
    expect(new Set(codes)).toEqual(new Set([3]));
  });
});

describe('a lane that was closed', () => {
  it('has left nothing in memory, nor of the tasks on the disk', async () => {
    const places = lanePlaces(bed.directory);
    await runAll(3 * AT_ONCE, (i) => bed.run(sh(TRACES[i % TRACES.length] ?? '')));
    const isInMemory = dirname(places.run) !== bed.directory;
    expect(existsSync(places.fifos)).toBe(true);
    await bed.crun.close();
    await bed.crun.close();
    expect(existsSync(places.run), `in memory: ${isInMemory}`).toBe(false);
    expect((await readdir(bed.directory)).sort()).toEqual(['merged', 'tools', 'trash']);
    expect(await readdir(places.trash)).toEqual([]);
    expect(await readdir(places.merged)).toEqual([]);
    // Closing is repeated at the end; what is closed has no left-overs to tell of.
    await bed.restart();
  });
});
