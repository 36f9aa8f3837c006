export * from './container-labels.ts';
export * from './doctor-checks.ts';
export { type Env, type SocketCandidate, socketCandidates } from './find-socket.ts';
export * from './podman-errors.ts';
export { PodmanRuntime } from './podman-runtime.ts';
export { PodmanService, type PodmanServiceOptions, type ServiceNote } from './podman-service.ts';
