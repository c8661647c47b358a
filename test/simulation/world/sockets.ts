import { currentOrNull, type Running, runAs } from "./owner.ts";
import type { Scheduler } from "./scheduler.ts";

type Listener = (event: { type: string; data?: unknown; code?: number; reason?: string; wasClean?: boolean }) => void;

/** One end of a WebSocket pair. Frames are events of the scheduler, in order. */
class SimulatedSocket {
  static readonly OPEN = 1;
  static readonly CLOSING = 2;
  static readonly CLOSED = 3;
  readonly #scheduler: Scheduler;
  readonly #listeners = new Map<string, { listener: Listener; as: Running | null }[]>();
  readonly #unread: (() => void)[] = [];
  #accepted = false;
  #owner: Running["owner"] | null = null;
  #last = 0;
  other: SimulatedSocket | null = null;
  readyState = SimulatedSocket.OPEN;

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler;
  }

  accept(): void {
    this.#accepted = true;
    this.#owner = currentOrNull()?.owner ?? null;
    this.#owner?.sockets?.add(this);
    for (const deliver of this.#unread.splice(0)) deliver();
  }

  addEventListener(type: string, listener: Listener): void {
    this.#listeners.set(type, [...(this.#listeners.get(type) ?? []), { listener, as: currentOrNull() }]);
  }
  removeEventListener(type: string, listener: Listener): void {
    this.#listeners.set(
      type,
      (this.#listeners.get(type) ?? []).filter((one) => one.listener !== listener),
    );
  }

  send(data: string | ArrayBuffer | ArrayBufferView): void {
    if (this.readyState !== SimulatedSocket.OPEN) throw new TypeError("Can't call WebSocket send() after close().");
    this.#towards("message", { data: typeof data === "string" ? data : structuredClone(data) });
  }

  close(code = 1005, reason = ""): void {
    if (this.readyState >= SimulatedSocket.CLOSING) return;
    this.readyState = SimulatedSocket.CLOSING;
    this.#towards("close", { code, reason, wasClean: true });
  }

  /** The connection breaks, without a word from the other side. */
  breakOff(): void {
    for (const end of [this, this.other]) {
      if (!end || end.readyState === SimulatedSocket.CLOSED) continue;
      end.#closed();
      end.#arrive("close", { code: 1006, reason: "", wasClean: false });
    }
  }

  #closed(): void {
    this.readyState = SimulatedSocket.CLOSED;
    this.#owner?.sockets?.delete(this);
  }

  #towards(type: string, content: object): void {
    const other = this.other;
    if (!other) return;
    // In order: no frame overtakes one before it.
    const at = Math.max(this.#scheduler.now, this.#last + 0.001);
    this.#last = at;
    this.#scheduler.at(at, `socket ${type}`, () => {
      if (type === "close") {
        other.#closed();
        this.#closed();
      }
      other.#arrive(type, content);
    });
  }

  #arrive(type: string, content: object): void {
    const deliver = () => {
      for (const { listener, as } of this.#listeners.get(type) ?? []) {
        if (!as) listener({ type, ...content });
        else if (as.owner.alive) runAs(as.owner, as.section, () => listener({ type, ...content }));
      }
    };
    if (this.#accepted || type !== "message") deliver();
    else this.#unread.push(deliver);
  }
}

/** The global `WebSocketPair` of a world. */
export const socketPairs = (scheduler: Scheduler) =>
  class WebSocketPair {
    readonly 0: SimulatedSocket;
    readonly 1: SimulatedSocket;
    constructor() {
      this[0] = new SimulatedSocket(scheduler);
      this[1] = new SimulatedSocket(scheduler);
      this[0].other = this[1];
      this[1].other = this[0];
    }
  };
