import {
  type ArtifactId,
  ArtifactMissingError,
  type ArtifactRef,
  type ClaimId,
  type Clock,
  type ExternalStore,
  ExternalStoreError,
  type InputPins,
  type LogSink,
  type Offer,
  type PeerId,
  placeText,
  SECRET_FILES_PATH,
  type SecretValues,
  type Sha256,
  type StorePlace,
  sourceKey,
} from '@podmesh/core';
import { AttemptFailure } from '../execute/attempt-failure.ts';
import { patiently } from '../execute/patiently.ts';
import type { TaskFiles } from '../execute/task-files.ts';
import { LogMask } from '../secrets/log-mask.ts';
import type { PlacedSecrets, SecretFiles } from '../secrets/secret-files.ts';
import { SingleFlight } from '../store/single-flight.ts';
import { deliverDirectory, type WriteFile } from './deliver-directory.ts';

/** What attempts need of the world outside of the mesh. */
export interface ExternalParts {
  readonly store: ExternalStore;
  readonly pins: InputPins;
  readonly secrets: { valuesOf(offer: Offer, signal: AbortSignal): Promise<SecretValues> };
  readonly secretFiles: Pick<SecretFiles, 'place' | 'values'>;
  readonly sha256: Sha256;
  /** Tasks that want the same source at the same time share one fetch. */
  readonly fetches: SingleFlight<string, ArtifactRef>;
}

/** What all attempts of one peer share. */
export const newFetches = (): ExternalParts['fetches'] => new SingleFlight();

interface AttemptParts {
  readonly external: ExternalParts | undefined;
  readonly files: TaskFiles;
  readonly clock: Clock;
  readonly peer: PeerId;
}

interface Attempt {
  readonly offer: Offer;
  readonly claim: ClaimId;
  readonly stop: AbortSignal;
}

/** What is added to the specification of the container. */
export interface SecretMounts {
  readonly inputs: Readonly<Record<string, string>>;
  readonly mountAt: Readonly<Record<string, string>>;
  readonly secretEnv?: Readonly<Record<string, string>>;
}

/** See `ContainerRun`: a result that was not delivered is known all the same. */
const KEPT =
  'What the task made is kept: once the store takes it, publish the document again, and only this is left to do';

const NO_MOUNTS: SecretMounts = { inputs: {}, mountAt: {} };

/**
 * One attempt's dealings with stores outside of the mesh, and its secrets: brings sources in and makes what they are
 * a fact of the run, keeps secrets out of its log, and delivers outputs. Of most attempts it has nothing to do.
 */
export class AttemptExternals {
  readonly #parts: AttemptParts;
  readonly #attempt: Attempt;
  #values: SecretValues = new Map();
  #mask = new LogMask([]);
  #flushes: (() => void)[] = [];

  constructor(parts: AttemptParts, attempt: Attempt) {
    this.#parts = parts;
    this.#attempt = attempt;
  }

  /** Gets the secrets and the sources; the offer with all inputs that the task reads. */
  async begin(): Promise<Offer> {
    const { offer, stop } = this.#attempt;
    const external = this.#needed();
    if (external === undefined) return offer;
    this.#values = await external.secrets.valuesOf(offer, stop);
    this.#mask = new LogMask(this.#values.values());
    const inputs: Record<string, ArtifactRef> = { ...offer.inputs };
    for (const [name, place] of Object.entries(offer.sources ?? {})) {
      inputs[name] = await this.#source(external, name, place);
    }
    return { ...offer, inputs };
  }

  /** Of a container that an earlier session started: what was pinned then, and what must not be in its log. */
  async resume(): Promise<Offer> {
    const { offer, claim, stop } = this.#attempt;
    const external = this.#needed();
    if (external === undefined) return offer;
    if (offer.secrets !== undefined) {
      const placed = await external.secretFiles.values(claim);
      if (placed.length === 0) {
        const message =
          'this peer was started again and has not the secrets any more that must not be in the log';
        throw new AttemptFailure('peer-lost', message);
      }
      this.#mask = new LogMask(placed);
    }
    if (offer.deliveries !== undefined) {
      this.#values = await external.secrets.valuesOf(offer, stop);
    }
    const inputs: Record<string, ArtifactRef> = { ...offer.inputs };
    for (const [name, place] of Object.entries(offer.sources ?? {})) {
      const pin = await external.pins.find(offer.run, sourceKey(place, external.sha256));
      if (inputs[name] === undefined && pin !== undefined) inputs[name] = pin.artifact;
    }
    return { ...offer, inputs };
  }

