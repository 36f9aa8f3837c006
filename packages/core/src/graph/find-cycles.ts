import { assert } from '../words/unreachable.ts';
import type { JobEdges } from './job-edges.ts';

/**
 * For each set of jobs that wait for each other, one cycle: the shortest through its first job,
 * beginning with it. Linear time and no recursion, so that a chain of any length is fine.
 */
export function findCycles(edges: JobEdges): readonly (readonly number[])[] {
  const { componentOf, sizes } = stronglyConnected(edges);
  const seen = new Set<number>();
  const cycles: (readonly number[])[] = [];
  for (const [position, component] of componentOf.entries()) {
    if ((sizes[component] ?? 0) < 2 || seen.has(component)) continue;
    seen.add(component);
    cycles.push(shortestCycle(edges, position, componentOf));
  }
  return cycles;
}

interface Components {
  readonly componentOf: Uint32Array;
  readonly sizes: readonly number[];
}

/** Tarjan's algorithm (SIAM J. Comput. 1972) with its stack as an array. */
function stronglyConnected({ start, target }: JobEdges): Components {
  const jobs = start.length - 1;
  const order = new Uint32Array(jobs); // 0: not visited yet
  const low = new Uint32Array(jobs);
  const cursor = start.slice(0, jobs);
  const componentOf = new Uint32Array(jobs).fill(NO_COMPONENT);
  const sizes: number[] = [];
  const path: number[] = [];
  const open: number[] = [];
  let visited = 0;
  for (let root = 0; root < jobs; root++) {
    if (order[root] === 0) path.push(root);
    for (let job = path.at(-1); job !== undefined; job = path.at(-1)) {
      if (order[job] === 0) {
        order[job] = low[job] = ++visited;
        open.push(job);
      }
      const next = cursor[job] ?? 0;
      if (next < (start[job + 1] ?? 0)) {
        const other = target[next] ?? 0;
        if (order[other] === 0) path.push(other);
        else {
          if (componentOf[other] === NO_COMPONENT) lower(low, job, low[other]);
          cursor[job] = next + 1;
        }
        continue;
      }
      path.pop();
      if (low[job] === order[job]) sizes.push(closeComponent(job, open, componentOf, sizes.length));
    }
  }
  return { componentOf, sizes };
}

const NO_COMPONENT = 0xffffffff;

function lower(low: Uint32Array, job: number, value = NO_COMPONENT): void {
  low[job] = Math.min(low[job] ?? NO_COMPONENT, value);
}

/** Takes the component that began with `root` off the stack; its size. */
function closeComponent(
  root: number,
  open: number[],
  componentOf: Uint32Array,
  component: number,
): number {
  let size = 0;
  for (let job = open.pop(); job !== undefined; job = open.pop()) {
    componentOf[job] = component;
    size++;
    if (job === root) break;
  }
  return size;
}

/** Breadth first within the component, from its first job until an edge leads back to it. */
function shortestCycle(
  { start, target }: JobEdges,
  first: number,
  componentOf: Uint32Array,
): readonly number[] {
  const cameFrom = new Map<number, number>();
  const queue = [first];
  for (let taken = 0; taken < queue.length; taken++) {
    const job = queue[taken] ?? first;
    for (let edge = start[job] ?? 0; edge < (start[job + 1] ?? 0); edge++) {
      const other = target[edge] ?? first;
      if (other === first) return wayTo(job, first, cameFrom);
      if (componentOf[other] !== componentOf[first] || cameFrom.has(other)) continue;
      cameFrom.set(other, job);
      queue.push(other);
    }
  }
  assert(false, 'a component of several jobs has a cycle through each of them');
}

function wayTo(
  last: number,
  first: number,
  cameFrom: ReadonlyMap<number, number>,
): readonly number[] {
  const way = [last];
  for (let job = last; job !== first; ) {
    job = cameFrom.get(job) ?? first;
    way.push(job);
  }
  return way.reverse();
}
