import { type CloseSocket, SESSION_OVER } from "./open-requests.ts";

/** Timers count in 32 bits; a later end is waited for in parts. */
const LONGEST_WAIT_MS = 2_147_483_647;

/** Closes a socket when its session expires (ms since 1970). Answers with the way to forget about it. */
export function closeAtExpiry(expiresAt: number | null, close: CloseSocket): () => void {
  if (expiresAt === null) return () => {};
  let timer: ReturnType<typeof setTimeout>;
  const look = () => {
    const left = expiresAt - Date.now();
    if (left <= 0) close(SESSION_OVER, "The session expired.");
    else timer = setTimeout(look, Math.min(left, LONGEST_WAIT_MS));
  };
  timer = setTimeout(look, Math.min(Math.max(0, expiresAt - Date.now()), LONGEST_WAIT_MS));
  return () => clearTimeout(timer);
}

/**
 * The way to close a socket whose handshake is not over: what is ordered before it is open is kept, and done as soon as
 * `opened` brings the real way.
 */
export class PendingClose {
  #real: CloseSocket | null = null;
  #ordered: Parameters<CloseSocket> | null = null;

  readonly close: CloseSocket = (code, reason) => {
    if (this.#real) this.#real(code, reason);
    else this.#ordered ??= [code, reason];
  };

  opened(real: CloseSocket): void {
    this.#real = real;
    if (this.#ordered) real(...this.#ordered);
  }
}
