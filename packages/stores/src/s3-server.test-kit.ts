import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import type { Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { StorePlace } from '@podmesh/core';

interface S3rver {
  run(): Promise<AddressInfo>;
  close(): Promise<void>;
  configureBuckets(): Promise<unknown>;
  readonly httpServer: Server;
}

type S3rverClass = new (options: {
  readonly port: number;
  readonly address: string;
  readonly silent: boolean;
  readonly directory: string;
  readonly configureBuckets: readonly { readonly name: string }[];
}) => S3rver;

export const BUCKET = 'data';
/** The one key pair that the server knows. */
export const KEYS = new Map([
  ['id', Buffer.from('S3RVER\n')],
  ['key', Buffer.from('S3RVER')],
  ['wrong', Buffer.from('not-the-secret-key')],
]);

/** A real server that speaks S3, on the loopback device. */
export class S3Server {
  readonly directory: string;
  readonly endpoint: string;
  readonly #server: S3rver;

  private constructor(directory: string, endpoint: string, server: S3rver) {
    this.directory = directory;
    this.endpoint = endpoint;
    this.#server = server;
  }

  static async start(): Promise<S3Server> {
    const directory = await mkdtemp(join(tmpdir(), 'podmesh-s3-'));
    const load: (name: string) => unknown = createRequire(import.meta.url);
    const Server = load('@20minutes/s3rver') as S3rverClass;
    const configureBuckets = [{ name: BUCKET }];
    const at = { port: 0, address: '127.0.0.1' };
    const server = new Server({ ...at, silent: true, directory, configureBuckets });
    const { port } = await server.run();
    return new S3Server(directory, `http://127.0.0.1:${port}`, server);
  }

  /** An object in the bucket; `secretAccessKey` names one of {@link KEYS}. */
  place(key: string, secretAccessKey = 'key'): Extract<StorePlace, { kind: 's3' }> {
    const { endpoint } = this;
    return { kind: 's3', bucket: BUCKET, key, endpoint, accessKeyId: 'id', secretAccessKey };
  }

  async stop(): Promise<void> {
    const closed = once(this.#server.httpServer, 'close');
    this.#server.httpServer.closeAllConnections();
    await Promise.all([this.#server.close(), closed]);
    await rm(this.directory, { recursive: true, force: true });
  }
}
