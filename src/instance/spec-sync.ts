import { createHash } from "node:crypto";
import { done, type Failure, failed, type Outcome } from "../outcome.ts";
import { stampOf } from "../sync/places.ts";
import { extraFlags } from "../sync/rclone-flags.ts";
import { allowedDeletes, guardTrips, type Leg, legsOf } from "../sync/run.ts";
import { downloadCall, type Transfer, uploadCall } from "../sync/transfer.ts";
import type { ListedFile } from "./agent.ts";
import type { Inside } from "./inside.ts";
import { cancelled, left, listHere, listThere, type RunContext, sizeOf, transferOf } from "./spec-context.ts";
import { saveLegs } from "./spec-vault.ts";
import type { SpecRan, SpecRun } from "./types.ts";

/**
 * One run of a sync spec between a container and its sink, leg after leg. What it asks of rclone are jobs with names that
 * outlive this object's memory (`Steps`); what it does beside them changes nothing when it is done again.
 */

/** Where the agent puts what it fetches; the workload's user cannot look into it (docs/container.md). */
const INCOMING = "/run/boilerhouse/private/incoming";
const AGENT_PATIENCE_MS = 15_000;

interface Totals {
  files: number;
  bytes: number;
  deleted: number;
}

/**
 * What the legs of a run come to; a leg that fails ends it. A rate is the agent's, not a job's: each run sets its own, so
 * that what one before it left is over, and takes it away.
 */
export async function runLegs(run: SpecRun, context: RunContext): Promise<Outcome<SpecRan>> {
  const ready = await agentReady(context);
  if (!ready.ok) return ready;
  const { sink } = run.spec;
  const rate = sink.type === "s3" ? extraFlags(sink.rcloneFlags).rate : null;
  const { agent } = context.inside;
  const limited = await agent.limit(rate ?? "off");
  if (!limited.ok) return limited;
  const ran = await perform(run, context);
  if (rate !== null) await agent.limit("off"); // a container that does not answer needs no rate
  return ran;
}

async function perform(run: SpecRun, context: RunContext): Promise<Outcome<SpecRan>> {
  const legs = legsOf(run.spec, run.tenantId, run.why, run.way, context.restored);
  const forbidden = legs.find(({ mapping }) => isForbidden(context.inside, mapping.containerPath));
  if (forbidden) {
    return failed("forbidden", `${forbidden.mapping.containerPath} is where the workload's secrets are.`);
  }
  const outward = await listOutward(run, legs, context);
  if (!outward.ok) return outward;
  const { lists, fingerprint } = outward.value;
  const totals: Totals = { files: 0, bytes: 0, deleted: 0 };
  if (run.unless !== undefined && run.unless === fingerprint) return done({ ...totals, unchanged: true, fingerprint });
  const { vault } = context;
  for (const [number, leg] of legs.entries()) {
    if (context.steps.cancelled) return cancelled();
    const here = lists.get(leg);
    if (here && vault) continue;
    const outcome = here ? await up(run, leg, number, here, context) : await down(run, leg, number, context);
    if (!outcome.ok) return labelled(outcome.failure, leg);
    totals.files += outcome.value.files;
    totals.bytes += outcome.value.bytes;
    totals.deleted += outcome.value.deleted;
  }
  if (!vault || lists.size === 0) return done({ ...totals, unchanged: false, fingerprint });
  const list = async () => {
    const again = await listOutward(run, legs, context);
    return again.ok ? done(again.value.lists) : again;
  };
  const saved = await saveLegs(run, vault, list, lists, context);
  if (!saved.ok) return saved;
  const { generation, files, bytes } = saved.value;
  return done({ files, bytes, deleted: 0, unchanged: false, fingerprint, generation });
}

