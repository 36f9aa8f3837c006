import { expect, it } from 'vitest';
import { holdsCredentials, secretIn } from './holds-credentials.ts';

it.each([
  'https://user:hunter2@pypi.example/simple',
  '--index-url https://user:hunter2@pypi.example/simple',
  '-i HTTPS://hunter2@pypi.example/simple',
  'tool @ git+https://hunter2@git.example/tool.git',
  'ftp://user:hunter2:more@files.example/',
  'https://:hunter2@pypi.example/',
  'user:hunter2@proxy.example:3128',
])('%s lets somebody in', (text) => {
  expect(holdsCredentials(text)).toBe(true);
});

it.each([
  'https://pypi.example:8443/a@b/simple',
  'tool @ git+ssh://git@git.example/tool.git@v1',
  'tool @ https://files.example/tool.whl?who=a@b#sha256=1',
  'tool==1.0 # written by me@home.example',
  '',
])('%s does not', (text) => {
  expect(holdsCredentials(text)).toBe(false);
});

it('is found at once in a long line of nothing', () => {
  expect(holdsCredentials(`://${':a'.repeat(500_000)}`)).toBe(false);
});

it('is told by its place', () => {
  expect(secretIn('line 3').problem).toMatch(/^line 3 holds a user name, password or token/);
});
