import { createHash } from 'node:crypto';
import { request } from 'node:http';
import { type ArtifactId, artifactId, OCI_INDEX, OCI_MANIFEST, peerId } from '@podmesh/core';
import { DirectProcess, FakeMesh, RealTime } from '@podmesh/testkit';
import type { BlobRange, BlobStore, BlobUpload, ImageSource } from './registry-parts.ts';
import { RegistryServer } from './registry-server.ts';

export const digestOf = (bytes: Uint8Array | string): ArtifactId =>
  artifactId(`sha256:${createHash('sha256').update(bytes).digest('hex')}`);

/** Blobs in memory; a disk that is full after `bytesMax`. */
export class MemoryBlobs implements BlobStore {
  readonly stored = new Map<ArtifactId, Buffer>();
  readonly shared = new Set<ArtifactId>();
  bytesMax = Number.POSITIVE_INFINITY;
  held = 0;
  /** Uploads whose bytes are still somewhere. */
  open = 0;
  /** Instead of an answer. */
  trouble: Error | undefined;

  async find(blob: ArtifactId): Promise<number | undefined> {
    if (this.trouble !== undefined) throw this.trouble;
    return this.stored.get(blob)?.length;
  }

  bring(blob: ArtifactId): Promise<number | undefined> {
    return this.find(blob);
  }

  async *read(blob: ArtifactId, { start, end }: BlobRange): AsyncIterable<Uint8Array> {
    const bytes = this.stored.get(blob)?.subarray(start, end) ?? Buffer.of();
    for (let at = 0; at < bytes.length; at += 1_000) yield bytes.subarray(at, at + 1_000);
  }

  hold(): () => void {
    this.held += 1;
    return () => {
      this.held -= 1;
    };
  }

  async share(blob: ArtifactId): Promise<void> {
    this.shared.add(blob);
  }

  async beginUpload(): Promise<BlobUpload> {
    const pieces: Uint8Array[] = [];
    let isOver = false;
    this.open += 1;
    const end = () => {
      if (!isOver) this.open -= 1;
      isOver = true;
    };
    return {
      write: async (piece) => {
        const bytes = pieces.reduce((sum, { length }) => sum + length, piece.length);
        if (bytes > this.bytesMax) {
          const error = new Error('disk /mnt (/dev/sdz) is full: needs 1 GiB');
          throw Object.assign(error, { code: 'ENOSPC' });
        }
        pieces.push(Uint8Array.from(piece));
      },
      digest: () => digestOf(Buffer.concat(pieces)),
      commit: async () => {
        const bytes = Buffer.concat(pieces);
        this.stored.set(digestOf(bytes), bytes);
        end();
      },
      discard: async () => end(),
    };
  }
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: Buffer;
  /** Codes of the specification's error body. */
  readonly codes: readonly string[];
  readonly message: string;
}

export interface Asking {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string;
}

