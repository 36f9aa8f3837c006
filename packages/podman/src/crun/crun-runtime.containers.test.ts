import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { OutputRef } from '@podmesh/core';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { collect } from '../container-testbed.test-kit.ts';
import { listing, textOf } from '../output-listing.test-kit.ts';
import { type CrunTestbed, openCrunTestbed } from './crun-testbed.test-kit.ts';

const execute = promisify(execFile);

let bed: CrunTestbed;
beforeAll(async () => {
  bed = await openCrunTestbed();
});
afterAll(async () => {
  const left = await bed.crun.leftovers(bed.podman.peer);
  const { directory } = bed;
  await bed.close();
  expect(left).toEqual([]);
  const filter = `label=podmesh.recipe=${directory}`;
  expect((await execute('podman', ['ps', '-aq', '--filter', filter])).stdout).toBe('');
  expect(await mountsOf(directory)).toEqual([]);
  await vi.waitFor(async () => expect(await processesOf(directory)).toEqual([]));
});

const sh = (script: string) => ({ command: ['/bin/sh', '-c', script] });

describe('a fast container', () => {
  it('delivers the last bytes of a very short one', async () => {
    for (let round = 0; round < 15; round++) {
      const runs = [1, 2, 3].map(() => bed.run(sh('printf out; printf err >&2; exit 3')));
      for (const { exit, out, err } of await Promise.all(runs)) {
        expect({ code: exit.code, out, err }).toEqual({ code: 3, out: 'out', err: 'err' });
      }
    }
  });

  it('sees its inputs read-only, whatever they are called', async () => {
    const file = join(bed.podman.directory, 'an: odd, name');
    await writeFile(file, 'content');
    const { out, exit } = await bed.run({
      ...sh('cat /in/a; echo x >/in/a || echo refused; echo y >/tmp/new && cat /tmp/new'),
      inputs: { a: file },
    });
    expect({ out, code: exit.code }).toEqual({ out: 'contentrefused\ny\n', code: 0 });
    expect(await readFile(file, 'utf8')).toBe('content');
  });

  it('mounts an input inside another', async () => {
    const outer = join(bed.podman.directory, 'outer');
    await mkdir(join(outer, 'sub'), { recursive: true });
    const inner = join(bed.podman.directory, 'inner');
    await writeFile(inner, 'inner');
    await writeFile(join(outer, 'sub/file'), 'outer');
    const { out } = await bed.run({
      ...sh('cat /data/sub/file'),
      inputs: { a: inner, z: outer },
      mountAt: { a: '/data/sub/file', z: '/data' },
    });
    expect(out).toBe('inner');
  });

  it('leaves a container with a network to Podman', async () => {
    const { out } = await bed.run({ command: ['ls', '/sys/class/net'], net: true });
    expect(out.trim().split('\n').length).toBeGreaterThan(1);
  });

  it('takes one recipe for many that start at once, and keeps the image', async () => {
    const runs = Array.from({ length: 6 }, () => bed.run({ command: ['true'] }));
    for (const { exit } of await Promise.all(runs)) expect(exit.code).toBe(0);
    const filter = `label=podmesh.recipe=${bed.directory}`;
    const pins = await bed.podman.podman('ps', '-aq', '--filter', filter);
    expect(pins.split('\n')).toHaveLength(1);
    await expect(bed.podman.podman('rmi', bed.podman.image)).rejects.toThrow(/in use|used by/);
  });

  it('gives up with its signal, and leaves nothing', async () => {
    const spec = await bed.podman.spec({ command: ['true'] });
    await expect(bed.crun.start(spec, () => undefined, AbortSignal.abort())).rejects.toMatchObject({
      name: 'PodmanAbortedError',
    });
    expect(await bed.crun.leftovers(bed.podman.peer)).toEqual([]);
  });

  it('takes a flood at the pace of its reader, without a file in between', async () => {
    const log = { bytes: 0 };
    const container = await bed.start(sh('head -c 100000000 /dev/zero'), (_, bytes) => {
      log.bytes += bytes.length;
    });
    expect((await container.wait()).code).toBe(0);
    expect(log.bytes).toBe(100_000_000);
    await container.remove();
  });
});

