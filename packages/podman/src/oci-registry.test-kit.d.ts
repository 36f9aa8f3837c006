/** How the bytes of layers come: at once, in pieces, half of them and then nothing, or when released. */
export type Flow = 'fast' | 'slow' | 'stalled' | 'held';
/** The pull half of a registry without encryption, on a port of its own: just enough for Podman. */
export declare class OciRegistry {
    #private;
    /** `GET /v2/…` as they came. */
    readonly requests: string[];
    flow: Flow;
    static start(): Promise<OciRegistry>;
    get host(): string;
    /** Makes `name:tag` an image of one random layer; its whole reference and image id. */
    add(name: string, tag: string, wish?: {
        arch?: string;
        bytes?: number;
        inIndex?: boolean;
    }): {
        reference: string;
        id: string;
    };
    /** Makes `name:tag` the one image of an OCI layout; its image id. */
    addLayout(name: string, tag: string, folder: string): Promise<string>;
    /** What has to be asked for to have all of an image that `addLayout` made, in the order of its letters. */
    pathsOf(name: string, tag: string): readonly string[];
    /** How often a layer was asked for. */
    get layerRequests(): number;
    /** Resolves at the next request for a layer, or the next time that one is broken off. */
    next(event: 'layer-asked' | 'layer-broken'): Promise<void>;
    /** Lets layers come that were `held`. */
    release(): void;
    stop(): Promise<void>;
}
