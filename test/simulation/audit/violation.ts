/**
 * The rules that hold whatever happened, each by the name of the promise (design §1) or invariant (I1–I10, section E.1 of
 * the survey of peers) that it stands for.
 */
export const RULES = {
  "one-container": "I1, P-ONE: a tenant has at most one container that may receive its requests or save",
  "one-tenant": "I2, P-ONE: a container serves at most one tenant in its life",
  taken: "P-ONE, P-SAVE: a container that its tenant holds ends by that tenant's word only",
  gone: "P-ONE, P-EXIT: who has a container on record keeps it there until it has ended",
  ready: "I3: nothing is active whose workload never answered",
  restored: "P-RESTORE: what is active holds what was saved, whole, unless an admin allowed a fresh start",
  cap: "I4, P-CAP: running and starting containers never exceed the cap of their tier",
  pool: "a pool never holds more than its maxSize, nor two slots with one container",
  saved: "I5, P-SAVE: the head is a directory that existed, not older than what was acknowledged as saved",
  whole: "P-ATOMIC: no retained generation misses a content",
  guard: "P-GUARD: a tree that lost more than half does not become the head, unless somebody forced it",
  unsaved: "I5, P-SAVE: what ended without a completed save says so",
  exit: "I6, P-EXIT: every transitional state has a deadline",
  destroy: "I7, P-EXIT: destroy is legal in every state",
  fence: "I8, P-FENCE: what acts for an older epoch is refused at the moment of its effect",
  once: "P-FENCE: a request that may have had its effect is not sent again",
  lost: "P-SAVE: where nothing goes wrong and nobody gives anything up, nothing is lost",
  alarm: "I9: an alarm is set whenever something is due",
  journal: "I10, P-AUDIT: every change of state is recorded once, in its transaction",
  reads: "P-NOWAKE: reading wakes nothing",
  keys: "P-NOKEY: no key that opens anything outside is in a container",
  answers: "every answer is a documented one",
  settled: "P-HEAL, P-EXIT: without faults everything comes to rest where it should be",
} as const;
export type RuleName = keyof typeof RULES;

export interface Violation {
  rule: RuleName;
  what: string;
}

export const violation = (rule: RuleName, what: string): Violation => ({ rule, what });

/** A list of what is wrong, from conditions that must not hold. */
export const those = (...found: (Violation | false | null | undefined)[]): Violation[] =>
  found.filter((one): one is Violation => !!one);
