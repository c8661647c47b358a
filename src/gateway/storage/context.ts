import { within } from "../../durable/deadline.ts";
import type { Outcome } from "../../outcome.ts";
import { objection } from "../../vault/only-if.ts";
import type { Actor, OnlyIf, VaultStorage } from "../../vault/storage.ts";
import { STALL_MS } from "./body.ts";
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

/** Longer than a vault takes that has to read small contents from their packs in R2. */
const VAULT_MS = 150_000;

/** @throws S3Error for what the Vault refused; DeadlineError */
export async function ask<T>(answer: Promise<Outcome<T>>): Promise<T> {
  const outcome = await within(VAULT_MS, "the vault", answer);
  if (!outcome.ok) throw fromFailure(outcome.failure);
  return outcome.value;
}

/** One request to R2, but for the body that it sends or gets. @throws DeadlineError */
export const reach = <T>(answer: Promise<T>): Promise<T> => within(STALL_MS, "R2", answer);

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
