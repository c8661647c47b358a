import { DurableObject } from "cloudflare:workers";
import { commit } from "../durable/commit.ts";
import { messageOf } from "../durable/deadline.ts";
import { Document } from "../durable/document.ts";
import { poolOf, tenantOf, vaultOf } from "../durable/stubs.ts";
import type { Epoch, TenantId } from "../ids.ts";
import { done, type Failure, failed, type Outcome } from "../outcome.ts";
import { OpenRequests } from "../proxy/open-requests.ts";
import { runtimeFor } from "../runtime/select.ts";
import { KEEP_MS } from "./environment.ts";
import { Inside } from "./inside.ts";
import { after, type InstanceTransition } from "./lifecycle.ts";
import { provision } from "./provision.ts";
import { isProxied, type ProxyHooks, serveProxied } from "./proxy.ts";
import { type BootRecord, newBoot } from "./record.ts";
import { saveState } from "./save.ts";
import { type Started, startContainer, workloadReady } from "./start.ts";
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

interface Holder {
  tenantId: TenantId;
  epoch: Epoch;
  /** Set when the assignment succeeded in this life of the object. */
  assigned?: Assigned;
}

/** One container. What it stores is how it was started; whom it serves, and all that is open, lives in memory. */
export class Instance extends DurableObject<Env> implements InstanceApi {
  readonly #record = new Document<BootRecord>(this.ctx.storage.sql, "instance");
  readonly #runtime = runtimeFor(this.ctx, this.env);
  readonly #open = new OpenRequests();
  readonly #hooks: ProxyHooks = {
    isCurrent: (tenantId, epoch) =>
      this.#state === "assigned" && this.#holder?.tenantId === tenantId && this.#holder.epoch === epoch,
    onActivity: () => {
      this.#lastActivityAt = Date.now();
    },
    begin: this.#open.begin,
  };
  #lastActivityAt = Date.now();
  #boot = this.#record.read();
  #state: InstanceState = this.#boot ? "starting" : "gone";
  #holder: Holder | null = null;
  /** What the pool says of a container whose object came back to memory before it served anyone. */
  #leasedTo: Holder | null = null;
  #booting: Promise<Outcome<Started>> | null = null;
  #assigning: Promise<Outcome<Assigned>> | null = null;
  #saving: Promise<SaveOutcome> | null = null;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const boot = this.#boot;
    if (!boot) return;
    if (this.#runtime.running) ctx.blockConcurrencyWhile(() => this.#rehydrate(boot));
    else this.#state = "gone";
  }

  boot(plan: BootPlan): Promise<Outcome<Started>> {
    if (this.#booting) return this.#booting;
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
    this.#holder = { tenantId, epoch };
    this.#assigning = this.#provision(boot, assignment).finally(() => {
      this.#assigning = null;
    });
    return this.#assigning;
  }

  async quiesce(epoch: Epoch, idleSince?: number): Promise<Outcome<{ busy: boolean }>> {
    const stale = this.#notCurrent(epoch);
    if (stale) return stale;
    if (idleSince !== undefined && (this.#open.count > 0 || this.#lastActivityAt > idleSince))
      return done({ busy: true });
    if (!this.#move("quiesce")) return failed("container_unavailable", `The container is ${this.#state}.`);
    this.#open.closeSockets();
    return done({ busy: false });
  }

  async save(request: SaveRequest): Promise<SaveOutcome> {
    const stale = this.#notCurrent(request.epoch);
    if (stale) return stale;
    const boot = this.#boot;
    if (!boot || !this.#runtime.running) return failed("container_unavailable", "The container is not running.");
    if (this.#state !== "saving") return failed("invalid_transition", "Admission is open; quiesce first.");
    if (boot.plan.workload.volumes.state === undefined) return done(null);
    if (this.#saving) return this.#saving; // the same Tenant asks again after a lost reply
    const vault = vaultOf(this.env, this.#holder?.tenantId as TenantId);
    const ref = { epoch: request.epoch, incarnation: boot.plan.containerId, saveId: request.saveId };
    this.#saving = saveState(new Inside(this.#runtime, boot), vault, ref, request).finally(() => {
      this.#saving = null;
    });
    const outcome = await this.#saving;
    if (!outcome.ok && !this.#runtime.running) return failed("container_unavailable", outcome.failure.detail);
    return outcome;
  }

  async resume(epoch: Epoch, next: Epoch): Promise<Outcome<null>> {
    const boot = this.#boot;
    const holder = this.#holder;
    if (holder?.epoch === next && this.#state === "assigned") return done(null);
    const stale = this.#notCurrent(epoch);
    if (stale) return stale;
    if (!boot || !holder || !this.#runtime.running)
      return failed("container_unavailable", "The container is not running.");
    this.#holder = { ...holder, epoch: next };
    const { workload } = boot.plan;
    if (workload.volumes.state) {
      const fenced = await this.#openStorage(boot, holder.tenantId, next, "resume");
      if (!fenced.ok) return fenced;
    }
    const inside = new Inside(this.#runtime, boot);
    const started = await inside.control.start();
    if (!started.ok) return started;
    const ready = await workloadReady(inside, boot.plan.startTimeoutMs);
    if (!ready.ok) return ready;
    this.#move("reopen");
    return done(null);
  }

  async observe(): Promise<Observation> {
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

  async describe(): Promise<Outcome<ContainerView>> {
    const boot = this.#boot;
    if (!boot || !this.#runtime.running) return failed("not_found", "There is no such container.");
    const { containerId, poolId, workload, tier } = boot.plan;
    return done({
      id: containerId,
      durableObjectId: this.ctx.id.toString(),
      poolId,
      workloadId: workload.id,
      ...(this.#holder ? { tenantId: this.#holder.tenantId, epoch: this.#holder.epoch } : {}),
      state: this.#state,
      tier,
      image: workload.image,
      startedAt: new Date(boot.startedAt).toISOString(),
    });
  }

  async retire(reason: string): Promise<Outcome<null>> {
    this.#move("retire");
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
    const open = () => this.#openStorage(boot, assignment.tenantId, assignment.epoch, "assign");
    const outcome = await provision(inside, assignment, open).catch((error) =>
      failed("operation_interrupted", messageOf(error)),
    );
    if (!outcome.ok) {
      this.#move("failed");
      return outcome;
    }
    if (!this.#move("assigned"))
      return failed("container_unavailable", "The container was retired while it was assigned.");
    this.#holder = { tenantId: assignment.tenantId, epoch: assignment.epoch, assigned: outcome.value };
    this.#hooks.onActivity();
    return outcome;
  }

  /** Registers the tenant's storage with the container and fences it against every older epoch, side by side. */
  async #openStorage(boot: BootRecord, tenantId: TenantId, epoch: Epoch, why: "assign" | "resume") {
    const incarnation = boot.plan.containerId;
    const [fenced] = await Promise.all([
      vaultOf(this.env, tenantId).fence(epoch, incarnation),
      this.#intercept(boot, tenantId, epoch),
    ]);
    return fenced.ok ? fenced : failed(fenced.failure.code, `${why}: ${fenced.failure.detail}`);
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
    try {
      const holder = await poolOf(this.env, boot.plan.poolId).holder(boot.plan.containerId);
      if (!holder) {
        this.#state = "warm";
        return;
      }
      const owned = await tenantOf(this.env, holder.tenantId).servedBy(boot.plan.containerId);
      if (owned === null) {
        this.#leasedTo = holder;
        this.#state = "warm"; // leased but not served yet: its tenant assigns it again
        return;
      }
      this.#holder = { tenantId: holder.tenantId, epoch: owned };
      this.#state = "assigned";
      this.#hooks.onActivity();
      if (boot.plan.workload.volumes.state) await this.#intercept(boot, holder.tenantId, owned);
    } catch (error) {
      console.error("instance: cannot learn whom it serves", messageOf(error));
      this.#state = "failed";
    }
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

  /** Why this container does nothing for an epoch. One that is gone says so: whoever asks would otherwise wait for it for ever. */
  #notCurrent(epoch: Epoch): { ok: false; failure: Failure } | null {
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