  /** The secrets of the task as files in memory, to be mounted. */
  async mounts(): Promise<SecretMounts> {
    const { offer, claim } = this.#attempt;
    const { external } = this.#parts;
    if (offer.secrets === undefined || external === undefined) return NO_MOUNTS;
    const placed = await external.secretFiles.place(claim, offer.secrets, this.#values);
    return mountsOf(placed);
  }

  /** Call `flush` when the container has ended. */
  masked(log: LogSink): LogSink {
    const { sink, flush } = this.#mask.wrap(log);
    this.#flushes.push(flush);
    return sink;
  }

  flush(): void {
    for (const flush of this.#flushes.splice(0)) flush();
  }

  /** A message without secrets. */
  maskText(text: string): string {
    return this.#mask.text(text);
  }

  /**
   * Brings the outputs where the document wants them. Throws an `AttemptFailure` when a store does not take one; what
   * was delivered before stays, and is written over by the next attempt.
   */
  async deliver(outputs: Readonly<Record<string, ArtifactRef>>): Promise<void> {
    const { offer, claim, stop } = this.#attempt;
    const { external, files, clock } = this.#parts;
    for (const [name, place] of Object.entries(offer.deliveries ?? {})) {
      const artifact = outputs[name];
      if (artifact === undefined || external === undefined) continue;
      // The mesh may be away for a while; of the store it is tried by itself as often as makes sense.
      const find = () => files.input(artifact, { claim, signal: stop });
      const path = await patiently(find, { clock, stop });
      const write: WriteFile = (to, file) => external.store.write(to, file, this.#values, stop);
      const sent =
        artifact.kind === 'dir' && place.kind === 's3'
          ? deliverDirectory(path, place, write)
          : write(place, { path, bytes: artifact.bytes });
      await sent.catch((error: unknown) => {
        throw this.#undelivered(name, place, error);
      });
    }
  }

  /** Undefined when there is nothing to do outside of the mesh. */
  #needed(): ExternalParts | undefined {
    const { sources, deliveries, secrets } = this.#attempt.offer;
    if (sources === undefined && deliveries === undefined && secrets === undefined)
      return undefined;
    if (this.#parts.external !== undefined) return this.#parts.external;
    throw new AttemptFailure('start-failed', 'this peer has no way to stores outside of the mesh');
  }

  /** Here and where every peer can get it, and the same for all tasks of the run. */
  async #source(external: ExternalParts, name: string, place: StorePlace): Promise<ArtifactRef> {
    const { offer, stop } = this.#attempt;
    const key = sourceKey(place, external.sha256);
    const known = offer.inputs[name] ?? (await external.pins.find(offer.run, key))?.artifact;
    const flight = known === undefined ? `${offer.run} ${key}` : `${known.digest} ${key}`;
    try {
      return await external.fetches.run(
        flight,
        (signal) =>
          known === undefined
            ? this.#pin(external, place, key, signal)
            : this.#findOrFetch(external, place, known, signal),
        stop,
      );
    } catch (error) {
      if (!(error instanceof ExternalStoreError)) throw error;
      // Whoever read it has tried as often as makes sense: nobody repeats it here.
      throw new AttemptFailure('input-missing', `input ${name}: ${error.message}`, error);
    }
  }

  async #pin(
    external: ExternalParts,
    place: StorePlace,
    source: string,
    signal: AbortSignal,
  ): Promise<ArtifactRef> {
    const { run } = this.#attempt.offer;
    const artifact = await this.#fetch(external, place, signal);
    const from = placeText(place);
    const { peer } = this.#parts;
    const pin = { kind: 'input-pinned' as const, run, source, from, artifact, peer };
    return (await external.pins.pin(pin)).artifact;
  }

  /** What the mesh has is not fetched again; what it lost is, and has to be the same. */
  async #findOrFetch(
    external: ExternalParts,
    place: StorePlace,
    known: ArtifactRef,
    signal: AbortSignal,
  ): Promise<ArtifactRef> {
    const { claim } = this.#attempt;
    try {
      await this.#parts.files.input(known, { claim, signal });
      return known;
    } catch (error) {
      if (!(error instanceof ArtifactMissingError)) throw error;
    }
    const fetched = await this.#fetch(external, place, signal);
    if (fetched.digest === known.digest) return fetched;
    throw otherBytes(place, known.digest, fetched.digest);
  }

  async #fetch(
    external: ExternalParts,
    place: StorePlace,
    signal: AbortSignal,
  ): Promise<ArtifactRef> {
    const content = external.store.read(place, this.#values, signal);
    return await this.#parts.files.storeOutput('file', oneFile(content));
  }

  #undelivered(name: string, place: StorePlace, error: unknown): unknown {
    if (!(error instanceof ExternalStoreError)) return error;
    const message = `output ${name} could not be delivered to ${placeText(place)}: ${error.message}. ${KEPT}`;
    return new AttemptFailure('output-missing', message, error);
  }
}

function otherBytes(place: StorePlace, wanted: ArtifactId, found: ArtifactId): AttemptFailure {
  const message =
    `${placeText(place)} has the digest ${found}, but this run reads ${wanted}, as the document says or as ` +
    'they were when it was first read, and no peer has those bytes';
  return new AttemptFailure('input-missing', message);
}

function mountsOf({ env, files }: PlacedSecrets): SecretMounts {
  const inputs: Record<string, string> = {};
  const mountAt: Record<string, string> = {};
  for (const [name, path] of Object.entries(files)) {
    // No input of a document can be called so.
    const inside = `${SECRET_FILES_PATH}/${name}`;
    inputs[inside] = path;
    mountAt[inside] = inside;
  }
  return { inputs, mountAt, ...(Object.keys(env).length === 0 ? {} : { secretEnv: env }) };
}

async function* oneFile(content: AsyncIterable<Uint8Array>) {
  yield { kind: 'file' as const, path: '', executable: false, content };
}
