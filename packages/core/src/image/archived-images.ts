import type { ArtifactId } from '../words/ids.ts';
import type { ManifestRecord } from './image-directory.ts';

/**
 * Which image is in an archive that a job left, once somebody has taken it apart: its parts are artifacts from then on. What
 * is not known, or not any more, is found again from the archive, and is the same: at most `ARCHIVED_IMAGES_MAX` are
 * remembered, for `ARCHIVED_IMAGE_MS_MAX`.
 */
export interface ArchivedImages {
  find(archive: ArtifactId): Promise<ManifestRecord | undefined>;
  note(archive: ArtifactId, image: ManifestRecord): Promise<void>;
}
