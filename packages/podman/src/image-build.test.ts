import { describe, expect, it } from 'vitest';
import { buildWords, builtName } from './image-build.ts';

const BUILD = { directory: '/context', name: 'localhost/tool:1' };

describe('the words of a build', () => {
  it('leaves the isolation to Podman where cgroups are v2', () => {
    expect(buildWords(BUILD, '/id', { isUnified: true, socketPath: undefined })).toEqual([
      ...['build', '--iidfile', '/id', '--tag', 'localhost/tool:1', '--', '/context'],
    ]);
  });

  it('takes a chroot where they are hybrid, another Containerfile, and the Podman that was named', () => {
    const machine = { isUnified: false, socketPath: '/p.sock' };
    expect(buildWords({ ...BUILD, file: 'Other' }, '/id', machine)).toEqual([
      ...['--url', 'unix:///p.sock', 'build', '--isolation', 'chroot'],
      ...['--iidfile', '/id', '--tag', 'localhost/tool:1', '--file', 'Other', '--', '/context'],
    ]);
  });
});

it.each([
  ['tool', 'localhost/tool:latest'],
  ['team/tool:2', 'localhost/team/tool:2'],
  ['localhost/tool', 'localhost/tool:latest'],
  ['registry.example:5000/tool', 'registry.example:5000/tool:latest'],
])('an image built as %s is called %s', (tag, name) => {
  expect(builtName(tag)).toBe(name);
});