describe('the image of a daemon that is gone', () => {
  it('is let go by the next one on this machine', async () => {
    const label = `podmesh.recipe=${join(bed.podman.directory, 'gone')}`;
    await bed.podman.podman('create', '--label', label, bed.podman.image, 'true');
    await bed.restart();
    expect(await bed.podman.podman('ps', '-aq', '--filter', `label=${label}`)).toBe('');
  });
});

describe('a start that cannot be', () => {
  it.each([{ outputs: {} }, { outputs: { out: { kind: 'fd', fd: 1 } as const } }])(
    'names a missing program and leaves nothing %j',
    async ({ outputs }) => {
      for (const command of [['/bin/nope'], ['nope', 'x'], ['/etc/passwd'], ['/etc']]) {
        const spec = await bed.podman.spec({ command, outputs });
        const started = await bed.crun.start(spec, () => undefined, new AbortController().signal);
        const found = JSON.stringify(started);
        expect(started, found).toMatchObject({ ok: false, error: { kind: 'command' } });
      }
      expect(await bed.crun.leftovers(bed.podman.peer)).toEqual([]);
    },
  );

  it('blames the machine for a missing input and a missing image', async () => {
    const never = new AbortController().signal;
    for (const changes of [
      { inputs: { a: '/nonexistent/path' } },
      { image: `sha256:${'0'.repeat(64)}` },
    ]) {
      const spec = await bed.podman.spec({ command: ['true'], ...changes });
      const started = await bed.crun.start(spec, () => undefined, never);
      expect(started).toMatchObject({ ok: false, error: { kind: 'runtime' } });
    }
    expect(await bed.crun.leftovers(bed.podman.peer)).toEqual([]);
  });
});

describe('outputs', () => {
  it('in descriptors are clean, apart from the log, and not of this process', async () => {
    const log = collect();
    const outputs = { out: { kind: 'fd', fd: 0 }, twelve: { kind: 'fd', fd: 12 } } as const;
    const script = 'echo out; printf "\\000\\001\\377\\r\\n" >&12; echo log >&2';
    const container = await bed.start({ ...sh(script), outputs }, log.sink);
    expect((await container.wait()).code).toBe(0);
    expect(await textOf(container, { kind: 'fd', fd: 1 })).toBe('out\n');
    expect(await textOf(container, { kind: 'fd', fd: 12 })).toBe('\0\x01\xff\r\n');
    expect({ out: log.out(), err: log.err() }).toEqual({ out: '', err: 'log\n' });
    expect(await listing(container, { kind: 'fd', fd: 3 })).toBe('missing');
    await container.remove();
  });

  it('are read as they are', async () => {
    const container = await bed.start(
      sh(
        'mkdir -p /tmp/o/d/e; echo a >/tmp/o/f; chmod 755 /tmp/o/f; ln /tmp/o/f /tmp/o/hard; ln -s f /tmp/o/l; mkfifo /tmp/o/fifo;' +
          'echo b >/tmp/o/d/e/x; ln -s /tmp/o/f /tmp/abs; ln -s nope /tmp/dangling; ln -s /tmp/o /tmp/od; head -c 3000000 /dev/zero >/tmp/big;' +
          'chmod 0 /tmp/o/d/e/x; chmod 0 /tmp/o/d/e; chmod 0 /tmp/o/d',
      ),
    );
    await container.wait();
    const read = (output: OutputRef) => listing(container, output);
    const tree = ['d/', 'd/e/', 'd/e/x=b\n', 'f*=a\n', 'hard*=a\n', 'l->f'];
    for (const path of ['/tmp/o', '/tmp/o/', '/tmp/od', '/tmp/./o/../o']) {
      expect(sorted(await read({ kind: 'dir', path }))).toEqual(tree);
    }
    expect(await read({ kind: 'file', path: '/tmp/o/f' })).toEqual(['*=a\n']);
    expect(await read({ kind: 'file', path: '/tmp/abs' })).toEqual(['*=a\n']);
    expect((await textOf(container, { kind: 'file', path: '/tmp/big' })).length).toBe(3_000_000);
    for (const path of ['/tmp/dangling', '/nope/x', '/tmp/o/f/x', '/tmp/nope\n']) {
      expect(await read({ kind: 'file', path })).toBe('missing');
    }
    expect(await read({ kind: 'file', path: '/tmp/o' })).toBe('not-a-file');
    expect(await read({ kind: 'file', path: '/tmp/o/fifo' })).toBe('not-a-file');
    expect(await read({ kind: 'dir', path: '/tmp/o/f' })).toBe('not-a-directory');
    await container.remove();
  });

  it('never come from outside of the container', async () => {
    const secret = join(bed.podman.directory, 'secret');
    await mkdir(secret);
    await writeFile(join(secret, 'file'), 'secret');
    const up = '../'.repeat(30);
    const container = await bed.start(
      sh(
        `ln -s ${secret} /tmp/abs; ln -s ${up}${secret} /tmp/up; mkdir /tmp/d; ln -s ${secret}/file /tmp/d/in; ` +
          'ln -s /proc/self/root/etc /tmp/proc; mkdir -p "/tmp/new\nline"; echo n >"/tmp/new\nline/x\n"; echo d >/tmp/-dash',
      ),
    );
    await container.wait();
    for (const path of ['/tmp/abs', '/tmp/up', `${up}${secret}`, '/tmp/proc', secret]) {
      expect(await listing(container, { kind: 'dir', path })).toBe('missing');
    }
    for (const path of ['/tmp/abs/file', '/tmp/d/in']) {
      expect(await listing(container, { kind: 'file', path })).toBe('missing');
    }
    expect(await listing(container, { kind: 'dir', path: '/tmp/d' })).toEqual([
      `in->${secret}/file`,
    ]);
    expect(await textOf(container, { kind: 'file', path: '/tmp/new\nline/x\n' })).toBe('n\n');
    expect(await textOf(container, { kind: 'file', path: '/tmp/-dash' })).toBe('d\n');
    await container.remove();
  });

  it("are the task's view: files of the image, and none that it removed", async () => {
    const container = await bed.start(sh('rm /etc/passwd; mkdir /tmp/t; rm -rf /bin/sh'));
    await container.wait();
    expect(await listing(container, { kind: 'file', path: '/etc/passwd' })).toBe('missing');
    expect((await textOf(container, { kind: 'file', path: '/etc/group' })).length).toBeGreaterThan(
      0,
    );
    await container.remove();
    const whole = await bed.start({ command: ['true'] });
    await whole.wait();
    const names = await listing(whole, { kind: 'dir', path: '/' });
    expect(names).toContain('tmp/');
    expect(String(names)).not.toContain('podmesh-tools');
    await whole.remove();
  });
});

