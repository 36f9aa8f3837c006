import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openTestbed, type Testbed } from './container-testbed.test-kit.ts';

let bed: Testbed;
beforeAll(async () => {
  bed = await openTestbed();
});
afterAll(() => bed.close());

it('a task that puts a link in the place of its descriptor gets no file of the machine', async () => {
  const secret = join(bed.directory, 'of-the-machine');
  await writeFile(secret, 'nobody inside may know this');
  await chmod(secret, 0o600);
  const script = `cd /run/podmesh/fd; rm -f 1 launched; ln -s ${secret} 1; ln -s /dev/zero launched`;
  const container = await bed.start({
    command: ['/bin/sh', '-c', script],
    outputs: { out: { kind: 'fd', fd: 1 } },
  });
  await container.wait();
  const read = await container.readOutput({ kind: 'fd', fd: 1 });
  expect(read).toMatchObject({ ok: false, error: { kind: 'missing' } });
  await container.remove();
});

it("variables of a task are called as it likes, also like the launcher's own", async () => {
  const values = { n: 'of n', p: 'of p', v: 'of v', d: 'of d', f: 'of f' };
  const secretEnv: Record<string, string> = {};
  for (const [name, value] of Object.entries(values)) {
    secretEnv[name] = join(bed.directory, `value-${name}`);
    await writeFile(secretEnv[name], value);
  }
  const command = ['/bin/sh', '-c', 'echo "$0 $n $p $v $d $f"; tr "\\0" " " </proc/self/cmdline'];
  const words = /^\/bin\/sh of n of p of v of d of f\ntr /;
  expect((await bed.run({ command, secretEnv })).out).toMatch(words);
  const plain = await bed.run({ command, env: values, outputs: { x: { kind: 'fd', fd: 9 } } });
  expect(plain.out).toMatch(words);
});
