import { randomBytes } from 'node:crypto';
import {
  credentialsText,
  fingerprintOf,
  type JoinAnswer,
  type JoinLine,
  type JoinRequest,
  joinerKey,
  joinerTokenIn,
  MeshFolder,
  NatsKey,
  newRequest,
  openWelcome,
  parseJoinLine,
  type Role,
  type Welcome,
} from '@podmesh/authority';
import {
  askToJoin,
  NoJoinAnswerError,
  NoServerChainError,
  readServerChain,
} from '@podmesh/jetstream';
import { CliError } from '../cli-error.ts';
import { answerOf, otherAuthority, refusedJoin, unreachable, wrongLine } from './join-refusals.ts';

export interface Newcomer {
  /** `PODMESH_HOME/mesh`. */
  readonly folder: string;
  /** As its owner calls it; absent: whatever is free of the suggestion. */
  readonly name: string | undefined;
  readonly suggestion: string;
  /** Of this machine, as others reach it. */
  readonly addresses: readonly string[];
}

/** A server that has shown the authority of the line. */
interface FoundServer {
  readonly server: string;
  /** PEM. */
  readonly ca: string;
}

const GREETING_MS = 8_000;
const CA_ROLES = ['peer', 'user', 'anchor', 'system'] as const;

/**
 * Makes this home a member of the line's mesh: looks whether a server proves to be of it, asks with public keys, and
 * writes down what came back. Throws a `CliError` with a sentence of its own for each thing that can be wrong.
 */
export async function joinMesh(text: string, newcomer: Newcomer): Promise<Welcome> {
  const line = parseJoinLine(text);
  if ('kind' in line) throw wrongLine(line);
  const found = await findServer(line);
  const keys = newKeys();
  const made = await newRequest(newcomer.suggestion);
  const server = await newRequest(newcomer.suggestion);
  const request: JoinRequest = {
    version: 1,
    secret: line.invitationSecret.toString('base64url'),
    ...(newcomer.name === undefined ? {} : { name: newcomer.name }),
    suggestion: newcomer.suggestion,
    keys: publicTexts(keys),
    certificateRequest: made.request,
    serverRequest: server.request,
    addresses: newcomer.addresses,
    nonce: randomBytes(16).toString('base64url'),
  };
  const answer = await ask(line, found, request);
  if (answer.kind === 'refused') throw refusedJoin(answer.why, answer.message);
  const welcome = openWelcome(answer.sealed, request);
  if (welcome === undefined) throw otherAuthority(found.server);
  await writeDown(welcome, {
    folder: new MeshFolder(newcomer.folder),
    keys,
    key: made.key,
    serverKey: server.key,
    servers: unique([found.server, ...welcome.servers, ...line.servers]),
  });
  return welcome;
}

/** All addresses of the line at once; the first in its order that proves to be of the mesh. */
async function findServer(line: JoinLine): Promise<FoundServer> {
  const tried = await Promise.all(line.servers.map((server) => look(server, line.fingerprint)));
  const found = tried.find((one) => 'ca' in one);
  if (found !== undefined && 'ca' in found) return found;
  const strange = tried.find((one) => 'strange' in one);
  if (strange !== undefined) throw otherAuthority(strange.server);
  throw unreachable(tried.map(({ server }) => server));
}

async function look(
  server: string,
  fingerprint: Buffer,
): Promise<FoundServer | { readonly server: string; readonly strange?: true }> {
  try {
    const chain = await readServerChain(server, GREETING_MS);
    const ca = chain.find((certificate) => fingerprintOf(certificate).equals(fingerprint));
    return ca === undefined ? { server, strange: true } : { server, ca };
  } catch (error) {
    if (!(error instanceof NoServerChainError)) throw error;
    return error.kind === 'no-mesh' ? { server, strange: true } : { server };
  }
}

async function ask(
  line: JoinLine,
  { server, ca }: FoundServer,
  request: JoinRequest,
): Promise<JoinAnswer> {
  const token = await joinerTokenIn(ca);
  if (token === undefined) throw otherAuthority(server);
  const credentials = credentialsText(token, joinerKey(line.joinerSecret));
  try {
    const question = {
      server,
      ca,
      credentials,
      request: Buffer.from(JSON.stringify(request)),
    };
    // An answer may be lost on its way. With the same keys the line is not used a second time.
    const again = (error: unknown): Promise<Uint8Array> => {
      if (error instanceof NoJoinAnswerError && error.kind === 'nobody') return askToJoin(question);
      throw error;
    };
    return answerOf(await askToJoin(question).catch(again));
  } catch (error) {
    if (!(error instanceof NoJoinAnswerError)) throw error;
    const advice =
      error.kind === 'nobody'
        ? 'Start podmesh on the machine that made the mesh, and try the same line again.'
        : 'Ask for a new line: podmesh invite';
    throw new CliError('no-mesh', error.message, { advice, cause: error });
  }
}

type Keys = Readonly<Record<(typeof CA_ROLES)[number], NatsKey>>;

const newKeys = (): Keys =>
  Object.fromEntries(CA_ROLES.map((role) => [role, NatsKey.create('user')])) as Keys;

const publicTexts = (keys: Keys): JoinRequest['keys'] => ({
  peer: keys.peer.publicText,
  user: keys.user.publicText,
  anchor: keys.anchor.publicText,
  system: keys.system.publicText,
});

interface Belongings {
  readonly folder: MeshFolder;
  readonly keys: Keys;
  /** PEM, of its certificate and of its server's. */
  readonly key: string;
  readonly serverKey: string;
  readonly servers: readonly string[];
}

/** The place comes last: whoever finds it finds all the rest. */
async function writeDown(welcome: Welcome, belongings: Belongings): Promise<void> {
  const { folder, keys, key, serverKey, servers } = belongings;
  const { mesh, name, tokens, ca, certificate, taskSigning, serverCertificate } = welcome;
  for (const role of CA_ROLES) {
    const token = tokens[role];
    if (token === undefined) continue;
    await folder.setCredentials(role satisfies Role, credentialsText(token, keys[role]));
  }
  if (taskSigning !== undefined) await folder.setTaskSigning(taskSigning);
  if (serverCertificate !== undefined)
    await folder.setServerCertificate({ certificate: serverCertificate, key: serverKey });
  await folder.setCertificates({ ca, certificate, key });
  await folder.setPlace({ mesh, member: name, servers });
}

const unique = (texts: readonly string[]): readonly string[] => [...new Set(texts)];
