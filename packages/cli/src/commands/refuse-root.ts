import { CliError } from '../cli-error.ts';
import type { World } from '../world.ts';

/** Containers are run without root; says how, unless it is insisted on. */
export function refuseRoot(world: World, command: string, allowed: boolean): void {
  if (!world.isRoot || allowed) return;
  throw new CliError('root', `"podmesh ${command}" does not run as root: containers are rootless`, {
    advice: `Use "scripts/rootless npx podmesh ${command}" in the checkout, an account of your own, or --allow-root if you must.`,
  });
}
