import { readFileSync } from 'node:fs';
import type { OciConfig, OciLimit } from './recipe.ts';

/** The kernel's names in /proc/PID/limits, and OCI's. */
const NAMES: readonly (readonly [string, string])[] = [
  ['Max cpu time', 'RLIMIT_CPU'],
  ['Max file size', 'RLIMIT_FSIZE'],
  ['Max data size', 'RLIMIT_DATA'],
  ['Max stack size', 'RLIMIT_STACK'],
  ['Max core file size', 'RLIMIT_CORE'],
  ['Max processes', 'RLIMIT_NPROC'],
  ['Max open files', 'RLIMIT_NOFILE'],
  ['Max locked memory', 'RLIMIT_MEMLOCK'],
  ['Max address space', 'RLIMIT_AS'],
  ['Max pending signals', 'RLIMIT_SIGPENDING'],
  ['Max msgqueue size', 'RLIMIT_MSGQUEUE'],
];

/**
 * Adds the limits that Podman's container has, and ours would not have by itself: most are not in the
 * configuration, but come from Podman's own process. Never more than this process may give.
 */
export function withLimits(config: OciConfig, pid: number): OciConfig {
  const theirs = readLimits(`/proc/${pid}/limits`);
  const ours = new Map(readLimits('/proc/self/limits').map((limit) => [limit.type, limit]));
  const written = config.process.rlimits ?? [];
  const added = theirs.filter(({ type, soft, hard }) => {
    const own = ours.get(type);
    const isSame = own?.soft === soft && own.hard === hard;
    const isAllowed = own !== undefined && hard <= own.hard;
    return !isSame && isAllowed && !written.some((limit) => limit.type === type);
  });
  return { ...config, process: { ...config.process, rlimits: [...written, ...added] } };
}

function readLimits(path: string): OciLimit[] {
  const lines = readFileSync(path, 'utf8').split('\n');
  return NAMES.flatMap(([name, type]) => {
    const line = lines.find((candidate) => candidate.startsWith(`${name}  `));
    const [soft, hard] = line?.slice(name.length).trim().split(/\s+/) ?? [];
    // JSON has no number for "unlimited", and there is nothing to add then.
    if (!/^\d+$/.test(soft ?? '') || !/^\d+$/.test(hard ?? '')) return [];
    return [{ type, soft: Number(soft), hard: Number(hard) }];
  });
}
