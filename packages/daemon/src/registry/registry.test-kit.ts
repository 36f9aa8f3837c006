import { type ArtifactId, artifactId, OCI_MANIFEST, type PeerId, peerId } from '@podmesh/core';
import { DirectProcess, FakeMesh, type MeshPorts, RealTime } from '@podmesh/testkit';
import { TransferError } from '@podmesh/transfer';
import pino from 'pino';
import { idOf } from '../../../transfer/src/transfer.test-kit.ts';
import type { DiskStoreOptions } from '../store/disk-store.ts';
import { newStore, textStream } from '../store/store.test-kit.ts';
import { ArtifactBlobs, type ArtifactBlobsParts } from './artifact-blobs.ts';

export const never = new AbortController().signal;
export const ALICE: PeerId = peerId('alice');
export const SILENT = pino({ level: 'silent' });
export const textId = (text: string): ArtifactId => artifactId(idOf(Buffer.from(text)));

export function fakePorts(): MeshPorts {
  const mesh = new FakeMesh(new RealTime({ background: true }));
  return mesh.portsFor(new DirectProcess('peer', new RealTime({ background: true })));
}

/** The blobs of one peer on a disk of its own, in a mesh where other peers have these texts. */
export async function newBlobs(
  options: { readonly elsewhere?: readonly string[]; readonly disk?: DiskStoreOptions } = {},
) {
  const { store, next } = await newStore(options.disk);
  const elsewhere = new Map((options.elsewhere ?? []).map((text) => [textId(text), text]));
  const transfers: { readonly artifact: ArtifactId; readonly bytes?: number }[] = [];
  const fromPeers: ArtifactBlobsParts['fromPeers'] = {
    get: async (artifact, { bytes }) => {
      const text = elsewhere.get(artifact);
      if (text === undefined) throw new TransferError(artifact, 'no-source');
      transfers.push({ artifact, ...(bytes === undefined ? {} : { bytes }) });
      await store.write(textStream(text), 'copy');
    },
    nobodyHas: async (artifacts) => new Set(artifacts.filter((one) => !elsewhere.has(one))),
  };
  const ports = fakePorts();
  const finder: ArtifactBlobsParts['finder'] = {
    whoHas: async (asked) => ({
      found: new Map(
        asked.flatMap((artifact) => {
          const bytes = elsewhere.get(artifact)?.length;
          if (bytes === undefined) return [];
          return [[artifact, [{ artifact, peer: peerId('other'), bytes, whole: true }]] as const];
        }),
      ),
      silent: [],
    }),
    answer: async () => undefined,
  };
  const blobs = new ArtifactBlobs({ store, artifacts: ports.artifacts, finder, fromPeers });
  return { store, next, ports, blobs, transfers };
}

export async function write(blobs: ArtifactBlobs, text: string): Promise<ArtifactId> {
  const upload = await blobs.beginUpload();
  await upload.write(Buffer.from(text));
  const digest = upload.digest();
  await upload.commit();
  return digest;
}

/** Texts of an image of one layer. */
export function imageTexts(arch = 'amd64', layer = `layer of ${arch}`) {
  const config = JSON.stringify({ architecture: arch, os: 'linux', layer });
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: { mediaType: 'a/b', digest: textId(config), size: config.length },
    layers: [{ mediaType: 'a/b', digest: textId(layer), size: layer.length }],
  });
  const ids = { manifest: textId(manifest), config: textId(config), layer: textId(layer) };
  return { all: [config, layer, manifest], ids, manifest };
}
