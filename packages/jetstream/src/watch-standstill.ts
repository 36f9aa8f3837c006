import type { MeshConnection } from './mesh-connection.ts';
import { isAborted, pause } from './pause.ts';

const LOOK_MS = 2_000;
/** One silence is an election; a second one after it, seconds later, is worth a word. */
const SILENT_LOOKS = 2;

/** What is looked at. */
export interface AskedMesh {
  readonly isConnected: boolean;
  readonly jsm: Pick<MeshConnection['jsm'], 'getAccountInfo'>;
}

/**
 * Tells when a server answers that too few of the others are there to agree on anything (true), and when they do
 * again (false). One request every two seconds until the signal aborts; a broken connection is not told.
 */
export async function watchStandstill(
  mesh: AskedMesh,
  tell: (standsStill: boolean) => void,
  signal: AbortSignal,
  lookMs = LOOK_MS,
): Promise<void> {
  let silent = 0;
  let told = false;
  while (!isAborted(signal)) {
    const isMoving = await mesh.jsm.getAccountInfo().then(
      () => true,
      () => false,
    );
    if (isAborted(signal)) return;
    if (!mesh.isConnected) {
      silent = 0;
      told = false;
    } else {
      silent = isMoving ? 0 : silent + 1;
      const standsStill: boolean = silent >= SILENT_LOOKS || (told && !isMoving);
      if (standsStill !== told) tell(standsStill);
      told = standsStill;
    }
    await pause(lookMs, signal);
  }
}
