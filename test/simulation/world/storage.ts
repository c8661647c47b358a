import { SimulatedSql } from "./sql.ts";

/**
 * What one object has stored: its database and its alarm. It outlives the object's stays in memory; what was written since
 * the last confirmation does not outlive a crash.
 */
export class Disk {
  readonly sql: SimulatedSql;
  /** As the running code reads it. */
  alarm: number | null = null;
  /** As it would be after a crash, and as the platform rings it. */
  durableAlarm: number | null = null;
  /** The alarm whose handler runs: read as not set, and not deleted before that succeeds. */
  ringing: number | null = null;
  /** One that reads as set and never rings (a fault). */
  stuck: number | null = null;
  /** Which copy of the object may write. */
  writer: object | null = null;
  /** The first write since the last confirmation. */
  onDirty: () => void = () => {};
  /** A transaction, or a write outside one, is over; it is not durable yet. */
  onWritten: () => void = () => {};
  unconfirmed = false;
  #transactions = 0;
  #entering: object | null = null;
  #wrote = false;

  constructor() {
    this.sql = new SimulatedSql((kind) => {
      if (this.#entering !== this.writer) throw noLongerActive();
      if (kind === "write") this.#dirty();
      this.#wrote = kind === "write";
    });
  }

  /** The SQL interface of one copy of the object. */
  sqlOf(copy: object): Pick<SimulatedSql, "exec" | "databaseSize"> {
    const disk = this;
    return {
      exec(query: string, ...bindings: unknown[]) {
        disk.#entering = copy;
        disk.#wrote = false;
        const cursor = disk.sql.exec(query, ...bindings);
        if (disk.#wrote) disk.#over();
        return cursor;
      },
      get databaseSize() {
        disk.#entering = copy;
        return disk.sql.databaseSize;
      },
    };
  }

  setAlarm(copy: object, at: number | null): void {
    this.enter(copy);
    if (this.alarm === at) return;
    this.#dirty();
    this.alarm = at;
    this.#over();
  }

  transaction<T>(copy: object, write: () => T): T {
    this.enter(copy);
    this.#dirty();
    const name = `t${this.#transactions}`;
    const alarm = this.alarm;
    this.sql.control(`SAVEPOINT ${name}`);
    this.#transactions += 1;
    try {
      const result = write();
      this.#transactions -= 1;
      this.sql.control(`RELEASE ${name}`);
      this.#over();
      return result;
    } catch (error) {
      this.#transactions -= 1;
      this.sql.control(`ROLLBACK TO ${name}`);
      this.sql.control(`RELEASE ${name}`);
      this.alarm = alarm;
      throw error;
    }
  }

  deleteAll(copy: object): void {
    this.enter(copy);
    this.#dirty();
    this.sql.dropAll();
    this.alarm = null;
    this.#over();
  }

  /** What was written is durable now. */
  confirm(): void {
    if (!this.unconfirmed) return;
    this.unconfirmed = false;
    this.sql.control("RELEASE gate");
    this.durableAlarm = this.alarm ?? this.ringing;
  }

  /** An alarm's handler begins. */
  rings(due: number): void {
    this.ringing = due;
    this.alarm = null;
  }
  /** It is over: what it did not set anew is gone. */
  rang(): void {
    this.ringing = null;
    if (!this.unconfirmed) this.durableAlarm = this.alarm;
  }
  loseAlarm(): void {
    this.alarm = null;
    if (!this.unconfirmed) this.durableAlarm = null;
  }
  retryAlarm(at: number): void {
    this.alarm = at;
    if (!this.unconfirmed) this.durableAlarm = at;
  }

  /** The machine went: what was not confirmed never was. */
  takeBack(): void {
    this.alarm = this.durableAlarm;
    if (!this.unconfirmed) return;
    this.unconfirmed = false;
    this.sql.control("ROLLBACK TO gate");
    this.sql.control("RELEASE gate");
  }

  get isEmpty(): boolean {
    return this.alarm === null && this.sql.tables().length === 0;
  }

  /** @throws for a copy that is not the object's any more */
  enter(copy: object): void {
    if (copy !== this.writer) throw noLongerActive();
  }

  #over(): void {
    if (this.#transactions === 0) this.onWritten();
  }

  #dirty(): void {
    if (this.unconfirmed) return;
    this.unconfirmed = true;
    this.sql.control("SAVEPOINT gate");
    this.onDirty();
  }
}

const noLongerActive = (): Error =>
  new Error("Cannot perform I/O on behalf of a Durable Object: this Durable Object instance is no longer active.");

/** The part of `DurableObjectStorage` that `src` uses. What another uses says that it is missing here. */
export function storageOf(disk: Disk, copy: object, confirmed: () => Promise<void>): DurableObjectStorage {
  const storage = {
    sql: disk.sqlOf(copy),
    transactionSync: <T>(write: () => T): T => disk.transaction(copy, write),
    // Answered at once: while a storage operation is open the input gate lets nothing else happen anyway.
    async getAlarm(): Promise<number | null> {
      disk.enter(copy);
      return disk.alarm;
    },
    setAlarm(at: number | Date): Promise<void> {
      const time = Number(at);
      if (!Number.isFinite(time) || time <= 0) throw new TypeError("setAlarm() cannot be called with an invalid time.");
      disk.setAlarm(copy, time);
      return Promise.resolve();
    },
    deleteAlarm(): Promise<void> {
      disk.setAlarm(copy, null);
      return Promise.resolve();
    },
    deleteAll(): Promise<void> {
      disk.deleteAll(copy);
      return Promise.resolve();
    },
    sync: confirmed,
  };
  return storage as unknown as DurableObjectStorage;
}
