import type { ArtifactId, ImageProblem, PullProgress, Result } from '@podmesh/core';
import type { Success } from '../store/run-pins.ts';

/** Images that jobs left as archives. */
export interface ImageArchives {
  /** The local image id. Comes by its parts where somebody has taken the archive apart, and from the archive else. */
  resolve(archive: ArtifactId, wish: ArchiveWish): Promise<Result<string, ImageProblem>>;
  /**
   * Makes the parts of an archive that is on this disk artifacts, and keeps them as long as the outputs of that task. What is
   * wrong with the archive, as a sentence. Never throws: what could not be done now is done by who needs it.
   */
  takeApart(archive: ArtifactId, of: Success, signal: AbortSignal): Promise<string | undefined>;
}

export interface ArchiveWish {
  /** Brings the archive itself here, and keeps it while it is needed; its path. */
  readonly bring: () => Promise<string>;
  readonly progress: PullProgress;
  readonly signal: AbortSignal;
}
