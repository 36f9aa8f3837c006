/** An entry of a directory as far as its place matters. */
export interface TreePlace {
  readonly kind: 'file' | 'dir' | 'symlink' | 'tree';
  readonly path: string;
  readonly target?: string;
}

/** Why entries make no directory that every machine could lay out. */
export type TreeProblem =
  | { readonly kind: 'path-outside'; readonly path: string }
  | { readonly kind: 'link-outside'; readonly path: string; readonly target: string }
  | { readonly kind: 'twice'; readonly path: string }
  /** Other entries lie under it, and it is a file or a link. */
  | { readonly kind: 'no-directory'; readonly path: string };

/** The one set of rules for directories that travel: given the entries one by one, in any order. */
export class TreeCheck {
  readonly #leaves = new Set<string>();
  readonly #directories = new Set<string>();

  /** What is wrong with this entry beside those before it. A directory may come again. */
  add(entry: TreePlace): TreeProblem | undefined {
    const { kind, path, target } = entry;
    if (!isInside(path)) return { kind: 'path-outside', path };
    if (kind === 'symlink' && !staysInside(path, target)) {
      return { kind: 'link-outside', path, target: String(target) };
    }
    if (this.#leaves.has(path)) return { kind: 'twice', path };
    if (kind !== 'dir' && this.#directories.has(path)) return { kind: 'no-directory', path };
    if (kind === 'dir') this.#directories.add(path);
    else this.#leaves.add(path);
    return this.#addParents(path);
  }

  #addParents(path: string): TreeProblem | undefined {
    for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) {
      const parent = path.slice(0, at);
      if (this.#leaves.has(parent)) return { kind: 'no-directory', path: parent };
      this.#directories.add(parent);
    }
    return undefined;
  }
}

/** Relative, without empty, `.` or `..` parts. Listings come from other machines: it may be anything. */
function isInside(path: unknown): boolean {
  return (
    typeof path === 'string' &&
    !path.includes('\0') &&
    path.split('/').every((part) => part !== '' && part !== '.' && part !== '..')
  );
}

/**
 * `..` may only lead, and not above the root: there the parents are real directories, so counting is
 * exact. Behind a name, which may itself be a link, `..` could mean anything.
 */
function staysInside(path: string, target: unknown): boolean {
  if (typeof target !== 'string' || target === '' || target.includes('\0')) return false;
  if (target.startsWith('/')) return false;
  const parts = target.split('/').filter((part) => part !== '' && part !== '.');
  const climbs = parts.findIndex((part) => part !== '..');
  const up = climbs === -1 ? parts.length : climbs;
  return up <= path.split('/').length - 1 && !parts.slice(up).includes('..');
}
