import { unreachable } from '@podmesh/core';
import { CACHE_ACTIONS, isCacheAction } from '../arguments/cache-commands.ts';
import { nearestWord } from '../arguments/nearest-word.ts';
import type { Invocation, Options } from '../arguments/parse-command-line.ts';
import { parseSize } from '../arguments/parse-size.ts';
import { completeDigests } from '../cache/complete-digests.ts';
import { LocalCache, type VerifyProgress, type Wrong } from '../cache/local-cache.ts';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { openDaemonSocket } from '../home/daemon-socket.ts';
import { bytesText, countText } from '../render/amounts.ts';
import { cacheTable } from '../render/cache-table.ts';
import { printJson, printLines } from '../render/print.ts';
import { shortId } from '../render/short-id.ts';
import type { World } from '../world.ts';
import { listShelf } from './list-shelf.ts';
import { whoHas } from './who-has.ts';

/** Artifacts of one question to the daemon; it takes no more. */
const DIGESTS_MAX = 10_000;
const CLEAR_LINE = '\r\u001b[K';

/** `podmesh cache ls|pin|unpin|prune|verify|who-has`. */
export async function cache(world: World, { operands, options }: Invocation): Promise<ExitCode> {
  const [action = '', ...digests] = operands;
  if (!isCacheAction(action)) throw unknownAction(action);
  if (action !== 'prune' && options.text('to') !== undefined)
    throw wrongWords(`"podmesh cache ${action}" has no --to`);
  if (action !== 'ls' && options.flag('mesh'))
    throw wrongWords(`"podmesh cache ${action}" has no --mesh`);
  checkCount(action, digests);
  switch (action) {
    case 'ls':
      return options.flag('mesh') ? listShelf(world, options) : ls(world, options);
    case 'pin':
    case 'unpin':
      return pin(world, action, digests, options);
    case 'prune':
      return prune(world, options);
    case 'verify':
      return verify(world, digests, options);
    case 'who-has': {
      const [artifact] = await completeDigests(digests, () => digestsHere(world));
      if (artifact === undefined) throw wrongWords('"podmesh cache who-has" needs DIGEST');
      return whoHas(world, artifact, options);
    }
    default:
      return unreachable(action);
  }
}

function checkCount(action: (typeof CACHE_ACTIONS)[number], digests: readonly string[]): void {
  const needsOne = action === 'pin' || action === 'unpin' || action === 'who-has';
  if (needsOne && digests.length === 0) throw wrongWords(`"podmesh cache ${action}" needs DIGEST`);
  const most = {
    ls: 0,
    prune: 0,
    'who-has': 1,
    pin: DIGESTS_MAX,
    unpin: DIGESTS_MAX,
    verify: DIGESTS_MAX,
  };
  const extra = digests[most[action]];
  if (extra !== undefined) throw wrongWords(`one word too many: ${JSON.stringify(extra)}`);
}

async function ls(world: World, options: Options): Promise<ExitCode> {
  const listing = await (await openCache(world)).list();
  if (options.flag('json')) await printJson(world.terminal, listing);
  else await printLines(world.terminal, cacheTable(listing));
  return EXIT.success;
}

async function pin(
  world: World,
  action: 'pin' | 'unpin',
  digests: readonly string[],
  options: Options,
): Promise<ExitCode> {
  const local = await openCache(world);
  const artifacts = await completeDigests(digests, () => digestsOf(local));
  const told = await local[action](artifacts);
  if (options.flag('json')) {
    const name = action === 'pin' ? 'here' : 'wasPinned';
    await printJson(
      world.terminal,
      told.map(({ artifact, is }) => ({ artifact, [name]: is })),
    );
    return EXIT.success;
  }
  const text = action === 'pin' ? pinnedText : unpinnedText;
  await printLines(
    world.terminal,
    told.map(({ artifact, is }) => text(shortId(artifact), is)),
  );
  return EXIT.success;
}

const pinnedText = (artifact: string, isHere: boolean): string =>
  isHere ? `${artifact} stays` : `${artifact} is not here; it stays once it comes`;

