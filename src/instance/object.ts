import { DurableObject } from "cloudflare:workers";
import { messageOf, sleep, within } from "../durable/deadline.ts";
import { Document } from "../durable/document.ts";
import type { FileAnswers, FileRequest } from "../files/types.ts";
import type { Epoch } from "../ids.ts";
import { fullBucket, take } from "../limits/bucket.ts";
import { log } from "../log.ts";
import { done, failed, type Outcome } from "../outcome.ts";
import { OpenRequests } from "../proxy/open-requests.ts";
import { runtimeFor } from "../runtime/select.ts";
import { Activity } from "./activity.ts";
import { Assigning } from "./assigning.ts";
import { Draining } from "./draining.ts";
import type { WorkloadExit } from "./ending.ts";
import { Commands, commandsRefused, type ExecAnswer, type ExecRequest } from "./exec.ts";
import { Files } from "./files.ts";
import { Life } from "./life.ts";
import { NamedWrites } from "./named-writes.ts";
import { isProxied, type ProxyHooks, serveProxied } from "./proxy.ts";
import type { BootRecord } from "./record.ts";
import { Restarting } from "./restarting.ts";
import { Saves } from "./saves.ts";
import { Settling } from "./settling.ts";
import { SpecSyncs } from "./spec-syncs.ts";
import type { Started } from "./start.ts";
import { Starting } from "./starting.ts";
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
import { Upkeep } from "./upkeep.ts";
import { Watch } from "./watch.ts";

/** Init has one to make when its workload ended, which it starts again with growing pauses. */
const REPORTS_A_MINUTE = 30;
/** For the end of a container; asked for again after that. */
const DESTROY_MS = 15_000;
/** For what an alarm asks others, after its look at the container. */
const TEND_MS = 1_000;

