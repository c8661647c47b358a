import { audited } from "../audit/entry.ts";
import { commit } from "../durable/commit.ts";
import type { Outcome } from "../outcome.ts";
import { ADMISSION_SECRET_BYTES, type AdmissionKind, Admissions } from "./admissions.ts";
import type { TenantRecord } from "./record.ts";
import type { Admission } from "./requests.ts";
import type { TenantStore } from "./store.ts";

/** Issues single-use secrets and takes them, each in one commit with the record of it. */
export class Admitting {
  readonly #storage: DurableObjectStorage;
  readonly #store: TenantStore;
  readonly #admissions: Admissions;

  constructor(storage: DurableObjectStorage, store: TenantStore) {
    this.#storage = storage;
    this.#store = store;
    this.#admissions = new Admissions(storage.sql);
  }

  /** `deliverAt`: when D1 is told of it at the latest. */
  issue(
    { tenantId }: TenantRecord,
    kind: AdmissionKind,
    admission: Admission,
    { ttlMs, requestId, now, deliverAt }: { ttlMs: number; requestId: string | null; now: number; deliverAt: number },
  ): Outcome<{ secret: string }> {
    const random = crypto.getRandomValues(new Uint8Array(ADMISSION_SECRET_BYTES));
    return this.#inOneCommit(() => {
      const outcome = this.#admissions.issue(kind, admission, ttlMs, now, random);
      if (outcome.ok) {
        const { actor, sessionExpiresAt } = admission;
        const detail = { ttlMs, sessionExpiresAt };
        const entry = audited({ actor, requestId }, now, `tenant.${kind}_issued`, `tenant:${tenantId}`, { detail });
        this.#store.journal.append([entry]);
        this.#store.alarm.arm(deliverAt);
      }
      return outcome;
    });
  }

  redeem(kind: AdmissionKind, secret: string, now: number): Admission | null {
    return this.#inOneCommit(() => this.#admissions.redeem(kind, secret, now));
  }

  #inOneCommit<T>(write: () => T): T {
    try {
      return commit(this.#storage, write as () => T extends Promise<unknown> ? never : T);
    } catch (error) {
      this.#admissions.forget();
      this.#store.journal.forget();
      this.#store.alarm.rang();
      throw error;
    }
  }
}
