import { access, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type PeerId, peerId } from '@podmesh/core';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../store/store.test-kit.ts';
import { beginNotedRescue } from './rescue-request.ts';
import type { Seat } from './seat-file.ts';

/** What was begun because of the file, of which nothing is left. */
async function begun(text: string | undefined, kind: Seat['kind'] = 'open', refusal?: Error) {
  const file = join(await temporaryFolder(), 'rescue.json');
  if (text !== undefined) await writeFile(file, text);
  const asked: (readonly PeerId[])[] = [];
  const begin = async (lost: readonly PeerId[]): Promise<void> => {
    asked.push(lost);
    if (refusal !== undefined) throw refusal;
  };
  const failure = await beginNotedRescue(file, { seat: { kind } as Seat }, { begin }).then(
    () => undefined,
    (error: unknown) => String(error),
  );
  await expect(access(file)).rejects.toThrow('ENOENT');
  return { asked, failure };
}

const NOTED = '{"lost":["bob","cid"]}';

it('what was noted while no daemon ran is begun once', async () => {
  expect((await begun(NOTED)).asked).toEqual([[peerId('bob'), peerId('cid')]]);
  expect(await begun(undefined)).toEqual({ asked: [], failure: undefined });
});

it('what was begun before the daemon was killed is not begun anew', async () => {
  expect(await begun(NOTED, 'rescuing')).toEqual({ asked: [], failure: undefined });
});

it('what is refused is said, and not asked again', async () => {
  const { failure } = await begun(NOTED, 'open', new Error('bob answers'));
  expect(failure).toContain('bob answers');
});

it.each(['', '{', '{}', '{"lost":[]}', '[]', 'null'])('%j begins nothing', async (text) => {
  const { asked, failure } = await begun(text);
  expect([asked, failure?.includes('rescue.json made no sense')]).toEqual([[], true]);
});
