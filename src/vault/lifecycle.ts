/** The life of one save. What is decided stays for as long as a lost answer may be asked for again. */
export type SaveState =
  | "open" // takes puts; visible to its own incarnation only
  | "committed" // became the head
  | "quarantined" // stopped by the guard; kept whole, beside the history
  | "detached" // began from another generation than the head; kept whole, beside the history
  | "aborted"; // nothing of it is kept

export type SaveEvent =
  | "reopen" // the same save is sent again, from the beginning
  | "commit"
  | "quarantine"
  | "detach"
  | "abort" // by its owner, by the next save or by a fence
  | "promote"; // an admin, or `force`, accepts what the guard had stopped

const table: { readonly [State in SaveState]: { readonly [E in SaveEvent]?: SaveState } } = {
  open: { reopen: "open", commit: "committed", quarantine: "quarantined", detach: "detached", abort: "aborted" },
  committed: {},
  quarantined: { promote: "committed" },
  detached: {},
  aborted: { reopen: "open", abort: "aborted" },
};

/** The state after an event; null where the event is illegal. Total. */
export const after = (state: SaveState, event: SaveEvent): SaveState | null => table[state][event] ?? null;

/** Whether a save's outcome is recorded and final but for a `promote`. */
export const decided = (state: SaveState): boolean =>
  state === "committed" || state === "quarantined" || state === "detached";
