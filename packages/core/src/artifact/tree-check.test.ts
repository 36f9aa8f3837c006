import { describe, expect, it } from 'vitest';
import { TreeCheck, type TreePlace } from './tree-check.ts';

const file = (path: string): TreePlace => ({ kind: 'file', path });
const dir = (path: string): TreePlace => ({ kind: 'dir', path });
const link = (path: string, target: string): TreePlace => ({ kind: 'symlink', path, target });

function problems(...entries: readonly TreePlace[]) {
  const check = new TreeCheck();
  return entries.map((entry) => check.add(entry)).filter((problem) => problem !== undefined);
}

describe('entries of a directory', () => {
  it.each([
    [[file('a/b'), file('a/c'), dir('a'), dir('a'), link('l', 'a/b')]],
    [[link('a/l', '../main.py'), link('a/m', '..'), link('b', './x/y')]],
    [[file('main.py'), file('main.py.bak'), file('a/main.py')]],
  ])('are accepted: %j', (entries) => {
    expect(problems(...entries)).toEqual([]);
  });

  it.each(['', '/a', '../a', 'a/../b', './a', 'a//b', 'a\0'])('must not be at %j', (path) => {
    expect(problems(file(path))).toEqual([{ kind: 'path-outside', path }]);
  });

  it.each([
    ['l', '/usr/bin/python3'],
    ['l', '../x'],
    ['a/l', '../../x'],
    ['a/l', 'b/../../main.py'],
    ['l', 'a/..'],
    ['l', ''],
  ])('must not lead outside, as %s -> %s does', (path, target) => {
    expect(problems(link(path, target))).toEqual([{ kind: 'link-outside', path, target }]);
  });

  it('come once, and lie under directories, in whatever order they come', () => {
    expect(problems(file('d'), link('d', 'x'))).toEqual([{ kind: 'twice', path: 'd' }]);
    const twisted = [{ kind: 'no-directory', path: 'd' }];
    for (const leaf of [file('d'), link('d', '.')]) {
      expect(problems(leaf, file('d/x/y'))).toEqual(twisted);
      expect(problems(file('d/x/y'), leaf)).toEqual(twisted);
      expect(problems(dir('d'), leaf)).toEqual(twisted);
    }
  });
});
