/** After this long an entry no longer counts: an end that was never reported cannot keep a container awake for ever. */
const EXPIRY_MS = 3_600_000;

/** Closes a socket for a reason of ours. */
export type CloseSocket = (code: number, reason: string) => void;

interface Entry {
  expiresAt: number;
  close: CloseSocket | null;
}

/** Requests and sockets that are open on one container: entries that end, never a bare counter. */
export class OpenRequests {
  readonly #entries = new Set<Entry>();
  readonly #now: () => number;
  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** The end may be reported more than once. */
  begin = (close: CloseSocket | null = null): (() => void) => {
    const entry: Entry = { expiresAt: this.#now() + EXPIRY_MS, close };
    this.#entries.add(entry);
    return () => {
      this.#entries.delete(entry);
    };
  };

  get count(): number {
    const now = this.#now();
    for (const entry of this.#entries) if (entry.expiresAt <= now) this.#entries.delete(entry);
    return this.#entries.size;
  }

  /** A planned stop: 1012 (service restart) tells well-behaved clients to come back. */
  closeSockets(code = 1012, reason = "The container is being stopped."): void {
    for (const entry of [...this.#entries]) entry.close?.(code, reason);
  }
}
