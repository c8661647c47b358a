import { stopwatch } from "../durable/stopwatch.ts";
import { done, failed, type Outcome } from "../outcome.ts";
import type { GenerationSummary } from "../vault/types.ts";
import { claimTar } from "./claim-tar.ts";
import type { Inside } from "./inside.ts";
import { type Ended, workloadReady } from "./start.ts";
import type { Assigned, Assignment, Fetched, SpecRun } from "./types.ts";

/**
 * Makes a warm container a tenant's: storage fenced, state restored and verified, config, environment and secrets
 * delivered, workload ready. It talks to the container only about what there is to deliver.
 */
export async function provision(
  inside: Inside,
  assignment: Assignment,
  gatewayToken: string | undefined,
  storage: {
    open: () => Promise<Outcome<{ head: GenerationSummary | null }>>;
    fetch: (runs: SpecRun[]) => Promise<Outcome<Fetched[]>>;
    ended: Ended;
  },
): Promise<Outcome<Assigned>> {
  const { workload } = inside.boot.plan;
  const timings: Record<string, number> = {};
  const lap = stopwatch();
  let head: GenerationSummary | null = null;
  if (workload.volumes.state) {
    const fenced = await storage.open();
    if (!fenced.ok) return fenced;
    head = fenced.value.head;
    if (head === null && assignment.saved !== undefined && !assignment.fresh) {
      return failed("state_missing", `The vault has nothing, and generation ${assignment.saved} was saved.`);
    }
    timings.fence = lap();
  }
  const specs = assignment.fresh ? [] : (assignment.specs ?? []);
  const starts = workload.start === "on-claim";
  const hasEnvironment = Object.keys(assignment.environment).length > 0;
  const delivers =
    starts ||
    workload.volumes.state ||
    hasEnvironment ||
    assignment.config !== undefined ||
    assignment.secrets ||
    gatewayToken !== undefined ||
    specs.length > 0;
  if (!delivers) return done({ restored: null, timings });
  const gateway = gatewayToken === undefined || !assignment.gateway ? {} : { gateway: assignment.gateway };

  const parcel = {
    ...(assignment.config === undefined ? {} : { config: assignment.config }),
    ...(hasEnvironment ? { environment: assignment.environment } : {}),
    ...(assignment.secrets ? { secrets: assignment.secrets } : {}),
    ...(gatewayToken === undefined ? {} : { gatewayToken }),
  };
  const restored = assignment.fresh ? null : head;
  const state = workload.volumes.state && (restored ? { restore: bundleOf(restored) } : ("fresh" as const));
  const held = starts && specs.length > 0;
  const tar = claimTar({ ...parcel, ...(held ? { hold: true as const } : {}), ...(state ? { state } : {}) });
  const claimed = await inside.control.claim(assignment.epoch, tar, assignment.restoreTimeoutMs);
  if (!claimed.ok) return claimed;
  timings.deliver = lap();
  if (restored) timings.restore = claimed.value.timings.restoreMs + claimed.value.timings.verifyMs;
  let fetched: Fetched[] | undefined;
  if (specs.length > 0) {
    const came = await storage.fetch(specs);
    if (!came.ok) return came;
    fetched = came.value;
    timings.sync = lap();
    const started = held ? await inside.control.start() : done(null);
    if (!started.ok) return started;
  }
  if (starts || hasEnvironment) {
    const ready = await workloadReady(inside, assignment.startTimeoutMs, storage.ended);
    if (!ready.ok) return ready;
    timings.ready = lap();
  }
  return done({ restored, timings, ...gateway, ...(fetched ? { fetched } : {}) });
}

const bundleOf = ({ generation, files, bytes }: GenerationSummary) => ({
  path: `.bundle/${generation}.tar`,
  files,
  bytes,
});
