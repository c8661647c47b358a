import { DurableObject } from "cloudflare:workers";
import { commit } from "../durable/commit.ts";
import { messageOf, sleep } from "../durable/deadline.ts";
import { Document } from "../durable/document.ts";
import { tenantOf } from "../durable/stubs.ts";
import type { FileAnswers, FileRequest } from "../files/types.ts";
import type { Epoch } from "../ids.ts";
import { done, failed, type Outcome } from "../outcome.ts";
import { OpenRequests } from "../proxy/open-requests.ts";
import { runtimeFor } from "../runtime/select.ts";
import { KEEP_MS } from "./environment.ts";
import { Commands, type ExecAnswer, type ExecRequest } from "./exec.ts";
import { Files } from "./files.ts";
import { holderOf } from "./holder.ts";
import { Inside } from "./inside.ts";
import { Life } from "./life.ts";
import { NamedWrites } from "./named-writes.ts";
import { provision } from "./provision.ts";
import { isProxied, type ProxyHooks, serveProxied } from "./proxy.ts";
import { type BootRecord, newBoot } from "./record.ts";
import { Saves } from "./saves.ts";
import { Settling } from "./settling.ts";
import { SpecSyncs } from "./spec-syncs.ts";
import { restartWorkload, type Started, startContainer, startWorkload } from "./start.ts";
import { TenantStorage } from "./tenant-storage.ts";
import type {
  Assigned,
  Assignment,
  BootPlan,
  ContainerView,
  InstanceApi,
  Observation,
  SaveOutcome,
  SaveRequest,
  SpecProgress,
  SpecRan,
  SpecRun,
} from "./types.ts";

/** How long a resumption waits for the end of a save under way. */
const SAVE_PATIENCE_MS = 10_000;
/** The least that a container which is about to end waits for an answer. */
const DRAIN_PAUSE_MS = 500;

