import { systemClock } from '@podmesh/transfer';
import type { DaemonParts } from '../daemon-parts.ts';
import type { StartedParts } from '../started-parts.ts';
import { pretendFacts } from '../test-hooks.ts';
import { MachineSources } from './machine-sources.ts';
import { OwnerWatch } from './owner-watch.ts';
import { PolicyFile } from './policy-file.ts';
import { SystemBus } from './system-bus.ts';

/** The file does not say what its owner meant: nothing is offered before it does. */
export class PolicyError extends Error {
  constructor(file: string, problems: PolicyFile['inForce']['problems']) {
    const told = problems.map(({ path, problem, advice }) => `${path}: ${problem}. ${advice}`);
    super([`${file} is no policy:`, ...told].join('\n  '));
    this.name = 'PolicyError';
  }
}

/** The owner's side of a peer, over this machine's own files and buses; throws `PolicyError`. */
export async function openOwner(
  { home, logger }: DaemonParts,
  started: StartedParts,
  hasBattery: boolean,
): Promise<{ readonly owner: OwnerWatch; readonly bus: SystemBus }> {
  const file = new PolicyFile(home.path, hasBattery);
  await file.look();
  const { problems, file: path } = file.inForce;
  if (problems.length > 0) throw new PolicyError(path ?? home.path, problems);
  const bus = new SystemBus(process.env);
  started.add('system bus', () => bus.stop());
  const sources = pretendFacts(new MachineSources({ bus }), process.env);
  return { owner: new OwnerWatch({ file, sources, clock: systemClock, logger }), bus };
}
