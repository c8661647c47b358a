import { type Entry, keyOf, sameContent } from "./tree.ts";
import type { DiffEntry, DiffPage, PageRequest } from "./types.ts";

/**
 * One page of the difference of two trees, each given as its entries in key order after `page.after`. Entries that both share may be
 * left out of both. Reads no more of either than the page needs.
 */
export function diffPage(from: Iterator<Entry>, to: Iterator<Entry>, page: PageRequest): DiffPage {
  const entries: DiffEntry[] = [];
  let before = next(from);
  let after = next(to);
  let next_: DiffPage["next"] = page.after;
  while (before !== null || after !== null) {
    if (entries.length === page.limit) return { entries, next: next_ };
    const order = before === null ? 1 : after === null ? -1 : compare(before, after);
    const [old, now] = [order <= 0 ? before : null, order >= 0 ? after : null];
    const one = (old ?? now) as Entry;
    const change = changeOf(old, now);
    if (change !== null) {
      entries.push({ path: one.path, kind: one.kind, change, before: sizeIn(old), after: sizeIn(now) });
      next_ = { key: keyOf(one.path, one.kind), kind: one.kind };
    }
    if (old !== null) before = next(from);
    if (now !== null) after = next(to);
  }
  return { entries, next: null };
}

function next(entries: Iterator<Entry>): Entry | null {
  const result = entries.next();
  return result.done ? null : result.value;
}

const sizeIn = (entry: Entry | null): number | null => (entry === null ? null : (entry.content?.size ?? 0));

function changeOf(before: Entry | null, after: Entry | null): DiffEntry["change"] | null {
  if (before === null) return "added";
  if (after === null) return "removed";
  if (!sameContent(before, after)) return "content";
  const same = (["mode", "uid", "gid", "mtimeNs"] as const).every((name) => before[name] === after[name]);
  return same ? null : "attributes";
}

/** As SQLite orders text: by the bytes of UTF-8, which is the order of code points. */
function compare(a: Entry, b: Entry): number {
  return compareText(keyOf(a.path, a.kind), keyOf(b.path, b.kind)) || compareText(a.kind, b.kind);
}

const encoder = new TextEncoder();
function compareText(a: string, b: string): number {
  if (a === b) return 0;
  const [left, right] = [encoder.encode(a), encoder.encode(b)];
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const difference = (left[i] as number) - (right[i] as number);
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}
