import { createHash } from "node:crypto";
import { Incarnation } from "./incarnation.ts";
import { delayOf, type Incoming, type Network, type Reply, type Target } from "./network.ts";
import { runAs } from "./owner.ts";
import type { Event, Scheduler } from "./scheduler.ts";
import { Disk, storageOf } from "./storage.ts";
import type { DurableClass, ObjectClass, ObjectView } from "./types.ts";

/** What the platform needs to bring objects to memory. */
export interface Platform {
  readonly scheduler: Scheduler;
  readonly network: Network;
  readonly classes: Readonly<Record<ObjectClass, DurableClass>>;
  readonly env: Env;
  /** `ctx.exports` of one copy of an object. */
  exportsFor(copy: Incarnation): object;
  complain(text: string): void;
  /** Whoever looks on. */
  readonly watch: { onCommit: (object: ObjectView) => void; onRollback: (object: ObjectView) => void };
}

/** The platform tries an alarm's handler again so often, from two seconds on, doubling. */
const ALARM_RETRIES = 6;
const FIRST_RETRY_MS = 2_000;

/** One object of a namespace: what it stored, and its copy in memory. */
export class Home implements ObjectView, Target {
  readonly kind: ObjectClass;
  readonly name: string;
  readonly key: string;
  readonly disk = new Disk();
  readonly #platform: Platform;
  #copy: Incarnation | null = null;
  #successor: { staleMs: number } | null = null;
  #alarm: { event: Event; due: number } | null = null;
  #retries = 0;
  #confirmation: Event | null = null;

  constructor(kind: ObjectClass, name: string, platform: Platform) {
    this.kind = kind;
    this.name = name;
    this.key = `${kind}/${name}`;
    this.#platform = platform;
    this.disk.onDirty = () => this.#confirmLater();
    this.disk.onWritten = () => platform.watch.onCommit(this);
  }

  get label(): string {
    return this.key;
  }
  get inMemory(): boolean {
    return this.#copy !== null;
  }
  get instance(): object | null {
    return this.#copy?.object ?? null;
  }
  get busy(): boolean {
    return this.#copy?.busy ?? false;
  }
  get unconfirmed(): boolean {
    return this.disk.unconfirmed;
  }
  get alarmAt(): number | null {
    return this.disk.alarm;
  }
  get stored(): boolean {
    return !this.disk.isEmpty;
  }
  rows<T>(sql: string, ...bindings: unknown[]): T[] {
    return this.disk.sql.look(sql, ...bindings) as T[];
  }
  document<T>(table: string): T | null {
    const [row] = this.rows<{ doc: string }>(`SELECT doc FROM "${table}" WHERE id = 1`);
    return row ? (JSON.parse(row.doc) as T) : null;
  }

