import { createHash, type Hash } from "node:crypto";
import { Batches } from "../gateway/storage/batches.ts";
import { ask, type Backend } from "../gateway/storage/context.ts";
import type { Pull } from "../gateway/storage/source.ts";
import { type ContentRef, INLINE_LIMIT } from "../vault/storage.ts";
import type { ManifestEntry } from "../vault/types.ts";
import type { Arrival, ArrivalOptions } from "./arrival.ts";
import { readTarOf, refuseAll } from "./read.ts";
import type { Sum } from "./sums.ts";

/** Stages a tar as it streams in; complete only when all of it was taken, and an export found to be what it says. @throws Problem, S3Error */
export async function stageTar(gateway: Backend, body: Pull, options: ArrivalOptions): Promise<void> {
  const { attempt } = await ask(gateway.vault.beginBundle(gateway.actor));
  const contents = new Map<string, ContentRef>();
  const batches = new Batches(gateway, attempt, ({ path, content }) => {
    if (content) contents.set(path, content);
  });
  try {
    const { arrival, sums } = await readTarOf(body, options, (entry, content) =>
      entry.size > INLINE_LIMIT ? batches.large(entry, content) : batches.small(entry, content),
    );
    await batches.settled();
    const manifest = arrival.manifest();
    if (sums) await verify(gateway.bucket, arrival, manifest, contents, sums);
    refuseAll(arrival);
    await batches.list([...manifest.values()]);
    await batches.finish();
  } catch (error) {
    batches.abandon();
    throw error;
  }
}

/** Notes every file that is not what the export says of it. */
async function verify(
  bucket: R2Bucket,
  arrival: Arrival,
  manifest: ReadonlyMap<string, ManifestEntry>,
  contents: ReadonlyMap<string, ContentRef>,
  sums: ReadonlyMap<string, Sum>,
): Promise<void> {
  for (const path of sums.keys()) {
    if (!contents.has(path)) arrival.refuse(path, "is in `sums` or `parts`, and not in the tar");
  }
  for (const [path, content] of contents) {
    if (manifest.get(path)?.kind !== "file") continue;
    const sum = sums.get(path);
    if (!sum) arrival.refuse(path, "is not in `sums` or `parts`");
    else if (!(await isTrue(bucket, content, sum))) arrival.refuse(path, "is not what the export says of it");
  }
}

/** A hash of parts is known only by reading the content again: how large the parts are comes last in the tar. */
async function isTrue(bucket: R2Bucket, content: ContentRef, sum: Sum): Promise<boolean> {
  if (sum.partSize === null) return content.sha256 === sum.sha256;
  const stored = content.object === null ? null : await bucket.get(content.object);
  return stored !== null && (await hashOfParts(stored.body, sum.partSize)) === sum.sha256;
}

/** As docs/container.md defines it: SHA-256 over the lower-case hex SHA-256 of each part, each followed by a newline. */
async function hashOfParts(stream: ReadableStream<Uint8Array>, partSize: number): Promise<string> {
  const whole = createHash("sha256");
  let part: Hash | null = null;
  let left = partSize;
  for await (const chunk of stream) {
    for (let at = 0; at < chunk.length; ) {
      part ??= createHash("sha256");
      const piece = chunk.subarray(at, at + left);
      part.update(piece);
      at += piece.length;
      left -= piece.length;
      if (left > 0) continue;
      whole.update(`${part.digest("hex")}\n`);
      part = null;
      left = partSize;
    }
  }
  if (part) whole.update(`${part.digest("hex")}\n`);
  return whole.digest("hex");
}
