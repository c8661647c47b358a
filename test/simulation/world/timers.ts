import { currentOrNull, runAs } from "./owner.ts";
import type { Event, Scheduler } from "./scheduler.ts";

/** The timers of the global object, on virtual time. They end with whoever set them. */
export class Timers {
  readonly #scheduler: Scheduler;
  readonly #complain: (error: unknown) => void;
  readonly #events = new Map<number, Event>();
  #last = 0;

  constructor(scheduler: Scheduler, complain: (error: unknown) => void) {
    this.#scheduler = scheduler;
    this.#complain = complain;
  }

  readonly setTimeout = (callback: (...args: unknown[]) => void, ms = 0, ...args: unknown[]): number =>
    this.#set(callback, Math.floor(Number(ms)) || 0, args, "once");

  readonly setInterval = (callback: (...args: unknown[]) => void, ms = 0, ...args: unknown[]): number =>
    this.#set(callback, Math.max(1, Number(ms) || 0), args, "again");

  readonly clear = (id: unknown): void => {
    const event = this.#events.get(id as number);
    if (!event) return;
    event.cancelled = true;
    this.#events.delete(id as number);
  };

  #set(callback: (...args: unknown[]) => void, ms: number, args: unknown[], how: "once" | "again"): number {
    this.#last += 1;
    const id = this.#last;
    const context = currentOrNull();
    const call = () => {
      try {
        callback(...args);
      } catch (error) {
        this.#complain(error);
      }
    };
    const ring = () => {
      if (!this.#events.has(id)) return;
      if (how === "once") this.#events.delete(id);
      else this.#arm(id, ms, context?.owner.label ?? "outside", due);
      if (context) runAs(context.owner, context.section, call);
      else call();
    };
    const due = () => {
      if (!context) return ring();
      if (context.owner.alive) context.owner.receive(ring, context.section);
      else this.#events.delete(id);
    };
    this.#arm(id, ms, context?.owner.label ?? "outside", due);
    return id;
  }

  #arm(id: number, ms: number, whose: string, due: () => void): void {
    this.#events.set(id, this.#scheduler.after(Math.min(ms, 2 ** 31), `timer ${whose}`, due));
  }
}
