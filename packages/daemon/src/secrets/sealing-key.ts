import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { replacePrivately } from '@podmesh/authority';

/**
 * The key by which secrets are sealed for this peer: made once and kept for the user alone, so that a daemon that was
 * killed opens what was sealed for it before.
 */
export async function loadSealingKey(path: string): Promise<KeyObject> {
  const kept = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (kept !== undefined) return createPrivateKey(kept);
  const { privateKey } = generateKeyPairSync('x25519');
  await replacePrivately(path, privateKey.export({ format: 'pem', type: 'pkcs8' }).toString());
  return privateKey;
}
