import type { InputPins } from '@podmesh/core';
import {
  type ExternalStore,
  type Graph,
  type Logged,
  parseGraph,
  type RunId,
  sourceKey,
} from '@podmesh/core';
import { type ExternalParts, newFetches, sha256 } from '@podmesh/daemon';
import type { SimProcess, Violation } from '@podmesh/testkit';

/** A place outside of the mesh that never answers twice alike. */
export class SimWeb {
  answers = 0;

  partsFor(process: SimProcess, pins: InputPins): ExternalParts {
    const store: ExternalStore = {
      read: (place) => this.#read(process, JSON.stringify(place)),
      write: () => process.call('web.write', () => undefined),
    };
    const secretFiles = { place: async () => ({ env: {}, files: {} }), values: async () => [] };
    const secrets = { valuesOf: async () => new Map() };
    return { store, pins, secrets, secretFiles, sha256, fetches: newFetches() };
  }

  async *#read(process: SimProcess, place: string): AsyncIterable<Uint8Array> {
    yield await process.call('web.read', () => Buffer.from(`answer ${++this.answers} of ${place}`));
  }
}

const URLS = ['https://web.example/one', 'https://web.example/two'];

/** Tasks that read the same places, at once and one after another; some deliver what they made. */
export function webGraph(): Graph {
  const [one, two] = URLS;
  const jobs = [
    { id: 'a', count: 4, inputs: { x: one } },
    { id: 'b', inputs: { x: one, y: two }, after: ['a'] },
    { id: 'c', inputs: { y: two, a: 'jobs:a/out' }, outputs: { out: { file: '/out', to: two } } },
    { id: 'd', count: 2, inputs: { x: one, b: 'jobs:b/out' } },
  ];
  const container = 'localhost/tool:1';
  const whole = jobs.map((job) => ({ container, outputs: { out: 'file:/out' }, ...job }));
  const graph = parseGraph({ version: 1, jobs: whole }, sha256);
  if (!graph.ok) throw new Error(JSON.stringify(graph.error));
  return graph.value;
}

/** All that succeeded in one run read the same bytes of one place: those that are pinned. */
export function checkPins(entries: readonly Logged[]): Violation[] {
  const pins = new Map<string, string>();
  const violations: Violation[] = [];
  const key = (run: RunId, url: string) => `${run} ${sourceKey({ kind: 'https', url }, sha256)}`;
  for (const { event } of entries) {
    if (event.kind === 'input-pinned') {
      const name = `${event.run} ${event.source}`;
      if (pins.has(name)) violations.push(`${name} is pinned twice`);
      pins.set(name, event.artifact.digest);
    }
    if (event.kind !== 'attempt-succeeded' && event.kind !== 'task-cached') continue;
    for (const [name, url] of [
      ['x', URLS[0]],
      ['y', URLS[1]],
    ] as const) {
      const read = event.result.inputs[name];
      if (read === undefined || url === undefined) continue;
      if (pins.get(key(event.run, url)) !== read)
        violations.push(`${event.run} ${event.task} read other bytes of ${url} than were pinned`);
    }
  }
  return violations;
}
