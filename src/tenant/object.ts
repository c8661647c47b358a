import { DurableObject } from "cloudflare:workers";
import { ownHead } from "../audit/owner.ts";
import type { OwnHead } from "../audit/verify.ts";
import { type By, SYSTEM } from "../auth/principal.ts";
import { configOf } from "../config.ts";
import { COOLDOWN } from "../durable/cadence.ts";
import { within } from "../durable/deadline.ts";
import { Outbox } from "../durable/outbox.ts";
import { instanceOf, vaultOf } from "../durable/stubs.ts";
import { type ContainerId, type Epoch, type Generation, parseTenantId, type TenantId } from "../ids.ts";
import type { ContainerEnd, SpecProgress } from "../instance/types.ts";
import { done, type Failure, failed, type Outcome } from "../outcome.ts";
import type { Committed } from "../vault/types.ts";
import type { AdmissionKind } from "./admissions.ts";
import { Admitting } from "./admitting.ts";
import { nextAlarm } from "./alarms.ts";
import { actionAnswer, claimAnswer, releaseAnswer } from "./answers.ts";
import { LostRecord } from "./lost-record.ts";
import { Machine } from "./machine.ts";
import { importer } from "./operation-id.ts";
import { view } from "./planning.ts";
import { givenBy, preparedAction, preparedChange, wrappedAnew } from "./preparation.ts";
import { deliver, projected } from "./projection.ts";
import type { TenantRecord } from "./record.ts";
import { roomWithin } from "./room.ts";
import { routeOf } from "./route.ts";
import { savesOf, settingsOf, standsAs, statusOf } from "./status.ts";
import { TenantStore } from "./store.ts";
import { NO_SYNCS, type SyncRun, stateOf } from "./syncs.ts";
import type {
  Action,
  ActionAnswer,
  Admission,
  Awaited,
  Change,
  ClaimAnswer,
  ClaimRequest,
  ConfigVersion,
  FileGrant,
  FileNote,
  ImportGrant,
  ImportRequest,
  OperationView,
  ReleaseAnswer,
  ReleaseRequest,
  Route,
  Served,
  Settings,
  TenantAccess,
  TenantApi,
  TenantStanding,
  TenantStatus,
  TenantSyncState,
  UpgradeAnswer,
} from "./types.ts";
import { standingOf } from "./upgrade.ts";

/** How often a change that was made from a version of the secrets is made again from the next one. */
const CHANGE_ATTEMPTS = 3;
const PROGRESS_MS = 2_000;

/** One tenant's lifecycle. Single writer of everything in `store.ts`; every effect carries the epoch that it acts for. */
export class Tenant extends DurableObject<Env> implements TenantApi {
  readonly #store = new TenantStore(this.ctx.storage);
  readonly #outbox = new Outbox(
    (work) => this.ctx.waitUntil(work),
    () => deliver(this.env.DB, this.#store),
  );
  readonly #machine = new Machine(this.ctx, this.env, this.#store, () => this.#outbox.soon());
  readonly #lost = new LostRecord(this.env, parseTenantId(this.ctx.id.name ?? ""), this.#store, this.#machine);
  readonly #admitting = new Admitting(this.ctx.storage, this.#store);

  async claim(request: ClaimRequest, waitMs: number, by: By): Promise<Outcome<Awaited<ClaimAnswer>>> {
    const unknown = await this.#lost.unknown();
    if (unknown) return unknown;
    const { config, secrets, publicUrl } = request;
    const given = config !== undefined || secrets !== undefined || publicUrl !== undefined;
    const delivery = given ? await givenBy(this.env, this.#store, request) : null;
    await this.#machine.look(); // an existing claim is an answer about a container that is there
    const event = {
      type: "claim" as const,
      poolId: request.poolId ?? null,
      delivery,
      allowFresh: request.allowFresh === true,
      ...(request.capacityWaitMs === undefined ? {} : { capacityWaitMs: request.capacityWaitMs }),
    };
    return this.#machine.ask(request.tenantId, event, by, waitMs, (record) =>
      record.held ? claimAnswer(record, record.held, "existing") : null,
    );
  }

  async release(
    tenantId: TenantId,
    request: ReleaseRequest,
    waitMs: number,
    by: By,
  ): Promise<Outcome<Awaited<ReleaseAnswer>>> {
    await this.#lost.findIfKnown();
    if (!this.#record()) return neverSeen(tenantId);
    return this.#machine.ask(tenantId, { type: "release", request }, by, waitMs, (record) =>
      releaseAnswer(record, null),
    );
  }

