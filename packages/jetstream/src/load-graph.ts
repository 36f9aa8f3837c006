import type { ArtifactStore, Graph, RunPublished } from '@podmesh/core';

/** The graph of a run, from the event itself or from the artifact it names. */
export async function loadGraph(
  artifacts: ArtifactStore,
  { graph }: Pick<RunPublished, 'graph'>,
): Promise<Graph> {
  if (graph.kind === 'inline') return graph.graph;
  const pieces: Uint8Array[] = [];
  for await (const piece of artifacts.get(graph.artifact)) pieces.push(piece);
  return JSON.parse(Buffer.concat(pieces).toString('utf8')) as Graph;
}