/** A container that was started without an agent gets one now. */
async function agentReady({ inside, deadlineAt }: RunContext): Promise<Outcome<unknown>> {
  if (inside.boot.plan.workload.volumes.state === undefined) {
    const asked = await inside.control.agent();
    if (!asked.ok) return asked;
  }
  const until = Math.min(deadlineAt, Date.now() + AGENT_PATIENCE_MS);
  for (;;) {
    const version = await inside.agent.version();
    if (version.ok || Date.now() >= until || !inside.runtime.running) return version;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Secrets never leave: not as files of a mapping either. */
function isForbidden({ boot }: Inside, path: string): boolean {
  const secrets = boot.plan.workload.volumes.secrets?.containerPath ?? "/run/secrets";
  return `${secrets}/`.startsWith(`${path}/`) || `${path}/`.startsWith(`${secrets}/`);
}

interface Outward {
  lists: ReadonlyMap<Leg, ListedFile[]>;
  /** Names what they hold (paths, sizes, mod-times); null where nothing goes out. */
  fingerprint: string | null;
}

async function listOutward(run: SpecRun, legs: readonly Leg[], context: RunContext): Promise<Outcome<Outward>> {
  const lists = new Map<Leg, ListedFile[]>();
  const hash = createHash("sha256").update(`${run.version}\n`);
  for (const leg of legs) {
    if (leg.way === "down") continue;
    const listed = await listHere(leg, transferOf(run, leg), context);
    if (!listed.ok) return labelled(listed.failure, leg);
    lists.set(leg, listed.value);
    for (const { path, size, modifiedAt } of listed.value) hash.update(`${path}\0${size}\0${modifiedAt}\n`);
  }
  return done({ lists, fingerprint: lists.size === 0 ? null : hash.digest("base64url") });
}

/** Outward: copied first, and what is gone deleted after that, in two jobs, so that the second has a limit of its own. */
async function up(
  run: SpecRun,
  leg: Leg,
  number: number,
  here: readonly ListedFile[],
  context: RunContext,
): Promise<Outcome<Totals>> {
  const transfer = transferOf(run, leg);
  const gone = leg.deletes ? await goneThere(run, transfer, here, context) : done({ names: [], there: 0 });
  if (!gone.ok) return gone;
  const { mapping } = leg;
  const upload = {
    directory: mapping.containerPath,
    versions: mapping.mode === "sync" ? versionsAt(run, leg) : null,
    send: sizeOf(here),
  };
  const copied = await context.steps.job(
    `${number}:copy`,
    uploadCall(transfer, { ...upload, deletes: false, maxDelete: null }),
    context.deadlineAt,
  );
  if (!copied.ok) return copied;
  const { transfers, serverSideCopies, bytes } = copied.value;
  const totals = { files: transfers - serverSideCopies, bytes, deleted: 0 };
  if (gone.value.names.length === 0) return done(totals);
  const maxDelete = run.force ? gone.value.there : allowedDeletes(gone.value.there);
  const deleted = await context.steps.job(
    `${number}:delete`,
    uploadCall(transfer, { ...upload, deletes: true, maxDelete }),
    context.deadlineAt,
  );
  if (!deleted.ok) return deleted;
  return done({ ...totals, deleted: gone.value.names.length });
}

/** Of one run, the same name for all that it replaces. */
const versionsAt = ({ startedAt }: SpecRun, { place }: Leg): string =>
  `${place.versions}${stampOf(startedAt)}/${place.below}`;

async function goneThere(
  run: SpecRun,
  transfer: Transfer,
  here: readonly ListedFile[],
  context: RunContext,
): Promise<Outcome<{ names: string[]; there: number }>> {
  const there = await listThere(transfer, context);
  if (!there.ok) return there;
  const kept = new Set(here.map(({ path }) => path));
  const names = there.value.map(({ path }) => path).filter((path) => !kept.has(path));
  if (!run.force && guardTrips(names.length, there.value.length)) {
    return guarded(`${names.length} of the ${there.value.length} files in the sink would be deleted.`);
  }
  return done({ names, there: there.value.length });
}

/** Inward: fetched beside, taken over by the workload's user, and looked at. */
async function down(run: SpecRun, leg: Leg, number: number, context: RunContext): Promise<Outcome<Totals>> {
  const transfer = transferOf(run, leg);
  const here = await listHere(leg, transfer, context);
  if (!here.ok) return here;
  const there = await listThere(transfer, context);
  if (!there.ok) return there;
  if (there.value.length === 0) return done({ files: 0, bytes: 0, deleted: 0 }); // nothing was ever there
  const wanted = new Set(there.value.map(({ path }) => path));
  const extra = leg.deletes ? here.value.map(({ path }) => path).filter((path) => !wanted.has(path)) : [];
  // What a fresh container has came with its image; what a running one has is the tenant's.
  if (run.why !== "claim" && !run.force && guardTrips(extra.length, here.value.length)) {
    return guarded(`${extra.length} of the ${here.value.length} files in the container would be deleted.`);
  }
  const besides = leg.update ? newerHere(here.value, there.value) : [];
  const { containerPath: directory } = leg.mapping;
  const call = downloadCall(transfer, {
    staging: `${INCOMING}/${number}`,
    directory,
    besides,
    fetch: sizeOf(there.value),
  });
  const fetched = await context.steps.job(`${number}:fetch`, call, context.deadlineAt);
  if (!fetched.ok) return fetched;
  const placed = await context.inside.control.place(directory, number, extra, left(context));
  if (!placed.ok) return placed;
  const verified = await verify(leg, transfer, { there: there.value, besides }, context);
  if (!verified.ok) return verified;
  return done({ files: fetched.value.transfers, bytes: fetched.value.bytes, deleted: extra.length });
}

/** Everything that the sink has is in the directory afterwards, with its size. rclone compared the hashes on the way. */
async function verify(
  leg: Leg,
  transfer: Transfer,
  { there, besides }: { there: readonly ListedFile[]; besides: readonly string[] },
  context: RunContext,
): Promise<Outcome<null>> {
  const now = await listHere(leg, transfer, context);
  if (!now.ok) return now;
  const sizes = new Map(now.value.map(({ path, size }) => [path, size]));
  const newer = new Set(besides);
  const wrong = there.find(({ path, size }) => !newer.has(path) && sizes.get(path) !== size);
  if (!wrong) return done(null);
  return failed("restore_failed", `${wrong.path} did not arrive whole.`, { extra: { problem: "rclone_error" } });
}

function newerHere(here: readonly ListedFile[], there: readonly ListedFile[]): string[] {
  const times = new Map(there.map(({ path, modifiedAt }) => [path, Date.parse(modifiedAt)]));
  return here.flatMap(({ path, modifiedAt }) => (Date.parse(modifiedAt) > (times.get(path) ?? Infinity) ? [path] : []));
}

const guarded = (detail: string): { ok: false; failure: Failure } =>
  failed("guard_blocked", detail, { extra: { problem: "guard_blocked" } });

/** Which mapping it was. */
const labelled = ({ detail, ...rest }: Failure, { mapping }: Leg): { ok: false; failure: Failure } => ({
  ok: false,
  failure: { ...rest, detail: `${mapping.containerPath}: ${detail}` },
});
