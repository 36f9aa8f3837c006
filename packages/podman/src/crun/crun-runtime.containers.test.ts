import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { OutputRef } from '@podmesh/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { collect } from '../container-testbed.test-kit.ts';
import { listing, textOf } from '../output-listing.test-kit.ts';
import { type CrunTestbed, openCrunTestbed } from './crun-testbed.test-kit.ts';
import { expectNothingLeft } from './expect-nothing-left.test-kit.ts';

let bed: CrunTestbed;
beforeAll(async () => {
  bed = await openCrunTestbed();
});
afterAll(() => expectNothingLeft(bed));

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

describe('the image that an earlier daemon kept', () => {
  it('is let go by the next one in its place, and nothing else of that label', async () => {
    const label = `podmesh.recipe=${bed.directory}`;
    const create = async (...words: string[]) => {
      const { podman, image } = bed.podman;
      return (await podman('create', '--label', label, ...words, image)).trim();
    };
    await create('--entrypoint', '-');
    const foreign = await create();
    await bed.restart();
    const left = await bed.podman.podman('ps', '-aq', '--no-trunc', '--filter', `label=${label}`);
    expect(left.trim()).toBe(foreign);
    await bed.podman.podman('rm', foreign);
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

function sorted(lines: string[] | string): string[] | string {
  return Array.isArray(lines) ? lines.sort() : lines;
}
