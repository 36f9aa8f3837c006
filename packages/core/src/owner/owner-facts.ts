/** A fact of the machine, or why it is not known here. */
export type Fact<T> =
  | ({ readonly kind: 'known' } & T)
  | { readonly kind: 'unknown'; readonly why: string };

export interface PowerFact {
  readonly onBattery: boolean;
  /** What is left of all batteries together, 0 to 100; absent without one. */
  readonly percent?: number;
}

export interface UseFact {
  /** Since somebody at its screen and keyboard did something; infinite while nobody is logged in there. */
  readonly idleMs: number;
}

export interface NetworkFact {
  /** Whether it is paid for by volume. */
  readonly isMetered: boolean;
}

export interface LoadFact {
  /** Cores that all programs of the machine keep busy or wait for, on the average of a minute. */
  readonly busyCores: number;
  readonly cores: number;
}

export interface HeatFact {
  readonly celsius: number;
  /** The sensor that is the hottest. */
  readonly sensor: string;
}

/** The clock on the owner's wall: for what they wish, and for nothing else in podmesh. */
export interface LocalTime {
  /** 0 is Sunday. */
  readonly day: number;
  /** Since midnight. */
  readonly minute: number;
}

/** What a policy can be about, at one moment. */
export interface OwnerFacts {
  readonly power: Fact<PowerFact>;
  readonly use: Fact<UseFact>;
  readonly network: Fact<NetworkFact>;
  readonly load: Fact<LoadFact>;
  readonly heat: Fact<HeatFact>;
  readonly time: LocalTime;
}

/** Where such facts come from. None of them throws: what cannot be read is not known, and says why. */
export interface OwnerSources {
  power(): Promise<Fact<PowerFact>>;
  use(): Promise<Fact<UseFact>>;
  network(): Promise<Fact<NetworkFact>>;
  load(): Promise<Fact<LoadFact>>;
  heat(): Promise<Fact<HeatFact>>;
  time(): LocalTime;
}

export const unknownFact = (why: string) => ({ kind: 'unknown', why }) as const;
