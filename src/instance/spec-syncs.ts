import { commit } from "../durable/commit.ts";
import { DeadlineError, messageOf, within } from "../durable/deadline.ts";
import { Document } from "../durable/document.ts";
import { specVaultOf, vaultOf } from "../durable/stubs.ts";
import type { TenantId } from "../ids.ts";
import { detached, done, type Failure, failed, type Outcome } from "../outcome.ts";
import type { RcCall } from "../sync/options.ts";
import type { AgentJob, SyncStats } from "./agent.ts";
import { Inside } from "./inside.ts";
import type { Life } from "./life.ts";
import type { BootRecord } from "./record.ts";
import { cancelled, type Steps } from "./spec-context.ts";
import { runLegs } from "./spec-sync.ts";
import type { TenantStorage } from "./tenant-storage.ts";
import type { Fetched, SpecProgress, SpecRan, SpecRun } from "./types.ts";

/** How long the workload may take to stop before its last sync. */
const STOP_GRACE_MS = 10_000;
/** What a run may take beyond its own deadline. */
const GRACE_MS = 3_000;
/** How long a run waits for the end of the one before. */
const CANCEL_PATIENCE_MS = 5_000;

/** What an Instance stores of its syncs (docs/storage.md): so that a job is found again, and nobody forgets what came. */
interface SyncRecord {
  /** Specs, by `id@version`, whose download this container has had, whole. */
  restored: string[];
  /** The job under way. */
  job: { runId: string; name: string; job: AgentJob } | null;
}

interface UnderWay {
  runId: string;
  why: SpecRun["why"];
  outcome: Promise<Outcome<SpecRan>>;
  cancel: () => void;
  progress: SpecProgress;
}

/** The syncs of one container's specs, one at a time: the same run again joins, another one waits for its end. */
export class SpecSyncs {
  readonly #storage: DurableObjectStorage;
  readonly #env: Env;
  readonly #life: Life;
  readonly #access: TenantStorage;
  readonly #document: Document<SyncRecord>;
  #underWay: UnderWay | null = null;

  constructor(storage: DurableObjectStorage, env: Env, life: Life, access: TenantStorage) {
    this.#storage = storage;
    this.#env = env;
    this.#life = life;
    this.#access = access;
    this.#document = new Document(storage.sql, "syncs");
  }

  /** While the workload runs, or after it was quiesced. */
  async run(run: SpecRun): Promise<Outcome<SpecRan>> {
    const serving = this.#life.serving(run.epoch);
    if (!serving.ok) return serving;
    const wanted = run.why === "release" ? "saving" : "assigned";
    if (this.#life.state !== wanted) {
      return failed("invalid_transition", `The container is ${this.#life.state}; this sync needs it ${wanted}.`);
    }
    return this.#begin(serving.value, run);
  }

  /** Before the tenant is served: what fails here fails the claim. */
  async restore(boot: BootRecord, runs: readonly SpecRun[]): Promise<Outcome<Fetched[]>> {
    const fetched: Fetched[] = [];
    for (const run of runs) {
      const startedAt = Date.now();
      const outcome = await this.#begin(boot, run);
      if (!outcome.ok) return { ok: false, failure: asRestore(run, outcome.failure) };
      const { runId, spec } = run;
      fetched.push({ runId, specId: spec.id, startedAt, endedAt: Date.now(), ran: outcome.value });
    }
    return done(fetched);
  }

  /** Ends what is under way while the workload runs: whatever comes after it does the same again, or has no use for it. */
  async quiesce(): Promise<void> {
    const before = this.#underWay;
    if (before && before.why !== "release") await this.#end(before);
  }

