import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { replacePrivately } from '@podmesh/authority';
import { MINORS_APART_MAX, minorsAhead, parseRelease } from '@podmesh/core';

const FILE = 'version';

/** The folder was written by a podmesh that is too far ahead of this one, or by something else; nothing was touched. */
export class HomeVersionError extends Error {
  constructor(path: string, found: string, ours: string) {
    super(
      `${path} was written by podmesh ${found}, and this is ${ours}, which could damage it: install podmesh ${found} ` +
        'again, or give this one a home of its own with PODMESH_HOME',
    );
    this.name = 'HomeVersionError';
  }
}

/**
 * Before anything else in the folder is read or written. Throws `HomeVersionError`. Afterwards `version` in it names the
 * newest podmesh that has worked there; a folder without one is new, or of before there were several versions.
 */
export async function enterHome(home: string, version: string): Promise<void> {
  const ours = parseRelease(version);
  if (ours === undefined) throw new Error(`broken invariant: ${version} is no version`);
  const path = join(home, FILE);
  const text = await readIfThere(path);
  if (text !== undefined) {
    const found = parseRelease(text);
    const shown = text.trim().slice(0, 40) || 'of an unknown version';
    if (found === undefined || minorsAhead(found, ours) > MINORS_APART_MAX)
      throw new HomeVersionError(home, shown, version);
    if (minorsAhead(ours, found) <= 0) return;
  }
  // Steps that bring a folder of an older version up to date go here; so far nothing has changed its meaning.
  await replacePrivately(path, `${version}\n`);
}

/** Only a file that is not there is none: one that cannot be read may say anything. */
async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
