import type { MeshMember } from './mesh-connection.ts';

/**
 * A member that becomes another one of the same name while it is connected: all of its connections prove themselves by what
 * it is now whenever they connect again.
 */
export class ChangingMember implements MeshMember {
  #member: MeshMember;
  readonly #listeners = new Set<(member: MeshMember) => void>();

  constructor(member: MeshMember) {
    this.#member = member;
  }

  get name(): string {
    return this.#member.name;
  }

  get role(): MeshMember['role'] {
    return this.#member.role;
  }

  get credentials(): string {
    return this.#member.credentials;
  }

  /** Throws a `TypeError` for another name: subjects of a connection are made of it. */
  become(member: MeshMember): void {
    if (member.name !== this.name) throw new TypeError(`${this.name} cannot become ${member.name}`);
    this.#member = member;
    for (const listener of [...this.#listeners]) listener(member);
  }

  /** Calls `listener` with each other member that it becomes, until the returned function is called. */
  onChange(listener: (member: MeshMember) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
