import { DurableObject } from "cloudflare:workers";
import { messageOf } from "../durable/deadline.ts";
import type { Epoch, Generation } from "../ids.ts";
import { log } from "../log.ts";
import type { Outcome } from "../outcome.ts";
import { collect } from "./collect.ts";
import { Entries } from "./entries.ts";
import { erase } from "./erase.ts";
import { Garbage } from "./garbage.ts";
import * as objects from "./objects.ts";
import type { VaultParts } from "./parts.ts";
import * as saving from "./saving.ts";
import { Staging } from "./staging.ts";
import type {
  Actor,
  BundleBatch,
  ListQuery,
  NewObject,
  NewUpload,
  ObjectMetadata,
  OnlyIf,
  PageCursor,
  UploadPart,
  VaultStorage,
} from "./storage.ts";
import { VaultStore } from "./store.ts";
import type {
  Committed,
  GenerationSummary,
  ManifestEntry,
  OpenAnswer,
  SaveRef,
  VaultApi,
  VaultDescription,
} from "./types.ts";
import { Uploads } from "./uploads.ts";

const RETRY_MS = 10 * 60 * 1000;

/**
 * One tenant's saved state: the only writer of its generations, file index and small contents. Thin: `plan.ts`, `assemble.ts` and `tree.ts` decide,
 * `saving.ts` and `objects.ts` are the actions, each of which compares the epoch in the one transaction of its effect.
 */
export class Vault extends DurableObject<Env> implements VaultApi, VaultStorage {
  readonly #parts: VaultParts;
  /** When the alarm will fire; undefined until asked. */
  #alarmAt: number | null | undefined;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const { sql } = ctx.storage;
    this.#parts = {
      storage: ctx.storage,
      store: new VaultStore(sql),
      entries: new Entries(sql),
      staging: new Staging(sql),
      uploads: new Uploads(sql),
      garbage: new Garbage(sql),
      tenantId: () => this.#tenantId(),
      now: () => Date.now(),
      uuid: () => crypto.randomUUID(),
      arm: (at) => this.#arm(at),
      forgetAlarm: () => {
        this.#alarmAt = undefined;
      },
    };
  }

  async fence(epoch: Epoch, incarnation: string): Promise<Outcome<{ head: GenerationSummary | null }>> {
    await this.#loadAlarm();
    return saving.fence(this.#parts, epoch, incarnation);
  }
  async open(save: SaveRef, manifest: ManifestEntry[]): Promise<Outcome<OpenAnswer>> {
    await this.#loadAlarm();
    return saving.open(this.#parts, save, manifest);
  }
  async commit(save: SaveRef, options: { force: boolean }): Promise<Outcome<Committed>> {
    await this.#loadAlarm();
    return saving.commit(this.#parts, save, options.force);
  }
  async abort(save: SaveRef): Promise<Outcome<null>> {
    await this.#loadAlarm();
    return saving.abort(this.#parts, save);
  }
  async promote(epoch: Epoch, generation?: Generation): Promise<Outcome<Committed>> {
    await this.#loadAlarm();
    return saving.promote(this.#parts, epoch, generation);
  }
  async erase(epoch: Epoch): Promise<Outcome<null>> {
    await this.#loadAlarm();
    return erase(this.#parts, this.env.BUCKET, epoch);
  }
  async describe(): Promise<VaultDescription> {
    return saving.describe(this.#parts);
  }

  async list(actor: Actor, query: ListQuery) {
    return objects.list(this.#parts, actor, query);
  }
  async read(actor: Actor, key: string) {
    return objects.read(this.#parts, actor, key);
  }
  async put(actor: Actor, object: NewObject, body: Uint8Array | null, onlyIf?: OnlyIf[]) {
    return objects.put(this.#parts, actor, object, body, onlyIf);
  }
  async copy(actor: Actor, from: string, to: string, metadata: ObjectMetadata | null, onlyIf?: OnlyIf[]) {
    return objects.copy(this.#parts, actor, from, to, metadata, onlyIf);
  }
  async remove(actor: Actor, keys: string[], onlyIf?: OnlyIf[]) {
    return objects.remove(this.#parts, actor, keys, onlyIf);
  }
  async reserve(actor: Actor, count: number) {
    return objects.reserve(this.#parts, actor, count);
  }
  async beginUpload(actor: Actor, upload: NewUpload) {
    return objects.beginUpload(this.#parts, actor, upload);
  }
  async upload(actor: Actor, object: string) {
    return objects.upload(this.#parts, actor, object);
  }
  async uploads(actor: Actor) {
    return objects.uploads(this.#parts, actor);
  }
  async parts(actor: Actor, object: string) {
    return objects.parts(this.#parts, actor, object);
  }
  async putPart(actor: Actor, object: string, part: UploadPart) {
    return objects.putPart(this.#parts, actor, object, part);
  }
  async dropUpload(actor: Actor, object: string) {
    return objects.dropUpload(this.#parts, actor, object);
  }
  async beginBundle(actor: Actor) {
    return objects.beginBundle(this.#parts, actor);
  }
  async stageBundle(actor: Actor, batch: BundleBatch) {
    return objects.stageBundle(this.#parts, actor, batch);
  }
  async exported(generation: Generation, after: PageCursor | null) {
    return objects.exported(this.#parts, generation, after);
  }
  async page(actor: Actor, generation: Generation, after: PageCursor | null) {
    return objects.page(this.#parts, actor, generation, after);
  }

  /** Collects garbage. A failure is tried again later here: the platform would give up after six attempts. */
  override async alarm(): Promise<void> {
    this.#alarmAt = null;
    try {
      const next = await collect(this.#parts, this.env.BUCKET);
      if (next !== null) this.#arm(next);
    } catch (error) {
      log.error("vault: collection failed", { error: messageOf(error) });
      this.#arm(Date.now() + RETRY_MS);
    }
  }

  #tenantId(): string {
    const { name } = this.ctx.id;
    if (name === undefined) throw new Error("a Vault is addressed by its tenant's name");
    return name;
  }

  async #loadAlarm(): Promise<void> {
    if (this.#alarmAt === undefined) this.#alarmAt = await this.ctx.storage.getAlarm();
  }

  /** Always the earlier of what is due, strictly in the future. Part of the surrounding commit, if there is one. */
  #arm(at: number): void {
    if (typeof this.#alarmAt === "number" && this.#alarmAt <= at) return;
    this.#alarmAt = Math.max(at, Date.now() + 1);
    this.ctx.storage.setAlarm(this.#alarmAt);
  }
}
