import type { ArtifactId } from '@podmesh/core';
import type { MeshConnection } from './mesh-connection.ts';
import { asking } from './port-error.ts';
import { findEntry, type StoredEntry, writeEntry } from './shelf-entry.ts';
import { readNoteEntry } from './shelf-note.ts';
import { artifactMetaSubject } from './subjects.ts';
import { isWrongSequence } from './wrong-sequence.ts';

/** Writes an entry anew that a sweep may have condemned; false: it is gone. */
export async function keepEntry(
  mesh: MeshConnection,
  artifact: ArtifactId,
  stored: StoredEntry,
): Promise<boolean> {
  const horizon = (await readNoteEntry(mesh))?.horizon ?? 0;
  let seen: StoredEntry | undefined = stored;
  while (seen !== undefined && seen.sequence <= horizon) {
    const { entry, sequence } = seen;
    try {
      const subject = artifactMetaSubject(artifact);
      await asking(`keep ${artifact}`, () => writeEntry(mesh, subject, entry, sequence));
      return true;
    } catch (error) {
      if (!isWrongSequence(error)) throw error;
      // The sweep removed it, or somebody else kept it.
      seen = await findEntry(mesh, artifact);
    }
  }
  return seen !== undefined;
}
