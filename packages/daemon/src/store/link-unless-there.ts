import { link } from 'node:fs/promises';

/** What has a digest for a name is whole: the same bytes need not be there twice. */
export async function linkUnlessThere(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  }
}
