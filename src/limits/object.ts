import { DurableObject } from "cloudflare:workers";
import { type Failures, FORGOTTEN_AFTER_MS, failed, isForgotten, noFailures, waitOf } from "./backoff.ts";
import { type Bucket, fullBucket, isBehind, isFull, recovered, refilled, take } from "./bucket.ts";
import { LimiterStore } from "./store.ts";
import type { Allowance, LimiterApi } from "./types.ts";

/** Failures of a minute that are answered as any other. */
const OF_ONE_CREDENTIAL = 100;
const OF_ONE_ADDRESS = 300;
/** An address that tries more than this has strikes of its own long before. */
const MAX_CREDENTIALS = 1_000;
const LOOK_AGAIN_MS = 120_000;

/**
 * Counts exactly what isolates cannot: the requests of one principal, or the failures of one address (never both in one
 * object). What is stored is enough that losing its memory gives nobody more requests and ends no wait (ADR 2).
 */
export class Limiter extends DurableObject<Env> implements LimiterApi {
  readonly #store = new LimiterStore(this.ctx.storage);
  readonly #credentials = new Map<string, Failures>();
  #bucket: Bucket | null = null;
  #stored: (Bucket & { perMinute: number }) | null = this.#store.read("bucket");
  #address: Failures = this.#store.read("address") ?? noFailures;

  async take(perMinute: number): Promise<Allowance> {
    const now = Date.now();
    const taken = take(this.#bucket ?? this.#recovered(perMinute, now), perMinute, now);
    this.#bucket = taken.bucket;
    const stored = this.#stored;
    if (!stored || stored.perMinute !== perMinute || isBehind(stored, taken.bucket, perMinute)) {
      this.#stored = { ...taken.bucket, perMinute };
      this.#store.write("bucket", this.#stored, now + LOOK_AGAIN_MS);
    }
    const { waitMs, remaining, fullInMs } = taken;
    return { waitMs, remaining, fullInMs };
  }

  async failed(credential: string): Promise<{ credentialWaitMs: number; addressWaitMs: number }> {
    const now = Date.now();
    const key = `credential:${credential}` as const;
    const before = this.#credentials.get(credential) ?? this.#store.read(key) ?? noFailures;
    const after = failed(before, OF_ONE_CREDENTIAL, now);
    this.#remember(credential, after);
    if (after.strikes > before.strikes) this.#store.write(key, after, now + FORGOTTEN_AFTER_MS);
    const address = failed(this.#address, OF_ONE_ADDRESS, now);
    if (address.strikes > this.#address.strikes) this.#store.write("address", address, now + FORGOTTEN_AFTER_MS);
    this.#address = address;
    return { credentialWaitMs: waitOf(after, now), addressWaitMs: waitOf(address, now) };
  }

  /** Leaves nothing behind of whoever has not been heard of for a while. */
  override async alarm(): Promise<void> {
    this.#store.alarm.rang();
    const now = Date.now();
    if (!this.#isFull(now) || this.#store.waits().some((failures) => !isForgotten(failures, now))) {
      this.#store.alarm.arm(now + LOOK_AGAIN_MS);
      return;
    }
    await this.#store.erase();
    this.#bucket = null;
    this.#stored = null;
    this.#address = noFailures;
    this.#credentials.clear();
  }

  #isFull(now: number): boolean {
    if (!this.#stored) return true;
    const { perMinute } = this.#stored;
    return isFull(refilled(this.#bucket ?? this.#recovered(perMinute, now), perMinute, now), perMinute);
  }

  #recovered(perMinute: number, now: number): Bucket {
    return this.#stored ? recovered(this.#stored, perMinute, now) : fullBucket(perMinute, now);
  }

  #remember(credential: string, failures: Failures): void {
    this.#credentials.delete(credential);
    this.#credentials.set(credential, failures);
    const [oldest] = this.#credentials.keys();
    if (this.#credentials.size > MAX_CREDENTIALS && oldest !== undefined) this.#credentials.delete(oldest);
  }
}