/** One container. What it stores is how it was started; whom it serves, and all that is open, lives in memory. */
export class Instance extends DurableObject<Env> implements InstanceApi {
  readonly #record = new Document<BootRecord>(this.ctx.storage.sql, "instance");
  readonly #runtime = runtimeFor(this.ctx, this.env);
  readonly #life = new Life(this.#runtime, this.#record.read());
  readonly #storage = new TenantStorage(this.ctx, this.env, this.#life);
  readonly #saves = new Saves(this.env, this.#life, this.#storage);
  readonly #syncs = new SpecSyncs(this.ctx.storage, this.env, this.#life, this.#storage);
  readonly #settling = new Settling(this.env, this.#life, this.#storage);
  readonly #open = new OpenRequests();
  readonly #commands = new Commands(this.#runtime);
  readonly #files = new Files(this.#life, new NamedWrites(this.ctx.storage.sql), () => this.#open.begin());
  readonly #hooks: ProxyHooks = {
    isCurrent: (tenantId, epoch) => this.#life.isServing(tenantId, epoch),
    onActivity: () => this.#life.touch(),
    begin: this.#open.begin,
    gatewayToken: () => this.#life.holder?.gatewayToken ?? null,
  };
  #booting: Promise<Outcome<Started>> | null = null;
  #assigning: Promise<Outcome<Assigned>> | null = null;
  #draining: Promise<{ done: boolean }> | null = null;
  #retired = false;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    if (!this.#life.boot) return;
    // What fails here is asked again by the first call, which fails with it: no answer is not death.
    if (this.#runtime.running) ctx.blockConcurrencyWhile(() => this.#settling.begin().catch(() => {}));
    else this.#life.state = "gone";
  }

  boot(plan: BootPlan): Promise<Outcome<Started>> {
    if (this.#booting) return this.#booting;
    if (this.#retired) return Promise.resolve(failed("start_failed", "The container was retired before it started."));
    if (this.#life.boot && (this.#life.state === "warm" || this.#life.state === "assigned"))
      return Promise.resolve(done({ startMs: 0, readyMs: 0 }));
    if (this.#life.boot)
      return Promise.resolve(failed("start_failed", "The container of this id ended; ids are not used again."));
    this.#booting = this.#start(plan).finally(() => {
      this.#booting = null;
    });
    return this.#booting;
  }

  async assign(assignment: Assignment): Promise<Outcome<Assigned>> {
    await this.#settling.settle();
    const { tenantId, epoch } = assignment;
    const known = this.#life.holder ?? this.#life.leasedTo;
    if (known && (known.tenantId !== tenantId || epoch < known.epoch)) {
      return failed("stale_epoch", "The container serves another assignment.");
    }
    if (this.#life.holder?.epoch === epoch) {
      if (this.#assigning) return this.#assigning;
      if (this.#life.holder.assigned) return done(this.#life.holder.assigned);
    }
    const boot = this.#life.boot;
    if (!boot || !this.#runtime.running || !this.#life.move("assign")) {
      return failed("container_unavailable", `The container is ${this.#life.state}.`);
    }
    this.#life.holder = holderOf(this.env, tenantId, epoch, assignment.gateway);
    this.#assigning = this.#provision(boot, assignment).finally(() => {
      this.#assigning = null;
    });
    return this.#assigning;
  }

  async quiesce(epoch: Epoch, idleSince?: number): Promise<Outcome<{ busy: boolean }>> {
    await this.#settling.settle();
    const stale = this.#life.notCurrent(epoch);
    if (stale) return stale;
    const open = this.#life.state === "assigned";
    if (open && idleSince !== undefined && (this.#open.count > 0 || this.#life.lastActivityAt > idleSince))
      return done({ busy: true });
    if (!this.#life.move("quiesce")) return failed("container_unavailable", `The container is ${this.#life.state}.`);
    this.#open.closeSockets();
    await this.#syncs.quiesce();
    return done({ busy: false });
  }

  async save(request: SaveRequest): Promise<SaveOutcome> {
    await this.#settling.settle();
    return this.#saves.run(request);
  }

  async syncSpec(run: SpecRun): Promise<Outcome<SpecRan>> {
    await this.#settling.settle();
    return this.#syncs.run(run);
  }

  async cancelSync(runId: string): Promise<void> {
    this.#syncs.cancel(runId);
  }

  async syncProgress(runId: string): Promise<SpecProgress | null> {
    return this.#syncs.progress(runId);
  }

  async resume(epoch: Epoch): Promise<Outcome<null>> {
    await this.#settling.settle();
    const serving = this.#life.serving(epoch);
    if (!serving.ok) return serving;
    const boot = serving.value;
    if (this.#life.state === "assigned" && this.#life.fenced === epoch) return done(null); // the answer got lost
    if (boot.plan.workload.volumes.state) {
      const fenced = await this.#storage.open(boot, epoch, "resume");
      if (!fenced.ok) return fenced;
    }
    // Fenced off, a save under way cannot commit any more, but it may still stop what is started now.
    if (!(await this.#saves.ended(SAVE_PATIENCE_MS))) {
      return failed("operation_interrupted", "A save of this container has not ended yet.");
    }
    const started = await startWorkload(new Inside(this.#runtime, boot), boot.plan.startTimeoutMs);
    if (!started.ok) return started;
    this.#life.move("reopen");
    return done(null);
  }

  async restart(epoch: Epoch): Promise<Outcome<null>> {
    await this.#settling.settle();
    const serving = this.#life.serving(epoch);
    if (!serving.ok) return serving;
    const boot = serving.value;
    if (this.#life.state !== "assigned") return failed("invalid_transition", `The container is ${this.#life.state}.`);
    this.#open.closeSockets();
    return restartWorkload(new Inside(this.#runtime, boot), boot.plan.startTimeoutMs);
  }

  async observe(): Promise<Observation> {
    await this.#settling.settle();
    const alive = await this.#look();
    return {
      state: this.#life.state,
      ...alive,
      tenantId: this.#life.holder?.tenantId ?? null,
      epoch: this.#life.holder?.epoch ?? null,
      lastActivityAt: this.#life.lastActivityAt,
      openRequests: this.#open.count,
      health: { status: "unknown", failures: 0, since: null },
    };
  }

  async revoke(minVersion: number): Promise<void> {
    this.#open.revoke(minVersion);
  }

  async describe(): Promise<Outcome<ContainerView>> {
    const boot = this.#life.boot;
    if (!boot || !this.#runtime.running) return failed("not_found", "There is no such container.");
    const { containerId, poolId, workload, workloadVersion = 1, tier } = boot.plan;
    return done({
      id: containerId,
      durableObjectId: this.ctx.id.toString(),
      poolId,
      workloadId: workload.id,
      workloadVersion,
      ...(this.#life.holder ? { tenantId: this.#life.holder.tenantId, epoch: this.#life.holder.epoch } : {}),
      state: this.#life.state,
      tier,
      image: workload.image,
      startedAt: new Date(boot.startedAt).toISOString(),
    });
  }

  async exec(request: ExecRequest): Promise<Outcome<ExecAnswer>> {
    await this.#settling.settle();
    const boot = this.#life.boot;
    if (!boot || !this.#runtime.running) return failed("container_unavailable", "The container is not running.");
    if (this.#life.state !== "warm" && this.#life.state !== "assigned") {
      return failed(
        "invalid_transition",
        `The container is ${this.#life.state}; commands run in warm and assigned ones.`,
      );
    }
    const ended = this.#open.begin();
    try {
      return await this.#commands.run(boot, request);
    } finally {
      ended();
      this.#hooks.onActivity();
    }
  }

  async files<R extends FileRequest>(epoch: Epoch, request: R): Promise<Outcome<FileAnswers[R["op"]]>> {
    await this.#settling.settle();
    return (await this.#files.perform(epoch, request)) as Outcome<FileAnswers[R["op"]]>;
  }

  /** One at a time, whoever asks and how often. */
  async drain(waitMs: number): Promise<{ done: boolean }> {
    this.#draining ??= this.#drain(waitMs).finally(() => {
      this.#draining = null;
    });
    return this.#draining;
  }

  async retire(reason: string): Promise<Outcome<null>> {
    this.#life.move("retire");
    this.#retired = true;
    this.#open.closeSockets();
    try {
      await this.#runtime.destroy(reason);
    } catch (error) {
      return failed("operation_interrupted", messageOf(error));
    }
    this.#life.move("ended");
    this.#life.boot = null;
    await this.ctx.storage.deleteAlarm();
    await this.ctx.storage.deleteAll();
    return done(null);
  }

  /** The proxied hot path: one look at memory, then the container. */
  override async fetch(request: Request): Promise<Response> {
    if (!isProxied(request)) return new Response(null, { status: 404 });
    if (this.#settling.isUnsettled) await this.#settling.settle();
    return serveProxied(request, { runtime: this.#runtime, hooks: this.#hooks, env: this.env });
  }

  async #start(plan: BootPlan): Promise<Outcome<Started>> {
    const boot = newBoot(plan, Date.now());
    commit(this.ctx.storage, () => {
      this.#record.write(boot);
    });
    this.#life.boot = boot;
    this.#life.state = "starting";
    const outcome = await startContainer(new Inside(this.#runtime, boot));
    if (outcome.ok && this.#life.move("booted")) return outcome;
    this.#life.move("failed");
    return outcome.ok ? failed("start_failed", "The container was retired while it started.") : outcome;
  }

  async #provision(boot: BootRecord, assignment: Assignment): Promise<Outcome<Assigned>> {
    const inside = new Inside(this.#runtime, boot);
    const open = () => this.#storage.open(boot, assignment.epoch, "assign");
    const token = this.#life.holder?.gatewayToken;
    const fetch = (runs: SpecRun[]) => this.#syncs.restore(boot, runs);
    const outcome = await provision(inside, assignment, token, { open, fetch }).catch((error) =>
      failed("operation_interrupted", messageOf(error)),
    );
    if (!outcome.ok) {
      this.#life.move("failed");
      return outcome;
    }
    if (!this.#life.move("assigned"))
      return failed("container_unavailable", "The container was retired while it was assigned.");
    const { tenantId, epoch } = assignment;
    this.#life.holder = {
      tenantId,
      epoch,
      ...(token === undefined ? {} : { gatewayToken: token }),
      assigned: outcome.value,
    };
    this.#hooks.onActivity();
    return outcome;
  }

  async #drain(waitMs: number): Promise<{ done: boolean }> {
    await this.#settling.settle();
    const { boot, holder, leasedTo } = this.#life;
    const tenantId = (holder ?? leasedTo)?.tenantId;
    if (!boot || tenantId === undefined) return { done: true };
    const [done] = await Promise.all([
      tenantOf(this.env, tenantId).drain(boot.plan.containerId, waitMs),
      sleep(DRAIN_PAUSE_MS), // so that asking again and again costs little
    ]);
    return { done };
  }

  /** Whether the container that we started is still the one that answers. */
  async #look(): Promise<{ alive: boolean; detail?: string }> {
    const boot = this.#life.boot;
    if (!boot || this.#life.state === "failed") return { alive: false, detail: "The container is gone." };
    if (!this.#runtime.running) return { alive: false, detail: "The container is not running." };
    if (this.#life.state === "starting") return { alive: true };
    const status = await new Inside(this.#runtime, boot).control.status(2_000);
    if (!status.ok)
      return {
        alive: this.#runtime.running && status.failure.code !== "container_unavailable",
        detail: status.failure.detail,
      };
    await this.#runtime.keepFor(KEEP_MS);
    return { alive: true };
  }
}
