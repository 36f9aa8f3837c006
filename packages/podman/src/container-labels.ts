import { type ContainerLabels, claimId, peerId, runId, taskId } from '@podmesh/core';

/** Labels by which a container is known as ours. Containers without them are never touched. */
export const RUN_LABEL = 'podmesh.run';
export const TASK_LABEL = 'podmesh.task';
export const ATTEMPT_LABEL = 'podmesh.attempt';
export const PEER_LABEL = 'podmesh.peer';
export const CLAIM_LABEL = 'podmesh.claim';

/** The labels as Podman stores them. */
export function writeLabels(labels: ContainerLabels): Record<string, string> {
  return {
    [RUN_LABEL]: labels.run,
    [TASK_LABEL]: labels.task,
    [ATTEMPT_LABEL]: String(labels.attempt),
    [PEER_LABEL]: labels.peer,
    [CLAIM_LABEL]: labels.claim,
  };
}

/** The labels of a container, or undefined when they are not ours in full. */
export function readLabels(
  stored: Readonly<Record<string, string>> | undefined,
): ContainerLabels | undefined {
  const of = (name: string) => stored?.[name] ?? '';
  const attempt = of(ATTEMPT_LABEL);
  if (!/^[1-9]\d{0,8}$/.test(attempt)) return undefined;
  try {
    return {
      run: runId(of(RUN_LABEL)),
      task: taskId(of(TASK_LABEL)),
      attempt: Number(attempt),
      peer: peerId(of(PEER_LABEL)),
      claim: claimId(of(CLAIM_LABEL)),
    };
  } catch {
    return undefined;
  }
}
