import { expect, it } from 'vitest';
import { peerEntry } from '../sample-run.test-kit.ts';
import { versionsFinding } from './versions-finding.ts';

const peers = (...versions: readonly string[]) =>
  versions.map((version, number) => peerEntry(`p${number}`, { version }));

it('one version everywhere is in order', () => {
  expect(versionsFinding('0.1.0', peers('0.1.0', '0.1.0'))).toMatchObject({ ok: true });
  expect(versionsFinding('0.1.0', [])).toMatchObject({ ok: true });
});

it('one minor version apart is told, and nothing to repair at once', () => {
  const finding = versionsFinding('0.2.0', peers('0.2.0', '0.1.4', '0.1.4'));
  expect(finding).toMatchObject({ ok: false, required: false });
  expect(finding.found).toBe('this program: 0.2.0; p0: 0.2.0; p1, p2: 0.1.4');
});

it.each([
  ['0.3.0', ['0.1.0']],
  ['0.2.0', ['0.1.0', '0.3.0']],
  ['1.0.0', ['0.9.0']],
  ['0.1.0', ['unknown']],
])('%s beside %j is wrong', (own, others) => {
  const finding = versionsFinding(own, peers(...others));
  expect(finding).toMatchObject({ ok: false, required: true });
  expect(finding.repair).toContain('one minor version at a time');
});
