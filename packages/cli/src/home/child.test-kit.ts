import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { onTestFinished } from 'vitest';

/** A process of this name that lives until it gets SIGTERM, or until the test is over. */
export async function livingChild(name: string): Promise<ChildProcess & { readonly pid: number }> {
  const script =
    'process.on("SIGTERM", () => process.exit(0)); setInterval(() => {}, 1e6); console.log("up")';
  const child = spawn(process.execPath, ['-e', script, name], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  return child as typeof child & { readonly pid: number };
}
