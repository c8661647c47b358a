import { INLINE_LIMIT } from "../../vault/storage.ts";
import { Batches } from "./batches.ts";
import { pullFrom, readOut } from "./body.ts";
import { ask, type Backend } from "./context.ts";
import { S3Error } from "./errors.ts";
import { ByteSource, TruncatedError } from "./source.ts";
import { TarError } from "./tar/header.ts";
import { readTar } from "./tar/read.ts";

/**
 * Unpacks the tar of a save into its staging generation, as it streams in: small contents go to the Vault in batches of one message, large ones straight to R2.
 * Only the last batch completes it, so that a tar that breaks off can never be committed. @throws S3Error
 */
export async function saveBundle(gateway: Backend, request: Request): Promise<Response> {
  const pull = pullFrom(request.body);
  try {
    return await unpack(gateway, new ByteSource(pull));
  } catch (error) {
    await readOut(pull);
    throw refusalOf(error);
  }
}

async function unpack(gateway: Backend, source: ByteSource): Promise<Response> {
  const { attempt } = await ask(gateway.vault.beginBundle(gateway.actor));
  const batches = new Batches(gateway, attempt);
  const seen = new Set<string>();
  let files = 0;
  let bytes = 0;
  try {
    await readTar(source, (entry, content) => {
      if (seen.size === seen.add(entry.path).size)
        throw new TarError("path", `The path ${JSON.stringify(entry.path)} comes twice.`);
      if (entry.kind === "directory") return; // they come from the manifest
      files += 1;
      bytes += entry.size;
      return entry.size > INLINE_LIMIT ? batches.large(entry, content) : batches.small(entry, content);
    });
    await batches.finish();
  } catch (error) {
    batches.abandon();
    throw error;
  }
  return Response.json({ files, bytes });
}

function refusalOf(error: unknown): unknown {
  if (error instanceof TarError) return new S3Error("InvalidRequest", error.message);
  if (error instanceof TruncatedError) return new S3Error("IncompleteBody", "The tar ends in the middle.");
  return error;
}