/** A registry on a port of its own, over memory. */
export class TestRegistry {
  readonly blobs = new MemoryBlobs();
  readonly mesh = new FakeMesh(new RealTime({ background: true }));
  readonly troubles: unknown[] = [];
  nowMs = 0;
  /** Instead of another registry. */
  bring: ImageSource['bring'] = async () => false;
  changes = 0;
  readonly #ports = this.mesh.portsFor(
    new DirectProcess('registry', new RealTime({ background: true })),
  );
  readonly #server = new RegistryServer(
    {
      peer: peerId('alice'),
      blobs: this.blobs,
      tags: this.#ports.imageTags,
      manifests: this.#ports.imageManifests,
      mirror: { bring: (...asked) => this.bring(...asked) },
      onTagsChanged: async () => {
        this.changes += 1;
      },
      onTrouble: (_, error) => this.troubles.push(error),
      nowMs: () => this.nowMs,
    },
    { port: 0, mayBeOther: false },
  );

  static async start(): Promise<TestRegistry> {
    const registry = new TestRegistry();
    await registry.#server.start();
    return registry;
  }

  get tags() {
    return this.#ports.imageTags;
  }

  get port(): number {
    return this.#server.port;
  }

  stop(): Promise<void> {
    return this.#server.stop();
  }

  /** Sends the path as it is: clients of Node's own tidy it up first. */
  ask(path: string, { method = 'GET', headers = {}, body }: Asking = {}): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const asked = request({ host: '127.0.0.1', port: this.port, path, method, headers });
      asked.once('error', reject);
      asked.once('response', (response) => {
        const pieces: Buffer[] = [];
        response.on('data', (piece: Buffer) => pieces.push(piece));
        response.once('error', reject);
        response.once('end', () => {
          const all = Buffer.concat(pieces);
          const told = response.headers as Record<string, string | undefined>;
          resolve({ status: response.statusCode ?? 0, headers: told, body: all, ...errorsOf(all) });
        });
      });
      asked.end(body);
    });
  }

  /** Pushes a blob in one go; its digest. */
  async pushBlob(bytes: Uint8Array | string, repository = 'me/tool'): Promise<ArtifactId> {
    const digest = digestOf(bytes);
    const path = `/v2/${repository}/blobs/uploads/?digest=${digest}`;
    const { status } = await this.ask(path, { method: 'POST', body: bytes });
    if (status !== 201) throw new Error(`pushing a blob: ${status}`);
    return digest;
  }

  /** Begins an upload; where it goes on. */
  async begin(repository = 'me/tool'): Promise<string> {
    const path = `/v2/${repository}/blobs/uploads/`;
    const begun = await this.ask(path, { method: 'POST' });
    return begun.headers.location ?? '';
  }

  put(path: string, manifest: string, type = OCI_MANIFEST): Promise<Answer> {
    const headers = type === '' ? {} : { 'Content-Type': type };
    return this.ask(path, { method: 'PUT', body: manifest, headers });
  }

  /** Pushes an image of a config and one layer under a tag, or by its digest; its manifest. */
  async pushImage(
    reference: string | undefined,
    more: object = {},
    repository = 'me/tool',
  ): Promise<{ readonly digest: ArtifactId; readonly text: string }> {
    const text = JSON.stringify({ ...(await this.newManifest(repository)), ...more });
    const digest = digestOf(text);
    const put = await this.put(`/v2/${repository}/manifests/${reference ?? digest}`, text);
    if (put.status !== 201) throw new Error(`pushing a manifest: ${put.status} ${put.message}`);
    return { digest, text };
  }

  /** Its parts are pushed. */
  async newManifest(repository = 'me/tool') {
    const config = JSON.stringify({
      architecture: 'amd64',
      os: 'linux',
      n: this.blobs.stored.size,
    });
    const layer = `layer ${this.blobs.stored.size}`;
    return {
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      config: {
        mediaType: 'application/vnd.oci.image.config.v1+json',
        digest: await this.pushBlob(config, repository),
        size: config.length,
      },
      layers: [
        {
          mediaType: 'application/vnd.oci.image.layer.v1.tar',
          digest: await this.pushBlob(layer, repository),
          size: layer.length,
        },
      ],
    };
  }
}

export function indexOf(children: readonly { digest: string; text: string }[]): string {
  const manifests = children.map(({ digest, text }) => ({
    mediaType: OCI_MANIFEST,
    digest,
    size: text.length,
    platform: { os: 'linux', architecture: 'amd64' },
  }));
  return JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests });
}

function errorsOf(body: Buffer): { codes: readonly string[]; message: string } {
  try {
    const { errors = [] } = JSON.parse(body.toString('utf8')) as {
      errors?: readonly { code: string; message: string }[];
    };
    return { codes: errors.map(({ code }) => code), message: errors[0]?.message ?? '' };
  } catch {
    return { codes: [], message: '' };
  }
}
