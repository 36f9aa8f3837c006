import type { Graph, RunPublished } from '@podmesh/core';
import type { Client } from './client.ts';
import { readWhole } from './read-whole.ts';

/** The graph of a run, from the event itself or from the artifact it names. */
export async function loadGraph(client: Client, { graph }: RunPublished): Promise<Graph> {
  if (graph.kind === 'inline') return graph.graph;
  return JSON.parse((await readWhole(client, graph.artifact)).toString('utf8')) as Graph;
}
