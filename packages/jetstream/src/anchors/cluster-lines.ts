/** The place of a server among others. */
export interface ClusterPlace {
  /** Of all its servers the same. */
  readonly cluster: string;
  /** `host:port` where the other servers connect. */
  readonly listen: string;
  /** Where they are told to connect, if that is elsewhere for them. */
  readonly advertise?: string;
  /** Routes of all anchors, its own among them: the first election waits for a majority of exactly these. */
  readonly routes: readonly string[];
  /** Shared by its servers: a certificate of the mesh has every member, and only anchors know this. */
  readonly secret?: string;
  /** Both sides show a certificate of the mesh; absent in a mesh without certificates. */
  readonly tls?: {
    readonly certificateFile: string;
    readonly keyFile: string;
    readonly caFile: string;
  };
}

/** The `cluster` part of a server's configuration. */
export function clusterLines(place: ClusterPlace): readonly string[] {
  const { cluster, listen, advertise, routes, tls, secret } = place;
  const login = secret === undefined ? '' : `route:${secret}@`;
  const urls = routes.map((route) => JSON.stringify(`nats-route://${login}${route}`));
  return [
    'cluster {',
    `  name: ${JSON.stringify(cluster)}`,
    `  listen: ${JSON.stringify(listen)}`,
    ...(advertise === undefined ? [] : [`  cluster_advertise: ${JSON.stringify(advertise)}`]),
    `  routes: [${urls.join(', ')}]`,
    '  connect_backoff: true',
    ...(secret === undefined
      ? []
      : [`  authorization { user: route, password: ${JSON.stringify(secret)} }`]),
    ...(tls === undefined
      ? []
      : [
          '  tls {',
          `    cert_file: ${JSON.stringify(tls.certificateFile)}`,
          `    key_file: ${JSON.stringify(tls.keyFile)}`,
          `    ca_file: ${JSON.stringify(tls.caFile)}`,
          '    verify: true',
          '    timeout: 5',
          '  }',
        ]),
    '}',
  ];
}
