import { fileURLToPath } from 'node:url';
import { freePort } from '@podmesh/jetstream';
import { CommandLine, type Said } from '../process-kit/command-line.ts';
import { BUSYBOX } from '../process-kit/podman-containers.ts';
import { tell, textOf } from './speak.ts';

const here = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));
/** Harmless for whoever is an ordinary user already. */
const ROOTLESS = here('scripts/rootless');
/** This machine's loopback, as QEMU shows it to its guests. */
const HOST_OF_GUESTS = '10.0.2.2';

/** A peer of this machine, which makes a mesh that a virtual machine can join. */
export class HostPeer {
  readonly #home: string;
  readonly #port: number;
  readonly #registry: number;
  readonly #cli: CommandLine;

  private constructor(home: string, port: number, registry: number) {
    this.#home = home;
    this.#port = port;
    this.#registry = registry;
    this.#cli = new CommandLine(home, here('.'), {}, [ROOTLESS]);
  }

  static async start(name: string): Promise<HostPeer> {
    const home = (await tell([ROOTLESS, 'mktemp', '-d', '-t', 'podmesh-host-XXXXXX'])).trim();
    const peer = new HostPeer(home, await freePort(), await freePort());
    await tell([ROOTLESS, here('scripts/build-image'), 'busybox']);
    const places = ['--listen', `127.0.0.1:${peer.#port}`, '--registry-port', `${peer.#registry}`];
    await peer.tell('up', '--detach', '--name', name, ...places);
    return peer;
  }

  async stop(): Promise<void> {
    await this.run('down');
    await tell([ROOTLESS, 'rm', '-rf', this.#home]);
  }

  /** A line with which a machine of QEMU joins. */
  async invite(): Promise<string> {
    const said = await this.tell('invite', '--address', `${HOST_OF_GUESTS}:${this.#port}`);
    return said.trim();
  }

  /** The busybox image for all peers; its name in documents. */
  async pushBusybox(): Promise<string> {
    const place = `localhost:${this.#registry}/busybox:1`;
    await tell([ROOTLESS, 'podman', 'push', '--quiet', BUSYBOX, place]);
    return 'mesh/busybox:1';
  }

  run(...words: readonly string[]): Promise<Said> {
    return this.#cli.run(...words);
  }

  /** With a graph on standard input. */
  feed(graph: object, ...words: readonly string[]): Promise<Said> {
    return this.#cli.feed(JSON.stringify(graph), ...words);
  }

  /** What a command says that has to succeed. */
  async tell(...words: readonly string[]): Promise<string> {
    return textOf(words, await this.run(...words));
  }

  async tellJson(...words: readonly string[]): Promise<unknown> {
    return JSON.parse(await this.tell(...words, '--json'));
  }
}
