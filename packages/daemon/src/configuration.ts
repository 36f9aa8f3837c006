import { parseArgs } from 'node:util';
import {
  bytesOf,
  type Mirror,
  millisecondsOf,
  ok,
  parseMirror,
  type Result,
  type RuntimeName,
  refused,
} from '@podmesh/core';
import { defaultHome } from './home.ts';
import { mebibytes } from './machine/mebibytes.ts';

/** Everything a daemon can be told, parsed once. */
export interface Configuration {
  readonly command: 'up' | 'doctor' | 'discover';
  readonly home: string;
  /** Absent: this daemon runs the mesh's server itself. */
  readonly nats?: string;
  readonly name?: string;
  readonly cpus?: number;
  readonly memoryBytes?: number;
  readonly diskBytes?: number;
  /** `auto`: the fast lane where this machine can have it, and Podman for whoever asks for that. */
  readonly runtime: RuntimeName | 'auto';
  readonly labels: readonly string[];
  readonly allowRoot: boolean;
  /** A temporary peer: ends when no run is left to be done. */
  readonly untilIdle: boolean;
  /** After a signal what runs has so long to end by itself, before it is given back. */
  readonly graceMs: number;
  /** A machine that is paid by the hour: ends when nothing was done for so long. */
  readonly exitWhenIdleMs?: number;
  /** Whose notice that the machine will be taken away is listened for; absent: nobody's. */
  readonly cloud?: CloudName | 'auto';
  /** Where images are served to programs of this machine; 0: nowhere. Absent: on the documented port, or where there is one. */
  readonly registryPort?: number;
  /** Where the server of this machine lets others in; absent: as it was told before, or on loopback. */
  readonly listen?: ServeAddress;
  /** Whether the local network is told (mDNS) that there is a mesh. */
  readonly discovery: boolean;
  /** Whether the steadiest machines are made anchors unasked; only where the keys of the mesh are. */
  readonly autoAnchors: boolean;
  /** Of `discover`: how long to look. */
  readonly waitMs: number;
  /** Registries that this peer may ask for images which the mesh does not have. */
  readonly mirrors: readonly Mirror[];
  /** Where metrics are told to programs of this machine; absent: nowhere. */
  readonly metricsPort?: number;
  /** Where artifacts are served to other peers; absent: on the address by which this machine reaches the mesh. */
  readonly serve?: 'none' | ServeAddress;
}

/** Clouds whose notices are understood. */
const CLOUDS = ['aws', 'gcp', 'azure'] as const;
export type CloudName = (typeof CLOUDS)[number];

export interface ServeAddress {
  /** A name or an address of this machine. */
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
}

/** What is there to be offered: nobody can promise more. */
export interface MachineSize {
  readonly cores: number;
  readonly memoryBytes: number;
}

const GRACE_MS_DEFAULT = 10_000;
/** Longer than anybody's patience; a drain before the signal has no such bound. */
const GRACE_MS_MAX = 24 * 60 * 60_000;
const COMMANDS = ['up', 'doctor', 'discover'] as const;
const WAIT_MS = 2_000;
const RUNTIMES = ['auto', 'podman', 'crun'] as const;
const LABEL = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}=[A-Za-z0-9._/:-]{0,128}$/;
const NAME = /^[A-Za-z0-9_-]{1,64}$/;

