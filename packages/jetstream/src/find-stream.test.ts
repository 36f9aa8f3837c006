import { JetStreamApiError, type JetStreamManager } from '@nats-io/jetstream';
import { errors } from '@nats-io/transport-node';
import { expect, it } from 'vitest';
import { findStream } from './find-stream.ts';
import { MeshAnswerError, MeshSilentError } from './mesh-errors.ts';

const info = { config: { name: 'PM_RUN' } };
const answer = (err_code: number): Error =>
  new JetStreamApiError({ code: 503, err_code, description: `error ${err_code}` });

/** Answers in turn, the last one for ever. */
function asked(...answers: readonly unknown[]) {
  let count = 0;
  const streams = {
    info: async () => {
      const next = answers[Math.min(count, answers.length - 1)];
      count += 1;
      if (next instanceof Error) throw next;
      return next;
    },
  };
  return { jsm: { streams } as unknown as JetStreamManager, count: () => count };
}

it('asks again while no server leads the others, and then tells what there is', async () => {
  const { jsm, count } = asked(new errors.TimeoutError(), answer(10008), info);
  expect(await findStream(jsm, 'PM_RUN')).toBe(info);
  expect(count()).toBe(3);
});

it('knows a stream that is not there from one that nobody can tell of', async () => {
  expect(await findStream(asked(answer(10059)).jsm, 'PM_RUN')).toBeUndefined();
  const silent = findStream(asked(new errors.TimeoutError()).jsm, 'PM_RUN', 0);
  await expect(silent).rejects.toThrow(MeshSilentError);
  await expect(silent).rejects.toThrow('look for the stream PM_RUN: the mesh does not answer');
});

it('asks no second time where that changes nothing', async () => {
  const { jsm, count } = asked(answer(10039));
  await expect(findStream(jsm, 'PM_RUN')).rejects.toThrow(MeshAnswerError);
  expect(count()).toBe(1);
});
