/** What R2 lists in one call (platform limit). */
const R2_BATCH = 1_000;
const PAGES = 50;
const PAGES_OF_ONE = 10;

/** The names that follow a prefix, up to the next slash. */
export async function foldersUnder(bucket: R2Bucket, prefix: string): Promise<string[]> {
  const names: string[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < PAGES; page += 1) {
    const listed: R2Objects = await bucket.list({
      prefix,
      delimiter: "/",
      limit: R2_BATCH,
      ...(cursor ? { cursor } : {}),
    });
    names.push(...listed.delimitedPrefixes.map((folder) => folder.slice(prefix.length, -1)));
    if (!listed.truncated) return names;
    cursor = listed.cursor;
  }
  return names;
}

/** When the last of what lies under a prefix was written, in ms since 1970; null where nothing does. */
export async function youngestUnder(bucket: R2Bucket, prefix: string): Promise<number | "too many" | null> {
  let youngest: number | null = null;
  let cursor: string | undefined;
  for (let page = 0; page < PAGES_OF_ONE; page += 1) {
    const listed: R2Objects = await bucket.list({ prefix, limit: R2_BATCH, ...(cursor ? { cursor } : {}) });
    for (const { uploaded } of listed.objects) youngest = Math.max(youngest ?? 0, uploaded.getTime());
    if (!listed.truncated) return youngest;
    cursor = listed.cursor;
  }
  return "too many";
}

/** The next of them, in the order of their keys. The place is a name, so that a walk can be gone on with after any time. */
export async function foldersAfter(
  bucket: R2Bucket,
  prefix: string,
  after: string,
  limit: number,
): Promise<{ names: string[]; next: string | null }> {
  // Behind every key in the folder before: `0` is what follows `/`.
  const startAfter = after === "" ? {} : { startAfter: `${prefix}${after}0` };
  const listed = await bucket.list({ prefix, delimiter: "/", limit, ...startAfter });
  const names = listed.delimitedPrefixes.map((folder) => folder.slice(prefix.length, -1));
  return { names, next: listed.truncated ? (names.at(-1) ?? null) : null };
}
