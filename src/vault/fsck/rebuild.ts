import type { Epoch, Generation } from "../../ids.ts";
import { log } from "../../log.ts";
import { done, failed, type Outcome } from "../../outcome.ts";
import { ContentError, reach } from "../contents.ts";
import { Refused, transact, type VaultParts } from "../parts.ts";
import { stale } from "../plan.ts";
import { PACK_SOON_MS } from "../saves.ts";
import { TABLES } from "../schema.ts";
import type { RebuildPage } from "../types.ts";
import { bringBack, isUnderWay, reached } from "./bring-back.ts";
import { type Inventory, inventoryOf } from "./inventory.ts";

/** How long one page goes on beginning generations. */
const PAGE_MS = 10_000;
/** Whoever began a rebuild asks for its next page within two minutes (src/transfer/rebuild.ts); after that the Vault goes on alone. */
const ALONE_MS = 150_000;

/** Whether R2 holds generations of a Vault that has no index, so that its storage must have been lost. @throws ContentError */
export async function indexMissing(parts: VaultParts): Promise<boolean> {
  if (parts.store.record() !== null) return false;
  const prefix = `${parts.prefix()}packs/`;
  const { objects } = await reach(parts.bucket().list({ prefix, limit: 1 }));
  return objects.length > 0;
}

/** One page, for whoever asked for it. @throws ContentError */
export async function rebuild(
  parts: VaultParts,
  epoch: Epoch,
  options: { after: Generation | null; discard: boolean },
): Promise<Outcome<RebuildPage>> {
  const record = parts.store.record();
  const { after, discard } = options;
  if (record !== null && epoch < record.epoch) return stale(epoch, record.epoch);
  if (after !== null) {
    if (record?.epoch !== epoch) return failed("invalid_transition", "No such rebuild is under way; begin one.");
    if (record.rebuilding === 0) return done(pageOf(parts, after, null, []));
  } else if (record !== null && record.rebuilding === 0 && !discard)
    return failed("conflict", "This vault has an index; what is in it and not in R2 yet would be lost.");
  const found = await inventoryOf(parts);
  if (found.wanted.length === 0) return failed("not_found", "R2 holds no generation of this vault.");
  if (after === null) {
    const begun = transact(parts, () => begin(parts, epoch, found));
    if (!begun.ok) return begun;
  }
  const page = await goOn(parts, found, epoch, after);
  if (!page.ok || after !== null) return page;
  const missing = found.missing.map((one) => `Generation ${one} has no manifest in R2.`);
  return done({ ...page.value, problems: [...found.problems, ...missing, ...page.value.problems] });
}

/**
 * The Vault's own alarm goes on with what nobody asks for any more, page by page, so that a rebuild ends without anybody: whole, or, where
 * R2 has nothing that could be brought back under its epoch, with the index missing as before. While R2 does not answer it is tried again.
 * @throws ContentError
 */
export async function goOnAlone(parts: VaultParts): Promise<void> {
  const record = parts.store.record();
  if (record?.rebuilding !== 1) return;
  const { epoch } = record;
  const found = await inventoryOf(parts);
  const page = await goOn(parts, found, epoch, null);
  if (page.ok) {
    const { restored, problems, next, head } = page.value;
    log.info("vault: a rebuild went on by itself", { epoch, restored: restored.length, problems, next, head });
    return;
  }
  const { code, detail } = page.failure;
  if (code === "storage_unavailable") throw new ContentError(code, detail);
  log.error("vault: a rebuild was given up", { epoch, code, detail });
  transact(parts, () => {
    if (isUnderWay(parts, epoch)) forgetIndex(parts);
  });
}

/** From the last generation that is back on. Two may do so at once: what the one has brought back the other passes over. */
async function goOn(
  parts: VaultParts,
  found: Inventory,
  epoch: Epoch,
  after: Generation | null,
): Promise<Outcome<RebuildPage>> {
  const deadline = parts.now() + PAGE_MS;
  const begunAt = Math.max(after ?? 0, reached(parts));
  const problems: string[] = [];
  for (const { generation, object } of found.wanted) {
    if (generation <= begunAt) continue;
    const failure = await bringBack(parts, found, epoch, object);
    // Another went on with it, to its end.
    if (parts.store.record()?.epoch === epoch && !isUnderWay(parts, epoch)) break;
    if (failure?.code === "internal") problems.push(`Generation ${generation}: ${failure.detail}`);
    else if (failure !== null) return { ok: false, failure };
    const hasMore = generation !== found.wanted.at(-1)?.generation;
    // A page that brought nothing back would begin at the same place again.
    if (hasMore && parts.now() >= deadline && reached(parts) > begunAt)
      return done(pageOf(parts, after, generation as Generation, problems));
  }
  const head = finish(parts, found, epoch);
  if (!head.ok) return head;
  if (found.ledger !== null && found.ledger.head > head.value)
    problems.push(`The head was generation ${found.ledger.head}, which could not be brought back.`);
  return done(pageOf(parts, after, null, problems));
}

/** What the index has by now, whoever brought it back. */
function pageOf(parts: VaultParts, after: Generation | null, next: Generation | null, problems: string[]): RebuildPage {
  const restored = parts.store
    .generations()
    .map(({ generation }) => generation)
    .filter((one) => one > (after ?? 0) && (next === null || one <= next));
  const head = next === null ? (parts.store.record()?.head ?? 0) : 0;
  return { restored, problems, next, head: head === 0 ? null : head };
}

/** Whatever the index held goes; from here on only the rebuild may touch the Vault. Inside a commit. */
function begin(parts: VaultParts, epoch: Epoch, found: Inventory): void {
  if (found.ledger !== null && epoch <= found.ledger.epoch) throw new Refused(stale(epoch, found.ledger.epoch));
  const record = parts.store.record();
  // Somebody else came while R2 was asked.
  if (record !== null && epoch < record.epoch) throw new Refused(stale(epoch, record.epoch));
  if (record !== null) forgetIndex(parts);
  parts.store.writeRecord({ epoch, incarnation: null, base: 0, head: 0, last: found.last, rebuilding: 1 });
  parts.arm(parts.now() + ALONE_MS);
}

/** As if the storage were lost: nobody gets a fresh start as long as R2 holds anything, and what it holds stays. Inside a commit. */
function forgetIndex(parts: VaultParts): void {
  for (const table of Object.keys(TABLES)) parts.storage.sql.exec(`DELETE FROM ${table}`);
  parts.store.forget();
  parts.entries.forget();
  parts.bodies.forget();
}

/**
 * The Vault is open again; nobody is bound to it, so that the next fence begins from the head. Where nothing could be brought back the
 * ledger in R2 stays what it is, since it alone says what there was.
 */
function finish(parts: VaultParts, found: Inventory, epoch: Epoch): Outcome<Generation | 0> {
  return transact(parts, () => {
    const record = parts.store.record();
    if (record?.epoch !== epoch) throw new Refused(failed("invalid_transition", "This rebuild is over."));
    if (record.rebuilding === 0) return record.head;
    const history = parts.store.generations().filter(({ status }) => status === "kept");
    const known = history.filter(
      ({ generation }) => found.ledger === null || generation === found.ledger.head || generation > found.ledger.last,
    );
    const head = (known.at(-1) ?? history.at(-1))?.generation ?? (0 as const);
    if (reached(parts) === 0) {
      forgetIndex(parts);
      return head;
    }
    parts.store.writeRecord({ ...record, incarnation: null, base: head, head, rebuilding: 0 });
    parts.packs.enqueue(0);
    parts.arm(parts.now() + PACK_SOON_MS);
    return head;
  });
}
