import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { OutputRef } from '@podmesh/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { collect, openTestbed, type Testbed } from './container-testbed.test-kit.ts';
import { listing, textOf } from './output-listing.test-kit.ts';

let bed: Testbed;
beforeAll(async () => {
  bed = await openTestbed();
});
afterAll(async () => {
  const left = await bed.podman('ps', '-aq', '--filter', `label=podmesh.peer=${bed.peer}`);
  await bed.close();
  expect(left).toBe('');
});

const sh = (script: string) => ({ command: ['/bin/sh', '-c', script] });

describe('a container', () => {
  it('delivers the last bytes of a very short one', async () => {
    for (let round = 0; round < 15; round++) {
      const runs = [1, 2, 3].map(() => bed.run(sh('printf out; printf err >&2; exit 3')));
      for (const { exit, out, err } of await Promise.all(runs)) {
        expect({ code: exit.code, out, err }).toEqual({ code: 3, out: 'out', err: 'err' });
      }
    }
  });

  it("is not misunderstood when it speaks like Podman's own troubles", async () => {
    const words = 'Error: read unixpacket @->/x: read: connection reset by peer\n';
    const { err } = await bed.run({ command: ['/bin/sh', '-c', 'printf "$1" >&2', 'sh', words] });
    expect(err).toBe(words);
  });

  it('tells times, usage and no signal', async () => {
    const { exit } = await bed.run({ command: ['true'] });
    expect(exit).toMatchObject({ code: 0, oomKilled: false });
    expect(exit.signal).toBeUndefined();
    expect(Date.parse(exit.startedAt)).toBeLessThanOrEqual(Date.parse(exit.finishedAt) + 5);
    expect(exit.wallMs).toBeGreaterThanOrEqual(0);
  });

  it('counts CPU time of the command, and only that', async () => {
    const busy = await bed.run(sh('i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done'));
    const idle = await bed.run({ command: ['true'] });
    // Undefined where podmesh may not make cgroups; then both are.
    expect(busy.exit.cpuMs === undefined).toBe(idle.exit.cpuMs === undefined);
    expect(busy.exit.cpuMs ?? 2).toBeGreaterThan(idle.exit.cpuMs ?? 1);
  });

  it('has no network, no capabilities, no stdin, and gets nothing it was not given', async () => {
    const { out } = await bed.run({
      ...sh(
        'ls /sys/class/net; grep CapEff /proc/self/status; grep NoNew /proc/self/status; cat; env',
      ),
      env: { FOO: 'bar baz', 'od.d': "it's" },
    });
    expect(out).toMatch(/^lo\nCapEff:\s+0{16}\nNoNewPrivs:\s+1\n/);
    expect(out).toContain('FOO=bar baz\n');
    const names = out.split('\n').flatMap((line) => /^([\w.]+)=/.exec(line)?.[1] ?? []);
    expect(names.sort()).toEqual(
      ['FOO', 'HOME', 'HOSTNAME', 'PATH', 'PWD', 'SHLVL', 'TERM', 'container'].sort(),
    );
  });

  it('has a network when it asks for one', async () => {
    const { out } = await bed.run({ command: ['ls', '/sys/class/net'], net: true });
    expect(out.trim().split('\n').length).toBeGreaterThan(1);
  });

  it('sees its inputs read-only and may write everywhere else', async () => {
    const file = join(bed.directory, 'an: odd name');
    const comma = join(bed.directory, 'a,b');
    await writeFile(file, 'content');
    await writeFile(comma, 'comma');
    const { out, exit } = await bed.run({
      ...sh(
        'cat /in/a /in/b; echo x >/in/a || echo refused; echo x >/in/b || echo refused; echo y >/bin/new && cat /bin/new',
      ),
      inputs: { a: file, b: comma },
    });
    expect(exit.code).toBe(0);
    expect(out).toBe('contentcommarefused\nrefused\ny\n');
    expect(await readFile(file, 'utf8')).toBe('content');
  });

  it('carries its labels', async () => {
    const container = await bed.start({ command: ['true'] });
    const labels = await bed.podman(
      ...['ps', '-a', '--filter', `label=podmesh.peer=${bed.peer}`],
      ...['--format', '{{index .Labels "podmesh.task"}} {{index .Labels "podmesh.attempt"}}'],
    );
    expect(labels).toBe('job:7 2');
    await container.remove();
    await container.remove();
  });
});

