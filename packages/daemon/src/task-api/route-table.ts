import type { TaskApiRoute } from './task-api-call.ts';
import { TaskApiError } from './task-api-error.ts';

/** What of a path may stand in braces: ids and digests have nothing else. */
const SEGMENT = '([A-Za-z0-9:_-]{1,128})';

interface Entry {
  readonly route: TaskApiRoute;
  readonly shape: RegExp;
  readonly names: readonly string[];
}

export interface Match {
  readonly route: TaskApiRoute;
  readonly path: Readonly<Record<string, string>>;
}

/** Finds the route that a request means. */
export class RouteTable {
  readonly routes: readonly TaskApiRoute[];
  readonly #entries: readonly Entry[];

  constructor(routes: readonly TaskApiRoute[]) {
    this.routes = routes;
    this.#entries = routes.map((route) => ({
      route,
      shape: new RegExp(`^${route.path.replace(/\{\w+\}/g, SEGMENT)}$`),
      names: [...route.path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name),
    }));
  }

  /** Throws `not-found` or `method-not-allowed`. */
  find(method: string, path: string): Match {
    const methods: string[] = [];
    for (const { route, shape, names } of this.#entries) {
      const match = shape.exec(path);
      if (match === null) continue;
      if (route.method !== method) {
        methods.push(route.method);
        continue;
      }
      const values = names.map((name, i) => [name, match[i + 1] ?? ''] as const);
      return { route, path: Object.fromEntries(values) };
    }
    const shown = JSON.stringify(path.slice(0, 100));
    if (methods.length === 0) throw new TaskApiError('not-found', `there is no ${shown}`);
    const advice = `use ${[...new Set(methods)].join(' or ')}`;
    throw new TaskApiError('method-not-allowed', `${shown} takes no ${method}; ${advice}`);
  }
}
