import type { Outcome } from "../../outcome.ts";
import type { Actor, VaultStorage } from "../../vault/storage.ts";
import { fromFailure } from "./errors.ts";

/** What every operation works with. */
export interface Gateway {
  vault: VaultStorage;
  bucket: R2Bucket;
  actor: Actor;
  tenantId: string;
  /** Keeps the isolate until a response has been streamed. */
  waitUntil: (work: Promise<unknown>) => void;
}

/** @throws S3Error for what the Vault refused */
export async function ask<T>(answer: Promise<Outcome<T>>): Promise<T> {
  const outcome = await answer;
  if (!outcome.ok) throw fromFailure(outcome.failure);
  return outcome.value;
}
