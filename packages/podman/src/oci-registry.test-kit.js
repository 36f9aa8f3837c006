import { createHash, randomBytes } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const INDEX = 'application/vnd.oci.image.index.v1+json';
const CONFIG = 'application/vnd.oci.image.config.v1+json';
const LAYER = 'application/vnd.oci.image.layer.v1.tar';
const SLOW_PIECES = 8;
const SLOW_PIECE_MS = 400;
/** The pull half of a registry without encryption, on a port of its own: just enough for Podman. */
export class OciRegistry {
    /** `GET /v2/…` as they came. */
    requests = [];
    flow = 'fast';
    #blobs = new Map();
    /** `name/reference` → digest of the manifest. */
    #manifests = new Map();
    #parts = new Map();
    #events = new EventEmitter();
    #server = createServer((request, response) => this.#answer(request, response));
    static async start() {
        const registry = new OciRegistry();
        registry.#server.listen(0, '127.0.0.1');
        await once(registry.#server, 'listening');
        return registry;
    }
    get host() {
        return `127.0.0.1:${this.#server.address().port}`;
    }
    /** Makes `name:tag` an image of one random layer; its whole reference and image id. */
    add(name, tag, wish = {}) {
        const { arch = 'amd64', bytes = 1024, inIndex = false } = wish;
        const layer = tarOf('content', randomBytes(bytes));
        const rootfs = { type: 'layers', diff_ids: [digestOf(layer)] };
        const config = json({ architecture: arch, os: 'linux', config: {}, rootfs });
        const manifest = json({
            schemaVersion: 2,
            mediaType: MANIFEST,
            config: { mediaType: CONFIG, digest: digestOf(config), size: config.length },
            layers: [{ mediaType: LAYER, digest: digestOf(layer), size: layer.length }],
        });
        this.#store(layer, LAYER, true);
        this.#store(config, CONFIG);
        let top = this.#store(manifest, MANIFEST);
        if (inIndex) {
            const platform = { architecture: arch, os: 'linux' };
            const entry = { mediaType: MANIFEST, digest: top, size: manifest.length, platform };
            top = this.#store(json({ schemaVersion: 2, mediaType: INDEX, manifests: [entry] }), INDEX);
        }
        this.#manifests.set(`${name}/${tag}`, top);
        return { reference: `${this.host}/${name}:${tag}`, id: digestOf(config) };
    }
    /** Makes `name:tag` the one image of an OCI layout; its image id. */
    async addLayout(name, tag, folder) {
        const read = (...path) => readFile(join(folder, ...path));
        const index = JSON.parse(String(await read('index.json')));
        const [top = { digest: '' }] = index.manifests;
        const manifest = await read('blobs', ...top.digest.split(':'));
        const { config, layers } = JSON.parse(String(manifest));
        for (const { digest } of [config, ...layers])
            this.#store(await read('blobs', ...digest.split(':')), 'application/octet-stream');
        this.#manifests.set(`${name}/${tag}`, this.#store(manifest, MANIFEST));
        this.#parts.set(`${name}/${tag}`, [config, ...layers]);
        return config.digest;
    }
    /** What has to be asked for to have all of an image that `addLayout` made, in the order of its letters. */
    pathsOf(name, tag) {
        const parts = this.#parts.get(`${name}/${tag}`) ?? [];
        const blobs = parts.map(({ digest }) => `/v2/${name}/blobs/${digest}`);
        return [`/v2/${name}/manifests/${tag}`, ...blobs].sort();
    }
    /** How often a layer was asked for. */
    get layerRequests() {
        return this.requests.filter((path) => this.#blobs.get(path.split('/').at(-1) ?? '')?.isLayer)
            .length;
    }
    /** Resolves at the next request for a layer, or the next time that one is broken off. */
    async next(event) {
        await once(this.#events, event);
    }
    /** Lets layers come that were `held`. */
    release() {
        this.flow = 'fast';
        this.#events.emit('release');
    }
    async stop() {
        this.#server.close();
        this.#server.closeAllConnections();
        await once(this.#server, 'close');
    }
    #store(bytes, type, isLayer = false) {
        const digest = digestOf(bytes);
        this.#blobs.set(digest, { bytes, type, isLayer });
        return digest;
    }
    #answer({ url = '' }, response) {
        if (url === '/v2/')
            return void response.end('{}');
        this.requests.push(url);
        const [, name, kind, reference = ''] = /^\/v2\/(.+)\/(manifests|blobs)\/([^/]+)$/.exec(url) ?? [];
        const digest = this.#manifests.get(`${name}/${reference}`) ?? reference;
        const blob = kind === undefined ? undefined : this.#blobs.get(digest);
        if (blob === undefined) {
            const errors = [{ code: 'MANIFEST_UNKNOWN', message: 'manifest unknown' }];
            return void response
                .writeHead(404, { 'content-type': 'application/json' })
                .end(json({ errors }));
        }
        response.writeHead(200, {
            'content-type': blob.type,
            'content-length': blob.bytes.length,
            'docker-content-digest': digest,
        });
        if (blob.isLayer)
            this.#sendLayer(blob.bytes, response);
        else
            response.end(blob.bytes);
    }
    #sendLayer(bytes, response) {
        response.on('close', () => {
            if (!response.writableFinished)
                this.#events.emit('layer-broken');
        });
        if (this.flow === 'fast')
            response.end(bytes);
        if (this.flow === 'held') {
            response.flushHeaders();
            this.#events.once('release', () => response.end(bytes));
        }
        if (this.flow === 'stalled')
            response.write(bytes.subarray(0, bytes.length / 2));
        if (this.flow === 'slow')
            sendSlowly(bytes, response);
        this.#events.emit('layer-asked');
    }
}
function sendSlowly(bytes, response) {
    const size = Math.ceil(bytes.length / SLOW_PIECES);
    let sent = 0;
    const timer = setInterval(() => {
        response.write(bytes.subarray(sent, sent + size));
        sent += size;
        if (sent < bytes.length && !response.destroyed)
            return;
        clearInterval(timer);
        response.end();
    }, SLOW_PIECE_MS);
}
function digestOf(bytes) {
    return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
const json = (value) => Buffer.from(JSON.stringify(value));
/** A tar archive of one file. */
function tarOf(name, content) {
    const head = Buffer.alloc(512);
    const octal = (value, digits) => `${value.toString(8).padStart(digits, '0')}\0`;
    head.write(name, 0);
    head.write(octal(0o644, 7), 100);
    head.write(octal(0, 7), 108);
    head.write(octal(0, 7), 116);
    head.write(octal(content.length, 11), 124);
    head.write(octal(0, 11), 136);
    head.write('        0', 148);
    head.write('ustar\x0000', 257);
    const sum = head.reduce((all, byte) => all + byte, 0);
    head.write(`${octal(sum, 6)} `, 148);
    const padding = Buffer.alloc(((512 - (content.length % 512)) % 512) + 1_024);
    return Buffer.concat([head, content, padding]);
}
//# sourceMappingURL=oci-registry.test-kit.js.map