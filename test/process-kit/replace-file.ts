import { rename, writeFile } from 'node:fs/promises';

/** Whoever reads it meanwhile finds the old text or the new one, and never half of one. */
export async function replaceFile(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text);
  await rename(`${path}.new`, path);
}
