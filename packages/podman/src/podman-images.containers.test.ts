import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTestbed, type Testbed } from './container-testbed.test-kit.ts';

const NAME = 'localhost/podmesh/busybox:1';
const signal = new AbortController().signal;
let bed: Testbed;
beforeAll(async () => {
  bed = await openTestbed();
});
afterAll(() => bed.close());

describe('resolving an image', () => {
  it('takes names, short names, ids and manifest digests', async () => {
    const names = (await bed.runtime.images()).get(bed.image);
    expect(names).toContain(NAME);
    const digest = names?.find((name) => name.includes('@'));
    const references = [NAME, 'podmesh/busybox:1', bed.image, digest?.split('@')[1] ?? ''];
    for (const reference of references) {
      const resolved = await bed.runtime.resolveImage(reference, false, signal);
      expect(resolved).toEqual({ ok: true, value: bed.image });
    }
  });

  it('names what is not there, and what pulling said', async () => {
    for (const [reference, pull] of [
      ['localhost/nope:1', false],
      [`sha256:${'0'.repeat(64)}`, () => undefined],
      ['localhost/nope:1', () => undefined],
      ['not a reference', () => undefined],
    ] as const) {
      const resolved = await bed.runtime.resolveImage(reference, pull, signal);
      expect(resolved).toMatchObject({ ok: false, error: { kind: 'unavailable' } });
      if (!resolved.ok) expect(resolved.error.message).toContain(reference);
    }
  }, 60_000);

  it('refuses an image of another architecture', async () => {
    const name = 'localhost/podmesh-test/foreign:1';
    await writeFile(join(bed.directory, 'Containerfile'), 'FROM scratch\nCOPY Containerfile /x\n');
    // The cache of Podman 4.3 does not look at the platform.
    await bed.podman(
      ...[
        'build',
        '-q',
        '--no-cache',
        '--isolation',
        'chroot',
        '--platform',
        'linux/s390x',
        '-t',
        name,
      ],
      ...['-f', join(bed.directory, 'Containerfile'), bed.directory],
    );
    const resolved = await bed.runtime.resolveImage(name, false, signal);
    expect(resolved).toMatchObject({ ok: false, error: { kind: 'platform' } });
    const words = ['linux/s390x', `linux/${(await bed.runtime.describe()).arch}`, name];
    for (const word of words)
      expect(resolved).toHaveProperty('error.message', expect.stringContaining(word));
    await bed.podman('rmi', '-f', name);
  });
});

describe('loading an archive', () => {
  it.each(['oci-archive', 'docker-archive'])('takes an %s', async (format) => {
    const archive = join(bed.directory, `${format}.tar`);
    await bed.podman('save', '-q', '--format', format, '-o', archive, NAME);
    expect(await bed.runtime.loadImage(archive, signal)).toEqual({ ok: true, value: bed.image });
  });

  it('takes one without a name', async () => {
    const archive = join(bed.directory, 'unnamed.tar');
    await bed.podman('save', '-q', '--format', 'oci-archive', '-o', archive, bed.image);
    expect(await bed.runtime.loadImage(archive, signal)).toEqual({ ok: true, value: bed.image });
  });

  it('refuses garbage', async () => {
    const archive = join(bed.directory, 'garbage.tar');
    await writeFile(archive, 'garbage'.repeat(1_000));
    const loaded = await bed.runtime.loadImage(archive, signal);
    expect(loaded).toMatchObject({ ok: false, error: { kind: 'not-an-image' } });
  });

  it('does not let an archive take the name of an image that is here', async () => {
    const name = 'localhost/podmesh-test/victim:1';
    await writeFile(join(bed.directory, 'Containerfile'), 'FROM scratch\nCOPY Containerfile /x\n');
    await bed.podman(
      ...['build', '-q', '--isolation', 'chroot', '-t', name],
      ...['-f', join(bed.directory, 'Containerfile'), bed.directory],
    );
    const archive = join(bed.directory, 'thief.tar');
    await bed.podman('save', '-q', '--format', 'oci-archive', '-o', archive, name);
    await bed.podman('tag', NAME, name);
    const loaded = await bed.runtime.loadImage(archive, signal);
    expect(loaded.ok).toBe(true);
    expect(await bed.runtime.resolveImage(name, false, signal)).toEqual({
      ok: true,
      value: bed.image,
    });
    await bed.podman('untag', NAME, name);
    await bed.runtime.loadImage(archive, signal);
    const gone = await bed.runtime.resolveImage(name, false, signal);
    expect(gone, 'a name that nobody had is not given either').toMatchObject({ ok: false });
    if (loaded.ok) await bed.podman('rmi', '-f', loaded.value);
  });
});

describe('the description', () => {
  it('is what podman says', async () => {
    const description = await bed.runtime.describe();
    expect(description).toMatchObject({ name: 'podman', rootless: true });
    const version = await bed.podman('version', '--format', '{{.Client.Version}}');
    expect(description.version).toBe(version);
  });
});