describe('fd outputs', () => {
  it('are open, clean, apart from the log, and keep the name', async () => {
    const log = collect();
    const container = await bed.start(
      {
        ...sh(
          'cat /proc/$$/cmdline | tr "\\0" " "; printf "\\000\\001\\377\\r\\n" >&12; echo log >&2',
        ),
        outputs: { out: { kind: 'fd', fd: 0 }, twelve: { kind: 'fd', fd: 12 } },
      },
      log.sink,
    );
    expect((await container.wait()).code).toBe(0);
    expect(await textOf(container, { kind: 'fd', fd: 1 })).toMatch(/^\/bin\/sh -c cat /);
    expect(await textOf(container, { kind: 'fd', fd: 12 })).toBe('\0\x01\xff\r\n');
    expect({ out: log.out(), err: log.err() }).toEqual({ out: '', err: 'log\n' });
    await container.remove();
  });

  it('leave the environment as it is, odd names included', async () => {
    const env = { FOO: 'x y', 'od.d': "it's" };
    const without = await bed.run({ command: ['env'], env });
    const container = await bed.start({
      command: ['env'],
      env,
      outputs: { out: { kind: 'fd', fd: 1 } },
    });
    await container.wait();
    const lines = (text: string) => text.split('\n').sort();
    expect(lines(await textOf(container, { kind: 'fd', fd: 1 }))).toEqual(lines(without.out));
    await container.remove();
  });

  it('take much without passing it through this process', async () => {
    const container = await bed.start({
      ...sh('head -c 300000000 /dev/zero'),
      outputs: { out: { kind: 'fd', fd: 1 } },
    });
    expect((await container.wait()).code).toBe(0);
    const read = await container.readOutput({ kind: 'fd', fd: 1 });
    let bytes = 0;
    if (read.ok)
      for await (const entry of read.value)
        if (entry.kind === 'file') for await (const chunk of entry.content) bytes += chunk.length;
    expect(bytes).toBe(300_000_000);
    await container.remove();
  });

  it('find a program by PATH', async () => {
    const container = await bed.start({
      command: ['id', '-u'],
      outputs: { out: { kind: 'fd', fd: 1 } },
    });
    expect((await container.wait()).code).toBe(0);
    expect(await textOf(container, { kind: 'fd', fd: 1 })).toBe('0\n');
    await container.remove();
  });
});

describe('a start that cannot be', () => {
  it.each([{ outputs: {} }, { outputs: { out: { kind: 'fd', fd: 1 } as const } }])(
    'names a missing program and leaves nothing %j',
    async ({ outputs }) => {
      for (const command of [['/bin/nope'], ['nope', 'x'], ['/etc/passwd'], ['/etc']]) {
        const spec = await bed.spec({ command, outputs });
        const started = await bed.runtime.start(
          spec,
          () => undefined,
          new AbortController().signal,
        );
        expect(started, JSON.stringify(started)).toMatchObject({
          ok: false,
          error: { kind: 'command' },
        });
      }
      expect(await bed.runtime.leftovers(bed.peer)).toEqual([]);
    },
  );

  it('blames the machine for a missing input', async () => {
    const spec = await bed.spec({ command: ['true'], inputs: { a: '/nonexistent/path' } });
    const started = await bed.runtime.start(spec, () => undefined, new AbortController().signal);
    expect(started).toMatchObject({ ok: false, error: { kind: 'runtime' } });
  });

  it('gives up with its signal', async () => {
    const spec = await bed.spec({ command: ['true'] });
    await expect(
      bed.runtime.start(spec, () => undefined, AbortSignal.abort()),
    ).rejects.toMatchObject({ name: 'PodmanAbortedError' });
    expect(await bed.runtime.leftovers(bed.peer)).toEqual([]);
  });
});

