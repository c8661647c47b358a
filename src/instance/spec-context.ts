import { done, type Failure, failed, type Outcome } from "../outcome.ts";
import type { RcCall } from "../sync/options.ts";
import { extraFlags } from "../sync/rclone-flags.ts";
import type { Leg } from "../sync/run.ts";
import { listCall, type Transfer } from "../sync/transfer.ts";
import type { Size, VaultApi } from "../vault/types.ts";
import type { ListedFile, SyncStats } from "./agent.ts";
import type { Inside } from "./inside.ts";
import type { SpecRun } from "./types.ts";

/** What the legs of a run share: where they are, and what is on either side. */

/** How a run remembers what it has begun, and tells what it is at. */
export interface Steps {
  /** Runs a job to its end; one of this name that runs already is waited for instead. */
  job(name: string, call: RcCall, deadlineAt: number): Promise<Outcome<SyncStats>>;
  /** The run was cancelled: nothing further begins. */
  readonly cancelled: boolean;
}

export interface RunContext {
  inside: Inside;
  steps: Steps;
  /** This container has what the sink had. */
  restored: boolean;
  /** ms since 1970. */
  deadlineAt: number;
  /** The spec's own vault; null where its sink is another. */
  vault: VaultApi | null;
}

export const cancelled = (): { ok: false; failure: Failure } =>
  failed("operation_interrupted", "The sync was cancelled.", { extra: { cancelled: true } });

export const left = ({ deadlineAt }: RunContext): number => Math.max(1, deadlineAt - Date.now());

export function transferOf({ spec }: SpecRun, { mapping, place }: Leg): Transfer {
  const extra = extraFlags(spec.sink.type === "s3" ? spec.sink.rcloneFlags : []);
  const backend = spec.sink.type === "s3" ? "s3" : "vault";
  return { mapping, sink: { specId: spec.id, prefix: place.prefix, backend }, extra };
}

/** What the container has of a mapping. The directory is there afterwards. */
export async function listHere(leg: Leg, transfer: Transfer, context: RunContext): Promise<Outcome<ListedFile[]>> {
  const { control, agent } = context.inside;
  const directory = await control.directory(leg.mapping.containerPath);
  if (!directory.ok) return directory;
  const listed = await agent.list(listCall(transfer, { directory: leg.mapping.containerPath }), left(context));
  return listed.ok ? sorted(listed.value) : listed;
}

export async function listThere(transfer: Transfer, context: RunContext): Promise<Outcome<ListedFile[]>> {
  const listed = await context.inside.agent.list(listCall(transfer, "sink"), left(context));
  return listed.ok ? sorted(listed.value) : listed;
}

const sorted = (files: ListedFile[]): Outcome<ListedFile[]> => done(files.sort((a, b) => (a.path < b.path ? -1 : 1)));

export const sizeOf = (files: readonly ListedFile[]): Size => ({
  files: files.length,
  bytes: files.reduce((sum, { size }) => sum + size, 0),
});
