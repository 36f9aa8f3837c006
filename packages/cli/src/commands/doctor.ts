import { meshFindings } from '@podmesh/core';
import type { Invocation } from '../arguments/parse-command-line.ts';
import { toCliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import type { Finding } from '../home/daemon-program.ts';
import { greetAnchors, heardAnchors } from '../mesh/greet-anchors.ts';
import { meshUrl, openClient } from '../mesh/open-client.ts';
import { untilRead } from '../mesh/read-mesh.ts';
import { versionsFinding } from '../mesh/versions-finding.ts';
import { countText } from '../render/amounts.ts';
import { printJson, printLines } from '../render/print.ts';
import type { World } from '../world.ts';

/** `podmesh doctor`: what is in order here, and the repair of what is not. */
export async function doctor(world: World, { options }: Invocation): Promise<ExitCode> {
  const mesh = await examineMesh(world, options.text('nats'));
  const findings = [...(await world.daemon.examine()), ...mesh];
  if (options.flag('json')) await printJson(world.terminal, findings);
  else await printLines(world.terminal, findingLines(findings));
  return findings.some(isWrong) ? EXIT.failed : EXIT.success;
}

/** A mesh that cannot be reached is wrong only where somebody said that there is one. */
async function examineMesh(world: World, given: string | undefined): Promise<readonly Finding[]> {
  const url = await meshUrl(world, given);
  if (url === undefined) {
    const found = `no daemon runs in ${world.home.path}; "podmesh up" starts one`;
    return [{ check: 'mesh', ok: true, required: true, found }];
  }
  try {
    const client = await openClient(world, url);
    try {
      const [peers, record] = await untilRead(world, () =>
        Promise.all([client.peers.list(), client.anchors.read()]),
      );
      const found = `${client.url}, ${countText(peers.length, 'peer')}`;
      const reached: Finding = { check: 'mesh', ok: true, required: true, found };
      const servers = await greetAnchors(world, record, url);
      return [
        reached,
        rolesFinding(url),
        versionsFinding(world.version, peers),
        ...meshFindings(servers, peers, record !== undefined),
      ];
    } finally {
      await client.close();
    }
  } catch (error) {
    const { message, advice } = toCliError(error);
    const repair = advice ?? 'Start it with "podmesh up", or correct --nats or PODMESH_NATS.';
    const mesh = { check: 'mesh', ok: false, required: true, found: message, repair };
    return [mesh, ...(await silentAnchors(world, url))];
  }
}

/** Of a mesh that does not work: which of its servers answer at all, as far as anybody here knows them. */
async function silentAnchors(world: World, url: string): Promise<readonly Finding[]> {
  try {
    const record = await heardAnchors(url);
    const servers = await greetAnchors(world, record, url);
    return servers.length < 2 ? [] : meshFindings(servers, [], record !== undefined).slice(0, 1);
  } catch {
    // What is no address was said already.
    return [];
  }
}

/** A server that people run themselves knows one token, and lets whoever has it do everything. */
function rolesFinding(url: string): Finding {
  const check = 'roles';
  if (url.startsWith('mesh:')) {
    const found = 'every member has a key of its own, and does what its role allows';
    return { check, ok: true, required: false, found };
  }
  const found = 'none: whoever has the address with its token may do everything';
  const repair = 'a mesh that "podmesh up" makes, without --nats, has keys and roles';
  return { check, ok: false, required: false, found, repair };
}

/** Findings for people: one line each, and the repair under what is wrong. */
export function findingLines(findings: readonly Finding[]): readonly string[] {
  const wrong = findings.filter(isWrong).length;
  const width = Math.max(0, ...findings.map(({ check }) => check.length));
  return [
    ...findings.flatMap(({ check, ok, required, found, repair }) => [
      `${ok ? 'ok   ' : required ? 'WRONG' : 'less '}  ${check.padEnd(width)}  ${found}`,
      ...(repair === undefined || ok ? [] : repair.split('\n').map((line) => `         ${line}`)),
    ]),
    wrong === 0 ? 'all in order' : `${countText(wrong, 'thing')} to repair`,
  ];
}

/** What is only less good than it could be keeps nobody from being a peer. */
const isWrong = ({ ok, required }: Finding): boolean => !ok && required;
