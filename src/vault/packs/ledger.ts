import { within } from "../../durable/deadline.ts";
import type { Epoch, Generation } from "../../ids.ts";
import { ContentError, R2_MS } from "../contents.ts";
import { transact, type VaultParts } from "../parts.ts";
import type { GenerationRow } from "../store.ts";
import type { Task } from "./store.ts";

/**
 * What manifests cannot know, since it changes after they are written: which generations are retained, of what status, which is the head.
 * One small R2 object, written again after every change. What is deleted in R2 is deleted only after the ledger stopped naming it.
 */
export interface Ledger {
  format: "boilerhouse-ledger-1";
  /** The highest that the Vault had seen when this was written; a later fence is not in it. */
  epoch: Epoch;
  head: Generation | 0;
  last: number;
  generations: GenerationRow[];
}

export const ledgerKey = (prefix: string): string => `${prefix}ledger.json`;

/** @throws Error when R2 fails */
export async function writeLedger(parts: VaultParts, task: Task): Promise<void> {
  const record = parts.store.record();
  if (record === null) return;
  const { epoch, head, last } = record;
  const ledger: Ledger = { format: "boilerhouse-ledger-1", epoch, head, last, generations: parts.store.generations() };
  const key = ledgerKey(parts.prefix());
  await within(R2_MS, `writing ${key}`, parts.bucket().put(key, JSON.stringify(ledger)));
  const kept = transact(parts, () => parts.packs.finish(task));
  // Erased meanwhile: nothing may be left. What was written by another alarm too, or is what a rebuild goes by, stays.
  if (kept.ok && !kept.value && isEmpty(parts)) await within(R2_MS, `deleting ${key}`, parts.bucket().delete(key));
}

function isEmpty(parts: VaultParts): boolean {
  return parts.store.record()?.rebuilding === 0 && parts.store.generations().length === 0;
}

/** Null where there is none. @throws ContentError `internal` where it is not whole; Error when R2 fails, or it is of a newer Worker */
export async function readLedger(parts: VaultParts): Promise<Ledger | null> {
  const key = ledgerKey(parts.prefix());
  const read = async (): Promise<string | null> => {
    const object = await parts.bucket().get(key);
    return object === null ? null : object.text();
  };
  const text = await within(R2_MS, `reading ${key}`, read());
  if (text === null) return null;
  const ledger = parsed(text);
  if (ledger === null) throw new ContentError("internal", `${key} is not whole.`);
  if (ledger.format !== "boilerhouse-ledger-1") throw new Error(`${key} is no ledger that this Worker knows`);
  return ledger;
}

function parsed(text: string): Ledger | null {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
