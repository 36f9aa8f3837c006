import { freshRun, samplePublished } from '@podmesh/testkit';
import { expect, it } from 'vitest';
import { newBench } from '../daemon.test-kit.ts';
import { RunsOver } from './runs-over.ts';

it('a run is over once it is cancelled, and the log is asked at most every 10 s until then', async () => {
  const { clock, mesh, process, ports } = newBench();
  const run = freshRun();
  mesh.log.append(samplePublished(run), 0);
  const over = new RunsOver(ports.log, process.clock);
  expect(await over.has(run)).toBe(false);
  mesh.log.append({ kind: 'run-cancel-requested', run, by: 'me', reason: '' }, 0);
  await clock.advance(9_999);
  expect(await over.has(run)).toBe(false);
  await clock.advance(1);
  expect(await over.has(run)).toBe(true);
});

it('a run that was told to be over is over at once', async () => {
  const { process, ports } = newBench();
  const run = freshRun();
  const over = new RunsOver(ports.log, process.clock);
  expect(await over.has(run)).toBe(false);
  over.note(run);
  expect(await over.has(run)).toBe(true);
  for (let count = 0; count < 1_001; count += 1) over.note(freshRun());
  // Forgotten, and simply asked about again.
  expect(await over.has(run)).toBe(false);
});
