/** Something that will happen at a virtual time. */
export interface TimedEvent {
  readonly atMs: number;
  /** Order among events of the same time: first scheduled, first run. */
  readonly order: number;
  action: (() => void) | undefined;
}

/** A binary heap by (time, order): the total order that makes a simulation repeatable. */
export class EventQueue {
  private readonly heap: TimedEvent[] = [];

  get size(): number {
    return this.heap.length;
  }

  peek(): TimedEvent | undefined {
    return this.heap[0];
  }

  push(event: TimedEvent): void {
    const { heap } = this;
    let index = heap.length;
    heap.push(event);
    while (index > 0) {
      const above = (index - 1) >> 1;
      const parent = heap[above];
      if (parent === undefined || !before(event, parent)) break;
      heap[index] = parent;
      index = above;
    }
    heap[index] = event;
  }

  pop(): TimedEvent | undefined {
    const first = this.heap[0];
    const last = this.heap.pop();
    if (last !== undefined && this.heap.length > 0) this.sink(last);
    return first;
  }

  private sink(event: TimedEvent): void {
    const { heap } = this;
    let index = 0;
    for (;;) {
      const left = 2 * index + 1;
      const leftChild = heap[left];
      if (leftChild === undefined) break;
      const rightChild = heap[left + 1];
      const useRight = rightChild !== undefined && before(rightChild, leftChild);
      const child = useRight ? rightChild : leftChild;
      if (!before(child, event)) break;
      heap[index] = child;
      index = useRight ? left + 1 : left;
    }
    heap[index] = event;
  }
}

function before(a: TimedEvent, b: TimedEvent): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