  /** A call arrives. */
  accept(call: Incoming, reply: Reply): void {
    const copy = this.#enter(reply);
    if (!copy) return;
    copy.calls.add(reply);
    copy.receive(() => this.#run(copy, call, reply), 0);
  }

  evict(): boolean {
    const copy = this.#copy;
    if (!copy || copy.busy || copy.object === null) return false;
    this.#confirm();
    this.#platform.scheduler.note(`evict ${this.key}`);
    this.#leaveMemory(copy);
    return true;
  }

  crash(error: Error): void {
    const copy = this.#copy;
    if (!copy) return;
    this.#platform.scheduler.note(`crash ${this.key}`);
    this.#takeBack();
    this.#leaveMemory(copy);
    for (const reply of copy.calls) reply.fail(error);
    copy.calls.clear();
  }

  overlap(staleMs: number): boolean {
    if (!this.#copy) return false;
    this.#successor = { staleMs };
    return true;
  }

  close(): void {
    this.#copy?.die();
    this.disk.sql.close();
  }

  #leaveMemory(copy: Incarnation): void {
    copy.die();
    this.disk.writer = null;
    this.disk.ringing = null;
    this.#copy = null;
    this.#arm();
  }

  /** The copy in memory, brought there where it is not. Null: its constructor failed, and the call with it. */
  #enter(reply: Reply | null): Incarnation | null {
    if (this.#copy && this.#successor) this.#supersede(this.#copy, this.#successor.staleMs);
    this.#successor = null;
    if (this.#copy) return this.#copy;
    const { scheduler, env, classes } = this.#platform;
    const copy = new Incarnation(this.key, this.disk, scheduler, (why) => this.crash(why));
    this.#copy = copy;
    this.disk.writer = copy;
    try {
      copy.object = runAs(copy, 0, () => new classes[this.kind](this.#context(copy), env));
      return copy;
    } catch (error) {
      this.crash(error as Error);
      reply?.fail(error);
      return null;
    }
  }

  #supersede(old: Incarnation, staleMs: number): void {
    const { scheduler } = this.#platform;
    scheduler.note(`two copies of ${this.key}`);
    this.#takeBack();
    old.state = "stale";
    old.broken();
    this.#copy = null;
    this.disk.ringing = null;
    this.#arm();
    scheduler.after(staleMs, `end of the stale ${this.key}`, () => {
      old.die();
      for (const reply of old.calls) reply.fail(new Error("Network connection lost."));
    });
  }

  #context(copy: Incarnation): DurableObjectState {
    const { name, kind } = this;
    const id = createHash("sha256").update(`${kind}/${name}`).digest("hex");
    const confirmed = () => new Promise<void>((resolve) => copy.leave(resolve));
    return {
      id: { name, toString: () => id, equals: (other: { toString(): string }) => other.toString() === id },
      storage: storageOf(this.disk, copy, confirmed),
      exports: this.#platform.exportsFor(copy),
      waitUntil: copy.waitUntil,
      blockConcurrencyWhile: <T>(work: () => Promise<T>) => copy.blockConcurrencyWhile(work),
      abort: (reason?: string) => {
        this.crash(new Error(reason ?? "The object aborted itself."));
        throw new Error(reason ?? "The object aborted itself.");
      },
    } as unknown as DurableObjectState;
  }

  #run(copy: Incarnation, { from, method, args }: Incoming, reply: Reply): void {
    const { network } = this.#platform;
    const over = (say: () => void) => {
      copy.leave(() => {
        copy.calls.delete(reply);
        say();
      });
    };
    runAs(copy, 0, async () => {
      const handler = (copy.object as Record<string, unknown>)[method];
      if (typeof handler !== "function" || method === "constructor") {
        throw new TypeError(`The RPC receiver does not implement the method "${method}".`);
      }
      return network.answer(await handler.call(copy.object, ...args), copy, from);
    }).then(
      (value) => over(() => reply.ok(value)),
      (error) => over(() => reply.fail(error)),
    );
  }

  #confirmLater(): void {
    const { scheduler, network } = this.#platform;
    const writer = this.disk.writer;
    const verdict = network.ask({ at: "confirm", object: this.key });
    this.#confirmation = scheduler.soon(
      `confirm ${this.key}`,
      () => {
        if (this.disk.writer !== writer) return;
        if (verdict.do === "fail")
          this.crash(
            new Error(verdict.message ?? "Internal error in Durable Object storage write caused object to be reset."),
          );
        else this.#confirm();
      },
      delayOf(verdict),
    );
  }

  #confirm(): void {
    if (this.#confirmation) this.#confirmation.cancelled = true;
    this.#confirmation = null;
    this.disk.confirm();
    this.#arm();
    this.#copy?.confirmed();
  }

  #takeBack(): void {
    if (this.#confirmation) this.#confirmation.cancelled = true;
    this.#confirmation = null;
    const lost = this.disk.unconfirmed;
    this.disk.takeBack();
    if (lost) this.#platform.watch.onRollback(this);
  }

  /** The platform rings what is durable. */
  #arm(): void {
    const due = this.disk.durableAlarm;
    if (this.#alarm?.due === due && !this.#alarm.event.cancelled) return;
    if (this.#alarm) this.#alarm.event.cancelled = true;
    this.#alarm = null;
    if (due === null || due === this.disk.ringing || due === this.disk.stuck) return;
    this.#retries = 0;
    this.#ringAt(due, due);
  }

  #ringAt(when: number, due: number): void {
    const { scheduler } = this.#platform;
    this.#alarm = { due, event: scheduler.at(when, `alarm ${this.key}`, () => this.#rings(due)) };
  }

  #rings(due: number): void {
    this.#alarm = null;
    const { scheduler, network } = this.#platform;
    if (this.disk.alarm !== due) return; // a later one is on its way to the disk
    const verdict = network.ask({ at: "alarm", object: this.key, due });
    if (verdict.do === "delay") this.#ringAt(scheduler.now + verdict.ms, due);
    else if (verdict.do === "stick") this.disk.stuck = due;
    else if (verdict.do === "lose" || verdict.do === "fail") this.disk.loseAlarm();
    else this.#ring(due, verdict.do === "twice" ? "twice" : "once");
  }

  #ring(due: number, often: "once" | "twice"): void {
    const copy = this.#enter(null);
    if (!copy) {
      this.#retry(due);
      return;
    }
    this.disk.rings(due);
    const handler = (copy.object as { alarm?: (info: object) => Promise<void> }).alarm;
    if (!handler) {
      this.disk.rang();
      return;
    }
    copy.background += 1;
    const info = { isRetry: this.#retries > 0, retryCount: this.#retries, scheduledTime: due };
    const ring = () => runAs(copy, 0, async () => handler.call(copy.object, info));
    copy.receive(() => {
      const ringing = often === "once" ? ring() : ring().then(ring);
      ringing.then(
        () => {
          copy.background -= 1;
          if (this.#copy !== copy) return;
          this.disk.rang();
          this.#arm();
        },
        (error) => {
          copy.background -= 1;
          if (this.#copy !== copy) return;
          this.#platform.scheduler.note(`  alarm of ${this.key} failed: ${String(error)}`);
          this.#retry(due);
        },
      );
    }, 0);
  }

  /** The handler failed. One that it set meanwhile stays as it is. */
  #retry(due: number): void {
    const retries = this.#retries + 1;
    const { scheduler, complain } = this.#platform;
    this.disk.rang();
    if (this.disk.alarm !== null) this.#arm();
    else if (retries > ALARM_RETRIES) {
      complain(`the alarm of ${this.key}, due ${due}, failed ${retries} times and was dropped`);
    } else {
      this.disk.retryAlarm(scheduler.now + FIRST_RETRY_MS * 2 ** (retries - 1));
      this.#arm();
      this.#retries = retries;
    }
  }
}
