/** Directions between packages (DESIGN §11): core ← {authority, jetstream, podman, registry, stores, testkit, transfer} ← {daemon, sdk ← cli}. */
const npm = (name) => `node_modules/${name}`;

module.exports = {
  forbidden: [
    {
      name: 'core-is-pure',
      comment: 'core imports ajv and nothing else: no IO, no clock, no randomness',
      severity: 'error',
      from: { path: '^packages/core/src', pathNot: '\\.test(-kit)?\\.ts$' },
      to: { pathNot: ['^packages/core/src', npm('ajv')] },
    },
    {
      name: 'adapters-know-only-core',
      comment: 'adapters never import each other',
      severity: 'error',
      from: {
        path: '^packages/(authority|jetstream|podman|registry|stores|testkit|transfer)/src',
        pathNot: '\\.test(-kit)?\\.ts$',
      },
      to: { path: '^packages/', pathNot: ['^packages/core/', '^packages/$1/'] },
    },
    {
      name: 'cli-reaches-a-mesh-like-anybody',
      comment: 'the command line uses core and the public client only',
      severity: 'error',
      from: { path: '^packages/cli/src', pathNot: '\\.test(-kit)?\\.ts$' },
      to: { path: '^packages/', pathNot: '^packages/(authority|core|jetstream|sdk|cli)/' },
    },
    {
      name: 'sdk-reaches-a-mesh-like-anybody',
      comment: 'what a program of somebody else gets: core and the public client only',
      severity: 'error',
      from: { path: '^packages/sdk/src', pathNot: '\\.test(-kit)?\\.ts$' },
      to: { path: '^packages/', pathNot: '^packages/(authority|core|jetstream|sdk|transfer)/' },
    },
    {
      name: 'daemon-does-not-know-the-cli',
      severity: 'error',
      from: { path: '^packages/daemon/src', pathNot: '\\.test(-kit)?\\.ts$' },
      to: { path: '^packages/(cli|sdk|testkit)/' },
    },
    {
      name: 'one-package-knows-nats',
      severity: 'error',
      from: { path: '^(packages|test)/', pathNot: '^packages/jetstream/' },
      to: { path: npm('@nats-io/'), pathNot: npm('@nats-io/(jwt|nkeys)/') },
    },
    {
      name: 'one-package-makes-credentials',
      severity: 'error',
      from: { path: '^(packages|test)/', pathNot: '^packages/authority/' },
      to: { path: npm('@nats-io/(jwt|nkeys)/') },
    },
    {
      name: 'one-package-knows-dockerode',
      severity: 'error',
      from: { path: '^(packages|test)/', pathNot: '^packages/podman/' },
      to: { path: npm('dockerode') },
    },
    {
      name: 'one-package-knows-s3',
      severity: 'error',
      from: { path: '^(packages|test)/', pathNot: '^packages/stores/' },
      to: { path: npm('@aws-sdk/') },
    },
    {
      name: 'no-cycles',
      comment: 'types may know each other; at run time nothing does',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: ['/dist/', '^node_modules/.cache'] },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['source', 'import', 'node', 'default', 'types'],
      extensions: ['.ts', '.js', '.json'],
    },
  },
};