describe('stopping', () => {
  it('names SIGTERM when the command heeds it', async () => {
    const log = { ready: () => {} };
    const ready = new Promise<void>((resolve) => {
      log.ready = resolve;
    });
    const container = await bed.start(
      sh('trap "exit 143" TERM; echo ready; while :; do sleep 0.05; done'),
      () => log.ready(),
    );
    await ready;
    await container.stop(20_000);
    expect(await container.wait()).toMatchObject({ code: 143, signal: 'SIGTERM' });
    await container.remove();
  });

  it('names SIGKILL after the grace and at once, and is harmless afterwards', async () => {
    for (const graceMs of [50, 0]) {
      const container = await bed.start({ command: ['sleep', '1000'] });
      await container.stop(graceMs);
      expect(await container.wait()).toMatchObject({ code: 137, signal: 'SIGKILL' });
      await container.stop(0);
      await container.remove();
      await container.stop(0);
    }
  });

  it('leaves the signal unnamed when the command chose the code', async () => {
    const { exit } = await bed.run(sh('exit 137'));
    expect(exit).toMatchObject({ code: 137 });
    expect(exit.signal).toBeUndefined();
  });

  it('waits for a command that closed its outputs', async () => {
    const { exit } = await bed.run(sh('exec >&- 2>&-; sleep 0.3; exit 9'));
    expect(exit.code).toBe(9);
    expect(exit.wallMs).toBeGreaterThan(290);
  });
});

describe('outputs in files', () => {
  it('are there at once, although Podman still cleans up', async () => {
    const once = async () => {
      const container = await bed.start(sh('echo a >/tmp/f'));
      await container.wait();
      expect(await listing(container, { kind: 'file', path: '/tmp/f' })).toEqual(['=a\n']);
      await container.remove();
    };
    for (let round = 0; round < 10; round++) await Promise.all([once(), once(), once()]);
  });

  it('are read as they are', async () => {
    const container = await bed.start(
      sh(
        'mkdir -p /tmp/o/d/e; echo a >/tmp/o/f; chmod 755 /tmp/o/f; ln /tmp/o/f /tmp/o/hard; ln -s f /tmp/o/l; mkfifo /tmp/o/fifo;' +
          'echo b >/tmp/o/d/e/x; ln -s /tmp/o/f /tmp/abs; ln -s nope /tmp/dangling; ln -s /tmp/o /tmp/od; head -c 3000000 /dev/zero >/tmp/big',
      ),
    );
    await container.wait();
    const read = (output: OutputRef) => listing(container, output);
    const tree = ['d/', 'd/e/', 'd/e/x=b\n', 'f*=a\n', 'hard*=a\n', 'l->f'];
    expect(await read({ kind: 'dir', path: '/tmp/o' })).toEqual(tree);
    expect(await read({ kind: 'dir', path: '/tmp/o/' })).toEqual(tree);
    expect(await read({ kind: 'dir', path: '/tmp/od' })).toEqual(tree);
    expect(await read({ kind: 'file', path: '/tmp/o/f' })).toEqual(['*=a\n']);
    expect(await read({ kind: 'file', path: '/tmp/abs' })).toEqual(['*=a\n']);
    expect((await textOf(container, { kind: 'file', path: '/tmp/big' })).length).toBe(3_000_000);
    expect(await read({ kind: 'file', path: '/tmp/dangling' })).toBe('missing');
    expect(await read({ kind: 'file', path: '/nope/x' })).toBe('missing');
    expect(await read({ kind: 'file', path: '/tmp/o' })).toBe('not-a-file');
    expect(await read({ kind: 'file', path: '/tmp/o/fifo' })).toBe('not-a-file');
    expect(await read({ kind: 'dir', path: '/tmp/o/f' })).toBe('not-a-directory');
    expect(await read({ kind: 'fd', fd: 3 })).toBe('missing');
    await container.remove();
  });
});
