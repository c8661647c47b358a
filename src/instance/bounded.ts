import { concat } from "../runtime/tar-header.ts";

/** The whole body of an answer; null when it is longer than `limit` bytes. What a container sends is never held without a limit. */
export async function bytesWithin(limit: number, { body }: Response): Promise<Uint8Array<ArrayBuffer> | null> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body ?? []) {
    length += chunk.byteLength;
    if (length > limit) return null; // which also ends the stream
    chunks.push(chunk);
  }
  return concat(chunks);
}
