import { PortError } from '../ports.ts';
import type { ArtifactId } from '../words/ids.ts';

/** The object store of the mesh takes no more of this size. */
export class ObjectStoreFullError extends PortError {
  constructor(
    artifact: ArtifactId,
    seen: { readonly bytes: number; readonly usedBytes?: number; readonly maxBytes?: number },
    cause?: unknown,
  ) {
    const { bytes, usedBytes, maxBytes } = seen;
    const held = maxBytes === undefined ? '' : ` (${usedBytes} of ${maxBytes} bytes are taken)`;
    super(
      `the object store of the mesh has no room for the ${bytes} bytes of ${artifact}${held}: ` +
        'wait until the runs that need it are forgotten, or give it more ("nats stream edit --max-bytes")',
      { retryable: false, cause },
    );
  }
}
