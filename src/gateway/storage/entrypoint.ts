import { WorkerEntrypoint } from "cloudflare:workers";
import { messageOf } from "../../durable/deadline.ts";
import { log } from "../../log.ts";
import type { VaultStorage } from "../../vault/storage.ts";
import type { StorageProps } from "../../vault/types.ts";
import { allowed } from "./access.ts";
import { saveBundle } from "./bundle-in.ts";
import { restoreBundle } from "./bundle-out.ts";
import type { Gateway } from "./context.ts";
import { errorResponse, S3Error } from "./errors.ts";
import { listBuckets, listObjects, listObjectsV2, xml } from "./list.ts";
import * as multipart from "./multipart.ts";
import * as objects from "./objects.ts";
import { type Operation, operationOf } from "./operation.ts";

/**
 * What a container reaches as `http://sink.internal`: its tenant's Vault, as an S3 bucket. Tenant, epoch and incarnation come from the props of the
 * intercept, never from the request; the request only has to show that it comes from this boot's root.
 */
export class StorageGateway extends WorkerEntrypoint<Env, StorageProps> {
  override async fetch(request: Request): Promise<Response> {
    const requestId = crypto.randomUUID();
    const url = new URL(request.url);
    try {
      if (!allowed(request.headers, this.ctx.props.accessKeyId)) throw new S3Error("AccessDenied", "Access Denied");
      const response = await perform(
        this.#gateway(),
        operationOf(request.method, url, request.headers),
        request,
        url.searchParams,
      );
      response.headers.set("x-amz-request-id", requestId);
      return response;
    } catch (error) {
      return errorResponse(toS3Error(error, requestId), request.method, url.pathname, requestId);
    }
  }

  #gateway(): Gateway {
    const { tenantId, epoch, incarnation } = this.ctx.props;
    return {
      // The RPC types of a stub lose branded numbers and unions; what it answers is what the class says.
      vault: this.env.VAULT.getByName(tenantId) as unknown as VaultStorage,
      bucket: this.env.BUCKET,
      actor: { epoch, incarnation },
      tenantId,
      waitUntil: (work) => this.ctx.waitUntil(work),
    };
  }
}

async function perform(
  gateway: Gateway,
  operation: Operation,
  request: Request,
  query: URLSearchParams,
): Promise<Response> {
  switch (operation.name) {
    case "SaveBundle":
      return saveBundle(gateway, request);
    case "RestoreBundle":
      return restoreBundle(gateway, operation.generation);
    case "ListBuckets":
      return listBuckets();
    case "HeadBucket":
      return new Response(null, { headers: { "x-amz-bucket-region": "auto" } });
    case "GetBucketLocation":
      return xml("LocationConstraint", "");
    case "ListObjects":
      return listObjects(gateway, query);
    case "ListObjectsV2":
      return listObjectsV2(gateway, query);
    case "DeleteObjects":
      return objects.deleteObjects(gateway, request);
    case "GetObject":
    case "HeadObject":
      return objects.getObject(gateway, request, operation.key);
    case "PutObject":
      return objects.putObject(gateway, request, operation.key);
    case "CopyObject":
      return objects.copyObject(gateway, request, operation.key);
    case "DeleteObject":
      return objects.deleteObject(gateway, request, operation.key);
    case "CreateMultipartUpload":
      return multipart.createMultipartUpload(gateway, request, operation.key);
    case "UploadPart":
      return multipart.uploadPart(gateway, request, operation.key, operation.uploadId, operation.partNumber);
    case "CompleteMultipartUpload":
      return multipart.completeMultipartUpload(gateway, request, operation.key, operation.uploadId);
    case "AbortMultipartUpload":
      return multipart.abortMultipartUpload(gateway, operation.key, operation.uploadId);
    case "ListParts":
      return multipart.listParts(gateway, query, operation.key, operation.uploadId);
  }
}

/** Faults of ours are logged whole and answered without their text, which may name keys of R2. */
function toS3Error(error: unknown, requestId: string): S3Error {
  if (error instanceof S3Error) return error;
  log.error("storage: a request failed", { requestId, error: messageOf(error) });
  return new S3Error("InternalError", "We encountered an internal error. Please try again.");
}
