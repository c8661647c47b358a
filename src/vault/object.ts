import { DurableObject } from "cloudflare:workers";
import { configOf } from "../config.ts";
import { isLate } from "../durable/alarm.ts";
import { messageOf, within } from "../durable/deadline.ts";
import type { Epoch, Generation } from "../ids.ts";
import { log } from "../log.ts";
import { type Failure, failed, type Outcome } from "../outcome.ts";
import { Bodies } from "./bodies.ts";
import { promised, tend } from "./collect.ts";
import { ContentError } from "./contents.ts";
import { Entries } from "./entries.ts";
import { erase } from "./erase.ts";
import * as files from "./files.ts";
import { fsck } from "./fsck/check.ts";
import { indexMissing, rebuild } from "./fsck/rebuild.ts";
import { Garbage } from "./garbage.ts";
import * as history from "./history.ts";
import { Leases } from "./leases.ts";
import { migrate } from "./migrate.ts";
import * as objects from "./objects.ts";
import { Packs } from "./packs/store.ts";
import * as pages from "./pages.ts";
import { prefixOf, type VaultParts } from "./parts.ts";
import { rebuilding } from "./plan.ts";
import { PACK_SOON_MS } from "./saves.ts";
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
  CommitOptions,
  Committed,
  ErasureProof,
  GenerationSummary,
  ManifestEntry,
  OpenAnswer,
  OpenOptions,
  PageRequest,
  SaveRef,
  VaultApi,
  VaultDescription,
} from "./types.ts";
import { Uploads } from "./uploads.ts";

const RETRY_MS = 10 * 60 * 1000;
/** Within what the platform gives an alarm (15 min): whatever hangs, the next one is set. */
const TEND_MS = 12 * 60 * 1000;

/**
 * One tenant's saved state: the only writer of its generations, file index and small contents. Thin: `plan.ts`, `assemble.ts` and `tree.ts` decide,
 * `saving.ts` and `objects.ts` are the actions, each of which compares the epoch in the one transaction of its effect.
 */
