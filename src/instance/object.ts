import { DurableObject } from "cloudflare:workers";
import { commit } from "../durable/commit.ts";
import { DeadlineError, messageOf, within } from "../durable/deadline.ts";
import { Document } from "../durable/document.ts";
import { vaultOf } from "../durable/stubs.ts";
import type { Epoch, TenantId } from "../ids.ts";
import { done, type Failure, failed, type Outcome } from "../outcome.ts";
import { OpenRequests } from "../proxy/open-requests.ts";
import { runtimeFor } from "../runtime/select.ts";
import { KEEP_MS } from "./environment.ts";
import { Commands, type ExecAnswer, type ExecRequest } from "./exec.ts";
import { type Holder, holderOf, whomItServes } from "./holder.ts";
import { Inside } from "./inside.ts";
import { after, type InstanceTransition } from "./lifecycle.ts";
import { provision } from "./provision.ts";
import { isProxied, type ProxyHooks, serveProxied } from "./proxy.ts";
import { type BootRecord, newBoot } from "./record.ts";
import { saveState } from "./save.ts";
import { restartWorkload, type Started, startContainer, startWorkload } from "./start.ts";
import type {
  Assigned,
  Assignment,
  BootPlan,
  ContainerView,
  InstanceApi,
  InstanceState,
  Observation,
  SaveOutcome,
  SaveRequest,
} from "./types.ts";

/** How long a resumption waits for the end of a save under way. */
const SAVE_PATIENCE_MS = 10_000;
/** What a save may take beyond its own deadline. */
const SAVE_GRACE_MS = 3_000;