const unpinnedText = (artifact: string, wasPinned: boolean): string =>
  wasPinned ? `${artifact} may go` : `${artifact} was not pinned`;

async function prune(world: World, options: Options): Promise<ExitCode> {
  const text = options.text('to');
  const toBytes = text === undefined ? undefined : parseSize('to', text);
  const pruned = await (await openCache(world)).prune(toBytes);
  const { removed, removedBytes, storeBytes } = pruned;
  const isEnough = toBytes === undefined || storeBytes <= toBytes;
  if (options.flag('json')) await printJson(world.terminal, pruned);
  else {
    const what = `removed ${countText(removed.length, 'artifact')}, ${bytesText(removedBytes)}`;
    const why = isEnough ? '' : ', pinned or in use (see podmesh cache ls)';
    await printLines(world.terminal, [`${what}; ${bytesText(storeBytes)} are left${why}`]);
  }
  return isEnough ? EXIT.success : EXIT.failed;
}

async function verify(
  world: World,
  digests: readonly string[],
  options: Options,
): Promise<ExitCode> {
  const { terminal } = world;
  const local = await openCache(world);
  const artifacts = await completeDigests(digests, () => digestsOf(local));
  const isLive = terminal.isLive && !options.flag('json');
  const told = await local
    .verify(artifacts.length === 0 ? undefined : artifacts, (progress) => {
      if (isLive) terminal.err(`${CLEAR_LINE}${progressText(progress)}`);
    })
    .finally(() => {
      if (isLive) terminal.err(CLEAR_LINE);
    });
  const { checked, checkedBytes, wrong, missing } = told;
  if (options.flag('json')) await printJson(terminal, told);
  else {
    await printLines(terminal, [
      ...wrong.flatMap(wrongText),
      ...missing.map((artifact) => `${artifact} is not here`),
      `${countText(checked, 'artifact')}, ${bytesText(checkedBytes)} verified; ${wrong.length || 'none'} of them wrong`,
    ]);
  }
  return wrong.length + missing.length === 0 ? EXIT.success : EXIT.failed;
}

function wrongText({ artifact, now, why, ended }: Wrong): readonly string[] {
  const told = {
    fetched: 'had other bytes, which were set aside; right again, from another holder',
    copied: 'had other bytes in its executable copy, which is made again when it is needed',
    lost: `had other bytes, which were removed, and is lost here (${why ?? 'nobody else was asked'}); who needs it next has its producer done again`,
  }[now];
  const readers = ended.map((task) => `  ${task} was reading it: ended, and tried again`);
  return [`${artifact} ${told}`, ...readers];
}

function progressText({ checked, checkedBytes, artifacts, bytes }: VerifyProgress): string {
  return `verifying: ${checked}/${artifacts} artifacts, ${bytesText(checkedBytes)} of ${bytesText(bytes)}`;
}

async function openCache(world: World): Promise<LocalCache> {
  return new LocalCache(await openDaemonSocket(world));
}

async function digestsOf(local: LocalCache): Promise<readonly string[]> {
  return (await local.list()).artifacts.map(({ artifact }) => artifact);
}

async function digestsHere(world: World): Promise<readonly string[]> {
  if ((await world.home.daemon()) === undefined) {
    throw new CliError('arguments', 'without a daemon on this machine a digest has to be whole', {
      advice: 'Give all 64 digits.',
    });
  }
  return digestsOf(await openCache(world));
}

function unknownAction(word: string): CliError {
  const nearest = nearestWord(word, CACHE_ACTIONS);
  const meant = nearest === undefined ? '' : `Did you mean "podmesh cache ${nearest}"? `;
  return new CliError('arguments', `"podmesh cache" does not know ${JSON.stringify(word)}`, {
    advice: `${meant}See: podmesh cache --help`,
  });
}

function wrongWords(message: string): CliError {
  return new CliError('arguments', message, { advice: 'See: podmesh cache --help' });
}
