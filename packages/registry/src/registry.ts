import type { IncomingMessage, ServerResponse } from 'node:http';
import { PortError, unreachable } from '@podmesh/core';
import { sendBlob } from './blob-endpoint.ts';
import { Exchange } from './exchange.ts';
import { guardLocal } from './guard-local.ts';
import { listReferrers, listTags } from './listings.ts';
import { ManifestEndpoint } from './manifest-endpoint.ts';
import { knownError, RegistryError } from './registry-error.ts';
import type { RegistryParts } from './registry-parts.ts';
import { parseRoute, type Route } from './route.ts';
import { UploadEndpoint } from './upload-endpoint.ts';
import { UploadSessions } from './upload-sessions.ts';

/** The OCI distribution API, version 1.1, over the images of a mesh. */
export class Registry {
  readonly sessions: UploadSessions;
  readonly #parts: RegistryParts;
  readonly #uploads: UploadEndpoint;
  readonly #manifests: ManifestEndpoint;

  constructor(parts: RegistryParts) {
    this.#parts = parts;
    this.sessions = new UploadSessions(parts);
    this.#uploads = new UploadEndpoint(parts, this.sessions);
    this.#manifests = new ManifestEndpoint(parts);
  }

  /** Never throws: what goes wrong is the answer. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const exchange = new Exchange(request, response);
    try {
      guardLocal(request.headers);
      await this.#answer(parseRoute(exchange.path, exchange.method), exchange);
    } catch (error) {
      await exchange.fail(this.#errorFor(error, exchange));
    }
  }

  #errorFor(error: unknown, exchange: Exchange): RegistryError {
    const known = knownError(error);
    if (known !== undefined) return known;
    // Without anybody to be told nothing is wrong here.
    if (!exchange.isGone)
      this.#parts.onTrouble(`${exchange.method} ${exchange.path.slice(0, 300)}`, error);
    const message = error instanceof Error ? error.message : String(error);
    const status = error instanceof PortError && error.retryable ? 503 : 500;
    return new RegistryError(status, 'UNAVAILABLE', message);
  }

  #answer(route: Route, exchange: Exchange): Promise<void> | void {
    const { method } = exchange;
    const isRead = method === 'GET' || method === 'HEAD';
    switch (route.kind) {
      case 'base':
        return isRead ? exchange.json(200, {}) : refuseMethod(exchange);
      case 'uploads':
        if (method === 'POST') return this.#uploads.begin(route.repository, exchange);
        return refuseMethod(exchange);
      case 'upload':
        return this.#answerUpload(route, exchange);
      case 'blob':
        return isRead ? sendBlob(this.#parts, route.digest, exchange) : refuseMethod(exchange);
      case 'manifest':
        return this.#answerManifest(route, exchange);
      case 'tags':
        return isRead ? listTags(this.#parts, route.repository, exchange) : refuseMethod(exchange);
      case 'referrers':
        return isRead ? listReferrers(this.#parts, route, exchange) : refuseMethod(exchange);
      default:
        return unreachable(route);
    }
  }

  #answerUpload(
    route: Extract<Route, { kind: 'upload' }>,
    exchange: Exchange,
  ): Promise<void> | void {
    switch (exchange.method) {
      case 'PATCH':
        return this.#uploads.append(route, exchange);
      case 'PUT':
        return this.#uploads.close(route, exchange);
      case 'GET':
        return this.#uploads.status(route, exchange);
      case 'DELETE':
        return this.#uploads.cancel(route, exchange);
      default:
        return refuseMethod(exchange);
    }
  }

  #answerManifest(
    { repository, reference }: Extract<Route, { kind: 'manifest' }>,
    exchange: Exchange,
  ): Promise<void> | void {
    switch (exchange.method) {
      case 'GET':
      case 'HEAD':
        return this.#manifests.send(repository, reference, exchange);
      case 'PUT':
        return this.#manifests.accept(repository, reference, exchange);
      case 'DELETE':
        return this.#manifests.remove(repository, reference, exchange);
      default:
        return refuseMethod(exchange);
    }
  }
}

/** Blobs too: another image, or a run, may have the same bytes. They go by themselves when room is needed. */
function refuseMethod({ method }: Exchange): never {
  const message = `${method.slice(0, 20)} is not supported here`;
  throw new RegistryError(405, 'UNSUPPORTED', message);
}
