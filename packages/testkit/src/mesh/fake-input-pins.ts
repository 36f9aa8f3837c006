import type { InputPinned, InputPins, RunId } from '@podmesh/core';
import type { FakeProcess } from '../process/fake-process.ts';
import type { LogServer } from './log-server.ts';

/** Pins of one process, in the run log's server. */
export class FakeInputPins implements InputPins {
  private readonly process: FakeProcess;
  private readonly server: LogServer;

  constructor(process: FakeProcess, server: LogServer) {
    this.process = process;
    this.server = server;
  }

  find(run: RunId, source: string): Promise<InputPinned | undefined> {
    return this.process.call(`pins.find ${run} ${source}`, () => this.server.pinOf(run, source));
  }

  pin(pin: InputPinned): Promise<InputPinned> {
    return this.process.call(`pins.pin ${pin.run} ${pin.source}`, () => {
      this.server.append(pin, 0);
      return this.server.pinOf(pin.run, pin.source) ?? pin;
    });
  }
}
