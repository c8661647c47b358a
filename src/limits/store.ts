import { Alarm } from "../durable/alarm.ts";
import { commit } from "../durable/commit.ts";
import { hasTable } from "../durable/document.ts";
import type { Failures } from "./backoff.ts";
import type { Bucket } from "./bucket.ts";

interface Documents {
  bucket: Bucket & { perMinute: number };
  address: Failures;
  [credential: `credential:${string}`]: Failures;
}

/** The Limiter's table (docs/storage.md), by subject. */
export class LimiterStore {
  readonly alarm: Alarm;
  readonly #storage: DurableObjectStorage;
  #created: boolean;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
    this.alarm = new Alarm(storage);
    this.#created = hasTable(storage.sql, "limits");
  }

  read<Subject extends keyof Documents>(subject: Subject): Documents[Subject] | null {
    if (!this.#created) return null;
    const [row] = this.#storage.sql
      .exec<{ doc: string }>("SELECT doc FROM limits WHERE subject = ?", subject)
      .toArray();
    return row ? (JSON.parse(row.doc) as Documents[Subject]) : null;
  }

  /** One durable commit; the alarm rings at `lookAt` at the latest. */
  write<Subject extends keyof Documents>(subject: Subject, value: Documents[Subject], lookAt: number): void {
    commit(this.#storage, () => {
      this.#create();
      this.#storage.sql.exec(
        "INSERT INTO limits (subject, doc) VALUES (?, ?) ON CONFLICT (subject) DO UPDATE SET doc = excluded.doc",
        subject,
        JSON.stringify(value),
      );
      this.alarm.arm(lookAt);
    });
  }

  /** Every wait that is stored. */
  waits(): Failures[] {
    if (!this.#created) return [];
    return this.#storage.sql
      .exec<{ doc: string }>("SELECT doc FROM limits WHERE subject <> 'bucket'")
      .toArray()
      .map(({ doc }) => JSON.parse(doc) as Failures);
  }

  async erase(): Promise<void> {
    await this.#storage.deleteAll();
    this.#created = false;
  }

  #create(): void {
    if (this.#created) return;
    this.#storage.sql.exec("CREATE TABLE IF NOT EXISTS limits (subject TEXT PRIMARY KEY, doc TEXT NOT NULL) STRICT");
    this.#created = true;
  }
}
