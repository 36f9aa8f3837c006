import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { temporaryDirectory } from '../fake-world.test-kit.ts';
import { findingsOfRequirements, REQUIREMENTS_BYTES_MAX } from './requirements-file.ts';

async function fileWith(content: string | Uint8Array): Promise<string> {
  const path = join(temporaryDirectory(), 'requirements.txt');
  await writeFile(path, content);
  return path;
}

it.each([
  '--index-url https://me:hunter2@pypi.example/simple',
  '--index-url=https://me:hunter2@pypi.example/simple',
  '-i https://hunter2@pypi.example/simple',
  '--extra-index-url "https://__token__:hunter2@pypi.example/simple"',
  '--find-links https://me:hunter2@files.example/',
  '-f ftp://me:hunter2@files.example/',
  'tool @ https://me:hunter2@files.example/tool.whl',
  '-e git+https://hunter2@git.example/tool.git@v1#egg=tool',
  '    https://me:hunter2@pypi.example/simple',
  '# -i https://me:hunter2@pypi.example/simple',
  `-i https://${variable('USER')}:hunter2@pypi.example/simple`,
])('refuses: %s', async (line) => {
  const path = await fileWith(`numpy==1.26.4\r\n\r\n${line}\r\npandas\r\n`);
  const found = await findingsOfRequirements(path);
  expect(found.map(({ problem }) => problem)).toEqual([
    expect.stringMatching(new RegExp(`^line 3 of ${path} holds a user name, password or token`)),
  ]);
  expect(found[0]?.advice).toMatch(/configuration of pip on this machine.*"wheels"/);
  expect(JSON.stringify(found)).not.toContain('hunter2');
});

it('accepts indexes that ask for nothing, users of ssh, hashes, and variables', async () => {
  const path = await fileWith(
    [
      '-i https://pypi.example:8443/simple',
      'tool @ git+ssh://git@git.example/tool.git@v1',
      'numpy==1.26.4 --hash=sha256:0123 # ask me@home.example',
      `-i https://${variable('TOKEN')}@pypi.example/simple`,
      `-i https://me:${variable('PASSWORD')}@pypi.example/simple`,
      `-i https://${variable('NAME')}:${variable('PASSWORD')}@pypi.example/simple`,
    ].join('\n'),
  );
  expect(await findingsOfRequirements(path)).toEqual([]);
});

it('reads what PowerShell writes', async () => {
  const text = '\ufeffnumpy\r\n-i https://me:hunter2@pypi.example/simple\r\n';
  const [finding, ...others] = await findingsOfRequirements(
    await fileWith(Buffer.from(text, 'utf16le')),
  );
  expect(finding?.problem).toContain('line 2 of');
  expect(others).toEqual([]);
});

it('tells every line, and many by their number', async () => {
  const line = 'a @ https://hunter2@files.example/a.whl\n';
  const path = await fileWith(line.repeat(30));
  const found = await findingsOfRequirements(path);
  expect(found[9]?.problem).toContain('line 10 of');
  expect(found[10]?.problem).toBe(`20 more like these in ${path}`);
  expect(found).toHaveLength(11);
});

it('does not read what is no requirements file by its size', async () => {
  const path = await fileWith('');
  await truncate(path, REQUIREMENTS_BYTES_MAX + 1);
  expect((await findingsOfRequirements(path))[0]?.problem).toContain('is larger than 16 MiB');
});

/** What pip replaces by the value of a variable of that name. */
function variable(name: string): string {
  return `\${${name}}`;
}
