import { shell } from '../process-kit/busybox-graph.ts';
import { BUSYBOX } from '../process-kit/podman-containers.ts';

/** How much work a night is. */
export interface NightWork {
  /** Strands beside each other, each a row of steps that wait for one another. */
  readonly strands: number;
  readonly steps: number;
  /** Tasks of each step. */
  readonly width: number;
  /** A task takes from one second to so many. */
  readonly secondsMax: number;
}

/** Bytes of the one large output of each strand: larger ones are on the disks of peers alone. */
const LARGE_BYTES = 3_000_000;

/** The sum of what all tasks of the step before wrote. */
const ADD = "sum=$(find /in/before -type f | xargs cat | awk '{s += $1} END {print s}')";

/**
 * Strands of steps: each task adds its number to the sum of the step before it; one job gathers them all. The outcome is
 * known in advance, whatever befalls the machines on the way. A document, as a person would write it.
 */
export function nightGraph({ strands, steps, width, secondsMax }: NightWork): object {
  const jobs: object[] = [];
  const ends: Record<string, string> = {};
  for (let strand = 0; strand < strands; strand += 1) {
    for (let step = 0; step < steps; step += 1) {
      const before = `s${strand}-${step - 1}`;
      jobs.push({
        ...{ id: `s${strand}-${step}`, count: width, cache: false, keep: true },
        needs: { memory: '16MiB', disk: '16MiB' },
        ...(step === 0 ? {} : { inputs: { before: `jobs:${before}/out` } }),
        command: shell(
          `sleep $((1 + (PODMESH_INDEX * 7 + ${strand + step}) % ${secondsMax}))`,
          step === 0 ? 'sum=0' : ADD,
          'echo $((sum + PODMESH_INDEX)) > /tmp/out',
        ),
        outputs: { out: 'file:/tmp/out' },
      });
    }
    const last = `s${strand}-${steps - 1}`;
    jobs.push({
      ...{ id: `large${strand}`, cache: false, needs: { memory: '16MiB', disk: '64MiB' } },
      inputs: { before: `jobs:${last}/out` },
      command: shell(ADD, `yes "strand ${strand} $sum" | head -c ${LARGE_BYTES} > /tmp/large`),
      outputs: { large: 'file:/tmp/large' },
    });
    ends[`e${strand}`] = `jobs:${last}/out`;
  }
  jobs.push({
    ...{ id: 'all', cache: false, inputs: ends },
    command: shell("find /in -type f | xargs cat | awk '{s += $1} END {print s}' > /tmp/sum"),
    outputs: { sum: 'file:/tmp/sum' },
  });
  return { version: 1, jobs: jobs.map((job) => ({ container: BUSYBOX, ...job })) };
}

export function taskCountOf({ strands, steps, width }: NightWork): number {
  return strands * (steps * width + 1) + 1;
}

/** What `all` has to say. */
export function expectedSum({ strands, steps, width }: NightWork): number {
  const own = (width * (width - 1)) / 2;
  let sum = own;
  for (let step = 1; step < steps; step += 1) sum = width * sum + own;
  return strands * sum;
}

/** The first bytes of a strand's large output. */
export function expectedLarge(work: NightWork, strand: number): string {
  return `strand ${strand} ${expectedSum({ ...work, strands: 1 })}\n`;
}
