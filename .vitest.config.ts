import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

/** Tests run from source; the cache lies outside of the checkout, which the test's user may not own. */
// biome-ignore lint/style/noDefaultExport: vitest wants one
export default defineConfig({
  cacheDir: join(tmpdir(), `podmesh-vitest-${process.getuid?.() ?? 0}`),
  resolve: { conditions: ['source'] },
  ssr: { resolve: { conditions: ['source', 'node', 'import', 'default'] } },
  test: {
    include: ['packages/*/src/**/*.test.ts', 'test/**/*.test.ts'],
    // What is waited for comes in milliseconds, and on a slow and busy machine in seconds: these only bound hanging.
    testTimeout: 180_000,
    hookTimeout: 240_000,
    expect: { poll: { timeout: 60_000 } },
  },
});
