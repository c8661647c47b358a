import { stopwatch } from "../durable/stopwatch.ts";
import { done, type Outcome } from "../outcome.ts";
import type { GenerationSummary } from "../vault/types.ts";
import { type ClaimParcel, claimTar } from "./claim-tar.ts";
import type { Inside } from "./inside.ts";
import { answers, until } from "./readiness.ts";
import type { Assigned, Assignment } from "./types.ts";

/**
 * Makes a warm container a tenant's: storage fenced, state restored and verified, config, environment and secrets
 * delivered, workload ready. It talks to the container only about what there is to deliver.
 */
export async function provision(
  inside: Inside,
  assignment: Assignment,
  openStorage: () => Promise<Outcome<{ head: GenerationSummary | null }>>,
): Promise<Outcome<Assigned>> {
  const { workload } = inside.boot.plan;
  const timings: Record<string, number> = {};
  const lap = stopwatch();
  let head: GenerationSummary | null = null;
  if (workload.volumes.state) {
    const fenced = await openStorage();
    if (!fenced.ok) return fenced;
    head = fenced.value.head;
    timings.fence = lap();
  }
  const starts = workload.start === "on-claim";
  const hasEnvironment = Object.keys(assignment.environment).length > 0;
  const delivers =
    starts || workload.volumes.state || hasEnvironment || assignment.config !== undefined || assignment.secrets;
  if (!delivers) return done({ restored: null, timings });

  const parcel = {
    ...(assignment.config === undefined ? {} : { config: assignment.config }),
    ...(hasEnvironment ? { environment: assignment.environment } : {}),
    ...(assignment.secrets ? { secrets: assignment.secrets } : {}),
  };
  const claim = (state?: ClaimParcel["state"]) =>
    inside.control.claim(
      assignment.epoch,
      claimTar({ ...parcel, ...(state ? { state } : {}) }),
      assignment.restoreTimeoutMs,
    );
  let restored = head;
  let claimed = await claim(workload.volumes.state && (head ? { restore: bundleOf(head) } : "fresh"));
  if (!claimed.ok && claimed.failure.code === "restore_failed" && assignment.allowFresh) {
    restored = null; // an admin said so; the guard still protects what is saved
    claimed = await claim("fresh");
  }
  if (!claimed.ok) return claimed;
  timings.deliver = lap();
  if (restored) timings.restore = claimed.value.timings.restoreMs + claimed.value.timings.verifyMs;
  if (starts || hasEnvironment) {
    const { runtime } = inside;
    const ready = await until(runtime, "ready", assignment.startTimeoutMs, () =>
      answers(runtime, workload.port, workload.readiness?.path),
    );
    if (!ready.ok) return ready;
    timings.ready = lap();
  }
  return done({ restored, timings });
}

const bundleOf = ({ generation, files, bytes }: GenerationSummary) => ({
  path: `.bundle/${generation}.tar`,
  files,
  bytes,
});
