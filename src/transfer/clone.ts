import { Problem } from "../errors/problem.ts";
import { Batches } from "../gateway/storage/batches.ts";
import { ask, type Backend } from "../gateway/storage/context.ts";
import type { Generation } from "../ids.ts";
import type { GenerationPage, PageCursor, PageEntry, VaultStorage } from "../vault/storage.ts";
import type { ManifestEntry } from "../vault/types.ts";

/** R2 takes 5 GiB in one piece; larger ones go in pieces of this size. */
const ONE_PIECE = 4 * 1024 ** 3;
const PIECE = 256 * 1024 ** 2;
/** Contents on their way at once. */
const PARALLEL = 4;

/**
 * Stages a generation of one tenant as another's: small contents as they are, large ones from R2 to R2 under keys of the
 * target's own, so that neither needs the other afterwards. @throws S3Error
 */
export async function stageCopy(
  gateway: Backend,
  source: Pick<VaultStorage, "exported">,
  generation: Generation,
): Promise<void> {
  const { attempt } = await ask(gateway.vault.beginBundle(gateway.actor));
  const batches = new Batches(gateway, attempt);
  const next = (after: PageCursor | null): Promise<GenerationPage> => ask(source.exported(generation, after));
  try {
    for (let page: GenerationPage | null = await next(null); page; page = page.next && (await next(page.next))) {
      await stagePage(gateway, batches, page);
      await batches.list(page.entries.map(listed));
    }
    await batches.finish();
  } catch (error) {
    batches.abandon();
    throw error;
  }
}

async function stagePage(gateway: Backend, batches: Batches, { entries, packed }: GenerationPage): Promise<void> {
  const copies = await copyAll(gateway, batches, entries);
  let at = 0;
  for (const { path, kind, mtimeNs, target, content } of entries) {
    if (kind === "directory") continue;
    const inline = content?.object === null ? content.size : 0;
    const bytes = packed.subarray(at, at + inline);
    at += inline;
    const copied = content?.object ? { ...content, object: copies.get(path) ?? content.object } : content;
    await batches.known({ path, kind, mtimeNs, target, content: copied }, bytes);
  }
}

/** The keys of the copies, by path. */
async function copyAll(
  gateway: Backend,
  batches: Batches,
  entries: readonly PageEntry[],
): Promise<Map<string, string>> {
  const large = entries.filter(({ content }) => content?.object);
  const copies = new Map<string, string>();
  for (let at = 0; at < large.length; at += PARALLEL) {
    const some = large.slice(at, at + PARALLEL);
    await Promise.all(
      some.map(async ({ path, content }) => {
        if (content) copies.set(path, await copy(gateway, batches, content));
      }),
    );
  }
  return copies;
}

type Content = NonNullable<PageEntry["content"]>;

/** R2 itself checks what arrives, where the hash is of the whole content. */
async function copy({ bucket }: Backend, batches: Batches, content: Content): Promise<string> {
  const from = content.object ?? "";
  const to = await batches.reserve();
  if (content.size > ONE_PIECE) {
    await copyInPieces(bucket, from, to, content.size);
    return to;
  }
  const stored = await bucket.get(from);
  if (stored?.size !== content.size) throw missing(from);
  await bucket.put(to, stored.body, content.partSize === null ? { sha256: content.sha256 } : {});
  return to;
}

async function copyInPieces(bucket: R2Bucket, from: string, to: string, size: number): Promise<void> {
  const upload = await bucket.createMultipartUpload(to);
  try {
    const parts: R2UploadedPart[] = [];
    for (let offset = 0; offset < size; offset += PIECE) {
      const piece = await bucket.get(from, { range: { offset, length: Math.min(PIECE, size - offset) } });
      if (piece?.size !== size) throw missing(from);
      parts.push(await upload.uploadPart(parts.length + 1, piece.body));
    }
    await upload.complete(parts);
  } catch (error) {
    await upload.abort().catch(() => {}); // R2 forgets it by itself after seven days
    throw error;
  }
}

const missing = (key: string): Problem =>
  new Problem("operation_interrupted", `${key} is not in the bucket as the index says.`);

const listed = ({ path, kind, mode, uid, gid, mtimeNs, target, content }: PageEntry): ManifestEntry => ({
  path,
  kind,
  mode,
  uid,
  gid,
  size: content?.size ?? 0,
  mtimeNs,
  ctimeNs: mtimeNs,
  inode: "0",
  ...(kind === "symlink" ? { target } : {}),
});
