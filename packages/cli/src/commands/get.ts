import { type Client, loadRun, toRecord } from '@podmesh/sdk';
import type { Invocation, Options } from '../arguments/parse-command-line.ts';
import { type OutputTarget, parseOutputTarget } from '../arguments/parse-target.ts';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { findArtifact, findOutput, type Wanted } from '../fetch/find-output.ts';
import { placeOutput } from '../fetch/place-output.ts';
import { findRun } from '../mesh/find-run.ts';
import { withClient } from '../mesh/open-client.ts';
import { printJson } from '../render/print.ts';
import type { World } from '../world.ts';

/** `podmesh get RUN/JOB/OUTPUT`: fetches an output, or any artifact by its digest. */
export async function get(world: World, { operands, options }: Invocation): Promise<ExitCode> {
  const target = parseOutputTarget(operands[0] ?? '');
  return withClient(world, options.text('nats'), async (client) => {
    const wanted = await find(world, client, target);
    if (options.text('output') === '-') await pour(world, wanted);
    else await place(world, client, wanted, options);
    return EXIT.success;
  });
}

async function find(world: World, client: Client, target: OutputTarget): Promise<Wanted> {
  if (target.kind === 'artifact') return findArtifact(client, target.artifact);
  const loaded = await loadRun(client, await findRun(client, world.home, target.run));
  return findOutput(client, toRecord(loaded), target);
}

async function pour({ terminal }: World, { ref, source }: Wanted): Promise<void> {
  if (ref.kind === 'dir') {
    throw new CliError('arguments', 'this is a directory, and standard output takes only a file', {
      advice: 'Give -o a path instead.',
    });
  }
  for await (const piece of source.get(ref.digest)) await terminal.out(piece);
}

async function place(
  world: World,
  client: Client,
  wanted: Wanted,
  options: Options,
): Promise<void> {
  const destination = {
    cwd: world.cwd,
    path: options.text('output'),
    force: options.flag('force'),
  };
  const { path, fromPeers } = await placeOutput(wanted, destination, client.downloads);
  const { digest, kind, bytes } = wanted.ref;
  if (options.flag('json'))
    await printJson(world.terminal, { path, digest, kind, bytes, fromPeers });
  else await world.terminal.out(`${path}\n`);
}
