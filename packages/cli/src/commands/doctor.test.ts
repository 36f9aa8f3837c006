import { expect, it } from 'vitest';
import { findingLines } from './doctor.ts';

const finding = (check: string, ok: boolean, required: boolean) => ({
  check,
  ok,
  required,
  found: 'seen',
  repair: 'do this',
});

it('what a peer can do without is told with its repair, and is nothing to repair', () => {
  expect(findingLines([finding('podman', true, true), finding('crun', false, false)])).toEqual([
    'ok     podman  seen',
    'less   crun    seen',
    '         do this',
    'all in order',
  ]);
  expect(findingLines([finding('podman', false, true)]).at(-1)).toBe('1 thing to repair');
});
