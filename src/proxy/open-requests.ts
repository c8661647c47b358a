/** After this long an entry no longer counts: an end that was never reported cannot keep a container awake for ever. A socket stays known, so that it can be closed. */
const EXPIRY_MS = 3_600_000;

/** Closes a socket for a reason of ours. */
export type CloseSocket = (code: number, reason: string) => void;

/** What becomes of a socket whose session ended or was revoked: its client has to authenticate again. */
export const SESSION_OVER = 4401;

interface Entry {
  expiresAt: number;
  close: CloseSocket | null;
  /** Of the session that opened a socket; null where no revocation ends it. */
  tokenVersion: number | null;
}

/** Requests and sockets that are open on one container: entries that end, never a bare counter. */
export class OpenRequests {
  readonly #entries = new Set<Entry>();
  readonly #now: () => number;
  /** Sessions of lower versions open no socket here any more. */
  #minVersion = 0;
  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** The end may be reported more than once. */
  begin = (close: CloseSocket | null = null, tokenVersion: number | null = null): (() => void) => {
    const entry: Entry = { expiresAt: this.#now() + EXPIRY_MS, close, tokenVersion };
    this.#entries.add(entry);
    this.#endRevoked([entry]);
    return () => {
      this.#entries.delete(entry);
    };
  };

  get count(): number {
    const now = this.#now();
    let count = 0;
    for (const entry of this.#entries) {
      if (entry.expiresAt > now) count += 1;
      else if (!entry.close) this.#entries.delete(entry);
    }
    return count;
  }

  /** A planned stop: 1012 (service restart) tells well-behaved clients to come back. */
  closeSockets(code = 1012, reason = "The container is being stopped."): void {
    for (const entry of [...this.#entries]) entry.close?.(code, reason);
  }

  /** From now on sockets of sessions with a lower token version are closed, or were. */
  revoke(minVersion: number): void {
    this.#minVersion = Math.max(this.#minVersion, minVersion);
    this.#endRevoked([...this.#entries]);
  }

  #endRevoked(entries: readonly Entry[]): void {
    for (const entry of entries) {
      if (entry.tokenVersion === null || entry.tokenVersion >= this.#minVersion) continue;
      entry.close?.(SESSION_OVER, "The session was revoked.");
      entry.close = null; // told once
    }
  }
}