  cancel(runId: string): void {
    if (this.#underWay?.runId === runId) this.#underWay.cancel();
  }

  progress(runId: string): SpecProgress | null {
    return this.#underWay?.runId === runId ? this.#underWay.progress : null;
  }

  async #begin(boot: BootRecord, run: SpecRun): Promise<Outcome<SpecRan>> {
    const before = this.#underWay;
    if (before && before.runId !== run.runId) {
      await (before.why === "interval"
        ? this.#end(before)
        : within(run.timeoutMs, "sync", before.outcome).catch(() => {}));
      if (this.#underWay)
        return failed("operation_interrupted", "An earlier sync of this container has not ended yet.");
    }
    this.#underWay ??= this.#start(boot, run);
    const { outcome } = this.#underWay;
    const ended = await outcome;
    if (!ended.ok && !this.#life.runtime.running) return failed("container_unavailable", ended.failure.detail);
    return ended;
  }

  #start(boot: BootRecord, run: SpecRun): UnderWay {
    const inside = new Inside(this.#life.runtime, boot);
    const steps = new Jobs(inside, run, this.#memory());
    const outcome = this.#perform(boot, run, inside, steps).finally(() => {
      this.#underWay = null;
    });
    return { runId: run.runId, why: run.why, outcome, cancel: () => steps.cancel(), progress: steps.progress };
  }

  async #perform(boot: BootRecord, run: SpecRun, inside: Inside, steps: Jobs): Promise<Outcome<SpecRan>> {
    const deadlineAt = Date.now() + run.timeoutMs;
    try {
      const opened = await this.#open(boot, run);
      if (!opened.ok) return opened;
      if (run.why === "release") {
        const stopped = await inside.control.stop(STOP_GRACE_MS);
        if (!stopped.ok) return stopped;
      }
      const name = `${run.spec.id}@${run.version}`;
      const restored = this.#read().restored.includes(name);
      const legs = runLegs(run, { inside, steps, restored, deadlineAt, vault: this.#vault(run) });
      const ran = detached(await within(run.timeoutMs + GRACE_MS, "sync", legs));
      if (steps.cancelled) return cancelled();
      if (ran.ok && run.way === "down" && !restored) this.#change({ restored: [...this.#read().restored, name] });
      return ran;
    } catch (error) {
      return failed(error instanceof DeadlineError ? "deadline_exceeded" : "operation_interrupted", messageOf(error));
    }
  }

  /** The epoch is what every request is compared with (P-FENCE), also where the container has no state of its own. */
  async #open(boot: BootRecord, run: SpecRun): Promise<Outcome<unknown>> {
    const { containerId } = boot.plan;
    const own = this.#vault(run);
    const vaults = [vaultOf(this.#env, run.tenantId), ...(own ? [own] : [])];
    const fenced = await Promise.all(vaults.map((vault) => vault.fence(run.epoch, containerId)));
    await this.#access.intercept(boot, run.tenantId as TenantId, run.epoch);
    return detached(fenced.find(({ ok }) => !ok) ?? done(null));
  }

  #vault({ tenantId, spec }: SpecRun) {
    return spec.sink.type === "r2" ? specVaultOf(this.#env, tenantId, spec.id) : null;
  }

  /** Cancels a run and waits for its end. */
  async #end(run: UnderWay): Promise<void> {
    run.cancel();
    await within(CANCEL_PATIENCE_MS, "sync", run.outcome).catch(() => {});
  }

  #read(): SyncRecord {
    return this.#document.read() ?? { restored: [], job: null };
  }

  #change(change: Partial<SyncRecord>): void {
    const record = { ...this.#read(), ...change };
    commit(this.#storage, () => this.#document.write(record));
  }

  #memory(): JobMemory {
    return { read: () => this.#read().job, write: (job) => this.#change({ job }) };
  }
}

interface JobMemory {
  read(): SyncRecord["job"];
  write(job: SyncRecord["job"]): void;
}

/** The jobs of one run, each stored under its name before it is waited for. */
class Jobs implements Steps {
  readonly progress: SpecProgress;
  readonly #inside: Inside;
  readonly #memory: JobMemory;
  readonly #runId: string;
  #current: AgentJob | null = null;
  #cancelled = false;

  constructor(inside: Inside, run: SpecRun, memory: JobMemory) {
    this.#inside = inside;
    this.#memory = memory;
    this.#runId = run.runId;
    this.progress = { runId: run.runId, files: 0, bytes: 0, totalFiles: 0, totalBytes: 0 };
  }

  get cancelled(): boolean {
    return this.#cancelled;
  }

  cancel(): void {
    this.#cancelled = true;
    if (this.#current) this.#inside.agent.stop(this.#current).catch(() => {}); // its end says whether that worked
  }

  async job(name: string, call: RcCall, deadlineAt: number): Promise<Outcome<SyncStats>> {
    const known = this.#memory.read();
    if (known?.runId === this.#runId && known.name === name) {
      const outcome = await this.#finish(known.job, deadlineAt);
      const forgotten = !outcome.ok && outcome.failure.code === "operation_interrupted";
      if (!forgotten) return outcome;
    }
    if (this.#cancelled) return cancelled();
    const begun = await this.#inside.agent.start(call);
    if (!begun.ok) return begun;
    this.#memory.write({ runId: this.#runId, name, job: begun.value });
    return this.#finish(begun.value, deadlineAt);
  }

  async #finish(job: AgentJob, deadlineAt: number): Promise<Outcome<SyncStats>> {
    this.#current = job;
    if (this.#cancelled) this.cancel();
    const before = { ...this.progress };
    const outcome = await this.#inside.agent.finish(job, deadlineAt, (stats) => this.#show(before, stats));
    this.#current = null;
    if (outcome.ok) this.#show(before, outcome.value);
    return this.#cancelled && !outcome.ok ? cancelled() : outcome;
  }

  #show(before: SpecProgress, stats: SyncStats): void {
    Object.assign(this.progress, {
      files: before.files + stats.transfers,
      bytes: before.bytes + stats.bytes,
      totalFiles: before.totalFiles + stats.totalTransfers,
      totalBytes: before.totalBytes + stats.totalBytes,
    });
  }
}

/** A tenant whose files did not come is not served (P-RESTORE); what broke off says so, and is tried on another container. */
function asRestore(run: SpecRun, failure: Failure): Failure {
  const passing = ["container_unavailable", "operation_interrupted", "stale_epoch"].includes(failure.code);
  if (passing) return failure;
  return { ...failure, code: "restore_failed", detail: `Sync spec ${run.spec.id}: ${failure.detail}` };
}
