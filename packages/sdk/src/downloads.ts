import { chmod, constants, copyFile, open, rename } from 'node:fs/promises';
import {
  type ArtifactFinder,
  type ArtifactId,
  peerId,
  SMALL_ARTIFACT_BYTES_MAX,
} from '@podmesh/core';
import {
  BytesThread,
  DownloadDisk,
  systemClock,
  TransferError,
  Transfers,
  type TransferWay,
} from '@podmesh/transfer';
import { PeerTransport, type PeerTransportParts } from './peer-transport.ts';

export interface DownloadsParts extends PeerTransportParts {
  readonly finder: ArtifactFinder;
}

/** No peer, so that the one of this machine is asked like all others. */
const NOBODY = peerId('podmesh-client');

/**
 * Large files, straight from all peers that have them at the same time, through the server from those that cannot be
 * reached; every chunk and the whole are compared with their SHA-256. What a try that was ended had is gone on with.
 */
export class Downloads {
  /** Bytes that came so far, by their ways. */
  readonly came: Record<TransferWay, number> = { direct: 0, relayed: 0 };
  readonly #thread = new BytesThread();
  readonly #disk: DownloadDisk;
  readonly #transport: PeerTransport;
  readonly #transfers: Transfers;
  /** Where each is, once it is there. */
  readonly #placed = new Map<ArtifactId, Promise<string>>();

  /** `folder`: where files are put together, on the file system of where they are going to be. */
  constructor(folder: string, parts: DownloadsParts) {
    const { finder } = parts;
    this.#disk = new DownloadDisk(folder, this.#thread);
    const transport = new PeerTransport(parts, (bytes, way) => {
      this.came[way] += bytes;
    });
    this.#transport = transport;
    const transfers = { peer: NOBODY, disk: this.#disk, finder, transport, clock: systemClock };
    this.#transfers = new Transfers(transfers);
  }

  /**
   * Puts the file at `path`, where there is none, with these permissions as far as the umask leaves them. False: it is
   * small, or no peer gives it; then it is had in the ordinary way, or not at all.
   */
  async fetchInto(
    artifact: ArtifactId,
    { bytes, mode }: { readonly bytes: number; readonly mode: number },
    path: string,
  ): Promise<boolean> {
    if (bytes <= SMALL_ARTIFACT_BYTES_MAX) return false;
    const before = this.#placed.get(artifact);
    const placing =
      before?.then((from) => copyTo(from, path, mode)) ??
      this.#bring({ artifact, bytes }, path, mode);
    if (before === undefined) this.#placed.set(artifact, placing);
    try {
      await placing;
      return true;
    } catch (error) {
      if (error instanceof TransferError) return false;
      throw error;
    }
  }

  /** What is not whole stays for the next try. Harmless twice. */
  async close(): Promise<void> {
    await this.#transfers.stop();
    await Promise.all([this.#transport.stop(), this.#thread.stop()]);
    await this.#disk.close();
  }

  async #bring(
    { artifact, bytes }: { readonly artifact: ArtifactId; readonly bytes: number },
    path: string,
    mode: number,
  ): Promise<string> {
    const { signal } = new AbortController();
    await this.#transfers.get(artifact, { bytes, signal });
    const whole = this.#disk.pathOf(artifact);
    await chmod(whole, await permitted(path, mode));
    await rename(whole, path);
    return path;
  }
}

async function copyTo(from: string, path: string, mode: number): Promise<string> {
  const permissions = await permitted(path, mode);
  await copyFile(from, path, constants.COPYFILE_FICLONE);
  await chmod(path, permissions);
  return path;
}

/** Makes an empty file, so that the kernel says what the umask leaves of the mode. */
async function permitted(path: string, mode: number): Promise<number> {
  const file = await open(path, 'wx', mode);
  try {
    return (await file.stat()).mode & 0o777;
  } finally {
    await file.close();
  }
}
