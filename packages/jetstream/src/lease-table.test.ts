import { describe, expect, it } from 'vitest';
import { CLAIMS_KEPT_MAX, LeaseTable, TICKET_BYTES_MAX } from './lease-table.js';

/** The table as its writer has it, and as a reader in another thread does. */
function newTable() {
  const writer = LeaseTable.create();
  return { writer, reader: new LeaseTable(writer.memory) };
}

/** What the reader finds, without the slots that are nobody's. */
const idsIn = (table: LeaseTable): readonly number[] =>
  [...table.ids()].map(({ id }) => id).filter((id) => id !== 0);

describe('a table of claims in shared memory', () => {
  it('tells its reader what its writer put in', () => {
    const { writer, reader } = newTable();
    const slot = writer.put({ id: 7, ticket: '$JS.ACK.PM_OFFERS.x.1.2.3.4.5', atMs: 1234.5 });
    expect([...reader.ids()]).toEqual([{ slot, id: 7 }]);
    expect(reader.read(slot, 7)).toEqual({
      slot,
      id: 7,
      ticket: '$JS.ACK.PM_OFFERS.x.1.2.3.4.5',
      atMs: 1234.5,
    });
  });

  it('keeps the longest ticket whole, beside its neighbours', () => {
    const { writer, reader } = newTable();
    const tickets = ['a', 'b', 'c'].map((letter) => letter.repeat(TICKET_BYTES_MAX));
    const slots = tickets.map((ticket, index) =>
      writer.put({ id: index + 1, ticket, atMs: index }),
    );
    const found = slots.map((slot, index) => reader.read(slot, index + 1)?.ticket);
    expect(found).toEqual(tickets);
  });

  it('refuses a ticket that is too long, and has its slot left for another', () => {
    const { writer, reader } = newTable();
    const ticket = 'x'.repeat(TICKET_BYTES_MAX + 1);
    expect(() => writer.put({ id: 1, ticket, atMs: 0 })).toThrow(RangeError);
    expect(idsIn(reader)).toEqual([]);
    expect(writer.put({ id: 2, ticket: 'fits', atMs: 0 })).toBe(0);
  });

  it('refuses one claim too many, and takes it once another went', () => {
    const { writer, reader } = newTable();
    for (let id = 1; id <= CLAIMS_KEPT_MAX; id++) writer.put({ id, ticket: 't', atMs: 0 });
    const late = { id: CLAIMS_KEPT_MAX + 1, ticket: 'late', atMs: 0 };
    expect(() => writer.put(late)).toThrow(`more than ${CLAIMS_KEPT_MAX} claims`);
    writer.clear(100);
    expect(writer.put(late)).toBe(100);
    expect(reader.read(100, late.id)?.ticket).toBe('late');
    expect(idsIn(reader)).toHaveLength(CLAIMS_KEPT_MAX);
  });

  it('does not give a reader the claim that came into the slot after the one it asks for', () => {
    const { writer, reader } = newTable();
    const slot = writer.put({ id: 1, ticket: 'first', atMs: 0 });
    writer.clear(slot);
    expect(reader.read(slot, 1)).toBeUndefined();
    expect(writer.put({ id: 2, ticket: 'second', atMs: 0 })).toBe(slot);
    expect(reader.read(slot, 1)).toBeUndefined();
    expect(reader.read(slot, 2)?.ticket).toBe('second');
  });

  it('wakes a reader that sleeps once, and one that is awake never', () => {
    const { writer, reader } = newTable();
    expect(writer.wakes()).toBe(false);
    reader.sleep();
    expect(writer.wakes()).toBe(true);
    expect(writer.wakes()).toBe(false);
    reader.sleep();
    reader.stayAwake();
    expect(writer.wakes()).toBe(false);
  });
});
