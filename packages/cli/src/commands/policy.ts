import { defaultPolicyDocument } from '@podmesh/core';
import { stringify } from 'yaml';
import type { Invocation } from '../arguments/parse-command-line.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { type Answer, openDaemonSocket } from '../home/daemon-socket.ts';
import { printJson, printLines } from '../render/print.ts';
import type { World } from '../world.ts';

/** `podmesh policy`: what is in force on this machine, and why. */
export async function policy(world: World, { options }: Invocation): Promise<ExitCode> {
  const { terminal } = world;
  if (options.flag('defaults')) {
    const document = defaultPolicyDocument(options.flag('battery'));
    if (options.flag('json')) await printJson(terminal, document);
    else await terminal.out(stringify(document, { flowCollectionPadding: true }));
    return EXIT.success;
  }
  const told = await (await openDaemonSocket(world)).get('/v1/policy');
  if (options.flag('json')) await printJson(terminal, told);
  else await printLines(terminal, linesOf(world, told));
  return listOf(told.problems).length === 0 ? EXIT.success : EXIT.failed;
}

function linesOf({ home }: World, told: Answer): readonly string[] {
  const file =
    told.file === undefined ? `the defaults; there is no ${home.at('policy.yaml')}` : told.file;
  const rules = listOf(told.rules).map(({ rule, isOn, because }) =>
    [isOn === true ? '  holds  ' : '  -      ', `${rule}`, ` (${because})`].join(''),
  );
  const problems = listOf(told.problems).map(
    ({ path, problem, advice }) => `  ${path}: ${problem}. ${advice}`,
  );
  return [
    `${told.peer}: ${stanceText(told)}`,
    `policy: ${file}`,
    ...(rules.length === 0 ? ['  no rules: it may have everything at any time'] : rules),
    ...wakeText(told.wake),
    ...(problems.length === 0 ? [] : ['wrong in it, so the rules from before hold:', ...problems]),
  ];
}

/** Nothing of a daemon that does not tell. */
function wakeText(wake: unknown): readonly string[] {
  if (typeof wake !== 'object' || wake === null) return [];
  const { forbids, quiet } = wake as Answer;
  if (forbids !== undefined) return [`if it fell asleep now, nobody may wake it: ${forbids}`];
  const times = listOf(quiet).map(quietText);
  const but = times.length === 0 ? '' : `, but not ${times.join(', nor ')}`;
  return [`when it sleeps, peers in its network may wake it for work that waits${but}`];
}

function quietText({ fromMinute, toMinute, days }: Answer): string {
  const clock = (minute: unknown): string => {
    const [hours, minutes] = [Math.floor(Number(minute) / 60), Number(minute) % 60];
    return `${hours}:${String(minutes).padStart(2, '0')}`;
  };
  const on = Array.isArray(days) ? ` on ${days.join(', ')}` : '';
  if (fromMinute === toMinute) return on === '' ? 'at any time' : on.trim();
  return `from ${clock(fromMinute)} to ${clock(toMinute)}${on}`;
}

function stanceText({ stance, cpus, memory }: Answer): string {
  switch (stance) {
    case 'paused':
      return 'claims nothing at present';
    case 'handing-back':
      return 'claims nothing at present, and gave back what ran';
    case 'lowered':
      return `offers ${percent(cpus)} of its cores and ${percent(memory)} of its memory at present`;
    default:
      return 'nothing is against claiming tasks';
  }
}

const percent = (share: unknown): string => `${Math.round(Number(share) * 100)}%`;

const listOf = (value: unknown): readonly Answer[] =>
  Array.isArray(value) ? (value as readonly Answer[]) : [];
