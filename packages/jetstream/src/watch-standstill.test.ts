import { expect, it } from 'vitest';
import { type AskedMesh, watchStandstill } from './watch-standstill.ts';

/** `+` answers, `-` is silent, `x` is silent because the connection is broken. */
async function told(answers: string): Promise<readonly boolean[]> {
  const over = new AbortController();
  const words: boolean[] = [];
  let asked = 0;
  let isConnected = true;
  const mesh = {
    get isConnected() {
      return isConnected;
    },
    jsm: {
      getAccountInfo: async () => {
        const answer = answers[asked];
        asked += 1;
        if (asked === answers.length) setImmediate(() => over.abort());
        isConnected = answer !== 'x';
        if (answer !== '+') throw new Error('JetStream system temporarily unavailable');
      },
    },
  } as unknown as AskedMesh;
  await watchStandstill(mesh, (standsStill) => words.push(standsStill), over.signal, 1);
  return words;
}

it.each([
  ['++++', []],
  ['+-+-+', []],
  ['+--', [true]],
  ['+----+++', [true, false]],
  ['--+--+', [true, false, true, false]],
  ['-x-x-', []],
  ['--xx--+', [true, true, false]],
])('of answers %s it tells %j', async (answers, expected) => {
  expect(await told(answers)).toEqual(expected);
});
