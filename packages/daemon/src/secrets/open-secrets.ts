import { type Mesh, publicKeyText } from '@podmesh/jetstream';
import { OutsideStores } from '@podmesh/stores';
import type { DaemonParts } from '../daemon-parts.ts';
import { newFetches } from '../external/attempt-externals.ts';
import type { StartedParts } from '../started-parts.ts';
import { sha256 } from '../store/local-task-files.ts';
import { PeerSecrets } from './peer-secrets.ts';
import { loadSealingKey } from './sealing-key.ts';
import type { SecretFiles } from './secret-files.ts';

/** What tasks reach outside of the mesh, and the key by which secrets are sealed for this peer. */
export async function openSecrets(
  parts: DaemonParts,
  started: StartedParts,
  mesh: Mesh,
  secretFiles: SecretFiles,
) {
  const { home, peer, logger } = parts;
  const key = await loadSealingKey(home.at('sealing.key'));
  const { boxes, runLog: log, peers, pins } = mesh;
  const directory = home.at('secrets');
  const secrets = new PeerSecrets({ boxes, log, peers, peer, key, env: process.env, directory });
  const stop = new AbortController();
  const answering = boxes
    .answer((question) => secrets.give(question), stop.signal)
    .catch((err: unknown) => logger.warn({ err }, 'gives no secrets to peers that come later'));
  started.add('answers about secrets', async () => {
    stop.abort();
    await answering;
  });
  const fetches = newFetches();
  const external = { store: new OutsideStores(), pins, secrets, secretFiles, sha256, fetches };
  return { external, sealingKey: publicKeyText(key) };
}
