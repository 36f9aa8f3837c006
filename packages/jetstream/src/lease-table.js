/**
 * The claims that one thread has and another keeps alive, in memory that both see: a message for each would cost more
 * than all else that a claim costs. Plain JavaScript for the same reason as lease-worker.js.
 *
 * One writer, one reader. A slot is somebody's while its id is not 0, and the id is written last, so that whoever reads
 * one reads what belongs to it. An id comes again only after two billion others, when nobody remembers it.
 */

/** Claims that one peer has at the same time. */
export const CLAIMS_KEPT_MAX = 8_192;
/** Of a ticket, which is the subject that a claim is answered at. */
export const TICKET_BYTES_MAX = 240;

const HEAD_BYTES = 16;
const SLOT_BYTES = 16 + TICKET_BYTES_MAX;
/** In the head, as words of four bytes: how many slots were ever used, and whether the reader sleeps. */
const USED = 0;
const ASLEEP = 1;
/** In a slot. */
const ID = 0;
const LENGTH = 1;

/** @typedef {{ slot: number, id: number, ticket: string, atMs: number }} Entry */

export class LeaseTable {
  #words;
  #doubles;
  #bytes;
  /** Of the writer: slots that are free again. @type {number[]} */
  #free = [];

  /** Of the writer. */
  static create() {
    return new LeaseTable(new SharedArrayBuffer(HEAD_BYTES + CLAIMS_KEPT_MAX * SLOT_BYTES));
  }

  /** @param {SharedArrayBuffer} memory */
  constructor(memory) {
    this.memory = memory;
    this.#words = new Int32Array(memory);
    this.#doubles = new Float64Array(memory);
    this.#bytes = Buffer.from(memory);
  }

  /**
   * The slot it is in. Throws a `RangeError` when there are too many, or the ticket is none.
   * @param {Omit<Entry, 'slot'>} entry `id` > 0 and new, `atMs` when the claim was got
   */
  put({ id, ticket, atMs }) {
    const length = Buffer.byteLength(ticket, 'latin1');
    if (length > TICKET_BYTES_MAX) throw new RangeError(`a ticket of ${length} bytes`);
    const slot = this.#free.pop() ?? Atomics.load(this.#words, USED);
    if (slot >= CLAIMS_KEPT_MAX) throw new RangeError(`more than ${CLAIMS_KEPT_MAX} claims`);
    const at = startOf(slot);
    this.#bytes.write(ticket, at + 16, length, 'latin1');
    this.#doubles[at / 8 + 1] = atMs;
    this.#words[at / 4 + LENGTH] = length;
    Atomics.store(this.#words, at / 4 + ID, id);
    if (slot === Atomics.load(this.#words, USED)) Atomics.store(this.#words, USED, slot + 1);
    return slot;
  }

  /** @param {number} slot */
  clear(slot) {
    Atomics.store(this.#words, startOf(slot) / 4 + ID, 0);
    this.#free.push(slot);
  }

  /** Of the writer, after a `put`: whether the reader has to be woken. */
  wakes() {
    return Atomics.exchange(this.#words, ASLEEP, 0) === 1;
  }

  /** Of the reader, before it looks a last time: whoever puts something from now on wakes it. */
  sleep() {
    Atomics.store(this.#words, ASLEEP, 1);
  }

  /** Of the reader: it looks again by itself. */
  stayAwake() {
    Atomics.store(this.#words, ASLEEP, 0);
  }

  /** The id in each slot that was ever used; 0: nobody's. */
  *ids() {
    const used = Atomics.load(this.#words, USED);
    for (let slot = 0; slot < used; slot++)
      yield { slot, id: Atomics.load(this.#words, startOf(slot) / 4 + ID) };
  }

  /**
   * Undefined when the slot is somebody else's by now.
   * @param {number} slot
   * @param {number} id
   * @returns {Entry | undefined}
   */
  read(slot, id) {
    const at = startOf(slot);
    const length = this.#words[at / 4 + LENGTH] ?? 0;
    const ticket = this.#bytes.toString('latin1', at + 16, at + 16 + length);
    const atMs = this.#doubles[at / 8 + 1] ?? 0;
    if (Atomics.load(this.#words, at / 4 + ID) !== id) return undefined;
    return { slot, id, ticket, atMs };
  }
}

/** @param {number} slot */
const startOf = (slot) => HEAD_BYTES + slot * SLOT_BYTES;
