import type { Reply } from "./network.ts";
import { type Owner, runAs } from "./owner.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Disk } from "./storage.ts";

/** The longest that the platform waits for a `blockConcurrencyWhile`. */
const LONGEST_BLOCK_MS = 30_000;

/** One stay of an object in memory. */
export class Incarnation implements Owner {
  readonly label: string;
  readonly #disk: Disk;
  readonly #scheduler: Scheduler;
  readonly #reset: (why: Error) => void;
  /** `stale`: another copy has the storage; what this one still does outside goes on for a moment. */
  state: "live" | "stale" | "dead" = "live";
  /** The object of `src`; null while its constructor runs. */
  object: object | null = null;
  /** Calls into it that have no answer yet. */
  readonly calls = new Set<Reply>();
  /** What it passed to `waitUntil`. */
  background = 0;
  readonly sockets = new Set<{ breakOff(): void }>();

  readonly #waiting: (() => void)[] = [];
  readonly #held: { handle: () => void; section: number }[] = [];
  readonly #sections: number[] = [];
  #lastSection = 0;

  constructor(label: string, disk: Disk, scheduler: Scheduler, reset: (why: Error) => void) {
    this.label = label;
    this.#disk = disk;
    this.#scheduler = scheduler;
    this.#reset = reset;
  }

  get alive(): boolean {
    return this.state !== "dead";
  }
  /** An open socket too keeps an object in memory, where it does not hibernate. */
  get busy(): boolean {
    return this.calls.size > 0 || this.background > 0 || this.sockets.size > 0;
  }

  leave(send: () => void): void {
    if (this.state === "dead") return;
    if (this.#disk.writer === this && this.#disk.unconfirmed) this.#waiting.push(send);
    else send();
  }

  /** Its writes are durable: what waited for them leaves. */
  confirmed(): void {
    for (const send of this.#waiting.splice(0)) send();
  }
  /** Its writes are lost, and with them whatever waited. */
  broken(): void {
    this.#waiting.splice(0);
  }

  receive(handle: () => void, section: number): void {
    if (this.state === "dead") return;
    const blocking = this.#sections.at(-1);
    if (blocking === undefined || section === blocking) handle();
    else this.#held.push({ handle, section });
  }

  /** Nothing but what `work` set going is let in before it ends. */
  blockConcurrencyWhile<T>(work: () => Promise<T>): Promise<T> {
    this.#lastSection += 1;
    const section = this.#lastSection;
    this.#sections.push(section);
    const late = this.#scheduler.after(LONGEST_BLOCK_MS, `gate ${this.label}`, () => {
      if (this.alive)
        this.#reset(new Error("A call to blockConcurrencyWhile() in a Durable Object waited for too long."));
    });
    const end = () => {
      late.cancelled = true;
      this.#sections.splice(this.#sections.indexOf(section), 1);
      for (const { handle, section: of } of this.#held.splice(0)) {
        this.#scheduler.after(0, `let in ${this.label}`, () => this.receive(handle, of));
      }
    };
    const running = runAs(this, section, async () => work());
    return running.then(
      (value) => {
        end();
        return value;
      },
      (error: Error) => {
        end();
        if (this.alive) this.#reset(error);
        throw error;
      },
    );
  }

  readonly waitUntil = (work: unknown): void => {
    this.background += 1;
    const over = () => {
      this.background -= 1;
    };
    Promise.resolve(work).then(over, over);
  };

  die(): void {
    this.state = "dead";
    this.#waiting.splice(0);
    this.#held.splice(0);
    for (const socket of this.sockets) this.#scheduler.after(0, `break ${this.label}`, () => socket.breakOff());
  }
}
