export { NotAMemberError } from '@podmesh/authority';
export { type AnchorsOfMesh, type Client, type MeshReach, REACH_TEXTS } from './client.ts';
export { connectClient } from './connect-client.ts';
export { followRun, type RunListener } from './follow-run.ts';
export {
  type LoadedRun,
  type LoggedRun,
  loadRun,
  type RecordedRun,
  toHeader,
  toRecord,
} from './load-run.ts';
export { NoSuchRunError } from './no-such-run-error.ts';
export { DocumentError, type OnFact, Podmesh, RunHandle } from './podmesh.ts';
export { newRunId, type PublishedRun, publishGraph } from './publish-graph.ts';
export { NoPeerForSecretsError, readSecrets, sealSecrets } from './publisher-secrets.ts';
export { readWhole } from './read-whole.ts';
export { SubTask, SubTaskFailedError, type SubTaskView } from './task/sub-task.ts';
export { PeerAwayError, TaskRefusedError } from './task/task-api-request.ts';
export {
  type Me,
  type MeshCapacity,
  TaskClient,
  type TaskClientOptions,
} from './task/task-client.ts';
