import { makeZip } from '@podmesh/testkit';

/** A wheel of one module, by hand: `name` 1.0 with `VALUE` in it. Its file name is the second one. */
export function tinyWheel(name: string, value: number): readonly [bytes: Buffer, file: string] {
  const about = `${name}-1.0.dist-info`;
  const files = [
    { name: `${name}.py`, content: `VALUE = ${value}\n` },
    { name: `${about}/METADATA`, content: `Metadata-Version: 2.1\nName: ${name}\nVersion: 1.0\n` },
    {
      name: `${about}/WHEEL`,
      content: 'Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n',
    },
  ];
  const record = [...files.map((file) => `${file.name},,\n`), `${about}/RECORD,,\n`].join('');
  const wheel = makeZip([...files, { name: `${about}/RECORD`, content: record }]);
  return [wheel, `${name}-1.0-py3-none-any.whl`];
}
