import { brokenAt, CHAIN_START, type ChainedEntry } from "./entry.ts";

/** The end of a chain. */
export interface Head {
  seq: number;
  hash: string;
}

export const START: Head = { seq: 0, hash: CHAIN_START };

/** What an owner says about its own chain: its end, and up to where D1 has confirmed it. */
export interface OwnHead extends Head {
  delivered: number;
}

export interface Verdict {
  valid: boolean;
  /** The place of the first link that is not what it was. */
  brokenAt?: number;
  reason?: "altered or missing" | "not the owner's" | "missing at the end";
  /** Of the links that hold. */
  head: Head | null;
}

/** Follows a chain page by page, and compares its end with its owner's; null where nobody can be asked. */
export async function verifyChain(
  nextPage: (after: number) => Promise<readonly ChainedEntry[]>,
  owner: OwnHead | null,
): Promise<Verdict> {
  let head = START;
  for (let page = await nextPage(0); page.length > 0; page = await nextPage(head.seq)) {
    const broken = brokenAt(page, head);
    if (broken !== null) {
      const last = page.find((entry) => entry.seq === broken - 1);
      const holds = last ? { seq: last.seq, hash: last.hash } : head;
      return { valid: false, brokenAt: broken, reason: "altered or missing", head: ended(holds) };
    }
    head = page.at(-1) ?? head;
  }
  return { ...comparedWith(owner, head), head: ended(head) };
}

/** Pure. D1 may lack what its owner has not delivered yet, and nothing else. */
function comparedWith(owner: OwnHead | null, head: Head): Omit<Verdict, "head"> {
  if (owner === null) return { valid: true };
  if (head.seq < owner.delivered) return { valid: false, brokenAt: head.seq + 1, reason: "missing at the end" };
  const foreign = head.seq > owner.seq || (head.seq === owner.seq && head.hash !== owner.hash);
  return foreign ? { valid: false, brokenAt: head.seq, reason: "not the owner's" } : { valid: true };
}

const ended = (head: Head): Head | null => (head.seq === 0 ? null : { seq: head.seq, hash: head.hash });
