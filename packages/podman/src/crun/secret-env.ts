import { readFileSync, statfsSync } from 'node:fs';
import type { ContainerSpec } from '@podmesh/core';
import type { LanePlaces } from './lane-places.ts';

/** `f_type` of statfs(2). */
const TMPFS_MAGIC = 0x01021994;

/** Whether what crun is told, and what it notes itself, is in memory and never on a disk. */
export function isInMemory({ run }: Pick<LanePlaces, 'run'>): boolean {
  return statfsSync(run).type === TMPFS_MAGIC;
}

/** With secret variables among the others: only for a configuration that is in memory. */
export function withSecretEnv(spec: ContainerSpec): ContainerSpec {
  const { secretEnv, ...others } = spec;
  if (secretEnv === undefined) return spec;
  const values = Object.entries(secretEnv).map(
    ([name, path]) => [name, readFileSync(path, 'utf8')] as const,
  );
  return { ...others, env: { ...spec.env, ...Object.fromEntries(values) } };
}