describe('a daemon that comes back', () => {
  it('goes on where the log was left, and loses nothing of what it had not read', async () => {
    const before = collect();
    const container = await bed.start(
      sh(
        'echo first; while [ ! -e /tmp/go ] && [ $((i=i+1)) -lt 60000 ]; do echo $i; done; exit 5',
      ),
      before.sink,
    );
    await first(before);
    const crun = await bed.restart();
    await expect(container.wait()).rejects.toMatchObject({ name: 'PodmanAbortedError' });
    const [found] = await crun.leftovers(bed.podman.peer);
    const after = collect();
    found?.replayLog(after.sink);
    expect(await found?.wait()).toMatchObject({ code: 5 });
    const lines = `${before.out()}${after.out()}`.trim().split('\n').slice(1).map(Number);
    // What the first had in hand when it died is lost with it; the rest is there, and in order.
    expect(lines.at(-1)).toBe(59_999);
    expect(lines).toEqual([...lines].sort((a, b) => a - b));
    await found?.remove();
  });

  it('finds an end that nobody saw, with the last words still in the pipe', async () => {
    const log = collect();
    await bed.start(sh('echo ready; read x </tmp/never || sleep 0.2; echo last; exit 6'), log.sink);
    await first(log);
    await bed.crun.close();
    await ended(bed);
    const [found] = await (await bed.restart()).leftovers(bed.podman.peer);
    const after = collect();
    found?.replayLog(after.sink);
    expect(await found?.wait()).toMatchObject({ code: 6 });
    expect(after.out()).toBe('last\n');
    await found?.remove();
    await found?.remove();
  });

  it('can end a task that took away the right to read its streams', async () => {
    const log = collect();
    await bed.start(sh('chmod 0 /dev/stdout /dev/stderr; echo ready; sleep 3600'), log.sink);
    await first(log);
    const [found] = await (await bed.restart()).leftovers(bed.podman.peer);
    found?.replayLog(() => undefined);
    await found?.stop(0);
    expect(await found?.wait()).toMatchObject({ signal: 'SIGKILL' });
    await found?.remove();
  });

  it('deletes what was half made when the other died', async () => {
    const half = join(bed.directory, 'attempts', bed.podman.peer, 'half-made');
    await mkdir(half, { recursive: true });
    await writeFile(join(half, 'config.json'), '{"annotations":');
    expect(await bed.crun.leftovers(bed.podman.peer)).toEqual([]);
    expect(await readdir(join(bed.directory, 'attempts', bed.podman.peer))).toEqual([]);
  });
});

