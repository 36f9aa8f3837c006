/** Records by key, each changed by one writer at a time, without a server. */
export class MemoryRecords<T extends object> {
  readonly all = new Map<string, { value: T; revision: number }>();

  async find(name: string): Promise<{ value: T; revision: number } | undefined> {
    return this.all.get(name);
  }

  async write(name: string, value: T, revision: number): Promise<boolean> {
    if ((this.all.get(name)?.revision ?? 0) !== revision) return false;
    this.all.set(name, { value, revision: revision + 1 });
    return true;
  }

  async list(): Promise<readonly T[]> {
    return [...this.all.values()].map(({ value }) => value);
  }
}
