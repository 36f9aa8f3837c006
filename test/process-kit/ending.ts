/** What a test started, as the ways to end it: the last one first, and all of them whatever fails. */
export class Ending {
  readonly #ends: (() => Promise<unknown>)[] = [];

  defer(end: () => Promise<unknown>): void {
    this.#ends.push(end);
  }

  /** Does that, and ends everything whatever comes of it; throws what went wrong first. */
  async after(act: () => Promise<void>): Promise<void> {
    try {
      await act();
    } catch (error) {
      await this.end().catch(() => undefined);
      throw error;
    }
    await this.end();
  }

  /** Works twice; throws the first failure once everything was tried. */
  async end(): Promise<void> {
    const failures: unknown[] = [];
    for (let end = this.#ends.pop(); end !== undefined; end = this.#ends.pop()) {
      await end().catch((error: unknown) => failures.push(error));
    }
    if (failures.length > 0) throw failures[0];
  }
}
