import type { ArtifactId } from '@podmesh/core';
import type { Options } from '../arguments/parse-command-line.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { readMesh } from '../mesh/read-mesh.ts';
import { holderTable } from '../render/cache-table.ts';
import { printJson, printLines } from '../render/print.ts';
import type { World } from '../world.ts';

/** `podmesh cache who-has DIGEST`: a roll call of all peers. */
export function whoHas(world: World, artifact: ArtifactId, options: Options): Promise<ExitCode> {
  return readMesh(world, options.text('nats'), async (client) => {
    const [{ found, silent }, stored] = await Promise.all([
      // Ends by itself: whoever is silent is asked again twice.
      client.finder.whoHas([artifact], 'roll-call', new AbortController().signal),
      client.objects.stat([artifact]),
    ]);
    const holdings = found.get(artifact) ?? [];
    const inObjectStore = stored.has(artifact);
    if (options.flag('json')) {
      const holders = holdings.map(({ peer, bytes, whole }) => ({ peer, bytes, whole }));
      await printJson(world.terminal, { artifact, holders, inObjectStore, silent });
    } else await printLines(world.terminal, holderTable(holdings, inObjectStore, silent));
    const isThere = inObjectStore || holdings.some(({ whole }) => whole);
    return isThere ? EXIT.success : EXIT.failed;
  });
}