export class Vault extends DurableObject<Env> implements VaultApi, VaultStorage {
  readonly #parts: VaultParts;
  /** Why nothing of it can be read or written; null as a rule. */
  readonly #unusable: { ok: false; failure: Failure } | null;
  /** When the alarm will fire; undefined until asked. */
  #alarmAt: number | null | undefined;
  /** What the alarm does; ended when nothing is under way. */
  #tending: Promise<void> = Promise.resolve();

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#unusable = migrate(ctx.storage);
    const { sql } = ctx.storage;
    this.#parts = {
      storage: ctx.storage,
      store: new VaultStore(sql),
      entries: new Entries(sql),
      staging: new Staging(sql),
      uploads: new Uploads(sql),
      garbage: new Garbage(sql),
      bodies: new Bodies(sql),
      packs: new Packs(sql),
      leases: new Leases(sql),
      bucket: () => env.BUCKET,
      settled: () => this.#tending,
      prefix: () => prefixOf(this.#name()),
      inlineBytes: () => configOf(env).vaultInlineBytes,
      now: () => Date.now(),
      uuid: () => crypto.randomUUID(),
      arm: (at) => this.#arm(at),
      forgetAlarm: () => {
        this.#alarmAt = undefined;
      },
    };
  }

  async fence(epoch: Epoch, incarnation: string): Promise<Outcome<{ head: GenerationSummary | null }>> {
    return this.#answer(async (parts) => {
      // In a first life there is nothing that could have been lost, and a first claim should not wait for R2.
      if (epoch > 1 && (await indexMissing(parts)))
        return failed("restore_failed", "The index of this vault is gone, and R2 holds its generations: rebuild it.");
      return saving.fence(parts, epoch, incarnation);
    });
  }
  async open(save: SaveRef, manifest: ManifestEntry[], options: OpenOptions = {}): Promise<Outcome<OpenAnswer>> {
    return this.#answer((parts) => saving.open(parts, save, manifest, options));
  }
  async commit(save: SaveRef, options: CommitOptions): Promise<Outcome<Committed>> {
    return this.#answer((parts) => saving.commit(parts, save, options));
  }
  async abort(save: SaveRef): Promise<Outcome<null>> {
    return this.#answer((parts) => saving.abort(parts, save));
  }
  async promote(epoch: Epoch, generation?: Generation): Promise<Outcome<Committed>> {
    return this.#answer((parts) => history.promote(parts, epoch, generation));
  }
  async restoreTo(save: SaveRef, generation: Generation): Promise<Outcome<Committed>> {
    return this.#answer((parts) => history.restoreTo(parts, save, generation));
  }
  async pin(generation: Generation, options: { pinned: boolean }): Promise<Outcome<null>> {
    return this.#answer((parts) => history.pin(parts, generation, options));
  }
  async erase(epoch: Epoch): Promise<Outcome<ErasureProof>> {
    return this.#answer((parts) => erase(parts, epoch), "also while it is rebuilt");
  }
  async fsck(cursor: string | null, options: { repair: boolean }) {
    return this.#answer((parts) => fsck(parts, cursor, options));
  }
  async rebuild(epoch: Epoch, options: { after: Generation | null; discard: boolean }) {
    return this.#answer((parts) => rebuild(parts, epoch, options), "also while it is rebuilt");
  }
  async describe(): Promise<VaultDescription> {
    if (this.#unusable !== null) throw new Error(this.#unusable.failure.detail);
    await this.#keepAlarm();
    return history.describe(this.#parts);
  }
  async diff(from: Generation, to: Generation, page: PageRequest) {
    return this.#answer((parts) => files.diff(parts, from, to, page));
  }
  async stat(path: string, generation: Generation | null) {
    return this.#answer((parts) => files.stat(parts, path, generation));
  }
  async readFile(path: string, generation: Generation | null) {
    return this.#answer((parts) => files.readFile(parts, path, generation));
  }
  async listFiles(directory: string, page: PageRequest & { recursive: boolean }, generation: Generation | null) {
    return this.#answer((parts) => files.listFiles(parts, directory, page, generation));
  }

  async list(actor: Actor, query: ListQuery) {
    return this.#answer((parts) => objects.list(parts, actor, query));
  }
  async read(actor: Actor, key: string) {
    return this.#answer((parts) => objects.read(parts, actor, key));
  }
  async put(actor: Actor, object: NewObject, body: Uint8Array | null, onlyIf?: OnlyIf[]) {
    return this.#answer((parts) => objects.put(parts, actor, object, body, onlyIf));
  }
  async copy(actor: Actor, from: string, to: string, metadata: ObjectMetadata | null, onlyIf?: OnlyIf[]) {
    return this.#answer((parts) => objects.copy(parts, actor, from, to, metadata, onlyIf));
  }
  async remove(actor: Actor, keys: string[], onlyIf?: OnlyIf[]) {
    return this.#answer((parts) => objects.remove(parts, actor, keys, onlyIf));
  }
  async reserve(actor: Actor, count: number) {
    return this.#answer((parts) => objects.reserve(parts, actor, count));
  }
  async beginUpload(actor: Actor, upload: NewUpload) {
    return this.#answer((parts) => objects.beginUpload(parts, actor, upload));
  }
  async upload(actor: Actor, object: string) {
    return this.#answer((parts) => objects.upload(parts, actor, object));
  }
  async uploads(actor: Actor) {
    return this.#answer((parts) => objects.uploads(parts, actor));
  }
  async parts(actor: Actor, object: string) {
    return this.#answer((parts) => objects.parts(parts, actor, object));
  }
  async putPart(actor: Actor, object: string, part: UploadPart) {
    return this.#answer((parts) => objects.putPart(parts, actor, object, part));
  }
  async dropUpload(actor: Actor, object: string) {
    return this.#answer((parts) => objects.dropUpload(parts, actor, object));
  }
  async beginBundle(actor: Actor) {
    return this.#answer((parts) => objects.beginBundle(parts, actor));
  }
  async stageBundle(actor: Actor, batch: BundleBatch) {
    return this.#answer((parts) => objects.stageBundle(parts, actor, batch));
  }
  async exported(generation: Generation, after: PageCursor | null) {
    return this.#answer((parts) => pages.exported(parts, generation, after));
  }
  async page(actor: Actor, generation: Generation, after: PageCursor | null) {
    return this.#answer((parts) => pages.page(parts, actor, generation, after));
  }

  /** Brings R2 up to date and collects garbage. A failure is tried again later here: the platform would give up after six attempts. */
  override async alarm(): Promise<void> {
    this.#alarmAt = null;
    if (this.#unusable !== null) return this.#arm(Date.now() + RETRY_MS);
    this.#tending = this.#tend();
    await this.#tending;
  }

  async #tend(): Promise<void> {
    try {
      const next = await within(TEND_MS, "tending", tend(this.#parts));
      if (next !== null) this.#arm(next);
    } catch (error) {
      log.error("vault: tending failed", { error: messageOf(error) });
      this.#arm(Date.now() + RETRY_MS);
    }
  }

  async #answer<T>(
    work: (parts: VaultParts) => Outcome<T> | Promise<Outcome<T>>,
    when: "as a rule" | "also while it is rebuilt" = "as a rule",
  ): Promise<Outcome<T>> {
    if (this.#unusable !== null) return this.#unusable;
    await this.#keepAlarm();
    if (when === "as a rule" && this.#parts.store.record()?.rebuilding === 1) return rebuilding();
    try {
      return await work(this.#parts);
    } catch (error) {
      if (error instanceof ContentError) return { ok: false, failure: error.failure };
      throw error;
    }
  }

  #name(): string {
    const { name } = this.ctx.id;
    if (name === undefined) throw new Error("a Vault is addressed by its name");
    return name;
  }

  /** An alarm that was lost is set again by any request: at the first in this life of the object, and when one that is known did not ring. */
  async #keepAlarm(): Promise<void> {
    if (this.#alarmAt === undefined) {
      const alarmAt = await this.ctx.storage.getAlarm();
      this.#alarmAt ??= alarmAt;
    } else if (this.#isSet()) return;
    const { steps, due } = promised(this.#parts);
    if (steps.length > 0) this.#arm(Date.now() + PACK_SOON_MS);
    else if (due !== null) this.#arm(due);
  }

  /** Also while it rings: what it does sets the next one. */
  #isSet(): boolean {
    return typeof this.#alarmAt !== "number" || !isLate(this.#alarmAt);
  }

  /** Always the earlier of what is due, strictly in the future. Part of the surrounding commit, if there is one. */
  #arm(at: number): void {
    if (typeof this.#alarmAt === "number" && this.#alarmAt <= at && this.#isSet()) return;
    this.#alarmAt = Math.max(at, Date.now() + 1);
    this.ctx.storage.setAlarm(this.#alarmAt);
  }
}
