/** What this daemon sends to end a container. */
export type OwnSignal = 'SIGTERM' | 'SIGKILL';

const EXIT_CODE_OF: Record<OwnSignal, number> = { SIGTERM: 143, SIGKILL: 137 };

/** Which of the signals that were sent an exit code tells of: others may have sent the same, or the command chosen the code. */
export function signalBehind(code: number, sent: ReadonlySet<OwnSignal>): OwnSignal | undefined {
  return [...sent].find((name) => EXIT_CODE_OF[name] === code);
}

/** Whether what is waited for came in that time, or failed. */
export function settlesWithin(wait: Promise<unknown>, ms: number): Promise<boolean> {
  return new Promise((resolve) => {
    const late = setTimeout(() => resolve(false), ms);
    const settled = (): void => {
      clearTimeout(late);
      resolve(true);
    };
    wait.then(settled, settled);
  });
}
