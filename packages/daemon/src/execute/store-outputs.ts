import {
  type ArtifactRef,
  type Clock,
  type FailureKind,
  keptOutputs,
  type LimitsEnforced,
  type Offer,
  type OutputProblem,
  type OutputRef,
  ok,
  type Result,
  type RunningContainer,
} from '@podmesh/core';
import { AttemptFailure } from './attempt-failure.ts';
import type { ImageArchives } from './image-archives.ts';
import { watchedBounds } from './limit-watch.ts';
import { OutputAllowance } from './output-allowance.ts';
import { patiently } from './patiently.ts';
import type { StoredOutput, TaskFiles } from './task-files.ts';

export interface OutputStoring {
  readonly files: TaskFiles;
  readonly clock: Clock;
  readonly limits: LimitsEnforced;
  readonly offer: Offer;
  readonly stop: AbortSignal;
  /** Told of outputs that are images. */
  readonly archives?: ImageArchives | undefined;
}

type Stored = Record<string, ArtifactRef>;

/** `bulk`: some of it is on this disk alone. */
export interface StoredOutputs {
  readonly outputs: Stored;
  readonly bulk?: true;
}

/** Stores all declared outputs of a container that ended well; throws an `AttemptFailure` for one that is missing. */
export async function storeOutputs(
  container: RunningContainer,
  storing: OutputStoring,
): Promise<StoredOutputs> {
  const outputs: Stored = {};
  let isBulk = false;
  const allowance = allowanceOf(storing);
  for (const [name, output] of Object.entries(storing.offer.outputs)) {
    const kept = await storeOne(container, output, allowance, { ...storing, isSuccess: true });
    if (!kept.ok) {
      throw new AttemptFailure('output-missing', `output ${name}: ${kept.error.message}`);
    }
    const { bulk, ...ref } = kept.value;
    outputs[name] = ref;
    isBulk ||= bulk === true;
    if (storing.offer.images?.includes(name) === true) await takeApart(name, ref, storing);
  }
  return isBulk ? { outputs, bulk: true } : { outputs };
}

/** What is none is so wherever it is wanted: who made it is told, and not each of those. */
async function takeApart(
  name: string,
  { kind, digest }: ArtifactRef,
  { archives, offer, stop }: OutputStoring,
): Promise<void> {
  const problem = kind === 'file' ? await archives?.takeApart(digest, offer, stop) : undefined;
  if (problem === undefined) return;
  const message = `output ${name} is meant as an image, but ${problem}`;
  throw new AttemptFailure('output-missing', message);
}

/**
 * What a task left on its way down is welcome; that it failed is known without it. Never throws. No driver brings it to
 * other peers, so it goes into the object store whatever its size, or while that is full to one other peer by ours. Both
 * disks have what one attempt left: what the next one leaves there takes its place. Logs stay until the run is over.
 */
export async function keepOutputs(
  container: RunningContainer,
  failed: FailureKind,
  storing: OutputStoring,
): Promise<Stored> {
  const kept: Stored = {};
  const allowance = allowanceOf(storing);
  for (const [name, output] of keptOutputs(storing.offer, failed)) {
    const stored = await storeOne(container, output, allowance, storing).catch(() => undefined);
    if (stored?.ok !== true) continue;
    const { bulk: _, ...ref } = stored.value;
    kept[name] = ref;
  }
  return kept;
}

function allowanceOf({ offer, limits }: OutputStoring): OutputAllowance {
  return new OutputAllowance(watchedBounds(offer.requirements, limits).diskBytes);
}

function storeOne(
  container: RunningContainer,
  output: OutputRef,
  allowance: OutputAllowance,
  storing: OutputStoring & { readonly isSuccess?: true },
): Promise<Result<StoredOutput, OutputProblem>> {
  const kind = output.kind === 'dir' ? 'dir' : 'file';
  return patiently(async () => {
    const entries = await container.readOutput(output);
    if (!entries.ok) return entries;
    const { run, task, attempt } = storing.offer;
    const owner =
      storing.isSuccess === true ? { run, task } : ({ run, task, apart: true, attempt } as const);
    const store = (given: typeof entries.value) =>
      storing.files.storeOutput(kind, given, owner, storing.stop);
    return ok(await allowance.spend(entries.value, store));
  }, storing);
}
