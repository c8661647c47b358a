import type { Outcome } from "../../outcome.ts";
import { objection } from "../../vault/only-if.ts";
import type { Actor, OnlyIf, VaultStorage } from "../../vault/storage.ts";
import { fromFailure } from "./errors.ts";

/** Where contents go, and for whom. */
export interface Backend {
  vault: VaultStorage;
  bucket: R2Bucket;
  actor: Actor;
  /** Keeps the isolate until a response has been streamed. */
  waitUntil: (work: Promise<unknown>) => void;
}

/** What every operation of S3 works with. */
export interface Gateway extends Backend {
  /** The bucket's name, as clients know it. */
  name: string;
  /** What the R2 keys of this vault begin with; an upload's id is the rest of its key. */
  objectPrefix: string;
}

/** @throws S3Error for what the Vault refused */
export async function ask<T>(answer: Promise<Outcome<T>>): Promise<T> {
  const outcome = await answer;
  if (!outcome.ok) throw fromFailure(outcome.failure);
  return outcome.value;
}

/**
 * Refuses early what the Vault would refuse at the end, so that gigabytes are not sent for nothing; it is the Vault that decides.
 * @throws S3Error
 */
export async function expectToHold(gateway: Gateway, onlyIf: readonly OnlyIf[]): Promise<void> {
  for (const { key, is } of onlyIf) {
    const found = await ask(gateway.vault.read(gateway.actor, key));
    const failure = objection(is, found === null ? null : found.info.etag);
    if (failure !== null) throw fromFailure(failure);
  }
}