/** One container. What it stores is how it was started; whom it serves, and all that is open, lives in memory. */
export class Instance extends DurableObject<Env> implements InstanceApi {
  readonly #record = new Document<BootRecord>(this.ctx.storage.sql, "instance");
  readonly #runtime = runtimeFor(this.ctx, this.env);
  readonly #open = new OpenRequests();
  readonly #commands = new Commands(this.#runtime);
  readonly #hooks: ProxyHooks = {
    isCurrent: (tenantId, epoch) =>
      this.#state === "assigned" && this.#holder?.tenantId === tenantId && this.#holder.epoch === epoch,
    onActivity: () => {
      this.#lastActivityAt = Date.now();
    },
    begin: this.#open.begin,
    gatewayToken: () => this.#holder?.gatewayToken ?? null,
  };
  #lastActivityAt = Date.now();
  #boot = this.#record.read();
  #state: InstanceState = this.#boot ? "starting" : "gone";
  #holder: Holder | null = null;
  /** What the pool says of a container whose object came back to memory before it served anyone. */
  #leasedTo: Holder | null = null;
  #booting: Promise<Outcome<Started>> | null = null;
  #assigning: Promise<Outcome<Assigned>> | null = null;
  #saving: { saveId: string; epoch: Epoch; outcome: Promise<SaveOutcome> } | null = null;
  /** The epoch for which this life of the object opened the tenant's storage. */
  #fenced: Epoch | null = null;
  /** Whom the container serves could not be learnt yet. Until then nothing is said of it, least of all that it is dead. */
  #unsettled = false;
  #settling: Promise<void> | null = null;
  #retired = false;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const boot = this.#boot;
    if (!boot) return;
    this.#unsettled = this.#runtime.running;
    // What fails here is asked again by the first call, which fails with it: no answer is not death.
    if (this.#unsettled) ctx.blockConcurrencyWhile(() => this.#settle().catch(() => {}));
    else this.#state = "gone";
  }

  boot(plan: BootPlan): Promise<Outcome<Started>> {
    if (this.#booting) return this.#booting;
    if (this.#retired) return Promise.resolve(failed("start_failed", "The container was retired before it started."));
    if (this.#boot && (this.#state === "warm" || this.#state === "assigned"))
      return Promise.resolve(done({ startMs: 0, readyMs: 0 }));
    if (this.#boot)
      return Promise.resolve(failed("start_failed", "The container of this id ended; ids are not used again."));
    this.#booting = this.#start(plan).finally(() => {
      this.#booting = null;
    });
    return this.#booting;
  }

  async assign(assignment: Assignment): Promise<Outcome<Assigned>> {
    await this.#settle();
    const { tenantId, epoch } = assignment;
    const known = this.#holder ?? this.#leasedTo;
    if (known && (known.tenantId !== tenantId || epoch < known.epoch)) {
      return failed("stale_epoch", "The container serves another assignment.");
    }
    if (this.#holder?.epoch === epoch) {
      if (this.#assigning) return this.#assigning;
      if (this.#holder.assigned) return done(this.#holder.assigned);
    }
    const boot = this.#boot;
    if (!boot || !this.#runtime.running || !this.#move("assign")) {
      return failed("container_unavailable", `The container is ${this.#state}.`);
    }
    this.#holder = holderOf(this.env, tenantId, epoch, assignment.gateway);
    this.#assigning = this.#provision(boot, assignment).finally(() => {
      this.#assigning = null;
    });
    return this.#assigning;
  }

  async quiesce(epoch: Epoch, idleSince?: number): Promise<Outcome<{ busy: boolean }>> {
    await this.#settle();
    const stale = this.#notCurrent(epoch);
    if (stale) return stale;
    const open = this.#state === "assigned";
    if (open && idleSince !== undefined && (this.#open.count > 0 || this.#lastActivityAt > idleSince))
      return done({ busy: true });
    if (!this.#move("quiesce")) return failed("container_unavailable", `The container is ${this.#state}.`);
    this.#open.closeSockets();
    return done({ busy: false });
  }

  async save(request: SaveRequest): Promise<SaveOutcome> {
    await this.#settle();
    const stale = this.#notCurrent(request.epoch);
    if (stale) return stale;
    const boot = this.#boot;
    if (!boot || !this.#runtime.running) return failed("container_unavailable", "The container is not running.");
    const wanted: InstanceState = request.live ? "assigned" : "saving";
    if (this.#state !== wanted) {
      return failed("invalid_transition", `The container is ${this.#state}; this save needs it ${wanted}.`);
    }
    if (boot.plan.workload.volumes.state === undefined) return done(null);
    const { epoch, saveId } = request;
    const before = this.#saving;
    if (before && (before.saveId !== saveId || before.epoch !== epoch)) {
      // One of the workload while it ran ends soon after that was stopped: a last save is not given up for it.
      const since = Date.now();
      await within(request.timeoutMs, "save", before.outcome).catch(() => {});
      const timeoutMs = request.timeoutMs - (Date.now() - since);
      if (this.#saving !== before && timeoutMs > 0) return this.save({ ...request, timeoutMs });
      return failed("operation_interrupted", "An earlier save of this container has not ended yet.");
    }
    // The same save again, after a lost reply, joins the one under way.
    this.#saving ??= { saveId, epoch, outcome: this.#save(boot, request) };
    const outcome = await this.#saving.outcome;
    if (!outcome.ok && !this.#runtime.running) return failed("container_unavailable", outcome.failure.detail);
    return outcome;
  }

  async resume(epoch: Epoch): Promise<Outcome<null>> {
    await this.#settle();
    const stale = this.#notCurrent(epoch);
    if (stale) return stale;
    const boot = this.#boot;
    if (!boot || !this.#runtime.running) return failed("container_unavailable", "The container is not running.");
    if (this.#state === "assigned" && this.#fenced === epoch) return done(null); // the answer got lost
    if (boot.plan.workload.volumes.state) {
      const fenced = await this.#openStorage(boot, epoch, "resume");
      if (!fenced.ok) return fenced;
    }
    // Fenced off, a save under way cannot commit any more, but it may still stop what is started now.
    if (this.#saving) await within(SAVE_PATIENCE_MS, "save", this.#saving.outcome).catch(() => {});
    if (this.#saving) return failed("operation_interrupted", "A save of this container has not ended yet.");
    const started = await startWorkload(new Inside(this.#runtime, boot), boot.plan.startTimeoutMs);
    if (!started.ok) return started;
    this.#move("reopen");
    return done(null);
  }

  async restart(epoch: Epoch): Promise<Outcome<null>> {
    await this.#settle();
    const stale = this.#notCurrent(epoch);
    if (stale) return stale;
    const boot = this.#boot;
    if (!boot || !this.#runtime.running) return failed("container_unavailable", "The container is not running.");
    if (this.#state !== "assigned") return failed("invalid_transition", `The container is ${this.#state}.`);
    this.#open.closeSockets();
    return restartWorkload(new Inside(this.#runtime, boot), boot.plan.startTimeoutMs);
  }

  async observe(): Promise<Observation> {
    await this.#settle();
    const alive = await this.#look();
    return {
      state: this.#state,
      ...alive,
      tenantId: this.#holder?.tenantId ?? null,
      epoch: this.#holder?.epoch ?? null,
      lastActivityAt: this.#lastActivityAt,
      openRequests: this.#open.count,
    };
  }

  async revoke(minVersion: number): Promise<void> {
    this.#open.revoke(minVersion);
  }

  async describe(): Promise<Outcome<ContainerView>> {
    const boot = this.#boot;
    if (!boot || !this.#runtime.running) return failed("not_found", "There is no such container.");
    const { containerId, poolId, workload, workloadVersion = 1, tier } = boot.plan;
    return done({
      id: containerId,
      durableObjectId: this.ctx.id.toString(),
      poolId,
      workloadId: workload.id,
      workloadVersion,
      ...(this.#holder ? { tenantId: this.#holder.tenantId, epoch: this.#holder.epoch } : {}),
      state: this.#state,
      tier,
      image: workload.image,
      startedAt: new Date(boot.startedAt).toISOString(),
    });
  }

  async exec(request: ExecRequest): Promise<Outcome<ExecAnswer>> {
    await this.#settle();
    const boot = this.#boot;
    if (!boot || !this.#runtime.running) return failed("container_unavailable", "The container is not running.");
    if (this.#state !== "warm" && this.#state !== "assigned") {
      return failed("invalid_transition", `The container is ${this.#state}; commands run in warm and assigned ones.`);
    }
    const ended = this.#open.begin();
    try {
      return await this.#commands.run(boot, request);
    } finally {
      ended();
      this.#hooks.onActivity();
    }
  }

  async retire(reason: string): Promise<Outcome<null>> {
    this.#move("retire");
    this.#retired = true;
    this.#open.closeSockets();
    try {
      await this.#runtime.destroy(reason);
    } catch (error) {
      return failed("operation_interrupted", messageOf(error));
    }
    this.#move("ended");
    this.#boot = null;
    await this.ctx.storage.deleteAlarm();
    await this.ctx.storage.deleteAll();
    return done(null);
  }

  /** The proxied hot path: one look at memory, then the container. */
  override async fetch(request: Request): Promise<Response> {
    if (!isProxied(request)) return new Response(null, { status: 404 });
    if (this.#unsettled) await this.#settle();
    return serveProxied(request, { runtime: this.#runtime, hooks: this.#hooks, env: this.env });
  }

  async #start(plan: BootPlan): Promise<Outcome<Started>> {
    const boot = newBoot(plan, Date.now());
    commit(this.ctx.storage, () => {
      this.#record.write(boot);
    });
    this.#boot = boot;
    this.#state = "starting";
    const outcome = await startContainer(new Inside(this.#runtime, boot));
    if (outcome.ok && this.#move("booted")) return outcome;
    this.#move("failed");
    return outcome.ok ? failed("start_failed", "The container was retired while it started.") : outcome;
  }

  async #provision(boot: BootRecord, assignment: Assignment): Promise<Outcome<Assigned>> {
    const inside = new Inside(this.#runtime, boot);
    const open = () => this.#openStorage(boot, assignment.epoch, "assign");
    const token = this.#holder?.gatewayToken;
    const outcome = await provision(inside, assignment, token, open).catch((error) =>
      failed("operation_interrupted", messageOf(error)),
    );
    if (!outcome.ok) {
      this.#move("failed");
      return outcome;
    }
    if (!this.#move("assigned"))
      return failed("container_unavailable", "The container was retired while it was assigned.");
    const { tenantId, epoch } = assignment;
    this.#holder = {
      tenantId,
      epoch,
      ...(token === undefined ? {} : { gatewayToken: token }),
      assigned: outcome.value,
    };
    this.#hooks.onActivity();
    return outcome;
  }

  /** Registers the tenant's storage with the container and fences it against every older epoch, side by side. */
  async #openStorage(boot: BootRecord, epoch: Epoch, why: "assign" | "resume" | "save") {
    const incarnation = boot.plan.containerId;
    const tenantId = this.#holder?.tenantId as TenantId;
    const [fenced] = await Promise.all([
      vaultOf(this.env, tenantId).fence(epoch, incarnation),
      this.#intercept(boot, tenantId, epoch),
    ]);
    if (fenced.ok) this.#fenced = epoch;
    return fenced.ok ? fenced : failed(fenced.failure.code, `${why}: ${fenced.failure.detail}`);
  }

  async #save(boot: BootRecord, request: SaveRequest): Promise<SaveOutcome> {
    const { epoch, saveId, timeoutMs } = request;
    const ref = { epoch, incarnation: boot.plan.containerId, saveId };
    try {
      const fenced = this.#fenced === epoch ? null : await this.#openStorage(boot, epoch, "save");
      if (fenced && !fenced.ok) return fenced;
      const vault = vaultOf(this.env, this.#holder?.tenantId as TenantId);
      const saving = saveState(new Inside(this.#runtime, boot), vault, ref, request);
      return await within(timeoutMs + SAVE_GRACE_MS, "save", saving);
    } catch (error) {
      return failed(error instanceof DeadlineError ? "deadline_exceeded" : "operation_interrupted", messageOf(error));
    } finally {
      this.#saving = null;
    }
  }

  #intercept(boot: BootRecord, tenantId: TenantId, epoch: Epoch): Promise<void> {
    const props = { tenantId, epoch, incarnation: boot.plan.containerId, accessKeyId: boot.accessKeyId };
    return this.#runtime.intercept("sink.internal", this.ctx.exports.StorageGateway({ props }));
  }

  /**
   * This object left memory while its container ran on (an eviction, a deploy, a hot reload): what memory held is asked
   * from the pool again, and what the platform forgot is registered again, before anything else happens.
   */
  async #rehydrate(boot: BootRecord): Promise<void> {
    await this.#runtime.keepFor(KEEP_MS);
    const whom = await whomItServes(this.env, boot.plan);
    if (!this.#isUnclear) return; // somebody else was told meanwhile
    const { volumes } = boot.plan.workload;
    if (whom.holder && volumes.state) await this.#intercept(boot, whom.holder.tenantId, whom.holder.epoch);
    this.#state = whom.state;
    this.#holder = whom.holder;
    this.#leasedTo = whom.leasedTo;
    this.#unsettled = false;
    // A tenant is active only after its storage was fenced; one that is being left may have a newer epoch than that.
    if (whom.state === "assigned") this.#fenced = whom.holder?.epoch ?? null;
    this.#hooks.onActivity();
  }

  /** Learns whom the container serves, where that is unclear. @throws when it cannot be learnt now */
  async #settle(): Promise<void> {
    const boot = this.#boot;
    if (!boot || !this.#isUnclear || !this.#runtime.running) return;
    this.#settling ??= this.#rehydrate(boot).finally(() => {
      this.#settling = null;
    });
    await this.#settling;
  }

  /** Leased when this object came back to memory, its container may have come to serve since. */
  get #isUnclear(): boolean {
    return this.#unsettled || (this.#leasedTo !== null && this.#state === "warm");
  }

  /** Whether the container that we started is still the one that answers. */
  async #look(): Promise<{ alive: boolean; detail?: string }> {
    const boot = this.#boot;
    if (!boot || this.#state === "failed") return { alive: false, detail: "The container is gone." };
    if (!this.#runtime.running) return { alive: false, detail: "The container is not running." };
    if (this.#state === "starting") return { alive: true };
    const status = await new Inside(this.#runtime, boot).control.status(2_000);
    if (!status.ok)
      return {
        alive: this.#runtime.running && status.failure.code !== "container_unavailable",
        detail: status.failure.detail,
      };
    await this.#runtime.keepFor(KEEP_MS);
    return { alive: true };
  }

  /**
   * Why this container does nothing for an epoch. A later one than it knows is its tenant's newer word for the same
   * container, of which an answer or a call got lost. One that is gone says so: whoever asks would otherwise wait for it for ever.
   */
  #notCurrent(epoch: Epoch): { ok: false; failure: Failure } | null {
    if (this.#holder && epoch > this.#holder.epoch) this.#holder = { ...this.#holder, epoch };
    if (this.#holder?.epoch === epoch) return null;
    if (!this.#boot || !this.#runtime.running) return failed("container_unavailable", "The container is gone.");
    return failed("stale_epoch", `The container does not serve epoch ${epoch}.`);
  }

  #move(event: InstanceTransition): boolean {
    const next = after(this.#state, event);
    if (next === null) return false;
    this.#state = next;
    return true;
  }
}
