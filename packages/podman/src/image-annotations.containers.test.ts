import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ContainerRuntime } from '@podmesh/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { collect } from './container-testbed.test-kit.ts';
import { type CrunTestbed, openCrunTestbed } from './crun/crun-testbed.test-kit.ts';

const NAME = 'localhost/podmesh-test/orders:1';
const FILTER = 'run.oci.seccomp_bpf_data';
/** A filter that lets every system call through but `uname`, so that a command can tell it from Podman's. */
const ORDER = `${FILTER}=${compiled([
  [0x20, 0, 0, 0],
  [0x15, 0, 1, process.arch === 'x64' ? 63 : 160],
  [0x06, 0, 0, 0x0005_0001],
  [0x06, 0, 0, 0x7fff_0000],
])}`;
const TELL = ['/bin/sh', '-c', '[ "$(uname)" = Linux ] && echo own filter || echo theirs'];
const signal = new AbortController().signal;

let bed: CrunTestbed;
const built = new Set<string>();
/** Before 4.6 Podman hands an image's annotations on; later ones have nothing to refuse. */
let handsOn: boolean;
beforeAll(async () => {
  bed = await openCrunTestbed();
  const [major = 0, minor = 0] = (await bed.crun.describe()).version.split('.').map(Number);
  handsOn = major < 4 || (major === 4 && minor < 6);
});
afterAll(async () => {
  await bed.close();
  await bed.podman.podman('rmi', '-f', ...built);
});

/** The id of an image that differs from others of this label in its manifest only, made by another process. */
async function build(label: string, annotations: readonly string[]): Promise<string> {
  const { directory, podman, imageName, runtime } = bed.podman;
  const file = join(directory, 'Containerfile');
  await writeFile(file, `FROM ${imageName}\nLABEL podmesh-test=${label}\n`);
  await podman(
    ...['build', '-q', '--no-cache', '--isolation', 'chroot', '--timestamp', '0', '-t', NAME],
    ...annotations.flatMap((annotation) => ['--annotation', annotation]),
    ...['-f', file, directory],
  );
  const resolved = await runtime.resolveImage(NAME, false, signal);
  if (!resolved.ok) throw new Error(resolved.error.message);
  built.add(resolved.value);
  return resolved.value;
}

/** Instructions of the kernel's packet filter, as crun takes them. */
function compiled(instructions: readonly (readonly [number, number, number, number])[]): string {
  const words = instructions.map(([code, jumpTrue, jumpFalse, operand]) => {
    const word = Buffer.alloc(8);
    word.writeUInt16LE(code, 0);
    word.writeUInt8(jumpTrue, 2);
    word.writeUInt8(jumpFalse, 3);
    word.writeUInt32LE(operand, 4);
    return word;
  });
  return Buffer.concat(words).toString('base64');
}

/** The refusal, or whose filter a task had. */
async function outcome(runtime: ContainerRuntime, image: string, net = false) {
  const log = collect();
  const spec = await bed.podman.spec({ image, command: TELL, net });
  const started = await runtime.start(spec, log.sink, signal);
  if (!started.ok) return started.error;
  await started.value.wait();
  await started.value.remove();
  return log.out();
}

const lanes: [string, () => ContainerRuntime][] = [
  ['Podman', () => bed.podman.runtime],
  ['crun', () => bed.crun],
];

describe.each(lanes)('in the lane of %s', (lane, runtime) => {
  it('an image cannot take the seccomp filter away', async () => {
    const image = await build(`${lane}-orders`, [ORDER, 'org.opencontainers.image.title=x']);
    const plain = ['--cap-drop', 'all', '--security-opt', 'no-new-privileges', '--network', 'none'];
    const bare = await bed.podman.podman('run', '--rm', ...plain, image, ...TELL);
    expect(bare, 'what is to be refused').toBe(handsOn ? 'theirs' : 'own filter');
    const refusal = {
      kind: 'command',
      message: expect.stringContaining(`${image} brings annotations`),
    };
    for (let round = 0; round < 2; round++) {
      const end = await outcome(runtime(), image);
      if (handsOn) expect(end).toEqual(refusal);
      else expect(end).toBe('own filter\n');
    }
    expect(await runtime().leftovers(bed.podman.peer)).toEqual([]);
  });

  it('one that only describes itself runs', async () => {
    const image = await build(`${lane}-words`, ['org.opencontainers.image.title=run.oci.x']);
    expect(await outcome(runtime(), image)).toBe('own filter\n');
  });

  it("an archive cannot take it away from others' image", async () => {
    const same = `${lane}-archive`;
    const archive = join(bed.podman.directory, `${same}.tar`);
    const dirty = await build(same, [ORDER]);
    await bed.podman.podman('save', '-q', '--format', 'oci-archive', '-o', archive, NAME);
    const image = await build(same, []);
    expect(image, 'two manifests under one id').toBe(dirty);
    expect(await outcome(runtime(), image)).toBe('own filter\n');
    expect(await runtime().loadImage(archive, signal)).toEqual({ ok: true, value: image });
    const end = await outcome(runtime(), image);
    // The fast lane keeps to the recipe that it took of the clean one.
    if (handsOn && lane === 'Podman') expect(end).toMatchObject({ kind: 'command' });
    else expect(end).toBe('own filter\n');
  });

  it.each(['name', 'id'])(
    "somebody else's build under the same id is noticed, asked by %s",
    async (by) => {
      const same = `${lane}-outside-${by}`;
      const image = await build(same, []);
      expect(await outcome(runtime(), image)).toBe('own filter\n');
      expect(await build(same, [ORDER]), 'two manifests under one id').toBe(image);
      const asked = by === 'id' ? image : NAME;
      expect(await runtime().resolveImage(asked, false, signal)).toEqual({
        ok: true,
        value: image,
      });
      const end = await outcome(runtime(), image);
      if (handsOn && lane === 'Podman') expect(end).toMatchObject({ kind: 'command' });
      else expect(end).toBe('own filter\n');
    },
  );

  it('nor does such a build reach a task with network', async () => {
    const same = `${lane}-network`;
    const image = await build(same, []);
    expect(await outcome(runtime(), image)).toBe('own filter\n');
    expect(await outcome(runtime(), image, true)).toBe('own filter\n');
    expect(await build(same, [ORDER]), 'two manifests under one id').toBe(image);
    expect(await runtime().resolveImage(image, false, signal)).toEqual({ ok: true, value: image });
    const end = await outcome(runtime(), image, true);
    if (handsOn) expect(end).toMatchObject({ kind: 'command' });
    else expect(end).toBe('own filter\n');
    expect(await runtime().leftovers(bed.podman.peer)).toEqual([]);
  });
});
