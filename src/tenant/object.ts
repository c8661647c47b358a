import { DurableObject } from "cloudflare:workers";
import { ownHead } from "../audit/owner.ts";
import type { OwnHead } from "../audit/verify.ts";
import { type By, SYSTEM } from "../auth/principal.ts";
import { COOLDOWN } from "../durable/cadence.ts";
import { Outbox } from "../durable/outbox.ts";
import { vaultOf } from "../durable/stubs.ts";
import { type ContainerId, type Epoch, type Generation, parseTenantId, type TenantId } from "../ids.ts";
import type { ContainerEnd } from "../instance/types.ts";
import { detached, done, failed, type Outcome } from "../outcome.ts";
import type { Committed } from "../vault/types.ts";
import type { AdmissionKind } from "./admissions.ts";
import { Admitting } from "./admitting.ts";
import { actionAnswer, claimAnswer, releaseAnswer } from "./answers.ts";
import { LostRecord } from "./lost-record.ts";
import { Machine } from "./machine.ts";
import { importer } from "./operation-id.ts";
import { neverSeen, view } from "./planning.ts";
import { givenBy, preparedAction, preparedChange } from "./preparation.ts";
import { deliver } from "./projection.ts";
import type { Action, Admission, Change, ClaimRequest, FileNote, ImportRequest, ReleaseRequest } from "./requests.ts";
import { roomWithin } from "./room.ts";
import { Serving } from "./serving.ts";
import { settingsOf, statusOf } from "./status.ts";
import { TenantStore } from "./store.ts";
import { syncStateOf } from "./sync-state.ts";
import type { SyncRun } from "./syncs.ts";
import type {
  Awaited,
  FileGrant,
  ImportGrant,
  Route,
  Served,
  TenantAccess,
  TenantApi,
  TenantStanding,
  UpgradeAnswer,
} from "./types.ts";
import { standingOf } from "./upgrade.ts";
import { Upkeep } from "./upkeep.ts";
import type {
  ActionAnswer,
  ClaimAnswer,
  ConfigVersion,
  OperationView,
  ReleaseAnswer,
  Settings,
  TenantStatus,
  TenantSyncState,
} from "./views.ts";

/** How often a change that was made from a version of the secrets is made again from the next one. */
const CHANGE_ATTEMPTS = 3;

/** One tenant's lifecycle. Single writer of everything in `store.ts`; every effect carries the epoch that it acts for. */
export class Tenant extends DurableObject<Env> implements TenantApi {
  readonly #store = new TenantStore(this.ctx.storage);
  readonly #outbox = new Outbox(
    (work) => this.ctx.waitUntil(work),
    () => deliver(this.env.DB, this.#store),
  );
  readonly #machine = new Machine(this.ctx, this.env, this.#store, () => this.#outbox.soon());
  readonly #lost = new LostRecord(this.env, parseTenantId(this.ctx.id.name ?? ""), this.#store, this.#machine);
  readonly #serving = new Serving(this.#machine, this.#lost);
  readonly #upkeep = new Upkeep(this.env, this.#store, this.#machine, this.#lost);
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
    if (!(await this.#lost.known())) return neverSeen(tenantId);
    return this.#machine.ask(tenantId, { type: "release", request }, by, waitMs, (record) =>
      releaseAnswer(record, null),
    );
  }

  async act(tenantId: TenantId, action: Action, waitMs: number, by: By): Promise<Outcome<Awaited<ActionAnswer>>> {
    const record = await this.#lost.known();
    if (!record) return neverSeen(tenantId);
    const planned = await preparedAction(this.env, record, action);
    if (!planned.ok) return planned;
    const event = { type: "act" as const, action: { ...planned.value, capacityWaitMs: roomWithin(waitMs) }, by };
    return this.#machine.ask(tenantId, event, by, waitMs, (after) => actionAnswer(after, null));
  }

