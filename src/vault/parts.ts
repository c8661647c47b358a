import { commit as inOneCommit } from "../durable/commit.ts";
import type { Failure } from "../outcome.ts";
import type { Bodies } from "./bodies.ts";
import type { Entries } from "./entries.ts";
import type { Garbage } from "./garbage.ts";
import type { Leases } from "./leases.ts";
import type { Packs } from "./packs/store.ts";
import type { Staging } from "./staging.ts";
import type { VaultStore } from "./store.ts";
import type { Uploads } from "./uploads.ts";

/** What the Vault's actions work with: its tables, and what would be read from the world. */
export interface VaultParts {
  storage: DurableObjectStorage;
  store: VaultStore;
  entries: Entries;
  staging: Staging;
  uploads: Uploads;
  garbage: Garbage;
  bodies: Bodies;
  packs: Packs;
  leases: Leases;
  bucket: () => R2Bucket;
  /** Ends when nothing is under way that writes to R2. */
  settled: () => Promise<void>;
  /** Where its contents are in R2. */
  prefix: () => string;
  /** How large the index may be before small contents are kept in packs only. */
  inlineBytes: () => number;
  now: () => number;
  uuid: () => string;
  /** Makes sure that the alarm fires at `at` or earlier; inside a commit. */
  arm: (at: number) => void;
  /** After a rollback: an alarm that was set in it is not. */
  forgetAlarm: () => void;
}

/** Ends an action inside its commit: everything written so far is rolled back, and the caller gets the failure. */
export class Refused extends Error {
  readonly failure: Failure;
  constructor(refused: { failure: Failure }) {
    super(refused.failure.detail);
    this.failure = refused.failure;
  }
}

/** One durable commit, whose closure may throw `Refused`. What is remembered in memory follows the rollback. */
export function transact<T>(
  parts: VaultParts,
  write: () => T extends Promise<unknown> ? never : T,
): { ok: true; value: T } | { ok: false; failure: Failure } {
  try {
    return { ok: true, value: inOneCommit(parts.storage, write) };
  } catch (error) {
    parts.store.forget();
    parts.entries.forget();
    parts.bodies.forget();
    parts.forgetAlarm();
    if (error instanceof Refused) return { ok: false, failure: error.failure };
    throw error;
  }
}

/** A Vault is named by its tenant's id, that of a sync spec by both. Neither has a slash. */
export function prefixOf(name: string): string {
  const [tenant, spec] = name.split("/");
  return spec === undefined ? `tenants/${tenant}/` : `tenants/${tenant}/specs/${spec}/`;
}