/** All problems at once, each a sentence. */
export function parseConfiguration(
  argv: readonly string[],
  env: NodeJS.ProcessEnv,
  machine: MachineSize,
): Result<Configuration, readonly string[]> {
  const parsed = parseWords(argv);
  if (!parsed.ok) return parsed;
  const { values, positionals } = parsed.value;
  const problems: string[] = [];
  const word = positionals[0] ?? 'up';
  const command = COMMANDS.find((known) => known === word);
  if (command === undefined) problems.push(`unknown command ${word}`);
  if (positionals.length > 1) problems.push(`unexpected words: ${positionals.slice(1).join(' ')}`);
  const amount = (name: 'memory' | 'disk'): number | undefined => {
    const text = values[name];
    if (text === undefined) return undefined;
    const bytes = parseBytes(text);
    if (!bytes) problems.push(`--${name} ${text}: give bytes or an amount like 8GiB`);
    return bytes;
  };
  const cpus = values.cores === undefined ? undefined : Number(values.cores);
  if (cpus !== undefined && !(Number.isFinite(cpus) && cpus > 0))
    problems.push(`--cores ${values.cores}: give a number > 0`);
  if (cpus !== undefined && cpus > machine.cores)
    problems.push(`--cores ${values.cores}: this machine has ${machine.cores}`);
  const labels = values.label ?? [];
  for (const label of labels) {
    if (!LABEL.test(label)) problems.push(`--label ${label}: give key=value`);
  }
  const { name } = values;
  if (name !== undefined && !NAME.test(name)) {
    problems.push(`--name ${name}: letters, digits, - and _ only, at most 64`);
  }
  const runtime = RUNTIMES.find((known) => known === (values.runtime ?? 'auto'));
  if (runtime === undefined)
    problems.push(`--runtime ${values.runtime}: give one of ${RUNTIMES.join(', ')}`);
  const memoryBytes = amount('memory');
  if (memoryBytes !== undefined && memoryBytes > machine.memoryBytes)
    problems.push(`--memory ${values.memory}: this machine has ${mebibytes(machine.memoryBytes)}`);
  const diskBytes = amount('disk');
  const port = values['registry-port'];
  const registryPort = port === undefined ? undefined : parsePort(port);
  if (port !== undefined && registryPort === undefined)
    problems.push(`--registry-port ${port}: give a port of this machine, or 0 for none`);
  const metrics = values['metrics-port'];
  const metricsPort = metrics === undefined ? undefined : parsePort(metrics);
  if (metrics !== undefined && metricsPort === undefined)
    problems.push(`--metrics-port ${metrics}: give a port of this machine, or 0 for none`);
  const duration = (name: 'grace' | 'exit-when-idle'): number | undefined => {
    const text = values[name];
    if (text === undefined) return undefined;
    const ms = /^\d+(\.\d+)?[smhd]?$/.test(text)
      ? millisecondsOf(/\d$/.test(text) ? `${text}s` : text)
      : Number.NaN;
    if (!(ms <= GRACE_MS_MAX))
      problems.push(`--${name} ${text}: give a time such as 30s or 15m, at most 24h`);
    return ms;
  };
  const exitWhenIdleMs = duration('exit-when-idle');
  const cloud = (['auto', ...CLOUDS] as const).find((known) => known === values.cloud);
  if (values.cloud !== undefined && cloud === undefined)
    problems.push(`--cloud ${values.cloud}: give auto or one of ${CLOUDS.join(', ')}`);
  const graceMs = duration('grace') ?? GRACE_MS_DEFAULT;
  const serve = values.serve === undefined ? undefined : parseServe(values.serve);
  if (values.serve !== undefined && serve === undefined)
    problems.push(`--serve ${values.serve}: give an address of this machine, ADDR[:PORT], or none`);
  const mirrors = (values.mirror ?? []).flatMap((text) => {
    const mirror = parseMirror(text);
    if (mirror === undefined)
      problems.push(
        `--mirror ${text}: give a registry, HOST[=PREFIX], such as docker.io or quay.io=quay`,
      );
    return mirror ?? [];
  });
  const listen = values.listen === undefined ? undefined : parseServe(values.listen);
  if (values.listen !== undefined && (listen === undefined || listen === 'none'))
    problems.push(`--listen ${values.listen}: give an address of this machine, ADDR[:PORT]`);
  if (problems.length > 0 || runtime === undefined || command === undefined)
    return refused(problems);
  const nats = values.nats || env.PODMESH_NATS || undefined;
  return ok({
    command,
    home: values.home || defaultHome(env),
    ...(nats === undefined ? {} : { nats }),
    ...(name === undefined ? {} : { name }),
    ...(cpus === undefined ? {} : { cpus }),
    ...(memoryBytes === undefined ? {} : { memoryBytes }),
    ...(diskBytes === undefined ? {} : { diskBytes }),
    runtime,
    labels,
    mirrors,
    allowRoot: values['allow-root'] ?? false,
    untilIdle: values['until-idle'] ?? false,
    graceMs,
    ...(exitWhenIdleMs === undefined ? {} : { exitWhenIdleMs }),
    ...(cloud === undefined ? {} : { cloud }),
    ...(serve === undefined ? {} : { serve }),
    ...(listen === undefined || listen === 'none' ? {} : { listen }),
    discovery: values['no-discovery'] !== true,
    autoAnchors: values['auto-anchors'] ?? false,
    waitMs: Number(values['wait-ms'] ?? WAIT_MS) || WAIT_MS,
    ...(registryPort === undefined ? {} : { registryPort }),
    ...(metricsPort === undefined || metricsPort === 0 ? {} : { metricsPort }),
  });
}

function parseWords(argv: readonly string[]) {
  try {
    const parsed = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        home: { type: 'string' },
        nats: { type: 'string' },
        name: { type: 'string' },
        cores: { type: 'string' },
        memory: { type: 'string' },
        disk: { type: 'string' },
        runtime: { type: 'string' },
        serve: { type: 'string' },
        listen: { type: 'string' },
        'no-discovery': { type: 'boolean' },
        'auto-anchors': { type: 'boolean' },
        'wait-ms': { type: 'string' },
        'registry-port': { type: 'string' },
        'metrics-port': { type: 'string' },
        grace: { type: 'string' },
        'exit-when-idle': { type: 'string' },
        cloud: { type: 'string' },
        label: { type: 'string', multiple: true },
        mirror: { type: 'string', multiple: true },
        'allow-root': { type: 'boolean' },
        'until-idle': { type: 'boolean' },
      },
    });
    return ok(parsed);
  } catch (error) {
    return refused([error instanceof Error ? error.message : String(error)]);
  }
}

function parseBytes(text: string): number | undefined {
  return /^\d+(\.\d+)? ?([kmgt]i?b?)?$/i.test(text) ? bytesOf(text) : undefined;
}

function parsePort(text: string): number | undefined {
  return /^\d{1,5}$/.test(text) && Number(text) < 2 ** 16 ? Number(text) : undefined;
}

/** An address of IPv6 with a port is written in brackets. */
function parseServe(text: string): Configuration['serve'] {
  if (text === 'none') return 'none';
  const full = `tcp://${text.includes('[') || !/:.*:/.test(text) ? text : `[${text}]`}`;
  if (!URL.canParse(full)) return undefined;
  const { hostname, port, username, pathname } = new URL(full);
  if (hostname === '' || username !== '' || pathname !== '') return undefined;
  return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 0) };
}