/** One container. What it stores is how it was started; whom it serves, and all that is open, lives in memory. */
export class Instance extends DurableObject<Env> implements InstanceApi {
  readonly #record = new Document<BootRecord>(this.ctx.storage.sql, "instance");
  readonly #runtime = runtimeFor(this.ctx, this.env);
  readonly #life = new Life(this.#runtime, this.#record.read(), new Activity(this.ctx.storage.sql));
  readonly #upkeep = new Upkeep(this.ctx.storage, this.env, this.#life);
  readonly #watch = new Watch(this.#life, (end) => this.ctx.waitUntil(this.#upkeep.tell(end)));
  readonly #storage = new TenantStorage(this.ctx, this.env, this.#life);
  readonly #saves = new Saves(this.env, this.#life, this.#storage);
  readonly #syncs = new SpecSyncs(this.ctx.storage, this.env, this.#life, this.#storage);
  readonly #settling = new Settling(this.env, this.#life, this.#storage);
  readonly #starting = new Starting(this.ctx.storage, this.#record, this.#life, {
    watch: this.#watch,
    upkeep: this.#upkeep,
    reach: this.#storage,
  });
  readonly #assigning = new Assigning(this.env, this.#life, {
    storage: this.#storage,
    syncs: this.#syncs,
    watch: this.#watch,
  });
  readonly #draining = new Draining(this.env, this.#life);
  readonly #open = new OpenRequests();
  readonly #restarting = new Restarting(this.#life, {
    storage: this.#storage,
    saves: this.#saves,
    watch: this.#watch,
    open: this.#open,
  });
  readonly #commands = new Commands(this.#runtime);
  readonly #files = new Files(this.#life, new NamedWrites(this.ctx.storage.sql), () => this.#open.begin());
  #reports = fullBucket(REPORTS_A_MINUTE, Date.now());
  readonly #hooks: ProxyHooks = {
    isCurrent: (tenantId, epoch) => this.#life.isServing(tenantId, epoch),
    onActivity: () => this.#life.touch(),
    onFailure: () => this.ctx.waitUntil(this.#watch.lookSoon()),
    begin: this.#open.begin,
    gatewayToken: () => this.#life.holder?.gatewayToken ?? null,
  };

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    if (this.#life.boot) ctx.blockConcurrencyWhile(() => this.#comeBack());
    // Its record was never confirmed, so that nobody has its keys.
    else if (this.#runtime.running) ctx.waitUntil(this.#destroy("unknown"));
  }

  async boot(plan: BootPlan, notAfter: number): Promise<Outcome<Started>> {
    await this.#settling.settle();
    return this.#starting.boot(plan, notAfter);
  }

  async assign(assignment: Assignment): Promise<Outcome<Assigned>> {
    await this.#settling.settle();
    return this.#assigning.run(assignment);
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
    return this.#restarting.resume(epoch);
  }

  async restart(epoch: Epoch): Promise<Outcome<null>> {
    await this.#settling.settle();
    return this.#restarting.restart(epoch);
  }

  async observe(): Promise<Observation> {
    await this.#settling.settle();
    const look = await this.#watch.look();
    if (this.#life.boot) await this.#upkeep.rearm();
    return {
      state: this.#life.state,
      ...look,
      ...this.#watch.known,
      tenantId: this.#life.holder?.tenantId ?? null,
      epoch: this.#life.holder?.epoch ?? null,
      lastActivityAt: this.#life.lastActivityAt,
      openRequests: this.#open.count,
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
    const refusal = commandsRefused(this.#life.state);
    if (refusal) return { ok: false, failure: refusal };
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

  async drain(waitMs: number): Promise<{ done: boolean }> {
    await this.#settling.settle();
    return this.#draining.run(waitMs);
  }

  async workloadExited(exit: WorkloadExit): Promise<boolean> {
    const { bucket, waitMs } = take(this.#reports, REPORTS_A_MINUTE, Date.now());
    this.#reports = bucket;
    if (waitMs > 0) return false;
    await this.#watch.workloadExited(exit);
    return true;
  }

  async retire(reason: string): Promise<Outcome<null>> {
    this.#life.move("retire");
    this.#watch.stop();
    this.#open.closeSockets();
    const gone = await this.#destroy(reason);
    if (!gone.ok) return gone;
    this.#life.move("ended");
    this.#life.boot = null;
    await this.ctx.storage.deleteAlarm();
    await this.ctx.storage.deleteAll();
    return done(null);
  }

  override async alarm(): Promise<void> {
    let dueAt: number | null = null;
    try {
      await this.#ring();
      dueAt = this.#watch.dueAt;
    } catch (error) {
      log.warn("an Instance could not look after its container", { error: messageOf(error) });
    }
    if (this.#life.boot) this.#upkeep.arm(Date.now(), dueAt);
  }

  /** The proxied hot path: one look at memory, then the container. */
  override async fetch(request: Request): Promise<Response> {
    if (!isProxied(request)) return new Response(null, { status: 404 });
    if (this.#settling.isUnsettled) await this.#settling.settle();
    return serveProxied(request, { runtime: this.#runtime, hooks: this.#hooks, env: this.env });
  }

  /** The object came to memory and has a container, or had one. */
  async #comeBack(): Promise<void> {
    // What fails here is asked again by the first call, which fails with it: no answer is not death.
    if (this.#runtime.running) await this.#settling.begin().catch(() => {});
    else this.#life.state = "gone";
    await this.#upkeep.rearm();
    this.#watch.comeBack();
  }

  /** The alarm: what everybody else may have missed. */
  async #ring(): Promise<void> {
    const { boot } = this.#life;
    if (!boot) return;
    await this.#settling.settle();
    const tended = this.#tend(boot);
    await this.#watch.ring();
    // Who does not answer here must not make the next health check late: the rest of it goes on by itself.
    await Promise.race([tended, sleep(TEND_MS)]);
  }

  async #tend(boot: BootRecord): Promise<void> {
    if (this.#life.end) await this.#upkeep.tell(this.#life.end);
    if (!(await this.#upkeep.isOrphan())) return;
    if ((await this.retire("nobody has it")).ok) await this.#upkeep.free(boot);
  }

  async #destroy(reason: string): Promise<Outcome<null>> {
    try {
      await within(DESTROY_MS, "the end of the container", this.#runtime.destroy(reason));
      return done(null);
    } catch (error) {
      return failed("operation_interrupted", messageOf(error));
    }
  }
}