  async upgrade(toVersion: number): Promise<UpgradeAnswer> {
    const record = await this.#lost.known();
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
    if (!(await this.#lost.known())) return neverSeen(tenantId);
    const outcome = await vaultOf(this.env, tenantId).pin(generation, { pinned });
    return outcome.ok
      ? this.note(tenantId, pinned ? "tenant.generation_pinned" : "tenant.generation_unpinned", { generation }, by)
      : detached(outcome);
  }

  async note(tenantId: TenantId, action: string, detail: Record<string, unknown>, by: By): Promise<Outcome<null>> {
    if (!(await this.#lost.known())) return neverSeen(tenantId);
    this.#machine.take({ type: "noted", entry: { type: action, detail } }, null, by);
    return done(null);
  }

  async change(tenantId: TenantId, change: Change, ifMatch: number | null, by: By): Promise<Outcome<Settings>> {
    await this.#lost.findIfKnown();
    for (let attempt = 1; ; attempt += 1) {
      const record = this.#machine.record();
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
    const record = await this.#lost.known();
    if (!record) return neverSeen(tenantId);
    const [latest] = record.delivery.configVersion === 0 ? [] : this.#store.configs();
    return done(settingsOf(record, latest ?? null));
  }

  async configs(tenantId: TenantId): Promise<Outcome<ConfigVersion[]>> {
    return (await this.#lost.known()) ? done(this.#store.configs()) : neverSeen(tenantId);
  }

  async access(): Promise<TenantAccess | null> {
    const record = await this.#lost.known();
    return record && { tokenVersion: record.tokenVersion, suspended: record.state === "suspended" };
  }

  async admit(
    kind: AdmissionKind,
    admission: Admission,
    ttlMs: number,
    requestId: string | null = null,
  ): Promise<Outcome<{ secret: string }>> {
    const record = await this.#lost.known();
    if (!record) return failed("not_found", "There is no such tenant.");
    const now = Date.now();
    const when = { ttlMs, requestId, now, deliverAt: now + COOLDOWN.delivery };
    const issued = this.#admitting.issue(record, kind, admission, when);
    if (issued.ok) this.#outbox.soon();
    return issued;
  }

  async redeem(kind: AdmissionKind, secret: string): Promise<Admission | null> {
    if (!(await this.#lost.known())) return null;
    return this.#admitting.redeem(kind, secret, Date.now());
  }

  async noteFiles(tenantId: TenantId, note: FileNote, by: By): Promise<Outcome<FileGrant>> {
    if (!(await this.#lost.known())) return neverSeen(tenantId);
    const { planned } = this.#machine.take({ type: "files", note }, null, by);
    if (planned.kind === "refuse") return { ok: false, failure: planned.failure };
    const held = planned.kind === "go" ? planned.record.held : null;
    if (!held) return failed("internal", "A note of files waits for nothing.");
    return done({ containerId: held.containerId, epoch: held.epoch });
  }

  async status(tenantId: TenantId): Promise<Outcome<TenantStatus>> {
    const record = await this.#lost.known();
    if (!record) return neverSeen(tenantId);
    return done(statusOf(record, Date.now()));
  }

  async syncState(tenantId: TenantId, specId: string): Promise<Outcome<TenantSyncState>> {
    const record = await this.#lost.known();
    if (!record) return neverSeen(tenantId);
    return done(await syncStateOf(this.env, record, specId));
  }

  async syncRuns(specId: string, until: number, limit: number): Promise<SyncRun[]> {
    await this.#lost.findIfKnown();
    return this.#store.syncs.list(specId, until, limit);
  }

  async cancelSync(tenantId: TenantId, specId: string, by: By): Promise<Outcome<null>> {
    if (!(await this.#lost.known())) return neverSeen(tenantId);
    const { planned, finished } = this.#machine.take({ type: "cancel_sync", specId }, null, by);
    if (planned.kind === "refuse") return { ok: false, failure: planned.failure };
    await finished;
    return done(null);
  }

  async operation(id: string): Promise<Outcome<OperationView>> {
    const record = await this.#lost.known();
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
    return this.#serving.route(tenantId, stale, waitMs);
  }
  async owns(containerId: ContainerId, epoch: Epoch): Promise<boolean | null> {
    return this.#serving.owns(containerId, epoch);
  }
  async drain(containerId: ContainerId, waitMs: number): Promise<boolean> {
    return this.#serving.drain(containerId, waitMs);
  }
  async ended(containerId: ContainerId, _epoch: Epoch, _end: ContainerEnd): Promise<void> {
    return this.#serving.ended(containerId);
  }
  async servedBy(containerId: ContainerId): Promise<Served | null> {
    return this.#serving.servedBy(containerId);
  }

  async touch(mode: "look" | "mend"): Promise<TenantStanding | null> {
    return this.#upkeep.touch(mode);
  }
  async project(): Promise<Outcome<null>> {
    return this.#upkeep.project();
  }
  async rewrap(): Promise<Outcome<{ rewrapped: boolean }>> {
    return this.#upkeep.rewrap();
  }
  async chain(): Promise<OwnHead> {
    return ownHead(this.ctx.storage.sql);
  }

  override async alarm(): Promise<void> {
    this.#store.alarm.rang();
    this.#machine.tick();
    if (this.#store.journal.pending(1).length > 0) this.#outbox.soon();
  }
}