  async act(tenantId: TenantId, action: Action, waitMs: number, by: By): Promise<Outcome<Awaited<ActionAnswer>>> {
    await this.#lost.findIfKnown();
    const record = this.#record();
    if (!record) return neverSeen(tenantId);
    const planned = await preparedAction(this.env, record, action);
    if (!planned.ok) return planned;
    const event = { type: "act" as const, action: { ...planned.value, capacityWaitMs: roomWithin(waitMs) }, by };
    return this.#machine.ask(tenantId, event, by, waitMs, (after) => actionAnswer(after, null));
  }

  async upgrade(toVersion: number): Promise<UpgradeAnswer> {
    await this.#lost.findIfKnown();
    const record = this.#store.load();
    const standing = standingOf(record, toVersion);
    if (standing !== null) return standing;
    const action = { kind: "restart", scope: "image", minWorkloadVersion: toVersion } as const;
    const { planned, fresh } = this.#machine.take({ type: "act", action, by: SYSTEM }, null, SYSTEM);
    return planned.kind === "go" && fresh
      ? { kind: "begun", operationId: fresh.operationId }
      : { kind: "later", state: record?.state ?? null };
  }

  async beginImport(tenantId: TenantId, request: ImportRequest, by: By): Promise<Outcome<ImportGrant>> {
    const unknown = await this.#lost.unknown();
    if (unknown) return unknown;
    const { planned } = this.#machine.take({ type: "import", request }, tenantId, by);
    if (planned.kind === "refuse") return { ok: false, failure: planned.failure };
    const record = planned.kind === "go" ? planned.record : null;
    const operation = record?.operation;
    if (!record || !operation?.saveId || !operation.import) return failed("internal", "An import waits for nothing.");
    const save = { epoch: operation.import.epoch, incarnation: importer(operation.id), saveId: operation.saveId };
    return done({ operation: view(record, operation), save, deadlineAt: operation.deadlineAt });
  }

  async endImport(operationId: string, outcome: Outcome<Committed>): Promise<Outcome<ActionAnswer>> {
    this.#machine.take({ operationId, type: "imported", outcome }, null, SYSTEM);
    const ended = this.#store.operation(operationId);
    if (!ended) return failed("not_found", `There is no operation ${operationId}.`);
    if (ended.status === "succeeded") return done(ended.result as ActionAnswer);
    const error = ended.error ?? { code: "operation_interrupted", detail: "The import was called off." };
    return { ok: false, failure: error };
  }