describe('what may be killed', () => {
  it('a chain: the container is lost, and nothing of it lives on', async () => {
    const { container, processes } = await sleeper();
    process.kill(pidOf(processes, CHAIN), 'SIGKILL');
    await expect(container.wait()).rejects.toMatchObject({ name: 'ContainerLostError' });
    await container.remove();
    expect(await processesOf(container.labels.claim)).toEqual([]);
    expect(await bed.crun.leftovers(bed.podman.peer)).toEqual([]);
  });

  it('crun: the container ends with it', async () => {
    const { container, processes } = await sleeper();
    process.kill(pidOf(processes, /^\S*crun /), 'SIGKILL');
    expect(await container.wait()).toMatchObject({ code: 137 });
    await container.remove();
    expect(await processesOf(container.labels.claim)).toEqual([]);
  });

  it('the shell that starts chains: they go on, and there is another for the next', async () => {
    const { container } = await sleeper();
    process.kill(pidOf(await processesOf(bed.directory), SPAWNER), 'SIGKILL');
    const { exit } = await bed.run({ command: ['true'] });
    expect(exit.code).toBe(0);
    await container.stop(0);
    expect(await container.wait()).toMatchObject({ code: 137, signal: 'SIGKILL' });
    await container.remove();
  });
});

const SPAWNER = /while read -r d/;
const CHAIN = /podmesh-chain \/\S+ /;

async function sleeper() {
  const log = collect();
  const container = await bed.start(sh('echo ready; sleep 1000'), log.sink);
  await first(log);
  return { container, processes: await processesOf(container.labels.claim) };
}

interface Listed {
  readonly pid: number;
  readonly words: string;
}

function pidOf(processes: readonly Listed[], pattern: RegExp): number {
  const found = processes.find(({ words }) => pattern.test(words));
  if (found === undefined)
    throw new Error(`no process ${pattern} among ${JSON.stringify(processes)}`);
  return found.pid;
}

async function first(log: { out: () => string }): Promise<void> {
  await expect.poll(log.out, { timeout: 20_000, interval: 5 }).not.toBe('');
}

/** Until every chain has written down its end. */
async function ended({ directory, podman }: CrunTestbed): Promise<void> {
  const attempts = join(directory, 'attempts', podman.peer);
  const [name = ''] = await readdir(attempts);
  const exit = () => readFile(join(attempts, name, 'exit'), 'utf8').catch(() => '');
  await expect.poll(exit, { timeout: 20_000, interval: 5 }).toMatch(/end\n$/);
}

function sorted(lines: string[] | string): string[] | string {
  return Array.isArray(lines) ? lines.sort() : lines;
}

async function mountsOf(directory: string): Promise<string[]> {
  const { stdout } = await execute('sh', ['-c', 'cat /proc/[0-9]*/mountinfo 2>/dev/null; true'], {
    maxBuffer: 1 << 28,
  });
  return stdout.split('\n').filter((line) => line.includes(directory));
}

/** Processes whose words have that text in them. */
async function processesOf(text: string): Promise<readonly Listed[]> {
  const { stdout } = await execute('ps', ['-eo', 'pid=,args=', '-ww'], { maxBuffer: 1 << 26 });
  // A script has lines of its own; a process begins with its number.
  const listed = stdout.split(/\n(?=\s*\d+ \/)/).map((words) => {
    return { pid: Number.parseInt(words, 10), words: words.trim().replace(/^\d+ /, '') };
  });
  return listed.filter(({ pid, words }) => words.includes(text) && pid !== process.pid);
}
