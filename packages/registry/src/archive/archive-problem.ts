/** What is wrong with an image archive, as a sentence that goes on after its name. */
export class ArchiveProblem extends Error {
  constructor(what: string, cause?: unknown) {
    super(what, { cause });
    this.name = 'ArchiveProblem';
  }
}