  async pin(tenantId: TenantId, generation: Generation, pinned: boolean, by: By): Promise<Outcome<null>> {
    await this.#lost.findIfKnown();
    if (!this.#record()) return neverSeen(tenantId);
    const outcome = await vaultOf(this.env, tenantId).pin(generation, { pinned });
    return outcome.ok
      ? this.note(tenantId, pinned ? "tenant.generation_pinned" : "tenant.generation_unpinned", { generation }, by)
      : outcome;
  }

  async note(tenantId: TenantId, action: string, detail: Record<string, unknown>, by: By): Promise<Outcome<null>> {
    await this.#lost.findIfKnown();
    if (!this.#record()) return neverSeen(tenantId);
    this.#machine.take({ type: "noted", entry: { type: action, detail } }, null, by);
    return done(null);
  }

  async change(tenantId: TenantId, change: Change, ifMatch: number | null, by: By): Promise<Outcome<Settings>> {
    await this.#lost.findIfKnown();
    for (let attempt = 1; ; attempt += 1) {
      const record = this.#record();
      if (!record) return neverSeen(tenantId);
      const prepared = await preparedChange(this.env, this.#store, record, change);
      if (!prepared.ok) return prepared;
      const { planned } = this.#machine.take({ type: "change", change: prepared.value, ifMatch }, null, by);
      if (planned.kind === "go") return this.settings(tenantId);
      if (planned.kind === "wait") return failed("internal", "A change waits for nothing.");
      const isStale = planned.failure.code === "version_mismatch" && ifMatch === null;
      if (!isStale || attempt === CHANGE_ATTEMPTS) return { ok: false, failure: planned.failure };
    }
  }

  async settings(tenantId: TenantId): Promise<Outcome<Settings>> {
    await this.#lost.findIfKnown();
    const record = this.#record();
    if (!record) return neverSeen(tenantId);
    const [latest] = record.delivery.configVersion === 0 ? [] : this.#store.configs();
    return done(settingsOf(record, latest ?? null));
  }

  async configs(tenantId: TenantId): Promise<Outcome<ConfigVersion[]>> {
    await this.#lost.findIfKnown();
    return this.#record() ? done(this.#store.configs()) : neverSeen(tenantId);
  }

  async access(): Promise<TenantAccess | null> {
    await this.#lost.findIfKnown();
    const record = this.#record();
    return record && { tokenVersion: record.tokenVersion, suspended: record.state === "suspended" };
  }

  async admit(
    kind: AdmissionKind,
    admission: Admission,
    ttlMs: number,
    requestId: string | null = null,
  ): Promise<Outcome<{ secret: string }>> {
    await this.#lost.findIfKnown();
    const record = this.#record();
    if (!record) return failed("not_found", "There is no such tenant.");
    const now = Date.now();
    const when = { ttlMs, requestId, now, deliverAt: now + COOLDOWN.delivery };
    const issued = this.#admitting.issue(record, kind, admission, when);
    if (issued.ok) this.#outbox.soon();
    return issued;
  }

  async redeem(kind: AdmissionKind, secret: string): Promise<Admission | null> {
    await this.#lost.findIfKnown();
    if (!this.#record()) return null;
    return this.#admitting.redeem(kind, secret, Date.now());
  }

  async noteFiles(tenantId: TenantId, note: FileNote, by: By): Promise<Outcome<FileGrant>> {
    await this.#lost.findIfKnown();
    if (!this.#record()) return neverSeen(tenantId);
    const { planned } = this.#machine.take({ type: "files", note }, null, by);
    if (planned.kind === "refuse") return { ok: false, failure: planned.failure };
    const held = planned.kind === "go" ? planned.record.held : null;
    if (!held) return failed("internal", "A note of files waits for nothing.");
    return done({ containerId: held.containerId, epoch: held.epoch });
  }

  async status(tenantId: TenantId): Promise<Outcome<TenantStatus>> {
    await this.#lost.findIfKnown();
    const record = this.#record();
    if (!record) return neverSeen(tenantId);
    return done(statusOf(record, Date.now()));
  }

  async syncState(tenantId: TenantId, specId: string): Promise<Outcome<TenantSyncState>> {
    await this.#lost.findIfKnown();
    const record = this.#record();
    if (!record) return neverSeen(tenantId);
    const { syncs, operation, held } = record;
    const ofOperation = operation?.syncs?.todo[0] === specId ? operation.syncs : null;
    const running = syncs?.running?.specId === specId ? syncs.running : ofOperation;
    const progress = running && held ? await this.#progress(held.containerId, running.runId) : null;
    return done({
      tenantId,
      state: stateOf(syncs ?? NO_SYNCS, specId),
      pending: held !== null && syncs?.specs.find(({ id }) => id === specId)?.outward === true,
      saves: { tenantId, ...(operation ? { operation: view(record, operation) } : {}), syncStatus: savesOf(record) },
      running: running && { startedAt: running.startedAt, progress },
    });
  }

  /** Null when nobody says so in time. */
  async #progress(containerId: ContainerId, runId: string): Promise<SpecProgress | null> {
    return within(PROGRESS_MS, "progress", instanceOf(this.env, containerId).syncProgress(runId)).catch(() => null);
  }

  async syncRuns(specId: string, until: number, limit: number): Promise<SyncRun[]> {
    await this.#lost.findIfKnown();
    return this.#store.syncs.list(specId, until, limit);
  }

  async cancelSync(tenantId: TenantId, specId: string, by: By): Promise<Outcome<null>> {
    await this.#lost.findIfKnown();
    if (!this.#record()) return neverSeen(tenantId);
    const { planned, finished } = this.#machine.take({ type: "cancel_sync", specId }, null, by);
    if (planned.kind === "refuse") return { ok: false, failure: planned.failure };
    await finished;
    return done(null);
  }

  async operation(id: string): Promise<Outcome<OperationView>> {
    await this.#lost.findIfKnown();
    const record = this.#record();
    if (record?.operation?.id === id) return done(view(record, record.operation));
    const ended = this.#store.operation(id);
    return ended
      ? done(ended)
      : failed("not_found", `There is no operation ${id}; ended ones are kept for a while only.`);
  }

  async route(
    tenantId: TenantId,
    stale: { containerId: ContainerId; epoch: Epoch } | null,
    waitMs: number,
  ): Promise<Route> {
    await this.#lost.findIfKnown();
    const record = this.#record();
    if (!record) return { kind: "failed", failure: neverSeen(tenantId).failure };
    if (stale?.containerId === record.held?.containerId && stale?.epoch === record.held?.epoch) {
      await this.#machine.look();
    }
    const deadline = Date.now() + waitMs;
    for (;;) {
      const route = routeOf(this.#record() ?? record);
      if (route !== "pending") return route;
      const left = deadline - Date.now();
      const answer = left > 0 ? await this.#machine.ask(tenantId, { type: "wake" }, SYSTEM, left, settled) : null;
      if (answer && !answer.ok) return { kind: "failed", failure: answer.failure };
      if (answer?.value.kind !== "done") return this.#starting();
    }
  }

  async owns(containerId: ContainerId, epoch: Epoch): Promise<boolean | null> {
    await this.#lost.find();
    const record = this.#record();
    if (!record) return false;
    if (record.held) return record.held.containerId === containerId;
    return record.operation !== null && record.epoch === epoch ? null : false;
  }

  async drain(containerId: ContainerId, waitMs: number): Promise<boolean> {
    await this.#lost.findIfKnown();
    const { tenantId } = this.#record() ?? {};
    if (tenantId === undefined) return true;
    await this.#machine.ask(tenantId, { type: "drain", containerId }, SYSTEM, waitMs, () => ({}));
    const record = this.#record();
    // What a guard refused is in the vault already, aside.
    return record?.held?.containerId !== containerId || record.hold?.kind === "guard";
  }

  async ended(containerId: ContainerId, _epoch: Epoch, _end: ContainerEnd): Promise<void> {
    await this.#lost.findIfKnown();
    if (this.#record()?.held?.containerId === containerId) await this.#machine.look();
  }

  async servedBy(containerId: ContainerId): Promise<Served | null> {
    await this.#lost.find();
    const record = this.#record();
    if (record?.held?.containerId !== containerId) return null;
    const { epoch, gateway } = record.held;
    return { epoch, admission: record.state === "active" ? "open" : "closed", ...(gateway ? { gateway } : {}) };
  }

  async touch(mode: "look" | "mend"): Promise<TenantStanding | null> {
    if (mode === "mend") await this.#lost.find();
    const record = this.#store.load();
    if (!record) return null;
    const alarm = await this.#store.alarm.standing(nextAlarm(record, Date.now(), 0));
    if (alarm === "lost" && mode === "mend") {
      this.#store.alarm.rang();
      this.#store.alarm.arm(nextAlarm(this.#store.load() ?? record, Date.now(), Math.random()));
    }
    return { ...standsAs(record), alarm };
  }

  async project(): Promise<Outcome<null>> {
    await this.#lost.findIfKnown();
    while ((await deliver(this.env.DB, this.#store)) === "more");
    const record = this.#record(); // read with the number that it is sent under
    if (!record) return failed("not_found", "There is no such tenant.");
    await projected(this.env.DB, record, this.#store).run();
    return done(null);
  }

  async chain(): Promise<OwnHead> {
    return ownHead(this.ctx.storage.sql);
  }

  async rewrap(): Promise<Outcome<{ rewrapped: boolean }>> {
    await this.#lost.findIfKnown();
    const record = this.#record();
    if (!record?.secrets) return done({ rewrapped: false });
    const { secrets, tenantId } = record;
    const wrapped = await wrappedAnew(configOf(this.env), tenantId, secrets.key);
    if (!wrapped.ok) return wrapped;
    const key = wrapped.value;
    if (!key) return done({ rewrapped: false });
    const change = { kind: "rewrap" as const, key, before: secrets.version };
    const { planned } = this.#machine.take({ type: "change", change, ifMatch: null }, null, SYSTEM);
    return planned.kind === "refuse" ? { ok: false, failure: planned.failure } : done({ rewrapped: true });
  }

  override async alarm(): Promise<void> {
    this.#store.alarm.rang();
    this.#machine.tick();
    if (this.#store.journal.pending(1).length > 0) this.#outbox.soon();
  }

  /** Null for a tenant that never was. Whoever asks also finds out whether the alarm got lost. */
  #record(): TenantRecord | null {
    const record = this.#store.load();
    if (record) this.#machine.rearm(record);
    return record;
  }

  #starting(): Route {
    const record = this.#record();
    if (record?.operation) return { kind: "starting", operation: view(record, record.operation) };
    return {
      kind: "failed",
      failure: { code: "starting", detail: "The container is being prepared.", retryAfterMs: 1_000 },
    };
  }
}

/** Null where a request would wait for something that is not under way. */
const settled = (record: TenantRecord): object | null => (routeOf(record) === "pending" ? null : {});

const neverSeen = (tenantId: TenantId): { ok: false; failure: Failure } =>
  failed("not_found", `There is no tenant ${tenantId}.`);
