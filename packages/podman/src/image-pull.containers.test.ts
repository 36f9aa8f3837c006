import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { PullLimits } from './image-puller.ts';
import { OciRegistry } from './oci-registry.test-kit.ts';
import { PodmanConnection } from './podman-connection.ts';
import { PodmanImageApi } from './podman-image-api.ts';
import { resolveImage } from './podman-images.ts';
import { PodmanService } from './podman-service.ts';

const MIB = 2 ** 20;
const never = new AbortController().signal;
let registry: OciRegistry;
let service: PodmanService;
let connection: PodmanConnection;
let directory: string;
let pulled: string[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'podmesh-pull-'));
  registry = await OciRegistry.start();
  const configuration = join(directory, 'registries.conf');
  const insecure = `[[registry]]\nlocation="${registry.host}"\ninsecure=true\n`;
  await writeFile(configuration, `unqualified-search-registries=[]\n${insecure}`);
  const env = { ...process.env, CONTAINERS_REGISTRIES_CONF: configuration };
  service = new PodmanService({ env, directory: join(directory, 'service') });
  await service.start();
  connection = new PodmanConnection(service.socketPath);
}, 60_000);

afterEach(async () => {
  registry.flow = 'fast';
  for (const reference of pulled) {
    const path = `/images/${encodeURIComponent(reference)}`;
    const call = { what: 'clean up', method: 'DELETE', path, deadlineMs: 30_000 } as const;
    await connection.call(call).catch(() => undefined);
  }
  pulled = [];
});

afterAll(async () => {
  connection.close();
  await service.stop();
  await registry.stop();
  await rm(directory, { recursive: true, force: true });
});

/** An image in the registry, gone from the store after the test, and a peer that wants it. */
function image(wish: Parameters<OciRegistry['add']>[2] = {}) {
  const added = registry.add(`tool-${registry.requests.length}`, '1', wish);
  pulled.push(added.reference);
  return added;
}

function wanting(reference: string, limits: Partial<PullLimits> = {}) {
  const api = new PodmanImageApi(connection, limits);
  return (progress: (line: string) => void = () => undefined, signal = never) =>
    resolveImage(api, 'amd64', reference, { pull: progress, signal });
}

describe('pulling an image', () => {
  it('pulls once for all who want it', async () => {
    const { reference, id } = image();
    const want = wanting(reference);
    registry.flow = 'held';
    const asked = registry.next('layer-asked');
    const before = registry.layerRequests;
    const wanted = [want(), want(), want()];
    await asked;
    registry.release();
    for (const resolved of await Promise.all(wanted)) {
      expect(resolved).toEqual({ ok: true, value: id });
    }
    expect(registry.layerRequests - before).toBe(1);
  }, 60_000);

  it('goes on while one still waits, ends with the last one, and can begin anew', async () => {
    const { reference, id } = image();
    const want = wanting(reference);
    registry.flow = 'held';
    const [first, second] = [new AbortController(), new AbortController()];
    const asked = registry.next('layer-asked');
    const wanted = [want(undefined, first.signal), want(undefined, second.signal)];
    const ends = Promise.allSettled(wanted);
    await asked;
    first.abort();
    await expect(wanted[0]).rejects.toThrow('given up by its caller');
    const broken = registry.next('layer-broken');
    second.abort();
    await broken;
    expect((await ends).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    registry.flow = 'fast';
    expect(await want()).toEqual({ ok: true, value: id });
  }, 60_000);

  it('is not ended by one caller who goes', async () => {
    const { reference, id } = image();
    const want = wanting(reference);
    registry.flow = 'held';
    const asked = registry.next('layer-asked');
    const impatient = new AbortController();
    const given = want(undefined, impatient.signal);
    const patient = want();
    await asked;
    impatient.abort();
    await expect(given).rejects.toThrow('given up by its caller');
    registry.release();
    expect(await patient).toEqual({ ok: true, value: id });
  }, 60_000);

  it('tells how far it is', async () => {
    const { reference } = image({ bytes: 8 * MIB });
    registry.flow = 'slow';
    const lines: string[] = [];
    await wanting(reference, { sayEveryMs: 0 })((line) => lines.push(line));
    expect(lines[0]).toBe(`pulling ${reference}`);
    expect(lines.slice(1).join('\n')).toMatch(/: [1-7]\.\d of 8\.0 MiB/);
  }, 60_000);

  it('gives up a registry that goes silent, and says so', async () => {
    const { reference } = image({ bytes: MIB });
    registry.flow = 'stalled';
    const broken = registry.next('layer-broken');
    const resolved = await wanting(reference, { idleMs: 1_000 })();
    await broken;
    expect(resolved).toMatchObject({ ok: false, error: { kind: 'unavailable' } });
    if (resolved.ok) return;
    for (const words of [reference, registry.host, 'made no progress for 1 s', "Podman's store"]) {
      expect(resolved.error.message).toContain(words);
    }
  }, 60_000);

  it('gives up one that is too slow altogether', async () => {
    const { reference } = image({ bytes: 8 * MIB });
    registry.flow = 'slow';
    const resolved = await wanting(reference, { totalMs: 1_500 })();
    expect(resolved).toMatchObject({ ok: false });
    if (!resolved.ok) expect(resolved.error.message).toContain('did not end within 1.5 s');
  }, 60_000);

  it('names an image that the registry does not have, and the registry', async () => {
    const reference = `${registry.host}/nobody/has-this:1`;
    const resolved = await wanting(reference)();
    expect(resolved).toMatchObject({ ok: false, error: { kind: 'unavailable' } });
    if (resolved.ok) return;
    const { message } = resolved.error;
    expect(message).toContain(`image ${reference} is not in Podman's store of this machine`);
    expect(message).toContain(`could not be pulled from ${registry.host}`);
    expect(message).toContain('manifest unknown');
  }, 60_000);

  it('says of a short name that no registry is configured for it', async () => {
    const resolved = await wanting('podmesh-nobody-has-this:1')();
    expect(resolved).toMatchObject({ ok: false, error: { kind: 'unavailable' } });
    if (!resolved.ok) expect(resolved.error.message).toContain('no registry is configured');
  }, 60_000);

  it.each([false, true])(
    'refuses one of another platform (in an index: %s)',
    async (inIndex) => {
      const { reference } = image({ arch: 's390x', inIndex });
      const resolved = await wanting(reference)();
      expect(resolved).toMatchObject({ ok: false, error: { kind: 'platform' } });
      if (resolved.ok) return;
      expect(resolved.error.message).toContain(reference);
      expect(resolved.error.message).toContain('linux/amd64');
      if (!inIndex) expect(resolved.error.message).toContain('linux/s390x');
    },
    60_000,
  );
});
