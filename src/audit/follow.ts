import { brokenAt } from "./entry.ts";
import { type AuditRow, linkOf } from "./read.ts";
import { type Head, START } from "./verify.ts";

interface Followed {
  head: Head;
  brokenAt: number | null;
}

/** Follows all chains of an export (one record a line, each chain in its order) and keeps of each only where it ends. */
export class ChainFollower {
  readonly #chains = new Map<string, Followed>();
  #unchained = 0;

  /** @throws for a line that is no record */
  take(line: string): void {
    const record = JSON.parse(line) as Omit<AuditRow, "at"> & { at: string };
    if (typeof record.subject !== "string") throw new Error("there is a line that is no record");
    if (record.seq === null) {
      this.#unchained += 1;
      return;
    }
    const chain = this.#chains.get(record.subject) ?? { head: START, brokenAt: null };
    if (chain.brokenAt !== null) return;
    const link = linkOf({ ...record, at: Date.parse(record.at) });
    const broken = brokenAt([link], chain.head);
    this.#chains.set(record.subject, { head: broken === null ? link : chain.head, brokenAt: broken });
  }

  result(): { chains: number; unchained: number; broken: { subject: string; brokenAt: number }[] } {
    const broken = [...this.#chains].flatMap(([subject, { brokenAt: at }]) =>
      at === null ? [] : [{ subject, brokenAt: at }],
    );
    return { chains: this.#chains.size, unchained: this.#unchained, broken };
  }
}
