import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CommandLine } from '../../process-kit/command-line.ts';
import { BUSYBOX, podman } from '../../process-kit/podman-containers.ts';
import { removeFolder } from '../../process-kit/remove-folder.ts';

const MINUTES = 60_000;
const TAG = 'localhost/podmesh-test/moving:1';

describe('images by tag', () => {
  const built: string[] = [];
  let folder: string;
  let cli: CommandLine;
  /** Another machine's, as far as the mesh can tell. */
  let other: CommandLine;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'podmesh-images-'));
    cli = new CommandLine(join(folder, 'home'), folder);
    other = new CommandLine(join(folder, 'other'), folder);
    for (const word of ['one', 'two']) {
      await mkdir(join(folder, word));
      await writeFile(join(folder, word, 'said'), `${word}\n`);
      await writeFile(join(folder, word, 'Containerfile'), `FROM ${BUSYBOX}\nCOPY said /said\n`);
    }
  }, 8 * MINUTES);

  afterAll(async () => {
    await other.run('down');
    await cli.run('down');
    // Not by the tag alone: what it meant before has no name any more.
    if (built.length > 0) await podman('rmi', '--force', ...new Set(built));
    // As Podman's root: an image may have directories in which its owner must not write.
    await removeFolder(folder);
  }, 8 * MINUTES);

  async function build(directory: string): Promise<string> {
    const { code, out, err } = await cli.run('image', 'build', directory, '--tag', TAG, '--json');
    expect(code, err).toBe(0);
    const { image, name } = JSON.parse(out) as { image: string; name: string };
    built.push(image);
    expect(name).toBe(TAG);
    expect(err).toContain('COPY said');
    return image;
  }

  it(
    'a build that fails says so after its own words, and exits with 1',
    async () => {
      await mkdir(join(folder, 'wrong'));
      await writeFile(join(folder, 'wrong', 'Containerfile'), 'FROM scratch\nCOPY nobody /\n');
      const { code, out, err } = await cli.run('image', 'build', 'wrong');
      expect(code).toBe(1);
      expect(out).toBe('');
      expect(err).toContain('COPY nobody');
      expect(err).toMatch(/podmesh: podman build ended with code \d+; no image was built\n/);
    },
    8 * MINUTES,
  );

  it(
    'a run keeps the image that its tag meant when it was published',
    async () => {
      const up = await cli.run('up', '--detach', '--json');
      expect(up.code, up.err).toBe(0);
      const { nats } = JSON.parse(up.out) as { nats: string };
      const one = await build('one');
      // The second one becomes ready, and its image is looked for, after the tag was moved.
      const gate = { id: 'gate', container: BUSYBOX, command: ['true'], cache: false };
      const reads = { id: 'reads', after: ['gate'], container: TAG, command: ['cat', '/said'] };
      const jobs = [
        { ...gate, needs: { labels: ['gate=open'] } },
        { ...reads, outputs: { said: 'fd:1' } },
      ];
      await writeFile(join(folder, 'graph.json'), JSON.stringify({ version: 1, jobs }));
      const published = await cli.run('run', 'graph.json', '--detach');
      expect(published.code, published.err).toBe(0);
      expect(published.err).toBe('');

      const two = await build('two');
      expect(two).not.toBe(one);
      const opened = await other.run('up', '--detach', '--nats', nats, '--label', 'gate=open');
      expect(opened.code, opened.err).toBe(0);
      const waited = await cli.run('wait', 'last');
      expect(waited.code, waited.out + waited.err).toBe(0);
      expect(await cli.well('get', 'last/reads/said', '-o', '-')).toBe('one\n');

      const again = await cli.run('run', 'graph.json');
      expect(again.code, again.out + again.err).toBe(0);
      expect(await cli.well('get', 'last/reads/said', '-o', '-')).toBe('two\n');
      const listed = await cli.run('image', 'ls');
      expect(listed.out).toContain(BUSYBOX);
    },
    10 * MINUTES,
  );
});
