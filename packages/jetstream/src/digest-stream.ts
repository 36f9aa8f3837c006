import { createHash } from 'node:crypto';
import { type ArtifactId, artifactId } from '@podmesh/core';

/** The artifact id of some bytes. */
export const artifactIdOf = (bytes: Uint8Array | string): ArtifactId =>
  artifactId(`sha256:${createHash('sha256').update(bytes).digest('hex')}`);

export interface Digested {
  readonly digest: ArtifactId;
  readonly bytes: number;
}

/** Passes bytes on and tells at the end what they were. */
export class DigestStream {
  readonly #hash = createHash('sha256');
  #bytes = 0;

  async *through(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of source) {
      this.#hash.update(chunk);
      this.#bytes += chunk.length;
      yield chunk;
    }
  }

  /** Once, after the last byte. */
  finish(): Digested {
    return { digest: artifactId(`sha256:${this.#hash.digest('hex')}`), bytes: this.#bytes };
  }
}
