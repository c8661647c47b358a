import type { Plan } from "./events.ts";
import { refuse } from "./planning.ts";
import type { TenantRecord } from "./record.ts";
import type { FileNote } from "./requests.ts";
import type { TenantState } from "./vocabulary.ts";

const ACTIONS = {
  write: "tenant.file_written",
  delete: "tenant.file_deleted",
  batch: "tenant.files_changed",
} as const satisfies Record<FileNote["kind"], string>;

const STARTING: readonly TenantState[] = ["claiming", "waking", "recovering"];
const LEAVING: readonly TenantState[] = ["saving", "sleeping", "releasing", "destroying"];

/** Files of a tenant's container are about to be changed: recorded before it happens, since what nobody recorded does not happen. Pure. */
export function noteFiles(record: TenantRecord, note: FileNote, now: number): Plan {
  const { held, state } = record;
  if (state !== "active" || !held) return notWritable(record);
  const { kind, paths } = note;
  return {
    kind: "go",
    record: {
      ...record,
      unsavedSince: held.hasState ? (record.unsavedSince ?? now) : record.unsavedSince,
      lastActivityAt: Math.max(record.lastActivityAt ?? 0, now),
    },
    steps: [],
    journal: [{ type: ACTIONS[kind], detail: kind === "batch" ? { paths } : { path: paths[0] ?? "" } }],
  };
}

/** Why files cannot be changed now. */
function notWritable({ state, operation }: TenantRecord): Plan {
  if (STARTING.includes(state)) return refuse("starting", `The tenant is ${state}; its container is not there yet.`);
  if (LEAVING.includes(state)) {
    return refuse("operation_in_progress", `The tenant is ${state}; its files are not changed now.`, {
      ...(operation ? { operation: operation.id } : {}),
    });
  }
  return refuse("not_running", `The tenant is ${state}; files are written where a container runs.`, { state });
}
