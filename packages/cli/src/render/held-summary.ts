import type { RunRecord } from '@podmesh/core';
import { lossesText } from '../explain/held-text.ts';
import { countText } from './amounts.ts';
import { countsText, heldTasks } from './run-summary.ts';

const HELD_SHOWN = 3;

/** What is said when nothing can happen in a run before a person acts: why, and what to type. */
export function heldSummary(record: RunRecord): readonly string[] {
  const { run, counts } = record;
  const held = heldTasks(record);
  const [first] = held;
  const more = held.length - HELD_SHOWN;
  return [
    ...held
      .slice(0, HELD_SHOWN)
      .map(({ task, attempts }) => `${task} is held: it lost ${lossesText(attempts)}`),
    ...(more > 0 ? [`and ${countText(more, 'more held task')}: podmesh show ${run}`] : []),
    `run ${run} waits for a person: ${countsText(record)}`,
    ...(counts.failed > 0 ? [`  what failed:        podmesh show ${run}`] : []),
    ...(first === undefined ? [] : [`  to see why:         podmesh explain ${run}/${first.task}`]),
    `  to let it go on:    podmesh release ${run}`,
    `  to end it:          podmesh cancel ${run}`,
  ];
}
