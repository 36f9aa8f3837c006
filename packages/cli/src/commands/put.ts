import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { storePath } from '@podmesh/jetstream';
import type { Invocation } from '../arguments/parse-command-line.ts';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { withClient } from '../mesh/open-client.ts';
import { printJson } from '../render/print.ts';
import type { World } from '../world.ts';

/** `podmesh put PATH`: stores a file or directory, prints its digest. */
export async function put(world: World, { operands, options }: Invocation): Promise<ExitCode> {
  const path = resolve(world.cwd, operands[0] ?? '');
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) throw new CliError('arguments', `there is no ${path}`);
  return withClient(world, options.text('nats'), async (client) => {
    const { digest, kind, bytes } = await storePath(path, client.artifacts);
    if (options.flag('json')) await printJson(world.terminal, { digest, kind, bytes });
    else await world.terminal.out(`${digest}\n`);
    return EXIT.success;
  });
}
