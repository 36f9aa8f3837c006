import {
  canonicalJson,
  type Graph,
  INLINE_VALUE_BYTES_MAX,
  type RunId,
  type RunPublished,
} from '@podmesh/core';
import { putText, sha256 } from '@podmesh/daemon';
import type { Mesh } from '@podmesh/jetstream';

/** Publishes a graph as the command line does. */
export async function putGraph(mesh: Mesh, run: RunId, graph: Graph): Promise<void> {
  const text = canonicalJson(graph);
  const taskCount = graph.jobs.reduce((sum, job) => sum + (job.count ?? 1), 0);
  const where: RunPublished['graph'] =
    Buffer.byteLength(text) <= INLINE_VALUE_BYTES_MAX
      ? { kind: 'inline', graph }
      : {
          kind: 'artifact',
          artifact: (await putText(mesh.artifacts, sha256, 'file', text)).digest,
        };
  const published: RunPublished = {
    kind: 'run-published',
    run,
    graph: where,
    taskCount,
    publisher: 'bench@localhost',
  };
  await mesh.runLog.append(published, 0);
  await mesh.drives.publish(run);
}
