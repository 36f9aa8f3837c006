import type { CommandShape, OptionShape } from './command-shape.ts';

/** Of every command that leads to containers. */
export const ALLOW_ROOT: OptionShape = {
  kind: 'flag',
  help: 'run containers as root anyway (not what podmesh is made for)',
};

/** The commands that are about this machine's own daemon. */
export const UP: CommandShape = {
  name: 'up',
  summary: 'make this machine a peer of the mesh',
  operands: [],
  options: {
    detach: { kind: 'flag', short: 'd', help: 'go to the background once the peer is ready' },
    name: { kind: 'text', value: 'PEER', help: "the peer's name (default: made once and kept)" },
    cores: { kind: 'text', value: 'N', help: 'cores it offers (default: all)' },
    memory: {
      kind: 'text',
      value: 'SIZE',
      help: 'memory it offers, such as 8GiB (default: 80% of what is there)',
    },
    disk: { kind: 'text', value: 'SIZE', help: 'disk space it offers, such as 50GiB' },
    runtime: {
      kind: 'text',
      value: 'WAY',
      help: 'how it runs containers: auto, podman or crun (default: auto)',
    },
    serve: {
      kind: 'text',
      value: 'ADDR[:PORT]',
      help: 'where other peers fetch artifacts from it, or none (default: where it reaches the mesh)',
    },
    join: {
      kind: 'text',
      value: 'LINE',
      help: 'first join the mesh that the line invites to (-: standard input)',
    },
    listen: {
      kind: 'text',
      value: 'ADDR[:PORT]',
      help: 'where its server lets others in, such as 0.0.0.0; kept (default: 127.0.0.1)',
    },
    'no-discovery': {
      kind: 'flag',
      help: 'do not tell the local network (mDNS) that there is a mesh',
    },
    'auto-anchors': {
      kind: 'flag',
      help: 'where the keys of the mesh are: make the steadiest machines anchors unasked, no laptops',
    },
    'registry-port': {
      kind: 'text',
      value: 'PORT',
      help: 'where programs of this machine push and pull images, 0: nowhere (default: 5055)',
    },
    mirror: {
      kind: 'texts',
      value: 'HOST[=AS]',
      help: 'a registry to ask, once for all peers, for images the mesh lacks; repeatable',
    },
    'metrics-port': {
      kind: 'text',
      value: 'PORT',
      help: 'where Prometheus on this machine reads its metrics, by custom 5056 (default: nowhere)',
    },
    grace: {
      kind: 'text',
      value: 'TIME',
      help: 'what runs when it is told to stop has so long to end by itself (default: 10s)',
    },
    'exit-when-idle': {
      kind: 'text',
      value: 'TIME',
      help: 'drain and end when it had nothing to do for so long, such as 15m (default: never)',
    },
    cloud: {
      kind: 'text',
      value: 'NAME',
      help: 'drain when this cloud takes the machine away: auto, aws, gcp or azure (default: none)',
    },
    label: { kind: 'texts', value: 'K=V', help: 'a label that tasks may ask for; may be repeated' },
    'allow-root': ALLOW_ROOT,
  },
  details: [
    'Runs the daemon in the foreground; Ctrl-C stops it. On a machine that joined a mesh it is a peer of that;',
    'elsewhere it makes a mesh of its own, or with --nats takes part in the one at that address.',
    '--label role=store makes it the first to be asked for copies of what others make. Images that are',
    'pushed to its registry',
    '(podman push localhost:5055/me/tool:1; on loopback, for everybody on this machine) can be run by all',
    'peers: "container": "mesh/me/tool:1". With --mirror docker.io an image such as docker.io/library/debian:13 comes',
    'through the mesh: one peer fetches it, as mesh/docker.io/library/debian:13 (quay.io=AS: mesh/AS/…), others from it.',
    'It stays what it was until its tag is removed from the mesh. Without --mirror nobody asks another registry for the mesh.',
  ],
  examples: [
    'podmesh up --detach',
    'podmesh up --detach --listen 0.0.0.0    # and then: podmesh invite',
    'podmesh up --join LINE --label disk=ssd',
  ],
};

export const DOWN: CommandShape = {
  name: 'down',
  summary: 'stop the daemon of this machine',
  operands: [],
  options: {},
  details: [
    'Asks the daemon of PODMESH_HOME to stop, waits until it is gone, and clears away what a killed one',
    'left behind. What runs has the --grace of "podmesh up" to end, and is then given back without using up',
    'attempts; outputs of unfinished runs that only it has go to other peers first, for 30 s at most. To',
    'give it more time: podmesh drain && podmesh down. A second signal to the daemon ends it at once.',
  ],
  examples: ['podmesh down'],
};

export const PEERS: CommandShape = {
  name: 'peers',
  summary: 'list the peers of the mesh and what they offer',
  operands: [],
  options: {},
  details: [],
  examples: ['podmesh peers', 'podmesh peers --json'],
};

export const DOCTOR: CommandShape = {
  name: 'doctor',
  summary: 'check what rootless Podman and the mesh need, with repairs',
  operands: [],
  options: {},
  details: ['Exits with 1 when something is wrong.'],
  examples: ['podmesh doctor'],
};

export const COMPLETION: CommandShape = {
  name: 'completion',
  summary: 'print a completion script for bash, zsh or fish',
  operands: [{ name: 'bash|zsh|fish', kind: 'shell' }],
  options: {},
  details: [],
  examples: [
    'eval "$(podmesh completion bash)"',
    'podmesh completion fish > ~/.config/fish/completions/podmesh.fish',
  ],
};

export const HELP: CommandShape = {
  name: 'help',
  summary: 'list the commands, or explain one',
  operands: [{ name: 'COMMAND', kind: 'command', optional: true }],
  options: {},
  details: [],
  examples: ['podmesh help run'],
};

export const RUN: CommandShape = {
  name: 'run',
  summary: 'publish a document of jobs and follow the run',
  operands: [{ name: 'FILE', kind: 'file' }],
  options: {
    detach: { kind: 'flag', short: 'd', help: 'print the run id and return' },
    'allow-root': ALLOW_ROOT,
  },
  details: [
    'FILE is JSON or YAML; - is standard input. Local inputs (file:PATH) and Python programs ("job":',
    '{"python": PATH}, a zip file or directory with main.py) are uploaded, relative to the document.',
    'Nothing is started when anything is wrong with it. Ctrl-C detaches with exit code 130: the run goes',
    'on. Without a daemon on this machine a temporary peer is started; it leaves when all is done, or when',
    'only a person can make things go on: then the command ends with exit code 4, and the run stays.',
    'With --json: one JSON object per line, the last one with the result record.',
  ],
  examples: ['podmesh run pipeline.yaml', 'podmesh run - --detach < pipeline.json'],
};
