import {
  type MeshFolder,
  type TaskIdentity,
  TaskSigner,
  type TaskSigning,
} from '@podmesh/authority';

/**
 * The key with which this peer signs for its tasks, as it is now: it changes when somebody who had it is in no more.
 * Undefined signing: a mesh without an authority.
 */
export class TaskKeys {
  #signing: TaskSigning | undefined;
  #signer: TaskSigner | undefined;
  readonly #listeners = new Set<() => void>();

  /** What the home of a member holds; none where there is no such home. */
  static async of(folder: Pick<MeshFolder, 'taskSigning'> | undefined): Promise<TaskKeys> {
    const keys = new TaskKeys();
    keys.set(await folder?.taskSigning());
    return keys;
  }

  /** Throws a `TypeError` when the seed is damaged. Harmless when it is the one that is known. */
  set(signing: TaskSigning | undefined): void {
    if (signing === undefined || signing.seed === this.#signing?.seed) return;
    const isFirst = this.#signing === undefined;
    this.#signer = new TaskSigner(signing);
    this.#signing = signing;
    if (!isFirst) for (const tell of this.#listeners) tell();
  }

  get isThere(): boolean {
    return this.#signer !== undefined;
  }

  /** Called when there is another one: what the one before signed is worth nothing any more. */
  onChange(tell: () => void): void {
    this.#listeners.add(tell);
  }

  /** The text of a `.creds` file. */
  async mint(identity: TaskIdentity): Promise<string> {
    if (this.#signer === undefined) throw new Error('this mesh has no authority to sign for tasks');
    return this.#signer.mint(identity);
  }
}
