import type { ListedObject, ListPage, ListQuery } from "./storage.ts";

/** Where a scan begins; `inclusive` when the key itself counts. */
export interface ScanFrom {
  key: string;
  inclusive: boolean;
}

/**
 * One page of a listing, as S3 defines it: keys under `prefix`, rolled up to common prefixes at the first `delimiter` after it, at most `limit` of both together.
 * `scan` answers with objects in key order from a point on; it is asked again behind every common prefix, so that a directory costs one row, not all of its rows.
 */
export function listPage(query: ListQuery, scan: (from: ScanFrom) => Iterable<ListedObject>): ListPage {
  const objects: ListedObject[] = [];
  const prefixes: string[] = [];
  let last: { after: string; afterIsPrefix: boolean } | null = null;
  let from: ScanFrom | null = query.afterIsPrefix ? behind(query.after) : { key: query.after, inclusive: false };
  if (query.limit === 0) return { objects, prefixes, next: null };
  scanning: while (from !== null) {
    const begin: ScanFrom = from;
    from = null;
    for (const object of scan(begin)) {
      if (!object.key.startsWith(query.prefix)) break scanning;
      if (objects.length + prefixes.length === query.limit) return { objects, prefixes, next: last };
      const cut = query.delimiter === "" ? -1 : object.key.indexOf(query.delimiter, query.prefix.length);
      if (cut === -1) {
        objects.push(object);
        last = { after: object.key, afterIsPrefix: false };
        continue;
      }
      const common = object.key.slice(0, cut + query.delimiter.length);
      prefixes.push(common);
      last = { after: common, afterIsPrefix: true };
      from = behind(common);
      continue scanning;
    }
  }
  return { objects, prefixes, next: null };
}

/** The first key that comes after everything with this prefix, in the order of UTF-8 bytes (that of code points); null when there is none. */
export function behind(prefix: string): ScanFrom | null {
  const points = Array.from(prefix);
  for (;;) {
    const last = points.pop();
    if (last === undefined) return null;
    const point = last.codePointAt(0) ?? 0;
    if (point >= 0x10ffff) continue;
    // Surrogates are no characters of their own.
    const next = point === 0xd7ff ? 0xe000 : point + 1;
    return { key: points.join("") + String.fromCodePoint(next), inclusive: true };
  }
}
